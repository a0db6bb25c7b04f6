/**
 * Keeps the world true: one live stream per tab, REST for what the stream does not carry.
 *
 * The order that leaves no gap: the stream is open and its snapshot's position known before REST
 * is asked; what comes meanwhile waits; what was read is at least as new as that position, so the
 * waiting events are applied on top. Every change is idempotent, so seeing one twice is harmless.
 */

import { api } from "../api/client";
import type { Session, Topology } from "../api/types";
import type { Envelope } from "./events";
import type { Frame } from "./sse";
import { LiveStream, type Closed } from "./stream";
import {
  EMPTY, mergeActivity, putMutation, reduce, withPast, withTopology, type Stale, type World,
} from "./world";

export type Connection =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "degraded"; detail: string }
  | { state: "reconnecting"; until: number };

export interface Sight {
  world: World;
  connection: Connection;
  /** Whether the first load is done. */
  loaded: boolean;
}

/** Names of frames about the stream itself; their data has no topic. */
const CONTROL = new Set(["snapshot", "reset", "degraded", "stream-error", "auth-revoked"]);
/** Pause between two reads of the same stale thing: a burst of events costs one read. */
const REREAD_MS = 400;
/** Most topologies that are held, the newest; those that were taken down count as well. */
const MAX_TOPOLOGIES = 50;
/** Most events that wait for a load; past it the load starts again. */
const MAX_WAITING = 20_000;

export class Sync {
  private sight: Sight = { world: EMPTY, connection: { state: "connecting" }, loaded: false };
  private readonly watchers = new Set<() => void>();
  private readonly stream: LiveStream;
  private readonly stale = new Set<Stale>();
  private rereading = false;
  /** Events that came during a load; `undefined` while none is under way. */
  private waiting: Envelope[] | undefined;
  private load = 0;
  private position = 0;
  private stopped = false;
  /** Why events that are not journalled may be missing; `undefined` where none are. */
  private degraded: string | undefined;

  constructor(signedOut: () => void) {
    this.stream = new LiveStream("/api/v1/events", {
      opened: () => {
        this.degraded = undefined;
        if (this.sight.loaded) this.show({ connection: this.open() });
      },
      frames: (frames) => this.frames(frames),
      waiting: (delay) => this.show({ connection: { state: "reconnecting", until: Date.now() + delay } }),
      closed: (reason: Closed) => {
        if (reason.why === "signed-out") signedOut();
      },
    });
  }

  start(): void {
    void this.stream.run();
  }

  stop(): void {
    this.stopped = true;
    this.stream.stop();
  }

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  readonly current = (): Sight => this.sight;

  /** Reads a session with all of its activity; live events go on from there. */
  async readSession(id: string): Promise<void> {
    const { activity, ...session } = await api.session(id);
    this.change((world) => ({
      ...world,
      sessions: withSessions(world.sessions, [session]),
      activity: new Map(world.activity).set(
        id, mergeActivity(world.activity.get(id) ?? [], activity ?? [])),
    }));
  }

  /** Reads the sessions of one attacker, the old ones too. */
  async readSessionsOf(attacker: string): Promise<void> {
    const sessions = await api.sessions(`&attacker=${encodeURIComponent(attacker)}`);
    this.change((world) => ({ ...world, sessions: withSessions(world.sessions, sessions) }));
  }

  /** Reads a topology now, for who must not wait until its turn comes. */
  async readTopology(id: string): Promise<void> {
    const topology = await api.topology(id);
    this.change((world) => withTopology(world, topology));
  }

  /** Has something read again, soon. */
  refresh(...stale: Stale[]): void {
    for (const one of stale) this.stale.add(one);
    void this.reread();
  }

  private frames(frames: Frame[]): void {
    const events: Envelope[] = [];
    for (const frame of frames) {
      const data = parse(frame.data);
      if (isEnvelope(data)) (this.waiting ?? events).push(data);
      else if (CONTROL.has(frame.event)) this.control(frame.event, data ?? {});
    }
    if (this.waiting && this.waiting.length > MAX_WAITING) this.stream.restart();
    if (events.length > 0) this.apply(events);
  }

  private control(event: string, data: Record<string, unknown>): void {
    switch (event) {
      case "snapshot":
        this.position = Number(data["seq"] ?? data["head"] ?? 0);
        void this.reload();
        break;
      case "reset":
        this.position = Number(data["seq"] ?? 0);
        void this.reload();
        break;
      case "degraded":
        this.degraded = data["degraded"] === false ? undefined : String(data["reason"] ?? "");
        if (this.sight.loaded) this.show({ connection: this.open() });
        break;
      case "stream-error":
        if (data["retryable"] === false) this.stream.restart();
        break;
    }
  }

  /** Reads everything, then applies what came meanwhile. A newer load makes this one void. */
  private async reload(): Promise<void> {
    const load = ++this.load;
    this.waiting = [];
    for (let failures = 0; ; failures++) {
      try {
        const world = await readWorld(this.sight.world, this.position);
        if (load !== this.load || this.stopped) return;
        const waited = this.waiting ?? [];
        this.waiting = undefined;
        this.sight = { ...this.sight, world, loaded: true, connection: this.open() };
        this.apply(waited);
        return;
      } catch {
        if (load !== this.load || this.stopped) return;
        await pause(Math.min(10_000, 500 * 2 ** failures));
      }
    }
  }

  private apply(events: Envelope[]): void {
    let world = this.sight.world;
    for (const event of events) world = reduce(world, event, this.stale);
    this.show({ world });
    if (this.stale.size > 0) void this.reread();
  }

  private async reread(): Promise<void> {
    if (this.rereading) return;
    this.rereading = true;
    try {
      while (this.stale.size > 0 && !this.stopped) {
        const stale = [...this.stale];
        this.stale.clear();
        await Promise.allSettled(stale.map((one) => this.readAgain(one)));
        await pause(REREAD_MS);
      }
    } finally {
      this.rereading = false;
    }
  }

  private async readAgain(stale: Stale): Promise<void> {
    if (stale === "attackers") {
      const rows = await api.attackers();
      this.change((world) => ({ ...world, attackers: new Map([...world.attackers, ...byId("attacker_id", rows)]) }));
    } else if (stale === "identities") {
      const rows = await api.identities();
      this.change((world) => ({ ...world, identities: byId("identity_id", rows) }));
    } else if (stale === "credentials") {
      const rows = await api.credentials();
      this.change((world) => ({ ...world, credentials: byId("credential_id", rows) }));
    } else if (stale === "topologies") {
      const topologies = await readTopologies();
      this.change((world) => topologies.reduce(withTopology, world));
    } else {
      const topology = await api.topology(stale.slice("topology:".length));
      this.change((world) => withTopology(world, topology));
    }
  }

  /** Events may have come while something was read: only the world of this moment is changed. */
  private change(change: (world: World) => World): void {
    this.show({ world: change(this.sight.world) });
  }

  private open(): Connection {
    return this.degraded === undefined ? { state: "live" } : { state: "degraded", detail: this.degraded };
  }

  private show(change: Partial<Sight>): void {
    this.sight = { ...this.sight, ...change };
    for (const watcher of this.watchers) watcher();
  }
}

async function readTopologies(): Promise<Topology[]> {
  const list = await api.topologies();
  return Promise.all(list.slice(0, MAX_TOPOLOGIES).map((topology) => api.topology(topology.topology_id)));
}

/** Everything by REST. What only the stream brings (feed, pulses) is kept from `before`. */
async function readWorld(before: World, seq: number): Promise<World> {
  const [topologies, attackers, identities, credentials, sessions, live] = await Promise.all([
    readTopologies(), api.attackers(), api.identities(), api.credentials(), api.sessions(),
    api.sessions("&live=true"),
  ]);
  const mutations = await Promise.all(topologies.map((topology) => api.mutations(topology.topology_id)));
  const world: World = {
    ...EMPTY,
    seq,
    attackers: byId("attacker_id", attackers),
    identities: byId("identity_id", identities),
    credentials: byId("credential_id", credentials),
    sessions: new Map([...byId("session_id", sessions), ...byId("session_id", live)]),
    activity: before.activity,
    feed: withPast(before.feed, sessions),
    pulses: before.pulses,
    names: before.names,
  };
  const oldestFirst = mutations.flat().sort((a, b) => (a.mutation_id < b.mutation_id ? -1 : 1));
  return oldestFirst.reduce(putMutation, topologies.reduce(withTopology, world));
}

/** Sessions as read; one that is known to have ended stays as it is. */
function withSessions(known: World["sessions"], read: Session[]): World["sessions"] {
  const sessions = new Map(known);
  for (const session of read) {
    if (!sessions.get(session.session_id)?.ended_at) sessions.set(session.session_id, session);
  }
  return sessions;
}

function byId<K extends string, T extends Record<K, string>>(id: K, rows: T[]): Map<string, T> {
  return new Map(rows.map((row) => [row[id], row]));
}

function parse(text: string): Record<string, unknown> | Envelope | undefined {
  try {
    const data: unknown = JSON.parse(text);
    return data !== null && typeof data === "object" ? (data as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isEnvelope(data: Record<string, unknown> | Envelope | undefined): data is Envelope {
  return typeof data?.topic === "string" && typeof data.type === "string" && typeof data.ts === "string";
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

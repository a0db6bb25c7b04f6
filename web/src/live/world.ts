/**
 * What the console knows, and how an event changes it. Pure: a world and an event in, a world
 * out; the same event twice changes nothing. Where an event does not carry enough (a new decky's
 * address, an attacker's counters), it marks what has to be read again; `sync.ts` reads it.
 */

import type {
  Activity, ActivityKind, Attacker, Credential, Decky, Identity, Mutation, MutationState, Session, Topology,
} from "../api/types";
import { isKnown, type Envelope, type Event } from "./events";

export interface Pulse {
  at: string;
  service: string;
  kind: string;
}

export interface World {
  /** Position in the journal up to which this is true. */
  seq: number;
  topologies: ReadonlyMap<string, Topology>;
  /** Newest last. */
  mutations: ReadonlyMap<string, Mutation>;
  attackers: ReadonlyMap<string, Attacker>;
  identities: ReadonlyMap<string, Identity>;
  credentials: ReadonlyMap<string, Credential>;
  sessions: ReadonlyMap<string, Session>;
  /** By session, in order of index. */
  activity: ReadonlyMap<string, readonly Activity[]>;
  /** Newest first. */
  feed: readonly Envelope[];
  /** The latest touch of each decky. */
  pulses: ReadonlyMap<string, Pulse>;
  /** What deckies are called; those that are gone keep their names here. */
  names: ReadonlyMap<string, string>;
}

/** What has to be read again: a list, or one topology as `topology:<id>`. */
export type Stale = `topology:${string}` | "topologies" | "attackers" | "identities" | "credentials";

export const KEEP_FEED = 500;
export const KEEP_SESSIONS = 500;
export const KEEP_ACTIVITY = 5000;
export const KEEP_MUTATIONS = 40;

export const EMPTY: World = {
  seq: 0,
  topologies: new Map(),
  mutations: new Map(),
  attackers: new Map(),
  identities: new Map(),
  credentials: new Map(),
  sessions: new Map(),
  activity: new Map(),
  feed: [],
  pulses: new Map(),
  names: new Map(),
};

/** Applies one event; adds to `stale` what it could not apply by itself. */
export function reduce(world: World, envelope: Envelope, stale: Set<Stale>): World {
  const { seq } = envelope;
  if (typeof seq === "number") {
    if (seq <= world.seq) return world;
    world = { ...world, seq, feed: withFeed(world.feed, envelope) };
  }
  return isKnown(envelope) ? apply(world, envelope, stale) : world;
}

function apply(world: World, event: Event, stale: Set<Stale>): World {
  switch (event.type) {
    case "topology.mutation.enqueued":
    case "topology.mutation.applying":
    case "topology.mutation.failed":
      return withMutation(world, event);
    case "topology.mutation.applied":
      stale.add(`topology:${event.payload.topology_id}`);
      return withMutation(world, event);
    case "topology.status": {
      const { topology_id, status, version, reason } = event.payload;
      stale.add(world.topologies.has(topology_id) ? `topology:${topology_id}` : "topologies");
      return patchTopology(world, topology_id, { status, version, reason: reason ?? null });
    }
    case "decky.state":
      stale.add(`topology:${event.payload.topology_id}`);
      return withDecky(named(world, event.payload), event.payload.topology_id, event.payload.decky_id, (decky) => ({
        ...decky, state: event.payload.state,
      }));
    case "decky.mutation":
      stale.add(`topology:${event.payload.topology_id}`);
      return named(world, event.payload);
    case "decky.traffic":
      return withPulse(world, event.payload.decky_id, {
        at: event.ts, service: event.payload.service, kind: event.payload.kind,
      });
    case "attacker.observed":
      stale.add("attackers");
      return withAttacker(world, event.payload.attacker_id, {
        address: event.payload.address,
        first_seen: event.payload.first_seen,
        last_seen: event.payload.first_seen,
        ...(event.payload.identity_id ? { identity_id: event.payload.identity_id } : {}),
      });
    case "attacker.scored": {
      const { attacker_id, score, level, reasons } = event.payload;
      stale.add("attackers");
      stale.add("identities");
      return withAttacker(world, attacker_id, { score, level, reasons });
    }
    case "attacker.fingerprinted":
      stale.add("attackers");
      return world;
    case "attacker.session.started":
      return sessionStarted(world, event, stale);
    case "attacker.session.activity":
      return sessionActivity(world, event, stale);
    case "attacker.session.ended":
      return sessionEnded(world, event, stale);
    case "credential.captured":
      stale.add("credentials");
      return world;
    case "identity.formed":
    case "identity.observation.linked":
      stale.add("identities");
      stale.add("attackers");
      return world;
  }
}

function sessionStarted(
  world: World, event: Extract<Event, { type: "attacker.session.started" }>, stale: Set<Stale>,
): World {
  const { session_id, attacker_id, decky_id, topology_id, service, peer, started_at } = event.payload;
  stale.add("attackers");
  const pulsed = withPulse(world, decky_id, { at: event.ts, service, kind: "started" });
  if (world.sessions.has(session_id)) return pulsed;
  const session: Session = {
    session_id, attacker_id, decky_id, topology_id, service, peer, started_at,
    ended_at: null, bytes_in: 0, bytes_out: 0, logins: 0, commands: 0, requests: 0, uploads: 0,
    truncated: null,
  };
  return { ...pulsed, ...keepSessions(put(world.sessions, session_id, session), world.activity) };
}

function sessionActivity(
  world: World, event: Extract<Event, { type: "attacker.session.activity" }>, stale: Set<Stale>,
): World {
  const { session_id, decky_id, index, kind, text } = event.payload;
  stale.add("attackers");
  const session = world.sessions.get(session_id);
  const service = session?.service ?? "";
  const pulsed = withPulse(world, decky_id, { at: event.ts, service, kind });
  const before = world.activity.get(session_id) ?? [];
  const after = mergeActivity(before, [{ index, at: event.ts, kind, text }]);
  if (after === before) return pulsed;
  const sessions = session && !session.ended_at
    ? put(world.sessions, session_id, counted(session, kind, after))
    : world.sessions;
  return { ...pulsed, sessions, activity: put(world.activity, session_id, after) };
}

const COUNTER = { login: "logins", command: "commands", request: "requests", upload: "uploads" } as const;

/** A session read by REST may have counted this activity already: at least what is held. */
function counted(session: Session, kind: ActivityKind, held: readonly Activity[]): Session {
  const counter = COUNTER[kind];
  const known = held.filter((activity) => activity.kind === kind).length;
  return known > session[counter] ? { ...session, [counter]: known } : session;
}

function sessionEnded(
  world: World, event: Extract<Event, { type: "attacker.session.ended" }>, stale: Set<Stale>,
): World {
  const { session_id } = event.payload;
  stale.add("attackers");
  const before = world.sessions.get(session_id);
  const session: Session = {
    peer: world.attackers.get(event.payload.attacker_id)?.address ?? "",
    uploads: 0,
    ...before,
    ...event.payload,
    truncated: event.payload.truncated ?? null,
  };
  return { ...world, ...keepSessions(put(world.sessions, session_id, session), world.activity) };
}

/** Both lists as one, by index; the first argument itself where nothing is new. */
export function mergeActivity(
  known: readonly Activity[], more: readonly Activity[],
): readonly Activity[] {
  const seen = new Set(known.map((activity) => activity.index));
  const fresh = more.filter((activity) => !seen.has(activity.index));
  if (fresh.length === 0) return known;
  return [...known, ...fresh].sort((a, b) => a.index - b.index).slice(-KEEP_ACTIVITY);
}

/** A topology as read; an older version than the known one is a late answer and is dropped. */
export function withTopology(world: World, topology: Topology): World {
  const known = world.topologies.get(topology.topology_id);
  if (known && known.version > topology.version) return world;
  const names = new Map(world.names);
  for (const decky of topology.deckies) names.set(decky.decky_id, decky.name);
  return { ...world, topologies: put(world.topologies, topology.topology_id, topology), names };
}

function named(world: World, decky: { decky_id: string; name: string }): World {
  if (world.names.get(decky.decky_id) === decky.name) return world;
  return { ...world, names: put(world.names, decky.decky_id, decky.name) };
}

/** A mutation as read or announced: its state only moves forward. */
export function putMutation(world: World, mutation: Mutation): World {
  const order: Record<MutationState, number> = { pending: 0, applying: 1, applied: 2, failed: 2 };
  const known = world.mutations.get(mutation.mutation_id);
  if (known && order[known.state] > order[mutation.state]) return world;
  const mutations = new Map(put(world.mutations, mutation.mutation_id, { ...known, ...mutation }));
  for (const [id, old] of mutations) {
    if (mutations.size <= KEEP_MUTATIONS) break;
    if (order[old.state] === 2) mutations.delete(id);
  }
  return { ...world, mutations };
}

function withMutation(world: World, event: Event & { type: `topology.mutation.${string}` }): World {
  const { mutation_id, topology_id, op, payload, state, requested_by, reason } = event.payload;
  const known = world.mutations.get(mutation_id);
  return putMutation(world, {
    mutation_id, topology_id, op, payload, state, requested_by,
    requested_at: known?.requested_at ?? event.ts,
    reason: reason ?? null,
  });
}

function withDecky(
  world: World, topologyId: string, deckyId: string, change: (decky: Decky) => Decky,
): World {
  const topology = world.topologies.get(topologyId);
  if (!topology) return world;
  const deckies = topology.deckies.map((decky) => (decky.decky_id === deckyId ? change(decky) : decky));
  return { ...world, topologies: put(world.topologies, topologyId, { ...topology, deckies }) };
}

function withAttacker(world: World, id: string, facts: Partial<Attacker>): World {
  const unknown: Attacker = {
    attacker_id: id, identity_id: "", address: "", first_seen: "", last_seen: "", score: 0, level: "low", reasons: [],
    sessions: 0, logins: 0, logins_accepted: 0, commands: 0, requests: 0, uploads: 0,
    deckies: [], services: [], fingerprints: [],
  };
  const attacker = { ...unknown, ...world.attackers.get(id), ...facts };
  return { ...world, attackers: put(world.attackers, id, attacker) };
}

function withPulse(world: World, deckyId: string, pulse: Pulse): World {
  const known = world.pulses.get(deckyId);
  if (known && known.at > pulse.at) return world;
  return { ...world, pulses: put(world.pulses, deckyId, pulse) };
}

/** What makes two entries of the feed the same one, be they read or announced. */
export function feedKey(envelope: Envelope): string {
  const session = (envelope.payload as { session_id?: string } | null)?.session_id;
  const edge = envelope.type === "attacker.session.started" || envelope.type === "attacker.session.ended";
  return edge && session ? `${envelope.type}:${session}` : envelope.id;
}

/** Puts an event where its time says; newest first, without doubles. */
export function withFeed(feed: readonly Envelope[], envelope: Envelope): readonly Envelope[] {
  const key = feedKey(envelope);
  if (feed.some((known) => feedKey(known) === key)) return feed;
  const at = feed.findIndex((known) => known.ts <= envelope.ts);
  const place = at < 0 ? feed.length : at;
  return [...feed.slice(0, place), envelope, ...feed.slice(place)].slice(0, KEEP_FEED);
}

/** The feed's past, told from the sessions that were read: the stream begins only now. */
export function withPast(feed: readonly Envelope[], sessions: Iterable<Session>): readonly Envelope[] {
  const past: Envelope[] = [];
  for (const session of sessions) {
    const id = session.session_id;
    past.push(told(`past:started:${id}`, "attacker.session.started", session.started_at, session));
    if (session.ended_at) {
      past.push(told(`past:ended:${id}`, "attacker.session.ended", session.ended_at, session));
    }
  }
  const known = new Set(feed.map(feedKey));
  const fresh = past.filter((envelope) => !known.has(feedKey(envelope)));
  return [...feed, ...fresh].sort((a, b) => (a.ts < b.ts ? 1 : a.ts > b.ts ? -1 : 0)).slice(0, KEEP_FEED);
}

function told(id: string, type: string, ts: string, payload: unknown): Envelope {
  return { v: 1, id, topic: type, type, ts, payload };
}

/** Forgets the oldest ended sessions past the limit, with their activity. */
function keepSessions(
  sessions: ReadonlyMap<string, Session>, activity: World["activity"],
): Pick<World, "sessions" | "activity"> {
  if (sessions.size <= KEEP_SESSIONS) return { sessions, activity };
  const kept = new Map(sessions);
  const keptActivity = new Map(activity);
  for (const session of [...sessions.values()].sort((a, b) => (a.started_at < b.started_at ? -1 : 1))) {
    if (kept.size <= KEEP_SESSIONS) break;
    if (!session.ended_at) continue;
    kept.delete(session.session_id);
    keptActivity.delete(session.session_id);
  }
  return { sessions: kept, activity: keptActivity };
}

function patchTopology(world: World, id: string, change: Partial<Topology>): World {
  const known = world.topologies.get(id);
  return known ? { ...world, topologies: put(world.topologies, id, { ...known, ...change }) } : world;
}

function put<V>(map: ReadonlyMap<string, V>, key: string, value: V): ReadonlyMap<string, V> {
  return new Map(map).set(key, value);
}

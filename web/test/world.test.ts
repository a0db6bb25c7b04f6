import { describe, expect, it } from "vitest";
import type { Decky, Topology } from "../src/api/types";
import type { Envelope } from "../src/live/events";
import {
  EMPTY, KEEP_FEED, KEEP_SESSIONS, mergeActivity, putMutation, reduce, withFeed, withPast,
  withTopology, type Stale, type World,
} from "../src/live/world";

let seq = 0;
function event(type: string, payload: unknown, at = ++seq): Envelope {
  return { v: 1, seq: at, id: `event-${at}`, topic: type, type, ts: stamp(at), payload };
}

function stamp(at: number): string {
  return new Date(1_790_000_000_000 + at * 1000).toISOString();
}

function play(world: World, ...events: Envelope[]): { world: World; stale: string[] } {
  const stale = new Set<Stale>();
  return { world: events.reduce((before, one) => reduce(before, one, stale), world), stale: [...stale] };
}

const DECKY: Decky = {
  decky_id: "d1", name: "web-01", archetype: "web-server", state: "starting",
  services: [{ service: "http", port: 80 }], interfaces: [{ lan_id: "l1", lan: "dmz", address: "10.66.1.10", forwards_l3: false }], endpoints: [],
  rotate_every_seconds: null, forwards_l3: false, is_stopped: false,
};
const MAZE: Topology = {
  topology_id: "t1", name: "demo", status: "active", version: 3, reason: null, rotate_every_seconds: null, deckies: [DECKY],
  lans: [{ lan_id: "l1", name: "dmz", subnet: "10.66.1.0/24", is_dmz: true }],
};

const ids = { session_id: "s1", attacker_id: "a1", decky_id: "d1", topology_id: "t1" };
const started = () => event("attacker.session.started", { ...ids, service: "ssh", peer: "203.0.113.7:4022", started_at: stamp(0) });
const activity = (index: number, kind: string) => event("attacker.session.activity", { ...ids, index, kind, text: "x" });
const ended = () => event("attacker.session.ended", {
  ...ids, service: "ssh", started_at: stamp(0), ended_at: stamp(9), bytes_in: 5, bytes_out: 6,
  logins: 1, commands: 2, requests: 0, truncated: null,
});
const mutation = (state: string, reason?: string) => event(`topology.mutation.${state === "pending" ? "enqueued" : state}`, {
  topology_id: "t1", mutation_id: "m1", state, op: "rotate_decky", payload: { decky: "web-01" }, version: 3,
  requested_by: "ada", ...(reason ? { reason } : {}),
});

describe("reduce", () => {
  it("follows a session from its start to its end", () => {
    const { world, stale } = play(EMPTY, started(), activity(1, "login"), activity(2, "command"));
    expect(world.sessions.get("s1")).toMatchObject({ logins: 1, commands: 1, ended_at: null, peer: "203.0.113.7:4022" });
    expect(world.activity.get("s1")?.map((one) => one.index)).toEqual([1, 2]);
    expect(world.pulses.get("d1")).toMatchObject({ kind: "command" });
    expect(stale).toEqual(["attackers"]);
    const over = play(world, ended()).world.sessions.get("s1");
    expect(over).toMatchObject({ bytes_in: 5, commands: 2, ended_at: stamp(9), peer: "203.0.113.7:4022" });
  });

  it("applies an event once, however often it comes", () => {
    const one = started();
    const { world } = play(EMPTY, one);
    expect(play(world, one).world).toBe(world);
  });

  it("does not count again what a session read by REST has counted", () => {
    const { world } = play(EMPTY, started());
    const session = { ...world.sessions.get("s1")!, logins: 3 };
    const read = { ...world, sessions: new Map([["s1", session]]) };
    expect(play(read, activity(3, "login")).world.sessions.get("s1")?.logins).toBe(3);
  });

  it("moves a mutation forward only", () => {
    const [pending, applying, applied] = [mutation("pending"), mutation("applying"), mutation("applied")];
    const { world, stale } = play(EMPTY, pending, applying, applied);
    expect(world.mutations.get("m1")).toMatchObject({ state: "applied", requested_at: pending.ts });
    expect(stale).toEqual(["topology:t1"]);
    const late = putMutation(world, { ...world.mutations.get("m1")!, state: "pending" });
    expect(late.mutations.get("m1")?.state).toBe("applied");
  });

  it("keeps the reason of a mutation that failed", () => {
    expect(play(EMPTY, mutation("failed", "address in use")).world.mutations.get("m1"))
      .toMatchObject({ state: "failed", reason: "address in use" });
  });

  it("shows a decky's state at once and reads the rest again", () => {
    const { world, stale } = play(withTopology(EMPTY, MAZE), event("decky.state", {
      decky_id: "d1", topology_id: "t1", name: "web-01", from: "starting", state: "running", services: ["http"],
    }));
    expect(world.topologies.get("t1")?.deckies[0]?.state).toBe("running");
    expect(stale).toEqual(["topology:t1"]);
  });

  it("remembers the name of a decky that is gone", () => {
    const { world } = play(EMPTY, event("decky.mutation", {
      decky_id: "d9", topology_id: "t1", name: "old", old_services: ["ssh"], new_services: [], trigger: "retirement",
    }));
    expect(world.names.get("d9")).toBe("old");
  });

  it("pulses on traffic, which is not journalled and not in the feed", () => {
    const traffic = event("decky.traffic", { decky_id: "d1", service: "ssh", kind: "login", summary: "" });
    const { world } = play({ ...EMPTY, seq: 7 }, { ...traffic, seq: null });
    expect(world.pulses.get("d1")?.service).toBe("ssh");
    expect(world.feed).toEqual([]);
  });

  it("learns of attackers from what is seen and scored", () => {
    const { world } = play(EMPTY,
      event("attacker.observed", { attacker_id: "a1", address: "203.0.113.7", decky_id: "d1", service: "ssh", first_seen: stamp(0) }),
      event("attacker.scored", { attacker_id: "a1", score: 55, previous: 10, level: "high", reasons: ["tries passwords"] }));
    expect(world.attackers.get("a1")).toMatchObject({ address: "203.0.113.7", score: 55, reasons: ["tries passwords"] });
  });

  it("lets unknown families pass into the feed", () => {
    const { world } = play(EMPTY, event("campaign.formed", { anything: true }), event("toString", null));
    expect(world.feed).toHaveLength(2);
  });
});

describe("topologies as read", () => {
  it("drops an answer that is older than what is known", () => {
    const world = withTopology(EMPTY, MAZE);
    expect(withTopology(world, { ...MAZE, version: 2 })).toBe(world);
    expect(withTopology(world, { ...MAZE, version: 4 }).topologies.get("t1")?.version).toBe(4);
  });
});

describe("the feed", () => {
  it("is newest first and bounded", () => {
    const events = Array.from({ length: KEEP_FEED + 5 }, () => event("topology.status", { topology_id: "t1", status: "active", version: 1 }));
    const { feed } = play(EMPTY, ...events).world;
    expect(feed).toHaveLength(KEEP_FEED);
    expect(feed[0]?.id).toBe(events.at(-1)?.id);
  });

  it("tells the past from the sessions, once", () => {
    const { world } = play(EMPTY, started(), ended());
    const session = world.sessions.get("s1")!;
    const older = { ...session, session_id: "s0", started_at: stamp(-9), ended_at: stamp(-8) };
    const feed = withPast(world.feed, [session, older]);
    expect(feed.map((one) => `${one.type} ${(one.payload as { session_id: string }).session_id}`)).toEqual([
      "attacker.session.ended s1", "attacker.session.started s1",
      "attacker.session.ended s0", "attacker.session.started s0",
    ]);
    expect(withPast(feed, [session, older])).toHaveLength(4);
    expect(withFeed(feed, feed[3]!)).toBe(feed);
  });
});

describe("bounds", () => {
  it("forgets the oldest sessions that have ended, never a live one", () => {
    const many = Array.from({ length: KEEP_SESSIONS + 3 }, (_, index) => event("attacker.session.started", {
      ...ids, session_id: `s${index}`, service: "ssh", peer: "", started_at: stamp(index),
    }));
    const all = play(EMPTY, ...many).world;
    expect(all.sessions.size).toBe(KEEP_SESSIONS + 3);
    const end = { ...ended() };
    const after = play(all, { ...end, payload: { ...(end.payload as object), session_id: "s0", started_at: stamp(0) } }).world;
    expect(after.sessions.has("s0")).toBe(false);
    expect(after.sessions.has("s1")).toBe(true);
  });

  it("merges activity by index", () => {
    const one = (index: number) => ({ index, at: "", kind: "command" as const, text: "" });
    expect(mergeActivity([one(2)], [one(1), one(2)]).map((a) => a.index)).toEqual([1, 2]);
  });
});

import { describe, expect, it } from "vitest";
import type { Service } from "../src/api/types";
import { describe as describeChange, plain, tell } from "../src/format/story";
import {
  ago, bytes, count, duration, every, figures, host, switchedOff, visible, visitCommand, words,
} from "../src/format/words";
import { EMPTY } from "../src/live/world";
import { inOrder, layout } from "../src/view/maze/layout";
import { checkName } from "../src/view/maze/ops";
import { parseRoute } from "../src/view/route";

describe("words", () => {
  it("says durations and ages in two units at most", () => {
    const at = (ms: number) => new Date(ms).toISOString();
    expect(duration(at(0), at(850))).toBe("850 ms");
    expect(duration(at(0), at(12_400))).toBe("12 s");
    expect(duration(at(0), at(200_000))).toBe("3 min 20 s");
    expect(duration(at(0), at(7_200_000))).toBe("2 h");
    expect(duration(at(9), at(0))).toBe("0 ms");
    expect(ago(at(0), 5_000)).toBe("just now");
    expect(ago(at(0), 240_000)).toBe("4 min ago");
    expect(ago("never", 0)).toBe("");
    expect([every(300), every(86_400)]).toEqual(["every 5 min", "every 24 h"]);
  });

  it("says sizes and counts", () => {
    expect([bytes(512), bytes(1536), bytes(3 << 20)]).toEqual(["512 B", "1.5 KiB", "3.0 MiB"]);
    expect([count(1, "login"), count(2, "decky", "deckies")]).toEqual(["1 login", "2 deckies"]);
    expect(words("tearing_down")).toBe("tearing down");
  });

  it("says what was counted and leaves out what was not", () => {
    expect(figures({ applied_total: 3, failed_total: 0, live_sessions: 1 })).toBe("applied 3, live sessions 1");
    expect(figures({})).toBe("");
  });

  it("says what the kill switch did", () => {
    const off = (decky_count: number) => ({ topology_id: "t", name: "n", from: "active", status: "pending", decky_count } as const);
    const said = (...topologies: ReturnType<typeof off>[]) => switchedOff({ topologies, left: [], down_after_micros: 86_200 });
    expect(said(off(6))).toBe("1 maze with 6 deckies is off the network after 87 ms.");
    expect(said(off(0), off(1))).toBe("2 mazes with 1 decky are off the network after 87 ms.");
    expect(said()).toBe("No maze was on the network.");
    expect(switchedOff({ topologies: [], left: ["x"], down_after_micros: 1 })).toContain("0 mazes");
  });

  it("takes the address out of a peer", () => {
    expect(host("203.0.113.7:4022")).toBe("203.0.113.7");
    expect(host("[2001:db8::1]:4022")).toBe("2001:db8::1");
    expect(host("odd")).toBe("odd");
  });

  it("gives a command for every service", () => {
    const command = (service: string, port: number) => visitCommand({ service: service as Service, listening: `127.66.1.10:${port}` });
    expect(command("ssh", 20022)).toBe("ssh -p 20022 root@127.66.1.10");
    expect(command("ssh", 22)).toBe("ssh root@127.66.1.10");
    expect(command("http", 20080)).toBe("curl http://127.66.1.10:20080/");
    expect(command("http", 80)).toBe("curl http://127.66.1.10/");
    expect(command("ftp", 20021)).toBe("curl ftp://127.66.1.10:20021/");
    expect(command("redis", 26379)).toBe("redis-cli -h 127.66.1.10 -p 26379");
    expect(command("snmp", 161)).toBe("snmpwalk -v 2c -c public 127.66.1.10");
    expect(command("snmp", 20161)).toBe("snmpwalk -v 2c -c public 127.66.1.10:20161");
    expect(command("smtp", 25)).toBe("nc 127.66.1.10 25");
  });

  it("shows what would hide or reorder text", () => {
    expect(visible("a\u202eb\u0007\u200bc\nd é 漢")).toBe("a\\u{202e}b\\u{7}\\u{200b}c\\u{a}d é 漢");
  });
});

describe("stories", () => {
  const say = (type: string, payload: unknown) =>
    tell({ v: 1, seq: 1, id: "e", topic: type, type, ts: "2026-11-21T10:00:00Z", payload }, {
      ...EMPTY,
      names: new Map([["d1", "web-01"]]),
    });
  const sentence = (type: string, payload: unknown) => plain(say(type, payload).pieces);
  const ids = { session_id: "s1", attacker_id: "a1", decky_id: "d1" };

  it("are sentences", () => {
    expect(sentence("attacker.session.started", { ...ids, service: "redis" })).toBe("Somebody opened a redis session on web-01");
    expect(sentence("attacker.session.activity", { ...ids, kind: "command", text: "uname -a" })).toBe("Somebody ran uname -a on web-01");
    expect(sentence("attacker.session.activity", { ...ids, kind: "login", text: "login root with password ******: refused" }))
      .toBe("Somebody tried to log in: root with password ******: refused on web-01");
    expect(sentence("attacker.session.activity", { ...ids, kind: "login", text: "login root with password ******: accepted" }))
      .toBe("Somebody got in: root with password ******: accepted on web-01");
    expect(sentence("attacker.session.activity", { ...ids, kind: "command", text: "command ls" })).toContain("ran command ls");
    expect(sentence("decky.mutation", { name: "web-01", old_services: ["http", "ssh"], new_services: ["ftp", "ssh"], trigger: "scheduled" }))
      .toBe("web-01 now answers on ftp, ssh, no longer on http (rotated on schedule)");
    expect(sentence("topology.mutation.failed", { op: "add_decky", payload: { name: "x", lan: "dmz" }, reason: "no address is free" }))
      .toBe("Failed: add decky x to dmz: no address is free");
    expect(sentence("campaign.formed", {})).toBe("campaign.formed");
  });

  it("keep a visitor's text apart from ours", () => {
    const { pieces } = say("attacker.session.activity", { ...ids, kind: "request", text: "<img src=x>\u202e" });
    expect(pieces).toContainEqual({ code: "<img src=x>\\u{202e}" });
  });

  it("say how much they matter", () => {
    expect(say("attacker.scored", { ...ids, level: "critical", score: 90, previous: 10, reasons: [] }).severity).toBe("danger");
    expect(say("topology.status", { status: "degraded" }).severity).toBe("danger");
    expect(say("decky.state", { name: "x", state: "running" }).severity).toBe("quiet");
  });
});

describe("changes in words", () => {
  it.each([
    ["attach_decky", { decky: "web-01", lan: "office" }, "attach decky web-01 to office"],
    ["detach_decky", { decky: "web-01", lan: "office" }, "detach decky web-01 from office"],
    ["update_lan", { name: "lab", patch: { name: "den" } }, "change LAN lab"],
    ["stop_decky", { decky: "web-01" }, "stop decky web-01"],
    ["update_topology", { rotate_every_seconds: 60 }, "change the rotation of the maze"],
    ["batch", { ops: [{}, {}] }, "2 changes together"],
    ["undo", { mutations: ["m1"], ops: [] }, "take back the last change"],
    ["undo", { mutations: ["m1", "m2"], ops: [] }, "take back the last 2 changes"],
    ["of_tomorrow", {}, "of tomorrow"],
  ])("%s", (op, payload, said) => expect(describeChange({ op, payload })).toBe(said));
});

describe("the maze's layout", () => {
  const decky = (id: string, ...lans: string[]) => ({
    decky_id: id, name: id, archetype: "linux-server" as const, rotate_every_seconds: null, forwards_l3: false, is_stopped: false, state: "running" as const, services: [], endpoints: [],
    interfaces: lans.map((lan) => ({ lan_id: lan, lan, address: "", forwards_l3: false })),
  });
  const lan = (id: string, is_dmz = false) => ({ lan_id: id, name: id, subnet: "", is_dmz });

  it("goes from the outside to the inside", () => {
    const columns = layout({
      topology_id: "t", name: "t", status: "active", version: 1, reason: null, rotate_every_seconds: null,
      lans: [lan("apart"), lan("inner"), lan("office"), lan("outer", true)],
      deckies: [decky("a", "outer", "office"), decky("b", "office", "inner"), decky("c", "apart")],
    });
    expect(columns.map((zones) => zones.map((zone) => zone.lan.lan_id))).toEqual([["outer"], ["office"], ["inner"], ["apart"]]);
    expect(columns[1]?.[0]?.visitors.map((one) => one.decky.decky_id)).toEqual(["a"]);
  });

  it("puts LANs in the order of their subnets, after the DMZ", () => {
    const at = (subnet: string, is_dmz = false) => ({ ...lan(subnet, is_dmz), subnet });
    expect(inOrder([at("10.66.10.0/24"), at("10.66.9.0/24"), at("10.66.11.0/24", true)]).map((one) => one.subnet))
      .toEqual(["10.66.11.0/24", "10.66.9.0/24", "10.66.10.0/24"]);
  });

  it("is nothing where there are no LANs", () => {
    expect(layout({ topology_id: "t", name: "t", status: "pending", version: 1, reason: null, rotate_every_seconds: null, lans: [], deckies: [] })).toEqual([]);
  });
});

describe("names and routes", () => {
  it("checks names as the server does", () => {
    expect(checkName("web-02")).toBeUndefined();
    for (const wrong of ["", "Web", "a b", "-a", "a-", "x".repeat(64)]) expect(checkName(wrong)).toBeTruthy();
  });

  it("reads routes and falls back to the maze", () => {
    expect(parseRoute("#/sessions/s%2F1")).toEqual({ page: "sessions", id: "s/1" });
    expect(parseRoute("#/constructor")).toEqual({ page: "maze", id: undefined });
    expect(parseRoute("")).toEqual({ page: "maze", id: undefined });
    expect(parseRoute("#/feed/%")).toEqual({ page: "feed", id: "%" });
  });
});

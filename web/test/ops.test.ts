import { describe, expect, it } from "vitest";
import { Problem } from "../src/api/client";
import type { AppliedMutation, Decky, Lan, Topology } from "../src/api/types";
import {
  addDecky, addLan, attachDecky, blueprint, interval, isRemovable, lastAsked, sameDecky, sameLan, updateDecky, updateLan,
  updateTopology,
} from "../src/view/maze/ops";

function form(fields: Record<string, string | string[]>): FormData {
  const form = new FormData();
  for (const [name, values] of Object.entries(fields)) {
    for (const value of [values].flat()) form.append(name, value);
  }
  return form;
}

/** What the function refuses with: its field, or its message where it is about no field. */
function refused(make: () => unknown): string | undefined {
  try {
    make();
    return undefined;
  } catch (error) {
    const problem = error as Problem;
    return problem.fields[0]?.field ?? problem.message;
  }
}

const LAN: Lan = { lan_id: "l1", name: "dmz", subnet: "10.66.1.0/24", is_dmz: true };
const DECKY: Decky = {
  decky_id: "d1", name: "web-01", archetype: "web-server", state: "running", endpoints: [], forwards_l3: false, is_stopped: false,
  services: [{ service: "http", port: 80 }, { service: "ssh", port: 22 }], rotate_every_seconds: 3600,
  interfaces: [
    { lan_id: "l1", lan: "dmz", address: "10.66.1.10", forwards_l3: false },
    { lan_id: "l2", lan: "office", address: "10.66.2.10", forwards_l3: false },
  ],
};
const MAZE: Topology = {
  topology_id: "t1", name: "demo", status: "active", version: 3, reason: null, rotate_every_seconds: 60,
  lans: [LAN, { ...LAN, lan_id: "l2", name: "office", is_dmz: false }], deckies: [DECKY],
};
/** The form of the decky as it opens. */
const same = { archetype: "web-server", service: ["ssh", "http"], rotate: "1 h" };
const NOTHING = "Nothing is different from what it is now.";

describe("intervals", () => {
  it("are typed in the largest unit that fits", () => {
    expect([null, 0, 90, 900, 7200, 86_400].map(interval)).toEqual(["", "", "90 s", "15 min", "2 h", "1 d"]);
  });

  it.each([["", 0], ["never", 0], ["0", 0], ["45", 45], ["90s", 90], ["15 min", 900], ["2 h", 7200], ["1 d", 86_400]])(
    "%j is read", (rotate, seconds) => {
      expect(updateTopology(MAZE, form({ rotate }))).toEqual({ op: "update_topology", payload: { rotate_every_seconds: seconds } });
    });

  it.each(["often", "5 y", "-3 s", "1.5 h", "1 h 5 min"])("%j is refused at its field", (rotate) => {
    expect(refused(() => updateTopology(MAZE, form({ rotate })))).toBe("rotate_every_seconds");
  });
});

describe("LANs", () => {
  it("are added with what was filled in", () => {
    expect(addLan(form({ name: " lab ", subnet: "" }))).toEqual({ op: "add_lan", payload: { name: "lab", is_dmz: false } });
    expect(addLan(form({ name: "lab", subnet: "10.1.0.0/24", is_dmz: "on" })))
      .toEqual({ op: "add_lan", payload: { name: "lab", subnet: "10.1.0.0/24", is_dmz: true } });
    expect(refused(() => addLan(form({ name: "No Name" })))).toBe("name");
  });

  it("are changed where they differ", () => {
    const patch = (fields: Record<string, string>, live = false) =>
      updateLan(LAN, form({ name: "dmz", subnet: LAN.subnet, is_dmz: "on", ...fields }), live);
    expect(patch({ name: "den" })).toEqual({ op: "update_lan", payload: { name: "dmz", patch: { name: "den" } } });
    expect(patch({ subnet: "10.1.0.0/24" }).payload).toEqual({ name: "dmz", patch: { subnet: "10.1.0.0/24" } });
    expect(updateLan(LAN, form({ name: "dmz", subnet: "" }), false).payload).toEqual({ name: "dmz", patch: { is_dmz: false } });
    expect(refused(() => patch({}))).toBe(NOTHING);
  });

  it("keep what a live form has no fields for", () => {
    expect(updateLan(LAN, form({ name: "den" }), true).payload).toEqual({ name: "dmz", patch: { name: "den" } });
    expect(refused(() => updateLan(LAN, form({ name: "dmz" }), true))).toBe(NOTHING);
  });

  it("can go where nobody lives, though some visit", () => {
    expect(MAZE.lans.map((lan) => isRemovable(MAZE, lan))).toEqual([false, true]);
  });
});

describe("deckies", () => {
  it("are added with what was filled in", () => {
    const fields = { name: "ops", lan: "dmz", archetype: "devops-host", service: ["ssh", "redis"], ip: "", rotate: "" };
    expect(addDecky(form(fields)).payload)
      .toEqual({ name: "ops", lan: "dmz", archetype: "devops-host", services: ["ssh", "redis"], forwards_l3: false });
    expect(addDecky(form({ ...fields, ip: "10.66.1.9", rotate: "5 min", forwards_l3: "on" })).payload)
      .toMatchObject({ ip: "10.66.1.9", rotate_every_seconds: 300, forwards_l3: true });
  });

  it("are changed where they differ", () => {
    const change = (fields: Record<string, string | string[]>) => updateDecky(DECKY, form({ ...same, ...fields })).payload;
    expect(refused(() => change({}))).toBe(NOTHING);
    expect(refused(() => change({ force: "on" }))).toBe(NOTHING);
    expect(change({ service: ["http"] })).toEqual({ decky: "web-01", services: ["http"] });
    expect(change({ rotate: "" })).toEqual({ decky: "web-01", rotate_every_seconds: 0 });
    expect(change({ forwards_l3: "on" })).toEqual({ decky: "web-01", patch: { forwards_l3: true } });
    expect(change({ archetype: "linux-server", force: "on" }))
      .toEqual({ decky: "web-01", patch: { archetype: "linux-server" }, force: true });
  });

  it("leave it to the server that one without services is none", () => {
    expect(updateDecky(DECKY, form({ ...same, service: [] })).payload).toEqual({ decky: "web-01", services: [] });
  });

  it("are attached by name", () => {
    expect(attachDecky(DECKY, form({ lan: "lab", ip: "" })).payload).toEqual({ decky: "web-01", lan: "lab", forwards_l3: false });
    expect(attachDecky(DECKY, form({ lan: "lab", ip: "10.66.3.9", forwards_l3: "on" })).payload)
      .toEqual({ decky: "web-01", lan: "lab", ip: "10.66.3.9", forwards_l3: true });
  });
});

describe("a form that stands open", () => {
  it("is outdated by an edit, not by what merely happens", () => {
    const reordered = [...DECKY.services].reverse();
    expect(sameDecky(DECKY, { ...DECKY, state: "degraded", services: reordered })).toBe(true);
    for (const edit of [{ services: [] }, { rotate_every_seconds: null }, { forwards_l3: true }, { archetype: "linux-server" as const }]) {
      expect(sameDecky(DECKY, { ...DECKY, ...edit })).toBe(false);
    }
    expect(sameLan(LAN, { ...LAN })).toBe(true);
    expect(sameLan(LAN, { ...LAN, name: "den" })).toBe(false);
  });
});

describe("generated mazes", () => {
  it("leave to the server what is left empty", () => {
    expect(blueprint(form({ name: "big", seed: "7", depth: "3", branching: "", deckies_max: "4" })))
      .toEqual({ name: "big", seed: 7, depth: 3, deckies_max: 4 });
  });

  it.each(["x", "-1", "1.5", "9007199254740993"])("refuse %j for a number", (seed) => {
    expect(refused(() => blueprint(form({ name: "big", seed })))).toBe("seed");
  });
});

describe("the last change", () => {
  const mutation = (mutation_id: string, rest: Partial<AppliedMutation> = {}): AppliedMutation => ({
    mutation_id, topology_id: "t1", op: "rotate_decky", payload: {}, state: "applied", requested_by: "ada", requested_at: "",
    reason: null, trigger: "operator", undone_by: null, ...rest,
  });

  it("is the newest that somebody asked for and nobody took back", () => {
    const [undo, undone, scheduled] = [
      mutation("m5", { op: "undo" }), mutation("m4", { undone_by: "m5" }), mutation("m3", { trigger: "scheduled" }),
    ];
    expect(lastAsked([undo, undone, scheduled, mutation("m2"), mutation("m1")])?.mutation_id).toBe("m2");
    expect(lastAsked([undo, undone, scheduled])).toBeUndefined();
  });
});

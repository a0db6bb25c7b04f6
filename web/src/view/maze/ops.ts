/**
 * What a form says, as an operation of the API. Pure. Refuses here only what cannot be sent: no
 * name, no interval, nothing changed; everything else is for the server to judge.
 */

import { Problem } from "../../api/client";
import type {
  AppliedMutation, Archetype, Blueprint, Decky, Lan, Op, Service, Topology, TopologyStatus,
} from "../../api/types";

export const NAME_HINT = "Lower-case letters, digits and hyphens.";
export const INTERVAL_HINT = "Such as 90 s, 15 min, 2 h or 1 d.";

/** A name as crates/model/src/name.rs wants it; said here to spare a round trip. */
export function checkName(name: string): string | undefined {
  if (name === "") return "A name is needed.";
  if (name.length > 63) return "At most 63 characters.";
  if (!/^[a-z0-9-]+$/.test(name)) return NAME_HINT;
  return /^-|-$/.test(name) ? "A name begins and ends with a letter or a digit." : undefined;
}

/** A refusal of this form, in the shape of the server's. */
export function refusal(field: string, message: string): Problem {
  return new Problem(0, { errors: [{ code: "CLIENT", field, message }] });
}

export function nameIn(form: FormData): string {
  const name = textIn(form, "name");
  const message = checkName(name);
  if (message) throw refusal("name", message);
  return name;
}

export function textIn(form: FormData, field: string): string {
  const value = form.get(field);
  return typeof value === "string" ? value.trim() : "";
}

function isTicked(form: FormData, field: string): boolean {
  return form.get(field) === "on";
}

/** The boxes that are ticked; their values are words of the pool. */
function servicesIn(form: FormData): Service[] {
  return form.getAll("service") as Service[];
}

const UNITS: readonly [string, number][] = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

/** Seconds as they are typed: `90 s`, `15 min`, `2 h`; nothing for never. */
export function interval(seconds: number | null): string {
  const [unit, length] = UNITS.find(([, length]) => (seconds ?? 0) % length === 0) ?? ["s", 1];
  return seconds ? `${seconds / length} ${unit}` : "";
}

/** The other way round; 0 is never. */
function intervalIn(form: FormData): number {
  const text = textIn(form, "rotate");
  if (text === "" || text === "never") return 0;
  const [, number, unit = "s"] = /^(\d{1,9})\s*([a-z]+)?$/.exec(text) ?? [];
  const length = UNITS.find(([word]) => word === unit)?.[1];
  if (!number || !length) throw refusal("rotate_every_seconds", INTERVAL_HINT);
  return Number(number) * length;
}

export function addLan(form: FormData): Op {
  const subnet = textIn(form, "subnet");
  const payload = { name: nameIn(form), is_dmz: isTicked(form, "is_dmz") };
  return { op: "add_lan", payload: { ...payload, ...(subnet ? { subnet } : {}) } };
}

/** A live LAN keeps its subnet and its side, so its form has no fields for them. */
export function updateLan(lan: Lan, form: FormData, live: boolean): Op {
  const [name, subnet, is_dmz] = [nameIn(form), textIn(form, "subnet"), isTicked(form, "is_dmz")];
  const patch = {
    ...(name === lan.name ? {} : { name }),
    ...(live || subnet === "" || subnet === lan.subnet ? {} : { subnet }),
    ...(live || is_dmz === lan.is_dmz ? {} : { is_dmz }),
  };
  return { op: "update_lan", payload: { name: lan.name, patch: changed(patch) } };
}

export function addDecky(form: FormData): Op {
  const [ip, rotate_every_seconds] = [textIn(form, "ip"), intervalIn(form)];
  return {
    op: "add_decky",
    payload: {
      name: nameIn(form),
      lan: textIn(form, "lan"),
      archetype: textIn(form, "archetype") as Archetype,
      services: servicesIn(form),
      forwards_l3: isTicked(form, "forwards_l3"),
      ...(ip ? { ip } : {}),
      ...(rotate_every_seconds ? { rotate_every_seconds } : {}),
    },
  };
}

/** Only what differs from `decky`; `force` where the form asks for it. */
export function updateDecky(decky: Decky, form: FormData): Op {
  const [services, rotate] = [servicesIn(form), intervalIn(form)];
  const [archetype, forwards_l3] = [textIn(form, "archetype") as Archetype, isTicked(form, "forwards_l3")];
  const patch = {
    ...(archetype === decky.archetype ? {} : { archetype }),
    ...(forwards_l3 === decky.forwards_l3 ? {} : { forwards_l3 }),
  };
  const change = changed({
    ...(sameSet(services, servicesOf(decky)) ? {} : { services }),
    ...(rotate === (decky.rotate_every_seconds ?? 0) ? {} : { rotate_every_seconds: rotate }),
    ...(Object.keys(patch).length === 0 ? {} : { patch }),
  });
  const force = isTicked(form, "force") ? { force: true } : {};
  return { op: "update_decky", payload: { decky: decky.name, ...change, ...force } };
}

export function attachDecky(decky: Decky, form: FormData): Op {
  const ip = textIn(form, "ip");
  const payload = { decky: decky.name, lan: textIn(form, "lan"), forwards_l3: isTicked(form, "forwards_l3") };
  return { op: "attach_decky", payload: { ...payload, ...(ip ? { ip } : {}) } };
}

export function updateTopology(topology: Topology, form: FormData): Op {
  const rotate_every_seconds = intervalIn(form);
  if (rotate_every_seconds === (topology.rotate_every_seconds ?? 0)) throw nothingNew();
  return { op: "update_topology", payload: { rotate_every_seconds } };
}

const NUMBERS = ["depth", "branching", "deckies_min", "deckies_max", "bridge_forward_percent", "cross_edge_percent"] as const;

/** What is left empty is the server's usual. */
export function blueprint(form: FormData): Blueprint {
  const wanted: Blueprint = { name: nameIn(form), seed: numberIn(form, "seed") ?? 0 };
  for (const field of NUMBERS) {
    const number = numberIn(form, field);
    if (number !== undefined) wanted[field] = number;
  }
  return wanted;
}

function numberIn(form: FormData, field: string): number | undefined {
  const text = textIn(form, field);
  if (text === "") return undefined;
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) throw refusal(field, "A whole number is needed.");
  return number;
}

/** The patch, unless there is nothing in it. */
function changed<T extends object>(patch: T): T {
  if (Object.keys(patch).length === 0) throw nothingNew();
  return patch;
}

function nothingNew(): Problem {
  return new Problem(0, { title: "Nothing is different from what it is now." });
}

export function servicesOf(decky: Decky): Service[] {
  return decky.services.map(({ service }) => service);
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join() === [...b].sort().join();
}

/** Whether nobody has edited the decky between the two; that it starts or answers does not count. */
export function sameDecky(a: Decky, b: Decky): boolean {
  return a.name === b.name && a.archetype === b.archetype && a.forwards_l3 === b.forwards_l3
    && a.rotate_every_seconds === b.rotate_every_seconds && sameSet(servicesOf(a), servicesOf(b));
}

export function sameLan(a: Lan, b: Lan): boolean {
  return a.name === b.name && a.subnet === b.subnet && a.is_dmz === b.is_dmz;
}

/** Whether visitors may see the maze: crates/model/src/state.rs, `is_deployed`. */
export function isLive(status: TopologyStatus): boolean {
  return status === "deploying" || status === "active" || status === "degraded";
}

/** Whether a LAN is nobody's home, so that it can be removed; who visits it is detached. */
export function isRemovable(topology: Topology, lan: Lan): boolean {
  return !topology.deckies.some((decky) => decky.interfaces[0]?.lan_id === lan.lan_id);
}

/** What an undo would take back: the last change that somebody asked for. `newest` comes first. */
export function lastAsked(newest: readonly AppliedMutation[]): AppliedMutation | undefined {
  const byItself = ["scheduled", "behavioural"];
  return newest.find(({ op, trigger, undone_by }) => op !== "undo" && !undone_by && !byItself.includes(trigger));
}

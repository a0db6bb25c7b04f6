/** Turns an event into a sentence for the feed. Pure: the world is only asked for names. */

import type { Envelope } from "../live/events";
import { isKnown, type Event, type MutationEvent } from "../live/events";
import type { World } from "../live/world";
import { bytes, count, duration, host, shortId, visible, words } from "./words";

export type Severity = "quiet" | "info" | "notice" | "warning" | "danger";
export type Family = "intruders" | "network" | "other";

/** A piece of a sentence: plain, a link within the console, or text that a visitor typed. */
export type Piece = string | { to: string; text: string } | { code: string };

export interface Story {
  severity: Severity;
  family: Family;
  pieces: Piece[];
  session?: string;
  attacker?: string;
}

export function tell(envelope: Envelope, world: World): Story {
  if (!isKnown(envelope)) {
    return { severity: "quiet", family: "other", pieces: [envelope.type] };
  }
  return network(envelope, world) ?? intruders(envelope, world);
}

/** The sentence as plain text, for the filter. */
export function plain(pieces: Piece[]): string {
  return pieces
    .map((piece) => (typeof piece === "string" ? piece : "code" in piece ? piece.code : piece.text))
    .join("");
}

function network(event: Event, world: World): Story | undefined {
  const story = (severity: Severity, ...pieces: Piece[]): Story => ({ severity, family: "network", pieces });
  switch (event.type) {
    case "topology.mutation.enqueued":
      return story("quiet", `${event.payload.requested_by} asked: `, describe(event.payload));
    case "topology.mutation.applying":
      return story("quiet", "Applying: ", describe(event.payload));
    case "topology.mutation.applied":
      return story("info", "Applied: ", describe(event.payload));
    case "topology.mutation.failed":
      return story("danger", "Failed: ", describe(event.payload), because(event.payload.reason));
    case "topology.status": {
      const { topology_id, status, reason } = event.payload;
      const severity = status === "failed" || status === "degraded" ? "danger" : "info";
      const name = world.topologies.get(topology_id)?.name ?? "A maze";
      return story(severity, `${name} is ${words(status)}`, because(reason));
    }
    case "decky.state": {
      const { name, state, reason } = event.payload;
      const severity = state === "failed" || state === "degraded" ? "danger" : "quiet";
      return story(severity, `${name} is ${state}`, because(reason));
    }
    case "decky.mutation": {
      const { name, old_services, new_services, trigger } = event.payload;
      const why = TRIGGERS[trigger] ?? trigger;
      if (new_services.length === 0) return story("info", `${name} left the maze (${why})`);
      const gone = old_services.filter((service) => !new_services.includes(service));
      const was = gone.length > 0 ? `, no longer on ${gone.join(", ")}` : "";
      return story("info", `${name} now answers on ${new_services.join(", ")}${was} (${why})`);
    }
    case "decky.traffic":
      return story("quiet", `${decky(world, event.payload.decky_id)}: ${visible(event.payload.summary)}`);
    default:
      return undefined;
  }
}

const TRIGGERS: Record<string, string> = {
  creation: "added",
  scheduled: "rotated on schedule",
  operator: "asked for",
  activity: "by an activity",
  behavioural: "in answer to a visitor",
  retirement: "removed",
};

function intruders(event: Event, world: World): Story {
  const payload = event.payload as { session_id?: string; attacker_id?: string };
  const story = (severity: Severity, ...pieces: Piece[]): Story => ({
    severity, family: "intruders", pieces,
    ...(payload.session_id ? { session: payload.session_id } : {}),
    ...(payload.attacker_id ? { attacker: payload.attacker_id } : {}),
  });
  const who = attacker(world, payload.attacker_id, payload.session_id);
  switch (event.type) {
    case "attacker.observed": {
      const { address, decky_id, service } = event.payload;
      const link = { to: `#/attackers/${event.payload.attacker_id}`, text: address };
      return story("notice", "First sight of ", link, `, by ${service} on ${decky(world, decky_id)}`);
    }
    case "attacker.scored": {
      const { score, previous, level, reasons } = event.payload;
      const severity = level === "critical" || level === "high" ? "danger" : "warning";
      const moved = score >= previous ? "rose" : "fell";
      return story(severity, who, ` ${moved} to ${level} (${score}): ${reasons.join("; ")}`);
    }
    case "attacker.fingerprinted":
      return story("quiet", who, ` showed ${event.payload.kind} `, { code: visible(event.payload.value) });
    case "attacker.session.started": {
      const { session_id, service, decky_id } = event.payload;
      const session = { to: `#/sessions/${session_id}`, text: `${service} session` };
      return story("notice", who, " opened ", article(service), session, ` on ${decky(world, decky_id)}`);
    }
    case "attacker.session.activity": {
      const { kind, text, decky_id } = event.payload;
      const gotIn = kind === "login" && text.endsWith(": accepted");
      const [severity, verb, preposition] = DEEDS[gotIn ? "accepted" : kind] ?? ["notice", kind, "on"];
      return story(severity, who, ` ${verb} `, { code: visible(deed(kind, text)) }, ` ${preposition} ${decky(world, decky_id)}`);
    }
    case "attacker.session.ended": {
      const { session_id, service, decky_id, started_at, ended_at, bytes_in, truncated } = event.payload;
      const session = { to: `#/sessions/${session_id}`, text: `${service} session` };
      const cut = truncated ? `, cut short (${truncated})` : "";
      const lasted = `${duration(started_at, ended_at)}, ${bytes(bytes_in)} in`;
      return story("quiet", who, " ended the ", session, ` on ${decky(world, decky_id)} after ${lasted}${cut}`);
    }
    case "credential.captured": {
      const { kind, principal, decky_id } = event.payload;
      return story("warning", who, ` gave away a ${kind} for `, { code: visible(principal) || "(no name)" }, ` on ${decky(world, decky_id)}`);
    }
    case "identity.formed": {
      const { identity_id, attacker_ids } = event.payload;
      const link = { to: "#/identities", text: `Identity ${shortId(identity_id)}` };
      return story("quiet", link, ` formed from ${count(attacker_ids.length, "address", "addresses")}`);
    }
    case "identity.observation.linked": {
      const { identity_id, reasons } = event.payload;
      const link = { to: "#/identities", text: `identity ${shortId(identity_id)}` };
      return story("notice", who, " belongs to ", link, because(reasons.join("; ")));
    }
    default:
      return story("quiet", event.type);
  }
}

const DEEDS: Record<string, [Severity, string, string]> = {
  login: ["warning", "tried to log in:", "on"],
  accepted: ["danger", "got in:", "on"],
  command: ["warning", "ran", "on"],
  request: ["notice", "requested", "from"],
  upload: ["danger", "left", "on"],
};

/** What was done, without the word for the kind that logins and uploads begin with. */
export function deed(kind: string, text: string): string {
  const named = kind === "login" || kind === "upload";
  return named && text.startsWith(`${kind} `) ? text.slice(kind.length + 1) : text;
}

/** A mutation in words: `add decky web-07 to dmz`. */
export function describe({ op, payload }: Pick<MutationEvent, "op" | "payload">): string {
  const text = (key: string) => (typeof payload[key] === "string" ? visible(String(payload[key])) : "");
  const list = Array.isArray(payload["services"]) ? payload["services"].join(", ") : "";
  switch (op) {
    case "add_lan": return `add LAN ${text("name")}`;
    case "remove_lan": return `remove LAN ${text("name")}`;
    case "add_decky": return `add decky ${text("name")} to ${text("lan")}`;
    case "remove_decky": return `remove decky ${text("decky")}`;
    case "update_lan": return `change LAN ${text("name")}`;
    case "update_decky": return `change decky ${text("decky")}${list ? ` to ${list}` : ""}`;
    case "rotate_decky": return `rotate decky ${text("decky")}${list ? ` to ${list}` : ""}`;
    case "attach_decky": return `attach decky ${text("decky")} to ${text("lan")}`;
    case "detach_decky": return `detach decky ${text("decky")} from ${text("lan")}`;
    case "start_decky": return `start decky ${text("decky")}`;
    case "stop_decky": return `stop decky ${text("decky")}`;
    case "update_topology": return "change the rotation of the maze";
    case "batch": return `${count(lengthOf(payload["ops"]), "change")} together`;
    case "undo": {
      const taken = lengthOf(payload["mutations"]);
      return taken === 1 ? "take back the last change" : `take back the last ${taken} changes`;
    }
    default: return words(op);
  }
}

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

function because(reason: string | null | undefined): string {
  return reason ? `: ${visible(reason)}` : "";
}

function article(service: string): string {
  return service === "redis" ? "a " : "an ";
}

function attacker(world: World, id: string | undefined, session: string | undefined): Piece {
  const peer = session ? world.sessions.get(session)?.peer : undefined;
  const address = (id && world.attackers.get(id)?.address) || (peer && host(peer)) || "Somebody";
  return id ? { to: `#/attackers/${id}`, text: address } : address;
}

/** A decky's name, also of one that is gone. */
export function decky(world: World, id: string): string {
  return world.names.get(id) ?? `a decky that is gone (${shortId(id)})`;
}

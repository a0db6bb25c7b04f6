/**
 * The words of the API as the console uses them. The only file that names what the generated
 * schema calls things; everything else imports from here.
 */

import type { components } from "./schema";

type Schemas = components["schemas"];

export type TopologyStatus = Schemas["TopologyStatus"];
export type DeckyState = Schemas["DeckyState"];
export type MutationState = Schemas["MutationState"];
export type Level = Schemas["ScoreLevel"];
export type Role = Schemas["Role"];
export type ActivityKind = Schemas["ActivityKind"];
export type Service = Schemas["Service"];
export type Archetype = Schemas["Archetype"];
export type Truncation = Schemas["Truncation"];

export type Me = Pick<Schemas["Me"], "name" | "role">;
export type Lan = Omit<Schemas["Lan"], "position">;
export type Endpoint = Schemas["Endpoint"];
export type Decky = Pick<Schemas["Decky"],
  | "decky_id" | "name" | "archetype" | "state" | "services" | "interfaces" | "endpoints"
  | "rotate_every_seconds" | "forwards_l3" | "is_stopped">;
export type TopologySummary = Schemas["TopologySummary"];
export type Topology = Pick<TopologySummary,
  "topology_id" | "name" | "status" | "version" | "reason" | "rotate_every_seconds">
  & { lans: Lan[]; deckies: Decky[] };
export type Attacker = Omit<Schemas["Attacker"], "downloads" | "lans">;
export type Identity = Schemas["Identity"];
export type Credential = Schemas["Credential"];
export type Activity = Schemas["Activity"];
export type Worker = Schemas["Worker"];
export type Relay = Schemas["Relay"];
export type Sink = Schemas["Sink"];
/** What the kill switch did. */
export type Panicked = Pick<Schemas["Panic"], "topologies" | "left" | "down_after_micros">;

/** What events and answers both tell of a mutation. */
export type Mutation = Pick<Schemas["Mutation"],
  "mutation_id" | "topology_id" | "op" | "payload" | "state" | "requested_by" | "requested_at" | "reason">;
/** With what only answers tell. */
export type AppliedMutation = Mutation & Pick<Schemas["Mutation"], "trigger" | "undone_by">;
/** What a change would do. */
export type Plan = Schemas["Plan"];
export type Undo = Schemas["UndoRequest"];
/** A topology that is made from a seed. */
export type Blueprint = Schemas["GenerateTopology"];
/** A topology as a file. */
export type Document = Schemas["TopologyDocument"];
/** What a document is worth. */
export type Verdict = Schemas["Validation"];
/** What events and answers both tell of a session. */
export type Session = Omit<Schemas["Session"], "lan_id">;
export type SessionDetail = Schemas["SessionDetail"];

/** RFC 9457, with the stable code and the field errors of this API; another server may omit all. */
export type ProblemBody = Partial<Schemas["Problem"]>;
export type FieldError = Schemas["FieldError"];

/** An operation on a topology, as it stands in a request. */
export type Op = Schemas["Op"];

/** What an archetype's pool holds: crates/model/src/catalogue.rs. */
export const ARCHETYPES: Readonly<Record<Archetype, readonly Service[]>> = {
  "linux-server": ["ssh", "http", "ftp"],
  "web-server": ["http", "ftp", "ssh"],
  "database-server": ["redis", "ssh"],
  "file-server": ["ftp", "ssh"],
  "devops-host": ["ssh", "http", "redis"],
  "printer": ["snmp", "ftp"],
  "monitoring-node": ["snmp", "ssh"],
};

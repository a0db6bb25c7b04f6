/**
 * The words of the API as the console uses them. The only file that names what the generated
 * schema calls things; everything else imports from here.
 */

export type TopologyStatus =
  | "pending" | "deploying" | "active" | "degraded" | "failed" | "tearing_down" | "torn_down";
export type DeckyState =
  | "planned" | "starting" | "running" | "degraded" | "stopped" | "failed" | "retired";
export type MutationState = "pending" | "applying" | "applied" | "failed";
export type Level = "low" | "medium" | "high" | "critical";
export type Role = "viewer" | "operator" | "admin" | "auditor";
export type ActivityKind = "login" | "command" | "request" | "upload";

export interface Me {
  name: string;
  role: Role;
}

export interface Lan {
  lan_id: string;
  name: string;
  subnet: string;
  is_dmz: boolean;
}

export interface Endpoint {
  lan_id: string;
  service: string;
  /** The port that the persona shows. */
  port: number;
  /** Address and port where it really answers. */
  listening: string;
}

export interface Decky {
  decky_id: string;
  name: string;
  archetype: string;
  state: DeckyState;
  services: { service: string; port: number }[];
  /** The first is on its home LAN. */
  interfaces: { lan_id: string; lan: string; address: string }[];
  endpoints: Endpoint[];
  rotate_every_seconds?: number | null;
}

export interface Topology {
  topology_id: string;
  name: string;
  status: TopologyStatus;
  version: number;
  reason?: string | null;
  lans: Lan[];
  deckies: Decky[];
}

export interface Mutation {
  mutation_id: string;
  topology_id: string;
  op: string;
  payload: Record<string, unknown>;
  state: MutationState;
  requested_by: string;
  requested_at: string;
  reason?: string | null;
}

export interface Attacker {
  attacker_id: string;
  address: string;
  identity_id?: string | null;
  first_seen: string;
  last_seen: string;
  score: number;
  level: Level;
  reasons: string[];
  sessions: number;
  logins: number;
  logins_accepted: number;
  commands: number;
  requests: number;
  uploads: number;
  deckies: string[];
  services: string[];
  fingerprints: string[];
}

export interface Identity {
  identity_id: string;
  formed_at: string;
  last_seen: string;
  attacker_ids: string[];
  score: number;
}

export interface Session {
  session_id: string;
  attacker_id: string;
  decky_id: string;
  topology_id: string;
  service: string;
  peer: string;
  started_at: string;
  ended_at?: string | null;
  bytes_in: number;
  bytes_out: number;
  logins: number;
  commands: number;
  requests: number;
  uploads: number;
  truncated?: string | null;
}

/** A principal with a secret, as tried. */
export interface Credential {
  credential_id: string;
  kind: string;
  principal: string;
  /** Null for everyone but administrators. */
  secret: string | null;
  first_seen: string;
  last_seen: string;
  tries: number;
}

export interface Activity {
  index: number;
  at: string;
  kind: ActivityKind;
  text: string;
}

/** RFC 9457, with the stable code and the field errors of this API. */
export interface ProblemBody {
  type?: string;
  title?: string;
  status?: number;
  detail?: string | null;
  code?: string;
  errors?: { code: string; field: string; message: string }[];
}

/** An operation on a topology, as it stands in a request. */
export interface Op {
  op: string;
  payload: Record<string, unknown>;
}

/** What an archetype's pool holds: crates/model/src/catalogue.rs. */
export const ARCHETYPES: Readonly<Record<string, readonly string[]>> = {
  "linux-server": ["ssh", "http", "ftp"],
  "web-server": ["http", "ftp", "ssh"],
  "database-server": ["redis", "ssh"],
  "file-server": ["ftp", "ssh"],
  "devops-host": ["ssh", "http", "redis"],
};

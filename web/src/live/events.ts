/**
 * The events of the live stream, as written in crates/model/src/event.rs. A kind that is not
 * listed here passes through as `unknown`: new families must not break the console.
 */

import type {
  ActivityKind, DeckyState, Level, MutationState, Service, TopologyStatus, Truncation,
} from "../api/types";

export interface Envelope {
  v: number;
  /** Null or absent on what is not journalled. */
  seq?: number | null;
  id: string;
  topic: string;
  type: string;
  ts: string;
  payload: unknown;
}

export interface MutationEvent {
  topology_id: string;
  mutation_id: string;
  state: MutationState;
  op: string;
  payload: Record<string, unknown>;
  version: number;
  requested_by: string;
  reason?: string;
}

export interface StatusChanged {
  topology_id: string;
  from: TopologyStatus;
  status: TopologyStatus;
  version: number;
  reason?: string;
}

export interface DeckyStateChanged {
  decky_id: string;
  topology_id: string;
  name: string;
  from: DeckyState;
  state: DeckyState;
  services: string[];
  reason?: string;
}

export interface DeckyMutation {
  decky_id: string;
  topology_id: string;
  name: string;
  old_services: string[];
  new_services: string[];
  trigger: string;
  mutation_id?: string;
}

export interface DeckyTraffic {
  decky_id: string;
  topology_id: string;
  session_id: string;
  attacker_id?: string;
  service: Service;
  peer: string;
  kind: string;
  summary: string;
}

export interface AttackerObserved {
  attacker_id: string;
  identity_id?: string;
  address: string;
  decky_id: string;
  service: Service;
  first_seen: string;
}

export interface AttackerScored {
  attacker_id: string;
  score: number;
  previous: number;
  level: Level;
  reasons: string[];
}

export interface Fingerprinted {
  attacker_id: string;
  kind: string;
  value: string;
  session_id: string;
}

export interface SessionStarted {
  session_id: string;
  attacker_id: string;
  decky_id: string;
  topology_id: string;
  service: Service;
  peer: string;
  started_at: string;
}

export interface SessionActivity {
  session_id: string;
  attacker_id: string;
  decky_id: string;
  topology_id: string;
  index: number;
  kind: ActivityKind;
  text: string;
}

export interface SessionEnded {
  session_id: string;
  attacker_id: string;
  decky_id: string;
  topology_id: string;
  service: Service;
  started_at: string;
  ended_at: string;
  bytes_in: number;
  bytes_out: number;
  logins: number;
  commands: number;
  requests: number;
  truncated?: Truncation | null;
}

export interface CredentialCaptured {
  credential_id: string;
  attacker_id: string;
  session_id: string;
  decky_id: string;
  kind: string;
  principal: string;
}

export interface IdentityFormed {
  identity_id: string;
  attacker_ids: string[];
}

export interface ObservationLinked {
  identity_id: string;
  attacker_id: string;
  reasons: string[];
}

interface Bodies {
  "topology.mutation.enqueued": MutationEvent;
  "topology.mutation.applying": MutationEvent;
  "topology.mutation.applied": MutationEvent;
  "topology.mutation.failed": MutationEvent;
  "topology.status": StatusChanged;
  "decky.state": DeckyStateChanged;
  "decky.mutation": DeckyMutation;
  "decky.traffic": DeckyTraffic;
  "attacker.observed": AttackerObserved;
  "attacker.scored": AttackerScored;
  "attacker.fingerprinted": Fingerprinted;
  "attacker.session.started": SessionStarted;
  "attacker.session.activity": SessionActivity;
  "attacker.session.ended": SessionEnded;
  "credential.captured": CredentialCaptured;
  "identity.formed": IdentityFormed;
  "identity.observation.linked": ObservationLinked;
}

type Head = Omit<Envelope, "type" | "payload">;

/** An event whose payload is known by its type. */
export type Event = { [K in keyof Bodies]: Head & { type: K; payload: Bodies[K] } }[keyof Bodies];

const KNOWN: Record<keyof Bodies, true> = {
  "topology.mutation.enqueued": true,
  "topology.mutation.applying": true,
  "topology.mutation.applied": true,
  "topology.mutation.failed": true,
  "topology.status": true,
  "decky.state": true,
  "decky.mutation": true,
  "decky.traffic": true,
  "attacker.observed": true,
  "attacker.scored": true,
  "attacker.fingerprinted": true,
  "attacker.session.started": true,
  "attacker.session.activity": true,
  "attacker.session.ended": true,
  "credential.captured": true,
  "identity.formed": true,
  "identity.observation.linked": true,
};

/** Whether the console knows what this envelope says. */
export function isKnown(envelope: Envelope): envelope is Envelope & Event {
  return Object.hasOwn(KNOWN, envelope.type);
}

/**
 * REST: one function per operation that the console uses. Knows paths, headers and problems;
 * knows nothing of the screen or of the live stream.
 */

import type {
  AppliedMutation, Attacker, Blueprint, Credential, Document, FieldError, Identity, Me, Mutation, Op, Panicked,
  Plan, ProblemBody, Relay, Session, SessionDetail, Topology, TopologySummary, Undo, Verdict, Worker,
} from "./types";

const BASE = "/api/v1";
/** The API's largest page. */
const PAGE = 200;

/** A refusal of the server, or no answer at all (status 0). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: FieldError[];

  constructor(status: number, body: ProblemBody) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.code = body.code ?? "";
    this.fields = body.errors ?? [];
    // The one refusal of a name that does not say which field it is about.
    if (this.code === "NAME_TAKEN" && this.fields.length === 0) {
      this.fields = [{ code: this.code, field: "name", message: this.message }];
    }
  }

  /** What is wrong with the field `name`, or with one that has it in its path. */
  at(name: string): FieldError | undefined {
    return this.exactly(name) ?? this.fields.find(({ field }) => field.split(/[./[]/).includes(name));
  }

  /** What is wrong with the field `name` itself. */
  exactly(name: string): FieldError | undefined {
    return this.fields.find(({ field }) => field === name);
  }

  /** Whether the thing has changed since it was read. */
  get isOutdated(): boolean {
    return this.code === "VERSION_CONFLICT";
  }
}

/** What any failure means to the person in front of the screen. */
export function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function call<T>(method: string, path: string, body?: unknown, headers: HeadersInit = {}): Promise<T> {
  const answer = await fetch(BASE + path, {
    method,
    credentials: "same-origin",
    cache: "no-store",
    headers: {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Problem(0, { title: "Morgana does not answer. Is the server still running?" });
  });
  const text = await answer.text();
  if (!answer.ok) throw new Problem(answer.status, parse(text) ?? { title: answer.statusText });
  return (parse(text) ?? {}) as T;
}

function parse(text: string): ProblemBody | undefined {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** A list comes bare or as a page; the console reads the first page. */
type Page<T> = T[] | { items: T[] };
const items = <T>(page: Page<T>): T[] => (Array.isArray(page) ? page : page.items);

const id = encodeURIComponent;

/** 128 random bits; `crypto.randomUUID` exists only on HTTPS and loopback. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keys of requests whose answer is not known yet. */
const unanswered = new Map<string, string>();

/**
 * Creates work exactly once: a request that is sent again because its answer never came, or by a
 * second click, carries the key of the first.
 */
async function once<T>(path: string, body: unknown): Promise<T> {
  const request = `${path} ${JSON.stringify(body)}`;
  const key = unanswered.get(request) ?? newKey();
  unanswered.set(request, key);
  try {
    const answer = await call<T>("POST", path, body, { "idempotency-key": key });
    unanswered.delete(request);
    return answer;
  } catch (error) {
    if (error instanceof Problem && error.status !== 0) unanswered.delete(request);
    throw error;
  }
}

function insisting(op: Op, expected: number | undefined): object {
  return expected === undefined ? op : { ...op, expected_version: expected };
}

export const api = {
  setupState: () => call<{ open: boolean }>("GET", "/setup"),
  /** Logs in as well. */
  setup: (secret: string, name: string, password: string) =>
    call<Me>("POST", "/setup", { secret, name, password }),
  login: (name: string, password: string) => call<Me>("POST", "/login", { name, password }),
  logout: () => call<unknown>("POST", "/logout", {}),
  me: () => call<Me>("GET", "/me"),

  topologies: async () => items(await call<Page<TopologySummary>>("GET", `/topologies?limit=${PAGE}`)),
  topology: (topology: string) => call<Topology>("GET", `/topologies/${id(topology)}`),
  createTopology: (name: string, template: "demo" | "empty") =>
    call<Topology>("POST", "/topologies", { name, template }),
  deploy: (topology: string) => call<unknown>("POST", `/topologies/${id(topology)}/deploy`, {}),
  teardown: (topology: string) => call<unknown>("POST", `/topologies/${id(topology)}/teardown`, {}),
  generate: (blueprint: Blueprint) => call<Topology>("POST", "/generator", blueprint),
  exportTopology: (topology: string) => call<Document>("GET", `/topologies/${id(topology)}/export`),
  importTopology: (document: object) => call<Topology>("POST", "/import", document),
  /** What a document is worth, before it is imported. */
  judge: (document: object) => call<Verdict>("POST", "/import?dry_run=true", document),
  /** Refused where the topology has another version than `expected`, if one is given. */
  mutate: (topology: string, op: Op, expected?: number) =>
    once<Mutation>(`/topologies/${id(topology)}/mutations`, insisting(op, expected)),
  preview: (topology: string, op: Op, expected?: number) =>
    call<Plan>("POST", `/topologies/${id(topology)}/mutations?dry_run=true`, insisting(op, expected)),
  undo: (topology: string, undo: Undo) => once<Mutation>(`/topologies/${id(topology)}/undo`, undo),
  previewUndo: (topology: string, undo: Undo) =>
    call<Plan>("POST", `/topologies/${id(topology)}/undo?dry_run=true`, undo),
  applied: async (topology: string) =>
    items(await call<Page<AppliedMutation>>("GET", `/topologies/${id(topology)}/mutations?state=applied&limit=50`)),
  mutations: async (topology: string) =>
    items(await call<Page<Mutation>>("GET", `/topologies/${id(topology)}/mutations?limit=20`)),

  workers: async () => items(await call<Page<Worker>>("GET", "/workers")),
  stopWorker: (name: string) => call<unknown>("POST", `/workers/${id(name)}/stop`, {}),
  relay: () => call<Relay>("GET", "/relay"),
  /** The kill switch. */
  panic: () => call<Panicked>("POST", "/panic", {}),

  attackers: async () => items(await call<Page<Attacker>>("GET", `/attackers?limit=${PAGE}`)),
  identities: async () => items(await call<Page<Identity>>("GET", `/identities?limit=${PAGE}`)),
  credentials: async () => items(await call<Page<Credential>>("GET", `/credentials?limit=${PAGE}`)),
  sessions: async (query = "") =>
    items(await call<Page<Session>>("GET", `/sessions?limit=${PAGE}${query}`)),
  session: (session: string) =>
    call<SessionDetail>("GET", `/sessions/${id(session)}`),
};

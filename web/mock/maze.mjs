/** The made-up mazes of the mock server: what they look like and what a change makes of them. */

import { randomBytes } from "node:crypto";

const POOLS = {
  "linux-server": ["ssh", "http", "ftp"], "web-server": ["http", "ftp", "ssh"],
  "database-server": ["redis", "ssh"], "file-server": ["ftp", "ssh"], "devops-host": ["ssh", "http", "redis"],
  "printer": ["snmp", "ftp"], "monitoring-node": ["snmp", "ssh"],
};
const PORTS = { ssh: 22, http: 80, ftp: 21, redis: 6379, snmp: 161 };

let counter = 0;
export const newId = () => {
  const at = Date.now().toString(16).padStart(12, "0");
  const tail = (counter++).toString(16).padStart(4, "0") + randomBytes(6).toString("hex");
  return `${at.slice(0, 8)}-${at.slice(8)}-7000-8${tail.slice(1, 4)}-${tail.slice(4).padEnd(12, "0")}`;
};
export const now = () => new Date().toISOString().replace("Z", "000Z");

export function demo(name) {
  const lan = (lanName, third, isDmz) => ({ lan_id: newId(), name: lanName, subnet: `10.66.${third}.0/24`, is_dmz: isDmz, position: null });
  const [dmz, office, servers] = [lan("dmz", 1, true), lan("office", 2, false), lan("servers", 3, false)];
  const topology = { topology_id: newId(), name, status: "pending", version: 1, reason: null, rotate_every_seconds: null, lans: [dmz, office, servers], deckies: [] };
  const put = (deckyName, archetype, services, ...lans) => topology.deckies.push(newDecky(topology, deckyName, archetype, services, lans));
  put("web-01", "web-server", ["http", "ssh"], dmz, servers);
  put("edge-ops", "devops-host", ["ssh"], dmz, office);
  put("files", "file-server", ["ftp", "ssh"], office);
  put("build-02", "devops-host", ["http", "ssh"], office);
  put("db-01", "database-server", ["redis"], servers);
  put("backup", "linux-server", ["ftp", "ssh"], servers);
  return topology;
}

function newDecky(topology, name, archetype, services, lans, ip) {
  const taken = new Set(topology.deckies.flatMap((decky) => decky.interfaces.map((one) => one.address)));
  const free = (lan) => {
    const prefix = lan.subnet.split(".").slice(0, 3).join(".");
    for (let last = 10; ; last++) if (!taken.has(`${prefix}.${last}`)) return `${prefix}.${last}`;
  };
  const decky = {
    decky_id: newId(), name, archetype, state: "planned", rotate_every_seconds: null, forwards_l3: false, is_stopped: false,
    interfaces: lans.map((lan) => ({ lan_id: lan.lan_id, lan: lan.name, address: ip ?? free(lan), forwards_l3: false })), services: [], endpoints: [],
  };
  setServices(topology, decky, services);
  return decky;
}

export function setServices(topology, decky, services) {
  decky.services = [...services].sort().map((service) => ({ service, port: PORTS[service] }));
  const address = decky.interfaces[0].address.replace("10.66.", "127.66.");
  const up = topology.status !== "pending" && topology.status !== "torn_down";
  decky.endpoints = up
    ? decky.services.map(({ service, port }) => ({ lan_id: decky.interfaces[0].lan_id, service, port, listening: `${address}:${port + 20000}` }))
    : [];
}

/** A DMZ, and behind each LAN as many as are wanted, down to the depth that is wanted. */
export function generate({ name, depth = 3, branching = 2 }) {
  const topology = { ...demo(name), lans: [], deckies: [] };
  let level = [undefined];
  for (let at = 0; at < depth; at++) {
    level = level.flatMap((above) => Array.from({ length: above ? branching : 1 }, () => {
      const count = topology.lans.length;
      const lan = { lan_id: newId(), name: above ? `lan-${count}` : "dmz", subnet: `10.66.${count + 1}.0/24`, is_dmz: !above, position: null };
      topology.lans.push(lan);
      topology.deckies.push(newDecky(topology, `host-${count}`, "linux-server", ["ssh"], above ? [lan, above] : [lan]));
      return lan;
    }));
  }
  return topology;
}

export function documentOf({ name, lans, deckies }) {
  return {
    format: 1, name, rotate_every_seconds: null,
    lans: lans.map(({ name, subnet, is_dmz }) => ({ name, subnet, is_dmz })),
    deckies: deckies.map(({ name, archetype, interfaces, services }) => ({
      name, archetype, interfaces: interfaces.map(({ lan, address }) => ({ lan, address })), services: services.map((one) => one.service),
    })),
  };
}

export function fromDocument({ name, lans, deckies }) {
  const topology = { ...demo(name), lans: lans.map((lan) => ({ lan_id: newId(), position: null, ...lan })), deckies: [] };
  for (const { name, archetype, interfaces, services } of deckies) {
    const on = interfaces.map(({ lan }) => topology.lans.find((one) => one.name === lan));
    topology.deckies.push(newDecky(topology, name, archetype, services, on));
  }
  return topology;
}

export function check(topology, op, payload) {
  const wrong = (field, code, message) => ({ code, field: `payload.${field}`, message });
  const names = op === "add_lan" ? topology.lans : topology.deckies;
  if (payload.name && op.startsWith("add") && names.some((one) => one.name === payload.name)) {
    return wrong("name", "NAME_DUP", `the maze has a ${op.slice(4)} called ${payload.name} already`);
  }
  if (Array.isArray(payload.services) && payload.services.length === 0) return wrong("services", "SERVICES_EMPTY", "a decky needs at least one service");
  if (payload.ip && !/^10\.66\./.test(payload.ip)) return wrong("ip", "IP_OUT_OF_SUBNET", `${payload.ip} is outside of the LAN's subnet`);
  if (payload.patch?.archetype && !payload.force) return wrong("patch.archetype", "FORCE_REQUIRED", "the decky is live: it would be another machine; say `force`");
  return undefined;
}

export function inWords(op, payload) {
  return `${op.replaceAll("_", " ")} ${payload.decky ?? payload.name ?? ""}`.trim();
}

/** Changes the topology; says which decky it was about, and what that one offered before. */
export function change(topology, op, payload) {
  const decky = topology.deckies.find((one) => one.name === payload.decky);
  const lan = topology.lans.find((one) => one.name === (payload.lan ?? payload.name));
  const old = decky?.services.map((one) => one.service) ?? [];
  switch (op) {
    case "add_lan":
      topology.lans.push({ lan_id: newId(), name: payload.name, subnet: payload.subnet ?? `10.66.${topology.lans.length + 1}.0/24`, is_dmz: payload.is_dmz ?? false, position: null });
      return {};
    case "update_lan":
      Object.assign(lan, payload.patch);
      for (const one of topology.deckies.flatMap((each) => each.interfaces)) if (one.lan_id === lan.lan_id) one.lan = lan.name;
      return {};
    case "remove_lan":
      topology.lans = topology.lans.filter((one) => one !== lan);
      for (const one of topology.deckies) one.interfaces = one.interfaces.filter((each) => each.lan_id !== lan.lan_id);
      return {};
    case "update_topology":
      topology.rotate_every_seconds = payload.rotate_every_seconds || null;
      return {};
    case "add_decky": {
      const archetype = payload.archetype ?? "linux-server";
      const fresh = newDecky(topology, payload.name, archetype, payload.services ?? POOLS[archetype].slice(0, 1), [lan], payload.ip);
      Object.assign(fresh, { rotate_every_seconds: payload.rotate_every_seconds ?? null, forwards_l3: payload.forwards_l3 ?? false });
      topology.deckies.push(fresh);
      return { decky: fresh, trigger: "creation", old };
    }
    case "remove_decky":
      topology.deckies = topology.deckies.filter((one) => one !== decky);
      return { decky, trigger: "retirement", old };
    case "attach_decky":
      decky.interfaces.push({ ...newDecky(topology, "", "linux-server", [], [lan], payload.ip).interfaces[0], forwards_l3: payload.forwards_l3 ?? false });
      return {};
    case "detach_decky":
      decky.interfaces = decky.interfaces.filter((one) => one.lan_id !== lan.lan_id);
      return {};
    case "start_decky":
    case "stop_decky":
      decky.is_stopped = op === "stop_decky";
      break;
    case "update_decky":
      Object.assign(decky, payload.patch);
      setServices(topology, decky, payload.services ?? old);
      if ("rotate_every_seconds" in payload) decky.rotate_every_seconds = payload.rotate_every_seconds || null;
      break;
    case "rotate_decky": {
      const pool = POOLS[decky.archetype];
      setServices(topology, decky, payload.services ?? [pool[(pool.indexOf(old[0]) + 1) % pool.length]]);
      break;
    }
  }
  return { decky, trigger: "operator", old };
}

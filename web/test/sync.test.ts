import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Sync } from "../src/live/sync";

/** A server of which the test decides when each answer comes. */
class Server {
  stream!: ReadableStreamDefaultController<Uint8Array>;
  streams = 0;
  asked: string[] = [];
  rows: Record<string, unknown[]> = { topologies: [], attackers: [], identities: [], sessions: [] };
  /** Requests wait for this. */
  gate: Promise<void> = Promise.resolve();

  readonly fetch = async (url: string): Promise<Response> => {
    const path = url.replace("/api/v1/", "");
    if (path === "events") {
      this.streams += 1;
      return new Response(new ReadableStream({ start: (controller) => { this.stream = controller; } }));
    }
    this.asked.push(path);
    const rows = structuredClone(this.rows[path.split("?")[0] ?? ""] ?? []);
    await this.gate;
    return Response.json({ items: rows, next_cursor: null });
  };

  send(event: string, data: object, id = ""): void {
    const text = `event: ${event}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`;
    this.stream.enqueue(new TextEncoder().encode(text));
  }

  observed(seq: number, attacker: string): void {
    const payload = { attacker_id: attacker, address: `203.0.113.${seq}`, decky_id: "d", service: "ssh", first_seen: "" };
    this.send("observed", {
      v: 1, seq, id: `e${seq}`, topic: "attacker.observed", type: "attacker.observed", ts: "2026-11-21T10:00:00Z", payload,
    }, `e:${seq}`);
  }
}

let server: Server;
let sync: Sync;
let signedOut: () => void;

beforeEach(() => {
  server = new Server();
  vi.stubGlobal("fetch", server.fetch);
  vi.stubGlobal("window", new EventTarget());
  signedOut = vi.fn();
  sync = new Sync(signedOut);
  sync.start();
});

afterEach(() => {
  sync.stop();
  vi.unstubAllGlobals();
});

const opened = () => vi.waitFor(() => expect(server.streams).toBeGreaterThan(0));
const attackers = () => [...sync.current().world.attackers.keys()].sort();

describe("Sync", () => {
  it("asks for state only once the stream's position is known, and applies what came meanwhile", async () => {
    await opened();
    expect(server.asked).toEqual([]);
    let open = () => {};
    server.gate = new Promise((resolve) => { open = resolve; });
    server.rows["attackers"] = [{ attacker_id: "read", address: "198.51.100.1" }];
    server.send("snapshot", { v: 1, seq: 4, head: 4 }, "e:4");
    await vi.waitFor(() => expect(server.asked.some((path) => path.startsWith("attackers"))).toBe(true));
    server.observed(5, "meanwhile");
    expect(sync.current().loaded).toBe(false);
    open();
    await vi.waitFor(() => expect(sync.current().loaded).toBe(true));
    await vi.waitFor(() => expect(attackers()).toEqual(["meanwhile", "read"]));
    expect(sync.current()).toMatchObject({ connection: { state: "live" }, world: { seq: 5 } });
  });

  it("keeps an event that comes while something is read again", async () => {
    await opened();
    server.send("snapshot", { v: 1, seq: 0, head: 0 }, "e:0");
    await vi.waitFor(() => expect(sync.current().loaded).toBe(true));
    let open = () => {};
    server.gate = new Promise((resolve) => { open = resolve; });
    const before = server.asked.length;
    sync.refresh("attackers", "identities", "topologies");
    await vi.waitFor(() => expect(server.asked.length).toBe(before + 3));
    server.observed(1, "late");
    await vi.waitFor(() => expect(attackers()).toEqual(["late"]));
    open();
    await vi.waitFor(() => expect(server.asked.length).toBeGreaterThan(before + 3));
    expect(attackers()).toEqual(["late"]);
  });

  it("reads everything again after a reset, and drops what is no longer true", async () => {
    await opened();
    server.send("snapshot", { v: 1, seq: 7, head: 7 }, "old:7");
    await vi.waitFor(() => expect(sync.current().loaded).toBe(true));
    server.observed(8, "gone");
    await vi.waitFor(() => expect(attackers()).toEqual(["gone"]));
    server.send("reset", { v: 1, seq: 2, reason: "epoch_unknown" });
    server.send("snapshot", { v: 1, seq: 2, head: 2 }, "new:2");
    await vi.waitFor(() => expect(attackers()).toEqual([]));
    expect(sync.current().world.seq).toBe(2);
  });

  it("says when events may be missing, and when no longer", async () => {
    await opened();
    server.send("snapshot", { v: 1, seq: 0, head: 0 }, "e:0");
    await vi.waitFor(() => expect(sync.current().loaded).toBe(true));
    server.send("degraded", { v: 1, seq: 0, degraded: true, reason: "the bus is away" });
    await vi.waitFor(() => expect(sync.current().connection).toEqual({ state: "degraded", detail: "the bus is away" }));
    server.send("degraded", { v: 1, seq: 0, degraded: false, reason: "the bus is back" });
    await vi.waitFor(() => expect(sync.current().connection).toEqual({ state: "live" }));
  });

  it("hands over to the login where the session was revoked", async () => {
    await opened();
    server.send("auth-revoked", { v: 1, seq: 0, code: "REVOKED", message: "", retryable: false });
    await vi.waitFor(() => expect(signedOut).toHaveBeenCalledOnce());
  });
});

import { afterEach, describe, expect, it, vi } from "vitest";
import type { Frame } from "../src/live/sse";
import { backoff, LiveStream, SILENCE_MS } from "../src/live/stream";

describe("backoff", () => {
  it("is anything up to a ceiling that doubles and ends", () => {
    expect(backoff(0, 500, () => 1)).toBe(500);
    expect(backoff(3, 500, () => 1)).toBe(4000);
    expect(backoff(50, 500, () => 1)).toBe(15_000);
    expect(backoff(5, 500, () => 0)).toBe(0);
  });
});

/** A server whose answers are scripted; remembers the Last-Event-ID of every request. */
function serve(...answers: (() => Response | Promise<Response>)[]) {
  const resumed: (string | undefined)[] = [];
  const fetch = vi.fn((_url: string, init: RequestInit) => {
    resumed.push((init.headers as Record<string, string>)["last-event-id"]);
    const answer = answers.shift() ?? (() => new Response(null, { status: 204 }));
    return Promise.resolve(answer()).then((response) => abortable(response, init.signal));
  });
  vi.stubGlobal("fetch", fetch);
  vi.stubGlobal("window", new EventTarget());
  return resumed;
}

function abortable(response: Response, signal: AbortSignal | null | undefined): Response {
  const body = response.body;
  if (!body || !signal) return response;
  const reader = body.getReader();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const aborted = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("aborted"))));
      const { done, value } = await Promise.race([reader.read(), aborted]);
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  return new Response(stream, { status: response.status, headers: response.headers });
}

const text = (body: string) => () => new Response(body, { status: 200 });
const status = (code: number) => () => new Response(null, { status: code });

function follow() {
  const log: string[] = [];
  const stream = new LiveStream("/events", {
    opened: () => log.push("opened"),
    frames: (frames: Frame[]) => log.push(...frames.map((frame) => frame.event)),
    waiting: () => log.push("waiting"),
    closed: ({ why }) => log.push(why),
  });
  return { stream, log };
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("LiveStream", () => {
  it("resumes after the last id that it has seen", async () => {
    vi.useFakeTimers();
    const resumed = serve(text("id: e:4\nevent: a\ndata: {}\n\n"), text("id: e:5\nevent: b\ndata: {}\n\n"));
    const { stream, log } = follow();
    const done = stream.run();
    await vi.runAllTimersAsync();
    await done;
    expect(resumed).toEqual([undefined, "e:4", "e:5"]);
    expect(log).toEqual(["opened", "a", "waiting", "opened", "b", "waiting", "stopped"]);
  });

  it("ends where the person is signed out, before or within the stream", async () => {
    serve(status(401));
    const refused = follow();
    await refused.stream.run();
    expect(refused.log).toEqual(["signed-out"]);
    serve(text("event: auth-revoked\ndata: {}\n\n"));
    const revoked = follow();
    await revoked.stream.run();
    expect(revoked.log).toEqual(["opened", "auth-revoked", "signed-out"]);
  });

  it("waits at least as long as the server asks", async () => {
    vi.useFakeTimers();
    const resumed = serve(() => new Response(null, { status: 429, headers: { "retry-after": "7" } }));
    const { stream } = follow();
    const done = stream.run();
    await vi.advanceTimersByTimeAsync(6900);
    expect(resumed).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(30_000);
    await done;
    expect(resumed).toHaveLength(2);
  });

  it("cuts a connection that has fallen silent", async () => {
    vi.useFakeTimers();
    const resumed = serve(() => new Response(new ReadableStream({ start() {} }), { status: 200 }));
    const { stream, log } = follow();
    const done = stream.run();
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    expect(resumed).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(20_000);
    await done;
    expect(log).toEqual(["opened", "waiting", "stopped"]);
  });

  it("drops its position when it is restarted", async () => {
    vi.useFakeTimers();
    const resumed = serve(() => new Response(new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("id: e:1\nevent: a\ndata: {}\n\n")),
    }), { status: 200 }));
    const { stream } = follow();
    const done = stream.run();
    await vi.advanceTimersByTimeAsync(1);
    stream.restart();
    await vi.runAllTimersAsync();
    await done;
    expect(resumed).toEqual([undefined, undefined]);
  });
});

import { afterEach, describe, expect, it, vi } from "vitest";
import { api, Problem } from "../src/api/client";
import type { Op } from "../src/api/types";

function answer(...answers: (Response | Error)[]) {
  const sent: Request[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    sent.push(new Request(`http://console${url}`, init));
    const next = answers.shift() ?? new Error("no more answers");
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  });
  return sent;
}

const rotate: Op = { op: "rotate_decky", payload: { decky: "web-01" } };
const keys = (sent: Request[]) => sent.map((request) => request.headers.get("idempotency-key"));

afterEach(() => vi.unstubAllGlobals());

describe("mutations", () => {
  it("keep their key until the answer is known", async () => {
    const sent = answer(new Error("offline"), Response.json({}), Response.json({}));
    await expect(api.mutate("t1", rotate)).rejects.toMatchObject({ status: 0 });
    await api.mutate("t1", rotate);
    await api.mutate("t1", rotate);
    const [first, again, anew] = keys(sent);
    expect(again).toBe(first);
    expect(anew).not.toBe(first);
    expect(first).toMatch(/^[0-9a-f]{32}$/);
  });

  it("get another key after a refusal", async () => {
    const sent = answer(Response.json({ title: "no" }, { status: 422 }), Response.json({}));
    await expect(api.mutate("t1", rotate)).rejects.toThrow("no");
    await api.mutate("t1", rotate);
    expect(new Set(keys(sent)).size).toBe(2);
  });
});

describe("changes", () => {
  it("insist on a version only where one is given", async () => {
    const sent = answer(Response.json({}), Response.json({}), Response.json({}));
    await api.mutate("t1", rotate);
    await api.mutate("t1", rotate, 7);
    await api.preview("t1", rotate, 7);
    const bodies = await Promise.all(sent.map((request) => request.json()));
    expect(bodies).toEqual([rotate, { ...rotate, expected_version: 7 }, { ...rotate, expected_version: 7 }]);
    expect(new URL(sent[2]!.url).search).toBe("?dry_run=true");
    expect(keys(sent)[2]).toBeNull();
  });
});

describe("the kill switch", () => {
  it("is thrown by one request", async () => {
    const sent = answer(Response.json({ topologies: [], left: [], down_after_micros: 5 }));
    expect(await api.panic()).toMatchObject({ left: [] });
    expect([sent[0]!.method, new URL(sent[0]!.url).pathname]).toEqual(["POST", "/api/v1/panic"]);
  });
});

describe("problems", () => {
  it("say what is wrong with which field", async () => {
    answer(Response.json({
      detail: "Some fields are wrong.", code: "INVALID",
      errors: [{ code: "X", field: "payload.services[0]", message: "not in the pool" }],
    }, { status: 422 }));
    const problem = await api.me().then(() => undefined, (error: unknown) => error as Problem);
    expect(problem).toMatchObject({ status: 422, code: "INVALID", message: "Some fields are wrong." });
    expect(problem?.at("services")).toEqual({ code: "X", field: "payload.services[0]", message: "not in the pool" });
    expect(problem?.exactly("services")).toBeUndefined();
    expect(problem?.at("name")).toBeUndefined();
  });

  it("show at the name where the name is taken", () => {
    const problem = new Problem(409, { code: "NAME_TAKEN", detail: "a topology named `demo` exists already" });
    expect(problem.at("name")?.message).toBe("a topology named `demo` exists already");
  });

  it("tell a stale version from other conflicts", () => {
    expect(new Problem(412, { code: "VERSION_CONFLICT" }).isOutdated).toBe(true);
    expect(new Problem(409, { code: "VERSION_CONFLICT" }).isOutdated).toBe(true);
    expect(new Problem(409, { code: "UNDO_UNSAFE" }).isOutdated).toBe(false);
  });

  it("are said even where the answer is no JSON", async () => {
    answer(new Response("<html>", { status: 502, statusText: "Bad Gateway" }), new Response(null, { status: 500 }));
    await expect(api.me()).rejects.toThrow("Bad Gateway");
    await expect(api.me()).rejects.toThrow("The server answered 500.");
  });

  it("are none where there is nothing to say", async () => {
    answer(new Response(null, { status: 204 }));
    await expect(api.logout()).resolves.toEqual({});
  });
});

import { describe, expect, it } from "vitest";
import { FrameReader, MAX_LINE, type Frame } from "../src/live/sse";

const encode = (text: string) => new TextEncoder().encode(text);

function read(text: string, at: number[] = []): { frames: Frame[]; reader: FrameReader } {
  const reader = new FrameReader();
  const bytes = encode(text);
  const cuts = [0, ...at, bytes.length];
  const frames = cuts.slice(1).flatMap((end, index) => reader.push(bytes.slice(cuts[index], end)));
  return { frames, reader };
}

const STREAM = ": hello\r\nretry: 1500\r\n\r\n"
  + "id: e1:7\nevent: mutation.applied\ndata: {\"name\":\"zürich\"}\n\n"
  + "event: two.lines\rdata: one\rdata:two\r\r"
  + "data: no name 🏜\n\nid\nevent: kept\ndata\n\n";

describe("FrameReader", () => {
  it("reads events, ids and the retry time", () => {
    const { frames, reader } = read(STREAM);
    expect(frames).toEqual([
      { event: "mutation.applied", data: '{"name":"zürich"}', id: "e1:7" },
      { event: "two.lines", data: "one\ntwo", id: "e1:7" },
      { event: "message", data: "no name 🏜", id: "e1:7" },
      { event: "kept", data: "", id: "" },
    ]);
    expect(reader.retry).toBe(1500);
  });

  it("gives the same wherever the bytes are split", () => {
    const whole = read(STREAM).frames;
    const length = encode(STREAM).length;
    for (let cut = 0; cut <= length; cut++) expect(read(STREAM, [cut]).frames).toEqual(whole);
    const every = Array.from({ length: length - 1 }, (_, index) => index + 1);
    expect(read(STREAM, every).frames).toEqual(whole);
  });

  it("skips a byte order mark, unknown fields and events without data", () => {
    expect(read("\ufeffdata: x\n\n").frames).toHaveLength(1);
    expect(read("event: lonely\n\nfoo: bar\n\n").frames).toEqual([]);
  });

  it("ignores ids with a NUL and retry times that are no number", () => {
    const { frames, reader } = read("id: a\0b\nretry: 5x\ndata: x\n\n");
    expect(frames[0]?.id).toBe("");
    expect(reader.retry).toBeUndefined();
  });

  it("does not hand out an event that is not complete", () => {
    expect(read("data: x\n").frames).toEqual([]);
  });

  it("refuses a line without an end", () => {
    const reader = new FrameReader();
    expect(() => reader.push(encode("x".repeat(MAX_LINE + 1)))).toThrow("without an end");
  });
});

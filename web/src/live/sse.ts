/**
 * Reads the bytes of a `text/event-stream` (HTML Living Standard, section 9.2.6) that were split
 * anywhere. Our own, because EventSource hands out only events whose names were known before,
 * and cannot say why a connection was refused. Does no I/O.
 */

/** One dispatched event. `id` is the stream's last id at that moment. */
export interface Frame {
  event: string;
  data: string;
  id: string;
}

/** Longest line that is believed; a longer one is an error of the server. */
export const MAX_LINE = 4 * 1024 * 1024;

export class FrameReader {
  /** The last `id:` seen; what a resume sends as Last-Event-ID. */
  lastId = "";
  /** The latest `retry:`, in milliseconds. */
  retry: number | undefined;

  private readonly decoder = new TextDecoder();
  private rest = "";
  private skipLineFeed = false;
  private event = "";
  private data: string[] = [];
  private started = false;

  /** Takes the next bytes, gives the events that they complete. */
  push(bytes: Uint8Array): Frame[] {
    let text = this.decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    if (!this.started) {
      this.started = true;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    if (this.skipLineFeed) {
      this.skipLineFeed = false;
      if (text[0] === "\n") text = text.slice(1);
    }
    const frames: Frame[] = [];
    const all = this.rest + text;
    const end = /\r\n|\r|\n/g;
    let from = 0;
    for (let match = end.exec(all); match; match = end.exec(all)) {
      // A CR at the very end may be half of a CRLF: the LF, should it come, is skipped then.
      if (match[0] === "\r" && end.lastIndex === all.length) this.skipLineFeed = true;
      const frame = this.line(all.slice(from, match.index));
      if (frame) frames.push(frame);
      from = end.lastIndex;
    }
    this.rest = all.slice(from);
    if (this.rest.length > MAX_LINE) throw new Error("the stream sent a line without an end");
    return frames;
  }

  private line(line: string): Frame | undefined {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    switch (field) {
      case "event": this.event = value; break;
      case "data": this.data.push(value); break;
      case "id": if (!value.includes("\0")) this.lastId = value; break;
      case "retry": if (/^\d+$/.test(value)) this.retry = Number(value); break;
    }
    return undefined;
  }

  private dispatch(): Frame | undefined {
    const frame = { event: this.event || "message", data: this.data.join("\n"), id: this.lastId };
    const empty = this.data.length === 0;
    this.event = "";
    this.data = [];
    return empty ? undefined : frame;
  }
}

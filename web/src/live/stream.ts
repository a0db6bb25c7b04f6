/**
 * Keeps one live stream open for as long as the tab lives: connects, resumes after the last id,
 * waits with full jitter between attempts, notices a silent connection. Knows frames, not their
 * meaning; what they mean is decided in `sync.ts`.
 */

import { FrameReader, type Frame } from "./sse";

export type Closed =
  | { why: "signed-out" }
  | { why: "stopped" };

export interface StreamEvents {
  /** The server accepted the stream; frames follow. */
  opened(): void;
  /** All frames of one read. */
  frames(frames: Frame[]): void;
  /** The connection is gone; the next attempt comes in `delay` milliseconds. */
  waiting(delay: number): void;
  /** It will not be tried again. */
  closed(reason: Closed): void;
}

/** A keep-alive comes every 15 s; after this much silence the connection counts as dead. */
export const SILENCE_MS = 40_000;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;

/** Full jitter: anything up to a ceiling that doubles with every failure in a row. */
export function backoff(failures: number, first = FIRST_DELAY_MS, random: () => number = Math.random): number {
  const ceiling = Math.min(MAX_DELAY_MS, first * 2 ** Math.min(failures, 10));
  return Math.round(random() * ceiling);
}

export class LiveStream {
  private readonly url: string;
  private readonly events: StreamEvents;
  private readonly stopped = new AbortController();
  private lastId = "";
  private failures = 0;
  /** The server's `retry:`, in milliseconds. */
  private firstDelay: number | undefined;
  private wake: (() => void) | undefined;
  private cut: (() => void) | undefined;

  constructor(url: string, events: StreamEvents) {
    this.url = url;
    this.events = events;
  }

  /** Runs until stopped or signed out. */
  async run(): Promise<void> {
    const online = () => this.wake?.();
    window.addEventListener("online", online);
    try {
      while (!this.stopped.signal.aborted) {
        const outcome = await this.connect();
        if (outcome === "signed-out") return this.events.closed({ why: "signed-out" });
        if (outcome === "stopped" || this.stopped.signal.aborted) break;
        const delay = Math.max(outcome.atLeast, backoff(this.failures, this.firstDelay));
        this.failures += 1;
        this.events.waiting(delay);
        await this.pause(delay);
      }
      this.events.closed({ why: "stopped" });
    } finally {
      window.removeEventListener("online", online);
    }
  }

  /** Ends it for good. */
  stop(): void {
    this.stopped.abort();
    this.cut?.();
    this.wake?.();
  }

  /** Drops the position, so that the next connection begins with a snapshot, and reconnects. */
  restart(): void {
    this.lastId = "";
    this.cut?.();
  }

  private async connect(): Promise<"signed-out" | "stopped" | { atLeast: number }> {
    const connection = new AbortController();
    this.cut = () => connection.abort();
    let silence = setTimeout(this.cut, SILENCE_MS);
    try {
      const answer = await fetch(this.url, {
        headers: {
          accept: "text/event-stream",
          ...(this.lastId ? { "last-event-id": this.lastId } : {}),
        },
        credentials: "same-origin",
        cache: "no-store",
        signal: connection.signal,
      });
      if (answer.status === 401 || answer.status === 403) return "signed-out";
      if (answer.status === 204) return "stopped";
      if (!answer.ok || !answer.body) {
        void answer.body?.cancel();
        return { atLeast: retryAfter(answer) };
      }
      this.events.opened();
      const reader = answer.body.getReader();
      const parser = new FrameReader();
      parser.lastId = this.lastId;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return { atLeast: 0 };
        clearTimeout(silence);
        silence = setTimeout(this.cut, SILENCE_MS);
        const frames = parser.push(value);
        this.firstDelay = parser.retry;
        if (frames.length === 0) continue;
        this.failures = 0;
        this.lastId = parser.lastId;
        this.events.frames(frames);
        if (frames.some((frame) => frame.event === "auth-revoked")) return "signed-out";
      }
    } catch {
      return { atLeast: 0 };
    } finally {
      clearTimeout(silence);
      connection.abort();
    }
  }

  private pause(delay: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function retryAfter(answer: Response): number {
  const seconds = Number(answer.headers.get("retry-after"));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 60) * 1000 : 0;
}

/** Times, sizes and the API's words as a person reads them. Pure. */

import type { Endpoint, Level, Panicked } from "../api/types";

/** `14:03:27`, in the reader's time zone. */
export function clock(ts: string): string {
  const date = new Date(ts);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString("en-GB", { hour12: false });
}

/** `21 Nov 2026, 14:03:27`. */
export function moment(ts: string): string {
  const date = new Date(ts);
  if (Number.isNaN(date.getTime())) return "";
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  return `${day}, ${clock(ts)}`;
}

/** `just now`, `4 min ago`, `3 h ago`, `5 d ago`. */
export function ago(ts: string, now: number): string {
  const seconds = Math.floor((now - new Date(ts).getTime()) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(from: string, to: string): string {
  const milliseconds = Math.max(0, new Date(to).getTime() - new Date(from).getTime());
  if (Number.isNaN(milliseconds)) return "";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return join(Math.floor(seconds / 60), "min", seconds % 60, "s");
  return join(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
}

/** How often something happens: `every 5 min`. */
export function every(seconds: number): string {
  return `every ${duration(new Date(0).toISOString(), new Date(seconds * 1000).toISOString())}`;
}

function join(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small ? `${big} ${bigUnit} ${small} ${smallUnit}` : `${big} ${bigUnit}`;
}

/** `512 B`, `1.5 KiB`, `3.2 MiB`. */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** `1 login`, `3 logins`. */
export function count(number: number, singular: string, plural = `${singular}s`): string {
  return `${number} ${number === 1 ? singular : plural}`;
}

/** The address of `203.0.113.7:4022` or `[2001:db8::1]:4022`. */
export function host(peer: string): string {
  const match = /^\[?(.*?)\]?:\d+$/.exec(peer);
  return match?.[1] ?? peer;
}

/** An id's tail: UUIDv7 begins with the time, so neighbours differ at the end. */
export function shortId(id: string): string {
  return id.slice(-6);
}

/** Words of the API on the screen: `tearing_down` becomes `tearing down`. */
export function words(word: string): string {
  return word.replaceAll("_", " ");
}

export function level(score: number): Level {
  if (score >= 80) return "critical";
  if (score >= 50) return "high";
  return score >= 20 ? "medium" : "low";
}

/** What to type in order to visit an endpoint. */
export function visitCommand({ service, listening }: Pick<Endpoint, "service" | "listening">): string {
  const address = host(listening);
  const port = Number(listening.slice(listening.lastIndexOf(":") + 1));
  switch (service) {
    case "ssh": return port === 22 ? `ssh root@${address}` : `ssh -p ${port} root@${address}`;
    case "http": return `curl http://${address}${port === 80 ? "" : `:${port}`}/`;
    case "ftp": return `curl ftp://${address}${port === 21 ? "" : `:${port}`}/`;
    case "redis": return `redis-cli -h ${address}${port === 6379 ? "" : ` -p ${port}`}`;
    case "snmp": return `snmpwalk -v 2c -c public ${address}${port === 161 ? "" : `:${port}`}`;
    default: return `nc ${address} ${port}`;
  }
}

/**
 * A visitor's text, once more made harmless: the server escapes already, but what can reorder or
 * hide text on the screen must not depend on that alone.
 */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u{${c.charCodeAt(0).toString(16)}}`,
  );
}

/** What was counted, in words: `applied 3, failed 1`; what is zero is left out. */
export function figures(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count !== 0)
    .map(([name, count]) => `${name.replace(/_total$/, "").replaceAll("_", " ")} ${count}`)
    .join(", ");
}

/** What the kill switch did: `2 mazes with 14 deckies are off the network after 87 ms.` */
export function switchedOff({ topologies, left, down_after_micros }: Panicked): string {
  const deckies = topologies.reduce((sum, { decky_count }) => sum + decky_count, 0);
  if (topologies.length === 0 && left.length === 0) return "No maze was on the network.";
  const are = topologies.length === 1 ? "is" : "are";
  const mazes = `${count(topologies.length, "maze")} with ${count(deckies, "decky", "deckies")} ${are} off the network`;
  return `${mazes} after ${Math.ceil(down_after_micros / 1000)} ms.`;
}

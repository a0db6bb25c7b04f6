/** Sessions: the list, and one as it happens. */

import { useEffect, useRef, useState } from "react";
import { explain } from "../api/client";
import type { Activity, Session } from "../api/types";
import { decky, deed } from "../format/story";
import { bytes, count, duration, host, moment } from "../format/words";
import { Ago, Clock, Empty, Typed, useNow } from "./parts";
import { useConsole } from "./Shell";
import { TryIt } from "./TryIt";

export function SessionsPage() {
  const { sight: { world } } = useConsole();
  const sessions = newestFirst(world.sessions.values());
  return (
    <main className="page">
      <h1>Sessions</h1>
      {sessions.length > 0
        ? <SessionTable sessions={sessions} />
        : <Empty title="Nobody has touched your maze yet"><TryIt /></Empty>}
    </main>
  );
}

/** Newest first. */
export function newestFirst(sessions: Iterable<Session>): Session[] {
  return [...sessions].sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
}

export function SessionTable({ sessions }: { sessions: Session[] }) {
  const { sight: { world } } = useConsole();
  return (
    <table>
      <thead>
        <tr><th>Started</th><th>From</th><th>Decky</th><th>Service</th><th>What happened</th><th>State</th></tr>
      </thead>
      <tbody>
        {sessions.map((session) => (
          <tr key={session.session_id}>
            <td><a href={`#/sessions/${session.session_id}`}><Clock ts={session.started_at} /></a> <small><Ago ts={session.started_at} /></small></td>
            <td><a href={`#/attackers/${session.attacker_id}`} className="mono">{host(session.peer)}</a></td>
            <td>{decky(world, session.decky_id)}</td>
            <td><span className="service">{session.service}</span></td>
            <td>{summary(session)}</td>
            <td>{session.ended_at
              ? <small>{duration(session.started_at, session.ended_at)}</small>
              : <span className="badge hot">live</span>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function summary(session: Session): string {
  const parts = [
    session.logins && count(session.logins, "login"),
    session.commands && count(session.commands, "command"),
    session.requests && count(session.requests, "request"),
    session.uploads && count(session.uploads, "upload"),
  ].filter(Boolean);
  return parts.join(", ") || "connected only";
}

export function SessionPage({ id }: { id: string }) {
  const { sync, sight: { world } } = useConsole();
  const [failure, setFailure] = useState("");
  useEffect(() => {
    sync.readSession(id).catch((error: unknown) => setFailure(explain(error)));
  }, [sync, id]);
  const session = world.sessions.get(id);
  if (!session) {
    return (
      <main className="page">
        {failure ? <Empty title="No such session"><p>{failure}</p></Empty> : <p className="loading">Reading the session…</p>}
      </main>
    );
  }
  const activity = world.activity.get(id) ?? [];
  const attacker = world.attackers.get(session.attacker_id);
  return (
    <main className="page session" data-testid="session-view" data-session={id}
      data-state={session.ended_at ? "ended" : "live"}>
      <p className="crumbs"><a href="#/sessions">Sessions</a></p>
      <h1>
        <span className="service">{session.service}</span> {decky(world, session.decky_id)}
        {session.ended_at ? <span className="badge">ended</span> : <span className="badge hot">live</span>}
      </h1>
      <dl className="facts">
        <div><dt>From</dt><dd><a className="mono" href={`#/attackers/${session.attacker_id}`}>{session.peer || attacker?.address}</a></dd></div>
        <div><dt>Began</dt><dd>{moment(session.started_at)}</dd></div>
        <div><dt>Lasted</dt><dd><Lasting session={session} /></dd></div>
        <div><dt>Logins</dt><dd>{session.logins}</dd></div>
        <div><dt>Commands</dt><dd>{session.commands}</dd></div>
        <div><dt>Requests</dt><dd>{session.requests}</dd></div>
        {session.ended_at && <div><dt>Received</dt><dd>{bytes(session.bytes_in)}</dd></div>}
        {session.ended_at && <div><dt>Sent</dt><dd>{bytes(session.bytes_out)}</dd></div>}
      </dl>
      <Terminal session={session} activity={activity} />
    </main>
  );
}

function Lasting({ session }: { session: Session }) {
  const now = useNow(1000);
  return <>{duration(session.started_at, session.ended_at ?? new Date(now).toISOString())}</>;
}

const PROMPT: Record<string, string> = { login: "login", command: "$", request: "→", upload: "upload" };

function Terminal({ session, activity }: { session: Session; activity: readonly Activity[] }) {
  const end = useRef<HTMLLIElement>(null);
  const follow = useRef(true);
  useEffect(() => {
    if (follow.current) end.current?.scrollIntoView({ block: "nearest" });
  }, [activity.length, session.ended_at]);
  return (
    <ol className="terminal" aria-label="What the visitor did" tabIndex={0}
      onScroll={({ currentTarget: t }) => { follow.current = t.scrollHeight - t.scrollTop - t.clientHeight < 40; }}>
      <li className="meta"><Clock ts={session.started_at} /><span>connected from {session.peer}</span></li>
      {activity.map((one) => (
        <li key={one.index} className={`did-${one.kind}`} data-testid="activity">
          <Clock ts={one.at} /><span className="prompt">{PROMPT[one.kind] ?? one.kind}</span><Typed text={deed(one.kind, one.text)} />
        </li>
      ))}
      {session.ended_at
        ? <li className="meta" ref={end}><Clock ts={session.ended_at} /><span>{ending(session)}</span></li>
        : <li className="meta waiting" ref={end}><span>The visitor is still there</span><i aria-hidden="true" /></li>}
    </ol>
  );
}

const CUT: Record<string, string> = {
  bytes: "too many bytes",
  duration: "it lasted too long",
  idle: "the visitor fell silent",
  facts: "more happened than is kept of one session",
  panic: "the decoy failed; no other session was affected",
  mutation: "the decky changed",
  shutdown: "Morgana stopped",
};

function ending(session: Session): string {
  const lasted = duration(session.started_at, session.ended_at ?? session.started_at);
  const cut = session.truncated ? `, cut short: ${CUT[session.truncated] ?? session.truncated}` : "";
  return `ended after ${lasted}, ${bytes(session.bytes_in)} received, ${bytes(session.bytes_out)} sent${cut}`;
}

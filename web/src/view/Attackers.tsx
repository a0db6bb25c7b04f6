/** Attackers: one source address each; the list, and one with its sessions. */

import { useEffect, useState } from "react";
import type { Attacker } from "../api/types";
import { decky } from "../format/story";
import { count, moment, shortId, visible } from "../format/words";
import { Ago, Empty, Score, Typed } from "./parts";
import { newestFirst, SessionTable } from "./Sessions";
import { useConsole } from "./Shell";
import { TryIt } from "./TryIt";

export function AttackersPage() {
  const { sight: { world } } = useConsole();
  const [filter, setFilter] = useState("");
  const attackers = [...world.attackers.values()]
    .filter((attacker) => matches(attacker, filter.trim().toLowerCase()))
    .sort((a, b) => b.score - a.score || (a.last_seen < b.last_seen ? 1 : -1));
  if (world.attackers.size === 0) {
    return <main className="page"><h1>Attackers</h1><Empty title="No attackers yet"><TryIt /></Empty></main>;
  }
  return (
    <main className="page">
      <div className="heading">
        <h1>Attackers</h1>
        <input type="search" placeholder="Filter  /" aria-label="Filter the attackers" value={filter}
          onChange={(event) => setFilter(event.target.value)} />
      </div>
      <table data-testid="attackers">
        <thead>
          <tr><th>Address</th><th>Score</th><th>Why</th><th>Sessions</th><th>Logins</th><th>Commands</th><th>Last seen</th></tr>
        </thead>
        <tbody>
          {attackers.map((attacker) => (
            <tr key={attacker.attacker_id}>
              <td><a href={`#/attackers/${attacker.attacker_id}`} className="mono">{attacker.address}</a></td>
              <td><Score score={attacker.score} /></td>
              <td className="wide">{attacker.reasons.map(visible).join("; ") || <small>nothing yet</small>}</td>
              <td>{attacker.sessions}</td>
              <td>{attacker.logins}</td>
              <td>{attacker.commands}</td>
              <td><Ago ts={attacker.last_seen} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </main>
  );
}

function matches(attacker: Attacker, wanted: string): boolean {
  return [attacker.address, ...attacker.reasons, ...attacker.services]
    .some((text) => text.toLowerCase().includes(wanted));
}

export function AttackerPage({ id }: { id: string }) {
  const { sync, sight: { world } } = useConsole();
  useEffect(() => {
    sync.readSessionsOf(id).catch(() => undefined);
    sync.refresh("attackers");
  }, [sync, id]);
  const attacker = world.attackers.get(id);
  if (!attacker) return <main className="page"><Empty title="No such attacker" /></main>;
  const sessions = newestFirst([...world.sessions.values()].filter((session) => session.attacker_id === id));
  return (
    <main className="page" data-testid="attacker-view">
      <p className="crumbs"><a href="#/attackers">Attackers</a></p>
      <h1 className="mono">{attacker.address} <Score score={attacker.score} /></h1>
      <dl className="facts">
        <div><dt>First seen</dt><dd>{moment(attacker.first_seen)}</dd></div>
        <div><dt>Last seen</dt><dd><Ago ts={attacker.last_seen} /></dd></div>
        <div><dt>Sessions</dt><dd>{attacker.sessions}</dd></div>
        <div><dt>Logins</dt><dd>{attacker.logins}{attacker.logins_accepted > 0 && <small> ({attacker.logins_accepted} got in)</small>}</dd></div>
        <div><dt>Commands</dt><dd>{attacker.commands}</dd></div>
        <div><dt>Requests</dt><dd>{attacker.requests}</dd></div>
        <div><dt>Uploads</dt><dd>{attacker.uploads}</dd></div>
        {attacker.identity_id && <div><dt>Identity</dt><dd><a href="#/identities">{shortId(attacker.identity_id)}</a></dd></div>}
      </dl>
      <div className="columns">
        <section className="panel">
          <h2>Why this score</h2>
          {attacker.reasons.length > 0
            ? <ul className="plainlist">{attacker.reasons.map((reason) => <li key={reason}>{visible(reason)}</li>)}</ul>
            : <p className="dim">Nothing that raises it yet.</p>}
        </section>
        <section className="panel">
          <h2>Touched</h2>
          <p>{attacker.deckies.map((one) => decky(world, one)).join(", ") || "nothing yet"}</p>
          <p>{attacker.services.map((service) => <span className="service" key={service}>{service}</span>)}</p>
        </section>
        <section className="panel">
          <h2>Fingerprints</h2>
          {attacker.fingerprints.length > 0
            ? <ul className="plainlist">{attacker.fingerprints.map((print) => <li key={print}><Typed text={print} /></li>)}</ul>
            : <p className="dim">None yet.</p>}
        </section>
      </div>
      <h2>{count(sessions.length, "session")}</h2>
      {sessions.length > 0 && <SessionTable sessions={sessions} />}
    </main>
  );
}

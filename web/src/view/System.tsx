/** What runs: the workers, the bus, and the sinks of the journal; and how all of it is switched off. Asks every few seconds. */

import { useCallback, useEffect, useState } from "react";
import { api, explain } from "../api/client";
import type { Relay, Sink, Worker } from "../api/types";
import { figures } from "../format/words";
import { PanicButton } from "./Panic";
import { Ago, Confirm } from "./parts";
import { useConsole } from "./Shell";

/** Between two looks, in milliseconds. */
const EVERY = 5000;

interface Seen {
  workers: Worker[];
  relay: Relay;
}

export function SystemPage() {
  const { mayAdminister, mayChange } = useConsole();
  const [seen, setSeen] = useState<Seen>();
  const [problem, setProblem] = useState<string>();
  const [stopping, setStopping] = useState<string>();
  const look = useCallback(async () => {
    try {
      const [workers, relay] = await Promise.all([api.workers(), api.relay()]);
      setSeen({ workers, relay });
      setProblem(undefined);
    } catch (error) {
      setProblem(explain(error));
    }
  }, []);
  useEffect(() => {
    void look();
    const timer = setInterval(() => void look(), EVERY);
    return () => clearInterval(timer);
  }, [look]);

  return (
    <main className="page" aria-busy={!seen && !problem}>
      <h1>System</h1>
      {problem && <p role="alert">{problem}</p>}
      {seen && <Workers workers={seen.workers} stop={mayAdminister ? setStopping : undefined} />}
      {seen && <Sinks relay={seen.relay} />}
      {mayChange && <PanicButton />}
      {stopping && (
        <Confirm
          title={`Stop ${stopping}?`}
          text="It finishes what it has begun and ends. It starts again with the service only."
          verb="Stop"
          act={async () => {
            await api.stopWorker(stopping);
            await look();
          }}
          close={() => setStopping(undefined)}
        />
      )}
    </main>
  );
}

function Workers({ workers, stop }: { workers: Worker[]; stop: ((name: string) => void) | undefined }) {
  return (
    <table data-testid="workers">
      <thead><tr><th>Worker</th><th>State</th><th>Heard</th><th>Figures</th><th /></tr></thead>
      <tbody>
        {workers.map((worker) => (
          <tr key={worker.worker} data-testid={`worker-${worker.worker}`}>
            <td className="mono">{worker.worker}</td>
            <td><span className={`badge status worker-${worker.state}`}>{stateOf(worker)}</span></td>
            <td>{worker.heard_at ? <Ago ts={worker.heard_at} /> : <small>never</small>}</td>
            <td className="wide">{figures(worker.figures)}</td>
            <td>{stop && worker.can_stop && <button className="ghost" onClick={() => stop(worker.worker)}>Stop</button>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function stateOf(worker: Worker): string {
  return worker.stopped_by === null ? worker.state : `stopped by ${worker.stopped_by}`;
}

function Sinks({ relay }: { relay: Relay }) {
  return (
    <>
      <h2>Relay</h2>
      <p><small>The journal has {relay.journal_head} events; each sink is told them in order.</small></p>
      <table data-testid="sinks">
        <thead><tr><th>Sink</th><th>State</th><th>Position</th><th>Behind</th><th>Delivered</th><th>Dead letters</th><th>Last error</th></tr></thead>
        <tbody>
          {relay.items.map((sink) => (
            <tr key={sink.sink}>
              <td className="mono">{sink.sink}</td>
              <td><span className={`badge status sink-${sink.state}`}>{sink.state}</span></td>
              <td>{sink.position}</td>
              <td>{sink.behind}</td>
              <td>{sink.delivered}</td>
              <td>{sink.dead_letters}</td>
              <td className="wide"><LastError sink={sink} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function LastError({ sink }: { sink: Sink }) {
  if (sink.last_error === null || sink.last_error_at === null) return null;
  return <>{sink.last_error} <small><Ago ts={sink.last_error_at} /></small></>;
}

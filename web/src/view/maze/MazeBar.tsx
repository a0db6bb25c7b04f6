/** The head of the maze: which one, how it fares, and what can be done with it as a whole. */

import { api } from "../../api/client";
import type { Topology, TopologyStatus } from "../../api/types";
import { count, every, words } from "../../format/words";
import { go } from "../route";
import { useConsole } from "../Shell";
import type { Open } from "./dialogs";
import { saveFile } from "./file";

/** Sends a request that has no form of its own; its refusal shows in the bar. */
export type Attempt = (request: Promise<unknown>) => void;

export function MazeBar({ topology, topologies, setOpen, problem, attempt }: {
  topology: Topology; topologies: Topology[]; setOpen: (open: Open) => void;
  problem: string; attempt: Attempt;
}) {
  const { mayChange } = useConsole();
  const { topology_id, status, deckies, lans, rotate_every_seconds } = topology;
  return (
    <div className="bar">
      {topologies.length > 1
        ? (
          <select className="title" aria-label="Maze" value={topology_id} onChange={(event) => go("maze", event.target.value)}>
            {topologies.map(({ topology_id: its, name, status }) => (
              <option key={its} value={its}>{status === "torn_down" ? `${name} (torn down)` : name}</option>
            ))}
          </select>
        )
        : <h1>{topology.name}</h1>}
      <span className={`badge status ${status}`} data-testid="topology-status" title={topology.reason ?? undefined}>{words(status)}</span>
      <span className="dim">
        {count(lans.length, "LAN")}, {count(deckies.length, "decky", "deckies")}
        {rotate_every_seconds !== null && `, rotating ${every(rotate_every_seconds)}`}
      </span>
      <span className="spring" />
      {mayChange && status === "pending" &&
        <button className="primary" onClick={() => attempt(api.deploy(topology_id))} data-testid="deploy">Deploy</button>}
      {mayChange && STANDING.includes(status) &&
        <button className="danger quiet" onClick={() => setOpen({ what: "teardown" })} data-testid="teardown">Tear down</button>}
      {mayChange && (
        <button className={status === "torn_down" ? "primary" : undefined} data-testid="create-topology"
          onClick={() => setOpen({ what: "create" })}>New maze</button>
      )}
      <Tools topology={topology} setOpen={setOpen} attempt={attempt} />
      {problem && <p className="problem" role="alert">{problem}</p>}
    </div>
  );
}

function Tools({ topology, setOpen, attempt }: {
  topology: Topology; setOpen: (open: Open) => void; attempt: Attempt;
}) {
  const { mayChange } = useConsole();
  const { topology_id, name, lans } = topology;
  const save = async () => saveFile(`${name}.json`, await api.exportTopology(topology_id));
  return (
    <div className="tools" role="group" aria-label="Changes of the maze">
      {mayChange && !isOver(topology) && (
        <>
          <button onClick={() => setOpen({ what: "add-lan" })} data-testid="add-lan">Add LAN</button>
          <button onClick={() => setOpen({ what: "add-decky" })} data-testid="add-decky" disabled={lans.length === 0}
            title={lans.length === 0 ? "Add a LAN first" : undefined}>Add decky</button>
          <button onClick={() => setOpen({ what: "rotation" })} data-testid="rotation">Rotation</button>
          <button onClick={() => setOpen({ what: "undo" })} data-testid="undo">Undo</button>
        </>
      )}
      <button onClick={() => attempt(save())} data-testid="export">Export</button>
    </div>
  );
}

const STANDING: readonly TopologyStatus[] = ["deploying", "active", "degraded", "failed"];

export function isOver({ status }: Topology): boolean {
  return status === "torn_down" || status === "tearing_down";
}

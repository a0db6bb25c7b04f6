/** The maze: LANs as zones, deckies as cards, what is being changed, and the feed beside it. */

import { useCallback, useMemo, useState } from "react";
import { api, explain } from "../../api/client";
import type { Decky, Lan, Op, Session, Topology, TopologyStatus } from "../../api/types";
import { count, words } from "../../format/words";
import { Feed } from "../Feed";
import { Confirm, Empty } from "../parts";
import { go } from "../route";
import { useConsole } from "../Shell";
import { DeckyCard, type Action } from "./DeckyCard";
import { AddDecky, AddLan, CreateTopology, EditServices, isRemovable } from "./forms";
import { layout, type Zone } from "./layout";
import { MutationStrip } from "./MutationStrip";
import { Wires } from "./Wires";

type Open =
  | { what: "create" | "add-decky" | "add-lan" | "teardown" }
  | { what: Exclude<Action, "rotate">; decky: Decky }
  | { what: "remove-lan"; lan: Lan };

/** Sends a request that has no form of its own; its refusal shows in the bar. */
type Attempt = (request: Promise<unknown>) => void;

export function MazePage({ topology: wanted }: { topology: string | undefined }) {
  const { sight: { world }, mayChange } = useConsole();
  const [open, setOpen] = useState<Open>();
  const [problem, setProblem] = useState("");
  const topologies = [...world.topologies.values()].sort(bySense);
  const topology = topologies.find(({ topology_id, name }) => topology_id === wanted || name === wanted) ?? topologies[0];
  const close = useCallback(() => setOpen(undefined), []);
  const attempt = useCallback<Attempt>((request) => {
    setProblem("");
    request.catch((error: unknown) => setProblem(explain(error)));
  }, []);
  if (!topology) {
    return (
      <main className="page" data-testid="maze">
        <Empty title="No maze yet">
          <p>A maze is a set of LANs full of decoy machines. The demo has three LANs and six deckies.</p>
          {mayChange && <button className="primary" onClick={() => setOpen({ what: "create" })}>Create a maze</button>}
        </Empty>
        {open?.what === "create" && <CreateTopology close={close} />}
      </main>
    );
  }
  const mutations = [...world.mutations.values()]
    .filter((mutation) => mutation.topology_id === topology.topology_id)
    .sort((a, b) => (a.mutation_id < b.mutation_id ? 1 : -1));
  return (
    <main className="maze" data-testid="maze" data-topology={topology.topology_id} data-status={topology.status}>
      <div className="stage">
        <MazeBar topology={topology} topologies={topologies} setOpen={setOpen} problem={problem} attempt={attempt} />
        <div className="ground"><Canvas topology={topology} setOpen={setOpen} attempt={attempt} /></div>
        <MutationStrip mutations={mutations} />
      </div>
      <aside><Feed compact /></aside>
      {open && <OpenDialog open={open} topology={topology} close={close} />}
    </main>
  );
}

/** What lives comes before what was taken down; then the newest. */
function bySense(a: Topology, b: Topology): number {
  const gone = (topology: Topology) => Number(topology.status === "torn_down");
  return gone(a) - gone(b) || (a.topology_id < b.topology_id ? 1 : -1);
}

function MazeBar({ topology, topologies, setOpen, problem, attempt }: {
  topology: Topology; topologies: Topology[]; setOpen: (open: Open) => void;
  problem: string; attempt: Attempt;
}) {
  const { mayChange } = useConsole();
  const { status, deckies, lans } = topology;
  return (
    <div className="bar">
      {topologies.length > 1
        ? (
          <select className="title" aria-label="Maze" value={topology.topology_id} onChange={(event) => go("maze", event.target.value)}>
            {topologies.map(({ topology_id, name, status: its }) => (
              <option key={topology_id} value={topology_id}>{its === "torn_down" ? `${name} (torn down)` : name}</option>
            ))}
          </select>
        )
        : <h1>{topology.name}</h1>}
      <span className={`badge status ${status}`} data-testid="topology-status" title={topology.reason ?? undefined}>{words(status)}</span>
      <span className="dim">{count(lans.length, "LAN")}, {count(deckies.length, "decky", "deckies")}</span>
      <span className="spring" />
      {problem && <span className="problem" role="alert">{problem}</span>}
      {mayChange && !isOver(topology) && (
        <>
          <button onClick={() => setOpen({ what: "add-lan" })} data-testid="add-lan">Add LAN</button>
          <button onClick={() => setOpen({ what: "add-decky" })} data-testid="add-decky" disabled={lans.length === 0}
            title={lans.length === 0 ? "Add a LAN first" : undefined}
            className={status === "pending" ? undefined : "primary"}>Add decky</button>
          {status === "pending" && <button className="primary" onClick={() => attempt(api.deploy(topology.topology_id))} data-testid="deploy">Deploy</button>}
          {STANDING.includes(status) &&
            <button className="danger quiet" onClick={() => setOpen({ what: "teardown" })} data-testid="teardown">Tear down</button>}
        </>
      )}
      {mayChange && (
        <button className={status === "torn_down" ? "primary" : "ghost"} data-testid="create-topology"
          onClick={() => setOpen({ what: "create" })}>New maze</button>
      )}
    </div>
  );
}

const STANDING: readonly TopologyStatus[] = ["deploying", "active", "degraded", "failed"];

function isOver({ status }: Topology): boolean {
  return status === "torn_down" || status === "tearing_down";
}

function Canvas({ topology, setOpen, attempt }: {
  topology: Topology; setOpen: (open: Open) => void; attempt: Attempt;
}) {
  const columns = useMemo(() => layout(topology), [topology]);
  const { sight: { world }, mayChange } = useConsole();
  const live = [...world.sessions.values()].filter((session) => !session.ended_at);
  const revision = useMemo(() => ({ columns, live: live.length }), [columns, live.length]);
  if (columns.length === 0) {
    return (
      <Empty title="An empty maze">
        <p>Begin with a LAN, then put deckies into it.</p>
        {mayChange && <button className="primary" onClick={() => setOpen({ what: "add-lan" })}>Add a LAN</button>}
      </Empty>
    );
  }
  return (
    <div className="canvas">
      <Wires revision={revision} />
      {columns.map((zones) => (
        <div className="column" key={zones[0]?.lan.lan_id}>
          {zones.map((zone) => (
            <ZoneView key={zone.lan.lan_id} zone={zone} topology={topology} live={live} setOpen={setOpen} attempt={attempt} />
          ))}
        </div>
      ))}
    </div>
  );
}

function ZoneView({ zone: { lan, residents, visitors }, topology, live, setOpen, attempt }: {
  zone: Zone; topology: Topology; live: Session[]; setOpen: (open: Open) => void; attempt: Attempt;
}) {
  const { sight: { world }, mayChange: mayAct } = useConsole();
  const mayChange = mayAct && !isOver(topology);
  const act = useCallback((action: Action, decky: Decky) => {
    if (action !== "rotate") return setOpen({ what: action, decky });
    attempt(api.mutate(topology.topology_id, { op: "rotate_decky", payload: { decky: decky.name } }));
  }, [setOpen, attempt, topology.topology_id]);
  const busy = new Set([...world.mutations.values()]
    .filter(({ topology_id, state }) => topology_id === topology.topology_id && (state === "pending" || state === "applying"))
    .map(({ payload }) => String(payload["decky"] ?? "")));
  return (
    <section className={lan.is_dmz ? "zone dmz" : "zone"} aria-label={`LAN ${lan.name}`} data-testid={`lan-${lan.name}`}>
      <header>
        <h2>{lan.name}</h2>
        <span className="mono dim">{lan.subnet}</span>
        {lan.is_dmz && <span className="badge">faces outside</span>}
        <span className="spring" />
        {mayChange && isRemovable(topology, lan) &&
          <button className="link" onClick={() => setOpen({ what: "remove-lan", lan })}>Remove</button>}
      </header>
      {visitors.map(({ decky, address }) => (
        <p className="interface" key={decky.decky_id} data-wire-to={decky.decky_id} data-wire-lan={lan.lan_id}
          title={`${decky.name} has an interface here`}>
          <span>{decky.name}</span><span className="mono">{address}</span>
        </p>
      ))}
      <div className="deckies">
        {residents.map((decky) => (
          <DeckyCard key={decky.decky_id} decky={decky} pulse={world.pulses.get(decky.decky_id)}
            live={live.filter((session) => session.decky_id === decky.decky_id).length}
            mayChange={mayChange} busy={busy.has(decky.name)} act={act} />
        ))}
        {residents.length === 0 && <p className="dim">No deckies here yet.</p>}
      </div>
    </section>
  );
}

function OpenDialog({ open, topology, close }: { open: Open; topology: Topology; close: () => void }) {
  switch (open.what) {
    case "create": return <CreateTopology close={close} />;
    case "add-decky": return <AddDecky topology={topology} close={close} />;
    case "add-lan": return <AddLan topology={topology} close={close} />;
    case "edit": return <EditServices topology={topology} decky={open.decky} close={close} />;
    case "remove": {
      const op: Op = { op: "remove_decky", payload: { decky: open.decky.name } };
      return <Confirm title={`Remove ${open.decky.name}?`} verb="Remove decky" close={close}
        text="It leaves the network at once and its live sessions end. What it recorded stays."
        act={() => api.mutate(topology.topology_id, op)} />;
    }
    case "remove-lan": {
      const op: Op = { op: "remove_lan", payload: { name: open.lan.name } };
      return <Confirm title={`Remove LAN ${open.lan.name}?`} verb="Remove LAN" close={close}
        text={`${open.lan.subnet} becomes free again.`}
        act={() => api.mutate(topology.topology_id, op)} />;
    }
    case "teardown":
      return <Confirm title={`Tear down ${topology.name}?`} verb="Tear down" close={close}
        text={`All ${count(topology.deckies.length, "decky", "deckies")} leave the network for good and live sessions end. What was recorded stays.`}
        act={() => api.teardown(topology.topology_id)} />;
  }
}

/** The maze: LANs as zones, deckies as cards, what is being changed, and the feed beside it. */

import { useCallback, useMemo, useState } from "react";
import { api, explain } from "../../api/client";
import type { Decky, Mutation, Op, Session, Topology } from "../../api/types";
import { Feed } from "../Feed";
import { Empty } from "../parts";
import { useConsole } from "../Shell";
import { DeckyCard, type Action } from "./DeckyCard";
import { OpenDialog, type Open } from "./dialogs";
import { layout, type Zone } from "./layout";
import { isOver, MazeBar, type Attempt } from "./MazeBar";
import { MutationStrip } from "./MutationStrip";
import { NewMaze } from "./NewMaze";
import { isRemovable } from "./ops";
import { Wires } from "./Wires";

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
        {open?.what === "create" && <NewMaze close={close} />}
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
        <div className="ground" key={topology.topology_id}><Canvas topology={topology} setOpen={setOpen} attempt={attempt} /></div>
        <MutationStrip mutations={mutations} />
      </div>
      <aside><Feed compact /></aside>
      {open && <OpenDialog open={open} topology={topology} waiting={mutations.filter(isWaiting).length} close={close} />}
    </main>
  );
}

function isWaiting({ state }: Mutation): boolean {
  return state === "pending" || state === "applying";
}

/** What lives comes before what was taken down; then the newest. */
function bySense(a: Topology, b: Topology): number {
  const gone = (topology: Topology) => Number(topology.status === "torn_down");
  return gone(a) - gone(b) || (a.topology_id < b.topology_id ? 1 : -1);
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
    if (action !== "rotate" && action !== "start") return setOpen({ what: action, decky: decky.decky_id });
    const op: Op = { op: action === "start" ? "start_decky" : "rotate_decky", payload: { decky: decky.name } };
    attempt(api.mutate(topology.topology_id, op));
  }, [setOpen, attempt, topology.topology_id]);
  const busy = new Set([...world.mutations.values()]
    .filter((mutation) => mutation.topology_id === topology.topology_id && isWaiting(mutation))
    .map(({ payload }) => String(payload["decky"] ?? "")));
  return (
    <section className={lan.is_dmz ? "zone dmz" : "zone"} aria-label={`LAN ${lan.name}`} data-testid={`lan-${lan.name}`}>
      <header>
        <h2>{lan.name}</h2>
        <span className="mono dim">{lan.subnet}</span>
        {lan.is_dmz && <span className="badge">faces outside</span>}
        <span className="spring" />
        {mayChange && (
          <>
            <button className="link" onClick={() => setOpen({ what: "edit-lan", lan: lan.lan_id })}
              data-testid="edit-lan" aria-label={`Edit LAN ${lan.name}`}>Edit</button>
            {isRemovable(topology, lan) &&
              <button className="link" onClick={() => setOpen({ what: "remove-lan", lan: lan.lan_id })}
                data-testid="remove-lan" aria-label={`Remove LAN ${lan.name}`}>Remove</button>}
          </>
        )}
      </header>
      {visitors.map(({ decky, address, routes }) => (
        <p className="interface" key={decky.decky_id} data-wire-to={decky.decky_id} data-wire-lan={lan.lan_id}
          data-testid={`interface-${decky.name}`} title={`${decky.name} has an interface here`}>
          <span>{decky.name}</span>
          {routes && <span className="badge" title={`Routes between ${lan.name} and its home`}>routes</span>}
          <span className="spring" />
          <span className="mono">{address}</span>
          {mayChange &&
            <button className="link" onClick={() => setOpen({ what: "detach", decky: decky.decky_id, lan: lan.lan_id })}
              data-testid="detach" aria-label={`Detach ${decky.name} from ${lan.name}`}>Detach</button>}
        </p>
      ))}
      <div className="deckies">
        {residents.map((decky) => (
          <DeckyCard key={decky.decky_id} decky={decky} pulse={world.pulses.get(decky.decky_id)}
            live={live.filter((session) => session.decky_id === decky.decky_id).length}
            mayChange={mayChange} mayAttach={decky.interfaces.length < topology.lans.length} busy={busy.has(decky.name)} act={act} />
        ))}
        {residents.length === 0 && <p className="dim">No deckies here yet.</p>}
      </div>
    </section>
  );
}

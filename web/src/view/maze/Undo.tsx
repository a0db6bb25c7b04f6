/** Takes the last change back. Shows which one, and what would happen, or why it is refused. */

import { useEffect, useState } from "react";
import { api, type Problem } from "../../api/client";
import type { AppliedMutation, Plan, Topology } from "../../api/types";
import { describe } from "../../format/story";
import { Ago, asProblem, Dialog, FormProblem, useSubmit } from "../parts";
import { useConsole } from "../Shell";
import { PlanView } from "./ChangeForm";
import { Buttons, Tick } from "./fields";
import { isLive, lastAsked } from "./ops";

/** `waiting` is how many changes are in the queue: none can be taken back before they have ended. */
export function Undo({ topology, waiting, close }: { topology: Topology; waiting: number; close: () => void }) {
  const [force, setForce] = useState(false);
  const { plan, last, refused, version } = useLook(topology, waiting, force);
  const { busy, problem, submit } = useSubmit(async () => {
    await api.undo(topology.topology_id, { count: 1, force, expected_version: version });
    close();
  });
  const unsafe = refused?.code === "UNDO_UNSAFE" && last !== undefined && waiting === 0;
  return (
    <Dialog title="Undo the last change" close={close}>
      <form data-testid="undo-form" onSubmit={submit} noValidate>
        {last && (
          <p className="taken" data-testid="undo-last">
            <b>{describe(last)}</b> <small>asked for by {last.requested_by}, <Ago ts={last.requested_at} /></small>
          </p>
        )}
        <FormProblem problem={refused ?? problem} />
        {plan && <PlanView plan={plan} live={isLive(topology.status)} />}
        {(unsafe || force) && <Tick name="force" change={setForce} error={undefined}>Force it: take it back all the same</Tick>}
        <Buttons close={close} busy={busy || !plan} verb="Undo" focus />
      </form>
    </Dialog>
  );
}

interface Seen {
  /** The version of the maze that this is about. */
  version: number;
  last?: AppliedMutation | undefined;
  plan?: Plan;
  refused?: Problem;
}

/** What an undo would do; looks again whenever the maze or the queue has changed. */
function useLook({ topology_id, version }: Topology, waiting: number, force: boolean): Seen {
  const { sync } = useConsole();
  const [seen, setSeen] = useState<Seen>({ version });
  useEffect(() => {
    let isOver = false;
    const look = async () => {
      const last = lastAsked(await api.applied(topology_id));
      try {
        const plan = await api.previewUndo(topology_id, { count: 1, force, expected_version: version });
        return { plan, last };
      } catch (error) {
        const refused = asProblem(error);
        // The news of the newer version are on their way; with them comes another look.
        if (refused.isOutdated) sync.refresh(`topology:${topology_id}`);
        return { last, refused };
      }
    };
    look().catch((error: unknown) => ({ refused: asProblem(error) })).then((found) => {
      if (!isOver) setSeen({ ...found, version });
    });
    return () => { isOver = true; };
  }, [sync, topology_id, version, waiting, force]);
  return seen;
}

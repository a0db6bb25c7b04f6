/**
 * The dialog of one change: its fields, what it would do, and sending it. A refusal shows at its
 * field. Once sent, the change is one of the queue, and the strip of changes tells the rest.
 */

import { useEffect, useState, type ReactNode } from "react";
import { api, type Problem } from "../../api/client";
import type { Op, Plan, Topology } from "../../api/types";
import { count } from "../../format/words";
import { Dialog, FormProblem, useSubmit } from "../parts";
import { Buttons } from "./fields";
import { isLive } from "./ops";

/** Most lines of a plan that are shown. */
const MAX_LINES = 60;

/** What a form was opened with, where it must not overwrite what others have changed since. */
export interface Opened {
  version: number;
  /** Whether the thing is another by now than the one in the form. */
  outdated: boolean;
  /** Reads the thing again and begins anew. */
  reload: () => void;
}

/**
 * Keeps a thing as it was when its form was opened. The version to insist on is the newest for as
 * long as the thing itself is the same: what happens elsewhere in the maze is no conflict.
 */
export function useOpened<T>(
  thing: T, version: number, same: (a: T, b: T) => boolean, reload: () => void,
): { thing: T; opened: Opened } {
  const [first] = useState({ thing, version });
  const outdated = !same(first.thing, thing);
  return { thing: first.thing, opened: { version: outdated ? first.version : version, outdated, reload } };
}

export function ChangeForm({
  topology, title, verb, op, close, opened, fields = [], text, danger = false, testid, children,
}: {
  topology: Topology; title: string; verb: string;
  /** The change that the form stands for; throws a `Problem` where it stands for none. */
  op: (form: FormData) => Op;
  close: () => void;
  opened?: Opened;
  /** Names in the paths of the API that the form has fields for. */
  fields?: string[];
  text?: string;
  danger?: boolean;
  testid: string;
  /** The fields; where there are none, the dialog asks only, and shows at once what would be done. */
  children?: (problem: Problem | undefined) => ReactNode;
}) {
  const [plan, setPlan] = useState<Plan>();
  const { busy, problem, form, run, submit } = useSubmit(async (data) => {
    await api.mutate(topology.topology_id, op(data), opened?.version);
    close();
  });
  const look = () => run(async () => {
    setPlan(undefined);
    const data = new FormData(form.current ?? undefined);
    setPlan(await api.preview(topology.topology_id, op(data), opened?.version));
  });
  const asksOnly = children === undefined;
  useEffect(() => {
    if (asksOnly) look();
    // Once: what is asked does not change while the dialog stands.
  }, []);
  const isOutdated = opened && (opened.outdated || problem?.isOutdated);
  return (
    <Dialog title={title} close={close} testid={asksOnly ? "confirm-dialog" : undefined}>
      <form ref={form} data-testid={testid} onSubmit={submit} onChange={() => setPlan(undefined)} noValidate>
        {text && <p className="dim">{text}</p>}
        {children?.(problem)}
        {isOutdated ? <Outdated opened={opened} /> : <FormProblem problem={problem} fields={fields} />}
        {plan && <PlanView plan={plan} live={isLive(topology.status)} />}
        <Buttons close={close} busy={busy} verb={verb} danger={danger} focus={asksOnly}>
          {!asksOnly && <button type="button" className="first" onClick={look} disabled={busy} data-testid="dry-run">Dry run</button>}
        </Buttons>
      </form>
    </Dialog>
  );
}

function Outdated({ opened: { outdated, reload } }: { opened: Opened }) {
  return (
    <div className="problem outdated" role="alert" data-testid="outdated">
      <p>{outdated ? "This was changed by somebody else while the form was open." : "The maze has just changed. Try again, or reload."}</p>
      <button type="button" onClick={reload} data-testid="reload">Reload</button>
    </div>
  );
}

/** What a change would do. */
export function PlanView({ plan: { version, changes, steps }, live }: { plan: Plan; live: boolean }) {
  const nothing = live ? "Nothing happens in the network." : "Nothing happens in the network: the maze is not deployed.";
  return (
    <section className="plan" role="status" data-testid="plan">
      <h3>This would make version {version}. Nothing is changed yet.</h3>
      <Lines lines={changes} />
      {steps.length > 0 ? <><h4>In the network</h4><Lines lines={steps} ordered /></> : <p className="dim">{nothing}</p>}
    </section>
  );
}

function Lines({ lines, ordered = false }: { lines: string[]; ordered?: boolean }) {
  const shown = lines.slice(0, MAX_LINES).map((line, index) => <li key={index}>{line}</li>);
  if (lines.length > MAX_LINES) shown.push(<li key="more" className="dim">and {count(lines.length - MAX_LINES, "more line")}</li>);
  return ordered ? <ol>{shown}</ol> : <ul>{shown}</ul>;
}

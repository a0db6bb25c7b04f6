/** The latest changes of a maze and how far each one is. */

import { useState } from "react";
import type { Mutation, MutationState } from "../../api/types";
import { describe } from "../../format/story";
import { visible } from "../../format/words";
import { Ago, useNow } from "../parts";

const SHOWN = 6;
/** How long a change that went well stays in sight; one that failed stays until dismissed. */
const APPLIED_MS = 120_000;
const FAILED_MS = 1_800_000;
const STEPS: { state: MutationState; label: string }[] = [
  { state: "pending", label: "queued" },
  { state: "applying", label: "applying" },
  { state: "applied", label: "applied" },
];

export function MutationStrip({ mutations }: { mutations: Mutation[] }) {
  const [dismissed, setDismissed] = useState<ReadonlySet<string>>(new Set());
  const now = useNow(5000);
  const shown = mutations
    .filter((mutation) => !dismissed.has(mutation.mutation_id) && isCurrent(mutation, now))
    .slice(0, SHOWN);
  if (shown.length === 0) return null;
  return (
    <section className="mutations" aria-label="Changes" aria-live="polite">
      <h2>Changes</h2>
      <ol>
        {shown.map((mutation) => (
          <li key={mutation.mutation_id} data-testid={`mutation-${mutation.mutation_id}`} data-state={mutation.state}
            data-op={mutation.op} title={`asked for by ${mutation.requested_by}`}>
            <span className="deed">{describe(mutation)}</span>
            <Progress state={mutation.state} />
            {mutation.reason && <span className="reason">{visible(mutation.reason)}</span>}
            <small><Ago ts={mutation.requested_at} /></small>
            {mutation.state === "failed" && (
              <button className="link" onClick={() => setDismissed(new Set([...dismissed, mutation.mutation_id]))}>Dismiss</button>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

function isCurrent({ state, requested_at }: Mutation, now: number): boolean {
  const age = now - new Date(requested_at).getTime();
  if (state === "applied") return age < APPLIED_MS;
  return state === "failed" ? age < FAILED_MS : true;
}

function Progress({ state }: { state: MutationState }) {
  if (state === "failed") return <span className="progress failed"><i /><b>failed</b></span>;
  const reached = STEPS.findIndex((step) => step.state === state);
  return (
    <span className={`progress ${state}`}>
      {STEPS.map((step, index) => <i key={step.state} className={index <= reached ? "on" : undefined} />)}
      <b>{STEPS[reached]?.label}</b>
    </span>
  );
}

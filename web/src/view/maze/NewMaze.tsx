/** A new maze: the demo, an empty one, one from a seed, or one from a file. */

import { useState } from "react";
import { api, type Problem } from "../../api/client";
import type { Topology, Verdict } from "../../api/types";
import { visible } from "../../format/words";
import { Dialog, Field, FormProblem, useSubmit } from "../parts";
import { go } from "../route";
import { useConsole } from "../Shell";
import { Buttons } from "./fields";
import { blueprint, NAME_HINT, nameIn, refusal, textIn } from "./ops";

const BEGINNINGS = {
  demo: { label: "Demo", text: "Three LANs, six deckies with SSH, HTTP, FTP and Redis" },
  empty: { label: "Empty", text: "Nothing; add LANs and deckies yourself" },
  generated: { label: "Generated", text: "From a seed: the same seed, the same maze" },
  file: { label: "From a file", text: "One that was exported, here or elsewhere" },
} as const;
type Beginning = keyof typeof BEGINNINGS;

/** Longest file that is read; a maze of the largest size has less. */
const MAX_FILE_BYTES = 8 << 20;
/** Most faults of a file that are shown. */
const MAX_FAULTS = 20;

/** Named exactly: in a file, many other things have names. */
const FIELDS = [
  "name", "seed", "depth", "branching", "deckies_min", "deckies_max", "bridge_forward_percent", "cross_edge_percent", "file",
];

/** A file that was chosen, as read and judged. */
interface Chosen {
  document: { name?: unknown };
  verdict: Verdict;
}

export function NewMaze({ close }: { close: () => void }) {
  const { sync } = useConsole();
  const [beginning, setBeginning] = useState<Beginning>("demo");
  const [chosen, setChosen] = useState<Chosen>();
  const { busy, problem, form, run, submit } = useSubmit(async (form) => {
    const { topology_id } = await make(beginning, form, chosen);
    sync.refresh("topologies");
    close();
    go("maze", topology_id);
  });
  const choose = (file: File | undefined) => {
    setChosen(undefined);
    if (file) run(async () => setChosen(await read(file)));
  };
  const own = typeof chosen?.document.name === "string" ? visible(chosen.document.name) : undefined;
  const broken = beginning === "file" && chosen?.verdict.valid === false;
  return (
    <Dialog title="Create a maze" close={close}>
      <form ref={form} data-testid="create-topology-form" onSubmit={submit} noValidate>
        <fieldset className="cards">
          <legend>Begin with</legend>
          {(Object.keys(BEGINNINGS) as Beginning[]).map((word) => (
            <label key={word}>
              <input type="radio" name="template" value={word} checked={word === beginning} onChange={() => setBeginning(word)} />
              <b>{BEGINNINGS[word].label}</b><small>{BEGINNINGS[word].text}</small>
            </label>
          ))}
        </fieldset>
        {beginning === "file" && <FileField choose={choose} problem={problem} chosen={chosen} />}
        <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false}
          placeholder={beginning === "file" ? own ?? "the file's own" : "branch-office"}
          hint={NAME_HINT} error={problem?.exactly("name")} />
        {beginning === "generated" && <Blueprint problem={problem} />}
        <FormProblem problem={problem} fields={FIELDS.filter((name) => problem?.exactly(name))} />
        <Buttons close={close} busy={busy || broken} verb="Create maze" />
      </form>
    </Dialog>
  );
}

function make(beginning: Beginning, form: FormData, chosen: Chosen | undefined): Promise<Topology> {
  switch (beginning) {
    case "demo":
    case "empty": return api.createTopology(nameIn(form), beginning);
    case "generated": return api.generate(blueprint(form));
    case "file": {
      if (!chosen) throw refusal("file", "Choose a file first.");
      return api.importTopology(textIn(form, "name") ? { ...chosen.document, name: nameIn(form) } : chosen.document);
    }
  }
}

async function read(file: File): Promise<Chosen> {
  if (file.size > MAX_FILE_BYTES) throw refusal("file", "This file is too large to be a maze.");
  const document = parse(await file.text());
  if (!document) throw refusal("file", "This file is no maze: it holds no JSON object.");
  return { document, verdict: await api.judge(document) };
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function FileField({ choose, problem, chosen }: {
  choose: (file: File | undefined) => void; problem: Problem | undefined; chosen: Chosen | undefined;
}) {
  const error = problem?.exactly("file");
  return (
    <>
      <Field label="File" type="file" accept=".json,application/json" error={error}
        onChange={(event) => choose(event.target.files?.[0])} />
      {chosen && <VerdictView verdict={chosen.verdict} />}
    </>
  );
}

function VerdictView({ verdict: { valid, deployable, errors, warnings } }: { verdict: Verdict }) {
  const word = !valid ? "This maze breaks rules and cannot be imported." : deployable
    ? "This maze is valid and can be deployed."
    : "This maze is valid, but cannot be deployed as it is.";
  return (
    <section className={valid ? "plan" : "plan wrong"} role="status" data-testid="verdict" data-valid={valid}>
      <h3>{word}</h3>
      <ul>
        {errors.slice(0, MAX_FAULTS).map(({ code, field, message }) => (
          <li key={`${code} ${field}`} title={code}><code>{visible(field)}</code> {visible(message)}</li>
        ))}
        {warnings.slice(0, MAX_FAULTS).map((warning) => <li key={warning}>{visible(warning)}</li>)}
      </ul>
    </section>
  );
}

function Blueprint({ problem }: { problem: Problem | undefined }) {
  const [seed] = useState(() => String(Math.floor(Math.random() * 100_000)));
  const number = (name: string, label: string, rest: { hint?: string; defaultValue?: string; placeholder?: string }) =>
    <Field label={label} name={name} inputMode="numeric" autoComplete="off" error={problem?.exactly(name)} {...rest} />;
  return (
    <>
      <div className="triple">
        {number("depth", "Depth", { defaultValue: "3", hint: "Levels of LANs, 1 to 16." })}
        {number("branching", "Branching", { defaultValue: "2", hint: "LANs behind each, 1 to 8." })}
        {number("seed", "Seed", { defaultValue: seed, hint: "Decides the rest." })}
      </div>
      <details>
        <summary>More</summary>
        <div className="pair">
          {number("deckies_min", "Fewest deckies of a LAN", { placeholder: "2" })}
          {number("deckies_max", "Most deckies of a LAN", { placeholder: "6" })}
          {number("bridge_forward_percent", "Routes between two LANs, %", { placeholder: "50" })}
          {number("cross_edge_percent", "LANs with a second way, %", { placeholder: "10" })}
        </div>
      </details>
    </>
  );
}

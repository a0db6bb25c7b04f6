/** Small pieces that every page is made of. They know no data of their own. */

import {
  useEffect, useId, useLayoutEffect, useRef, useState, type FormEvent, type InputHTMLAttributes, type ReactNode,
} from "react";
import { explain, Problem } from "../api/client";
import type { FieldError } from "../api/types";
import type { Piece } from "../format/story";
import { ago, clock, level, moment, visible } from "../format/words";

/** The product's sign: a peak and its mirage. */
export function Mark() {
  return (
    <span className="mark">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path d="M5 20 16 6l11 14" />
        <path d="M9 24.5h14" className="second" />
        <path d="M13 28.5h6" className="third" />
      </svg>
      Morgana
    </span>
  );
}

/** A sentence of pieces. What a visitor typed is text in a box of its own direction. */
export function Sentence({ pieces }: { pieces: Piece[] }) {
  return (
    <>
      {pieces.map((piece, index) => {
        if (typeof piece === "string") return <span key={index}>{piece}</span>;
        if ("code" in piece) return <Typed key={index} text={piece.code} />;
        return <a key={index} href={piece.to}>{piece.text}</a>;
      })}
    </>
  );
}

/** What a visitor typed. */
export function Typed({ text }: { text: string }) {
  return <bdi className="typed">{visible(text)}</bdi>;
}

export function Clock({ ts }: { ts: string }) {
  return <time dateTime={ts} title={moment(ts)}>{clock(ts)}</time>;
}

/** How long ago, kept true while it stands on the screen. */
export function Ago({ ts }: { ts: string }) {
  const now = useNow(15_000);
  return <time dateTime={ts} title={moment(ts)}>{ago(ts, now)}</time>;
}

export function useNow(every: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function Score({ score }: { score: number }) {
  return (
    <span className={`score ${level(score)}`}>
      <meter min={0} max={100} value={score} aria-label="Score">{score}</meter>
      <b>{score}</b>
      <span>{level(score)}</span>
    </span>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <svg viewBox="0 0 64 40" aria-hidden="true">
        <path d="M8 28 32 6l24 22" />
        <path d="M16 33h32" className="second" />
        <path d="M25 38h14" className="third" />
      </svg>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** A command to copy, with the command itself in sight. */
export function Command({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const shown = useRef<HTMLElement>(null);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1600);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      if (shown.current) window.getSelection()?.selectAllChildren(shown.current);
    }
  };
  return (
    <span className="command">
      <code ref={shown} title={text}>{text}</code>
      <button type="button" className="copy" onClick={() => void copy()} aria-label={`Copy: ${label}`}>
        {copied ? "Copied" : "Copy"}
      </button>
    </span>
  );
}

export function Field({ label, hint, error, ...input }: {
  label: string; hint?: string; error?: FieldError | undefined;
} & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId();
  return (
    <div className={error ? "field wrong" : "field"}>
      <label htmlFor={id}>{label}</label>
      <input id={id} aria-invalid={Boolean(error)} aria-describedby={`${id}-note`} {...input} />
      <FieldNote id={`${id}-note`} hint={hint} error={error} />
    </div>
  );
}

export function FieldNote({ id, hint, error }: {
  id?: string; hint?: string | undefined; error?: FieldError | undefined;
}) {
  if (error) return <p className="note error" id={id} role="alert" title={error.code} data-code={error.code}>{error.message}</p>;
  return hint ? <p className="note" id={id}>{hint}</p> : null;
}

/**
 * What a form needs to know while it is sent: busy, the problem, and how to send. Who sets `form`
 * as its `ref` gets the focus back on the first field that is wrong.
 */
export function useSubmit(send: (form: FormData) => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (problem) form.current?.querySelector<HTMLElement>(".wrong input, .wrong select")?.focus();
  }, [problem]);
  const run = async (act: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await act();
    } catch (error) {
      setProblem(asProblem(error));
    }
    setBusy(false);
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    void run(() => send(data));
  };
  return { busy, problem, form, run: (act: () => Promise<void>) => void run(act), submit };
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, { title: explain(error) });
}

/** The problem as a whole, unless one of the form's own fields shows it already. */
export function FormProblem({ problem, fields = [] }: { problem: Problem | undefined; fields?: string[] }) {
  if (!problem) return null;
  const elsewhere = problem.fields.filter((error) => !fields.some((name) => problem.at(name) === error));
  if (problem.fields.length > 0 && elsewhere.length === 0) return null;
  const lines = elsewhere.length > 0 ? elsewhere.map((error) => error.message) : [problem.message];
  return (
    <div className="problem" role="alert" data-code={problem.code || undefined}>
      {lines.map((line) => <p key={line}>{line}</p>)}
    </div>
  );
}

/** A modal; the browser keeps the focus inside and closes it on Escape. */
export function Dialog({ title, close, children, testid }: {
  title: string; close: () => void; children: ReactNode; testid?: string;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before the dialog leaves the document: closing it then gives the focus back.
  useLayoutEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog} aria-labelledby={id} data-testid={testid}
      onCancel={(event) => { event.preventDefault(); close(); }}
      onClick={(event) => { if (event.target === dialog.current) close(); }}
    >
      <div className="sheet">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before something is lost. */
export function Confirm({ title, text, verb, act, close }: {
  title: string; text: string; verb: string; act: () => Promise<unknown>; close: () => void;
}) {
  const { busy, problem, submit } = useSubmit(async () => {
    await act();
    close();
  });
  return (
    <Dialog title={title} close={close} testid="confirm-dialog">
      <form onSubmit={submit}>
        <p>{text}</p>
        <FormProblem problem={problem} />
        <div className="buttons">
          <button type="button" onClick={close} autoFocus>Cancel</button>
          <button type="submit" className="danger" disabled={busy}>{verb}</button>
        </div>
      </form>
    </Dialog>
  );
}

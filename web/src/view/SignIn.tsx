/** The two pages before the console: the first user, and logging in. */

import type { ReactNode } from "react";
import { api, Problem } from "../api/client";
import { Field, FormProblem, Mark, useSubmit } from "./parts";

/** What the server accepts at least; it checks more. */
const MIN_PASSWORD = 8;

export function Setup({ secret, done, toLogin }: {
  secret: string; done: () => Promise<void>; toLogin: () => void;
}) {
  const { busy, problem, submit } = useSubmit(async (form) => {
    const [name, password] = [String(form.get("name")), String(form.get("password"))];
    checkPasswords(password, String(form.get("repeat")));
    await api.setup(secret, name, password);
    await enter(name, password);
    await done();
  });
  return (
    <Card title="Set up Morgana" lead="Create the first administrator. This link works once.">
      <form data-testid="setup-form" onSubmit={submit} noValidate>
        <Field label="Your name" name="name" autoComplete="username" autoFocus required
          defaultValue="admin" error={problem?.at("name")} />
        <Field label="Password" name="password" type="password" autoComplete="new-password" required
          hint={`At least ${MIN_PASSWORD} characters; a sentence is good.`} error={problem?.at("password")} />
        <Field label="Password again" name="repeat" type="password" autoComplete="new-password" required
          error={problem?.at("repeat")} />
        <FormProblem problem={problem} fields={["name", "password", "repeat"]} />
        <button type="submit" className="primary wide" disabled={busy}>
          {busy ? "Setting up…" : "Set up and enter"}
        </button>
      </form>
      <p className="aside">Already set up? <button className="link" onClick={toLogin}>Log in</button></p>
    </Card>
  );
}

export function Login({ note, done }: { note: string | undefined; done: () => Promise<void> }) {
  const { busy, problem, submit } = useSubmit(async (form) => {
    await api.login(String(form.get("name")), String(form.get("password")));
    await done();
  });
  return (
    <Card title="Log in" lead={note ?? "The maze is watching. So can you."}>
      <form data-testid="login-form" onSubmit={submit} noValidate>
        <Field label="Name" name="name" autoComplete="username" autoFocus required error={problem?.at("name")} />
        <Field label="Password" name="password" type="password" autoComplete="current-password" required
          error={problem?.at("password")} />
        <FormProblem problem={problem} fields={["name", "password"]} />
        <button type="submit" className="primary wide" disabled={busy}>
          {busy ? "Logging in…" : "Log in"}
        </button>
      </form>
      <p className="aside">First start? Open the set-up link that <code>morgana up</code> printed.</p>
    </Card>
  );
}

/** Set-up may or may not log in at once; either way the person ends up inside. */
async function enter(name: string, password: string): Promise<void> {
  try {
    await api.me();
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    await api.login(name, password);
  }
}

function checkPasswords(password: string, repeat: string): void {
  const wrong = (field: string, message: string) =>
    new Problem(0, { errors: [{ code: "CLIENT", field, message }] });
  if (password.length < MIN_PASSWORD) throw wrong("password", `At least ${MIN_PASSWORD} characters.`);
  if (password !== repeat) throw wrong("repeat", "The two passwords differ.");
}

function Card({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <main className="gate">
      <Mark />
      <section className="card">
        <h1>{title}</h1>
        <p className="lead">{lead}</p>
        {children}
      </section>
    </main>
  );
}

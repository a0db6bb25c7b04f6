/** The two pages before the console: the first user, and logging in. */

import { useEffect, useState, type ReactNode } from "react";
import { api, Problem } from "../api/client";
import type { Me } from "../api/types";
import { Field, FormProblem, Mark, useSubmit } from "./parts";

/** What the server accepts at least; it checks more. */
const MIN_PASSWORD = 8;

export function Setup({ secret, done, toLogin }: {
  secret: string; done: (me: Me) => void; toLogin: () => void;
}) {
  const { busy, problem, submit } = useSubmit(async (form) => {
    const [name, password] = [String(form.get("name")), String(form.get("password"))];
    checkPasswords(password, String(form.get("repeat")));
    done(await api.setup(secret, name, password));
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

export function Login({ note, done }: { note: string | undefined; done: (me: Me) => void }) {
  const [isNew, setIsNew] = useState(false);
  useEffect(() => {
    api.setupState().then(({ open }) => setIsNew(open), () => undefined);
  }, []);
  const { busy, problem, submit } = useSubmit(async (form) => {
    done(await api.login(String(form.get("name")), String(form.get("password"))));
  });
  if (isNew) return <NotSetUp />;
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
    </Card>
  );
}

function NotSetUp() {
  return (
    <Card title="Not set up yet" lead="Nobody has an account here so far.">
      <p>Open the set-up link that <code>morgana up</code> printed in its terminal. It works once.</p>
    </Card>
  );
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

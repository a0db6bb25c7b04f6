/** The gate: set up, log in, or the console. Owns who is signed in; nothing else does. */

import { useCallback, useEffect, useState } from "react";
import { api, explain, Problem } from "../api/client";
import type { Me } from "../api/types";
import { Shell } from "./Shell";
import { Login, Setup } from "./SignIn";
import { takeSetupSecret } from "./setupLink";
import { Mark } from "./parts";

type Gate =
  | { at: "asking" }
  | { at: "unreachable"; message: string }
  | { at: "setup"; secret: string }
  | { at: "login"; note?: string }
  | { at: "in"; me: Me };

export function App({ firstSecret }: { firstSecret: string | undefined }) {
  const [gate, setGate] = useState<Gate>(
    firstSecret ? { at: "setup", secret: firstSecret } : { at: "asking" });

  const ask = useCallback(async () => {
    try {
      setGate({ at: "in", me: await api.me() });
    } catch (error) {
      const refused = error instanceof Problem && (error.status === 401 || error.status === 403);
      setGate(refused ? { at: "login" } : { at: "unreachable", message: explain(error) });
    }
  }, []);

  useEffect(() => {
    if (!firstSecret) void ask();
    const onHash = () => {
      const secret = takeSetupSecret();
      if (secret) setGate({ at: "setup", secret });
    };
    window.addEventListener("hashchange", onHash);
    return () => window.removeEventListener("hashchange", onHash);
  }, [ask, firstSecret]);

  const enter = useCallback((me: Me) => setGate({ at: "in", me }), []);
  const signedOut = useCallback(
    () => setGate({ at: "login", note: "Your session has ended. Log in to go on." }), []);
  const logout = useCallback(async () => {
    await api.logout().catch(() => undefined);
    setGate({ at: "login" });
  }, []);

  switch (gate.at) {
    case "asking":
      return <main className="gate" aria-busy="true"><Mark /></main>;
    case "unreachable":
      return (
        <main className="gate">
          <Mark />
          <p role="alert">{gate.message}</p>
          <button className="primary" onClick={() => void ask()}>Try again</button>
        </main>
      );
    case "setup":
      return <Setup secret={gate.secret} done={enter} toLogin={() => setGate({ at: "login" })} />;
    case "login":
      return <Login note={gate.note} done={enter} />;
    case "in":
      return <Shell me={gate.me} signedOut={signedOut} logout={() => void logout()} />;
  }
}

/** The frame around every page: navigation, the state of the live stream, who is signed in. */

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Me } from "../api/types";
import { Sync, type Connection, type Sight } from "../live/sync";
import { AttackerPage, AttackersPage } from "./Attackers";
import { CredentialsPage } from "./Credentials";
import { FeedPage } from "./Feed";
import { IdentitiesPage } from "./Identities";
import { MazePage } from "./maze/MazePage";
import { Mark, useNow } from "./parts";
import { go, useRoute, type Page, type Route } from "./route";
import { SessionPage, SessionsPage } from "./Sessions";
import { SystemPage } from "./System";

interface Console {
  sync: Sync;
  sight: Sight;
  /** Whether the signed-in person may change the maze; the server decides, this only hides. */
  mayChange: boolean;
  /** Whether they may stop workers; likewise. */
  mayAdminister: boolean;
}

const ConsoleContext = createContext<Console | undefined>(undefined);

export function useConsole(): Console {
  const value = useContext(ConsoleContext);
  if (!value) throw new Error("useConsole outside of the shell");
  return value;
}

const NAVIGATION: { page: Page; label: string; key: string }[] = [
  { page: "maze", label: "Maze", key: "m" },
  { page: "feed", label: "Live feed", key: "f" },
  { page: "sessions", label: "Sessions", key: "s" },
  { page: "attackers", label: "Attackers", key: "a" },
  { page: "identities", label: "Identities", key: "i" },
  { page: "credentials", label: "Credentials", key: "c" },
  { page: "system", label: "System", key: "y" },
];

export function Shell({ me, signedOut, logout }: { me: Me; signedOut: () => void; logout: () => void }) {
  const [sync, setSync] = useState<Sync>();
  useEffect(() => {
    const fresh = new Sync(signedOut);
    fresh.start();
    setSync(fresh);
    return () => fresh.stop();
  }, [signedOut]);
  return sync ? <Inside me={me} sync={sync} logout={logout} /> : null;
}

function Inside({ me, sync, logout }: { me: Me; sync: Sync; logout: () => void }) {
  const sight = useSyncExternalStore(sync.watch, sync.current);
  const route = useRoute();
  useKeys();
  const live = [...sight.world.sessions.values()].filter((session) => !session.ended_at).length;
  const mayChange = me.role === "operator" || me.role === "admin";
  const mayAdminister = me.role === "admin";
  return (
    <ConsoleContext value={{ sync, sight, mayChange, mayAdminister }}>
      <header className="top">
        <a href="#/maze" className="home" aria-label="Morgana, to the maze"><Mark /></a>
        <nav aria-label="Pages">
          {NAVIGATION.map(({ page, label, key }) => (
            <a key={page} href={`#/${page}`} title={`${label} (g ${key})`}
              aria-current={route.page === page ? "page" : undefined}>
              {label}
              {page === "sessions" && live > 0 && <span className="count">{live}</span>}
            </a>
          ))}
        </nav>
        <span className="spring" />
        <ConnectionStatus connection={sight.connection} />
        <span className="me" title={`Role: ${me.role}`}>{me.name}<small>{me.role}</small></span>
        <button className="ghost" onClick={logout} data-testid="logout">Log out</button>
      </header>
      {sight.loaded ? <Content route={route} /> : <Loading />}
    </ConsoleContext>
  );
}

function Content({ route: { page, id } }: { route: Route }) {
  switch (page) {
    case "maze": return <MazePage topology={id} />;
    case "feed": return <FeedPage />;
    case "sessions": return id ? <SessionPage key={id} id={id} /> : <SessionsPage />;
    case "attackers": return id ? <AttackerPage key={id} id={id} /> : <AttackersPage />;
    case "identities": return <IdentitiesPage />;
    case "credentials": return <CredentialsPage />;
    case "system": return <SystemPage />;
  }
}

function Loading() {
  return <main className="page" aria-busy="true"><p className="loading">Reading the maze…</p></main>;
}

const MEANING: Record<Connection["state"], string> = {
  connecting: "Connecting",
  live: "Live",
  degraded: "Degraded",
  reconnecting: "Reconnecting",
};

function ConnectionStatus({ connection }: { connection: Connection }) {
  const now = useNow(1000);
  const wait = connection.state === "reconnecting" ? Math.ceil((connection.until - now) / 1000) : 0;
  const title = connection.state === "degraded" ? connection.detail : undefined;
  return (
    <span className="connection" role="status" title={title}
      data-testid="connection-status" data-state={connection.state}>
      <i aria-hidden="true" />
      {MEANING[connection.state]}{wait > 1 ? ` in ${wait} s` : ""}
    </span>
  );
}

/** `g` and a letter go to a page, `/` to the filter of the page. */
function useKeys(): void {
  useEffect(() => {
    let waiting = false;
    const onKey = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (at.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        const filter = document.querySelector<HTMLInputElement>("input[type=search]");
        if (filter) {
          event.preventDefault();
          filter.focus();
        }
      } else if (waiting) {
        const target = NAVIGATION.find(({ key }) => key === event.key);
        if (target) go(target.page);
      }
      waiting = event.key === "g";
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}

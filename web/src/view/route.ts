/** Routes live in the fragment: `#/maze/<topology>`, `#/sessions/<id>`, …. */

import { useSyncExternalStore } from "react";

export type Page = "maze" | "feed" | "sessions" | "attackers" | "identities" | "credentials" | "system";

export interface Route {
  page: Page;
  /** The thing that the page is about, where it is about one. */
  id: string | undefined;
}

const PAGES: readonly Page[] = ["maze", "feed", "sessions", "attackers", "identities", "credentials", "system"];

export function parseRoute(hash: string): Route {
  const [page, id] = hash.replace(/^#\/?/, "").split("/");
  const known = PAGES.find((name) => name === page);
  return known ? { page: known, id: id ? decode(id) : undefined } : { page: "maze", id: undefined };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function go(page: Page, id?: string): void {
  window.location.hash = id ? `#/${page}/${encodeURIComponent(id)}` : `#/${page}`;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(
    (changed) => {
      window.addEventListener("hashchange", changed);
      return () => window.removeEventListener("hashchange", changed);
    },
    () => window.location.hash,
  );
  return parseRoute(hash);
}

/**
 * The set-up secret comes in the fragment, which no server and no log ever sees. It is taken out
 * of the address bar and the history before anything else happens, and lives in memory only.
 */
export function takeSetupSecret(): string | undefined {
  const match = /^#setup=(.+)$/.exec(window.location.hash);
  if (!match?.[1]) return undefined;
  window.history.replaceState(null, "", window.location.pathname);
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}

/** What happens, newest first, in sentences. */

import { memo, useMemo, useState } from "react";
import { plain, tell, type Story } from "../format/story";
import type { Envelope } from "../live/events";
import { feedKey, type World } from "../live/world";
import { Clock, Empty, Sentence } from "./parts";
import { useConsole } from "./Shell";
import { TryIt } from "./TryIt";

type Show = "all" | "intruders" | "network" | "alerts";
const SHOWS: { show: Show; label: string }[] = [
  { show: "all", label: "All" },
  { show: "intruders", label: "Intruders" },
  { show: "network", label: "Network" },
  { show: "alerts", label: "Alerts" },
];

interface Entry {
  envelope: Envelope;
  story: Story;
}

export function FeedPage() {
  return (
    <main className="page">
      <h1>Live feed</h1>
      <Feed />
    </main>
  );
}

export function Feed({ compact = false }: { compact?: boolean }) {
  const { sight: { world } } = useConsole();
  const [show, setShow] = useState<Show>("all");
  const [filter, setFilter] = useState("");
  const entries = useEntries(world, show, filter);
  return (
    <section className={compact ? "feed compact" : "feed"} data-testid="feed" aria-label="Live feed">
      <div className="filters">
        <div className="chips" role="group" aria-label="Show">
          {SHOWS.map((one) => (
            <button key={one.show} aria-pressed={show === one.show} onClick={() => setShow(one.show)}>
              {one.label}
            </button>
          ))}
        </div>
        <input type="search" placeholder="Filter  /" aria-label="Filter the feed"
          value={filter} onChange={(event) => setFilter(event.target.value)} />
      </div>
      {entries.length > 0
        ? <ol aria-live="off">{entries.map((entry) => <Line key={feedKey(entry.envelope)} entry={entry} />)}</ol>
        : <NothingYet filtered={show !== "all" || filter !== ""} />}
    </section>
  );
}

function NothingYet({ filtered }: { filtered: boolean }) {
  if (filtered) return <Empty title="Nothing matches"><p>Show all, or shorten the filter.</p></Empty>;
  return (
    <Empty title="Nobody has touched your maze yet">
      <p>Every connection to a decky appears here at once.</p>
      <TryIt />
    </Empty>
  );
}

/** Sentences, told again only for events that are new or when names have changed. */
function useEntries(world: World, show: Show, filter: string): Entry[] {
  const { feed, names, attackers, topologies } = world;
  const entries = useMemo(
    () => feed.map((envelope) => ({ envelope, story: tell(envelope, world) })),
    // The sentence needs names only, not the rest of the world.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [feed, names, attackers, topologies],
  );
  const wanted = filter.trim().toLowerCase();
  return entries.filter(({ story }) => {
    if (show === "alerts" && story.severity !== "warning" && story.severity !== "danger") return false;
    if ((show === "intruders" || show === "network") && story.family !== show) return false;
    return wanted === "" || plain(story.pieces).toLowerCase().includes(wanted);
  });
}

const Line = memo(function Line({ entry: { envelope, story } }: { entry: Entry }) {
  const begins = envelope.type === "attacker.session.started";
  return (
    <li className={story.severity} data-type={envelope.type}
      data-testid={begins ? `session-${story.session}` : undefined}>
      <Clock ts={envelope.ts} />
      <p><Sentence pieces={story.pieces} /></p>
      {story.session && (
        <a className="open" href={`#/sessions/${story.session}`} aria-label="Open the session">Open</a>
      )}
    </li>
  );
}, (before, after) => before.entry.envelope === after.entry.envelope
  && plain(before.entry.story.pieces) === plain(after.entry.story.pieces));

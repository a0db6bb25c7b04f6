/** One decky: what it is, where it answers, whether somebody is at it, what can be done. */

import { memo } from "react";
import type { Decky } from "../../api/types";
import { count, every, visitCommand } from "../../format/words";
import type { Pulse } from "../../live/world";
import { Command } from "../parts";

export type Action = "rotate" | "edit" | "attach" | "start" | "stop" | "remove";

interface Props {
  decky: Decky;
  pulse: Pulse | undefined;
  live: number;
  mayChange: boolean;
  /** Whether there is a LAN that it is not on. */
  mayAttach: boolean;
  /** Whether a change of this decky is under way. */
  busy: boolean;
  act: (action: Action, decky: Decky) => void;
}

export const DeckyCard = memo(function DeckyCard({ decky, pulse, live, mayChange, mayAttach, busy, act }: Props) {
  const connected = decky.interfaces.length > 1;
  const button = (action: Action, word: string, disabled = false, title?: string) => (
    <button onClick={() => act(action, decky)} disabled={busy || disabled} title={title} data-testid={action}
      aria-label={`${word} ${decky.name}`}>{word}</button>
  );
  return (
    <article className={live > 0 ? "decky hot" : "decky"} aria-label={`Decky ${decky.name}`}
      data-testid={`decky-${decky.name}`} data-state={decky.state} data-busy={busy || undefined}
      data-wire-from={connected ? decky.decky_id : undefined} data-hot={live > 0 ? "" : undefined}>
      {pulse && <span key={pulse.at} className="pulse" aria-hidden="true" />}
      <header>
        <i className={`dot ${decky.state}`} title={decky.state} aria-label={`State: ${decky.state}`} role="img" />
        <h3>{decky.name}</h3>
        {decky.forwards_l3 && <span className="badge" title="Routes between all of its LANs">gateway</span>}
        {decky.is_stopped && <span className="badge">stopped</span>}
        {live > 0 && <a className="badge hot" href="#/sessions">{count(live, "live session")}</a>}
      </header>
      <p className="what">
        <span>{decky.archetype}</span>
        {decky.rotate_every_seconds !== null && <span title="Rotates by itself">{every(decky.rotate_every_seconds)}</span>}
        <span className="mono">{decky.interfaces[0]?.address}</span>
      </p>
      <ul className="services">
        {decky.services.map(({ service, port }) => <Service key={service} decky={decky} service={service} port={port} />)}
        {decky.services.length === 0 && <li className="dim">no services</li>}
      </ul>
      {mayChange && (
        <footer>
          {button("rotate", "Rotate")}
          {button("edit", "Edit")}
          {button("attach", "Attach", !mayAttach, mayAttach ? undefined : "It is on every LAN")}
          {decky.is_stopped ? button("start", "Start") : button("stop", "Stop")}
          {button("remove", "Remove")}
        </footer>
      )}
    </article>
  );
});

function Service({ decky, service, port }: { decky: Decky; service: string; port: number }) {
  const home = decky.interfaces[0]?.lan_id;
  const endpoints = decky.endpoints.filter((one) => one.service === service);
  const endpoint = endpoints.find((one) => one.lan_id === home) ?? endpoints[0];
  return (
    <li>
      <span className="service" data-service={service}>{service}<small>{port}</small></span>
      {endpoint && <Command text={visitCommand(endpoint)} label={`${service} of ${decky.name}`} />}
    </li>
  );
}

/** The first command that a newcomer types against the own maze. */

import { visitCommand } from "../format/words";
import { Command } from "./parts";
import { useConsole } from "./Shell";

const EASIEST = ["http", "ssh", "ftp", "redis"];

export function TryIt({ service: wanted = "http" }: { service?: string }) {
  const { sight: { world } } = useConsole();
  const endpoints = [...world.topologies.values()].flatMap((topology) =>
    topology.deckies.flatMap((decky) => decky.endpoints));
  const best = [wanted, ...EASIEST].flatMap((service) => endpoints.filter((endpoint) => endpoint.service === service))[0];
  if (!best) return <p>No decky answers yet: <a href="#/maze">create and deploy a maze</a> first.</p>;
  const command = visitCommand(best);
  return <p className="try">Try: <Command text={command} label={command} /></p>;
}

/**
 * Where LANs stand: the DMZ first, then what can be reached from it, one column per step. Pure.
 */

import type { Decky, Lan, Topology } from "../../api/types";

/** A decky that stands elsewhere and has an interface here. */
export interface Visitor {
  decky: Decky;
  address: string;
  /** Whether it routes between here and its home. */
  routes: boolean;
}

export interface Zone {
  lan: Lan;
  residents: Decky[];
  visitors: Visitor[];
}

/** Columns of zones, from the outside to the inside. */
export function layout(topology: Topology): Zone[][] {
  const depths = depthOf(topology);
  const columns: Zone[][] = [];
  for (const lan of inOrder(topology.lans)) (columns[depths.get(lan.lan_id) ?? 0] ??= []).push(zone(topology, lan));
  return columns.filter(Boolean);
}

/** The DMZ first, then by subnet. */
export function inOrder(lans: readonly Lan[]): Lan[] {
  const bySubnet = (a: Lan, b: Lan) => a.subnet.localeCompare(b.subnet, "en", { numeric: true });
  return [...lans].sort((a, b) => Number(b.is_dmz) - Number(a.is_dmz) || bySubnet(a, b));
}

function zone(topology: Topology, lan: Lan): Zone {
  const residents = topology.deckies.filter((decky) => decky.interfaces[0]?.lan_id === lan.lan_id);
  const visitors = topology.deckies.flatMap((decky) =>
    decky.interfaces.slice(1)
      .filter((one) => one.lan_id === lan.lan_id)
      .map(({ address, forwards_l3 }) => ({ decky, address, routes: forwards_l3 || decky.forwards_l3 })));
  const address = (decky: Decky) => decky.interfaces[0]?.address ?? "";
  residents.sort((a, b) => address(a).localeCompare(address(b), "en", { numeric: true }));
  return { lan, residents, visitors };
}

/** Steps from the DMZ over deckies with several interfaces; what is not connected comes last. */
function depthOf(topology: Topology): Map<string, number> {
  const first = topology.lans.find((lan) => lan.is_dmz) ?? topology.lans[0];
  const depths = new Map<string, number>();
  if (!first) return depths;
  depths.set(first.lan_id, 0);
  const queue = [first.lan_id];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    for (const decky of topology.deckies) {
      if (!decky.interfaces.some((one) => one.lan_id === at)) continue;
      for (const { lan_id: lan } of decky.interfaces) {
        if (depths.has(lan)) continue;
        depths.set(lan, (depths.get(at) ?? 0) + 1);
        queue.push(lan);
      }
    }
  }
  const beyond = Math.max(...depths.values()) + 1;
  for (const lan of topology.lans) if (!depths.has(lan.lan_id)) depths.set(lan.lan_id, beyond);
  return depths;
}

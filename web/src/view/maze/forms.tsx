/** The forms that change LANs and deckies. Each stands for one change. */

import { useState } from "react";
import { ARCHETYPES, type Archetype, type Decky, type Lan, type Topology } from "../../api/types";
import { Field } from "../parts";
import { ChangeForm, useOpened } from "./ChangeForm";
import { Address, Rotates, Select, Services, Tick } from "./fields";
import { inOrder } from "./layout";
import {
  addDecky, addLan, attachDecky, isLive, NAME_HINT, sameDecky, sameLan, servicesOf, updateDecky, updateLan, updateTopology,
} from "./ops";

interface Form {
  topology: Topology;
  close: () => void;
}

/** A form of a thing that others may change meanwhile. */
interface Edit extends Form {
  reload: () => void;
}

const DMZ = "Faces the outside (DMZ)";
const GATEWAY_HINT = "Routes between all of its LANs. A gateway's home is the DMZ.";

export function AddLan({ topology, close }: Form) {
  const taken = topology.lans.some((lan) => lan.is_dmz);
  return (
    <ChangeForm topology={topology} title="Add a LAN" verb="Add LAN" testid="add-lan-form" close={close}
      op={addLan} fields={["name", "subnet", "is_dmz"]}>
      {(problem) => (
        <>
          <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false} placeholder="lab"
            hint={NAME_HINT} error={problem?.at("name")} />
          <Field label="Subnet" name="subnet" autoComplete="off" placeholder="chosen for you, such as 10.66.4.0/24"
            error={problem?.at("subnet")} />
          <Tick name="is_dmz" disabled={taken} hint={taken ? "This maze has a DMZ already." : undefined}
            error={problem?.at("is_dmz")}>{DMZ}</Tick>
        </>
      )}
    </ChangeForm>
  );
}

export function EditLan({ topology, lan: current, close, reload }: Edit & { lan: Lan }) {
  const { thing: lan, opened } = useOpened(current, topology.version, sameLan, reload);
  const live = isLive(topology.status);
  const fixed = live ? "A live LAN keeps its subnet and its side." : undefined;
  return (
    <ChangeForm topology={topology} title={`LAN ${lan.name}`} verb="Change LAN" testid="edit-lan-form" close={close}
      op={(form) => updateLan(lan, form, live)} opened={opened} fields={["name", "subnet", "is_dmz"]}>
      {(problem) => (
        <>
          <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false} defaultValue={lan.name}
            hint={NAME_HINT} error={problem?.at("name")} />
          <Field label="Subnet" name="subnet" autoComplete="off" defaultValue={lan.subnet} disabled={live}
            {...(fixed ? { hint: fixed } : { hint: "Its deckies keep their places in it." })} error={problem?.at("subnet")} />
          <Tick name="is_dmz" ticked={lan.is_dmz} disabled={live} error={problem?.at("is_dmz")}>{DMZ}</Tick>
        </>
      )}
    </ChangeForm>
  );
}

const ARCHETYPE_OPTIONS: [string, string][] = Object.keys(ARCHETYPES).map((word) => [word, word]);

export function AddDecky({ topology, close }: Form) {
  const [archetype, setArchetype] = useState<Archetype>("linux-server");
  const pool = ARCHETYPES[archetype];
  return (
    <ChangeForm topology={topology} title="Add a decky" verb="Add decky" testid="add-decky-form" close={close} op={addDecky}
      fields={["name", "lan", "archetype", "services", "ip", "rotate_every_seconds", "forwards_l3"]}>
      {(problem) => (
        <>
          <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false} placeholder="web-02"
            hint={`Also its host name. ${NAME_HINT}`} error={problem?.at("name")} />
          <div className="pair">
            <Select label="LAN" name="lan" error={problem?.at("lan")} options={inOrder(topology.lans).map(lanOption)} />
            <Select label="Archetype" name="archetype" value={archetype} change={(word) => setArchetype(word as Archetype)}
              error={problem?.at("archetype")} options={ARCHETYPE_OPTIONS} />
          </div>
          <Services key={archetype} pool={pool} chosen={pool.slice(0, 1)} error={problem?.at("services")} />
          <div className="pair">
            <Address error={problem?.at("ip")} />
            <Rotates seconds={null} error={problem?.at("rotate_every_seconds")} />
          </div>
          <Tick name="forwards_l3" hint={GATEWAY_HINT} error={problem?.at("forwards_l3")}>Gateway</Tick>
        </>
      )}
    </ChangeForm>
  );
}

export function EditDecky({ topology, decky: current, close, reload }: Edit & { decky: Decky }) {
  const { thing: decky, opened } = useOpened(current, topology.version, sameDecky, reload);
  const [archetype, setArchetype] = useState(decky.archetype);
  const [gateway, setGateway] = useState(decky.forwards_l3);
  const running = servicesOf(decky);
  const pool = archetype === decky.archetype ? [...new Set([...ARCHETYPES[archetype], ...running])] : ARCHETYPES[archetype];
  const kept = pool.filter((service) => running.includes(service));
  const isAnother = archetype !== decky.archetype || gateway !== decky.forwards_l3;
  // As it is now: a machine that has just been started may still stand as stopped in what was opened.
  const asksForce = isAnother && isLive(topology.status) && !current.is_stopped;
  return (
    <ChangeForm topology={topology} title={`Decky ${decky.name}`} verb="Change decky" testid="edit-decky-form" close={close}
      op={(form) => updateDecky(decky, form)} opened={opened}
      fields={["archetype", "services", "rotate_every_seconds", "forwards_l3"]}
      text="Live sessions of a service that stays are not disturbed.">
      {(problem) => (
        <>
          <Services key={archetype} pool={pool} chosen={kept.length > 0 ? kept : pool.slice(0, 1)} error={problem?.at("services")} />
          <div className="pair">
            <Select label="Archetype" name="archetype" value={archetype} change={(word) => setArchetype(word as Archetype)}
              error={problem?.at("archetype")} options={ARCHETYPE_OPTIONS} />
            <Rotates seconds={decky.rotate_every_seconds} error={problem?.at("rotate_every_seconds")} />
          </div>
          <Tick name="forwards_l3" ticked={decky.forwards_l3} change={setGateway} hint={GATEWAY_HINT}
            error={problem?.at("forwards_l3")}>Gateway</Tick>
          {asksForce && (
            <Tick name="force" error={undefined}
              hint="The machine is live: as another one its sessions end, or routes change under the eyes of visitors.">
              Force it: visitors may notice</Tick>
          )}
        </>
      )}
    </ChangeForm>
  );
}

export function AttachDecky({ topology, decky, close }: Form & { decky: Decky }) {
  const isFree = (lan: Lan) => !decky.interfaces.some((one) => one.lan_id === lan.lan_id);
  const options = inOrder(topology.lans).filter(isFree).map(lanOption);
  return (
    <ChangeForm topology={topology} title={`Attach ${decky.name} to a LAN`} verb="Attach decky" testid="attach-form" close={close}
      op={(form) => attachDecky(decky, form)} fields={["lan", "ip", "forwards_l3"]}>
      {(problem) => (
        <>
          <div className="pair">
            <Select label="LAN" name="lan" options={options} error={problem?.at("lan")} />
            <Address error={problem?.at("ip")} />
          </div>
          <Tick name="forwards_l3" error={problem?.at("forwards_l3")}
            hint={`Whoever is on ${decky.interfaces[0]?.lan ?? "its home"} then reaches the LAN through it.`}>
            Routes between the LAN and its home</Tick>
        </>
      )}
    </ChangeForm>
  );
}

export function EditRotation({ topology, close, reload }: Edit) {
  const same = (a: Topology, b: Topology) => a.rotate_every_seconds === b.rotate_every_seconds;
  const { thing, opened } = useOpened(topology, topology.version, same, reload);
  return (
    <ChangeForm topology={topology} title={`Rotation of ${topology.name}`} verb="Change rotation" testid="rotation-form"
      close={close} op={(form) => updateTopology(thing, form)} opened={opened} fields={["rotate_every_seconds"]}
      text="Holds for every decky without an interval of its own. A decky that has a visitor waits.">
      {(problem) => (
        <Rotates label="Deckies rotate every" seconds={thing.rotate_every_seconds} error={problem?.at("rotate_every_seconds")} />
      )}
    </ChangeForm>
  );
}

function lanOption(lan: Lan): [string, string] {
  return [lan.name, `${lan.name} (${lan.subnet})`];
}

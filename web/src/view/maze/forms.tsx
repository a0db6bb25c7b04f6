/** The forms that change a maze. Each queues one mutation; its progress shows in the strip. */

import { useState } from "react";
import { api, Problem } from "../../api/client";
import { ARCHETYPES, type Archetype, type Decky, type Lan, type Service, type Topology } from "../../api/types";
import { every } from "../../format/words";
import { Dialog, Field, FieldNote, FormProblem, useSubmit } from "../parts";
import { go } from "../route";
import { useConsole } from "../Shell";
import { inOrder } from "./layout";

const NAME_HINT = "Lower-case letters, digits and hyphens.";

/** A name as crates/model/src/name.rs wants it; said here to spare a round trip. */
export function checkName(name: string): string | undefined {
  if (name === "") return "A name is needed.";
  if (name.length > 63) return "At most 63 characters.";
  if (!/^[a-z0-9-]+$/.test(name)) return NAME_HINT;
  return /^-|-$/.test(name) ? "A name begins and ends with a letter or a digit." : undefined;
}

function named(form: FormData): string {
  const name = String(form.get("name")).trim();
  const message = checkName(name);
  if (message) throw new Problem(0, { errors: [{ code: "CLIENT", field: "name", message }] });
  return name;
}

/** The boxes that are ticked; their values are words of the pool. */
function chosenServices(form: FormData): Service[] {
  return form.getAll("service") as Service[];
}

export function AddDecky({ topology, close }: { topology: Topology; close: () => void }) {
  const [archetype, setArchetype] = useState<Archetype>("linux-server");
  const pool = ARCHETYPES[archetype];
  const { busy, problem, submit } = useSubmit(async (form) => {
    const services = chosenServices(form);
    const ip = String(form.get("ip")).trim();
    const rotate = Number(form.get("rotate"));
    await api.mutate(topology.topology_id, {
      op: "add_decky",
      payload: {
        name: named(form),
        lan: String(form.get("lan")),
        archetype,
        services,
        ...(ip ? { ip } : {}),
        ...(rotate > 0 ? { rotate_every_seconds: rotate } : {}),
      },
    });
    close();
  });
  return (
    <Dialog title="Add a decky" close={close}>
      <form data-testid="add-decky-form" onSubmit={submit} noValidate>
        <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false} placeholder="web-02"
          hint={`Also its host name. ${NAME_HINT}`} error={problem?.at("name")} />
        <div className="pair">
          <Select label="LAN" name="lan" error={problem?.at("lan")}
            options={inOrder(topology.lans).map((lan) => [lan.name, `${lan.name} (${lan.subnet})`])} />
          <Select label="Archetype" name="archetype" value={archetype} change={(word) => setArchetype(word as Archetype)}
            error={problem?.at("archetype")} options={Object.keys(ARCHETYPES).map((word) => [word, word])} />
        </div>
        <Services key={archetype} pool={pool} chosen={pool.slice(0, 1)} error={problem?.at("services")} />
        <div className="pair">
          <Field label="Address" name="ip" autoComplete="off" placeholder="chosen for you" error={problem?.at("ip")} />
          <Rotates seconds={0} error={problem?.at("rotate_every_seconds")} />
        </div>
        <FormProblem problem={problem} fields={["name", "lan", "archetype", "services", "ip", "rotate_every_seconds"]} />
        <Buttons close={close} busy={busy} verb="Add decky" />
      </form>
    </Dialog>
  );
}

export function EditServices({ topology, decky, close }: {
  topology: Topology; decky: Decky; close: () => void;
}) {
  const { busy, problem, submit } = useSubmit(async (form) => {
    const rotate = Number(form.get("rotate"));
    const services = chosenServices(form);
    const changed = rotate === (decky.rotate_every_seconds ?? 0) ? {} : { rotate_every_seconds: rotate };
    await api.mutate(topology.topology_id, {
      op: "update_decky",
      payload: { decky: decky.name, services, ...changed },
    });
    close();
  });
  const current = decky.services.map(({ service }) => service);
  const pool = [...new Set([...ARCHETYPES[decky.archetype], ...current])];
  return (
    <Dialog title={`Services of ${decky.name}`} close={close}>
      <form data-testid="edit-services-form" onSubmit={submit} noValidate>
        <p className="dim">What a {decky.archetype} may offer. Live sessions of a service that stays are not disturbed.</p>
        <Services pool={pool} chosen={current} error={problem?.at("services")} />
        <Rotates seconds={decky.rotate_every_seconds ?? 0} error={problem?.at("rotate_every_seconds")} />
        <FormProblem problem={problem} fields={["services", "rotate_every_seconds"]} />
        <Buttons close={close} busy={busy} verb="Change decky" />
      </form>
    </Dialog>
  );
}

export function AddLan({ topology, close }: { topology: Topology; close: () => void }) {
  const { busy, problem, submit } = useSubmit(async (form) => {
    const subnet = String(form.get("subnet")).trim();
    await api.mutate(topology.topology_id, {
      op: "add_lan",
      payload: { name: named(form), is_dmz: form.get("is_dmz") === "on", ...(subnet ? { subnet } : {}) },
    });
    close();
  });
  const taken = topology.lans.some((lan) => lan.is_dmz);
  return (
    <Dialog title="Add a LAN" close={close}>
      <form data-testid="add-lan-form" onSubmit={submit} noValidate>
        <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false} placeholder="lab"
          hint={NAME_HINT} error={problem?.at("name")} />
        <Field label="Subnet" name="subnet" autoComplete="off" placeholder="chosen for you, such as 10.66.4.0/24"
          error={problem?.at("subnet")} />
        <label className="check">
          <input type="checkbox" name="is_dmz" disabled={taken} />
          Faces the outside (DMZ){taken && <small>this maze has one already</small>}
        </label>
        <FieldNote error={problem?.at("is_dmz")} />
        <FormProblem problem={problem} fields={["name", "subnet", "is_dmz"]} />
        <Buttons close={close} busy={busy} verb="Add LAN" />
      </form>
    </Dialog>
  );
}

export function CreateTopology({ close }: { close: () => void }) {
  const { sync } = useConsole();
  const { busy, problem, submit } = useSubmit(async (form) => {
    const template = form.get("template") === "empty" ? "empty" : "demo";
    const { topology_id } = await api.createTopology(named(form), template);
    sync.refresh("topologies");
    close();
    go("maze", topology_id);
  });
  return (
    <Dialog title="Create a maze" close={close}>
      <form data-testid="create-topology-form" onSubmit={submit} noValidate>
        <Field label="Name" name="name" autoFocus autoComplete="off" spellCheck={false} placeholder="branch-office"
          hint={NAME_HINT} error={problem?.at("name")} />
        <fieldset className="cards">
          <legend>Begin with</legend>
          <label><input type="radio" name="template" value="demo" defaultChecked /><b>Demo</b>
            <small>Three LANs, six deckies with SSH, HTTP, FTP and Redis</small></label>
          <label><input type="radio" name="template" value="empty" /><b>Empty</b>
            <small>Nothing; add LANs and deckies yourself</small></label>
        </fieldset>
        <FormProblem problem={problem} fields={["name"]} />
        <Buttons close={close} busy={busy} verb="Create maze" />
      </form>
    </Dialog>
  );
}

/** Whether a LAN is nobody's home, so that it can be removed. */
export function isRemovable(topology: Topology, lan: Lan): boolean {
  return !topology.deckies.some((decky) => decky.interfaces.some(({ lan_id }) => lan_id === lan.lan_id));
}

function Services({ pool, chosen, error }: { pool: readonly string[]; chosen: readonly string[]; error: string | undefined }) {
  return (
    <fieldset className={error ? "services wrong" : "services"}>
      <legend>Services</legend>
      {pool.map((service) => (
        <label key={service} className="check">
          <input type="checkbox" name="service" value={service} defaultChecked={chosen.includes(service)} />
          {service}
        </label>
      ))}
      <FieldNote error={error} />
    </fieldset>
  );
}

/** How often a decky rotates by itself; what is set already is among the choices. */
function Rotates({ seconds, error }: { seconds: number; error: string | undefined }) {
  const choices = [...new Set([300, 3600, 86_400, seconds])].filter((one) => one > 0).sort((a, b) => a - b);
  const options: [string, string][] = choices.map((one) => [String(one), every(one)]);
  return <Select label="Rotates" name="rotate" initial={String(seconds)} error={error}
    options={[["0", "never by itself"], ...options]} />;
}

function Select({ label, name, options, value, initial, change, error }: {
  label: string; name: string; options: [string, string][];
  value?: string; initial?: string; change?: (value: string) => void; error: string | undefined;
}) {
  return (
    <label className={error ? "field wrong" : "field"}>
      <span>{label}</span>
      <select name={name} {...(initial ? { defaultValue: initial } : {})} {...(change ? { value, onChange: (event) => change(event.target.value) } : {})}>
        {options.map(([word, text]) => <option key={word} value={word}>{text}</option>)}
      </select>
      <FieldNote error={error} />
    </label>
  );
}

function Buttons({ close, busy, verb }: { close: () => void; busy: boolean; verb: string }) {
  return (
    <div className="buttons">
      <button type="button" onClick={close}>Cancel</button>
      <button type="submit" className="primary" disabled={busy}>{verb}</button>
    </div>
  );
}

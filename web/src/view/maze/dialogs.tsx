/** Which dialog stands open over the maze, and what each one asks. */

import { useCallback, useState } from "react";
import { api } from "../../api/client";
import type { Decky, Lan, Op, Topology } from "../../api/types";
import { count } from "../../format/words";
import { Confirm, Dialog } from "../parts";
import { useConsole } from "../Shell";
import { ChangeForm } from "./ChangeForm";
import { AddDecky, AddLan, AttachDecky, EditDecky, EditLan, EditRotation } from "./forms";
import { NewMaze } from "./NewMaze";
import { Undo } from "./Undo";

/** Things are named by id: what the dialog shows of them is what is known when it opens. */
export type Open = OpenForMaze | OpenForThing;

interface OpenForMaze {
  what: "create" | "add-decky" | "add-lan" | "rotation" | "undo" | "teardown";
}

type OpenForThing =
  | { what: "edit" | "attach" | "stop" | "remove"; decky: string }
  | { what: "edit-lan" | "remove-lan"; lan: string }
  | { what: "detach"; decky: string; lan: string };

interface Props {
  topology: Topology;
  close: () => void;
}

export function OpenDialog({ open, waiting, ...props }: Props & { open: Open; waiting: number }) {
  const { topology, close } = props;
  const { sync } = useConsole();
  const [round, setRound] = useState(0);
  const reload = useCallback(() => {
    void sync.readTopology(topology.topology_id).catch(() => undefined).then(() => setRound((before) => before + 1));
  }, [sync, topology.topology_id]);
  if ("decky" in open || "lan" in open) return <OfThing key={round} open={open} reload={reload} {...props} />;
  switch (open.what) {
    case "create": return <NewMaze close={close} />;
    case "add-decky": return <AddDecky {...props} />;
    case "add-lan": return <AddLan {...props} />;
    case "rotation": return <EditRotation key={round} reload={reload} {...props} />;
    case "undo": return <Undo {...props} waiting={waiting} />;
    case "teardown":
      return <Confirm title={`Tear down ${topology.name}?`} verb="Tear down" close={close}
        text={`All ${count(topology.deckies.length, "decky", "deckies")} leave the network for good and live sessions end. What was recorded stays.`}
        act={() => api.teardown(topology.topology_id)} />;
  }
}

/** A dialog about a LAN or a decky, which may be gone by now. */
function OfThing({ open, topology, close, reload }: Props & { open: OpenForThing; reload: () => void }) {
  const decky = "decky" in open ? topology.deckies.find(({ decky_id }) => decky_id === open.decky) : undefined;
  const lan = "lan" in open ? topology.lans.find(({ lan_id }) => lan_id === open.lan) : undefined;
  if (("decky" in open && !decky) || ("lan" in open && !lan)) return <Gone close={close} />;
  const edit = { topology, close, reload };
  if (open.what === "edit-lan" && lan) return <EditLan {...edit} lan={lan} />;
  if (open.what === "edit" && decky) return <EditDecky {...edit} decky={decky} />;
  if (open.what === "attach" && decky) return <AttachDecky topology={topology} close={close} decky={decky} />;
  const question = questionOf(open.what, decky, lan, topology);
  return question && (
    <ChangeForm topology={topology} close={close} testid="question" danger {...question} op={() => question.change} />
  );
}

interface Question {
  title: string;
  verb: string;
  text: string;
  change: Op;
}

function questionOf(what: OpenForThing["what"], decky: Decky | undefined, lan: Lan | undefined, topology: Topology): Question | undefined {
  if (what === "remove" && decky) {
    return {
      title: `Remove ${decky.name}?`, verb: "Remove decky",
      text: "It leaves the network and the maze, and its live sessions end. What it recorded stays. To have it back later, stop it instead.",
      change: { op: "remove_decky", payload: { decky: decky.name } },
    };
  }
  if (what === "stop" && decky) {
    return {
      title: `Stop ${decky.name}?`, verb: "Stop decky",
      text: "It leaves the network until it is started again, and its live sessions end.",
      change: { op: "stop_decky", payload: { decky: decky.name } },
    };
  }
  if (what === "detach" && decky && lan) {
    return {
      title: `Detach ${decky.name} from ${lan.name}?`, verb: "Detach decky",
      text: "It loses its address there; at home and on other LANs it stays.",
      change: { op: "detach_decky", payload: { decky: decky.name, lan: lan.name } },
    };
  }
  if (what === "remove-lan" && lan) {
    const visitors = topology.deckies.filter((one) => one.interfaces.some(({ lan_id }) => lan_id === lan.lan_id));
    const detached = visitors.length > 0 ? ` ${visitors.map(({ name }) => name).join(", ")} lose${visitors.length === 1 ? "s" : ""} an interface.` : "";
    return {
      title: `Remove LAN ${lan.name}?`, verb: "Remove LAN", text: `${lan.subnet} becomes free again.${detached}`,
      change: { op: "remove_lan", payload: { name: lan.name } },
    };
  }
  return undefined;
}

function Gone({ close }: { close: () => void }) {
  return (
    <Dialog title="Gone" close={close}>
      <p>This is not in the maze any more.</p>
      <div className="buttons"><button type="button" onClick={close} autoFocus>Close</button></div>
    </Dialog>
  );
}

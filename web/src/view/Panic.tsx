/** The kill switch: a word has to be typed, so that nobody throws it by a click. */

import { useState } from "react";
import { api } from "../api/client";
import type { Panicked } from "../api/types";
import { switchedOff } from "../format/words";
import { Dialog, Field, FormProblem, useSubmit } from "./parts";

/** What has to be typed. */
const WORD = "panic";

export function PanicButton() {
  const [isOpen, setOpen] = useState(false);
  return (
    <section>
      <h2>Kill switch</h2>
      <p><small>Takes all deckies of all mazes off the network at once, and keeps them off until they are deployed again.</small></p>
      <button className="danger" data-testid="panic" onClick={() => setOpen(true)}>Switch the network off…</button>
      {isOpen && <PanicDialog close={() => setOpen(false)} />}
    </section>
  );
}

function PanicDialog({ close }: { close: () => void }) {
  const [typed, setTyped] = useState("");
  const [done, setDone] = useState<Panicked>();
  const { busy, problem, submit } = useSubmit(async () => setDone(await api.panic()));
  if (done) {
    return (
      <Dialog title={done.left.length > 0 ? "Not everything is off" : "The network is off"} close={close} testid="panic-dialog">
        <p data-testid="panic-done">{switchedOff(done)}</p>
        {done.left.map((line) => <p key={line} role="alert">{line}</p>)}
        <div className="buttons"><button type="button" onClick={close} autoFocus>Close</button></div>
      </Dialog>
    );
  }
  return (
    <Dialog title="Switch the whole network off?" close={close} testid="panic-dialog">
      <form onSubmit={submit}>
        <p>Every decky leaves the network and every live session ends. Changes that wait fail. What was recorded stays, and mazes can be deployed again.</p>
        <Field label={`Type “${WORD}” to go on`} name="word" value={typed} autoComplete="off" autoFocus
          onChange={(event) => setTyped(event.target.value)} />
        <FormProblem problem={problem} />
        <div className="buttons">
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" className="danger" disabled={busy || typed.trim() !== WORD}>Switch off</button>
        </div>
      </form>
    </Dialog>
  );
}

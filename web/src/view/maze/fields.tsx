/** Fields that several forms of the maze have in common. */

import { useId, type ReactNode } from "react";
import type { FieldError } from "../../api/types";
import { Field, FieldNote } from "../parts";
import { interval, INTERVAL_HINT } from "./ops";

type Fault = { error: FieldError | undefined };

export function Services({ pool, chosen, error }: { pool: readonly string[]; chosen: readonly string[] } & Fault) {
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

/** How often a decky rotates by itself. */
export function Rotates({ seconds, error, label = "Rotates every" }: { seconds: number | null; label?: string } & Fault) {
  return <Field label={label} name="rotate" autoComplete="off" placeholder="never by itself"
    hint={INTERVAL_HINT} defaultValue={interval(seconds)} error={error} />;
}

export function Address({ error }: Fault) {
  return <Field label="Address" name="ip" autoComplete="off" placeholder="chosen for you" error={error} />;
}

export function Select({ label, name, options, value, initial, change, error }: {
  label: string; name: string; options: [string, string][];
  value?: string; initial?: string; change?: (value: string) => void;
} & Fault) {
  const id = useId();
  return (
    <div className={error ? "field wrong" : "field"}>
      <label htmlFor={id}>{label}</label>
      <select id={id} name={name} aria-invalid={Boolean(error)} aria-describedby={`${id}-note`}
        {...(initial ? { defaultValue: initial } : {})}
        {...(change ? { value, onChange: (event) => change(event.target.value) } : {})}>
        {options.map(([word, text]) => <option key={word} value={word}>{text}</option>)}
      </select>
      <FieldNote id={`${id}-note`} error={error} />
    </div>
  );
}

/** A box to tick, with what it means. */
export function Tick({ name, children, hint, ticked = false, disabled = false, change, error }: {
  name: string; children: ReactNode; hint?: string | undefined; ticked?: boolean; disabled?: boolean;
  change?: (ticked: boolean) => void;
} & Fault) {
  const id = useId();
  return (
    <div className={error ? "field wrong" : "field"}>
      <label className="check">
        <input type="checkbox" name={name} defaultChecked={ticked} disabled={disabled} aria-describedby={`${id}-note`}
          {...(change ? { onChange: (event) => change(event.target.checked) } : {})} />
        {children}
      </label>
      <FieldNote id={`${id}-note`} hint={hint} error={error} />
    </div>
  );
}

export function Buttons({ close, busy, verb, danger = false, focus = false, children }: {
  close: () => void; busy: boolean; verb: string; danger?: boolean; focus?: boolean; children?: ReactNode;
}) {
  return (
    <div className="buttons">
      {children}
      <button type="button" onClick={close} autoFocus={focus}>Cancel</button>
      <button type="submit" className={danger ? "danger" : "primary"} disabled={busy}>{verb}</button>
    </div>
  );
}

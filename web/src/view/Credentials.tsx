/** What visitors tried to log in with. */

import { useState } from "react";
import type { Credential } from "../api/types";
import { Ago, Empty, Typed } from "./parts";
import { useConsole } from "./Shell";
import { TryIt } from "./TryIt";

export function CredentialsPage() {
  const { sight: { world } } = useConsole();
  const [filter, setFilter] = useState("");
  if (world.credentials.size === 0) {
    return (
      <main className="page">
        <h1>Credentials</h1>
        <Empty title="Nobody has tried to log in yet">
          <p>User names and passwords that visitors try are kept here.</p>
          <TryIt service="ssh" />
        </Empty>
      </main>
    );
  }
  const credentials = [...world.credentials.values()]
    .filter((credential) => matches(credential, filter.trim().toLowerCase()))
    .sort((a, b) => b.tries - a.tries || (a.last_seen < b.last_seen ? 1 : -1));
  return (
    <main className="page">
      <div className="heading">
        <h1>Credentials</h1>
        <input type="search" placeholder="Filter  /" aria-label="Filter the credentials" value={filter}
          onChange={(event) => setFilter(event.target.value)} />
      </div>
      <table data-testid="credentials">
        <thead><tr><th>User name</th><th>Secret</th><th>Kind</th><th>Tries</th><th>First seen</th><th>Last seen</th></tr></thead>
        <tbody>
          {credentials.map((credential) => (
            <tr key={credential.credential_id}>
              <td className="wide">{credential.principal ? <Typed text={credential.principal} /> : <small>no name</small>}</td>
              <td className="wide"><Secret secret={credential.secret} /></td>
              <td>{credential.kind}</td>
              <td>{credential.tries}</td>
              <td><Ago ts={credential.first_seen} /></td>
              <td><Ago ts={credential.last_seen} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </main>
  );
}

function Secret({ secret }: { secret: string | null }) {
  if (secret === null) return <small>shown to administrators</small>;
  return secret ? <Typed text={secret} /> : <small>empty</small>;
}

function matches({ principal, secret, kind }: Credential, wanted: string): boolean {
  return [principal, secret ?? "", kind].some((text) => text.toLowerCase().includes(wanted));
}

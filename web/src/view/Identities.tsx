/** Identities: one actor each, behind one or more addresses. */

import { shortId } from "../format/words";
import { Ago, Empty, Score } from "./parts";
import { useConsole } from "./Shell";
import { TryIt } from "./TryIt";

export function IdentitiesPage() {
  const { sight: { world } } = useConsole();
  const identities = [...world.identities.values()]
    .sort((a, b) => b.score - a.score || (a.last_seen < b.last_seen ? 1 : -1));
  return (
    <main className="page">
      <h1>Identities</h1>
      {identities.length === 0
        ? <Empty title="No identities yet"><p>Addresses that act as one are put together here.</p><TryIt /></Empty>
        : (
          <table data-testid="identities">
            <thead><tr><th>Identity</th><th>Score</th><th>Addresses</th><th>Formed</th><th>Last seen</th></tr></thead>
            <tbody>
              {identities.map((identity) => (
                <tr key={identity.identity_id}>
                  <td className="mono" title={identity.identity_id}>{shortId(identity.identity_id)}</td>
                  <td><Score score={identity.score} /></td>
                  <td className="wide">
                    {identity.attacker_ids.map((id) => (
                      <a key={id} href={`#/attackers/${id}`} className="mono spaced">{world.attackers.get(id)?.address || shortId(id)}</a>
                    ))}
                  </td>
                  <td><Ago ts={identity.formed_at} /></td>
                  <td><Ago ts={identity.last_seen} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
    </main>
  );
}

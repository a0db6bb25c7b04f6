//! The kill switch, as the database knows it: everything is off the network at once, and stays
//! so until somebody deploys it again.

use model::{DeckyState, TopologyId, TopologyStatus};

use super::{DeckyChange, TopologyRecord, make_move};
use crate::{
    Store, StoreError, topology_rows,
    writer::{Fault, Tx},
};

/// A topology that the kill switch took off the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchedOff {
    /// Which.
    pub id: TopologyId,
    /// Its name.
    pub name: String,
    /// Its status before.
    pub from: TopologyStatus,
    /// Its status now: `pending`, or `torn_down` where it was on its way there.
    pub to: TopologyStatus,
    /// How many deckies it has.
    pub deckies: usize,
}

impl Store {
    /// Writes down that nothing of any topology is on the network, in one transaction: what is
    /// deployed, or being deployed, becomes `pending` with this reason and its deckies `planned`;
    /// what is being torn down becomes `torn_down`. Unfinished mutations of these end as failed.
    /// Answers what changed; nothing where nothing was deployed.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn switch_off(&self, reason: &str) -> Result<Vec<SwitchedOff>, StoreError> {
        let reason = reason.to_owned();
        let work = move |tx: &mut Tx<'_>| -> Result<_, Fault<StoreError>> {
            let mut off = Vec::new();
            for record in topology_rows::load_all(tx.connection)? {
                off.extend(take_off(tx, record, &reason)?);
            }
            Ok(off)
        };
        self.write("switch the network off", work).await
    }
}

fn take_off(
    tx: &mut Tx<'_>,
    record: TopologyRecord,
    reason: &str,
) -> rusqlite::Result<Option<SwitchedOff>> {
    use TopologyStatus as S;
    let (to, state) = match record.status {
        S::Deploying | S::Active | S::Degraded => (S::Pending, DeckyState::Planned),
        S::TearingDown => (S::TornDown, DeckyState::Retired),
        S::Pending | S::Failed | S::TornDown => return Ok(None),
    };
    let off = SwitchedOff {
        id: record.topology.id,
        name: record.topology.name.to_string(),
        from: record.status,
        to,
        deckies: record.topology.deckies.len(),
    };
    let gone = |decky_id: &_| DeckyChange { decky_id: *decky_id, state, reason: None };
    let deckies = record.topology.deckies.keys().map(gone).collect();
    make_move(tx, record, to, Some(reason.to_owned()), deckies)?;
    Ok(Some(off))
}

//! What requests with a key have made. The same request again, within a day, is answered with
//! that and makes nothing: its key is kept in the transaction that made it.

use std::time::Duration;

use super::{
    HubError, Table,
    table::{self, Outcome},
};
use crate::{
    Store,
    rows::{self, Columns},
    writer::{Fault, Tx},
};

/// How long a key is remembered.
const KEPT: Duration = Duration::from_secs(86_400);

/// What tells a request from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Who asks; others may use the same key for something else.
    pub requested_by: String,
    /// What they call the request.
    pub key: String,
    /// Of what is asked for, so that a key that is used for something else is seen.
    pub digest: String,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made<T> {
    /// It, as it is now.
    pub row: T,
    /// Whether an earlier request of the same key made it.
    pub replayed: bool,
}

impl Store {
    /// Runs `work`, which makes something, unless a request of this key did so before.
    pub(super) async fn make<T: Table + Send + 'static>(
        &self,
        operation: &'static str,
        request: Option<RequestKey>,
        work: impl FnOnce(&mut Tx<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<Made<T>, HubError> {
        self.write(operation, move |tx| {
            let Some(request) = request else {
                return Ok(Made { row: work(tx)?, replayed: false });
            };
            if let Some(row) = known(tx, &request)? {
                return Ok(Made { row, replayed: true });
            }
            let row = work(tx)?;
            keep(tx, &request, &row.id().to_string())?;
            Ok(Made { row, replayed: false })
        })
        .await
    }
}

fn known<T: Table>(tx: &Tx<'_>, request: &RequestKey) -> Outcome<Option<T>> {
    let RequestKey { requested_by, key, digest } = request;
    let sql = "SELECT digest, made FROM hub_requests WHERE requested_by = ? AND key = ? AND at > ?";
    let oldest = tx.now().minus(KEPT).as_micros();
    let found = rows::select_one(tx.connection, sql, (requested_by, key, oldest), |row| {
        let mut columns = Columns::of(row);
        Ok((columns.string()?, columns.string()?))
    })?;
    match found {
        None => Ok(None),
        Some((asked, _)) if asked != *digest => Err(Fault::Refused(HubError::KeyReused)),
        // What was made and removed is not made again by whoever repeats himself.
        Some((_, id)) => match table::load_by(tx.connection, &id)? {
            None => Err(Fault::Refused(HubError::Unknown { noun: T::NOUN })),
            row => Ok(row),
        },
    }
}

/// Remembers a key, and forgets those that are too old.
fn keep(tx: &Tx<'_>, request: &RequestKey, made: &str) -> rusqlite::Result<()> {
    let oldest = tx.now().minus(KEPT).as_micros();
    rows::run(tx.connection, "DELETE FROM hub_requests WHERE at <= ?", [oldest])?;
    let RequestKey { requested_by, key, digest } = request;
    let sql = "INSERT INTO hub_requests (requested_by, key, digest, made, at)
        VALUES (?, ?, ?, ?, ?)";
    rows::run(tx.connection, sql, (requested_by, key, digest, made, tx.now().as_micros()))?;
    Ok(())
}

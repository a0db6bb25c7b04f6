//! How far the durable streams are understood: kept in the transaction of what came of them, so
//! that a message that is delivered again after a crash changes nothing.

use rusqlite::Connection;

use crate::{
    Store, StoreError,
    rows::{self, Columns, int},
};

/// A place in a durable stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// Its name, such as `SESSIONS`.
    pub stream: String,
    /// Names this life of the stream: one that is made anew counts from 1 again.
    pub incarnation: String,
    /// The last message that is understood.
    pub seq: u64,
}

impl Store {
    /// The last message of the stream that is understood, in this life of it; 0 where none is.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn stream_position(
        &self,
        stream: &str,
        incarnation: &str,
    ) -> Result<u64, StoreError> {
        let (stream, incarnation) = (stream.to_owned(), incarnation.to_owned());
        self.read("read the position in a stream", move |connection| {
            position(connection, &stream, &incarnation)
        })
        .await
    }
}

pub(crate) fn position(
    connection: &Connection,
    stream: &str,
    incarnation: &str,
) -> rusqlite::Result<u64> {
    let sql = "SELECT position FROM stream_positions WHERE stream = ? AND incarnation = ?";
    let read = |row: &rusqlite::Row<'_>| Columns::of(row).number();
    Ok(rows::select_one(connection, sql, [stream, incarnation], read)?.unwrap_or(0))
}

pub(crate) fn put(connection: &Connection, at: &StreamPosition) -> rusqlite::Result<()> {
    let sql = "INSERT INTO stream_positions (stream, incarnation, position) VALUES (?, ?, ?)
        ON CONFLICT (stream) DO UPDATE
        SET incarnation = excluded.incarnation, position = excluded.position";
    rows::run(connection, sql, (&at.stream, &at.incarnation, int(at.seq))).map(drop)
}

//! The journal.

use model::JournalEntry;
use tokio::sync::watch;

use crate::{Store, StoreError};

impl Store {
    /// Position of the newest entry that is committed; 0 where there is none.
    pub fn journal_head(&self) -> u64 {
        unimplemented!()
    }

    /// Tells of every new head, after its commit.
    pub fn watch_journal(&self) -> watch::Receiver<u64> {
        unimplemented!()
    }

    /// The entries after `seq`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn journal_after(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        unimplemented!("{seq} {limit}")
    }

    /// Position of the oldest entry that is kept; one after the head where there is none. Who
    /// has seen less than the one before it cannot resume.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn journal_oldest(&self) -> Result<u64, StoreError> {
        unimplemented!()
    }

    /// Removes all entries but the newest `keep` (at least one stays), a few thousand per
    /// transaction; answers how many went.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn prune_journal(&self, keep: u64) -> Result<u64, StoreError> {
        unimplemented!("{keep}")
    }
}

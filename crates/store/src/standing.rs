//! Topologies as the last commit left them, in memory.
//!
//! The writer puts them here after each commit, before the head moves and anybody is answered, so
//! that whoever was answered, or saw the head, finds the change. A reader of the database can be
//! earlier by a moment. Not all are here: the database has the others.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use model::{Name, TopologyId, TopologyStatus};

use crate::TopologyRecord;

pub(crate) type Records = HashMap<TopologyId, Arc<TopologyRecord>>;

/// What is in memory; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Standing(Arc<RwLock<Arc<Records>>>);

impl Standing {
    /// Those that are here, all as of one commit.
    pub(crate) fn all(&self) -> Arc<Records> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn get(&self, id: TopologyId) -> Option<Arc<TopologyRecord>> {
        self.all().get(&id).cloned()
    }

    /// The one of this name that is not torn down.
    pub(crate) fn named(&self, name: &Name) -> Option<Arc<TopologyRecord>> {
        let is_it = |record: &&Arc<TopologyRecord>| {
            record.topology.name == *name && record.status != TopologyStatus::TornDown
        };
        self.all().values().find(is_it).cloned()
    }

    pub(crate) fn replace(&self, records: Records) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(records);
    }
}

//! Subjects by the rules of NATS, as bytes, and the match table.
//!
//! Owns what a filter and a subject are, who matches whom, and the table from filters to routes
//! with its cache of results. Pure, and of one thread. It refuses to know what a route is: an id
//! that somebody else gave.

mod cache;
mod subject;
#[cfg(test)]
mod tests;
mod trie;

use std::rc::Rc;

use cache::Cache;
pub use subject::{
    is_literal, is_subset, matches, overlaps, token_count, valid_filter, valid_literal,
};
use trie::{GROUP_COST, NODE_COST, Trie};

/// What a filter leads to: one subscription of one connection.
pub type RouteId = u32;

/// Who gets a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// These all do, ascending.
    pub plain: Box<[RouteId]>,
    /// One of each of these does; none is empty. A queue group is one over all of its filters.
    pub groups: Box<[Box<[RouteId]>]>,
}

impl Routes {
    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        self.len() * size_of::<RouteId>() + self.groups.len() * 16
    }

    /// How many routes it names.
    fn len(&self) -> usize {
        self.plain.len() + self.groups.iter().map(|group| group.len()).sum::<usize>()
    }
}

/// Bytes that a route takes in the table at most, about: where no other filter begins as its own.
pub fn route_cost(filter: &[u8], queue: Option<&[u8]>) -> usize {
    let group = queue.map_or(0, |queue| GROUP_COST + queue.len());
    token_count(filter) * NODE_COST + filter.len() + group
}

/// Results that are kept where nobody says otherwise.
pub const CACHE_ENTRIES: usize = 1 << 17;

/// The match table: which routes a subject has.
///
/// Changes cost the tokens of their filter. Results are remembered; a change makes exactly those
/// stale that it concerns, and that is found out when they are asked for again.
pub struct Matcher {
    trie: Trie,
    cache: Cache,
    /// Nodes and routes that were looked at for results.
    work: usize,
}

impl Default for Matcher {
    fn default() -> Self {
        Matcher::new(CACHE_ENTRIES)
    }
}

impl Matcher {
    /// An empty table that remembers up to `cache_entries` results, in at most 128 MiB.
    pub fn new(cache_entries: usize) -> Matcher {
        Matcher { trie: Trie::default(), cache: Cache::new(cache_entries), work: 0 }
    }

    /// Adds a route; `false` where it is there already, or `filter` is none. A plain route and
    /// one of each group may have the same id.
    pub fn insert(&mut self, filter: &[u8], queue: Option<&[u8]>, id: RouteId) -> bool {
        let changed = valid_filter(filter) && self.trie.insert(filter, queue, id);
        if changed {
            self.cache.changed(filter);
        }
        changed
    }

    /// Takes a route away; `false` where it is not there.
    pub fn remove(&mut self, filter: &[u8], queue: Option<&[u8]>, id: RouteId) -> bool {
        let changed = valid_filter(filter) && self.trie.remove(filter, queue, id);
        if changed {
            self.cache.changed(filter);
        }
        changed
    }

    /// Who gets what is published to `subject`. Its tokens are taken literally, wildcards too; a
    /// subject with an empty token has nobody.
    #[inline]
    pub fn routes(&mut self, subject: &[u8]) -> Rc<Routes> {
        if let Some(routes) = self.cache.get(subject) {
            return routes;
        }
        let (routes, nodes) = self.trie.routes(subject);
        self.work += nodes + routes.len();
        let routes = Rc::new(routes);
        self.cache.put(subject, &routes);
        routes
    }

    /// What [`Matcher::routes`] looked at since the last time that this was asked for: nodes and
    /// routes. What is remembered is free.
    #[inline]
    pub fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// Routes in the table.
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the nodes that are in use, about; what is remembered is bounded on its own.
    pub fn node_bytes(&self) -> usize {
        self.trie.nodes() * NODE_COST
    }

    /// Results that are remembered.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }
}

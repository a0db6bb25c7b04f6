//! All subscriptions, by number and by subject.
//!
//! A subscription is one entry here, one route in the match table and one entry with its owner;
//! this owns the first two and keeps them equal. [`Table::version`] changes with every change, so
//! that whoever remembers a result knows when to ask again.

use std::{rc::Rc, sync::Arc};

use super::{command::CommandQueue, slab::Slab};
use crate::{
    auth::Account,
    matcher::{Matcher, RouteId, Routes, route_cost},
};

/// Entries of the match table's result cache.
const CACHED_SUBJECTS: usize = 1 << 17;

/// Bytes that a subscription takes here and with its owner, about, besides its texts.
const SUBSCRIPTION_COST: usize = 256;

/// Who gets the messages of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The connection at this place.
    Connection(u32),
    /// The in-process client at this place, by its own number for the subscription.
    Local { index: u32, sid: u64 },
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) owner: Owner,
    /// Whose publications it hears.
    pub(super) account: Account,
    /// The number on the wire and the space that follows it there; empty for in-process clients.
    pub(super) sid: Box<[u8]>,
    pub(super) filter: Box<[u8]>,
    pub(super) group: Option<Box<[u8]>>,
    /// Messages that it got.
    pub(super) delivered: u64,
    /// It ends with this many; 0 is never.
    pub(super) max: u64,
    /// Each message is to be asked for permission.
    pub(super) checked: bool,
}

impl Subscription {
    /// Bytes that it takes at most, about: here, in the match table, and with its owner, who keeps
    /// the number on the wire a second time.
    pub(super) fn cost(&self) -> usize {
        self.bytes() + route_cost(&self.filter, self.group.as_deref())
    }

    /// What of its cost is no node of the match table.
    fn bytes(&self) -> usize {
        let group = self.group.as_ref().map_or(0, |group| group.len());
        SUBSCRIPTION_COST + 2 * self.sid.len() + self.filter.len() + group
    }

    /// Counts a message; true where it was the last that it wants.
    #[inline]
    pub(super) fn count(&mut self) -> bool {
        self.delivered += 1;
        self.delivered == self.max
    }
}

/// All subscriptions.
pub(super) struct Table {
    subscriptions: Slab<Subscription>,
    /// One for each account that anybody subscribed in; the main one's is always there.
    matchers: Vec<Matcher>,
    version: u64,
    /// What subscriptions take besides the nodes of the match table, about.
    bytes: usize,
    /// Tells in-process publishers how many there are.
    queue: Arc<CommandQueue>,
}

impl Table {
    pub(super) fn new(queue: Arc<CommandQueue>) -> Self {
        let matchers = vec![Matcher::new(CACHED_SUBJECTS)];
        Self { subscriptions: Slab::default(), matchers, version: 1, bytes: 0, queue }
    }

    pub(super) fn insert(&mut self, subscription: Subscription) -> RouteId {
        self.version += 1;
        self.bytes += subscription.bytes();
        let place = subscription.account.place();
        let id = self.subscriptions.insert(subscription);
        while self.matchers.len() <= place {
            self.matchers.push(Matcher::new(CACHED_SUBJECTS));
        }
        if let Some(subscription) = self.subscriptions.get(id) {
            let matcher = &mut self.matchers[place];
            matcher.insert(&subscription.filter, subscription.group.as_deref(), id);
        }
        self.queue.set_subscriptions(self.len());
        id
    }

    pub(super) fn remove(&mut self, id: RouteId) -> Option<Subscription> {
        self.version += 1;
        let subscription = self.subscriptions.remove(id)?;
        self.bytes -= subscription.bytes();
        let matcher = &mut self.matchers[subscription.account.place()];
        matcher.remove(&subscription.filter, subscription.group.as_deref(), id);
        self.queue.set_subscriptions(self.len());
        Some(subscription)
    }

    #[inline]
    pub(super) fn get(&self, id: RouteId) -> Option<&Subscription> {
        self.subscriptions.get(id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: RouteId) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(id)
    }

    /// Who gets what is published to `subject` in an account.
    #[inline]
    pub(super) fn routes(&mut self, account: Account, subject: &[u8]) -> Rc<Routes> {
        match self.matchers.get_mut(account.place()) {
            Some(matcher) => matcher.routes(subject),
            None => Rc::default(),
        }
    }

    /// What looking for results was worth since the last time, in nodes and routes.
    #[inline]
    pub(super) fn take_work(&mut self) -> usize {
        self.matchers.iter_mut().map(Matcher::take_work).sum()
    }

    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Bytes that all of it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.matchers.iter().map(Matcher::node_bytes).sum::<usize>()
    }

    pub(super) fn cached(&self) -> usize {
        self.matchers.iter().map(Matcher::cached).sum()
    }
}

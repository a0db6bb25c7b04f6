//! Who gets what: takes publications, appends them to the output of their receivers.
//!
//! Owns connections, in-process clients and subscriptions. [`session`](super::session) tells it
//! what a client sent; what becomes of output and of closed connections is in
//! [`output`](super::output).

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    batch::{Origin, OutgoingRef},
    command::CommandQueue,
    connection::{Connection, Memo},
    limits::Limits,
    locals::Local,
    outbound::Pool,
    output::WRITE_AFTER,
    poller::Poller,
    publication::{Parts, Publication, write_head, write_tail},
    slab::Slab,
    stats::Traffic,
    table::{Owner, Subscription, Table},
};
use crate::{
    auth::{Account, Auth},
    matcher::{RouteId, Routes},
    proto::{ClientFrame, ProtoLimits},
};

/// Counters of the broker, without those of present connections.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) total_connections: u64,
    pub(super) slow_consumers: u64,
    pub(super) stale_connections: u64,
    pub(super) auth_errors: u64,
    pub(super) protocol_errors: u64,
    pub(super) refused_connections: u64,
    pub(super) dropped_local: u64,
    /// Of connections that are gone.
    pub(super) traffic: Traffic,
}

/// Clients, subscriptions, and what a tick changed.
pub(super) struct Router {
    pub(super) connections: Slab<Box<Connection>>,
    pub(super) locals: Slab<Local>,
    pub(super) local_places: HashMap<u64, u32, foldhash::fast::RandomState>,
    pub(super) table: Table,
    pub(super) limits: Limits,
    pub(super) frame_limits: ProtoLimits,
    pub(super) stranger_limits: ProtoLimits,
    pub(super) auth: Arc<Auth>,
    pub(super) queue: Arc<CommandQueue>,
    pub(super) sign_in: super::sign_in::Desk,
    pub(super) poller: Poller,
    pub(super) counters: Counters,
    /// The time of this tick.
    pub(super) now: Instant,
    /// Bytes that wait for clients on sockets.
    pub(super) pending: usize,
    pub(super) remote_subscriptions: usize,
    /// `pending` from which on output is written before the end of the tick.
    pub(super) write_at: usize,
    /// Bytes that wait for one client from which on it slows publishers down.
    pub(super) crowded_at: usize,
    /// A publication met such a client.
    pub(super) crowding: bool,
    pub(super) stalls: Vec<u32>,
    /// What was done for the client whose input is looked at: frames, receivers, nodes.
    pub(super) work: usize,
    /// Clients that wait for their turn, with their ids: a place may be somebody else's by then.
    pub(super) turns: Vec<(u32, u64)>,
    pub(super) dirty: Vec<u32>,
    pub(super) dirty_locals: Vec<u32>,
    pub(super) closing: Vec<u32>,
    pub(super) pool: Pool,
    random: u64,
    /// The tail of a message that was not sent in the form that receivers read.
    tail: Vec<u8>,
    head: Vec<u8>,
}

/// What became of a message at one subscription.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// Not for this one, or there is no room.
    Refused,
    /// Got by one who never answers.
    Overheard,
    Taken,
}

impl Router {
    pub(super) fn new(
        limits: Limits,
        auth: Arc<Auth>,
        queue: Arc<CommandQueue>,
        sign_in: super::sign_in::Desk,
        poller: Poller,
    ) -> Self {
        let frame_limits = ProtoLimits {
            max_control_line: limits.max_control_line,
            max_payload: limits.max_payload,
        };
        Self {
            connections: Slab::default(),
            locals: Slab::default(),
            local_places: HashMap::default(),
            table: Table::new(Arc::clone(&queue)),
            frame_limits,
            stranger_limits: ProtoLimits { max_payload: 0, ..frame_limits },
            auth,
            queue,
            sign_in,
            poller,
            counters: Counters::default(),
            now: Instant::now(),
            pending: 0,
            remote_subscriptions: 0,
            write_at: WRITE_AFTER,
            crowded_at: limits.max_pending_per_client / 8,
            crowding: false,
            stalls: Vec::new(),
            work: 0,
            turns: Vec::new(),
            dirty: Vec::new(),
            dirty_locals: Vec::new(),
            closing: Vec::new(),
            pool: Pool::default(),
            random: super::random_seed() | 1,
            tail: Vec::new(),
            head: Vec::new(),
            limits,
        }
    }

    /// A PUB or HPUB of a client on a socket, permissions passed. `frame` is all of its bytes.
    #[inline]
    pub(super) fn publish(
        &mut self,
        index: u32,
        memo: &mut Memo,
        frame: &[u8],
        publish: &ClientFrame<'_>,
    ) {
        let ClientFrame::Pub { subject, reply, headers_len, payload, .. } = *publish else {
            return;
        };
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.traffic.in_msgs += 1;
        connection.traffic.in_bytes += payload.len() as u64;
        let from = Origin::Connection(connection.cid);
        let asks = reply.is_some() && connection.options.no_responders;
        let account = connection.account();
        self.look_up(memo, account, subject);
        let Some(routes) = &memo.routes else { return };
        let (headers, body) = payload.split_at(headers_len);
        let parts = Parts { reply, headers, body };
        let mut made = Vec::new();
        let tail = super::publication::tail_of(frame, subject, parts).unwrap_or_else(|| {
            write_tail(&mut made, parts);
            &made
        });
        let mut publication = Publication::new((subject, subject), parts, from, (&memo.head, tail));
        let delivered = self.route(routes, &mut publication);
        if delivered == 0 && asks {
            self.no_responders(index, reply.unwrap_or_default());
        }
        if self.pending > self.write_at {
            self.relieve();
        }
    }

    /// A message of an in-process client.
    pub(super) fn publish_local(&mut self, place: u32, message: &OutgoingRef<'_>) {
        let Some(local) = self.locals.get_mut(place) else { return };
        local.traffic.in_msgs += 1;
        local.traffic.in_bytes += (message.headers.len() + message.body.len()) as u64;
        let from = Origin::Local(local.id);
        let delivered = self.publish_from(from, message);
        if delivered > 0 || !message.track {
            return;
        }
        if let Some(local) = self.locals.get_mut(place) {
            local.undeliverable(message.reply.unwrap_or(message.route));
        }
    }

    fn publish_from(&mut self, from: Origin, message: &OutgoingRef<'_>) -> usize {
        let routes = self.table.routes(Account::MAIN, message.route);
        if routes.is_empty() || !message.fits_the_wire() {
            return 0;
        }
        let parts = Parts { reply: message.reply, headers: message.headers, body: message.body };
        let (mut head, mut tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        write_head(&mut head, message.subject);
        write_tail(&mut tail, parts);
        let subjects = (message.route, message.subject);
        let mut publication = Publication::new(subjects, parts, from, (&head, &tail));
        let delivered = self.route(&routes, &mut publication);
        tail.shrink_to(WRITE_AFTER);
        (self.head, self.tail) = (head, tail);
        if self.pending > self.write_at {
            self.relieve();
        }
        delivered
    }

    #[inline]
    fn look_up(&mut self, memo: &mut Memo, account: Account, subject: &[u8]) {
        let version = self.table.version();
        let known = memo.head.len() == subject.len() + 6 && memo.head[5..].starts_with(subject);
        if known && memo.version == version && memo.account == account {
            return;
        }
        if !known {
            write_head(&mut memo.head, subject);
        }
        memo.routes = Some(self.table.routes(account, subject));
        memo.account = account;
        memo.version = version;
        self.work += self.table.take_work();
    }

    /// Delivers to all plain subscriptions and one of each group; returns how many got it that may
    /// answer.
    #[inline]
    fn route(&mut self, routes: &Routes, publication: &mut Publication<'_>) -> usize {
        let receivers = routes.plain.len() + routes.groups.len();
        self.work += receivers;
        let share = receivers > 1 && publication.is_large();
        let mut delivered = 0;
        for &id in &routes.plain {
            delivered += usize::from(self.deliver(id, publication, share) == Delivery::Taken);
        }
        for group in &routes.groups {
            delivered += usize::from(self.deliver_to_one(group, publication, share));
        }
        delivered
    }

    /// A random member gets it, or the next that may.
    fn deliver_to_one(
        &mut self,
        group: &[RouteId],
        publication: &mut Publication<'_>,
        share: bool,
    ) -> bool {
        let first = self.random_below(group.len());
        let (before, from_first) = group.split_at(first);
        let mut tried = 0;
        let delivered = from_first.iter().chain(before).any(|&id| {
            tried += 1;
            self.deliver(id, publication, share) != Delivery::Refused
        });
        self.work += tried;
        delivered
    }

    #[inline]
    fn deliver(&mut self, id: RouteId, publication: &mut Publication<'_>, share: bool) -> Delivery {
        let Some(subscription) = self.table.get(id) else { return Delivery::Refused };
        match subscription.owner {
            Owner::Connection(index) => self.deliver_remote(index, id, publication, share),
            Owner::Local { index, sid } => self.deliver_local(index, id, sid, publication),
        }
    }

    #[inline]
    fn deliver_remote(
        &mut self,
        index: u32,
        id: RouteId,
        publication: &mut Publication<'_>,
        share: bool,
    ) -> Delivery {
        let Some(subscription) = self.table.get_mut(id) else { return Delivery::Refused };
        let Some(receiver) = self.connections.get_mut(index) else { return Delivery::Refused };
        let own = publication.from == Origin::Connection(receiver.cid);
        if receiver.is_closing()
            || (own && !receiver.options.echo)
            || (subscription.checked && !receiver.may_receive(publication.route))
        {
            return Delivery::Refused;
        }
        let ends = subscription.count();
        let before = receiver.out.pending();
        let after = receiver.take(&subscription.sid, publication, share, &mut self.pool);
        self.pending += after - before;
        if let (Some(grants), Some(reply)) = (&mut receiver.grants, publication.reply) {
            grants.note(reply, self.now);
        }
        if !receiver.dirty {
            receiver.dirty = true;
            self.dirty.push(index);
        }
        if after > self.crowded_at {
            self.crowded(index);
        }
        if ends {
            self.unsubscribe(id);
        }
        Delivery::Taken
    }

    fn deliver_local(
        &mut self,
        index: u32,
        id: RouteId,
        sid: u64,
        publication: &mut Publication<'_>,
    ) -> Delivery {
        let Some(receiver) = self.locals.get_mut(index) else { return Delivery::Refused };
        if publication.from == Origin::Local(receiver.id) && !receiver.echo {
            return Delivery::Refused;
        }
        let answers = receiver.answers;
        let (message, shared) = publication.message(sid);
        if !receiver.take(&message, shared.as_ref()) {
            self.counters.dropped_local += 1;
            return Delivery::Refused;
        }
        if !receiver.dirty {
            receiver.dirty = true;
            self.dirty_locals.push(index);
        }
        if self.table.get_mut(id).is_some_and(Subscription::count) {
            self.unsubscribe(id);
        }
        if answers { Delivery::Taken } else { Delivery::Overheard }
    }

    /// Takes a subscription away from table and owner.
    pub(super) fn unsubscribe(&mut self, id: RouteId) {
        let Some(subscription) = self.table.remove(id) else { return };
        match subscription.owner {
            Owner::Connection(index) => {
                self.count_remote_subscriptions(-1);
                if let Some(connection) = self.connections.get_mut(index) {
                    connection.subscribed -= subscription.cost();
                    connection.sids.remove(&subscription.sid[..subscription.sid.len() - 1]);
                }
            }
            Owner::Local { index, sid } => {
                if let Some(local) = self.locals.get_mut(index) {
                    local.sids.remove(&sid);
                }
            }
        }
    }

    pub(super) fn count_remote_subscriptions(&mut self, change: isize) {
        self.remote_subscriptions = self.remote_subscriptions.saturating_add_signed(change);
        self.queue.set_remote_subscriptions(self.remote_subscriptions);
    }

    /// Tells a publisher that nobody got its request, by the first of its own subscriptions that
    /// would have got the answer. Does not count as a delivery, as in nats-server.
    #[cold]
    fn no_responders(&mut self, index: u32, reply: &[u8]) {
        const STATUS: &[u8] = b"16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
        let Some(account) = self.connections.get(index).map(|asker| asker.account()) else {
            return;
        };
        let routes = self.table.routes(account, reply);
        self.work += routes.plain.len() + self.table.take_work();
        // a member of a queue group is not asked for: so does nats-server
        let mut plain = routes.plain.iter().filter_map(|&id| self.table.get(id));
        let Some(own) = plain.find(|own| own.owner == Owner::Connection(index)) else { return };
        let mut message = Vec::with_capacity(64);
        write_head(&mut message, reply);
        message.extend_from_slice(&own.sid);
        message.extend_from_slice(STATUS);
        self.say(index, &message);
    }

    /// A number below `bound`; good enough to spread load (xorshift).
    fn random_below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 32).unwrap_or_default() % bound.max(1)
    }
}

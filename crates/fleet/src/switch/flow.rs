//! Connections: which visitor opened which, the class it began in, and what its numbers are
//! shifted by.
//!
//! Bounded. A connection lives until it was silent for the lifetime of its state; one that is
//! established is never evicted for another. One that is only begun is, when the table is full,
//! so that a flood of SYNs costs no more than the table. Whoever does not see the connection
//! moves no state of it: a segment counts as established, as an end or as a new way back only
//! where its numbers are those that the kernel goes by (RFC 9293, 3.10.7.4; RFC 5961, 3.2).
//!
//! What visitors ask by datagrams is kept in a table of its own, where any entry gives way.

use std::{collections::HashMap, net::Ipv4Addr};

use super::{
    frame::{ACK, FIN, Mac, RST, SYN, Tcp},
    table::{Manner, Slot, UplinkId},
};

/// Most connections at once.
pub const MAX_FLOWS: usize = 1 << 18;
/// Most visitors' ends at once that asked something by datagrams.
pub const MAX_EXCHANGES: usize = 1 << 16;
/// How many entries are looked at for one to give way, when the table is full.
const SEARCH: usize = 64;

/// One connection, as the visitor sees its ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) slot: Slot,
    pub(super) port: u16,
    pub(super) peer: Ipv4Addr,
    pub(super) peer_port: u16,
}

/// How answers get back to the visitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub(super) uplink: UplinkId,
    /// The visitor, or the router that they come through.
    pub(super) peer_mac: Mac,
    /// The decky itself, or the forwarding one before it.
    pub(super) our_mac: Mac,
    /// Forwarding deckies on the way.
    pub(super) hops: u8,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The visitor sent a SYN.
    Opening,
    /// The visitor acknowledged ours.
    Open,
    /// One side said FIN.
    Closing,
    /// One side said RST.
    Closed,
    /// The visitor sent a datagram.
    Asked,
}

impl State {
    /// Milliseconds of silence after which it is forgotten. The kernel sends a SYN-ACK again for
    /// some 63 s and keeps an orphan for as long; decoys end what is idle long before an hour, and
    /// answer a datagram at once or never.
    const fn lifetime(self) -> u64 {
        match self {
            Self::Opening => 75_000,
            Self::Open => 7_200_000,
            Self::Closing => 300_000,
            Self::Closed => 65_000,
            Self::Asked => 30_000,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) key: Key,
    pub(super) who: Manner,
    pub(super) way: Way,
    pub(super) state: State,
    /// The kernel's initial sequence number, once it chose one.
    pub(super) kernel_isn: Option<u32>,
    /// Added to what the kernel numbers.
    pub(super) shift: u32,
    /// What the kernel said that it expects next of the visitor.
    expected: u32,
    /// Where what the visitor sent ends; not before what is expected.
    sent: u32,
    seen: u64,
}

/// A segment of one side, as far as it moves the state of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its header.
    pub(super) tcp: Tcp,
    /// Bytes of data.
    pub(super) data: u32,
}

impl Flow {
    pub(super) fn new(key: Key, who: Manner, way: Way, now: u64) -> Self {
        let (state, seen) = (State::Opening, now);
        Self { key, who, way, state, kernel_isn: None, shift: 0, expected: 0, sent: 0, seen }
    }

    /// What a visitor's datagram begins, or goes on with.
    pub(super) fn asked(key: Key, who: Manner, way: Way, now: u64) -> Self {
        Self { state: State::Asked, ..Self::new(key, who, way, now) }
    }

    /// Takes note of a segment from the visitor. `is_intact` is asked only where something would
    /// change: it goes through the whole segment.
    pub(super) fn note_peer(
        &mut self,
        Seen { tcp, data }: Seen,
        way: Way,
        now: u64,
        is_intact: impl FnOnce() -> bool,
    ) {
        let flags = tcp.flags & (SYN | ACK | RST | FIN);
        let begins = flags == SYN && self.state != State::Open;
        if begins {
            if is_intact() {
                (self.way, self.seen) = (way, now);
                self.state =
                    if self.state == State::Closing { State::Closing } else { State::Opening };
            }
            return;
        }
        let Some(isn) = self.kernel_isn else { return };
        if !self.follows(tcp.seq) || flags & SYN != 0 {
            return;
        }
        let opens = self.state == State::Opening
            && flags & (ACK | RST) == ACK
            && tcp.ack == isn.wrapping_add(self.shift).wrapping_add(1);
        let ends = flags & (RST | FIN) != 0 && [self.expected, self.sent].contains(&tcp.seq);
        let changes = opens || ends || way != self.way;
        if changes && !is_intact() {
            return;
        }
        (self.way, self.seen) = (way, now);
        let end = tcp.seq.wrapping_add(data + u32::from(flags & FIN != 0));
        if (end.wrapping_sub(self.sent) as i32) > 0 {
            self.sent = end;
        }
        if opens {
            self.state = State::Open;
        }
        if ends {
            self.ended_by(flags);
        }
    }

    /// Takes note of a segment from our side. The first with another initial sequence number
    /// begins a new connection between the same ends.
    pub(super) fn note_kernel(&mut self, Seen { tcp, .. }: Seen, now: u64) {
        self.seen = now;
        if tcp.flags & ACK != 0 {
            self.expected = tcp.ack;
            if tcp.flags & SYN != 0 || (self.expected.wrapping_sub(self.sent) as i32) > 0 {
                self.sent = self.expected;
            }
        }
        self.ended_by(tcp.flags);
    }

    /// The kernel numbers from here on; what it numbers is shifted by `shift`.
    pub(super) fn begin(&mut self, isn: u32, shift: u32) {
        (self.kernel_isn, self.shift, self.state) = (Some(isn), shift, State::Opening);
    }

    /// Whether this number is what the kernel expects, or follows what was sent since; or is that
    /// of a keep-alive, the one before (RFC 9293, 3.8.4). Others are the kernel's business alone.
    fn follows(&self, seq: u32) -> bool {
        let first = self.expected.wrapping_sub(1);
        seq.wrapping_sub(first) <= self.sent.wrapping_sub(first)
    }

    fn ended_by(&mut self, flags: u8) {
        self.state = match self.state {
            _ if flags & RST != 0 => State::Closed,
            State::Open if flags & FIN != 0 => State::Closing,
            state => state,
        };
    }

    fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.seen) > self.state.lifetime()
    }

    fn gives_way(&self, now: u64) -> bool {
        self.is_over(now) || matches!(self.state, State::Opening | State::Closed | State::Asked)
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Flows {
    index: HashMap<Key, u32, foldhash::fast::FixedState>,
    flows: Vec<Flow>,
    limit: usize,
    /// Where the search for old entries goes on.
    hand: usize,
}

impl Flows {
    pub(super) fn new(limit: usize, seed: u64) -> Self {
        let index = HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed));
        Self { index, flows: Vec::new(), limit, hand: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// The connection, unless it was silent for too long.
    pub(super) fn get(&mut self, key: Key, now: u64) -> Option<&mut Flow> {
        let at = *self.index.get(&key)? as usize;
        if self.flows[at].is_over(now) {
            self.remove_at(at);
            return None;
        }
        Some(&mut self.flows[at])
    }

    /// Adds one; false where all are in use by others. A known key is replaced.
    pub(super) fn open(&mut self, flow: Flow, now: u64) -> bool {
        if let Some(at) = self.index.get(&flow.key) {
            self.flows[*at as usize] = flow;
            return true;
        }
        if self.flows.len() >= self.limit && !self.make_room(now) {
            return false;
        }
        self.index.insert(flow.key, self.flows.len() as u32);
        self.flows.push(flow);
        true
    }

    /// Looks at some entries and forgets those that are over; how many those were.
    pub(super) fn sweep(&mut self, now: u64, budget: usize) -> usize {
        let before = self.flows.len();
        for _ in 0..budget.min(before) {
            match self.next_hand() {
                Some(at) if self.flows[at].is_over(now) => self.remove_at(at),
                Some(_) => self.hand += 1,
                None => break,
            }
        }
        before - self.flows.len()
    }

    fn make_room(&mut self, now: u64) -> bool {
        for _ in 0..SEARCH {
            let Some(at) = self.next_hand() else { return false };
            if self.flows[at].gives_way(now) {
                self.remove_at(at);
                return true;
            }
            self.hand += 1;
        }
        false
    }

    fn next_hand(&mut self) -> Option<usize> {
        if self.hand >= self.flows.len() {
            self.hand = 0;
        }
        (!self.flows.is_empty()).then_some(self.hand)
    }

    fn remove_at(&mut self, at: usize) {
        self.index.remove(&self.flows[at].key);
        self.flows.swap_remove(at);
        if let Some(moved) = self.flows.get(at) {
            self.index.insert(moved.key, at as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(peer_port: u16) -> Key {
        Key { slot: Slot(1), port: 22, peer: Ipv4Addr::new(10, 0, 0, 1), peer_port }
    }

    fn flow(peer_port: u16, now: u64) -> Flow {
        let way =
            Way { uplink: UplinkId(0), peer_mac: Mac::default(), our_mac: Mac::default(), hops: 0 };
        Flow::new(key(peer_port), Manner::default(), way, now)
    }

    fn open(flows: &mut Flows, peer_port: u16, now: u64) {
        let mut flow = flow(peer_port, now);
        greeted(&mut flow, now);
        hear(&mut flow, ACK, 100, 8, now);
        assert_eq!(flow.state, State::Open);
        assert!(flows.open(flow, now));
    }

    fn segment(flags: u8, seq: u32, ack: u32) -> Seen {
        let tcp = Tcp { source_port: 0, target_port: 0, seq, ack, flags, payload: 0 };
        Seen { tcp, data: 0 }
    }

    /// The visitor's numbers begin at 99, the kernel's at 7.
    fn greeted(flow: &mut Flow, now: u64) {
        flow.begin(7, 0);
        flow.note_kernel(segment(SYN | ACK, 7, 100), now);
    }

    fn hear(flow: &mut Flow, flags: u8, seq: u32, ack: u32, now: u64) {
        flow.note_peer(segment(flags, seq, ack), flow.way, now, || true);
    }

    #[test]
    fn begun_ones_give_way_and_open_ones_do_not() {
        let mut flows = Flows::new(3, 1);
        open(&mut flows, 1, 0);
        open(&mut flows, 2, 0);
        assert!(flows.open(flow(3, 0), 0));
        assert!(flows.open(flow(4, 0), 0), "one that was only begun gave way");
        assert!(flows.get(key(3), 0).is_none());
        open(&mut flows, 5, 0);
        assert!(!flows.open(flow(6, 0), 0), "all are open");
        assert!([1, 2, 5].iter().all(|port| flows.get(key(*port), 0).is_some()));
    }

    #[test]
    fn silence_ends_them_by_state() {
        let mut flows = Flows::new(10, 1);
        open(&mut flows, 1, 0);
        assert!(flows.open(flow(2, 0), 0));
        assert_eq!(flows.sweep(75_000, 100), 0);
        assert_eq!(flows.sweep(75_001, 100), 1);
        assert!(flows.get(key(1), 7_200_000).is_some());
        assert!(flows.get(key(1), 7_200_001).is_none());
        assert_eq!(flows.len(), 0);
    }

    #[test]
    fn the_index_agrees_with_the_entries_after_any_order_of_removals() {
        let mut flows = Flows::new(64, 9);
        for port in 0..64 {
            open(&mut flows, port, u64::from(port));
        }
        for port in (0..64).filter(|port| port % 3 == 0) {
            let at = flows.index[&key(port)] as usize;
            flows.remove_at(at);
        }
        for port in 0..64 {
            let found = flows.get(key(port), 100).map(|flow| flow.key);
            assert_eq!(found, (port % 3 != 0).then(|| key(port)));
        }
    }

    #[test]
    fn a_life_goes_its_way() {
        let mut flow = flow(1, 0);
        hear(&mut flow, ACK, 100, 8, 1);
        assert_eq!(flow.state, State::Opening, "nothing was answered yet");
        greeted(&mut flow, 1);
        hear(&mut flow, ACK, 100, 8, 2);
        assert_eq!(flow.state, State::Open);
        flow.note_kernel(segment(ACK | FIN, 8, 100), 3);
        assert_eq!(flow.state, State::Closing);
        hear(&mut flow, RST, 100, 0, 4);
        assert_eq!(flow.state, State::Closed);
        hear(&mut flow, SYN, 900, 0, 5);
        assert_eq!(flow.state, State::Opening, "the same port again");
    }

    #[test]
    fn the_same_ends_again_are_a_new_connection() {
        let mut flow = flow(1, 0);
        greeted(&mut flow, 0);
        hear(&mut flow, ACK, 100, 8, 0);
        flow.note_kernel(segment(ACK | FIN, 8, 100), 1);
        hear(&mut flow, SYN, 5_000, 0, 2);
        assert_eq!(flow.state, State::Closing, "until the kernel agrees");
        flow.begin(70, 0);
        flow.note_kernel(segment(SYN | ACK, 70, 5_001), 2);
        hear(&mut flow, ACK, 5_001, 71, 3);
        assert_eq!(flow.state, State::Open);
    }

    #[test]
    fn who_does_not_see_a_connection_does_not_move_it() {
        let mut flow = flow(1, 0);
        greeted(&mut flow, 0);
        hear(&mut flow, ACK, 100, 9, 0);
        assert_eq!(flow.state, State::Opening, "an acknowledgement of something else");
        flow.note_peer(segment(ACK, 100, 8), flow.way, 0, || false);
        assert_eq!(flow.state, State::Opening, "a damaged one");
        hear(&mut flow, ACK, 100, 8, 0);
        let elsewhere = Way { peer_mac: Mac([2; 6]), ..flow.way };
        let before = flow.way;
        for flags in [RST, FIN | ACK, SYN] {
            hear(&mut flow, flags, 101, 8, 1);
            flow.note_peer(segment(flags, 100, 8), before, 1, || false);
            flow.note_peer(segment(flags, 5000, 8), elsewhere, 1, || true);
        }
        flow.note_peer(segment(ACK, 100, 8), elsewhere, 1, || false);
        assert_eq!((flow.state, flow.way), (State::Open, before));
        flow.note_peer(segment(ACK, 100, 8), elsewhere, 1, || true);
        assert_eq!(flow.way, elsewhere, "another router");
        let data = Seen { data: 50, ..segment(ACK, 100, 8) };
        flow.note_peer(data, elsewhere, 2, || true);
        hear(&mut flow, RST, 150, 0, 3);
        assert_eq!(flow.state, State::Closed, "after data that is still on its way");
    }
}

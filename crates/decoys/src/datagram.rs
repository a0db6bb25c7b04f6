//! What a decoy protocol over datagrams is to the driver: a state machine without I/O.
//!
//! Owns the trait and what one call may produce. As with [`crate::Session`]: no sockets, clocks
//! or tasks; randomness comes from the seed given to [`crate::start()`].

use model::{SessionFact, Timestamp};

/// Longest datagram that a session gets to see; longer ones are dropped unseen.
pub const MAX_DATAGRAM_BYTES: usize = 8 << 10;

/// Longest answer: what an Ethernet frame carries over IPv4. A longer one is dropped.
pub const MAX_ANSWER_BYTES: usize = 1_472;

/// Most answers to one datagram; what is beyond is dropped.
pub const MAX_ANSWERS: usize = 16;

/// Most facts about one datagram; what is beyond is dropped.
pub const MAX_DATAGRAM_FACTS: usize = 64;

/// What one source address and port says to one service of one decky, until it falls silent.
pub trait DatagramSession: Send {
    /// One datagram came. Its answers go to its sender, as long as the driver's allowance lasts:
    /// nobody knows whether the sender's address is its own.
    fn receive(&mut self, now: Timestamp, datagram: &[u8], answers: &mut Answers);
}

/// What a session produced for one datagram. The driver takes the facts first.
#[derive(Debug, Default)]
pub struct Answers {
    datagrams: Vec<Vec<u8>>,
    facts: Vec<SessionFact>,
}

impl Answers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends one datagram to the visitor.
    pub fn send(&mut self, datagram: Vec<u8>) {
        if datagram.len() <= MAX_ANSWER_BYTES && self.datagrams.len() < MAX_ANSWERS {
            self.datagrams.push(datagram);
        }
    }

    /// Records a fact. `Started` and `Ended` are the driver's alone and must not come from here.
    pub fn record(&mut self, fact: SessionFact) {
        if self.facts.len() < MAX_DATAGRAM_FACTS {
            self.facts.push(fact);
        }
    }

    /// Takes the datagrams, in order.
    pub fn take_datagrams(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.datagrams)
    }

    /// Takes the facts, in order.
    pub fn take_facts(&mut self) -> Vec<SessionFact> {
        std::mem::take(&mut self.facts)
    }
}

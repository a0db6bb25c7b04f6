//! The entries between the journal and one sink: which may go now, what came of them, and how
//! far everything is settled. Pure: time and chance are handed in; it does not know the sink,
//! the store or tasks.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use model::JournalEntry;
use store::NewDeadLetter;
use tokio::time::Instant;

use super::{MAX_TRIES, Order, Outcome};

/// Entries held at most, from the oldest that is not settled on. While it is full nothing more
/// is read: an entry that has to be tried again holds the cursor, not the memory.
pub(super) const WINDOW: usize = 1024;

/// The window of one sink.
pub(super) struct Outbox {
    order: Order,
    /// The newest entry that was read.
    read: u64,
    /// Oldest first; settled ones go when all before them have gone.
    slots: VecDeque<Slot>,
    /// Entries that were no longer in the journal when their turn came.
    missed: u64,
}

struct Slot {
    seq: u64,
    key: Arc<str>,
    /// `None` once it is settled.
    entry: Option<Arc<JournalEntry>>,
    attempts: u32,
    not_before: Option<Instant>,
}

/// What is to be delivered now.
#[derive(Default)]
pub(super) struct Batch {
    seqs: Vec<u64>,
    pub(super) entries: Vec<Arc<JournalEntry>>,
}

impl Outbox {
    /// Everything up to `position` is settled already.
    pub(super) fn new(order: Order, position: u64) -> Self {
        Self { order, read: position, slots: VecDeque::new(), missed: 0 }
    }

    /// How many entries may be read now.
    pub(super) fn room(&self) -> usize {
        WINDOW - self.slots.len()
    }

    /// The newest entry that was read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Everything up to here is settled.
    pub(super) fn position(&self) -> u64 {
        self.slots.front().map_or(self.read, |slot| slot.seq - 1)
    }

    /// Entries that were no longer in the journal when their turn came.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Takes the next entry of the journal; without a key it is not wanted.
    pub(super) fn take(&mut self, seq: u64, entry: JournalEntry, key: Option<String>) {
        self.missed += seq.saturating_sub(self.read + 1);
        self.read = seq;
        let Some(key) = key else { return };
        let entry = Some(Arc::new(entry));
        self.slots.push_back(Slot { seq, key: key.into(), entry, attempts: 0, not_before: None });
    }

    /// What may go at `now`, oldest first: nothing whose key has an older entry that waits.
    pub(super) fn ready(&self, now: Instant, most: usize) -> Batch {
        let (mut batch, mut held) = (Batch::default(), HashSet::new());
        for slot in &self.slots {
            let Some(entry) = &slot.entry else { continue };
            if batch.entries.len() == most {
                break;
            }
            if held.contains(&slot.key) {
                continue;
            }
            let is_due = slot.not_before.is_none_or(|at| at <= now);
            if is_due {
                batch.seqs.push(slot.seq);
                batch.entries.push(entry.clone());
            }
            if !is_due || self.order == Order::OnePerKey {
                held.insert(slot.key.clone());
            }
        }
        batch
    }

    /// When something may go that may not yet.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let mut keys = HashSet::new();
        let waiting = self.slots.iter().filter(|slot| slot.entry.is_some());
        // Later entries of a key wait for the first one, whatever they say.
        let firsts = waiting.filter(|slot| keys.insert(slot.key.clone()));
        firsts.filter_map(|slot| slot.not_before).min()
    }

    /// Takes what came of a batch; answers what has become a dead letter. `wait` says how long
    /// to wait after so many tries.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        batch: &Batch,
        outcomes: Vec<Outcome>,
        wait: impl Fn(u32) -> Duration,
    ) -> Vec<NewDeadLetter> {
        let mut dead = Vec::new();
        for (seq, outcome) in batch.seqs.iter().zip(outcomes) {
            let Ok(at) = self.slots.binary_search_by_key(seq, |slot| slot.seq) else { continue };
            dead.extend(self.slots[at].settle(now, outcome, &wait));
        }
        while self.slots.front().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_front();
        }
        dead
    }
}

impl Slot {
    fn settle(
        &mut self,
        now: Instant,
        outcome: Outcome,
        wait: impl Fn(u32) -> Duration,
    ) -> Option<NewDeadLetter> {
        self.attempts += 1;
        let reason = match outcome {
            Outcome::Delivered => {
                self.entry = None;
                return None;
            }
            Outcome::Later(_) if self.attempts < MAX_TRIES => {
                self.not_before = Some(now + wait(self.attempts));
                return None;
            }
            Outcome::Later(reason) => format!("given up after {MAX_TRIES} tries: {reason}"),
            Outcome::Refused(reason) => reason,
        };
        let entry = JournalEntry::clone(&*self.entry.take()?);
        Some(NewDeadLetter { entry, attempts: self.attempts, reason })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Ambient, Event, Payload, SystemLog, Timestamp};
    use proptest::prelude::*;

    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn entry(ambient: &Ambient, seq: u64) -> JournalEntry {
        let line = SystemLog {
            worker: "w".into(),
            level: "info".into(),
            message: String::new(),
            fields: BTreeMap::new(),
        };
        Event::new(ambient, Payload::SystemLog(line)).to_entry(Some(seq))
    }

    /// An outbox with an entry for each key; `-` is not wanted.
    fn outbox(order: Order, keys: &str) -> Outbox {
        let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
        let mut outbox = Outbox::new(order, 0);
        for (key, seq) in keys.chars().zip(1..) {
            let key = (key != '-').then(|| key.to_string());
            outbox.take(seq, entry(&ambient, seq), key);
        }
        outbox
    }

    fn later() -> Outcome {
        Outcome::Later("busy".into())
    }

    #[test]
    fn what_waits_holds_its_key_and_the_position() {
        use Outcome::{Delivered, Refused};
        let now = Instant::now();
        let mut outbox = outbox(Order::Pipelined, "a-aba");
        let batch = outbox.ready(now, 10);
        assert_eq!(batch.seqs, [1, 3, 4, 5]);
        // The sink stops at the second.
        assert!(outbox.settle(now, &batch, vec![Delivered, later()], |_| WAIT).is_empty());
        assert_eq!(outbox.position(), 2);
        let batch = outbox.ready(now, 10);
        assert_eq!(batch.seqs, [4], "b does not wait for a");
        outbox.settle(now, &batch, vec![Delivered], |_| WAIT);
        assert!(outbox.ready(now, 10).seqs.is_empty());
        assert_eq!((outbox.position(), outbox.next_due()), (2, Some(now + WAIT)));
        let batch = outbox.ready(now + WAIT, 10);
        assert_eq!(batch.seqs, [3, 5]);
        let dead = outbox.settle(now, &batch, vec![Refused("gone".into()), Delivered], |_| WAIT);
        assert_eq!((dead.len(), dead[0].entry.seq, dead[0].attempts), (1, Some(3), 2));
        assert_eq!((outbox.position(), outbox.next_due()), (5, None));
    }

    #[test]
    fn one_per_key_is_given_at_once() {
        let now = Instant::now();
        let mut outbox = outbox(Order::OnePerKey, "aabab");
        let batch = outbox.ready(now, 10);
        assert_eq!(batch.seqs, [1, 3]);
        outbox.settle(now, &batch, vec![Outcome::Delivered, later()], |_| WAIT);
        assert_eq!(outbox.ready(now, 10).seqs, [2]);
    }

    #[test]
    fn an_entry_is_given_up_after_so_many_tries() {
        let mut now = Instant::now();
        let mut outbox = outbox(Order::Pipelined, "aa");
        for tried in 1..=MAX_TRIES {
            let batch = outbox.ready(now, 1);
            assert_eq!(batch.seqs, [1], "try {tried}");
            let dead = outbox.settle(now, &batch, vec![later()], |_| WAIT);
            assert_eq!(dead.len(), usize::from(tried == MAX_TRIES));
            now += WAIT;
        }
        assert_eq!((outbox.position(), outbox.ready(now, 9).seqs), (1, vec![2]));
    }

    #[test]
    fn what_the_journal_no_longer_has_is_counted() {
        let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
        let mut outbox = Outbox::new(Order::Pipelined, 4);
        outbox.take(10, entry(&ambient, 10), Some("a".into()));
        assert_eq!((outbox.missed(), outbox.position()), (5, 9));
    }

    proptest! {
        /// Whatever a sink answers: each entry ends once, in order of its key, and nothing is
        /// settled before its end.
        #[test]
        fn every_entry_ends_once_and_in_order_of_its_key(
            keys in "[abc-]{1,40}",
            order in prop_oneof![Just(Order::OnePerKey), Just(Order::Pipelined)],
            script in proptest::collection::vec(0_u8..4, 1..400),
        ) {
            let mut outbox = outbox(order, &keys);
            let (mut now, mut script) = (Instant::now(), script.into_iter().cycle());
            let mut ended: BTreeMap<char, Vec<u64>> = BTreeMap::new();
            let key = |seq: u64| keys.chars().nth(seq as usize - 1).expect("it was taken");
            for _ in 0..40 * MAX_TRIES {
                let batch = outbox.ready(now, 7);
                let mut outcomes = Vec::new();
                for seq in &batch.seqs {
                    let outcome = match script.next() {
                        Some(0) => later(),
                        Some(1) => Outcome::Refused("no".into()),
                        _ => Outcome::Delivered,
                    };
                    let again = outcome == later();
                    outcomes.push(outcome);
                    if again && order == Order::Pipelined { break }
                    if !again { ended.entry(key(*seq)).or_default().push(*seq); }
                }
                let given_up = outbox.settle(now, &batch, outcomes, |_| WAIT);
                for letter in given_up.iter().filter(|letter| letter.reason != "no") {
                    let seq = letter.entry.seq.expect("it stands in the journal");
                    ended.entry(key(seq)).or_default().push(seq);
                }
                let settled = |seq: &u64| ended.get(&key(*seq)).is_some_and(|e| e.contains(seq));
                prop_assert!((1..=outbox.position()).filter(|s| key(*s) != '-').all(|s| settled(&s)));
                now += WAIT;
            }
            prop_assert_eq!(outbox.position(), keys.len() as u64);
            for (of, seqs) in ended {
                let wanted: Vec<u64> =
                    keys.chars().zip(1..).filter(|(k, _)| *k == of).map(|(_, seq)| seq).collect();
                prop_assert_eq!(seqs, wanted);
            }
        }
    }
}

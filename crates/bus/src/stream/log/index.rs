//! What is in the log and where: blocks, subjects, counts. Pure.
//!
//! Per message 16 bytes here and 8 under its subject. Knows nothing of commits: who asks says up
//! to which message it may see.

use std::collections::VecDeque;

use super::{
    block::{Block, Entry},
    filter::Filter,
    ranges::Ranges,
    record,
    subjects::{Subject, Subjects},
};

/// Up to so many subjects are asked one by one for their next message; for more, the messages
/// are walked.
const FEW_SUBJECTS: usize = 32;

/// The index of a log. Block `n` is segment `n`, counted from the first that is there.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: VecDeque<Block>,
    subjects: Subjects,
    /// Messages that should be there and are not.
    pub(crate) missing: Ranges,
    messages: u64,
    bytes: u64,
    last_seq: u64,
}

impl Index {
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes of all messages, as nats-server counts them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last number given out.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    pub(crate) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    pub(crate) fn blocks(&self) -> &VecDeque<Block> {
        &self.blocks
    }

    /// Begins a block whose first message can be `base`; numbers before it that nobody has seen
    /// are given out.
    pub(crate) fn begin_block(&mut self, base: u64) {
        self.give_out(base.saturating_sub(1));
        self.blocks.push_back(Block::new(base));
    }

    /// Takes note that numbers up to one were given out.
    pub(crate) fn give_out(&mut self, last: u64) {
        self.last_seq = self.last_seq.max(last);
    }

    /// Forgets the first block.
    pub(crate) fn drop_block(&mut self) {
        self.blocks.pop_front();
    }

    /// The last block, where messages are added.
    pub(crate) fn last_block(&mut self) -> Option<&mut Block> {
        self.blocks.back_mut()
    }

    /// Adds a message after all others to the last block.
    pub(crate) fn push(&mut self, seq: u64, offset: u32, len: u32, subject: &[u8]) {
        let Some(block) = self.blocks.back_mut() else { return };
        let subject = self.subjects.push(subject, seq);
        block.push(seq, offset, len, subject);
        self.messages += 1;
        self.bytes += record::counted(len as usize);
        self.last_seq = seq;
    }

    /// Takes a message out; where it was.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<(usize, Entry)> {
        let place = self.block_of(seq)?;
        let entry = self.blocks[place].remove(seq)?;
        self.messages -= 1;
        self.bytes -= record::counted(entry.len as usize);
        let blocks = &self.blocks;
        self.subjects.remove(entry.subject, |seq| find(blocks, seq).is_some());
        Some((place, entry))
    }

    /// Where a message is.
    pub(crate) fn get(&self, seq: u64) -> Option<(usize, Entry)> {
        find(&self.blocks, seq)
    }

    /// The first message that is there; the next one to come where there is none.
    pub(crate) fn first_seq(&self) -> u64 {
        self.next(0).map_or(self.last_seq + 1, |(seq, _)| seq)
    }

    /// The first message at or after a number.
    pub(crate) fn next(&self, from: u64) -> Option<(u64, Entry)> {
        let start = self.block_of(from).unwrap_or(0);
        self.blocks
            .range(start..)
            .filter(|block| block.live() > 0)
            .find_map(|block| block.next(from))
    }

    /// The last message of a subject at or before a number.
    pub(crate) fn last_of(&self, subject: &[u8], to: u64) -> Option<u64> {
        self.subjects.get(subject).and_then(|subject| self.last_in(subject, to))
    }

    /// The first message from `from` to `to` that a filter wants.
    pub(crate) fn next_wanted(&mut self, from: u64, to: u64, filter: &Filter) -> Option<u64> {
        let found = if filter.is_all() {
            self.next(from).map(|(seq, _)| seq)
        } else if let Some(literal) = filter.literal() {
            self.subjects.get(literal).and_then(|subject| self.next_in(subject, from))
        } else {
            self.next_of_many(from, to, filter)
        };
        found.filter(|seq| *seq <= to)
    }

    /// The last message at or before `to` that a filter wants.
    pub(crate) fn last_wanted(&mut self, to: u64, filter: &Filter) -> Option<u64> {
        if let Some(literal) = filter.literal() {
            return self.last_of(literal, to);
        }
        if filter.is_all() {
            return self
                .blocks
                .iter()
                .rev()
                .find_map(|block| block.previous(to))
                .map(|(seq, _)| seq);
        }
        let ids: Vec<u32> = self.subjects.wanted(filter).ids().collect();
        let subjects = ids.iter().filter_map(|id| self.subjects.by_id(*id));
        subjects.filter_map(|subject| self.last_in(subject, to)).max()
    }

    /// How many messages from `from` to `to` a filter wants.
    pub(crate) fn count_wanted(&mut self, from: u64, to: u64, filter: &Filter) -> u64 {
        if filter.is_all() {
            return self.count(from, to);
        }
        if let Some(literal) = filter.literal() {
            return self
                .subjects
                .get(literal)
                .map_or(0, |subject| self.count_in(subject, from, to));
        }
        let inside = from > self.first_seq();
        if inside && self.subjects.wanted(filter).count() > FEW_SUBJECTS {
            return self.count_walking(from, to, filter);
        }
        let ids: Vec<u32> = self.subjects.wanted(filter).ids().collect();
        let subjects = ids.iter().filter_map(|id| self.subjects.by_id(*id));
        subjects.map(|subject| self.count_in(subject, from, to)).sum()
    }

    /// The place of the block that a number belongs to.
    fn block_of(&self, seq: u64) -> Option<usize> {
        block_of(&self.blocks, seq)
    }

    fn lives(&self, seq: u64) -> bool {
        self.get(seq).is_some()
    }

    fn next_in(&self, subject: &Subject, from: u64) -> Option<u64> {
        subject.from(from).find(|seq| self.lives(*seq))
    }

    fn last_in(&self, subject: &Subject, to: u64) -> Option<u64> {
        subject.until(to).find(|seq| self.lives(*seq))
    }

    fn count_in(&self, subject: &Subject, from: u64, to: u64) -> u64 {
        let whole = subject.first().is_some_and(|first| first >= from)
            && subject.last().is_some_and(|last| last <= to);
        if whole {
            return subject.live();
        }
        let within = subject.from(from).take_while(|seq| *seq <= to);
        within.filter(|seq| self.lives(*seq)).count() as u64
    }

    fn count(&self, from: u64, to: u64) -> u64 {
        let start = self.block_of(from).unwrap_or(0);
        let mut count = 0;
        for (place, block) in self.blocks.iter().enumerate().skip(start) {
            let whole = block.base() >= from
                && self.blocks.get(place + 1).map_or(self.last_seq, |next| next.base() - 1) <= to;
            count += if whole {
                block.live()
            } else {
                block.iter(from).take_while(|(seq, _)| *seq <= to).count()
            };
        }
        count as u64
    }

    fn count_walking(&mut self, from: u64, to: u64, filter: &Filter) -> u64 {
        let start = self.block_of(from).unwrap_or(0);
        let wanted = self.subjects.wanted(filter);
        let messages = self.blocks.range(start..).flat_map(|block| block.iter(from));
        let within = messages.take_while(|(seq, _)| *seq <= to);
        within.filter(|(_, entry)| wanted.contains(entry.subject)).count() as u64
    }

    fn next_of_many(&mut self, from: u64, to: u64, filter: &Filter) -> Option<u64> {
        let start = self.block_of(from).unwrap_or(0);
        let wanted = self.subjects.wanted(filter);
        if wanted.count() > FEW_SUBJECTS {
            let messages = self.blocks.range(start..).flat_map(|block| block.iter(from));
            let mut within = messages.take_while(|(seq, _)| *seq <= to);
            return within.find(|(_, entry)| wanted.contains(entry.subject)).map(|(seq, _)| seq);
        }
        let ids: Vec<u32> = wanted.ids().collect();
        let subjects = ids.iter().filter_map(|id| self.subjects.by_id(*id));
        subjects.filter_map(|subject| self.next_in(subject, from)).min()
    }
}

fn block_of(blocks: &VecDeque<Block>, seq: u64) -> Option<usize> {
    // Of two blocks with one base the first is empty.
    blocks.partition_point(|block| block.base() <= seq).checked_sub(1)
}

fn find(blocks: &VecDeque<Block>, seq: u64) -> Option<(usize, Entry)> {
    let place = block_of(blocks, seq)?;
    blocks[place].get(seq).map(|entry| (place, entry))
}

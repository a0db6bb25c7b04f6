//! Opening a log after whatever happened to it.
//!
//! What cannot be told: damage to the very last batch before a crash looks like a torn write, as
//! nothing was written after it that would say otherwise. A closed log has such a mark.

use std::{
    fs::{self, File},
    path::Path,
};

use super::{
    super::state::UnixNanos,
    Consumers, LogError, LogOptions, Meta, StreamLog, files, life,
    record::{Kind, Record},
    scan::{self, Scanned},
    segment::{self, Segment},
    tail::Tail,
};

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Messages that are there.
    pub messages: u64,
    /// Bytes of an interrupted, never acknowledged write, cut off.
    pub torn_bytes: u64,
    /// What was acknowledged and cannot be read any more.
    pub damage: Damage,
}

/// What was acknowledged and cannot be read any more. The rest of the log stays readable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// Messages that are lost: first and last number of each run.
    pub messages: Vec<(u64, u64)>,
    /// Places where the bytes are wrong; more than the messages explain means that a removal
    /// was lost, too.
    pub places: u64,
    /// Bytes that are wrong.
    pub bytes: u64,
}

impl StreamLog {
    /// Opens the stream in `dir` and repairs what a crash left.
    ///
    /// # Errors
    ///
    /// The metadata are damaged, no segment says where numbering goes on, or the file system
    /// refuses. Damaged messages are no error: see [`Recovery`].
    pub fn open(
        dir: &Path,
        options: &LogOptions,
        now: UnixNanos,
    ) -> Result<(Self, Recovery), LogError> {
        let meta = Meta::load(dir)?;
        life::finish(dir)?;
        let log = Self::empty(Some(dir.to_owned()), meta, options, Consumers::open(dir)?);
        let mut opening = Opening { log, recovery: Recovery::default(), now };
        let numbers = segment_numbers(dir)?;
        opening.read_segments(dir, &numbers)?;
        opening.finish(dir)
    }

    /// Opens a log anew whose files failed. What was appended and not acknowledged is cut off, so
    /// that nothing counts as durable that may not be on disk; what consumers are done with stays
    /// removed. Where it fails the log is as before.
    ///
    /// # Errors
    ///
    /// As [`StreamLog::open`], or the files fail again.
    pub fn reopen(&mut self, now: UnixNanos) -> Result<Recovery, LogError> {
        let Some(dir) = self.dir.clone() else { return Ok(Recovery::default()) };
        self.preparing = None;
        if let Some(last) = self.segments.back() {
            let (mut file, _) = read(&dir, last.number)?;
            file.zero(self.tail.durable(), last.size)?;
        }
        let (mut log, recovery) = Self::open(&dir, &self.options, now)?;
        for (first, last) in self.consumed.iter() {
            (first..=last).for_each(|seq| {
                log.take(seq);
            });
        }
        log.consumed = std::mem::take(&mut self.consumed);
        *self = log;
        Ok(recovery)
    }
}

/// A log of which some segments are read.
struct Opening {
    log: StreamLog,
    recovery: Recovery,
    now: UnixNanos,
}

impl Opening {
    fn read_segments(&mut self, dir: &Path, numbers: &[u64]) -> Result<(), LogError> {
        let mut numbers = numbers.to_vec();
        while let Some(number) = numbers.pop() {
            let (last, bytes) = read(dir, number)?;
            let scanned = scan::scan(&bytes, self.log.meta.salt, true);
            let unused = scanned.records.is_empty() && !numbers.is_empty();
            if unused {
                // Prepared, or begun by a write that was interrupted.
                self.recovery.torn_bytes += scanned.torn as u64;
                last.remove()?;
                continue;
            }
            for number in numbers {
                let (segment, bytes) = read(dir, number)?;
                let scanned = scan::scan(&bytes, self.log.meta.salt, false);
                self.replay(segment, &bytes, &scanned);
            }
            return self.replay_last(last, &bytes, &scanned);
        }
        Ok(())
    }

    /// Takes the last segment, where the log goes on. What was found may be in the page cache
    /// only, and is about to be called durable: it is synced.
    fn replay_last(
        &mut self,
        mut segment: Segment,
        bytes: &[u8],
        scanned: &Scanned,
    ) -> Result<(), LogError> {
        if scanned.records.is_empty() {
            // The only segment: never begun, which is a stream that was just made, or lost.
            let made = segment.number == 1 && scanned.torn <= super::SEGMENT_RECORD;
            if !made {
                return Ok(());
            }
        }
        self.recovery.torn_bytes += scanned.torn as u64;
        let mark = scanned.mark(self.log.meta.salt);
        let end = (scanned.end + mark.len()) as u32;
        if !mark.is_empty() {
            segment.write(&mark, scanned.end as u32)?;
            segment.sync()?;
        }
        let size = segment.size.max(self.log.options.first_segment_bytes).max(end);
        if scanned.torn > 0 || segment.size < size {
            segment.zero(end, size)?;
        }
        segment.sync()?;
        if scanned.records.is_empty() {
            self.log.begin_segment(segment);
            return self.log.flush();
        }
        self.replay(segment, bytes, scanned);
        self.log.tail = Tail::at(end);
        Ok(())
    }

    fn replay(&mut self, segment: Segment, bytes: &[u8], scanned: &Scanned) {
        let records = scanned
            .records
            .iter()
            .filter_map(|at| Some((*at, Record::parse(bytes.get(*at as usize..)?)?)));
        self.begin_block(records.clone().next().map(|(_, record)| record));
        self.log.next_number = segment.number + 1;
        self.log.segments.push_back(segment);
        for (at, record) in records {
            self.apply(at, &record);
        }
        self.recovery.damage.places += scanned.gaps.len() as u64;
        self.recovery.damage.bytes +=
            scanned.gaps.iter().map(|gap| (gap.end - gap.start) as u64).sum::<u64>();
    }

    /// Begins a block where the segment says, or where the one before ended.
    fn begin_block(&mut self, first: Option<Record<'_>>) {
        let next = self.log.index.last_seq() + 1;
        let said = first.and_then(|first| match first.kind {
            Kind::Segment => Some(first.seq),
            Kind::Message if self.log.segments.is_empty() => Some(first.seq),
            _ => None,
        });
        let base = said.unwrap_or(next).max(next);
        if !self.log.segments.is_empty() {
            self.log.index.missing.add(next, base - 1);
        }
        self.log.index.begin_block(base);
    }

    fn apply(&mut self, offset: u32, record: &Record<'_>) {
        match record.kind {
            Kind::Message => self.add(offset, record),
            Kind::Segment => self.remove(0, record.number().saturating_sub(1)),
            Kind::Remove => {
                self.given_out(record.number());
                self.remove(0, record.seq.saturating_sub(1));
                record.ranges().for_each(|(first, last)| self.remove(first, last));
            }
            Kind::Erased => {
                self.given_out(record.seq);
                self.remember(record);
            }
            Kind::Durable => self.given_out(record.seq),
        }
        self.log.last_at = self.log.last_at.max(record.at);
    }

    /// Takes note that numbers up to one were given out, whether their messages are here or not.
    fn given_out(&mut self, last: u64) {
        let index = &mut self.log.index;
        index.missing.add(index.last_seq() + 1, last);
        index.give_out(last);
    }

    fn add(&mut self, offset: u32, record: &Record<'_>) {
        let log = &mut self.log;
        let next = log.index.last_seq() + 1;
        let within = log.index.last_block().is_some_and(|block| block.reaches(record.seq));
        if record.seq < next || !within {
            self.recovery.damage.places += 1;
            return;
        }
        log.index.missing.add(next, record.seq - 1);
        log.index.push(record.seq, offset, record.len() as u32, record.subject);
        if *log.last_msg_id != *record.msg_id {
            log.last_msg_id = record.msg_id.into();
        }
        self.remember(record);
    }

    /// Remembers when a message was stored, and its id while that may come again.
    fn remember(&mut self, record: &Record<'_>) {
        let log = &mut self.log;
        if let Some(block) = log.index.last_block() {
            block.note(record.at, !record.msg_id.is_empty());
        }
        if record.at > self.now.before(log.meta.config.duplicate_window) {
            log.ids.insert(record.msg_id, record.seq, record.at);
        }
    }

    fn remove(&mut self, first: u64, last: u64) {
        let index = &mut self.log.index;
        index.missing.subtract(first, last);
        while let Some((seq, _)) = index.next(first).filter(|(seq, _)| *seq <= last) {
            index.remove(seq);
        }
    }

    fn finish(mut self, dir: &Path) -> Result<(StreamLog, Recovery), LogError> {
        if self.log.segments.is_empty() {
            return Err(LogError::Unnumbered { path: dir.to_owned() });
        }
        self.log.committed = self.log.index.last_seq();
        // A configuration may have become stricter just before the crash.
        self.log.enforce_subject_limits();
        self.log.enforce_limits();
        self.recovery.messages = self.log.index.messages();
        self.recovery.damage.messages = self.log.index.missing.iter().collect();
        Ok((self.log, self.recovery))
    }
}

/// The segments of a stream, ascending.
fn segment_numbers(dir: &Path) -> Result<Vec<u64>, LogError> {
    let names = files::names(dir)?;
    Ok(names.iter().filter_map(|name| segment::number_of(name)).collect())
}

fn read(dir: &Path, number: u64) -> Result<(Segment, Vec<u8>), LogError> {
    let path = dir.join(segment::file_name(number));
    let bytes = fs::read(&path).map_err(|source| files::error("read", &path, source))?;
    let file = File::options().read(true).write(true).open(&path);
    let file = file.map_err(|source| files::error("open", &path, source))?;
    Ok((Segment::of_file(number, bytes.len() as u32, file, path), bytes))
}

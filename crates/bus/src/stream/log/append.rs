//! Appending: dedupe, what the publisher expects, limits.

use super::{
    super::{config::Discard, state::UnixNanos},
    Append, AppendError, Appended, Expected, Full, LogError, MAX_FIELD, MAX_MESSAGE, StreamLog,
    record::{self, Kind, Record},
};

impl StreamLog {
    /// Appends a message to the batch that the next commit writes. A stream that discards what
    /// is old makes room in the same batch.
    ///
    /// # Errors
    ///
    /// Says why it was refused; then nothing has changed.
    pub fn append(
        &mut self,
        message: &Append<'_>,
        now: UnixNanos,
    ) -> Result<Appended, AppendError> {
        self.check()?;
        self.now = self.now.max(now);
        let id = message.msg_id.unwrap_or_default();
        if !id.is_empty()
            && let Some(seq) = self.ids.seen(id, now)
        {
            return Ok(Appended { seq, duplicate: true });
        }
        self.check_expected(message)?;
        self.check_size(message)?;
        self.check_room(message)?;
        let seq = self.write(message, id, now.max(self.last_at))?;
        self.enforce_subject_limit(message.subject);
        self.enforce_limits();
        Ok(Appended { seq, duplicate: false })
    }

    fn write(
        &mut self,
        message: &Append<'_>,
        msg_id: &[u8],
        at: UnixNanos,
    ) -> Result<u64, LogError> {
        let Append { subject, headers, body, .. } = *message;
        let len = length(message);
        self.reserve(len, KEPT_FOR_REMOVALS)?;
        let seq = self.index.last_seq() + 1;
        let record =
            Record { kind: Kind::Message, durable: 0, seq, at, subject, msg_id, headers, body };
        let offset = self.push(&record)?;
        self.index.push(seq, offset, len as u32, subject);
        if let Some(block) = self.index.last_block() {
            block.note(at, !msg_id.is_empty());
        }
        self.last_at = at;
        self.ids.insert(msg_id, seq, at);
        if *self.last_msg_id != *msg_id {
            self.last_msg_id = msg_id.into();
        }
        Ok(seq)
    }

    fn check_expected(&self, message: &Append<'_>) -> Result<(), AppendError> {
        let Expected { last_seq, last_subject_seq, last_msg_id } = message.expected;
        if let Some(expected) = last_subject_seq {
            let last = self.index.last_of(message.subject, u64::MAX).unwrap_or(0);
            if last != expected {
                return Err(AppendError::WrongLastSubjectSeq { last });
            }
        }
        if last_seq.is_some_and(|expected| expected != self.index.last_seq()) {
            return Err(AppendError::WrongLastSeq { last: self.index.last_seq() });
        }
        if last_msg_id.is_some_and(|expected| *expected != *self.last_msg_id) {
            return Err(AppendError::WrongLastMsgId { last: self.last_msg_id.clone() });
        }
        Ok(())
    }

    fn check_size(&self, message: &Append<'_>) -> Result<(), AppendError> {
        let id = message.msg_id.unwrap_or_default();
        for (field, size) in [("subject", message.subject.len()), ("message id", id.len())] {
            if size > MAX_FIELD {
                return Err(AppendError::LongField { field, size });
            }
        }
        let size = message.headers.len() + message.body.len();
        let limit = self.meta.config.max_msg_size.map_or(MAX_MESSAGE, |limit| limit as usize);
        let limit = limit.min(MAX_MESSAGE);
        if size > limit { Err(AppendError::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Refuses what a full stream does not take. A message that takes the place of another one
    /// of its subject is none too many.
    fn check_room(&self, message: &Append<'_>) -> Result<(), AppendError> {
        let config = &self.meta.config;
        let size = record::counted(length(message));
        let max_bytes = config.max_bytes.unwrap_or(u64::MAX);
        if size > max_bytes {
            return Err(AppendError::Full(Full::Bytes));
        }
        if config.discard == Discard::Old {
            return Ok(());
        }
        if config.discard_new_per_subject && self.subject_is_full(message.subject) {
            return Err(AppendError::Full(Full::Subject));
        }
        let freed = self.freed_by(message.subject);
        let kept = self.index.messages() - u64::from(freed.is_some());
        if kept >= config.max_msgs.unwrap_or(u64::MAX) {
            return Err(AppendError::Full(Full::Messages));
        }
        if self.index.bytes() - freed.unwrap_or(0) + size > max_bytes {
            return Err(AppendError::Full(Full::Bytes));
        }
        Ok(())
    }

    fn subject_is_full(&self, subject: &[u8]) -> bool {
        let most = self.meta.config.max_msgs_per_subject.unwrap_or(u64::MAX);
        self.index.subjects().get(subject).is_some_and(|subject| subject.live() >= most)
    }

    /// The bytes of the message that one more of its subject pushes out.
    fn freed_by(&self, subject: &[u8]) -> Option<u64> {
        let most = self.meta.config.max_msgs_per_subject?;
        let subject = self.index.subjects().get(subject)?;
        let first = if subject.live() >= most { subject.first() } else { None };
        let (_, entry) = self.index.get(first?)?;
        Some(record::counted(entry.len as usize))
    }

    fn enforce_subject_limit(&mut self, subject: &[u8]) {
        let Some(most) = self.meta.config.max_msgs_per_subject else { return };
        while let Some(subject) = self.index.subjects().get(subject)
            && subject.live() > most.max(1)
            && let Some(first) = subject.first()
        {
            self.take(first);
        }
    }

    /// Removes the oldest messages while there are more than the limits allow.
    pub(super) fn enforce_limits(&mut self) {
        let max_msgs = self.meta.config.max_msgs.unwrap_or(u64::MAX);
        let max_bytes = self.meta.config.max_bytes.unwrap_or(u64::MAX);
        while self.index.messages() > max_msgs || self.index.bytes() > max_bytes {
            self.take(self.index.first_seq());
        }
    }

    /// Removes the oldest messages of every subject that has more than the limit allows.
    pub(super) fn enforce_subject_limits(&mut self) {
        let Some(most) = self.meta.config.max_msgs_per_subject else { return };
        let over = |subject: &&super::subjects::Subject| subject.live() > most.max(1);
        let names: Vec<Box<[u8]>> =
            self.index.subjects().iter().filter(over).map(|over| over.name().into()).collect();
        names.iter().for_each(|name| self.enforce_subject_limit(name));
    }
}

/// Bytes at the end of a segment that messages leave to removals, so that a full disk does not
/// keep a stream from making room; an eighth of a small one.
const KEPT_FOR_REMOVALS: u32 = 4096;

/// Bytes of a message's record without padding.
fn length(message: &Append<'_>) -> usize {
    let id = message.msg_id.map_or(0, <[u8]>::len);
    record::HEAD + message.subject.len() + id + message.headers.len() + message.body.len()
}

//! The end of the log in memory: what waits for the commit, and what was written last.

use super::{
    LogError,
    record::{self, Record},
    segment::Segment,
};

/// Written bytes that stay in memory: readers that keep up do not read files.
const KEPT: usize = 1 << 20;

/// The end of the last segment.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Offset of the first byte.
    start: u32,
    bytes: Vec<u8>,
    /// How many of them are written and durable.
    durable: usize,
}

impl Tail {
    /// Nothing, where records will go on at an offset.
    pub(crate) fn at(offset: u32) -> Self {
        Self { start: offset, bytes: Vec::new(), durable: 0 }
    }

    /// Where the next record goes.
    pub(crate) fn end(&self) -> u32 {
        self.start + self.bytes.len() as u32
    }

    /// Up to which offset everything is durable.
    pub(crate) fn durable(&self) -> u32 {
        self.start + self.durable as u32
    }

    /// Whether something waits.
    pub(crate) fn is_dirty(&self) -> bool {
        self.durable < self.bytes.len()
    }

    /// Adds a record; where it is. The caller made sure that the segment has room.
    pub(crate) fn push(&mut self, record: &Record<'_>, salt: u32) -> u32 {
        let offset = self.end();
        record.encode(salt, &mut self.bytes);
        offset
    }

    /// The bytes from an offset, where they are in memory whole.
    pub(crate) fn slice(&self, offset: u32, len: u32) -> Option<&[u8]> {
        let start = offset.checked_sub(self.start)? as usize;
        self.bytes.get(start..start + len as usize)
    }

    /// Writes what waits and syncs.
    pub(crate) fn flush(&mut self, segment: &mut Segment) -> Result<(), LogError> {
        if !self.is_dirty() {
            return Ok(());
        }
        segment.write(&self.bytes[self.durable..], self.durable())?;
        segment.sync()?;
        self.durable = self.bytes.len();
        self.trim();
        Ok(())
    }

    /// Puts other bytes of the same length in the place of a record.
    pub(crate) fn overwrite(&mut self, offset: u32, bytes: &[u8]) {
        let Some(start) = offset.checked_sub(self.start) else { return };
        let start = start as usize;
        if let Some(place) = self.bytes.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Forgets what is old, half at a time, so that moving the rest is rare.
    fn trim(&mut self) {
        if self.durable > 2 * KEPT {
            let gone = self.durable - KEPT;
            let gone = gone - gone % record::ALIGN;
            self.bytes.drain(..gone);
            self.bytes.shrink_to(4 * KEPT);
            self.start += gone as u32;
            self.durable -= gone;
        }
    }
}

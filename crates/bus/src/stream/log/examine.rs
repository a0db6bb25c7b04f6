//! What is in the bytes of a segment: for tools and for fuzzing. Pure.

use super::{record::Record, scan};

/// A segment taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Its whole records, ascending.
    pub records: Vec<ExaminedRecord>,
    /// Where the next record would go.
    pub end: usize,
    /// Bytes behind `end` that an interrupted write left.
    pub torn: usize,
    /// What recovery writes in their place before it fills the rest with zeros; mostly nothing.
    pub mark: Vec<u8>,
    /// Damage before `end`: from where to where.
    pub damage: Vec<(usize, usize)>,
}

/// Where one record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExaminedRecord {
    /// Its offset.
    pub offset: usize,
    /// Its bytes, without padding.
    pub len: usize,
    /// Its number, where it is a message.
    pub message: Option<u64>,
}

/// Takes a segment apart as recovery does. `salt` is the stream's; `last`: the segment has no
/// successor, so that its end may be torn.
#[must_use]
pub fn examine(bytes: &[u8], salt: u32, last: bool) -> Examined {
    let scanned = scan::scan(bytes, salt, last);
    let records = scanned.records.iter().filter_map(|offset| {
        let record = Record::parse(bytes.get(*offset as usize..)?)?;
        Some(ExaminedRecord {
            offset: *offset as usize,
            len: record.len(),
            message: (record.kind == super::Kind::Message).then_some(record.seq),
        })
    });
    Examined {
        records: records.collect(),
        end: scanned.end,
        torn: scanned.torn,
        mark: scanned.mark(salt),
        damage: scanned.gaps.iter().map(|gap| (gap.start, gap.end)).collect(),
    }
}

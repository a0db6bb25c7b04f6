//! Recovery of a segment of a stream from any bytes.

use bus::stream::log::{Examined, examine};

use super::Target;
use crate::Trace;

/// The salt of the segments in the corpus.
const SALT: u32 = 7;
/// Bytes of a record before its subject.
const HEAD: usize = 40;

pub(super) const TARGET: Target = Target {
    name: "bus_segment",
    about: "recovery of a stream's segment: no record without its checksum, cutting twice is once",
    words: &["\x28\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00"],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    for last in [true, false] {
        let examined = examine(input, SALT, last);
        holds(input, &examined);
        trace.note(examined.records.len());
        trace.note((examined.damage.len(), examined.torn > 0, last));
        if last {
            cut_twice(input, &examined);
        } else {
            assert_eq!(examined.torn, 0, "a segment with a successor is never torn");
        }
    }
}

/// Records are right by an own reading of their checksum, apart, and messages ascend.
fn holds(input: &[u8], examined: &Examined) {
    let (mut free, mut last) = (0, 0);
    for record in &examined.records {
        let bytes = &input[record.offset..record.offset + record.len];
        let stored = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        assert_eq!(stored, crc32(&bytes[8..], SALT ^ record.len as u32), "a checksum is wrong");
        assert!(record.len >= HEAD && record.offset >= free, "records overlap");
        free = record.offset + record.len;
        if let Some(seq) = record.message {
            assert!(seq > last, "message {seq} comes after {last}");
            last = seq;
        }
    }
    assert!(free <= examined.end.next_multiple_of(8), "a record lies behind the end");
    assert!(examined.damage.iter().all(|(from, to)| from < to && *to <= examined.end));
}

/// With the torn tail cut off nothing is torn any more, and nothing else changes.
fn cut_twice(input: &[u8], examined: &Examined) {
    let mut cut = input[..examined.end.min(input.len())].to_vec();
    cut.extend_from_slice(&examined.mark);
    cut.resize(cut.len().max(input.len()), 0);
    let mut again = examine(&cut, SALT, true);
    if !examined.mark.is_empty() {
        let mark = again.records.pop().expect("the mark");
        assert_eq!((mark.offset, mark.message), (examined.end, None));
    }
    let before = (0, &examined.records, &examined.damage);
    assert_eq!((again.torn, &again.records, &again.damage), before);
}

/// CRC-32 bit by bit, continued from `start`.
fn crc32(bytes: &[u8], start: u32) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc));
    !bytes.iter().fold(!start, byte)
}

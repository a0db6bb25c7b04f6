//! How long the disk takes to make 128 bytes durable: without it no figure of a stream says much.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::requests::percentiles;

/// Writes that are measured.
const WRITES: u64 = 1_000;
/// Room that is written beforehand, so that no write changes the file's size.
const ROOM: usize = 4 * 1024 * 1024;

/// Microseconds of fdatasync at p50 and p99 after a write of 128 bytes into a file of fixed size.
pub(crate) fn fdatasync(dir: &Path) -> io::Result<Vec<f64>> {
    let file = tempfile::tempfile_in(dir)?;
    file.write_all_at(&vec![0; ROOM], 0)?;
    file.sync_all()?;
    let times: io::Result<Vec<Duration>> = (0..WRITES)
        .map(|index| {
            file.write_all_at(&[1; 128], index * 128)?;
            let begin = Instant::now();
            file.sync_data()?;
            Ok(begin.elapsed())
        })
        .collect();
    Ok(percentiles(times?))
}

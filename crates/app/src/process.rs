//! What this process is to the kernel.

use std::{fs, io, os::unix::fs::MetadataExt};

/// The user that it is: who owns what it creates.
///
/// # Errors
/// Where there is no `/proc`.
pub(crate) fn own_uid() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

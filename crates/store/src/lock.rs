//! The lock of a data directory: one process has it open at a time.
//!
//! `morgana.lock` is locked by that process and names it, so that it can be found where it does
//! not answer. The lock is what counts: a number in a file that nobody has locked means nothing.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use crate::{OpenError, open::private_file};

/// Longest text that is read from a lock file.
const MAX_BYTES: u64 = 32;

/// Who has a data directory open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A process that says it is this one; `None` where it does not say.
    Process(Option<u32>),
}

/// Where the lock of a data directory is.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join("morgana.lock")
}

/// Locks the directory for as long as the file is open, and says for whom.
pub(crate) fn take(directory: &Path) -> Result<File, OpenError> {
    let path = file(directory);
    let mut lock = private_file(&path)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse { path: directory.into() });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::File { path, source }),
    }
    match write_pid(&mut lock) {
        Ok(()) => Ok(lock),
        Err(source) => Err(OpenError::File { path, source }),
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Who has the data directory open now, and the file whose lock proves it. A directory that is
/// not there is nobody's.
///
/// # Errors
/// Where the lock file cannot be read.
pub fn holder(directory: &Path) -> io::Result<(Holder, PathBuf)> {
    let path = file(directory);
    let lock = match OpenOptions::new().read(true).open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Holder::Nobody, path));
        }
        Err(error) => return Err(error),
    };
    match lock.try_lock_shared() {
        Ok(()) => return Ok((Holder::Nobody, path)),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    lock.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok((Holder::Process(text.trim().parse().ok()), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_directory_open_is_named_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(&dir.path().join("none")).unwrap().0, Holder::Nobody);
        assert_eq!(holder(dir.path()).unwrap().0, Holder::Nobody);
        let lock = take(dir.path()).unwrap();
        let own = Holder::Process(Some(std::process::id()));
        assert_eq!(holder(dir.path()).unwrap().0, own);
        assert!(matches!(take(dir.path()), Err(OpenError::InUse { .. })));
        assert_eq!(holder(dir.path()).unwrap().0, own, "who was refused wrote nothing");
        drop(lock);
        assert_eq!(holder(dir.path()).unwrap().0, Holder::Nobody);
        std::fs::write(file(dir.path()), "garbage that is longer than any number of a process")
            .unwrap();
        let _lock = private_file(&file(dir.path())).unwrap();
        _lock.try_lock().unwrap();
        assert_eq!(holder(dir.path()).unwrap().0, Holder::Process(None));
    }
}

//! The directory of one stream from its making to its end, as a crash at any moment leaves it.
//!
//! Only what is provably a stream's is ever removed: a directory that is being made has a file
//! that says so until its metadata are there, and one that is being removed keeps its metadata
//! until all else is gone.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{LogError, Meta, files, meta, names, segment};

/// The file in a directory whose stream is being made.
const MARKER: &str = "making";
/// What it holds.
const MARK: &[u8] = b"morgana makes a stream here\n";

/// What a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// A stream's, readable or not.
    Stream,
    /// One whose making was interrupted.
    Unfinished,
    /// Nothing is in it.
    Empty,
    /// Something else.
    Foreign,
}

/// Makes the directory of a stream that is to be filled and [finished](finish).
pub(super) fn begin(dir: &Path) -> Result<(), LogError> {
    files::create_dir(dir)?;
    let path = dir.join(MARKER);
    let mark = || -> io::Result<()> {
        let mut file = File::create_new(&path)?;
        file.write_all(MARK)?;
        file.sync_all()
    };
    mark().map_err(|source| files::error("write", &path, source))?;
    files::sync_dir(dir)
}

/// The metadata are there: it is a stream's directory from now on.
pub(super) fn finish(dir: &Path) -> Result<(), LogError> {
    files::remove(&dir.join(MARKER))
}

/// Looks at a directory; changes nothing.
pub(super) fn of(dir: &Path) -> Result<Life, LogError> {
    if dir.join(meta::FILE).is_file() {
        return Ok(Life::Stream);
    }
    let names = files::names(dir)?;
    let mark = fs::read(dir.join(MARKER)).ok();
    let marked = mark.is_some_and(|mark| match names.as_slice() {
        // It was interrupted in writing the mark itself.
        [_] => MARK.starts_with(&mark),
        _ => mark == MARK,
    });
    let segments = || names.iter().any(|name| segment::number_of(name).is_some());
    Ok(match marked {
        true => Life::Unfinished,
        false if segments() => Life::Stream,
        false if is_empty(dir)? => Life::Empty,
        false => Life::Foreign,
    })
}

/// Removes a directory that [`of`] says is unfinished or empty, or that was given its last name.
pub(super) fn clear(dir: &Path) -> Result<(), LogError> {
    let remove = || -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name() == meta::FILE || entry.file_name() == MARKER {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    };
    remove().map_err(|source| files::error("remove", dir, source))?;
    files::remove(&dir.join(meta::FILE))?;
    files::remove(&dir.join(MARKER))?;
    fs::remove_dir(dir).map_err(|source| files::error("remove", dir, source))
}

/// Gives the directory of a stream its last name, durably: from now on there is no such stream.
/// It is to be [cleared](clear). One that has its last name keeps it.
pub(super) fn end(dir: &mut PathBuf) -> Result<(), LogError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    if !names::is_gone(&name) {
        let gone = dir.with_file_name(names::gone(&name));
        if Meta::load(&gone).is_ok() {
            // Left by one of this name whose files could not be removed.
            clear(&gone)?;
        }
        fs::rename(&*dir, &gone).map_err(|source| files::error("rename", dir, source))?;
        *dir = gone;
    }
    dir.parent().map_or(Ok(()), files::sync_dir)
}

fn is_empty(dir: &Path) -> Result<bool, LogError> {
    let mut entries = fs::read_dir(dir).map_err(|source| files::error("list", dir, source))?;
    Ok(entries.next().is_none())
}

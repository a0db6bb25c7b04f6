//! Small files that are replaced whole, and directories that remember it.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use super::LogError;

/// The ending of a file that is not finished.
pub(crate) const UNFINISHED: &str = "tmp";

/// An error with its operation and its file.
pub(crate) fn error(operation: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::Io { operation, path: path.to_owned(), source }
}

/// Makes names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(|source| error("sync", dir, source))
}

/// Makes a directory, durably; it must not exist.
pub(crate) fn create_dir(dir: &Path) -> Result<(), LogError> {
    fs::create_dir(dir).map_err(|source| error("create", dir, source))?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Replaces a file: after a crash it is the old one or the new one, whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), LogError> {
    let unfinished = path.with_extension(UNFINISHED);
    let write = || -> io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|source| error("replace", path, source))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file; a missing one is no error.
pub(crate) fn remove(path: &Path) -> Result<(), LogError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(error("remove", path, source))
        }
        _ => Ok(()),
    }
}

/// The names in a directory that are text, sorted.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, LogError> {
    let list = || -> io::Result<Vec<String>> {
        let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
        Ok(entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    };
    let mut names = list().map_err(|source| error("list", dir, source))?;
    names.sort_unstable();
    Ok(names)
}

//! The directory of all streams: one process at a time, one directory for each stream.
//!
//! Removes nothing but what [`StreamLog`] says is left of a stream. A directory of anybody else
//! is passed over; one that is full of them is not taken at all.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    super::{config::StreamConfig, state::UnixNanos},
    LogError, LogOptions, Meta, Recovery, RegistryError, StreamLog, files,
    life::{self, Life},
    names,
};

const LOCK: &str = "lock";

/// What a new file system has in its root.
const OF_THE_SYSTEM: &str = "lost+found";

/// The directory of all streams, held by this process alone.
#[derive(Debug)]
pub struct Registry {
    dir: PathBuf,
    options: LogOptions,
    /// Locked while it is open; the kernel unlocks it whatever happens to this process.
    _lock: File,
}

/// One directory of a registry, opened or not.
#[derive(Debug)]
pub struct Opened {
    /// The stream's name, the directory's where the metadata cannot be read.
    pub name: String,
    /// The log, or why there is none. One stream's error does not stop the others.
    pub log: Result<(StreamLog, Recovery), LogError>,
}

impl Registry {
    /// Takes the directory, making it where it is missing.
    ///
    /// # Errors
    ///
    /// Another process holds it, it holds things of others, or the file system refuses.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, RegistryError> {
        fs::create_dir_all(dir).map_err(|source| error("create", dir, source))?;
        if is_foreign(dir).map_err(|source| error("list", dir, source))? {
            return Err(RegistryError::Foreign { path: dir.to_owned() });
        }
        let lock = lock(dir)?;
        Ok(Self { dir: dir.to_owned(), options, _lock: lock })
    }

    /// Opens every stream that is there, in the order of names. What an interrupted creation or
    /// removal left is removed; what is no stream's stays as it is.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed.
    pub fn open_all(&self, now: UnixNanos) -> Result<Vec<Opened>, RegistryError> {
        let names = files::names(&self.dir).map_err(|error| self.listing(error))?;
        let dirs = names.into_iter().filter(|name| self.dir.join(name).is_dir());
        Ok(dirs.filter_map(|name| self.open_one(name, now)).collect())
    }

    /// Makes a stream.
    ///
    /// # Errors
    ///
    /// It exists or the file system refuses.
    pub fn create(&self, config: StreamConfig, now: UnixNanos) -> Result<StreamLog, LogError> {
        let dir = self.dir.join(names::file_name(config.name.as_str()));
        if dir.exists() && matches!(life::of(&dir)?, Life::Unfinished | Life::Empty) {
            life::clear(&dir)?;
        }
        StreamLog::create(&dir, config, &self.options, now)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn open_one(&self, name: String, now: UnixNanos) -> Option<Opened> {
        match self.look_into(&name, now) {
            Ok(None) => None,
            Ok(Some((log, recovery))) => {
                Some(Opened { name: log.config().name.to_string(), log: Ok((log, recovery)) })
            }
            Err(error) => Some(Opened { name, log: Err(error) }),
        }
    }

    fn look_into(
        &self,
        name: &str,
        now: UnixNanos,
    ) -> Result<Option<(StreamLog, Recovery)>, LogError> {
        let dir = self.dir.join(name);
        if names::is_gone(name) && (Meta::load(&dir).is_ok() || life::of(&dir)? == Life::Empty) {
            return life::clear(&dir).map(|()| None);
        }
        if names::is_file_name(name) {
            match life::of(&dir)? {
                Life::Stream => return StreamLog::open(&dir, &self.options, now).map(Some),
                Life::Unfinished => return life::clear(&dir).map(|()| None),
                Life::Empty | Life::Foreign => {}
            }
        }
        tracing::warn!(path = %dir.display(), "directory is no stream: it is left alone");
        Ok(None)
    }

    fn listing(&self, error: LogError) -> RegistryError {
        let source = match error {
            LogError::Io { source, .. } => source,
            other => io::Error::other(other),
        };
        RegistryError::Io { operation: "list", path: self.dir.clone(), source }
    }
}

/// Whether a directory holds anything, and no lock of ours.
fn is_foreign(dir: &Path) -> io::Result<bool> {
    if dir.join(LOCK).exists() {
        return Ok(false);
    }
    let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.iter().any(|entry| entry.file_name() != OF_THE_SYSTEM))
}

fn lock(dir: &Path) -> Result<File, RegistryError> {
    let path = dir.join(LOCK);
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|source| error("open", &path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(RegistryError::Held { path: dir.to_owned(), pid: holder(&mut file) });
        }
        Err(errno) => return Err(error("lock", &path, errno.into())),
    }
    let told = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    told.map_err(|source| error("write", &path, source))?;
    Ok(file)
}

fn holder(lock: &mut File) -> u32 {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

fn error(operation: &'static str, path: &Path, source: io::Error) -> RegistryError {
    RegistryError::Io { operation, path: path.to_owned(), source }
}

//! The directory of all streams: one process at a time, one directory for each stream.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    super::{config::StreamConfig, state::UnixNanos},
    LogError, LogOptions, Recovery, RegistryError, StreamLog, files, names, open,
};

const LOCK: &str = "lock";

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
    /// Another process holds it, or the file system refuses.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, RegistryError> {
        fs::create_dir_all(dir).map_err(|source| error("create", dir, source))?;
        let lock = lock(dir)?;
        Ok(Self { dir: dir.to_owned(), options, _lock: lock })
    }

    /// Opens every stream that is there, in the order of names. What an interrupted creation or
    /// removal left is removed.
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
        if dir.exists() && open::is_unfinished(&dir)? {
            remove_all(&dir)?;
        }
        StreamLog::create(&dir, config, &self.options, now)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn open_one(&self, name: String, now: UnixNanos) -> Option<Opened> {
        let dir = self.dir.join(&name);
        let removed = dir.extension().is_some_and(|ending| ending == files::UNFINISHED);
        let opened = match open::is_unfinished(&dir) {
            _ if removed => remove_all(&dir).map(|()| None),
            Ok(true) => remove_all(&dir).map(|()| None),
            Ok(false) => StreamLog::open(&dir, &self.options, now).map(Some),
            Err(error) => Err(error),
        };
        match opened {
            Ok(None) => None,
            Ok(Some((log, recovery))) => {
                Some(Opened { name: log.config().name.to_string(), log: Ok((log, recovery)) })
            }
            Err(error) => Some(Opened { name, log: Err(error) }),
        }
    }

    fn listing(&self, error: LogError) -> RegistryError {
        let source = match error {
            LogError::Io { source, .. } => source,
            other => io::Error::other(other),
        };
        RegistryError::Io { operation: "list", path: self.dir.clone(), source }
    }
}

fn remove_all(dir: &Path) -> Result<(), LogError> {
    fs::remove_dir_all(dir).map_err(|source| files::error("remove", dir, source))
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

//! Small states of consumers, saved often and synced now and then.
//!
//! A file has two slots. One holds the last synced state and is left alone; saves go to the
//! other one. So a crash at any moment leaves the last synced state or a later one, and a save
//! without a sync costs one write.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{super::config::check_name, LogError, StreamLog, files, names};

const DIR: &str = "consumers";
const ENDING: &str = "consumer";
/// Before the name in a slot: checksum, bytes of name and of state, generation.
const HEAD: usize = 24;
const FIRST_SLOT: usize = 4096;

/// A consumer as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsumer {
    /// Its name; the file's where the file is damaged.
    pub name: String,
    /// What was saved last; none where that is damaged.
    pub state: Option<Vec<u8>>,
}

/// The consumers of a stream.
#[derive(Debug)]
pub(super) struct Consumers {
    /// None in memory.
    dir: Option<PathBuf>,
    kept: BTreeMap<String, Kept>,
}

#[derive(Debug)]
enum Kept {
    File(Slots),
    Memory(Vec<u8>),
    /// Neither slot can be read.
    Damaged,
}

#[derive(Debug)]
struct Slots {
    path: PathBuf,
    file: File,
    /// Bytes of a slot.
    size: usize,
    generation: u64,
    /// Which slot holds the last synced state.
    synced: usize,
    other: Other,
}

/// The slot that does not hold the last synced state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    /// It holds an older state.
    Old,
    /// It holds a newer state, not synced.
    Newer,
    /// What it holds is unknown: after a failed write or sync, a second sync would lie. It has to
    /// be written again.
    Lost,
}

impl Consumers {
    pub(super) fn in_memory() -> Self {
        Self { dir: None, kept: BTreeMap::new() }
    }

    /// Opens what is in a stream's directory.
    pub(super) fn open(stream: &Path) -> Result<Self, LogError> {
        let dir = stream.join(DIR);
        if !dir.exists() {
            files::create_dir(&dir)?;
        }
        let mut kept = BTreeMap::new();
        for file in files::names(&dir)? {
            let path = dir.join(&file);
            let Some(stem) = file.strip_suffix(ENDING).and_then(|stem| stem.strip_suffix('.'))
            else {
                if path.extension().is_some_and(|ending| ending == files::UNFINISHED) {
                    files::remove(&path)?;
                }
                continue;
            };
            match Slots::open(&path)? {
                Some((name, slots)) => kept.insert(name, Kept::File(slots)),
                None => kept.insert(stem.to_owned(), Kept::Damaged),
            };
        }
        Ok(Self { dir: Some(dir), kept })
    }

    /// Makes every state durable.
    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        self.kept.values_mut().try_for_each(|kept| match kept {
            Kept::File(slots) => slots.sync(),
            Kept::Memory(_) | Kept::Damaged => Ok(()),
        })
    }

    fn save(&mut self, name: &str, state: &[u8], sync: bool) -> Result<(), LogError> {
        let Some(dir) = &self.dir else {
            self.kept.insert(name.to_owned(), Kept::Memory(state.to_vec()));
            return Ok(());
        };
        if let Some(Kept::File(slots)) = self.kept.get_mut(name) {
            return slots.save(name, state, sync);
        }
        let path = dir.join(format!("{}.{ENDING}", names::file_name(name)));
        if path.exists() && !matches!(self.kept.get(name), Some(Kept::Damaged)) {
            return Err(LogError::NameTaken { path });
        }
        let slots = Slots::create(path, name, state, 1)?;
        self.kept.insert(name.to_owned(), Kept::File(slots));
        Ok(())
    }

    fn load(&self) -> Result<Vec<StoredConsumer>, LogError> {
        let load = |(name, kept): (&String, &Kept)| {
            let state = match kept {
                Kept::File(slots) => slots.load()?,
                Kept::Memory(state) => Some(state.clone()),
                Kept::Damaged => None,
            };
            Ok(StoredConsumer { name: name.clone(), state })
        };
        self.kept.iter().map(load).collect()
    }

    fn remove(&mut self, name: &str) -> Result<(), LogError> {
        let path = match (self.kept.get(name), &self.dir) {
            (Some(Kept::File(slots)), _) => slots.path.clone(),
            (Some(Kept::Damaged), Some(dir)) => dir.join(format!("{name}.{ENDING}")),
            _ => {
                self.kept.remove(name);
                return Ok(());
            }
        };
        files::remove(&path)?;
        self.kept.remove(name);
        self.dir.as_deref().map_or(Ok(()), files::sync_dir)
    }
}

impl Slots {
    /// Makes a file with a first state, durable; a crash leaves it whole or not there.
    fn create(path: PathBuf, name: &str, state: &[u8], generation: u64) -> Result<Self, LogError> {
        let slot = slot(name, state, generation);
        let size = slot.len().next_power_of_two().max(FIRST_SLOT);
        let mut content = slot;
        content.resize(2 * size, 0);
        files::replace(&path, &content)?;
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|source| files::error("open", &path, source))?;
        Ok(Self { path, file, size, generation, synced: 0, other: Other::Old })
    }

    /// Opens a file; none where neither slot is right.
    fn open(path: &Path) -> Result<Option<(String, Self)>, LogError> {
        let content = fs::read(path).map_err(|source| files::error("read", path, source))?;
        let size = content.len() / 2;
        let slots = [parse(&content[..size]), parse(&content[size..])];
        let newest = (0..2).max_by_key(|which| slots[*which].as_ref().map(|slot| slot.generation));
        let Some((synced, Some(found))) = newest.map(|newest| (newest, &slots[newest])) else {
            return Ok(None);
        };
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|source| files::error("open", path, source))?;
        file.sync_data().map_err(|source| files::error("sync", path, source))?;
        let generation = found.generation;
        let (path, other) = (path.to_owned(), Other::Old);
        let opened = Self { path, file, size, generation, synced, other };
        Ok(Some((found.name.to_owned(), opened)))
    }

    fn save(&mut self, name: &str, state: &[u8], sync: bool) -> Result<(), LogError> {
        let slot = slot(name, state, self.generation + 1);
        if slot.len() > self.size {
            *self = Self::create(self.path.clone(), name, state, self.generation + 1)?;
            return Ok(());
        }
        let at = (1 - self.synced) * self.size;
        self.other = Other::Lost;
        let written = self.file.write_all_at(&slot, at as u64);
        written.map_err(|source| files::error("write", &self.path, source))?;
        self.generation += 1;
        self.other = Other::Newer;
        if sync { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), LogError> {
        match self.other {
            Other::Old => Ok(()),
            Other::Lost => Err(LogError::Poisoned),
            Other::Newer => {
                self.other = Other::Lost;
                self.file.sync_data().map_err(|source| files::error("sync", &self.path, source))?;
                self.synced = 1 - self.synced;
                self.other = Other::Old;
                Ok(())
            }
        }
    }

    fn load(&self) -> Result<Option<Vec<u8>>, LogError> {
        let newest = match self.other {
            Other::Newer => 1 - self.synced,
            Other::Old | Other::Lost => self.synced,
        };
        let mut content = vec![0; self.size];
        let read = self.file.read_exact_at(&mut content, (newest * self.size) as u64);
        read.map_err(|source| files::error("read", &self.path, source))?;
        Ok(parse(&content).map(|slot| slot.state.to_vec()))
    }
}

struct Slot<'a> {
    generation: u64,
    name: &'a str,
    state: &'a [u8],
}

fn slot(name: &str, state: &[u8], generation: u64) -> Vec<u8> {
    let mut slot = vec![0; 4];
    slot.extend_from_slice(&(name.len() as u32).to_le_bytes());
    slot.extend_from_slice(&(state.len() as u64).to_le_bytes());
    slot.extend_from_slice(&generation.to_le_bytes());
    slot.extend_from_slice(name.as_bytes());
    slot.extend_from_slice(state);
    let crc = crc32fast::hash(&slot[4..]);
    slot[..4].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn parse(bytes: &[u8]) -> Option<Slot<'_>> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let name_len = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
    let state_len = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let (name, rest) = rest.split_at_checked(name_len)?;
    let state = rest.get(..usize::try_from(state_len).ok()?)?;
    let crc = u32::from_le_bytes(head[..4].try_into().ok()?);
    if crc32fast::hash(&bytes[4..HEAD + name_len + state.len()]) != crc {
        return None;
    }
    let generation = u64::from_le_bytes(head[16..24].try_into().ok()?);
    Some(Slot { generation, name: std::str::from_utf8(name).ok()?, state })
}

#[cfg(test)]
impl StreamLog {
    /// From now on the files of all consumers are this one.
    pub(crate) fn break_consumers(&mut self, file: &Path) {
        for kept in self.consumers.kept.values_mut() {
            if let Kept::File(slots) = kept {
                let file = File::options().read(true).write(true).open(file);
                slots.file = file.expect("such a file");
            }
        }
    }
}

impl StreamLog {
    /// Keeps the state of a consumer. Without `sync` it survives the process, with it (or a
    /// later save with it) the machine; a crash at any moment leaves this state or an earlier
    /// one, at least the last synced. A consumer's first save is always synced.
    ///
    /// # Errors
    ///
    /// The name is none, or the file system refuses.
    pub fn save_consumer(&mut self, name: &str, state: &[u8], sync: bool) -> Result<(), LogError> {
        check_name(name).map_err(LogError::Name)?;
        self.consumers.save(name, state, sync)
    }

    /// Makes the last saved state of one consumer durable; unknown ones are no error.
    ///
    /// # Errors
    ///
    /// The file system refuses, or did so since the last save: then it has to be saved again.
    pub fn sync_consumer(&mut self, name: &str) -> Result<(), LogError> {
        match self.consumers.kept.get_mut(name) {
            Some(Kept::File(slots)) => slots.sync(),
            Some(Kept::Memory(_) | Kept::Damaged) | None => Ok(()),
        }
    }

    /// Makes the last saved state of every consumer durable.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn sync_consumers(&mut self) -> Result<(), LogError> {
        self.consumers.sync()
    }

    /// All consumers with their last state; damaged ones come with `state: None`.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn load_consumers(&mut self) -> Result<Vec<StoredConsumer>, LogError> {
        self.consumers.load()
    }

    /// Forgets a consumer (synced); unknown ones are no error.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn remove_consumer(&mut self, name: &str) -> Result<(), LogError> {
        self.consumers.remove(name)
    }
}

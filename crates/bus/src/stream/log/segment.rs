//! One segment: a preallocated, zero-filled file, or memory.
//!
//! A file is filled with zeros and synced before its first record, so that syncing a record has
//! no metadata to write. The next file is made by a thread ahead of time. A file that holds only
//! zeros was never begun.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use super::{LogError, files};

/// One segment. Numbers are never used twice.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Bytes that were made ready.
    pub(crate) size: u32,
    medium: Medium,
}

#[derive(Debug)]
enum Medium {
    File { file: File, path: PathBuf },
    Memory(Vec<u8>),
}

impl Segment {
    /// A segment in memory.
    pub(crate) fn in_memory(number: u64, size: u32) -> Self {
        Self { number, size, medium: Medium::Memory(Vec::new()) }
    }

    /// A file that is ready.
    pub(crate) fn of_file(number: u64, size: u32, file: File, path: PathBuf) -> Self {
        Self { number, size, medium: Medium::File { file, path } }
    }

    /// Writes records at an offset.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u32) -> Result<(), LogError> {
        match &mut self.medium {
            Medium::File { file, path } => file
                .write_all_at(bytes, u64::from(offset))
                .map_err(|source| files::error("write", path, source)),
            Medium::Memory(memory) => {
                let end = offset as usize + bytes.len();
                memory.resize(memory.len().max(end), 0);
                memory[offset as usize..end].copy_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Fills `out` from an offset.
    pub(crate) fn read(&self, out: &mut [u8], offset: u32) -> Result<(), LogError> {
        match &self.medium {
            Medium::File { file, path } => file
                .read_exact_at(out, u64::from(offset))
                .map_err(|source| files::error("read", path, source)),
            Medium::Memory(memory) => {
                let stored = memory.get(offset as usize..).unwrap_or_default();
                let len = out.len().min(stored.len());
                out[..len].copy_from_slice(&stored[..len]);
                Ok(())
            }
        }
    }

    /// Up to which offset it can be read, once it is no longer the last.
    pub(crate) fn readable(&self) -> u32 {
        match &self.medium {
            Medium::File { .. } => self.size,
            Medium::Memory(memory) => memory.len() as u32,
        }
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        match &self.medium {
            Medium::File { file, path } => {
                file.sync_data().map_err(|source| files::error("sync", path, source))
            }
            Medium::Memory(_) => Ok(()),
        }
    }

    /// Fills with zeros from an offset to a new size, and syncs.
    pub(crate) fn zero(&mut self, from: u32, size: u32) -> Result<(), LogError> {
        if let Medium::File { file, path } = &self.medium {
            fill(file, u64::from(from), u64::from(size))
                .map_err(|source| files::error("extend", path, source))?;
        }
        self.size = size;
        Ok(())
    }

    /// Removes the file.
    pub(crate) fn remove(self) -> Result<(), LogError> {
        match self.medium {
            Medium::File { path, .. } => files::remove(&path),
            Medium::Memory(_) => Ok(()),
        }
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// The number of a segment by its file's name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".seg")?;
    (number.len() == 16).then(|| u64::from_str_radix(number, 16).ok()).flatten()
}

/// Makes a file ready for records: zeros, synced, its name too. One that cannot be made whole
/// leaves nothing that takes up room.
pub(crate) fn prepare(dir: &Path, number: u64, size: u32) -> Result<Segment, LogError> {
    let path = dir.join(file_name(number));
    let make = || -> io::Result<File> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
        fill(&file, 0, u64::from(size))?;
        Ok(file)
    };
    let file = make().map_err(|source| {
        // What stays of it is truncated by the next try.
        let _ = files::remove(&path);
        files::error("create", &path, source)
    })?;
    files::sync_dir(dir)?;
    Ok(Segment::of_file(number, size, file, path))
}

fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let len = (to - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..len as usize], at)?;
        at += len;
    }
    file.sync_all()
}

/// A segment that a thread makes ready; the thread ends with it.
#[derive(Debug)]
pub(crate) struct Preparing {
    thread: Option<JoinHandle<Result<Segment, LogError>>>,
}

impl Preparing {
    /// Starts making a file ready; none where no thread can be had (the file is then made when
    /// it is needed).
    pub(crate) fn start(dir: &Path, number: u64, size: u32) -> Option<Self> {
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("morgana-segment".into())
            .spawn(move || prepare(&dir, number, size))
            .ok()?;
        Some(Self { thread: Some(thread) })
    }

    /// Waits for the file. None where the thread failed: then it is to be made anew.
    pub(crate) fn finish(mut self) -> Option<Segment> {
        self.thread.take()?.join().ok()?.ok()
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

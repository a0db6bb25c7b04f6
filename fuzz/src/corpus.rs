//! Where inputs lie: the committed ones that a target begins with, and what was found.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::trace::hash_of;

/// The directory of this package.
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The committed inputs of `target`, by name, so that a seed always means the same run.
///
/// # Errors
/// Where the directory or a file of it cannot be read.
pub fn load(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(home().join("corpus").join(target))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// Keeps an input in `directory` under a name made of its target and its hash.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(directory: &Path, target: &str, input: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("{target}-{:016x}", hash_of(input)));
    fs::write(&path, input)?;
    Ok(path)
}

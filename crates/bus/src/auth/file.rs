//! The users file: TOML, read again when it changes.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::{Auth, UnixPeers};

/// Why a users file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says things that are wrong; one line each, with the key.
    #[error("`{}`: {}", path.display(), faults.join("; "))]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        faults: Vec<String>,
    },
}

/// A users file and what it said last.
pub struct AuthFile {
    path: PathBuf,
}

impl AuthFile {
    /// Reads the file.
    pub fn load(path: &Path, unix: UnixPeers) -> Result<AuthFile, AuthFileError> {
        let _ = (path, unix);
        unimplemented!()
    }

    /// What the file said when it was last taken.
    pub fn auth(&self) -> std::sync::Arc<Auth> {
        unimplemented!()
    }

    /// Reads the file again. A bad one changes nothing.
    pub fn reload(&mut self) -> Result<std::sync::Arc<Auth>, AuthFileError> {
        let _ = &self.path;
        unimplemented!()
    }
}

/// Looks at the file every second and hands new rules to `taken` until `stop`; a bad file is logged
/// once and changes nothing.
pub async fn watch(file: AuthFile, taken: impl Fn(std::sync::Arc<Auth>), stop: CancellationToken) {
    let _ = (file, taken, stop);
    unimplemented!()
}

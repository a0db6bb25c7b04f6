//! `meta.json` of a stream: its configuration, when it was made, its salt; with a checksum.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    super::{config::StreamConfig, state::UnixNanos},
    LogError, files,
};

/// The file's name.
pub(crate) const FILE: &str = "meta.json";
const VERSION: u32 = 1;

/// What is kept about a stream besides its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) version: u32,
    pub(crate) created: UnixNanos,
    pub(crate) salt: u32,
    pub(crate) config: StreamConfig,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    crc32: u32,
    stream: Box<RawValue>,
}

impl Meta {
    pub(crate) fn new(config: StreamConfig, created: UnixNanos, salt: u32) -> Self {
        Self { version: VERSION, created, salt, config }
    }

    /// Replaces the file in a stream's directory.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), LogError> {
        let path = dir.join(FILE);
        let text = serde_json::value::to_raw_value(self).and_then(|stream| {
            serde_json::to_vec(&Sealed { crc32: crc32fast::hash(stream.get().as_bytes()), stream })
        });
        let text = text.map_err(|source| files::error("write", &path, io::Error::from(source)))?;
        files::replace(&path, &text)
    }

    /// Reads the file in a stream's directory.
    pub(crate) fn load(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let text = fs::read(&path).map_err(|source| files::error("read", &path, source))?;
        Self::parse(&text).ok_or(LogError::DamagedMeta { path })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let sealed: Sealed = serde_json::from_slice(text).ok()?;
        if crc32fast::hash(sealed.stream.get().as_bytes()) != sealed.crc32 {
            return None;
        }
        let meta: Self = serde_json::from_str(sealed.stream.get()).ok()?;
        (meta.version == VERSION).then_some(meta)
    }
}

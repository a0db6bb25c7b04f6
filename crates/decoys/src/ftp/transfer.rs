//! The data connection as a session sees it, and what moves over it.

use model::{SessionFact, escape_text};
use sha2::{Digest, Sha256};

use crate::shell::limits::MAX_FILE_BYTES;

/// What is known of the data connection.
#[derive(Debug, Default)]
pub(super) enum Channel {
    /// Nobody asked for one.
    #[default]
    None,
    /// `PASV` (false) or `EPSV` (true) waits for the listener.
    Opening(bool),
    /// The listener waits for the visitor.
    Listening,
    /// The visitor is connected; he may have sent already, and may have ended.
    Connected {
        /// What he sent before he said what it is.
        early: Received,
        /// Whether he closed.
        ended: bool,
    },
    /// The visitor did not come.
    Missed,
}

/// What a command wants to move.
#[derive(Debug)]
pub(super) enum Transfer {
    /// Bytes to the visitor between two replies.
    Send {
        /// The reply as it begins.
        begin: Vec<u8>,
        /// The bytes.
        bytes: Vec<u8>,
        /// The reply as it ends.
        end: &'static str,
    },
    /// A file from the visitor.
    Receive {
        /// The reply as it begins.
        begin: Vec<u8>,
        /// Where to put it.
        path: String,
        /// From which byte on; none appends.
        offset: Option<u64>,
        /// What came so far.
        received: Received,
    },
}

impl Transfer {
    /// The reply as it begins.
    pub(super) fn begin(&self) -> &[u8] {
        match self {
            Self::Send { begin, .. } | Self::Receive { begin, .. } => begin,
        }
    }
}

/// Bytes that a visitor left: all of them counted and hashed, the first of them kept.
#[derive(Debug, Default)]
pub(super) struct Received {
    kept: Vec<u8>,
    hash: Sha256,
    count: u64,
}

impl Received {
    /// Takes in more.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = MAX_FILE_BYTES - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.hash.update(bytes);
        self.count += bytes.len() as u64;
    }

    /// The bytes that were kept, and whether these are all.
    pub(super) fn kept(&self) -> (&[u8], bool) {
        (&self.kept, self.count == self.kept.len() as u64)
    }

    /// The fact that this was left behind under `name`.
    pub(super) fn fact(&self, name: &[u8]) -> SessionFact {
        let digest = self.hash.clone().finalize();
        SessionFact::Upload {
            name: escape_text(name),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: self.count,
        }
    }
}

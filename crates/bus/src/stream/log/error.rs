//! Why a log could not do what it was asked.

use std::{io, path::PathBuf};

use super::super::config::{StreamName, StreamNameError};

/// A log that cannot be read, written or opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("cannot {operation} `{path}`")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The message was stored, and its bytes on disk are no longer what was written.
    #[error("message {seq} is damaged on disk")]
    Damaged {
        /// The message.
        seq: u64,
    },
    /// The metadata of the stream are not what was written.
    #[error("metadata `{path}` are damaged")]
    DamagedMeta {
        /// The file.
        path: PathBuf,
    },
    /// No segment says where numbering stopped, so that it cannot go on.
    #[error("no segment in `{path}` can be read")]
    Unnumbered {
        /// The stream's directory.
        path: PathBuf,
    },
    /// An earlier write or sync failed: what is on disk is unknown until the log is opened again.
    #[error("an earlier write failed; the stream takes no more until it is opened again")]
    Poisoned,
    /// There is such a stream.
    #[error("stream `{0}` exists")]
    Exists(StreamName),
    /// What can never change about a stream was asked to.
    #[error("{0} of a stream cannot change")]
    Fixed(&'static str),
    /// The name of a consumer that cannot be one.
    #[error("no name for a consumer")]
    Name(#[source] StreamNameError),
    /// The file that the name of a consumer leads to belongs to another one.
    #[error("`{path}` belongs to another consumer")]
    NameTaken {
        /// The file.
        path: PathBuf,
    },
}

/// What is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `max_msgs` messages are there.
    Messages,
    /// The message would go over `max_bytes`.
    Bytes,
    /// `max_msgs_per_subject` messages of its subject are there.
    Subject,
}

/// Why a message was not appended. The log is unchanged, and takes the next one unless
/// [`AppendError::Log`] says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The last message of the stream is another than expected.
    #[error("wrong last sequence: {last}")]
    WrongLastSeq {
        /// The number of the stream's last message.
        last: u64,
    },
    /// The last message of the subject is another than expected.
    #[error("wrong last sequence of the subject: {last}")]
    WrongLastSubjectSeq {
        /// The number of the subject's last message, 0 for none.
        last: u64,
    },
    /// The id of the last message is another than expected.
    #[error("wrong last message id")]
    WrongLastMsgId {
        /// That id, empty for none.
        last: Box<[u8]>,
    },
    /// Headers and body are longer than the stream allows.
    #[error("a message of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of headers and body.
        size: usize,
        /// Most bytes.
        limit: usize,
    },
    /// Subject or message id are longer than a record can say.
    #[error("{field} has {size} bytes, more than {}", super::MAX_FIELD)]
    LongField {
        /// Which.
        field: &'static str,
        /// Its bytes.
        size: usize,
    },
    /// The stream is full and discards what is new.
    #[error("the stream is full: {0:?}")]
    Full(Full),
    /// The log is poisoned, or a segment could not be made.
    #[error("the log takes no message")]
    Log(#[from] LogError),
}

/// Why a directory of streams could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another process has it.
    #[error("`{path}` is held by process {pid}")]
    Held {
        /// The directory.
        path: PathBuf,
        /// Who has it, as its lock file says; 0 where that cannot be read.
        pid: u32,
    },
    /// It holds things of others, and no streams.
    #[error("`{path}` is neither empty nor a directory of streams: give streams one of their own")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made, locked or read.
    #[error("cannot {operation} `{path}`")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

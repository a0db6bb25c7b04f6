//! How a conversation ends early.

use super::wire::Malformed;

/// Why the connection is over, as the visitor sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fatal {
    /// With a `SSH_MSG_DISCONNECT` that says this.
    Disconnect(String),
    /// Without a word, as the daemon does where it calls `fatal` or was told goodbye.
    Close,
}

impl Fatal {
    pub(super) fn disconnect(text: impl Into<String>) -> Self {
        Self::Disconnect(text.into())
    }
}

impl From<Malformed> for Fatal {
    fn from(_: Malformed) -> Self {
        Self::Close
    }
}

//! What goes wrong on a connection, and the exact words for it. Stock clients close on any text
//! that they do not know, so there is no other.

use std::fmt::{self, Display, Write as _};

/// Why bytes are no frame. The connection ends with each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// No verb of the protocol.
    #[error("unknown protocol operation")]
    UnknownOperation,
    /// A payload that does not end where its control line says.
    #[error("the payload does not end where it should")]
    PayloadEnd,
    /// The arguments of a control line are too long.
    #[error("control line too long")]
    ControlLine,
    /// The message is larger than allowed.
    #[error("payload too large")]
    Payload,
    /// Too few or too many arguments: closed without a word.
    #[error("wrong number of arguments")]
    Arity,
    /// A size that is no number, or headers larger than their message: closed without a word.
    #[error("not a size")]
    Size,
}

impl ProtoError {
    /// What the peer is told before the connection is closed, where it is told anything.
    pub fn text(self) -> Option<ErrText<'static>> {
        match self {
            ProtoError::UnknownOperation | ProtoError::PayloadEnd => {
                Some(ErrText::UnknownOperation)
            }
            ProtoError::ControlLine => Some(ErrText::MaximumControlLine),
            ProtoError::Payload => Some(ErrText::MaximumPayload),
            ProtoError::Arity | ProtoError::Size => None,
        }
    }
}

/// The texts of `-ERR`, as nats-server sends them; `Display` gives them without the quotes around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrText<'a> {
    /// The bytes were no frame.
    UnknownOperation,
    /// The credentials are wrong, or something came before them.
    AuthorizationViolation,
    /// No CONNECT in time.
    AuthenticationTimeout,
    /// The credentials are no longer good.
    AuthenticationExpired,
    /// The message was too large.
    MaximumPayload,
    /// The control line was too long.
    MaximumControlLine,
    /// The server is full.
    MaximumConnections,
    /// CONNECT's `protocol` is neither 0 nor 1.
    InvalidClientProtocol,
    /// CONNECT has `no_responders` without `headers`.
    NoRespondersRequiresHeaders,
    /// Two pings without an answer.
    StaleConnection,
    /// The filter of a SUB has an empty token, or one after `>`.
    InvalidSubject,
    /// Pedantic: the subject of a publish has a wildcard or an empty token.
    InvalidPublishSubject,
    /// The user may not publish there.
    PublishPermission {
        /// Where it wanted to.
        subject: &'a [u8],
    },
    /// The user may not subscribe to that.
    SubscribePermission {
        /// The filter.
        subject: &'a [u8],
        /// The queue group, where it is one.
        queue: Option<&'a [u8]>,
    },
    /// The client has as many subscriptions as it may have.
    MaximumSubscriptions,
}

impl ErrText<'_> {
    /// Whether the connection ends with it.
    pub fn closes(&self) -> bool {
        match self {
            ErrText::UnknownOperation
            | ErrText::AuthorizationViolation
            | ErrText::AuthenticationTimeout
            | ErrText::AuthenticationExpired
            | ErrText::MaximumPayload
            | ErrText::MaximumControlLine
            | ErrText::MaximumConnections
            | ErrText::InvalidClientProtocol
            | ErrText::NoRespondersRequiresHeaders
            | ErrText::StaleConnection => true,
            ErrText::InvalidSubject
            | ErrText::InvalidPublishSubject
            | ErrText::PublishPermission { .. }
            | ErrText::SubscribePermission { .. }
            | ErrText::MaximumSubscriptions => false,
        }
    }

    fn fixed(&self) -> &'static str {
        match self {
            ErrText::UnknownOperation => "Unknown Protocol Operation",
            ErrText::AuthorizationViolation => "Authorization Violation",
            ErrText::AuthenticationTimeout => "Authentication Timeout",
            ErrText::AuthenticationExpired => "User Authentication Expired",
            ErrText::MaximumPayload => "Maximum Payload Violation",
            ErrText::MaximumControlLine => "maximum control line exceeded",
            ErrText::MaximumConnections => "maximum connections exceeded",
            ErrText::InvalidClientProtocol => "invalid client protocol",
            ErrText::NoRespondersRequiresHeaders => "no responders requires headers support",
            ErrText::StaleConnection => "Stale Connection",
            ErrText::InvalidSubject => "Invalid Subject",
            ErrText::InvalidPublishSubject => "Invalid Publish Subject",
            ErrText::PublishPermission { .. } => "Permissions Violation for Publish to ",
            ErrText::SubscribePermission { .. } => "Permissions Violation for Subscription to ",
            ErrText::MaximumSubscriptions => "maximum subscriptions exceeded",
        }
    }
}

impl Display for ErrText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fixed())?;
        match self {
            ErrText::PublishPermission { subject }
            | ErrText::SubscribePermission { subject, queue: None } => quoted(f, subject),
            ErrText::SubscribePermission { subject, queue: Some(queue) } => {
                quoted(f, subject)?;
                f.write_str(" using queue ")?;
                quoted(f, queue)
            }
            _ => Ok(()),
        }
    }
}

/// `bytes` between double quotes, escaped as Go's `%q` does: a subject cannot end the line.
fn quoted(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().try_for_each(|c| escaped(f, c))?;
        chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
    }
    f.write_char('"')
}

fn escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' | '\\' => write!(f, "\\{c}"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0b' => f.write_str("\\v"),
        '\x0c' => f.write_str("\\f"),
        '\0'..' ' | '\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c)),
        c => f.write_char(c),
    }
}

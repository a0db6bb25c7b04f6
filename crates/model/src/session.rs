//! What a decoy reports about one visitor: facts in order, numbered within their session.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{DeckyId, LanId, Service, SessionId, Timestamp, TopologyId};

/// Longest text of a visitor that is kept in one fact, in bytes after escaping.
pub const MAX_TEXT_BYTES: usize = 4096;

/// One fact about a session. `(session_id, index)` is unique; indices are dense from 0, the
/// first fact is [`SessionFact::Started`], the last [`SessionFact::Ended`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    /// Which session.
    pub session_id: SessionId,
    /// Position within the session, from 0.
    pub index: u32,
    /// When it happened.
    pub at: Timestamp,
    /// The maze.
    pub topology_id: TopologyId,
    /// The LAN on which the visitor came in.
    pub lan_id: LanId,
    /// The decky that was touched.
    pub decky_id: DeckyId,
    /// The decoy protocol.
    pub service: Service,
    /// Where the visitor came from.
    pub peer: SocketAddr,
    /// What happened.
    pub fact: SessionFact,
}

/// What happened. Texts are as the visitor sent them, already through [`escape_text`]; secrets
/// stay within the process and the store and are never published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SessionFact {
    /// The connection was accepted.
    Started,
    /// A login was tried.
    Login {
        /// User name; empty where the protocol has none (redis AUTH with a password only).
        principal: String,
        /// The secret as given, escaped.
        secret: String,
        /// How: `password`, `publickey`, `basic`, `form`, ….
        method: String,
        /// Whether it got in.
        accepted: bool,
    },
    /// A command line.
    Command {
        /// As typed.
        text: String,
    },
    /// A protocol request (an HTTP request line, a forwarding request).
    Request {
        /// Its first line or summary.
        text: String,
    },
    /// Bytes that the visitor left behind.
    Upload {
        /// The name that the visitor gave it.
        name: String,
        /// SHA-256 in lower-case hex.
        sha256: String,
        /// Size in bytes.
        bytes: u64,
    },
    /// Evidence about the visitor's client software.
    Fingerprint {
        /// `hassh`, `ssh.banner`, `http.user_agent`, ….
        name: String,
        /// Its value.
        value: String,
    },
    /// The connection is over.
    Ended {
        /// Bytes received from the visitor.
        bytes_in: u64,
        /// Bytes sent to the visitor.
        bytes_out: u64,
        /// Set where a limit cut the session short or its record is incomplete.
        truncated: Option<Truncation>,
    },
}

crate::catalogue::words! {
    /// Why a session was cut short or its record is incomplete.
    Truncation, "truncation" {
        /// It sent or received more bytes than a session may.
        Bytes = "bytes",
        /// It lasted longer than a session may.
        Duration = "duration",
        /// It stayed silent, or sent too slowly, for too long.
        Idle = "idle",
        /// It caused more facts than are kept of one session.
        Facts = "facts",
        /// The decoy failed; others were not affected.
        Panic = "panic",
        /// Its decky or service was removed or changed by force.
        Mutation = "mutation",
        /// The process ended before the session did.
        Shutdown = "shutdown",
    }
}

use std::{fmt, str::FromStr};

use crate::UnknownWord;

/// Makes a visitor's bytes safe to store and to show: UTF-8 as it is, everything else, control
/// characters, invisible and bidirectional formatting and the backslash itself as `\xNN`,
/// `\u{N}` and `\\`; cut to [`MAX_TEXT_BYTES`], with `…` where something is missing.
pub fn escape_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().min(MAX_TEXT_BYTES));
    let mut cut = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut text, c);
            if is_cut(&mut text, &mut cut) {
                return text;
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
            if is_cut(&mut text, &mut cut) {
                return text;
            }
        }
    }
    text
}

/// Cuts a text that has become too long. `cut` follows the last place that leaves room for `…`.
fn is_cut(text: &mut String, cut: &mut usize) -> bool {
    if text.len() <= MAX_TEXT_BYTES - '…'.len_utf8() {
        *cut = text.len();
    }
    let too_long = text.len() > MAX_TEXT_BYTES;
    if too_long {
        text.truncate(*cut);
        text.push('…');
    }
    too_long
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '\\' => text.push_str("\\\\"),
        c if is_formatting(c) => text.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", c as u32)),
        c if c.is_control() => text.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => text.push(c),
    }
}

/// Characters that are not seen but change how others are shown, or hide text: those of Unicode's
/// category Cf that have no business in a log (bidirectional marks, zero width, tags), and the
/// line and paragraph separators.
fn is_formatting(c: char) -> bool {
    matches!(c,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

//! Redis decoy: redis 7.0.15 of Debian 12, RESP2 and RESP3.
//!
//! `parse` turns bytes into commands, `keyspace` holds what the session sees of the data,
//! `server` what the server says about itself, `dispatch` carries commands out. Writes last as
//! long as the session; nothing is shared between visitors, and nothing is executed: scripts,
//! modules and replication are recorded only.

mod collections;
mod dispatch;
mod glob;
mod keyspace;
mod parse;
mod reply;
mod server;
#[cfg(test)]
mod tests;

pub use server::password;

use std::{net::SocketAddr, sync::Arc};

use model::{Persona, SessionFact, Timestamp, escape_text};
use sha2::{Digest, Sha256};

use self::{
    keyspace::Keyspace,
    parse::{Command, Parser},
    reply::Reply,
    server::Server,
};
use crate::{Flow, Output, Session};

/// Values from this size on are recorded as uploads.
const UPLOAD_BYTES: usize = 512;

/// Most commands that wait in a transaction.
const MAX_QUEUED: usize = 1024;

/// One connection of a redis client.
pub struct RedisSession {
    server: Server,
    keyspace: Keyspace,
    parser: Parser,
    client: Client,
    /// The answer to what may be the first line of an HTTP request: redis drops it together with
    /// the connection when a `Host:` line follows.
    held: Option<Vec<u8>>,
    closed: bool,
}

/// What the server remembers of this client.
#[derive(Debug)]
struct Client {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    logged_in: bool,
    resp3: bool,
    name: Vec<u8>,
    transaction: Option<Transaction>,
    channels: Vec<Vec<u8>>,
    /// CONFIG SET, as far as it was taken.
    changed: Vec<(String, String)>,
    /// REPLICAOF, as far as it was taken.
    master: Option<(String, u16)>,
}

#[derive(Debug, Default)]
struct Transaction {
    queued: Vec<Vec<Vec<u8>>>,
    failed: bool,
}

impl RedisSession {
    /// A session of `persona`'s redis server.
    pub fn new(
        persona: &Arc<Persona>,
        seed: [u8; 32],
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Self {
        let keyspace = Keyspace::of(persona);
        let server = Server::of(persona, local.port());
        Self::with(
            server,
            keyspace,
            u64::from(u16::from_be_bytes([seed[0], seed[1]])) + 3,
            local,
            peer,
        )
    }

    fn with(
        server: Server,
        keyspace: Keyspace,
        id: u64,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Self {
        let client = Client {
            id,
            peer,
            local,
            logged_in: server.password.is_none(),
            resp3: false,
            name: Vec::new(),
            transaction: None,
            channels: Vec::new(),
            changed: Vec::new(),
            master: None,
        };
        Self { server, keyspace, parser: Parser::default(), client, held: None, closed: false }
    }

    fn obey(&mut self, now: Timestamp, command: &Command, out: &mut Output) -> Flow {
        let words = &command.words;
        record(words, out);
        let name = words[0].to_ascii_lowercase();
        if matches!(name.as_slice(), b"host:" | b"post") {
            return Flow::Close;
        }
        if let Some(held) = self.held.take() {
            out.send(&held);
        }
        let (reply, flow) = self.dispatch(now, words, out);
        let mut bytes = Vec::new();
        reply.write(self.client.resp3, &mut bytes);
        let may_be_http = name == b"get" && words.len() == 3 && words[2].starts_with(b"HTTP/");
        if may_be_http {
            self.held = Some(bytes);
        } else {
            out.send(&bytes);
        }
        flow
    }
}

impl Session for RedisSession {
    fn open(&mut self, _now: Timestamp, _out: &mut Output) -> Flow {
        Flow::Continue
    }

    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow {
        let mut rest = bytes;
        while !self.closed {
            let flow = match self.parser.next(&mut rest, !self.client.logged_in) {
                Ok(None) => return Flow::Continue,
                Ok(Some(command)) if command.words.is_empty() => Flow::Continue,
                Ok(Some(command)) => self.obey(now, &command, out),
                Err(error) => {
                    let mut bytes = self.held.take().unwrap_or_default();
                    let text = format!("Protocol error: {}", error.0);
                    Reply::error(text).write(self.client.resp3, &mut bytes);
                    out.send(&bytes);
                    Flow::Close
                }
            };
            self.closed = flow != Flow::Continue;
        }
        Flow::Close
    }
}

/// Records a command. Passwords go into `Login` facts only.
fn record(words: &[Vec<u8>], out: &mut Output) {
    let name = words[0].to_ascii_lowercase();
    let shown = match name.as_slice() {
        b"auth" => return,
        b"hello" => &words[..words.len().min(2)],
        _ => words,
    };
    out.record(SessionFact::Command { text: escape_text(&shown.join(&b' ')) });
    if let Some(value) = words.iter().skip(1).find(|word| word.len() >= UPLOAD_BYTES) {
        let key = words.get(1).filter(|key| key.len() < UPLOAD_BYTES);
        let label = key.map_or(name.as_slice(), Vec::as_slice);
        out.record(SessionFact::Upload {
            name: escape_text(label),
            sha256: server::hex(&Sha256::digest(value)),
            bytes: value.len() as u64,
        });
    }
}

//! The data connection of an FTP session: one listener, then one connection, then none.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use model::Ambient;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Cut, Limits,
    expected::{Awaited, Expected},
    record::Meter,
};
use crate::{
    directory::Place,
    session::{DataAction, DataEvent},
};

/// Most bytes that are read from a data connection at once.
const READ_BYTES: usize = 16 << 10;

/// Most bytes that wait for a data connection.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// Between whom it is to be.
pub(super) struct Ends {
    /// Where the visitor's control connection really arrived.
    pub(super) here: Place,
    /// The address that the decky pretends to have.
    pub(super) shown: IpAddr,
    /// The visitor.
    pub(super) peer: IpAddr,
    /// Where sessions behind a shared listener wait for their visitors.
    pub(super) expected: Arc<Expected>,
    /// Chooses among ports.
    pub(super) ambient: Ambient,
}

/// The data connection as the driver sees it.
pub(super) struct DataConnection {
    ends: Ends,
    limits: Limits,
    state: State,
    waiting: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    closing: bool,
}

enum State {
    None,
    Listening { door: Door, until: Instant },
    Open(TcpStream),
}

/// Where the visitor is to come.
enum Door {
    /// A listener for this session alone.
    Own(TcpListener),
    /// A listener that others have, too.
    Shared(Awaited),
}

impl Door {
    /// The visitor's connection. Cancel-safe: accepting is.
    async fn accept(&mut self, peer: IpAddr) -> io::Result<TcpStream> {
        match self {
            Self::Own(listener) => accept_from(listener, peer).await,
            Self::Shared(awaited) => awaited.accept().await,
        }
    }
}

impl DataConnection {
    /// None yet.
    pub(super) fn new(ends: Ends, limits: Limits) -> Self {
        Self {
            ends,
            limits,
            state: State::None,
            waiting: Vec::new(),
            sent: 0,
            buffer: Vec::new(),
            closing: false,
        }
    }

    /// Does what the session wants; gives back what to tell it.
    pub(super) async fn act(&mut self, action: DataAction) -> Result<Option<DataEvent>, Cut> {
        match action {
            DataAction::Listen => {
                self.reset();
                Ok(Some(self.listen().await.unwrap_or(DataEvent::Closed)))
            }
            DataAction::Send(bytes) => {
                if self.waiting.len() + bytes.len() > MAX_WAITING_BYTES {
                    return Err(Cut::Limit(model::Truncation::Bytes));
                }
                if !matches!(self.state, State::None) {
                    self.waiting.extend_from_slice(&bytes);
                }
                Ok(None)
            }
            DataAction::Close => match self.state {
                State::None => Ok(Some(DataEvent::Closed)),
                State::Listening { .. } if self.waiting.is_empty() => {
                    self.reset();
                    Ok(Some(DataEvent::Closed))
                }
                State::Listening { .. } | State::Open(_) => {
                    self.closing = true;
                    Ok(None)
                }
            },
        }
    }

    async fn listen(&mut self) -> io::Result<DataEvent> {
        let (door, addr, port) = self.open_door().await?;
        let until = Instant::now() + self.limits.data_accept;
        self.state = State::Listening { door, until };
        Ok(DataEvent::Listening { addr, port })
    }

    /// Where the visitor is to come, and how he is told.
    async fn open_door(&self) -> io::Result<(Door, IpAddr, u16)> {
        let Ends { here, shown, peer, expected, ambient } = &self.ends;
        let Some(ports) = expected.ports(here.lan) else {
            let local = here.at.ip();
            let listener = TcpListener::bind(SocketAddr::new(local, 0)).await?;
            let port = listener.local_addr()?.port();
            return Ok((Door::Own(listener), local, port));
        };
        let draw = u16::from_ne_bytes(ambient.bytes());
        let awaited = expected.expect(&ports, *here, *peer, draw);
        let awaited = awaited.ok_or(io::ErrorKind::AddrInUse)?;
        let port = awaited.port();
        Ok((Door::Shared(awaited), *shown, port))
    }

    /// Lets go of the connection without a word: the machine is gone.
    pub(super) fn abandon(self) {
        if let State::Open(stream) = self.state {
            super::abandon(&stream);
        }
    }

    /// The next thing that happens on the connection; never returns while there is none.
    ///
    /// Cancel-safe: accept, read and write move bytes only when they complete, and what they
    /// moved is accounted for without a further await.
    pub(super) async fn next(&mut self, meter: &mut Meter) -> Result<DataEvent, Cut> {
        match &mut self.state {
            State::None => std::future::pending().await,
            State::Listening { door, until } => {
                let accepted = timeout_at(*until, door.accept(self.ends.peer)).await;
                if let Ok(Ok(stream)) = accepted {
                    self.state = State::Open(stream);
                    Ok(DataEvent::Connected)
                } else {
                    self.reset();
                    Ok(DataEvent::Closed)
                }
            }
            State::Open(stream) => {
                while self.sent < self.waiting.len() {
                    let left = &self.waiting[self.sent..];
                    let most = meter.may_send(left.len());
                    if most == 0 {
                        return Err(Cut::Limit(model::Truncation::Bytes));
                    }
                    let write = stream.write(&left[..most]);
                    match timeout(self.limits.write_stall, write).await {
                        Ok(Ok(sent)) if sent > 0 => {
                            meter.sent(sent);
                            self.sent += sent;
                        }
                        _ => {
                            self.reset();
                            return Ok(DataEvent::Closed);
                        }
                    }
                }
                self.waiting.clear();
                self.sent = 0;
                if self.closing {
                    self.reset();
                    return Ok(DataEvent::Closed);
                }
                self.buffer.resize(READ_BYTES, 0);
                match stream.read(&mut self.buffer).await {
                    Ok(read) if read > 0 => {
                        meter.received(read)?;
                        Ok(DataEvent::Received(self.buffer[..read].to_vec()))
                    }
                    _ => {
                        self.reset();
                        Ok(DataEvent::Closed)
                    }
                }
            }
        }
    }

    fn reset(&mut self) {
        self.state = State::None;
        self.waiting.clear();
        self.sent = 0;
        self.closing = false;
    }
}

/// The first connection of `peer`; those of others are closed.
async fn accept_from(listener: &TcpListener, peer: IpAddr) -> io::Result<TcpStream> {
    loop {
        let (stream, from) = listener.accept().await?;
        if from.ip() == peer {
            return Ok(stream);
        }
    }
}

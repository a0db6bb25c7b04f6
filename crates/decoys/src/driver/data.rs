//! The data connection of an FTP session: one listener, then one connection, then none.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout, timeout_at},
};

use super::{Cut, Limits, record::Meter};
use crate::session::{DataAction, DataEvent};

/// Most bytes that are read from a data connection at once.
const READ_BYTES: usize = 16 << 10;

/// Most bytes that wait for a data connection.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// The data connection as the driver sees it.
pub(super) struct DataConnection {
    local: IpAddr,
    peer: IpAddr,
    limits: Limits,
    state: State,
    waiting: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    closing: bool,
}

enum State {
    None,
    Listening { listener: TcpListener, until: Instant },
    Open(TcpStream),
}

impl DataConnection {
    /// None yet. `local` is the address that the visitor's control connection really uses.
    pub(super) fn new(local: IpAddr, peer: IpAddr, limits: Limits) -> Self {
        Self {
            local,
            peer,
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
        let listener = TcpListener::bind(SocketAddr::new(self.local, 0)).await?;
        let port = listener.local_addr()?.port();
        let until = Instant::now() + self.limits.data_accept;
        self.state = State::Listening { listener, until };
        Ok(DataEvent::Listening { addr: self.local, port })
    }

    /// The next thing that happens on the connection; never returns while there is none.
    ///
    /// Cancel-safe: accept, read and write move bytes only when they complete, and what they
    /// moved is accounted for without a further await.
    pub(super) async fn next(&mut self, meter: &mut Meter) -> Result<DataEvent, Cut> {
        match &mut self.state {
            State::None => std::future::pending().await,
            State::Listening { listener, until } => {
                let accepted = timeout_at(*until, accept_from(listener, self.peer)).await;
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

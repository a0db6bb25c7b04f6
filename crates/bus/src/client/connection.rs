//! The task that owns the socket: reads frames and hands them on, writes what waits, answers
//! PING, and notices when the server is gone.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::{Closed, Message, Shared, handshake::Greeted, routes::Routes, socket::Socket};
use crate::proto::{Parsed, ProtoLimits, ServerFrame, parse_server};

/// How often the server is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// PINGs without an answer before the server counts as gone.
const MAX_UNANSWERED: u32 = 2;

/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Reads in a row before writing gets its turn.
const READS: usize = 8;

/// The largest message that is taken, whatever the server says of itself.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

pub(super) struct Connection {
    socket: Socket,
    shared: Arc<Shared>,
    unread: BytesMut,
    /// Taken from the callers' buffer, and how much of it is written.
    writing: Vec<u8>,
    written: usize,
    unanswered: u32,
    stop: CancellationToken,
}

impl Connection {
    pub(super) fn new(greeted: Greeted, shared: Arc<Shared>, stop: CancellationToken) -> Self {
        let Greeted { socket, unread, .. } = greeted;
        let (writing, written, unanswered) = (Vec::new(), 0, 0);
        Self { socket, shared, unread, writing, written, unanswered, stop }
    }

    /// Serves until the connection is over, then tells everybody.
    pub(super) async fn run(mut self) {
        let why = self.serve().await;
        if !matches!(why, Closed::Here) {
            tracing::debug!(error = &why as &dyn std::error::Error, "bus connection ended");
        }
        self.shared.end(why);
    }

    async fn serve(&mut self) -> Closed {
        if let Err(why) = self.hand_on() {
            return why;
        }
        let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(why) = self.write() {
                return why;
            }
            let idle = self.writing.is_empty();
            // Cancel-safe: readiness, a permit and a tick take nothing with them.
            let done = tokio::select! {
                () = self.stop.cancelled() => return self.say_goodbye().await,
                ready = self.socket.ready(!idle) => match ready {
                    Ok(ready) if ready.is_readable() => self.read(),
                    Ok(_) => Ok(()),
                    Err(error) => Err(broke(error)),
                },
                () = self.shared.outbound.filled(), if idle => Ok(()),
                _ = keep_alive.tick() => self.keep_alive(),
            };
            if let Err(why) = done {
                return why;
            }
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn write(&mut self) -> Result<(), Closed> {
        while self.has_unwritten() {
            match self.socket.write(&self.writing[self.written..]).map_err(broke)? {
                Some(written) => self.written += written,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether something waits; takes what the callers put there once the last is written.
    fn has_unwritten(&mut self) -> bool {
        if self.written == self.writing.len() {
            self.writing.clear();
            self.written = 0;
            self.shared.outbound.take(&mut self.writing);
        }
        !self.writing.is_empty()
    }

    /// Refuses what comes from now on and writes the rest, as far as that goes in [`GOODBYE`].
    async fn say_goodbye(&mut self) -> Closed {
        self.shared.outbound.close();
        let writing = async {
            loop {
                self.write()?;
                if self.writing.is_empty() {
                    return self.hang_up().await;
                }
                self.socket.ready(true).await.map_err(broke)?;
            }
        };
        match timeout(GOODBYE, writing).await {
            Ok(done) => done.err().unwrap_or(Closed::Here),
            Err(_) => Closed::Here,
        }
    }

    /// Says that nothing more comes, and reads what the server still says until it hangs up too. A
    /// socket that is closed with something unread is reset: the server would lose what it has not
    /// read yet.
    async fn hang_up(&mut self) -> Result<(), Closed> {
        self.socket.finish().map_err(broke)?;
        loop {
            self.socket.ready(false).await.map_err(broke)?;
            self.unread.clear();
            if self.socket.read(&mut self.unread).map_err(broke)? == Some(0) {
                return Ok(());
            }
        }
    }

    fn keep_alive(&mut self) -> Result<(), Closed> {
        if self.unanswered == MAX_UNANSWERED {
            return Err(Closed::Stale);
        }
        self.unanswered += 1;
        self.shared.outbound.keep_alive();
        Ok(())
    }

    fn read(&mut self) -> Result<(), Closed> {
        for _ in 0..READS {
            match self.socket.read(&mut self.unread).map_err(broke)? {
                Some(0) => return Err(self.ended()),
                Some(_) => self.hand_on()?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The server ended it; the last that it said tells why.
    fn ended(&self) -> Closed {
        self.shared.routes().last_error().map_or(Closed::There, |text| Closed::Told(text.clone()))
    }

    /// Hands on every whole frame that was read.
    fn hand_on(&mut self) -> Result<(), Closed> {
        let shared = self.shared.clone();
        let max_payload = shared.info.max_payload.min(MAX_MESSAGE_BYTES);
        let limits = ProtoLimits { max_payload, ..ProtoLimits::default() };
        let (mut routes, mut used_in_all) = (shared.routes(), 0);
        let done = loop {
            match parse_server(&self.unread[used_in_all..], &limits) {
                Ok(Parsed::Frame { frame, used }) => {
                    used_in_all += used;
                    self.unanswered = 0;
                    if let Err(why) = take(&shared, &mut routes, frame) {
                        break Err(why);
                    }
                }
                Ok(Parsed::Incomplete { .. }) => break Ok(()),
                Err(_) => break Err(Closed::Garbage),
            }
        };
        self.unread.advance(used_in_all);
        done
    }
}

fn take(shared: &Shared, routes: &mut Routes, frame: ServerFrame<'_>) -> Result<(), Closed> {
    match frame {
        ServerFrame::Msg { subject, sid, reply, headers_len, payload } => {
            if let Some(number) = super::routes::number(sid) {
                routes.deliver(Message::new(number, subject, reply, headers_len, payload));
            }
        }
        ServerFrame::Ping if !shared.outbound.pong() => return Err(Closed::Deaf),
        ServerFrame::Ping => {}
        ServerFrame::Pong => {
            shared.outbound.answered();
        }
        ServerFrame::Err(text) => routes.complain(&String::from_utf8_lossy(text)),
        // A later INFO tells of other servers, or that this one is about to go: then it closes.
        ServerFrame::Info(_) | ServerFrame::Ok => {}
    }
    Ok(())
}

fn broke(error: io::Error) -> Closed {
    Closed::Broke(Arc::new(error))
}

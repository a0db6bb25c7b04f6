//! One connection from first to last byte: the only place where a session meets a socket.
//!
//! One task runs it. Within a turn the order is fixed: call the session, hand on its facts,
//! write its bytes, act on the data connection; only then is anything read again. That is what
//! makes a full facts channel, or a visitor who does not read, stop this visitor and no other.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use model::{Ambient, SessionEvent, SessionFact, SessionId, Timestamp, Truncation};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Cut, Factory, Limits,
    data::{DataConnection, Ends},
    expected::Expected,
    record::{Meter, Record},
    registry::Ticket,
};
use crate::{
    Flow, Output, Session, Started,
    directory::{Entry, Place},
    session::{DataEvent, Overflow},
};

/// Most bytes that are read from a visitor at once.
const READ_BYTES: usize = 16 << 10;

/// Shortest time between two calls of `expire`, so that a session cannot make us spin.
const SHORTEST_NAP: Duration = Duration::from_millis(1);

/// What a conversation needs from outside.
pub(super) struct Visit {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Where it really arrived.
    pub(super) place: Place,
    pub(super) session_id: SessionId,
    pub(super) entry: Entry,
    pub(super) ticket: Ticket,
    pub(super) expected: Arc<Expected>,
    pub(super) limits: Limits,
    pub(super) ambient: Ambient,
    pub(super) facts: mpsc::Sender<SessionEvent>,
    pub(super) factory: Factory,
}

struct Conversation {
    stream: TcpStream,
    session: Box<dyn Session>,
    out: Output,
    record: Record,
    meter: Meter,
    data: DataConnection,
    ticket: Ticket,
    ambient: Ambient,
    limits: Limits,
    until: Instant,
    heard_at: Instant,
    input_open: bool,
    buffer: Vec<u8>,
}

/// What woke a conversation.
enum Woken {
    Read(usize),
    Finished,
    Expired(Timestamp),
    Data(DataEvent),
}

/// Runs one connection to its end. The record begins with `Started` and ends with `Ended`.
pub(super) async fn converse(visit: Visit) {
    let Visit { stream, peer, place, session_id, entry, .. } = visit;
    let Visit { ticket, expected, limits, ambient, facts, factory, .. } = visit;
    let seed = ambient.bytes();
    let make = || factory(entry.service, entry.persona(), seed, entry.local(), peer);
    let made = catch_unwind(AssertUnwindSafe(make));
    let mut record = Record::new(session_id, entry.clone(), peer, ambient.clone(), facts, &limits);
    if record.add(SessionFact::Started).await.is_err() {
        return;
    }
    // The directory never has a service of datagrams where connections come in.
    let Ok(Started::Connection(session)) = made else {
        record.end(&Meter::new(&limits), Some(Truncation::Panic)).await;
        return;
    };
    let (shown, peer_ip, chance) = (entry.interface.address, peer.ip(), ambient.clone());
    let ends = Ends { here: place, shown, peer: peer_ip, expected, ambient: chance };
    let mut conversation = Conversation {
        stream,
        session,
        out: Output::new(),
        record,
        meter: Meter::new(&limits),
        data: DataConnection::new(ends, limits.clone()),
        ticket,
        ambient,
        until: Instant::now() + limits.duration,
        heard_at: Instant::now(),
        limits,
        input_open: true,
        buffer: vec![0; READ_BYTES],
    };
    let truncated = match conversation.hold().await {
        Ok(()) | Err(Cut::Gone) => None,
        Err(Cut::Limit(why)) => Some(why),
    };
    tracing::debug!(session.id = %session_id, peer.addr = %peer, truncated = ?truncated, "session ended");
    let Conversation { stream, data, mut record, meter, ticket, .. } = conversation;
    if truncated == Some(Truncation::Mutation) {
        super::abandon(&stream);
        data.abandon();
    }
    // The socket is closed before the record ends, so that whoever reads `Ended` finds it gone.
    drop(stream);
    record.end(&meter, truncated).await;
    drop(ticket);
}

impl Conversation {
    async fn hold(&mut self) -> Result<(), Cut> {
        let mut flow = self.turn(|session, now, out, _| session.open(now, out)).await?;
        while flow == Flow::Continue {
            flow = match self.wake().await? {
                Woken::Read(read) => {
                    self.heard_at = Instant::now();
                    self.meter.received(read)?;
                    self.turn(move |session, now, out, buffer| {
                        session.receive(now, &buffer[..read], out)
                    })
                    .await?
                }
                Woken::Finished => {
                    self.input_open = false;
                    self.turn(|session, now, out, _| session.finished(now, out)).await?
                }
                Woken::Expired(at) => {
                    self.turn(move |session, now, out, _| session.expire(now.max(at), out)).await?
                }
                Woken::Data(event) => {
                    self.heard_at = Instant::now();
                    self.turn(move |session, now, out, _| session.data(now, event, out)).await?
                }
            };
        }
        if flow == Flow::Linger && self.input_open {
            // The visitor may be gone already; then there is nobody to wait for.
            let _ = timeout(self.limits.linger, self.stream.shutdown()).await;
            self.linger().await?;
        }
        Ok(())
    }

    /// Calls the session once and carries out everything that it asks for.
    async fn turn(
        &mut self,
        call: impl FnOnce(&mut dyn Session, Timestamp, &mut Output, &[u8]) -> Flow,
    ) -> Result<Flow, Cut> {
        let mut flow = self.call(call)?;
        loop {
            let actions = self.out.take_data();
            self.deliver().await?;
            let mut answers = Vec::new();
            for action in actions {
                answers.extend(self.data.act(action).await?);
            }
            if answers.is_empty() || flow != Flow::Continue {
                return Ok(flow);
            }
            for answer in answers {
                flow = self.call(move |session, now, out, _| session.data(now, answer, out))?;
            }
        }
    }

    fn call(
        &mut self,
        call: impl FnOnce(&mut dyn Session, Timestamp, &mut Output, &[u8]) -> Flow,
    ) -> Result<Flow, Cut> {
        let now = self.ambient.now();
        let (session, out, buffer) = (&mut *self.session, &mut self.out, &self.buffer);
        catch_unwind(AssertUnwindSafe(|| call(session, now, out, buffer)))
            .map_err(|_| Cut::Limit(Truncation::Panic))
    }

    /// Hands on the facts, then writes the bytes.
    async fn deliver(&mut self) -> Result<(), Cut> {
        for fact in self.out.take_facts() {
            self.record.add(fact).await?;
        }
        let wire = self.out.take_wire();
        self.write(&wire).await?;
        match self.out.take_overflow() {
            None => Ok(()),
            Some(Overflow::Bytes) => Err(Cut::Limit(Truncation::Bytes)),
            Some(Overflow::Facts) => Err(Cut::Limit(Truncation::Facts)),
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Cut> {
        while !bytes.is_empty() {
            let most = self.meter.may_send(bytes.len());
            if most == 0 {
                return Err(Cut::Limit(Truncation::Bytes));
            }
            // Cancel-safe: a write that did not complete sent nothing.
            let sent = tokio::select! {
                biased;
                why = ended(&mut self.ticket) => return Err(Cut::Limit(why)),
                () = sleep_until(self.until) => return Err(Cut::Limit(Truncation::Duration)),
                sent = timeout(self.limits.write_stall, self.stream.write(&bytes[..most])) => sent,
            };
            match sent {
                Err(_) => return Err(Cut::Limit(Truncation::Idle)),
                Ok(Ok(sent)) if sent > 0 => {
                    self.meter.sent(sent);
                    bytes = &bytes[sent..];
                }
                Ok(_) => return Err(Cut::Gone),
            }
        }
        Ok(())
    }

    /// Waits for the next thing that happens. Each branch is cancel-safe: a watch keeps its
    /// value, sleeping has no effect, and a read that did not complete took nothing.
    async fn wake(&mut self) -> Result<Woken, Cut> {
        let deadline = catch_unwind(AssertUnwindSafe(|| self.session.deadline()))
            .map_err(|_| Cut::Limit(Truncation::Panic))?;
        let nap = deadline.map(|at| at.since(self.ambient.now()).max(SHORTEST_NAP));
        let expires = Instant::now() + nap.unwrap_or(self.limits.duration);
        tokio::select! {
            biased;
            why = ended(&mut self.ticket) => Err(Cut::Limit(why)),
            () = sleep_until(self.until) => Err(Cut::Limit(Truncation::Duration)),
            () = sleep_until(expires), if deadline.is_some() => {
                Ok(Woken::Expired(deadline.unwrap_or_default()))
            }
            event = self.data.next(&mut self.meter) => Ok(Woken::Data(event?)),
            read = self.stream.read(&mut self.buffer), if self.input_open => match read {
                Ok(0) => Ok(Woken::Finished),
                Ok(read) => Ok(Woken::Read(read)),
                Err(_) => Err(Cut::Gone),
            },
            () = sleep_until(self.heard_at + self.limits.idle) => {
                Err(Cut::Limit(Truncation::Idle))
            }
        }
    }

    /// Reads and discards, until the visitor closes or the time is over.
    async fn linger(&mut self) -> Result<(), Cut> {
        let until = Instant::now() + self.limits.linger;
        loop {
            // Cancel-safe: a read that did not complete took nothing.
            let read = tokio::select! {
                biased;
                why = ended(&mut self.ticket) => return Err(Cut::Limit(why)),
                () = sleep_until(until) => return Ok(()),
                read = self.stream.read(&mut self.buffer) => read,
            };
            match read {
                Ok(read) if read > 0 => self.meter.received(read)?,
                _ => return Ok(()),
            }
        }
    }
}

/// Waits until someone wants this session to end.
async fn ended(ticket: &mut Ticket) -> Truncation {
    match ticket.end.wait_for(Option::is_some).await.map(|why| *why) {
        Ok(Some(why)) => why,
        // The registry keeps the sender as long as the ticket lives.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

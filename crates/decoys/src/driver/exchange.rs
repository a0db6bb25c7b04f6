//! One UDP socket and the sessions behind it: the only place where a [`DatagramSession`] meets a
//! socket.
//!
//! One task owns all of it. A session is what one source address and port says to one service of
//! one decky, until it stays silent. Within a turn the order is fixed: call the session, hand on
//! its facts, send its answers; only then is anything read again. While the facts channel is full
//! nobody reads, and the kernel drops what its own buffer does not hold.

use std::{
    collections::HashMap,
    net::{SocketAddr, SocketAddrV4},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use model::{Ambient, SessionEvent, SessionFact, Truncation};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    ACCEPT_REST, Cut, Factory, Limits, Place,
    allowance::Allowance,
    record::{Meter, Record},
    registry::{Registry, Ticket},
    udp::{Datagrams, Received},
};
use crate::{
    DatagramSession, Started,
    datagram::{Answers, MAX_DATAGRAM_BYTES},
    directory::{Directory, Entry},
};

/// Longest time between two looks for sessions that fell silent.
const LONGEST_SWEEP: Duration = Duration::from_secs(1);

/// Shortest time between two looks for sessions that fell silent.
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);

/// What an exchange needs from outside.
pub(super) struct Counter {
    pub(super) place: Place,
    pub(super) socket: Datagrams,
    pub(super) directory: Arc<Directory>,
    pub(super) registry: Arc<Registry>,
    pub(super) allowance: Arc<Allowance>,
    pub(super) limits: Limits,
    pub(super) ambient: Ambient,
    pub(super) facts: mpsc::Sender<SessionEvent>,
    pub(super) factory: Factory,
}

/// Who speaks to whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Ends {
    peer: SocketAddrV4,
    local: SocketAddrV4,
}

/// A session that goes on.
struct Live {
    entry: Entry,
    session: Box<dyn DatagramSession>,
    record: Record,
    meter: Meter,
    ticket: Ticket,
    until: Instant,
    heard_at: Instant,
}

/// A session whose last fact is still to be told.
struct Ending {
    record: Record,
    meter: Meter,
    truncated: Option<Truncation>,
    _ticket: Ticket,
}

/// Sessions that are to end once their socket is closed.
pub(super) struct Remains(Vec<Ending>);

struct Exchange {
    counter: Counter,
    sessions: HashMap<Ends, Live>,
    endings: Vec<Ending>,
    asked_to_end: watch::Receiver<u64>,
    sweep: Interval,
}

/// Serves a socket until stopped; it is closed when this returns.
pub(super) async fn serve(counter: Counter, stop: CancellationToken) -> (Place, Remains) {
    let place = counter.place;
    let most = counter.limits.datagram_idle / 4;
    let mut sweep = interval(most.clamp(SHORTEST_SWEEP, LONGEST_SWEEP));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let asked_to_end = counter.registry.asked_to_end();
    let mut exchange =
        Exchange { counter, sessions: HashMap::new(), endings: Vec::new(), asked_to_end, sweep };
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        // A turn that is cut short loses at most an answer, and facts that nobody had taken.
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = exchange.turn(&mut buffer) => {}
        }
    }
    let Exchange { counter, sessions, mut endings, .. } = exchange;
    drop(counter.socket);
    let closed = |live: Live| {
        let why = live.ticket.why().unwrap_or(Truncation::Mutation);
        live.ending(Some(why))
    };
    endings.extend(sessions.into_values().map(closed));
    (place, Remains(endings))
}

impl Remains {
    /// Tells the last facts.
    pub(super) async fn end(self) {
        for mut ending in self.0 {
            ending.record.end(&ending.meter, ending.truncated).await;
        }
    }
}

impl Exchange {
    async fn turn(&mut self, buffer: &mut [u8]) {
        while let Some(ending) = self.endings.last_mut() {
            ending.record.end(&ending.meter, ending.truncated).await;
            self.endings.pop();
        }
        // Cancel-safe: a watch keeps its value, a tick comes again, and a datagram is taken only
        // when the call completes.
        tokio::select! {
            biased;
            _ = self.asked_to_end.changed() => self.end_where(|live, _| live.ticket.why().map(Some)),
            _ = self.sweep.tick(), if !self.sessions.is_empty() => {
                let idle = self.counter.limits.datagram_idle;
                // Silence is how an exchange of datagrams ends, so nothing is cut short.
                self.end_where(|live, now| {
                    let is_over = now >= live.until;
                    let is_silent = now.saturating_duration_since(live.heard_at) >= idle;
                    let over = is_over.then_some(Some(Truncation::Duration));
                    over.or(is_silent.then_some(None))
                });
            }
            received = self.counter.socket.receive(buffer) => match received {
                Ok(Some(received)) => {
                    let datagram = &buffer[..received.bytes];
                    self.take(received, datagram).await;
                }
                Ok(None) => {}
                Err(err) => {
                    tracing::warn!(error = &err as &dyn std::error::Error, "receiving failed");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
        }
    }

    /// Ends the sessions for which `why` gives a reason.
    fn end_where(&mut self, why: impl Fn(&Live, Instant) -> Option<Option<Truncation>>) {
        let now = Instant::now();
        let over: Vec<(Ends, Option<Truncation>)> = self
            .sessions
            .iter()
            .filter_map(|(ends, live)| Some((*ends, why(live, now)?)))
            .collect();
        for (ends, truncated) in over {
            self.end(ends, truncated);
        }
    }

    fn end(&mut self, ends: Ends, truncated: Option<Truncation>) {
        let live = self.sessions.remove(&ends);
        self.endings.extend(live.map(|live| live.ending(truncated)));
    }

    async fn take(&mut self, received: Received, datagram: &[u8]) {
        let Received { peer, local, .. } = received;
        let place = Place { at: local.into(), ..self.counter.place };
        let Some(entry) = self.counter.directory.get(place) else { return };
        let ends = Ends { peer, local };
        if self.sessions.get(&ends).is_some_and(|live| !live.entry.is(&entry)) {
            self.end(ends, Some(Truncation::Mutation));
        }
        if !self.sessions.contains_key(&ends) {
            let Some(begun) = self.counter.begin(entry, peer).await else { return };
            match begun {
                Ok(live) => drop(self.sessions.insert(ends, live)),
                Err(ending) => return self.endings.push(ending),
            }
        }
        let Some(live) = self.sessions.get_mut(&ends) else { return };
        if let Err(cut) = live.exchange(&self.counter, ends, datagram).await {
            let truncated = match cut {
                Cut::Gone => None,
                Cut::Limit(why) => Some(why),
            };
            self.end(ends, truncated);
        }
    }
}

impl Counter {
    /// A new session; nothing where a limit is reached, what is left of it where it failed.
    async fn begin(&self, entry: Entry, peer: SocketAddrV4) -> Option<Result<Live, Ending>> {
        let session_id = self.ambient.id();
        let peer = SocketAddr::V4(peer);
        let ticket = self.registry.admit(
            session_id,
            (entry.interface.decky_id, entry.interface.lan_id),
            peer.ip(),
        )?;
        let mut record = Record::new(
            session_id,
            entry.clone(),
            peer,
            self.ambient.clone(),
            self.facts.clone(),
            &self.limits,
        );
        record.add(SessionFact::Started).await.ok()?;
        let meter = Meter::new(&self.limits);
        let seed = self.ambient.bytes();
        let make = || (self.factory)(entry.service, entry.persona(), seed, entry.local(), peer);
        let Ok(Started::Datagrams(session)) = catch_unwind(AssertUnwindSafe(make)) else {
            let truncated = Some(Truncation::Panic);
            return Some(Err(Ending { record, meter, truncated, _ticket: ticket }));
        };
        let now = Instant::now();
        let until = now + self.limits.duration;
        Some(Ok(Live { entry, session, record, meter, ticket, until, heard_at: now }))
    }
}

impl Live {
    fn ending(self, truncated: Option<Truncation>) -> Ending {
        Ending { record: self.record, meter: self.meter, truncated, _ticket: self.ticket }
    }

    async fn exchange(
        &mut self,
        counter: &Counter,
        ends: Ends,
        datagram: &[u8],
    ) -> Result<(), Cut> {
        self.heard_at = Instant::now();
        self.meter.received(datagram.len())?;
        let mut answers = Answers::new();
        let (now, session) = (counter.ambient.now(), &mut self.session);
        catch_unwind(AssertUnwindSafe(|| session.receive(now, datagram, &mut answers)))
            .map_err(|_| Cut::Limit(Truncation::Panic))?;
        for fact in answers.take_facts() {
            self.record.add(fact).await?;
        }
        let mut credit = datagram.len();
        for answer in answers.take_datagrams() {
            let beyond = answer.len().saturating_sub(credit);
            if !counter.allowance.take((*ends.peer.ip()).into(), beyond, Instant::now()) {
                tracing::debug!(peer.addr = %ends.peer, "answer beyond the allowance not sent");
                return Ok(());
            }
            credit = credit.saturating_sub(answer.len());
            self.send(counter, ends, &answer)?;
        }
        Ok(())
    }

    fn send(&mut self, counter: &Counter, ends: Ends, answer: &[u8]) -> Result<(), Cut> {
        if self.meter.may_send(answer.len()) < answer.len() {
            return Err(Cut::Limit(Truncation::Bytes));
        }
        match counter.socket.send(answer, *ends.local.ip(), ends.peer) {
            Ok(()) => self.meter.sent(answer.len()),
            Err(err) => {
                tracing::debug!(error = &err as &dyn std::error::Error, "answer not sent");
            }
        }
        Ok(())
    }
}

//! One visitor of the SSH decoy: the transport below, authentication or channels above, and
//! the moments at which something happens by itself.

use std::{net::SocketAddr, sync::Arc};

use model::{Persona, PersonaAccount, SessionFact, Timestamp};
use rand::{Rng, SeedableRng, rngs::ChaCha20Rng};

use super::{
    auth::{Answer, Auth, GRACE, Judge, Verdict},
    connection::{Connection, Context},
    fatal::Fatal,
    message,
    packet::Opened,
    transport::Transport,
    wire::Writer,
};
use crate::{Flow, Output, Session, shell::Shell};

/// An SSH session.
pub struct SshSession {
    persona: Arc<Persona>,
    local: SocketAddr,
    peer: SocketAddr,
    transport: Transport,
    phase: Phase,
    /// A decision that was taken and is not told yet.
    decided: Option<(Timestamp, Verdict)>,
    facts: Vec<SessionFact>,
}

enum Phase {
    /// Nobody is in; until when somebody must be.
    Authentication { auth: Auth, until: Option<Timestamp> },
    /// Somebody is.
    Connection(Box<Connection>),
    /// The connection is over.
    Ended,
}

impl SshSession {
    /// A session of `persona` with the visitor at `peer`.
    pub fn new(persona: Arc<Persona>, seed: [u8; 32], local: SocketAddr, peer: SocketAddr) -> Self {
        let transport = Transport::new(&persona, ChaCha20Rng::from_seed(seed));
        Self {
            persona,
            local,
            peer,
            transport,
            phase: Phase::Authentication { auth: Auth::default(), until: None },
            decided: None,
            facts: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn rekey_after(&mut self, bytes: u64) {
        self.transport.rekey_after(bytes);
    }

    /// Goes on until nothing more is complete, or a decision has to wait.
    fn pump(&mut self, now: Timestamp) -> Result<(), Fatal> {
        while self.decided.is_none() {
            let Some(packet) = self.transport.next()? else { break };
            self.handle(now, &packet)?;
        }
        Ok(())
    }

    fn handle(&mut self, now: Timestamp, packet: &Opened) -> Result<(), Fatal> {
        let Self { persona, transport, phase, facts, .. } = self;
        match phase {
            Phase::Authentication { auth, .. } => {
                let mut judge = Judge { persona, random: transport.random(), facts };
                match auth.receive(packet, &mut judge)? {
                    Answer::Send(payload) => transport.send(payload),
                    Answer::Unimplemented => {
                        let answer = Writer::message(message::UNIMPLEMENTED).u32(packet.seq);
                        transport.send(answer.done())
                    }
                    Answer::Decide { delay, verdict } if delay.is_zero() => {
                        self.decide(now, verdict)
                    }
                    Answer::Decide { delay, verdict } => {
                        self.decided = Some((now.plus(delay), verdict));
                        Ok(())
                    }
                }
            }
            Phase::Connection(connection) => {
                connection.receive(packet, &mut Context { now, transport, facts })
            }
            Phase::Ended => Err(Fatal::Close),
        }
    }

    fn decide(&mut self, now: Timestamp, verdict: Verdict) -> Result<(), Fatal> {
        match (&mut self.phase, verdict) {
            (Phase::Authentication { .. }, Verdict::Accepted(account)) => {
                self.accept(now, &account)
            }
            (Phase::Authentication { auth, .. }, verdict) => {
                let answer = auth.refuse(&verdict)?;
                self.transport.send(answer)
            }
            _ => Ok(()),
        }
    }

    fn accept(&mut self, now: Timestamp, account: &PersonaAccount) -> Result<(), Fatal> {
        let Self { persona, transport, facts, .. } = self;
        transport.send(vec![message::USERAUTH_SUCCESS])?;
        transport.authenticated();
        let mut seed = [0; 32];
        transport.random().fill_bytes(&mut seed);
        let mut shell = Shell::new(persona.clone(), account, self.peer.ip(), now, seed);
        shell.set_address(self.local.ip());
        let connection = Connection::new(shell, account.uid == 0);
        connection.announce(&mut Context { now, transport, facts })?;
        self.phase = Phase::Connection(Box::new(connection));
        Ok(())
    }

    /// Hands out what was produced, after a last word where one is due.
    fn settle(&mut self, result: &Result<(), Fatal>, out: &mut Output) -> Flow {
        if let Err(fatal) = result {
            self.transport.end(fatal);
            self.phase = Phase::Ended;
            self.decided = None;
        }
        out.send(&self.transport.take_wire());
        let facts = self.transport.take_facts().into_iter().chain(self.facts.drain(..));
        facts.for_each(|fact| out.record(fact));
        match result {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Close,
        }
    }
}

impl Session for SshSession {
    fn open(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        if let Phase::Authentication { until, .. } = &mut self.phase {
            *until = Some(now.plus(GRACE));
        }
        self.transport.open();
        self.settle(&Ok(()), out)
    }

    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow {
        let result = match self.phase {
            Phase::Ended => Err(Fatal::Close),
            _ => self.transport.push(bytes).and_then(|()| self.pump(now)),
        };
        self.settle(&result, out)
    }

    fn deadline(&self) -> Option<Timestamp> {
        let grace = match &self.phase {
            Phase::Authentication { until, .. } => *until,
            Phase::Connection(_) | Phase::Ended => None,
        };
        let decided = self.decided.as_ref().map(|(at, _)| *at);
        grace.into_iter().chain(decided).min()
    }

    fn expire(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        if let Phase::Authentication { until: Some(until), .. } = self.phase
            && now >= until
        {
            return self.settle(&Err(Fatal::Close), out);
        }
        let result = match self.decided.take_if(|(at, _)| now >= *at) {
            Some((_, verdict)) => self.decide(now, verdict).and_then(|()| self.pump(now)),
            None => Ok(()),
        };
        self.settle(&result, out)
    }

    fn finished(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        if let Phase::Connection(connection) = &mut self.phase {
            connection.gone(now, &mut self.facts);
        }
        self.settle(&Err(Fatal::Close), out)
    }
}

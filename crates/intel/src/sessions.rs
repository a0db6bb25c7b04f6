//! A session's row from its first fact to its last.

use model::{AttackerId, Payload, Session, SessionEnded, SessionEvent, SessionFact, Truncation};

/// The row of a session of which `event` is the first fact that came.
pub(crate) fn begun(event: &SessionEvent, attacker_id: AttackerId, peer: String) -> Session {
    Session {
        id: event.session_id,
        attacker_id,
        decky_id: event.decky_id,
        topology_id: event.topology_id,
        lan_id: event.lan_id,
        service: event.service,
        peer,
        started_at: event.at,
        ended_at: None,
        bytes_in: 0,
        bytes_out: 0,
        logins: 0,
        commands: 0,
        requests: 0,
        uploads: 0,
        truncated: None,
        next_index: 0,
    }
}

/// Counts a new fact. Facts that are missing before it are noted: the record is incomplete.
pub(crate) fn count(session: &mut Session, event: &SessionEvent) {
    if event.index > session.next_index && session.truncated.is_none() {
        session.truncated = Some(Truncation::Facts);
    }
    session.next_index = event.index.saturating_add(1);
    match &event.fact {
        SessionFact::Started | SessionFact::Fingerprint { .. } => {}
        SessionFact::Login { .. } => session.logins += 1,
        SessionFact::Command { .. } => session.commands += 1,
        SessionFact::Request { .. } => session.requests += 1,
        SessionFact::Upload { .. } => session.uploads += 1,
        SessionFact::Ended { bytes_in, bytes_out, truncated } => {
            session.ended_at = Some(event.at);
            session.bytes_in = *bytes_in;
            session.bytes_out = *bytes_out;
            session.truncated = truncated.or(session.truncated);
        }
    }
}

/// What is said of a session that has ended; its end is its start where it has none.
pub(crate) fn ended(session: &Session) -> Payload {
    Payload::SessionEnded(SessionEnded {
        session_id: session.id,
        attacker_id: session.attacker_id,
        decky_id: session.decky_id,
        topology_id: session.topology_id,
        service: session.service,
        started_at: session.started_at,
        ended_at: session.ended_at.unwrap_or(session.started_at),
        bytes_in: session.bytes_in,
        bytes_out: session.bytes_out,
        logins: session.logins,
        commands: session.commands,
        requests: session.requests,
        truncated: session.truncated,
    })
}

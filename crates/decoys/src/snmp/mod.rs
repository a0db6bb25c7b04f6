//! SNMP v1 and v2c: the agent of a Debian 12 server (Net-SNMP 5.9.3), or of a network printer.
//!
//! A session is what one source address and port asks of one decky. It keeps nothing but the last
//! community, so the order of datagrams does not matter. As real agents do, it answers neither
//! unknown communities nor what is malformed, and nothing that it says can be changed: communities
//! only read. It must not know how much may be sent to whom; it only keeps each answer small
//! (`agent::MAX_ANSWER_BYTES`).
//!
//! What is answered to odd messages was recorded from snmpd 5.9.3 of Debian 12.

mod agent;
mod ber;
mod device;
mod message;
mod oid;
#[cfg(test)]
mod tests;
mod tree;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use model::{Persona, SessionFact, Timestamp, escape_text};

pub(crate) use self::device::{contact, place};
use self::{
    device::Device,
    message::{Binding, Kind, Refused, Request},
};
use crate::{Answers, DatagramSession};

/// Most variables of a request that are told.
const MAX_TOLD: usize = 8;

/// Longest value of a variable that is told, in bytes.
const MAX_TOLD_VALUE_BYTES: usize = 128;

/// How many bytes of something malformed are told.
const MAX_TOLD_BYTES: usize = 64;

/// Second communities that administrators choose.
const COMMUNITIES: &[&str] =
    &["monitor", "monitoring", "snmp", "cacti", "zabbix", "nagios", "readonly", "internal"];

/// The communities that this persona answers: `public`, and with every other one a second.
pub fn communities(persona: &Persona) -> Vec<&'static str> {
    let second = persona.draw("snmp.community", 2 * COMMUNITIES.len() as u64);
    let second = COMMUNITIES.get(second as usize).copied();
    std::iter::once("public").chain(second).collect()
}

/// One source's questions to one decky.
pub struct SnmpSession {
    device: Device,
    communities: Vec<&'static str>,
    /// The community of the datagram before.
    last_community: Option<Vec<u8>>,
}

impl SnmpSession {
    /// An agent of this persona at `local`.
    pub fn new(persona: Arc<Persona>, local: SocketAddr, peer: SocketAddr) -> Self {
        let communities = communities(&persona);
        let device = Device::new(persona, local.ip(), peer.ip());
        Self { device, communities, last_community: None }
    }

    /// Whether the community is one of ours; tells of it where it is another than before.
    fn admits(&mut self, community: &[u8], answers: &mut Answers) -> bool {
        let accepted = self.communities.iter().any(|known| known.as_bytes() == community);
        if self.last_community.as_deref() != Some(community) {
            answers.record(SessionFact::Login {
                principal: String::new(),
                secret: escape_text(community),
                method: "community".into(),
                accepted,
            });
            self.last_community = Some(community.to_vec());
        }
        accepted
    }
}

impl DatagramSession for SnmpSession {
    fn receive(&mut self, now: Timestamp, datagram: &[u8], answers: &mut Answers) {
        let request = match Request::read(datagram) {
            Ok(request) => request,
            Err(refused) => {
                let text = refusal(refused, datagram);
                return answers.record(SessionFact::Request { text });
            }
        };
        let is_admitted = self.admits(request.community, answers);
        answers.record(SessionFact::Request { text: told(&request) });
        if is_admitted {
            let tree = self.device.tree(now);
            answers.send(agent::answer(&request, datagram.len(), &tree));
        }
    }
}

fn refusal(refused: Refused, datagram: &[u8]) -> String {
    match refused {
        Refused::V3 => "v3 message".into(),
        Refused::Malformed => {
            let start = &datagram[..datagram.len().min(MAX_TOLD_BYTES)];
            format!("no SNMP request: {}", escape_text(start))
        }
    }
}

/// A request in one line: `v2c get-bulk 0/10 1.3.6.1.2.1.1`.
fn told(request: &Request<'_>) -> String {
    let mut text = format!("{} ", request.version.as_str());
    text.push_str(match request.kind {
        Kind::Get => "get",
        Kind::GetNext => "get-next",
        Kind::GetBulk { .. } => "get-bulk",
        Kind::Set => "set",
    });
    if let Kind::GetBulk { once, repeat } = request.kind {
        write!(text, " {once}/{repeat}").expect("a String takes all that is written");
    }
    for binding in request.bindings.iter().take(MAX_TOLD) {
        write!(text, " {}", binding.oid).expect("a String takes all that is written");
        if request.kind == Kind::Set {
            text.push_str(&told_value(binding));
        }
    }
    if let Some(more) = request.bindings.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        write!(text, " and {more} more").expect("a String takes all that is written");
    }
    // Identifiers can be long: the bound of all texts holds here too.
    match text.len() > model::MAX_TEXT_BYTES {
        true => escape_text(text.as_bytes()),
        false => text,
    }
}

fn told_value(binding: &Binding<'_>) -> String {
    let (tag, bytes) = binding.value;
    let bytes = &bytes[..bytes.len().min(MAX_TOLD_VALUE_BYTES)];
    match tag {
        ber::OCTETS => format!("=\"{}\"", escape_text(bytes)),
        _ => bytes.iter().fold(format!("={tag:02x}:"), |text, byte| format!("{text}{byte:02x}")),
    }
}

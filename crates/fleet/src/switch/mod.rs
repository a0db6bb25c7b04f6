//! The layer-2 switch in which a decky is a row: frames in, frames out, in place.
//!
//! It stands between real segments (uplinks) and namespaces in which a kernel answers for many
//! machines (classes), and is the one place that knows each machine. It answers ARP, pings and
//! closed ports itself; a TCP connection or a datagram to an open port goes to the class, with
//! addresses translated and everything rewritten that would give the kernel away. Nothing leaves a
//! class but answers: to connections that a visitor opened, to datagrams that a visitor sent.
//!
//! Pure: frames and the time in, frames out. It must not know descriptors, namespaces, stores or
//! protocols above TCP and UDP. All input is hostile: nothing here panics, and every table is bounded.

mod allowance;
mod answer;
mod counters;
mod datagram;
mod flow;
mod frame;
mod guests;
mod neighbours;
mod personality;
mod route;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use std::net::Ipv4Addr;

pub use counters::{Count, Counters};
pub use flow::{MAX_EXCHANGES, MAX_FLOWS};
pub use frame::{Frame, MAX_FRAME, Mac, Offload, VNET_LEN};
pub use guests::{Guest, Guests, MAX_GUESTS};
pub use neighbours::Contested;
pub use personality::{
    Echoed, IcmpStyle, IpId, IpStyle, IsnStyle, Kernel, Personalities, Personality,
    PersonalityError, PersonalityId, Reorder, ResetAck, Stray, TcpStyle,
};
pub use table::{
    ClassId, Interface, MAX_PORTS, MAX_SLOTS, MachineId, MachineRow, Ports, Refusal, Segment, Slot,
    Update, UplinkId,
};

use self::{
    allowance::Allowances,
    answer::Voice,
    flow::{Flow, Flows, Key, Seen, Way},
    frame::{ACK, FIN, ICMP, Ip, RST, SYN, TCP, Tcp, UDP},
    neighbours::Neighbours,
    route::{Route, Routes},
    table::{Table, Wire},
};

/// Our end of the link to a namespace; nobody outside ever sees it.
pub const GATEWAY_MAC: Mac = Mac([0x02, 0x6d, 0x67, 0, 0, 2]);
/// The namespace's end of it.
pub const CLASS_MAC: Mac = Mac([0x02, 0x6d, 0x67, 0, 0, 1]);

/// Where a frame comes from, or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Side {
    /// A real segment.
    Uplink(UplinkId),
    /// A namespace.
    Class(ClassId),
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Drop,
    /// It is sent there, as it is now.
    Send(Side),
}

/// What a decky says about its address unasked (RFC 5227).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saying {
    /// Does another have it, too?
    Question,
    /// It has it, with this hardware address.
    Announcement,
}

/// Why a frame goes nowhere: what is counted.
type Outcome = Result<Side, Count>;

/// The switch. One thread has it; nothing in it is shared but who is expected.
#[derive(Debug)]
pub struct Switch {
    table: Table,
    flows: Flows,
    /// What visitors asked by datagrams.
    exchanges: Flows,
    routes: Routes,
    personalities: Personalities,
    guests: Guests,
    neighbours: Neighbours,
    errors: Allowances,
    counters: Counters,
    /// When it was last told the time.
    now: u64,
}

impl Switch {
    /// Without any machine. The seed is secret: it keeps visitors from choosing collisions.
    pub fn new(personalities: Personalities, seed: u64) -> Self {
        Self::with_flow_limit(personalities, seed, MAX_FLOWS)
    }

    /// Like [`Switch::new`], with another limit for connections, and for exchanges of datagrams
    /// where it is the lower one.
    pub fn with_flow_limit(personalities: Personalities, seed: u64, flows: usize) -> Self {
        Self {
            table: Table::new(seed),
            flows: Flows::new(flows, seed.rotate_left(17)),
            exchanges: Flows::new(flows.min(MAX_EXCHANGES), seed.rotate_left(31)),
            routes: Routes::default(),
            personalities,
            guests: Guests::default(),
            neighbours: Neighbours::new(seed.rotate_left(47)),
            errors: Allowances::new(seed),
            counters: Counters::default(),
            now: 0,
        }
    }

    /// The same, which lets through to closed ports whom these guests are.
    pub fn expecting(self, guests: Guests) -> Self {
        Self { guests, ..self }
    }

    /// Changes the table. Frames that come after see the change.
    ///
    /// # Errors
    /// Where the change does not fit; nothing changed then.
    pub fn apply(&mut self, update: Update) -> Result<(), Refusal> {
        let keeps_ways = matches!(update, Update::SetPorts { .. });
        let applied = self.table.apply(update);
        let table = &self.table;
        self.neighbours.keep_contests(|(uplink, address)| {
            table.at_address(Wire::Uplink(uplink), address).is_some()
        });
        if !keeps_ways {
            self.routes.forget();
        }
        applied
    }

    /// What it did so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts something that happened outside.
    pub fn count(&mut self, what: Count, by: u64) {
        self.counters.add(what, by);
    }

    /// How many connections are known.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// The real host that was heard of at an address in the last minutes, by chance.
    pub fn neighbour(&self, uplink: UplinkId, address: Ipv4Addr) -> Option<Mac> {
        self.neighbours.heard((uplink, address), self.now)
    }

    /// From now on an answer from this address is kept, whatever else is heard, until
    /// [`Switch::take_answer`]; what was heard before does not count.
    pub fn ask(&mut self, uplink: UplinkId, address: Ipv4Addr) {
        self.neighbours.ask((uplink, address));
    }

    /// The real host that answered since [`Switch::ask`].
    pub fn take_answer(&mut self, uplink: UplinkId, address: Ipv4Addr) -> Option<Mac> {
        self.neighbours.take_answer((uplink, address))
    }

    /// The addresses of deckies on an uplink.
    pub fn standing(&self, uplink: UplinkId) -> Vec<Ipv4Addr> {
        self.table.addresses_on(Wire::Uplink(uplink)).collect()
    }

    /// Which real hosts came to addresses of deckies and left them since this was called last.
    pub fn take_contested(&mut self) -> Vec<Contested> {
        self.neighbours.take_news()
    }

    /// Contested addresses at which the real host is to be asked for again. To be called now and
    /// then; a host that was silent for a minute is gone.
    pub fn due_questions(&mut self) -> Vec<(UplinkId, Ipv4Addr)> {
        self.neighbours.due(self.now)
    }

    /// Makes the frame by which a decky says something about its address; whether it has it.
    pub fn say(
        &self,
        saying: Saying,
        frame: &mut Frame,
        uplink: UplinkId,
        address: Ipv4Addr,
    ) -> bool {
        let slot = self.table.at_address(Wire::Uplink(uplink), address);
        let Some(port) = slot.and_then(|slot| self.table.port(slot)) else { return false };
        match saying {
            Saying::Question => answer::arp_probe(frame, port.mac, address),
            Saying::Announcement if self.neighbours.is_contested((uplink, address)) => {
                return false;
            }
            Saying::Announcement => answer::arp_announcement(frame, port.mac, address),
        }
        true
    }

    /// Makes the frame that asks whether a real host has the address (RFC 5227).
    pub fn probe(frame: &mut Frame, mac: Mac, address: Ipv4Addr) {
        answer::arp_probe(frame, mac, address);
    }

    /// Forgets old connections, a few at a time. To be called now and then; `now` is in
    /// milliseconds, from any beginning.
    pub fn tick(&mut self, now: u64) {
        /// A table that is full is gone through in some 4 s at 100 ticks a second.
        const BUDGET: usize = 1024;
        self.now = now;
        self.flows.sweep(now, BUDGET);
        self.exchanges.sweep(now, BUDGET);
    }

    /// Takes a frame and says what becomes of it. It is rewritten in place.
    pub fn receive(&mut self, from: Side, frame: &mut Frame, now: u64) -> Verdict {
        let outcome = match from {
            Side::Uplink(uplink) => {
                self.counters.add(Count::UplinkFrames, 1);
                self.take_uplink(uplink, frame, now)
            }
            Side::Class(class) => {
                self.counters.add(Count::ClassFrames, 1);
                self.take_class(class, frame, now)
            }
        };
        match outcome {
            Ok(side) => {
                self.counters.add(Count::Sent, 1);
                Verdict::Send(side)
            }
            Err(why) => {
                self.counters.add(why, 1);
                Verdict::Drop
            }
        }
    }

    fn take_uplink(&mut self, uplink: UplinkId, frame: &mut Frame, now: u64) -> Outcome {
        if frame.source_mac().is_group() {
            return Err(Count::Malformed);
        }
        match wire::be16(frame.bytes(), 12) {
            0x0806 => self.arp(uplink, frame),
            0x0800 => self.ip(uplink, frame, now),
            _ => Err(Count::Ignored),
        }
    }

    fn arp(&mut self, uplink: UplinkId, frame: &mut Frame) -> Outcome {
        let arp = answer::arp(frame.bytes()).ok_or(Count::Malformed)?;
        let wire = Wire::Uplink(uplink);
        self.hear_of(uplink, arp.sender, arp.sender_mac)?;
        let asked = if arp.is_request { self.table.at_address(wire, arp.target) } else { None };
        let port = asked.and_then(|slot| self.table.port(slot)).ok_or(Count::Ignored)?;
        let to = frame.target_mac();
        let is_given_up = self.neighbours.is_contested((uplink, arp.target));
        if is_given_up || (!to.is_group() && to != port.mac) {
            return Err(Count::Ignored);
        }
        answer::arp_reply(frame, arp, port.mac);
        self.counters.add(Count::ArpAnswers, 1);
        Ok(Side::Uplink(uplink))
    }

    /// Remembers a real host; an error where it has the address of a decky, which gives it up
    /// then (RFC 5227, 2.4 a).
    fn hear_of(&mut self, uplink: UplinkId, address: Ipv4Addr, mac: Mac) -> Result<(), Count> {
        if address.is_unspecified() {
            return Ok(());
        }
        let ours = self.table.at_address(Wire::Uplink(uplink), address);
        if let Some(port) = ours.and_then(|slot| self.table.port(slot)) {
            if port.mac == mac {
                return Err(Count::Ignored);
            }
            self.neighbours.contest((uplink, address), mac, self.now);
            return Err(Count::AddressConflicts);
        }
        let place = (uplink, address);
        self.neighbours.answer(place, mac);
        if self.table.is_on(Wire::Uplink(uplink), address) {
            self.neighbours.hear(place, mac, self.now);
        }
        Ok(())
    }

    fn ip(&mut self, uplink: UplinkId, frame: &mut Frame, now: u64) -> Outcome {
        let to = frame.target_mac();
        let wire = Wire::Uplink(uplink);
        // Before anything else is looked at: most frames of a busy segment are for others.
        let target = wire::array(frame.bytes(), 30).map(Ipv4Addr::from);
        let direct = target.and_then(|target| self.table.at_address(wire, target));
        let has_mac = |slot: &Slot| self.table.port(*slot).is_some_and(|port| port.mac == to);
        let direct = direct.filter(has_mac);
        let routers = match direct {
            Some(_) => &[],
            None => self.table.routers(wire, to),
        };
        if direct.is_none() && routers.is_empty() {
            return Err(Count::Ignored);
        }
        let ip = frame::ip(frame.bytes()).ok_or(Count::Malformed)?;
        if !is_plausible(ip.source) || self.table.at_address(wire, ip.source).is_some() {
            return Err(Count::Malformed);
        }
        let mut way = Way { uplink, peer_mac: frame.source_mac(), our_mac: to, hops: 0 };
        if let Some(slot) = direct {
            return self.deliver(slot, way, frame, ip, now);
        }
        // Machines that share a hardware address stand for each other: the first that has a way.
        let routes = &mut self.routes;
        let way_from = |slot: &Slot| routes.find(&self.table, *slot, ip.target);
        let route = routers.iter().find_map(way_from).ok_or(Count::Unroutable)?;
        let target = self.forward(&route, &mut way, frame, ip, now)?;
        let Some(target) = target else { return Ok(Side::Uplink(uplink)) };
        let ip = frame::ip(frame.bytes()).ok_or(Count::Malformed)?;
        self.deliver(target, way, frame, ip, now)
    }

    /// Takes a packet over forwarding deckies: to the target, or the frame has become the answer
    /// of the decky at which its time ended.
    fn forward(
        &mut self,
        route: &Route,
        way: &mut Way,
        frame: &mut Frame,
        ip: Ip,
        now: u64,
    ) -> Result<Option<Slot>, Count> {
        let last = usize::from(ip.ttl.saturating_sub(1));
        if let Some(slot) = route.hops.get(last).copied() {
            way.hops = last as u8;
            // An error is never answered with another, nor is a part of a packet but its first
            // (RFC 1122, 3.2.2).
            let is_error = ip.protocol == ICMP && wire::byte(frame.bytes(), ip.l4) != 8;
            if is_error || ip.offset > 0 || !self.errors.may(ip.source, now) {
                return Err(Count::Expired);
            }
            let (mut voice, icmp) = self.voice(slot, way.hops).ok_or(Count::Unroutable)?;
            voice.tos = icmp.error_tos;
            answer::error(frame, ip, (11, 0), voice, *way);
            self.counters.add(Count::Expired, 1);
            return Ok(None);
        }
        way.hops = route.hops.len() as u8;
        let target = route.target.ok_or(Count::Unroutable)?;
        shape::age(frame.bytes_mut(), ip, way.hops);
        self.counters.add(Count::Forwarded, 1);
        Ok(Some(target))
    }

    /// How an ICMP message of the machine looks after so many hops.
    fn voice(&mut self, slot: Slot, hops: u8) -> Option<(Voice, IcmpStyle)> {
        let port = *self.table.port(slot)?;
        let machine = self.table.machine_mut(port.machine)?;
        let style = self.personalities.get(machine.manner.personality);
        let ttl = style.ip.ttl.saturating_sub(hops);
        let voice = Voice { address: port.address, ttl, id: machine.next_ip_id(1), tos: 0 };
        Some((voice, style.icmp))
    }

    fn deliver(&mut self, slot: Slot, way: Way, frame: &mut Frame, ip: Ip, now: u64) -> Outcome {
        if ip.is_fragment {
            return Err(Count::Fragments);
        }
        // A kernel answers some of them with the address that only it knows.
        if ip.l4 != frame::ETHERNET + 20 {
            return Err(Count::Options);
        }
        match ip.protocol {
            TCP => self.tcp(slot, way, frame, ip, now),
            ICMP => self.icmp(slot, way, frame, ip, now),
            UDP => self.udp(slot, way, frame, ip, now),
            _ => Err(Count::Ignored),
        }
    }

    fn icmp(&mut self, slot: Slot, way: Way, frame: &mut Frame, ip: Ip, now: u64) -> Outcome {
        let bytes = frame.bytes();
        if wire::byte(bytes, ip.l4) != 8 {
            return self.icmp_error(slot, frame, ip, now);
        }
        let message = bytes.get(ip.l4..ip.end).unwrap_or_default();
        let is_sound = message.len() >= 8 && wire::checksum(message, 0) == 0;
        if !is_sound {
            return Err(Count::Malformed);
        }
        let tos = wire::byte(bytes, frame::ETHERNET + 1);
        let (mut voice, style) = self.voice(slot, way.hops).ok_or(Count::Ignored)?;
        voice.tos = if style.echo_tos == Echoed::Kept { tos } else { 0 };
        answer::echo_reply(frame, ip, voice, style.echo_code == Echoed::Kept, way);
        self.counters.add(Count::EchoAnswers, 1);
        Ok(Side::Uplink(way.uplink))
    }

    /// An error about a connection is the kernel's business; all others are nobody's.
    fn icmp_error(&mut self, slot: Slot, frame: &mut Frame, ip: Ip, now: u64) -> Outcome {
        let (inner, port, peer_port) = shape::quoted(frame.bytes(), ip).ok_or(Count::Ignored)?;
        let key = Key { slot, port, peer: inner.target, peer_port };
        let flow = self.flows.get(key, now).ok_or(Count::Ignored)?;
        shape::inbound_error(frame.bytes_mut(), ip, inner, flow);
        frame.clear_header();
        let class = flow.who.class;
        frame.set_macs(CLASS_MAC, GATEWAY_MAC);
        Ok(Side::Class(class))
    }

    fn tcp(&mut self, slot: Slot, way: Way, frame: &mut Frame, ip: Ip, now: u64) -> Outcome {
        let tcp = frame::tcp(frame.bytes(), ip).ok_or(Count::Malformed)?;
        let (port, peer, peer_port) = (tcp.target_port, ip.source, tcp.source_port);
        let key = Key { slot, port, peer, peer_port };
        let place = self.table.port(slot).ok_or(Count::Ignored)?;
        let machine = self.table.machine(place.machine).ok_or(Count::Ignored)?;
        let manner = machine.manner;
        let is_syn = tcp.flags & (SYN | ACK | RST | FIN) == SYN;
        let is_expected = || is_syn && self.guests.expects(slot, port, peer);
        let is_open = machine.has_tcp(port) || is_expected();
        let known = self.flows.get(key, now).filter(|flow| flow.who.serial == manner.serial);
        match known {
            // A port that closed meanwhile answers no new SYN, of an old connection's ends either.
            Some(flow) if is_open || !is_syn => {
                let is_intact = || ip.is_intact(frame.bytes(), frame.offload());
                flow.note_peer(seen(ip, tcp), way, now, is_intact);
                Ok(to_class(frame, ip, tcp, flow))
            }
            None if is_open && is_syn => {
                let flow = Flow::new(key, manner, way, now);
                if !self.flows.open(flow, now) {
                    return Err(Count::FlowsRefused);
                }
                self.counters.add(Count::Flows, 1);
                Ok(to_class(frame, ip, tcp, &flow))
            }
            _ => self.refuse(slot, way, frame, (ip, tcp), is_open),
        }
    }

    /// A segment that belongs to no connection gets what the personality gives it.
    fn refuse(
        &mut self,
        slot: Slot,
        way: Way,
        frame: &mut Frame,
        (ip, tcp): (Ip, Tcp),
        is_open: bool,
    ) -> Outcome {
        let port = *self.table.port(slot).ok_or(Count::Ignored)?;
        let machine = self.table.machine_mut(port.machine).ok_or(Count::Ignored)?;
        let style = self.personalities.get(machine.manner.personality);
        let is_stray = is_open && tcp.flags & ACK == 0 && style.tcp.stray == Stray::Ignore;
        if tcp.flags & RST != 0 || is_stray {
            return Err(Count::Strays);
        }
        if !ip.is_intact(frame.bytes(), frame.offload()) {
            return Err(Count::Malformed);
        }
        let id = match style.ip.id {
            IpId::Kernel => 0,
            IpId::Counter => machine.next_ip_id(1),
        };
        let ttl = style.ip.ttl.saturating_sub(way.hops);
        let voice = Voice { address: port.address, ttl, id, tos: 0 };
        let other_ack = style.tcp.reset_ack == ResetAck::Other;
        answer::reset(frame, (ip, tcp), voice, other_ack, way);
        self.counters.add(Count::Resets, 1);
        Ok(Side::Uplink(way.uplink))
    }

    /// Out go only answers.
    fn take_class(&mut self, class: ClassId, frame: &mut Frame, now: u64) -> Outcome {
        let ip = frame::ip(frame.bytes()).ok_or(Count::EgressDenied)?;
        match ip.protocol {
            _ if ip.is_fragment || ip.l4 != frame::ETHERNET + 20 => Err(Count::EgressDenied),
            TCP => self.take_segment(class, frame, ip, now),
            UDP => self.take_datagram(class, frame, ip, now),
            _ => Err(Count::EgressDenied),
        }
    }

    /// Only segments of connections that a visitor opened, never one that opens another.
    fn take_segment(&mut self, class: ClassId, frame: &mut Frame, ip: Ip, now: u64) -> Outcome {
        const DENIED: Count = Count::EgressDenied;
        let tcp = frame::tcp(frame.bytes(), ip).ok_or(DENIED)?;
        let slot = Slot::of_inside(ip.source).ok_or(DENIED)?;
        let port = *self.table.port(slot).ok_or(DENIED)?;
        let machine = self.table.machine_mut(port.machine).ok_or(DENIED)?;
        let key = Key { slot, port: tcp.source_port, peer: ip.target, peer_port: tcp.target_port };
        let flow = self.flows.get(key, now).ok_or(DENIED)?;
        let is_its = flow.who.serial == machine.manner.serial && flow.who.class == class;
        if !is_its || tcp.flags & (SYN | ACK) == SYN {
            return Err(DENIED);
        }
        let style = self.personalities.get(flow.who.personality);
        if tcp.flags & SYN != 0 && flow.kernel_isn != Some(tcp.seq) {
            let wanted = style.tcp.isn.as_ref().map(|isn| machine.next_isn(isn));
            flow.begin(tcp.seq, wanted.map_or(0, |isn| isn.wrapping_sub(tcp.seq)));
        }
        flow.note_kernel(seen(ip, tcp), now);
        let offload = frame.offload();
        let payload = ip.end - tcp.payload;
        let packets = match usize::from(offload.segment) {
            0 => 1,
            segment => payload.div_ceil(segment).max(1) as u16,
        };
        let bytes = frame.bytes_mut();
        shape::number(bytes, style.ip.id, || machine.next_ip_id(packets));
        shape::outbound(bytes, (ip, tcp), flow, style, port.address, offload.partial);
        let way = flow.way;
        frame.set_macs(way.peer_mac, way.our_mac);
        Ok(Side::Uplink(way.uplink))
    }
}

fn seen(ip: Ip, tcp: Tcp) -> Seen {
    Seen { tcp, data: (ip.end - tcp.payload) as u32 }
}

fn to_class(frame: &mut Frame, ip: Ip, tcp: Tcp, flow: &Flow) -> Side {
    let partial = frame.offload().partial;
    shape::inbound(frame.bytes_mut(), ip, tcp, flow, partial);
    frame.set_macs(CLASS_MAC, GATEWAY_MAC);
    Side::Class(flow.who.class)
}

/// Whether anybody can have this address: not a group's, not our side's, not of this machine.
fn is_plausible(source: Ipv4Addr) -> bool {
    let [first, ..] = source.octets();
    let ours = [Ipv4Addr::new(169, 254, 1, 1), Ipv4Addr::new(169, 254, 1, 2)];
    first != 0 && first != 127 && first < 224 && !ours.contains(&source)
}

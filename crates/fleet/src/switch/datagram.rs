//! UDP through the switch. A visitor's datagram to an open port goes to the class and is remembered
//! for a while; what the class sends goes out only where it answers such a one. What answering
//! costs is not limited here: that is for whoever answers, who knows what a session may.

use super::{
    CLASS_MAC, ClassId, Count, Frame, GATEWAY_MAC, Outcome, Side, Slot, Switch, answer,
    flow::{Flow, Key, Way},
    frame::{self, Ip},
    shape,
};

impl Switch {
    /// A visitor's datagram. One that segmentation is still to cut into many came over no wire.
    pub(super) fn udp(
        &mut self,
        slot: Slot,
        way: Way,
        frame: &mut Frame,
        ip: Ip,
        now: u64,
    ) -> Outcome {
        let udp = frame::udp(frame.bytes(), ip).ok_or(Count::Malformed)?;
        let offload = frame.offload();
        if offload.segment != 0 || !ip.is_intact(frame.bytes(), offload) {
            return Err(Count::Malformed);
        }
        let place = self.table.port(slot).ok_or(Count::Ignored)?;
        let machine = self.table.machine(place.machine).ok_or(Count::Ignored)?;
        if !machine.has_udp(udp.target_port) {
            return self.unreachable(slot, way, frame, ip, now);
        }
        let (port, peer, peer_port) = (udp.target_port, ip.source, udp.source_port);
        let who = machine.manner;
        let asked = Flow::asked(Key { slot, port, peer, peer_port }, who, way, now);
        if !self.exchanges.open(asked, now) {
            return Err(Count::FlowsRefused);
        }
        self.counters.add(Count::Datagrams, 1);
        shape::inbound_datagram(frame.bytes_mut(), ip, slot.inside(), offload.partial);
        frame.set_macs(CLASS_MAC, GATEWAY_MAC);
        Ok(Side::Class(who.class))
    }

    /// The port is closed: said so as often as the personality does.
    fn unreachable(
        &mut self,
        slot: Slot,
        way: Way,
        frame: &mut Frame,
        ip: Ip,
        now: u64,
    ) -> Outcome {
        let place = self.table.port(slot).ok_or(Count::Ignored)?;
        let machine = self.table.machine_mut(place.machine).ok_or(Count::Ignored)?;
        let icmp = self.personalities.get(machine.manner.personality).icmp;
        let may = machine.may_refuse(icmp.unreachable_every_ms, icmp.unreachable_burst, now);
        if !may || !self.errors.may(ip.source, now) {
            return Err(Count::Strays);
        }
        let (mut voice, _) = self.voice(slot, way.hops).ok_or(Count::Ignored)?;
        voice.tos = icmp.error_tos;
        answer::error(frame, ip, (3, 3), voice, way);
        self.counters.add(Count::Unreachables, 1);
        Ok(Side::Uplink(way.uplink))
    }

    /// A class's datagram: only to who asked, from where it was asked.
    pub(super) fn take_datagram(
        &mut self,
        class: ClassId,
        frame: &mut Frame,
        ip: Ip,
        now: u64,
    ) -> Outcome {
        const DENIED: Count = Count::EgressDenied;
        let udp = frame::udp(frame.bytes(), ip).ok_or(DENIED)?;
        let slot = Slot::of_inside(ip.source).ok_or(DENIED)?;
        let place = *self.table.port(slot).ok_or(DENIED)?;
        let machine = self.table.machine_mut(place.machine).ok_or(DENIED)?;
        let (port, peer, peer_port) = (udp.source_port, ip.target, udp.target_port);
        let asked = self.exchanges.get(Key { slot, port, peer, peer_port }, now).ok_or(DENIED)?;
        let offload = frame.offload();
        let is_its = asked.who.serial == machine.manner.serial && asked.who.class == class;
        if !is_its || offload.segment != 0 {
            return Err(DENIED);
        }
        let way = asked.way;
        let style = self.personalities.get(asked.who.personality);
        let ttl = style.ip.ttl.saturating_sub(way.hops);
        let bytes = frame.bytes_mut();
        shape::number(bytes, style.ip.id, || machine.next_ip_id(1));
        shape::outbound_datagram(bytes, ip, (place.address, ttl), offload.partial);
        frame.set_macs(way.peer_mac, way.our_mac);
        Ok(Side::Uplink(way.uplink))
    }
}

//! UDP: what is let through, what is answered, and what is denied.

use super::*;

/// A datagram in a frame, with a right checksum.
#[derive(Clone, Copy)]
struct Datagram<'a> {
    macs: (Mac, Mac),
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    data: &'a [u8],
}

impl Datagram<'_> {
    fn frame(&self) -> Frame {
        let mut bytes = vec![0; 42];
        put(&mut bytes, 0, &self.macs.0.0);
        put(&mut bytes, 6, &self.macs.1.0);
        put(&mut bytes, 12, &[8, 0]);
        bytes.extend_from_slice(self.data);
        let length = (8 + self.data.len()) as u16;
        let header = NewIp {
            tos: 0,
            total: 20 + length,
            id: 77,
            dont_fragment: true,
            ttl: 61,
            protocol: UDP,
            source: self.from.0,
            target: self.to.0,
        };
        frame::write_ip(&mut bytes, header);
        put(&mut bytes, 34, &self.from.1.to_be_bytes());
        put(&mut bytes, 36, &self.to.1.to_be_bytes());
        put(&mut bytes, 38, &length.to_be_bytes());
        let pseudo = frame::ip(&bytes).unwrap().pseudo_sum();
        let right = match checksum(&bytes[34..], pseudo) {
            0 => 0xffff,
            sum => sum,
        };
        put(&mut bytes, 40, &right.to_be_bytes());
        Frame::from_bytes(&bytes)
    }
}

fn question(to: [u8; 4], port: u16) -> Datagram<'static> {
    let to_mac = mac(u32::from(to[3]) * 10);
    let (from, to) = ((VISITOR_IP, 40_000), (to.into(), port));
    Datagram { macs: (to_mac, VISITOR), from, to, data: b"who are you?" }
}

fn reply(slot: u32, port: u16) -> Datagram<'static> {
    let (from, to) = ((Slot(slot).inside(), port), (VISITOR_IP, 40_000));
    Datagram { macs: (GATEWAY_MAC, CLASS_MAC), from, to, data: b"nobody" }
}

fn pass(switch: &mut Switch, from: Side, datagram: Datagram<'_>, now: u64) -> (Verdict, Frame) {
    let mut frame = datagram.frame();
    let verdict = switch.receive(from, &mut frame, now);
    if verdict != Verdict::Drop {
        sound(&frame);
    }
    (verdict, frame)
}

#[test]
fn a_question_goes_in_and_its_answer_comes_out() {
    let mut switch = maze();
    for (id, class, ttl) in [(1, LINUX, 64), (2, WINDOWS, 128)] {
        let (verdict, frame) = pass(&mut switch, UP, question([10, 0, 0, id], 161), 0);
        assert_eq!(verdict, Verdict::Send(class));
        let slot = u32::from(id) * 10;
        let (ip, _) = sound(&frame);
        assert_eq!((ip.source, ip.target), (VISITOR_IP, Slot(slot).inside()));
        assert_eq!((frame.target_mac(), frame.source_mac()), (CLASS_MAC, GATEWAY_MAC));
        assert_eq!(&frame.bytes()[42..], b"who are you?");
        let (verdict, frame) = pass(&mut switch, class, reply(slot, 161), 20);
        assert_eq!(verdict, Verdict::Send(UP));
        let (ip, _) = sound(&frame);
        assert_eq!((ip.source, ip.target), ([10, 0, 0, id].into(), VISITOR_IP));
        assert_eq!((frame.target_mac(), frame.source_mac(), ip.ttl), (VISITOR, mac(slot), ttl));
        assert_eq!(&frame.bytes()[42..], b"nobody");
    }
    assert_eq!(switch.counters().get(Count::Datagrams), 2);
    assert_eq!(switch.flows(), 0, "no connection");
}

#[test]
fn over_forwarding_deckies_too() {
    let mut switch = maze();
    let mut far = question([10, 2, 0, 5], 161);
    far.macs.0 = mac(30);
    assert_eq!(pass(&mut switch, UP, far, 0).0, Verdict::Send(LINUX));
    let (verdict, frame) = pass(&mut switch, LINUX, reply(50, 161), 0);
    assert_eq!((verdict, sound(&frame).0.ttl), (Verdict::Send(UP), 62));
    assert_eq!(frame.source_mac(), mac(30));
}

#[test]
fn what_answers_nobody_stays_in() {
    let mut switch = maze();
    let denied = |switch: &mut Switch, from: Side, datagram: Datagram<'_>, now: u64| {
        let before = switch.counters().get(Count::EgressDenied);
        assert_eq!(pass(switch, from, datagram, now).0, Verdict::Drop);
        assert_eq!(switch.counters().get(Count::EgressDenied), before + 1);
    };
    denied(&mut switch, LINUX, reply(10, 161), 0);
    pass(&mut switch, UP, question([10, 0, 0, 1], 161), 0);
    assert_eq!(pass(&mut switch, LINUX, reply(10, 161), 0).0, Verdict::Send(UP));
    denied(&mut switch, WINDOWS, reply(10, 161), 0);
    denied(&mut switch, LINUX, reply(10, 162), 0);
    denied(&mut switch, LINUX, reply(30, 161), 0);
    denied(&mut switch, LINUX, reply(11, 161), 0);
    let elsewhere = (Ipv4Addr::new(10, 0, 0, 98), 40_000);
    denied(&mut switch, LINUX, Datagram { to: elsewhere, ..reply(10, 161) }, 0);
    denied(&mut switch, LINUX, Datagram { to: (VISITOR_IP, 40_001), ..reply(10, 161) }, 0);
    // Answers do not keep the question alive.
    assert_eq!(pass(&mut switch, LINUX, reply(10, 161), 29_999).0, Verdict::Send(UP));
    denied(&mut switch, LINUX, reply(10, 161), 30_001);
    // Another machine in the same slot was not asked.
    pass(&mut switch, UP, question([10, 0, 0, 1], 161), 31_000);
    switch.apply(Update::DropMachine(MachineId(1))).unwrap();
    denied(&mut switch, LINUX, reply(10, 161), 31_000);
    switch.apply(machine(1, "debian-12", false, &[(1, "10.0.0.1")])).unwrap();
    denied(&mut switch, LINUX, reply(10, 161), 31_000);
}

#[test]
fn closed_ports_are_unreachable_within_limits() {
    let mut switch = maze();
    let asked = question([10, 0, 0, 1], 162);
    let mut answered = 0;
    for _ in 0..20 {
        let (verdict, frame) = pass(&mut switch, UP, asked, 100_000);
        if verdict == Verdict::Send(UP) {
            let (ip, _) = sound(&frame);
            assert_eq!((byte(frame.bytes(), 34), byte(frame.bytes(), 35), ip.ttl), (3, 3, 64));
            assert_eq!(frame.bytes()[42..], asked.frame().bytes()[14..]);
            answered += 1;
        }
    }
    assert_eq!(answered, 6);
    // A port for connections is none for datagrams, and the other way round.
    let (verdict, frame) = pass(&mut switch, UP, question([10, 0, 0, 2], 22), 100_000);
    assert_eq!((verdict, sound(&frame).0.protocol), (Verdict::Send(UP), ICMP));
    let (verdict, frame) = send(&mut switch, UP, from_visitor([10, 0, 0, 2], 161, SYN));
    assert_eq!((verdict, tcp_of(&frame).flags & RST), (Verdict::Send(UP), RST));
}

#[test]
fn a_closed_port_answers_no_more_questions() {
    let mut switch = maze();
    pass(&mut switch, UP, question([10, 0, 0, 1], 161), 0);
    let ports = Ports { tcp: vec![161], udp: vec![] };
    switch.apply(Update::SetPorts { machine: MachineId(1), ports }).unwrap();
    let (verdict, frame) = pass(&mut switch, UP, question([10, 0, 0, 1], 161), 0);
    assert_eq!((verdict, sound(&frame).0.protocol), (Verdict::Send(UP), ICMP));
}

/// Asks an open and a closed port with a datagram that is so changed, in a sound IP header.
fn refused_as(count: Count, what: &str, change: impl Fn(&mut [u8])) {
    for port in [161, 162] {
        let mut switch = maze();
        let mut frame = question([10, 0, 0, 1], port).frame();
        change(frame.bytes_mut());
        put(frame.bytes_mut(), 24, &[0, 0]);
        let right = checksum(&frame.bytes()[14..34], 0);
        put(frame.bytes_mut(), 24, &right.to_be_bytes());
        assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Drop, "{what}, port {port}");
        assert_eq!(switch.counters().get(count), 1, "{what}, port {port}");
    }
}

#[test]
fn damaged_ones_are_refused_and_counted() {
    refused_as(Count::Malformed, "a byte", |b| b[44] ^= 1);
    refused_as(Count::Malformed, "a length beyond the packet", |b| b[39] += 1);
    refused_as(Count::Malformed, "a length within it", |b| b[39] -= 1);
    refused_as(Count::Malformed, "a length below the header", |b| put(b, 38, &[0, 7]));
    refused_as(Count::Malformed, "a packet shorter than the header", |b| put(b, 16, &[0, 27]));
    refused_as(Count::Malformed, "a packet longer than the frame", |b| put(b, 16, &[1, 0]));
    refused_as(Count::Fragments, "the first of many parts", |b| put(b, 20, &[0x20, 0]));
    for port in [161, 162] {
        let mut switch = maze();
        let mut many = question([10, 0, 0, 1], port).frame();
        put(many.buffer(), 0, &[1, 5, 0, 0, 4, 0, 34, 0, 6, 0]);
        assert_eq!(switch.receive(UP, &mut many, 0), Verdict::Drop, "to be cut into many");
        assert_eq!(switch.counters().get(Count::Malformed), 1);
    }
}

#[test]
fn a_datagram_without_a_checksum_stays_without_and_others_never_lose_theirs() {
    let mut switch = maze();
    let mut bare = question([10, 0, 0, 1], 161).frame();
    put(bare.bytes_mut(), 40, &[0, 0]);
    assert_eq!(switch.receive(UP, &mut bare, 0), Verdict::Send(LINUX));
    assert_eq!(be16(bare.bytes(), 40), 0);
    // Among all values of two bytes there is one for each checksum.
    let mut zeroes = 0;
    for word in 0..=u16::MAX {
        let data = word.to_be_bytes();
        let asked = Datagram { data: &data, ..question([10, 0, 0, 1], 161) };
        let (verdict, frame) = pass(&mut switch, UP, asked, 0);
        assert_eq!(verdict, Verdict::Send(LINUX));
        assert_ne!(be16(frame.bytes(), 40), 0, "{word}");
        zeroes += u32::from(be16(frame.bytes(), 40) == 0xffff);
        let (_, frame) = pass(&mut switch, LINUX, Datagram { data: &data, ..reply(10, 161) }, 0);
        assert_ne!(be16(frame.bytes(), 40), 0, "{word}");
    }
    assert!(zeroes > 0, "the case was met");
}

#[test]
fn a_begun_checksum_stays_begun() {
    let mut switch = maze();
    let mut frame = question([10, 0, 0, 1], 161).frame();
    let begun = |frame: &Frame| fold(frame::ip(frame.bytes()).unwrap().pseudo_sum());
    put(frame.buffer(), 0, &[1]);
    let sum = begun(&frame);
    put(frame.bytes_mut(), 40, &sum.to_be_bytes());
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(LINUX));
    assert_eq!(be16(frame.bytes(), 40), begun(&frame));
    assert!(frame.offload().partial);
}

#[test]
fn forged_sources_cost_no_more_than_the_table() {
    let mut switch = maze();
    pass(&mut switch, UP, question([10, 0, 0, 2], 161), 0);
    for port in 0..10_000_u16 {
        let asked = Datagram { from: (VISITOR_IP, port), ..question([10, 0, 0, 1], 161) };
        assert_eq!(pass(&mut switch, UP, asked, 0).0, Verdict::Send(LINUX));
    }
    assert!(switch.exchanges.len() <= 64);
    // A decky's own address, and one of the inside, ask nothing.
    for source in [[10, 0, 0, 2], [240, 0, 0, 20], [127, 0, 0, 1], [255, 255, 255, 255]] {
        let forged = Datagram { from: (source.into(), 161), ..question([10, 0, 0, 1], 161) };
        assert_eq!(pass(&mut switch, UP, forged, 0).0, Verdict::Drop, "{source:?}");
    }
    switch.tick(100_000);
    assert_eq!(switch.exchanges.len(), 0);
}

proptest! {
    #[test]
    fn no_damage_brings_it_down_or_shows_the_inside(
        frames in prop::collection::vec(
            (any::<bool>(), 1..6_u8, prop::collection::vec((0..60_usize, any::<u8>()), 0..4)),
            1..40,
        ),
    ) {
        let mut switch = maze();
        for (now, (inbound, id, damage)) in frames.into_iter().enumerate() {
            let datagram = match inbound {
                true => question([10, 0, 0, id], 161),
                false => reply(u32::from(id) * 10, 161),
            };
            let mut frame = datagram.frame();
            for (at, byte) in damage {
                put(frame.bytes_mut(), at, &[byte]);
            }
            put(frame.bytes_mut(), 24, &[0, 0]);
            let right = checksum(&frame.bytes()[14..34], 0);
            put(frame.bytes_mut(), 24, &right.to_be_bytes());
            let side = if inbound { UP } else { LINUX };
            let verdict = switch.receive(side, &mut frame, now as u64 * 1000);
            if verdict == Verdict::Send(UP) && be16(frame.bytes(), 12) == 0x0800 {
                let source = frame::ip(frame.bytes()).expect("a sound header goes out").source;
                prop_assert!(source.octets()[0] == 10, "nothing of the inside shows");
            }
        }
    }
}

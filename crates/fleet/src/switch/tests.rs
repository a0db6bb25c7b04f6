//! The switch as visitors and namespaces meet it. Each frame that comes out has its checksums
//! computed anew and compared.

mod datagrams;

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::{
    frame::{self, NewIp},
    wire::{be16, be32, byte, checksum, fold, put, sum},
    *,
};

mod hostile;

const UP: Side = Side::Uplink(UplinkId(0));
const LINUX: Side = Side::Class(ClassId(0));
const WINDOWS: Side = Side::Class(ClassId(1));
const VISITOR: Mac = Mac([0x00, 0x1b, 0x21, 9, 9, 9]);
const VISITOR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);
const KERNEL_ISN: u32 = 0x1111_2222;

fn mac(id: u32) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, id as u8])
}

fn segment(id: u32, subnet: &str, uplink: Option<u8>) -> Update {
    let (segment, subnet) = (Segment(id), subnet.parse().unwrap());
    Update::PutSegment { segment, subnet, uplink: uplink.map(UplinkId) }
}

/// A machine of the given id; slots are ten times that id, plus the interface.
fn machine(id: u32, personality: &str, forwards: bool, on: &[(u32, &str)]) -> Update {
    let all = Personalities::built_in();
    let interface = |(nth, (on, address)): (usize, &(u32, &str))| Interface {
        slot: Slot(id * 10 + nth as u32),
        segment: Segment(*on),
        address: address.parse().unwrap(),
        mac: mac(id * 10 + nth as u32),
        routes: forwards,
    };
    Update::PutMachine(MachineRow {
        id: MachineId(id),
        personality: all.named(personality).unwrap(),
        class: ClassId(u8::from(personality.starts_with("windows"))),
        clock: 1_000_000,
        seed: u64::from(id),
        interfaces: on.iter().enumerate().map(interface).collect(),
        ports: Ports { tcp: vec![22, 80], udp: vec![161] },
    })
}

/// 10.0.0.1 runs Linux, .2 Windows; .3 forwards to 10.1.0.0/24 and on it .4 to 10.2.0.0/24.
fn maze() -> Switch {
    let mut switch = Switch::with_flow_limit(Personalities::built_in(), 7, 64);
    let updates = [
        segment(1, "10.0.0.0/24", Some(0)),
        segment(2, "10.1.0.0/24", None),
        segment(3, "10.2.0.0/24", None),
        machine(1, "debian-12", false, &[(1, "10.0.0.1")]),
        machine(2, "windows-10", false, &[(1, "10.0.0.2")]),
        machine(3, "debian-12", true, &[(1, "10.0.0.3"), (2, "10.1.0.1")]),
        machine(4, "windows-10", true, &[(2, "10.1.0.4"), (3, "10.2.0.1")]),
        machine(5, "debian-12", false, &[(3, "10.2.0.5")]),
    ];
    updates.into_iter().for_each(|update| switch.apply(update).unwrap());
    switch
}

/// A TCP segment in a frame.
#[derive(Clone, Copy)]
struct Segm<'a> {
    macs: (Mac, Mac),
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    seq: u32,
    ack: u32,
    flags: u8,
    options: &'a [u8],
    data: &'a [u8],
    ttl: u8,
}

fn from_visitor(to: [u8; 4], port: u16, flags: u8) -> Segm<'static> {
    let to_mac = mac(u32::from(to[3]) * 10);
    Segm {
        macs: (to_mac, VISITOR),
        from: (VISITOR_IP, 40_000),
        to: (to.into(), port),
        seq: 1000,
        ack: 0,
        flags,
        options: &[],
        data: &[],
        ttl: 64,
    }
}

fn from_kernel(slot: u32, port: u16, flags: u8) -> Segm<'static> {
    Segm {
        macs: (GATEWAY_MAC, CLASS_MAC),
        from: (Slot(slot).inside(), port),
        to: (VISITOR_IP, 40_000),
        seq: KERNEL_ISN,
        ack: 1001,
        flags,
        options: &[],
        data: &[],
        ttl: 64,
    }
}

impl Segm<'_> {
    fn frame(&self) -> Frame {
        let length = 34 + 20 + self.options.len() + self.data.len();
        let mut bytes = vec![0; length];
        put(&mut bytes, 0, &self.macs.0.0);
        put(&mut bytes, 6, &self.macs.1.0);
        put(&mut bytes, 12, &[8, 0]);
        frame::write_ip(
            &mut bytes,
            NewIp {
                tos: 0,
                total: (length - 14) as u16,
                id: 77,
                dont_fragment: true,
                ttl: self.ttl,
                protocol: TCP,
                source: self.from.0,
                target: self.to.0,
            },
        );
        put(&mut bytes, 34, &self.from.1.to_be_bytes());
        put(&mut bytes, 36, &self.to.1.to_be_bytes());
        put(&mut bytes, 38, &self.seq.to_be_bytes());
        put(&mut bytes, 42, &self.ack.to_be_bytes());
        put(&mut bytes, 46, &[(5 + self.options.len() as u8 / 4) << 4, self.flags, 250, 240]);
        put(&mut bytes, 54, self.options);
        put(&mut bytes, 54 + self.options.len(), self.data);
        let pseudo = frame::ip(&bytes).unwrap().pseudo_sum();
        let right = checksum(&bytes[34..], pseudo);
        put(&mut bytes, 50, &right.to_be_bytes());
        Frame::from_bytes(&bytes)
    }
}

/// What came out; its checksums are right.
fn sound(frame: &Frame) -> (Ip, Option<Tcp>) {
    let bytes = frame.bytes();
    let ip = frame::ip(bytes).expect("an IP header with a right checksum");
    match ip.protocol {
        UDP if be16(bytes, ip.l4 + 6) == 0 => {}
        TCP | UDP => {
            let whole = fold(sum(&bytes[ip.l4..ip.end], ip.pseudo_sum()));
            assert_eq!(whole, 0xffff, "the checksum of layer 4");
        }
        _ => assert_eq!(fold(sum(&bytes[ip.l4..ip.end], 0)), 0xffff, "the ICMP checksum"),
    }
    (ip, frame::tcp(bytes, ip).filter(|_| ip.protocol == TCP))
}

fn send(switch: &mut Switch, from: Side, segment: Segm<'_>) -> (Verdict, Frame) {
    let mut frame = segment.frame();
    let verdict = switch.receive(from, &mut frame, 1000);
    if verdict != Verdict::Drop {
        sound(&frame);
    }
    (verdict, frame)
}

fn tcp_of(frame: &Frame) -> Tcp {
    sound(frame).1.expect("TCP")
}

fn icmp(to: [u8; 4], macs: (Mac, Mac), message: &[u8], ttl: u8) -> Frame {
    let mut bytes = vec![0; 34];
    put(&mut bytes, 0, &macs.0.0);
    put(&mut bytes, 6, &macs.1.0);
    put(&mut bytes, 12, &[8, 0]);
    bytes.extend_from_slice(message);
    let header = NewIp {
        tos: 8,
        total: 20 + message.len() as u16,
        id: 5,
        dont_fragment: true,
        ttl,
        protocol: ICMP,
        source: VISITOR_IP,
        target: to.into(),
    };
    frame::write_ip(&mut bytes, header);
    let right = checksum(&bytes[34..], 0);
    put(&mut bytes, 36, &right.to_be_bytes());
    Frame::from_bytes(&bytes)
}

fn arp_request(target: [u8; 4], sender: Ipv4Addr) -> Frame {
    let mut frame = Frame::new();
    answer::arp_probe(&mut frame, VISITOR, target.into());
    put(frame.bytes_mut(), 28, &sender.octets());
    frame
}

#[test]
fn arp_gives_each_decky_its_own_address() {
    let mut switch = maze();
    for id in 1..=3_u8 {
        let mut frame = arp_request([10, 0, 0, id], VISITOR_IP);
        assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(UP));
        let (own, bytes) = (mac(u32::from(id) * 10), frame.bytes());
        assert_eq!((frame.target_mac(), frame.source_mac()), (VISITOR, own));
        assert_eq!(bytes[20..22], [0, 2]);
        assert_eq!(bytes[22..28], own.0);
        assert_eq!(bytes[28..32], [10, 0, 0, id]);
        assert_eq!(bytes[38..42], VISITOR_IP.octets());
    }
    for silent in [[10, 0, 0, 77], [10, 1, 0, 4]] {
        let mut frame = arp_request(silent, VISITOR_IP);
        assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Drop, "{silent:?}");
    }
}

#[test]
fn real_hosts_are_heard_of_and_conflicts_are_counted() {
    let mut switch = maze();
    switch.receive(UP, &mut arp_request([10, 0, 0, 1], VISITOR_IP), 0);
    assert_eq!(switch.neighbour(UplinkId(0), VISITOR_IP), Some(VISITOR));
    let elsewhere = Ipv4Addr::new(10, 7, 0, 99);
    switch.receive(UP, &mut arp_request([10, 0, 0, 1], elsewhere), 0);
    assert_eq!(switch.neighbour(UplinkId(0), elsewhere), None, "no segment there has it");
    let mut frame = arp_request([10, 0, 0, 2], Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Drop);
    assert_eq!(switch.counters().get(Count::AddressConflicts), 1);
}

#[test]
fn a_spray_of_arp_hides_no_answer_and_is_forgotten() {
    let mut switch = maze();
    let update = segment(9, "10.9.0.0/16", Some(0));
    switch.apply(update).unwrap();
    let address = |nth: u16| {
        let [high, low] = nth.to_be_bytes();
        Ipv4Addr::new(10, 9, high, low)
    };
    let claimed = |switch: &mut Switch, nth| {
        switch.receive(UP, &mut arp_request([10, 0, 0, 77], address(nth)), 0);
    };
    (0..20_000).for_each(|nth| claimed(&mut switch, nth));
    switch.ask(UplinkId(0), address(30_000));
    (0..20_000).for_each(|nth| claimed(&mut switch, nth));
    claimed(&mut switch, 30_000);
    (0..20_000).for_each(|nth| claimed(&mut switch, nth));
    assert_eq!(switch.take_answer(UplinkId(0), address(30_000)), Some(VISITOR));
    assert_eq!(switch.neighbour(UplinkId(0), address(19_999)), Some(VISITOR));
    switch.tick(10 * 60_000);
    assert_eq!(switch.neighbour(UplinkId(0), address(19_999)), None, "it may have left");
}

#[test]
fn a_decky_gives_an_address_up_that_a_real_host_has_until_it_is_silent() {
    let mut switch = maze();
    let (decky, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let answers = |switch: &mut Switch, address: Ipv4Addr| {
        let mut frame = arp_request(address.octets(), VISITOR_IP);
        switch.receive(UP, &mut frame, 0) == Verdict::Send(UP)
    };
    let mut frame = Frame::new();
    assert!(switch.say(Saying::Announcement, &mut frame, UplinkId(0), decky));
    assert_eq!(frame.bytes()[22..32], [&mac(10).0[..], &decky.octets()].concat());
    assert_eq!(frame.bytes()[38..42], decky.octets());
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Drop);
    assert!(answers(&mut switch, decky), "an echo of its own is no conflict");

    switch.receive(UP, &mut arp_request([10, 0, 0, 77], decky), 0);
    assert!(!answers(&mut switch, decky) && answers(&mut switch, other));
    let told = switch.take_contested();
    assert_eq!((told[0].address, told[0].by, told[0].is_over), (decky, VISITOR, false));
    assert!(!switch.say(Saying::Announcement, &mut frame, UplinkId(0), decky));
    switch.tick(10_000);
    assert_eq!(switch.due_questions(), [(UplinkId(0), decky)]);
    assert!(switch.say(Saying::Question, &mut frame, UplinkId(0), decky));
    switch.tick(60_000);
    assert_eq!(switch.due_questions(), []);
    assert!(switch.take_contested()[0].is_over && answers(&mut switch, decky));

    switch.receive(UP, &mut arp_request([10, 0, 0, 77], decky), 0);
    switch.apply(Update::DropMachine(MachineId(1))).unwrap();
    assert_eq!(
        switch.take_contested().iter().map(|c| c.is_over).collect::<Vec<_>>(),
        [false, true]
    );
    assert!(!switch.say(Saying::Question, &mut frame, UplinkId(0), decky), "nobody has it");
}

#[test]
fn pings_are_answered_in_the_personality_s_way() {
    let mut switch = maze();
    let request = [8, 9, 0, 0, 1, 2, 0, 1, b'x', b'y', b'z'];
    for (id, ttl, code, tos) in [(1, 64, 9, 8), (2, 128, 0, 0)] {
        let to = mac(u32::from(id) * 10);
        let mut frame = icmp([10, 0, 0, id], (to, VISITOR), &request, 60);
        assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(UP));
        let (ip, _) = sound(&frame);
        let bytes = frame.bytes();
        assert_eq!((ip.ttl, bytes[34], bytes[35], bytes[15]), (ttl, 0, code, tos));
        assert_eq!((ip.source, ip.target), ([10, 0, 0, id].into(), VISITOR_IP));
        assert_eq!(bytes[38..ip.end], request[4..]);
        assert_eq!((frame.source_mac(), be16(bytes, 20)), (to, 0));
    }
    let mut other = icmp([10, 0, 0, 1], (mac(20), VISITOR), &request, 60);
    assert_eq!(switch.receive(UP, &mut other, 0), Verdict::Drop, "another one's MAC");
    let mut damaged = icmp([10, 0, 0, 1], (mac(10), VISITOR), &request, 60);
    damaged.bytes_mut()[43] ^= 1;
    assert_eq!(switch.receive(UP, &mut damaged, 0), Verdict::Drop);
}

/// The RST for a probe: (flags, seq, ack), or nothing.
fn refused(switch: &mut Switch, segment: Segm<'_>) -> Option<(u8, u32, u32)> {
    let (verdict, frame) = send(switch, UP, segment);
    let tcp = (verdict == Verdict::Send(UP)).then(|| tcp_of(&frame))?;
    let bytes = frame.bytes();
    assert_eq!((tcp.source_port, tcp.target_port), (segment.to.1, segment.from.1));
    assert_eq!((be16(bytes, 48), bytes.len(), be16(bytes, 20)), (0, 54, 0x4000));
    Some((tcp.flags, tcp.seq, tcp.ack))
}

#[test]
fn what_no_connection_knows_is_answered_as_the_system_would() {
    let mut switch = maze();
    let (linux, windows) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let mut probe = |to, port, flags| {
        let segment = Segm { ack: 5, ..from_visitor(to, port, flags) };
        refused(&mut switch, segment)
    };
    let null_to_open = probe(linux, 22, 0);
    assert_eq!(null_to_open, None);
    assert_eq!(probe(windows, 22, 0), Some((RST | ACK, 0, 1000)));
    assert_eq!(probe(linux, 22, SYN | FIN | 0x28), None);
    assert_eq!(probe(windows, 22, SYN | FIN | 0x28), Some((RST | ACK, 0, 1002)));
    assert_eq!(probe(linux, 22, ACK), Some((RST, 5, 0)));
    let (flags, seq, ack) = probe(windows, 22, ACK).unwrap();
    assert_eq!((flags, seq), (RST, 5));
    assert!(![0, 1000, 1001].contains(&ack));
    for to in [linux, windows] {
        assert_eq!(probe(to, 81, SYN), Some((RST | ACK, 0, 1001)));
        assert_eq!(probe(to, 81, FIN | 0x28), Some((RST | ACK, 0, 1001)));
        assert_eq!(probe(to, 81, RST), None);
        assert_eq!(probe(to, 22, SYN | ACK).unwrap().1, 5);
    }
}

#[test]
fn a_damaged_segment_gets_no_answer() {
    let mut switch = maze();
    let mut frame = from_visitor([10, 0, 0, 1], 81, SYN).frame();
    frame.bytes_mut()[50] ^= 1;
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Drop);
    assert_eq!(switch.counters().get(Count::Malformed), 1);
    frame.buffer()[0] = 1;
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(UP), "not summed up yet");
    assert_eq!(frame.offload(), Offload::default());
}

/// Linux's SYN-ACK options without timestamps: MSS, two no-ops, SACK, no-op, scale 8.
const GREETING: [u8; 12] = [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 8];

#[test]
fn a_connection_is_translated_and_shaped_both_ways() {
    let mut switch = maze();
    let windows = [10, 0, 0, 2];
    let (verdict, frame) = send(&mut switch, UP, from_visitor(windows, 22, SYN));
    assert_eq!(verdict, Verdict::Send(WINDOWS));
    assert_eq!(sound(&frame).0.target, Slot(20).inside());
    assert_eq!((frame.target_mac(), frame.source_mac()), (CLASS_MAC, GATEWAY_MAC));

    let greeting = Segm { options: &GREETING, ..from_kernel(20, 22, SYN | ACK) };
    let (verdict, frame) = send(&mut switch, WINDOWS, greeting);
    assert_eq!(verdict, Verdict::Send(UP));
    let (bytes, (ip, _), tcp) = (frame.bytes(), sound(&frame), tcp_of(&frame));
    assert_eq!((ip.source, ip.target, ip.ttl), (windows.into(), VISITOR_IP, 128));
    assert_eq!(bytes[54..66], [2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2]);
    assert_eq!(be16(bytes, 48), 0xffff);
    assert_eq!((frame.target_mac(), frame.source_mac()), (VISITOR, mac(20)));
    assert_ne!(tcp.seq, KERNEL_ISN);
    let first_id = be16(bytes, 18);

    let (_, again) = send(&mut switch, WINDOWS, greeting);
    assert_eq!(tcp_of(&again).seq, tcp.seq, "sent again, it is the same");
    assert_eq!(be16(again.bytes(), 18), first_id.wrapping_add(1));

    let edges = [tcp.seq + 11, tcp.seq + 21].map(u32::to_be_bytes).concat();
    let sack = [&[1, 1, 5, 10][..], &edges].concat();
    let answer = Segm {
        seq: 1001,
        ack: tcp.seq.wrapping_add(1),
        options: &sack,
        data: b"hello",
        ..from_visitor(windows, 22, ACK)
    };
    let (verdict, frame) = send(&mut switch, UP, answer);
    assert_eq!(verdict, Verdict::Send(WINDOWS));
    assert_eq!(tcp_of(&frame).ack, KERNEL_ISN + 1);
    assert_eq!(be32(frame.bytes(), 58), KERNEL_ISN + 11);
    assert_eq!(be32(frame.bytes(), 62), KERNEL_ISN + 21);

    let data = Segm { seq: KERNEL_ISN + 1, data: b"odd", ..from_kernel(20, 22, ACK) };
    let (_, frame) = send(&mut switch, WINDOWS, data);
    assert_eq!(tcp_of(&frame).seq, tcp.seq.wrapping_add(1));
    assert_eq!(frame.bytes()[54..57], *b"odd");
}

#[test]
fn without_a_window_scale_windows_shows_another_window() {
    let mut switch = maze();
    send(&mut switch, UP, from_visitor([10, 0, 0, 2], 22, SYN));
    let options = [2, 4, 5, 180, 1, 1, 4, 2];
    let greeting = Segm { options: &options, ..from_kernel(20, 22, SYN | ACK) };
    let (_, frame) = send(&mut switch, WINDOWS, greeting);
    assert_eq!(be16(frame.bytes(), 48), 0xff70);
    assert_eq!(frame.bytes()[54..62], options);
}

#[test]
fn each_decky_shows_a_clock_of_its_own() {
    let mut switch = maze();
    send(&mut switch, UP, from_visitor([10, 0, 0, 1], 22, SYN));
    let stamp = |own: u32, echo: u32| {
        [&[1, 1, 8, 10][..], &own.to_be_bytes(), &echo.to_be_bytes()].concat()
    };
    let options = stamp(500, 333);
    let greeting = Segm { options: &options, ..from_kernel(10, 22, SYN | ACK) };
    let (_, frame) = send(&mut switch, LINUX, greeting);
    assert_eq!((be32(frame.bytes(), 58), be32(frame.bytes(), 62)), (1_000_500, 333));
    let options = stamp(334, 1_000_500);
    let answer = Segm { options: &options, ..from_visitor([10, 0, 0, 1], 22, ACK) };
    let (_, frame) = send(&mut switch, UP, answer);
    assert_eq!((be32(frame.bytes(), 58), be32(frame.bytes(), 62)), (334, 500));
}

#[test]
fn checksums_that_are_only_begun_stay_so() {
    let mut switch = maze();
    let mut frame = from_visitor([10, 0, 0, 1], 22, SYN).frame();
    let begun = |frame: &Frame| fold(frame::ip(frame.bytes()).unwrap().pseudo_sum());
    let before = begun(&frame);
    put(frame.bytes_mut(), 50, &before.to_be_bytes());
    frame.buffer()[0] = 1;
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(LINUX));
    assert_eq!(be16(frame.bytes(), 50), begun(&frame));

    let mut frame = from_kernel(10, 22, SYN | ACK).frame();
    let before = begun(&frame);
    put(frame.bytes_mut(), 50, &before.to_be_bytes());
    frame.buffer()[0] = 1;
    assert_eq!(switch.receive(LINUX, &mut frame, 0), Verdict::Send(UP));
    assert_eq!(be16(frame.bytes(), 50), begun(&frame));
}

#[test]
fn offloaded_segments_take_as_many_numbers_as_they_become() {
    let mut switch = maze();
    send(&mut switch, UP, from_visitor([10, 0, 0, 2], 22, SYN));
    let greeting = from_kernel(20, 22, SYN | ACK);
    let (_, first) = send(&mut switch, WINDOWS, greeting);
    let mut big = Segm { data: &[7; 2500], ..from_kernel(20, 22, ACK) }.frame();
    put(big.buffer(), 0, &[0, 1, 0, 0, 0xe8, 0x03]);
    switch.receive(WINDOWS, &mut big, 0);
    let (_, last) = send(&mut switch, WINDOWS, from_kernel(20, 22, ACK));
    let id = |frame: &Frame| be16(frame.bytes(), 18);
    assert_eq!(id(&big), id(&first).wrapping_add(1));
    assert_eq!(id(&last), id(&first).wrapping_add(4));
}

#[test]
fn nothing_leaves_a_namespace_that_nobody_asked_for() {
    let mut switch = maze();
    let denied = |switch: &mut Switch, from, segment: Segm<'_>| {
        let before = switch.counters().get(Count::EgressDenied);
        assert_eq!(send(switch, from, segment).0, Verdict::Drop);
        assert_eq!(switch.counters().get(Count::EgressDenied), before + 1);
    };
    denied(&mut switch, LINUX, from_kernel(10, 22, SYN | ACK));
    send(&mut switch, UP, from_visitor([10, 0, 0, 1], 22, SYN));
    denied(&mut switch, LINUX, from_kernel(10, 22, SYN));
    denied(&mut switch, WINDOWS, from_kernel(10, 22, SYN | ACK));
    denied(&mut switch, LINUX, from_kernel(20, 22, SYN | ACK));
    denied(&mut switch, LINUX, from_kernel(10, 80, SYN | ACK));
    let stranger =
        Segm { from: (Ipv4Addr::new(192, 0, 2, 1), 22), ..from_kernel(10, 22, SYN | ACK) };
    denied(&mut switch, LINUX, stranger);
    let elsewhere =
        Segm { to: (Ipv4Addr::new(198, 51, 100, 1), 40_000), ..from_kernel(10, 22, SYN | ACK) };
    denied(&mut switch, LINUX, elsewhere);
    let mut arp = arp_request([10, 0, 0, 99], VISITOR_IP);
    assert_eq!(switch.receive(LINUX, &mut arp, 0), Verdict::Drop);
    let mut ping = icmp([10, 0, 0, 99], (GATEWAY_MAC, CLASS_MAC), &[8, 0, 0, 0, 0, 0, 0, 0], 64);
    assert_eq!(switch.receive(LINUX, &mut ping, 0), Verdict::Drop);
    assert_eq!(send(&mut switch, LINUX, from_kernel(10, 22, SYN | ACK)).0, Verdict::Send(UP));
}

#[test]
fn closing_a_port_leaves_its_connections_alone() {
    let mut switch = maze();
    let linux = [10, 0, 0, 1];
    send(&mut switch, UP, from_visitor(linux, 22, SYN));
    send(&mut switch, LINUX, from_kernel(10, 22, SYN | ACK));
    send(&mut switch, UP, from_visitor(linux, 22, ACK));
    let ports = Ports { tcp: vec![80], udp: vec![] };
    let closed = Update::SetPorts { machine: MachineId(1), ports };
    switch.apply(closed).unwrap();
    let alive = send(&mut switch, UP, from_visitor(linux, 22, ACK)).0;
    assert_eq!(alive, Verdict::Send(LINUX));
    assert_eq!(send(&mut switch, LINUX, from_kernel(10, 22, ACK)).0, Verdict::Send(UP));
    let another = Segm { from: (VISITOR_IP, 40_001), ..from_visitor(linux, 22, SYN) };
    assert_eq!(refused(&mut switch, another), Some((RST | ACK, 0, 1001)));

    switch.apply(Update::DropMachine(MachineId(1))).unwrap();
    assert_eq!(send(&mut switch, UP, from_visitor(linux, 22, ACK)).0, Verdict::Drop);
    switch.apply(machine(1, "debian-12", false, &[(1, "10.0.0.1")])).unwrap();
    assert_eq!(send(&mut switch, LINUX, from_kernel(10, 22, ACK)).0, Verdict::Drop);
    let unknown = refused(&mut switch, Segm { ack: 9, ..from_visitor(linux, 22, ACK) });
    assert_eq!(unknown, Some((RST, 9, 0)), "the machine is another one");
}

#[test]
fn forwarding_deckies_show_in_a_traceroute_and_pass_connections() {
    let mut switch = maze();
    let far = [10, 2, 0, 5];
    let macs = (mac(30), VISITOR);
    for (ttl, from, left) in [(1, [10, 0, 0, 3], 64), (2, [10, 1, 0, 4], 127)] {
        let mut frame = icmp(far, macs, &[8, 0, 0, 0, 0, 1, 0, 1], ttl);
        assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(UP));
        let (ip, _) = sound(&frame);
        let bytes = frame.bytes();
        assert_eq!((byte(bytes, 34), byte(bytes, 35)), (11, 0));
        assert_eq!((ip.source, ip.ttl), (from.into(), left));
        assert_eq!(bytes[58..62], far, "the quoted target");
    }
    let mut frame = icmp(far, macs, &[8, 0, 0, 0, 0, 1, 0, 1], 3);
    assert_eq!(switch.receive(UP, &mut frame, 0), Verdict::Send(UP));
    let (ip, _) = sound(&frame);
    assert_eq!((ip.source, ip.ttl, byte(frame.bytes(), 34)), (far.into(), 62, 0));
    assert_eq!((frame.target_mac(), frame.source_mac()), (VISITOR, mac(30)));

    let syn = Segm { macs, ..from_visitor(far, 22, SYN) };
    assert_eq!(send(&mut switch, UP, syn).0, Verdict::Send(LINUX));
    let (verdict, frame) = send(&mut switch, LINUX, from_kernel(50, 22, SYN | ACK));
    assert_eq!((verdict, sound(&frame).0.ttl), (Verdict::Send(UP), 62));
    assert_eq!(frame.source_mac(), mac(30));

    let own = icmp([10, 1, 0, 1], macs, &[8, 0, 0, 0, 0, 1, 0, 1], 1);
    assert_eq!(switch.receive(UP, &mut own.clone(), 0), Verdict::Send(UP), "its other side");
    switch.apply(Update::DropMachine(MachineId(4))).unwrap();
    assert_eq!(send(&mut switch, UP, syn).0, Verdict::Drop);
    assert_eq!(switch.counters().get(Count::Unroutable), 1);
}

#[test]
fn machines_with_one_hardware_address_are_told_apart_by_the_other_one() {
    let mut switch = Switch::with_flow_limit(Personalities::built_in(), 7, 64);
    let shared = mac(1);
    let sharing = |update: Update| match update {
        Update::PutMachine(mut row) => {
            row.interfaces.iter_mut().for_each(|interface| interface.mac = shared);
            Update::PutMachine(row)
        }
        other => other,
    };
    let updates = [
        segment(1, "10.0.0.0/24", Some(0)),
        segment(2, "10.1.0.0/24", None),
        machine(1, "debian-12", false, &[(1, "10.0.0.1")]),
        machine(2, "windows-10", false, &[(1, "10.0.0.2")]),
        machine(3, "debian-12", true, &[(1, "10.0.0.3"), (2, "10.1.0.1")]),
        machine(4, "windows-10", false, &[(2, "10.1.0.4")]),
    ];
    updates.into_iter().for_each(|update| switch.apply(sharing(update)).unwrap());
    for (to, class) in [([10, 0, 0, 1], LINUX), ([10, 0, 0, 2], WINDOWS), ([10, 1, 0, 4], WINDOWS)]
    {
        let syn = Segm { macs: (shared, VISITOR), ..from_visitor(to, 22, SYN) };
        assert_eq!(send(&mut switch, UP, syn).0, Verdict::Send(class), "{to:?}");
    }
    let (_, frame) = send(&mut switch, WINDOWS, from_kernel(40, 22, SYN | ACK));
    assert_eq!((frame.source_mac(), sound(&frame).0.ttl), (shared, 127));
    // This machine has the address, too: what is for itself is not ours, in whatever form.
    let before = switch.counters().get(Count::Sent);
    for port in [22, 81] {
        let own = Segm { macs: (shared, VISITOR), ..from_visitor([10, 0, 0, 200], port, SYN) };
        assert_eq!(send(&mut switch, UP, own).0, Verdict::Drop);
    }
    let mut ping = icmp([10, 0, 0, 200], (shared, VISITOR), &[8, 0, 0, 0, 0, 1, 0, 1], 60);
    assert_eq!(switch.receive(UP, &mut ping, 0), Verdict::Drop);
    assert_eq!(switch.receive(UP, &mut arp_request([10, 0, 0, 200], VISITOR_IP), 0), Verdict::Drop);
    assert_eq!(switch.counters().get(Count::Sent), before);
    // A probe of ours that the network sends back is no conflict.
    let mut echo = arp_request([10, 0, 0, 1], [10, 0, 0, 2].into());
    put(echo.bytes_mut(), 22, &shared.0);
    switch.receive(UP, &mut echo, 0);
    assert_eq!(switch.counters().get(Count::AddressConflicts), 0);
}

#[test]
fn an_expected_visitor_comes_in_at_a_closed_port_and_nobody_else() {
    let guests = Guests::default();
    let mut switch = maze().expecting(guests.clone());
    let (linux, port) = ([10, 0, 0, 1], 40_000);
    let closed = Some((RST | ACK, 0, 1001));
    assert_eq!(refused(&mut switch, from_visitor(linux, port, SYN)), closed);
    let guest = guests.expect(Slot(10), port, VISITOR_IP).unwrap();
    let other = Segm { from: ([10, 0, 0, 98].into(), 40_000), ..from_visitor(linux, port, SYN) };
    assert_eq!(refused(&mut switch, other), closed, "another visitor");
    let next = from_visitor(linux, port + 1, SYN);
    assert_eq!(refused(&mut switch, next), closed, "another port");
    let neighbour = from_visitor([10, 0, 0, 2], port, SYN);
    assert_eq!(refused(&mut switch, neighbour), closed, "another decky");
    assert_eq!(send(&mut switch, UP, from_visitor(linux, port, SYN)).0, Verdict::Send(LINUX));
    let greeting = from_kernel(10, port, SYN | ACK);
    assert_eq!(send(&mut switch, LINUX, greeting).0, Verdict::Send(UP));

    // The connection goes on when nobody is expected any more; another one is refused.
    drop(guest);
    let data = Segm { ack: KERNEL_ISN + 1, ..from_visitor(linux, port, ACK) };
    assert_eq!(send(&mut switch, UP, data).0, Verdict::Send(LINUX));
    let again = Segm { from: (VISITOR_IP, 40_001), ..from_visitor(linux, port, SYN) };
    assert_eq!(refused(&mut switch, again), closed);
}

#[test]
fn two_segments_may_have_the_same_subnet() {
    let mut switch = maze();
    switch.apply(segment(9, "10.0.0.0/24", Some(1))).unwrap();
    switch.apply(machine(9, "windows-10", false, &[(9, "10.0.0.1")])).unwrap();
    let other = Side::Uplink(UplinkId(1));
    let segment = Segm { macs: (mac(90), VISITOR), ..from_visitor([10, 0, 0, 1], 22, SYN) };
    let (verdict, frame) = send(&mut switch, other, segment);
    assert_eq!(verdict, Verdict::Send(WINDOWS));
    assert_eq!(sound(&frame).0.target, Slot(90).inside());
    let (verdict, _) = send(&mut switch, WINDOWS, from_kernel(90, 22, SYN | ACK));
    assert_eq!(verdict, Verdict::Send(other));
}

#[test]
fn an_error_about_a_connection_quotes_what_the_kernel_sent() {
    let mut switch = maze();
    send(&mut switch, UP, from_visitor([10, 0, 0, 2], 22, SYN));
    let (_, sent) = send(&mut switch, WINDOWS, from_kernel(20, 22, SYN | ACK));
    let quoted = &sent.bytes()[14..];
    let message = [&[3, 4, 0, 0, 0, 0, 5, 0], quoted].concat();
    let mut frame = icmp([10, 0, 0, 2], (mac(20), VISITOR), &message, 60);
    assert_eq!(switch.receive(UP, &mut frame, 1000), Verdict::Send(WINDOWS));
    let (ip, _) = sound(&frame);
    assert_eq!(ip.target, Slot(20).inside());
    let inner = frame::ip_header(frame.bytes(), 42).unwrap();
    assert_eq!(inner.source, Slot(20).inside());
    assert_eq!(fold(sum(&frame.bytes()[42..62], 0)), 0xffff, "the quoted checksum");
    assert_eq!(be32(frame.bytes(), 66), KERNEL_ISN);
    let mut other = icmp([10, 0, 0, 1], (mac(10), VISITOR), &message, 60);
    assert_eq!(switch.receive(UP, &mut other, 1000), Verdict::Drop, "not its own");
}

#[test]
fn a_flood_of_connections_costs_no_more_than_the_table() {
    let mut switch = maze();
    for port in 0..10_000_u16 {
        let syn = Segm { from: (VISITOR_IP, port), ..from_visitor([10, 0, 0, 1], 22, SYN) };
        send(&mut switch, UP, syn);
    }
    assert!(switch.flows() <= 64);
    switch.tick(10_000_000);
    assert_eq!(switch.flows(), 0);
}

/// A frame that gets far: real headers, then damage.
fn damaged() -> impl Strategy<Value = (Frame, bool)> {
    let segment = (1..6_u8, any::<u8>(), 0..3_usize, any::<bool>(), 0..130_u8);
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (segment, damage, any::<prop::sample::Index>(), any::<[u8; VNET_LEN]>(), any::<bool>())
        .prop_map(|((id, flags, options, inbound, ttl), damage, cut, header, has_header)| {
            let options: &[u8] =
                [&[], &GREETING[..], &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]][options];
            let segment = match inbound {
                true => from_visitor([10, 0, 0, id], 22, flags),
                false => from_kernel(u32::from(id) * 10, 22, flags),
            };
            let mut frame = Segm { options, ttl, data: b"data", ..segment }.frame();
            for (at, byte) in damage {
                let bytes = frame.bytes_mut();
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if has_header {
                put(frame.buffer(), 0, &header);
            }
            if cut.index(4) == 0 {
                let len = cut.index(frame.bytes().len());
                frame.set_len(len);
            }
            (frame, inbound)
        })
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        inbound: bool,
    ) {
        let mut switch = maze();
        let side = if inbound { UP } else { LINUX };
        let verdict = switch.receive(side, &mut Frame::from_bytes(&bytes), 0);
        prop_assert!(inbound || verdict == Verdict::Drop);
    }

    #[test]
    fn no_damage_brings_it_down(frames in prop::collection::vec(damaged(), 1..40)) {
        let mut switch = maze();
        for (now, (mut frame, inbound)) in frames.into_iter().enumerate() {
            let side = if inbound { UP } else { WINDOWS };
            let from_kernel = Slot::of_inside(
                frame::ip(frame.bytes()).map_or(Ipv4Addr::UNSPECIFIED, |ip| ip.source),
            );
            let verdict = switch.receive(side, &mut frame, now as u64 * 1000);
            if verdict == Verdict::Send(UP) {
                let ip = frame::ip(frame.bytes());
                if be16(frame.bytes(), 12) == 0x0800 {
                    let source = ip.expect("a sound header goes out").source;
                    prop_assert!(source.octets()[0] == 10, "nothing of the inside shows");
                }
                prop_assert!(inbound || from_kernel.is_some());
            }
        }
    }
}

//! Visitors who want to harm: what others have must not suffer.

use super::*;

/// A whole connection to 10.0.0.1, from this port: the visitor's numbers begin at 1000.
fn open(switch: &mut Switch, port: u16) {
    let from = (VISITOR_IP, port);
    let syn = Segm { from, ..from_visitor([10, 0, 0, 1], 22, SYN) };
    assert_eq!(send(switch, UP, syn).0, Verdict::Send(LINUX));
    let to = from;
    let (_, greeting) = send(switch, LINUX, Segm { to, ..from_kernel(10, 22, SYN | ACK) });
    let ack = tcp_of(&greeting).seq.wrapping_add(1);
    let segment = Segm { from, seq: 1001, ack, ..from_visitor([10, 0, 0, 1], 22, ACK) };
    assert_eq!(send(switch, UP, segment).0, Verdict::Send(LINUX));
}

#[test]
fn connections_that_are_not_whole_keep_nobody_out() {
    let mut switch = maze();
    for port in 1..500_u16 {
        let from = (VISITOR_IP, port);
        let syn = Segm { from, ..from_visitor([10, 0, 0, 1], 22, SYN) };
        send(&mut switch, UP, syn);
        send(&mut switch, LINUX, Segm { to: from, ..from_kernel(10, 22, SYN | ACK) });
        let blind = Segm { from, seq: 1001, ack: 5, ..from_visitor([10, 0, 0, 1], 22, ACK) };
        send(&mut switch, UP, blind);
        let isn = KERNEL_ISN.wrapping_add(1);
        let mut damaged = Segm { ack: isn, ..blind }.frame();
        put(damaged.bytes_mut(), 50, &[0xba, 0xd0]);
        switch.receive(UP, &mut damaged, 0);
    }
    open(&mut switch, 40_000);
    assert_eq!(switch.counters().get(Count::FlowsRefused), 0);
}

#[test]
fn a_live_connection_survives_blind_segments_and_full_tables() {
    let mut switch = maze();
    open(&mut switch, 40_000);
    for flags in [RST, RST | ACK, FIN | ACK, SYN] {
        let macs = (mac(10), Mac([0, 0x1b, 0x21, 6, 6, 6]));
        for seq in [0, 2000, 0x8000_0000] {
            let blind = Segm { macs, seq, ..from_visitor([10, 0, 0, 1], 22, flags) };
            send(&mut switch, UP, blind);
        }
    }
    for port in 1..1_000 {
        let syn = Segm { from: (VISITOR_IP, port), ..from_visitor([10, 0, 0, 1], 22, SYN) };
        send(&mut switch, UP, syn);
    }
    let idle = 3_600_000;
    switch.tick(idle);
    let data = Segm { data: b"ls\n", seq: 1001, ..from_visitor([10, 0, 0, 1], 22, ACK) };
    assert_eq!(switch.receive(UP, &mut data.frame(), idle), Verdict::Send(LINUX));
    let mut answer = from_kernel(10, 22, ACK).frame();
    assert_eq!(switch.receive(LINUX, &mut answer, idle), Verdict::Send(UP));
    assert_eq!(answer.target_mac(), VISITOR, "answers go where they went");
}

#[test]
fn packets_with_options_reach_no_kernel() {
    let mut switch = maze();
    for length in [24, 60] {
        let mut syn = from_visitor([10, 0, 0, 1], 22, SYN).frame();
        let tcp = syn.bytes()[34..].to_vec();
        let bytes = &mut syn.buffer()[VNET_LEN..];
        // Record route, with room for addresses.
        put(bytes, 34, &vec![1; length - 20]);
        put(bytes, 34, &[7, (length - 20) as u8, 4]);
        put(bytes, 14 + length, &tcp);
        put(bytes, 14, &[0x40 | (length / 4) as u8]);
        put(bytes, 16, &((length + tcp.len()) as u16).to_be_bytes());
        put(bytes, 24, &[0, 0]);
        let right = checksum(&bytes[14..14 + length], 0);
        put(bytes, 24, &right.to_be_bytes());
        syn.set_len(14 + length + tcp.len());
        assert_eq!(switch.receive(UP, &mut syn, 0), Verdict::Drop);
    }
    assert_eq!(switch.counters().get(Count::Options), 2);
}

#[test]
fn errors_for_one_source_are_counted_out() {
    let mut switch = maze();
    let macs = (mac(30), VISITOR);
    let ask = |switch: &mut Switch, now| {
        let mut frame = icmp([10, 2, 0, 5], macs, &[8, 0, 0, 0, 0, 1, 0, 1], 1);
        switch.receive(UP, &mut frame, now) == Verdict::Send(UP)
    };
    assert_eq!((0..2_000).filter(|_| ask(&mut switch, 0)).count(), 500);
    assert!(ask(&mut switch, 1_000), "later there are some again");
}

#[test]
fn a_part_of_a_packet_causes_no_error() {
    let mut switch = maze();
    let mut part = icmp([10, 2, 0, 5], (mac(30), VISITOR), &[8, 0, 0, 0, 0, 1, 0, 1], 1);
    let bytes = part.bytes_mut();
    put(bytes, 20, &[0, 9]);
    put(bytes, 24, &[0, 0]);
    let right = checksum(&bytes[14..34], 0);
    put(bytes, 24, &right.to_be_bytes());
    assert_eq!(switch.receive(UP, &mut part, 0), Verdict::Drop);
}

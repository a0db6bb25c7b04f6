//! Answers that the switch gives itself, each built in place of the frame that it answers.

use std::net::Ipv4Addr;

use super::{
    flow::Way,
    frame::{
        ACK, ETHERNET, FIN, Frame, ICMP, Ip, Mac, NewIp, RST, SYN, TCP, Tcp, VNET_LEN, options,
        write_ip,
    },
    wire::{array, be16, byte, checksum, put, sum},
};

/// Most bytes of an ICMP error: what every host must take (RFC 1812, 4.3.2.3).
const MAX_ERROR: usize = 576;
/// Where layer 4 is in a frame that we build.
const L4: usize = ETHERNET + 20;

/// Who answers, as the packet shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) address: Ipv4Addr,
    pub(super) ttl: u8,
    pub(super) id: u16,
    pub(super) tos: u8,
}

/// An ARP request for an IPv4 address, or an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arp {
    pub(super) is_request: bool,
    pub(super) sender: Ipv4Addr,
    pub(super) sender_mac: Mac,
    pub(super) target: Ipv4Addr,
}

/// ARP for IPv4 over Ethernet (RFC 826); `None` for anything else.
pub(super) fn arp(frame: &[u8]) -> Option<Arp> {
    let head: [u8; 8] = array(frame, ETHERNET)?;
    let operation = be16(&head, 6);
    let is_ours = head[..6] == [0, 1, 8, 0, 6, 4] && (operation == 1 || operation == 2);
    let address = |at| array::<4>(frame, at).map(Ipv4Addr::from);
    is_ours.then_some(())?;
    Some(Arp {
        is_request: operation == 1,
        sender_mac: Mac(array(frame, 22)?),
        sender: address(28)?,
        target: address(38)?,
    })
}

/// The request becomes the reply of `mac`.
pub(super) fn arp_reply(frame: &mut Frame, request: Arp, mac: Mac) {
    let to = frame.source_mac();
    write_arp(frame, 2, (mac, request.target), (request.sender_mac, request.sender));
    frame.set_macs(to, mac);
}

/// A request that claims nothing (RFC 5227, 2.1.1): is there anybody at `address`?
pub(super) fn arp_probe(frame: &mut Frame, mac: Mac, address: Ipv4Addr) {
    write_arp(frame, 1, (mac, Ipv4Addr::UNSPECIFIED), (Mac::default(), address));
    frame.set_macs(Mac([0xff; 6]), mac);
}

/// A request that claims `address` for `mac` (RFC 5227, 2.3): who knew another forgets it.
pub(super) fn arp_announcement(frame: &mut Frame, mac: Mac, address: Ipv4Addr) {
    write_arp(frame, 1, (mac, address), (Mac::default(), address));
    frame.set_macs(Mac([0xff; 6]), mac);
}

fn write_arp(frame: &mut Frame, operation: u8, from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr)) {
    frame.set_len(ETHERNET + 28);
    frame.clear_header();
    let bytes = frame.bytes_mut();
    put(bytes, 12, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    put(bytes, 22, &from.0.0);
    put(bytes, 28, &from.1.octets());
    put(bytes, 32, &to.0.0);
    put(bytes, 38, &to.1.octets());
}

/// The echo request becomes its reply; data and identifiers stay. Needs a header without
/// options, and a correct checksum.
pub(super) fn echo_reply(frame: &mut Frame, ip: Ip, voice: Voice, keep_code: bool, way: Way) {
    frame.set_len(ip.end);
    frame.clear_header();
    let total = (ip.end - ETHERNET) as u16;
    let bytes = frame.bytes_mut();
    let code = if keep_code { byte(bytes, L4 + 1) } else { 0 };
    put(bytes, L4, &[0, code, 0, 0]);
    let right = checksum(bytes.get(L4..).unwrap_or_default(), 0);
    put(bytes, L4 + 2, &right.to_be_bytes());
    write_ip(bytes, header(voice, total, ICMP, false, ip.source));
    frame.set_macs(way.peer_mac, way.our_mac);
}

/// The packet becomes an ICMP error about it.
pub(super) fn error(frame: &mut Frame, ip: Ip, kind: (u8, u8), voice: Voice, way: Way) {
    let quoted = (ip.end - ETHERNET).min(MAX_ERROR - 28);
    frame.clear_header();
    frame.set_len(L4 + 8 + quoted);
    // The buffer holds the largest frame, and an error is far smaller.
    let bytes = &mut frame.buffer()[VNET_LEN..VNET_LEN + L4 + 8 + quoted];
    bytes.copy_within(ETHERNET..ETHERNET + quoted, L4 + 8);
    put(bytes, L4, &[kind.0, kind.1, 0, 0, 0, 0, 0, 0]);
    let right = checksum(&bytes[L4..], 0);
    put(bytes, L4 + 2, &right.to_be_bytes());
    write_ip(bytes, header(voice, (28 + quoted) as u16, ICMP, false, ip.source));
    frame.set_macs(way.peer_mac, way.our_mac);
}

/// The segment becomes the RST that it gets (RFC 9293, 3.5.2). `other_ack`, where it is set,
/// stands for the zero of a RST without ACK.
pub(super) fn reset(
    frame: &mut Frame,
    (ip, tcp): (Ip, Tcp),
    voice: Voice,
    other_ack: bool,
    way: Way,
) {
    let (seq, ack, flags) = if tcp.flags & ACK != 0 {
        (tcp.ack, if other_ack { neither(tcp.seq) } else { 0 }, RST)
    } else {
        let length = (ip.end - tcp.payload) as u32;
        let marks = u32::from(tcp.flags & SYN != 0) + u32::from(tcp.flags & FIN != 0);
        (0, tcp.seq.wrapping_add(length + marks), RST | ACK)
    };
    let mut segment = [0; 20];
    put(&mut segment, 0, &tcp.target_port.to_be_bytes());
    put(&mut segment, 2, &tcp.source_port.to_be_bytes());
    put(&mut segment, 4, &seq.to_be_bytes());
    put(&mut segment, 8, &ack.to_be_bytes());
    put(&mut segment, 12, &[0x50, flags]);
    let header = header(voice, 40, TCP, true, ip.source);
    let pseudo = sum(&header.target.octets(), sum(&header.source.octets(), 0)) + u32::from(TCP);
    let right = checksum(&segment, pseudo + segment.len() as u32);
    put(&mut segment, 16, &right.to_be_bytes());
    frame.clear_header();
    frame.set_len(L4 + segment.len());
    write_ip(frame.bytes_mut(), header);
    put(frame.bytes_mut(), L4, &segment);
    put(frame.bytes_mut(), 12, &[8, 0]);
    frame.set_macs(way.peer_mac, way.our_mac);
}

/// A number that is neither zero nor `seq` nor its successor.
fn neither(seq: u32) -> u32 {
    (seq ^ 0x5a5a_0000) | 1
}

fn header(voice: Voice, total: u16, protocol: u8, dont_fragment: bool, target: Ipv4Addr) -> NewIp {
    let Voice { address: source, ttl, id, tos } = voice;
    NewIp { tos, total, id, dont_fragment, ttl, protocol, source, target }
}

/// The kinds of the options of a segment, in order.
pub(super) fn layout(frame: &[u8], ip: Ip, tcp: Tcp) -> impl Iterator<Item = u8> {
    options(frame, ip.l4 + 20, tcp.payload).map(|(kind, ..)| kind)
}

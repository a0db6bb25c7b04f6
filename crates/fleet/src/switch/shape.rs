//! TCP and UDP on their way through: addresses, sequence numbers, clocks and options, with every
//! checksum kept right. In place, and the length never changes.

use std::net::Ipv4Addr;

use super::{
    answer::layout,
    flow::Flow,
    frame::{ACK, ETHERNET, Ip, SYN, TCP, Tcp, ip_header, options},
    personality::{IpId, Personality, Reorder},
    wire::{Covered, array, be16, be32, byte, checksum, fold, put, sum},
};

const SCALE: u8 = 3;
const SACK: u8 = 5;
const TIME: u8 = 8;
/// Most bytes of TCP options.
const MAX_OPTIONS: usize = 40;

fn ip_covered() -> Covered {
    Covered { start: ETHERNET, checksum: Some(ETHERNET + 10), partial: false }
}

fn tcp_covered(ip: Ip, partial: bool) -> Covered {
    Covered { start: ip.l4, checksum: Some(ip.l4 + 16), partial }
}

/// A datagram may come without a checksum: zero (RFC 768).
fn udp_covered(frame: &[u8], ip: Ip, partial: bool) -> Covered {
    let at = ip.l4 + 6;
    let has_one = partial || be16(frame, at) != 0;
    Covered { start: ip.l4, checksum: has_one.then_some(at), partial }
}

/// A visitor's segment, on its way to the kernel.
pub(super) fn inbound(frame: &mut [u8], ip: Ip, tcp: Tcp, flow: &Flow, partial: bool) {
    let covered = tcp_covered(ip, partial);
    if tcp.flags & ACK != 0 {
        if flow.shift != 0 {
            let ack = tcp.ack.wrapping_sub(flow.shift);
            covered.write(frame, ip.l4 + 8, &ack.to_be_bytes());
            shift_sack(frame, ip, tcp, covered, flow.shift.wrapping_neg());
        }
        move_clock(frame, ip, tcp, covered, (6, flow.who.clock.wrapping_neg()));
    }
    translate(frame, 16, flow.key.slot.inside(), covered);
}

/// The kernel's segment, on its way to the visitor. `style` shapes it, `address` is the decky's.
pub(super) fn outbound(
    frame: &mut [u8],
    (ip, tcp): (Ip, Tcp),
    flow: &Flow,
    style: &Personality,
    address: Ipv4Addr,
    partial: bool,
) {
    let covered = tcp_covered(ip, partial);
    if flow.shift != 0 {
        let seq = tcp.seq.wrapping_add(flow.shift);
        covered.write(frame, ip.l4 + 4, &seq.to_be_bytes());
    }
    move_clock(frame, ip, tcp, covered, (2, flow.who.clock));
    if tcp.flags & (SYN | ACK) == SYN | ACK {
        greet(frame, ip, tcp, covered, style);
    }
    translate(frame, 12, address, covered);
    let ttl = style.ip.ttl.saturating_sub(flow.way.hops);
    ip_covered().write(frame, ETHERNET + 8, &[ttl]);
}

/// A visitor's datagram, on its way to the kernel.
pub(super) fn inbound_datagram(frame: &mut [u8], ip: Ip, inside: Ipv4Addr, partial: bool) {
    let covered = udp_covered(frame, ip, partial);
    translate(frame, 16, inside, covered);
    spare_zero(frame, covered);
}

/// The kernel's datagram, on its way to the visitor: from this address, with this time to live.
pub(super) fn outbound_datagram(
    frame: &mut [u8],
    ip: Ip,
    (address, ttl): (Ipv4Addr, u8),
    partial: bool,
) {
    let covered = udp_covered(frame, ip, partial);
    translate(frame, 12, address, covered);
    spare_zero(frame, covered);
    ip_covered().write(frame, ETHERNET + 8, &[ttl]);
}

/// A checksum of zero is sent in its other form: zero itself means that there is none (RFC 768).
fn spare_zero(frame: &mut [u8], covered: Covered) {
    if let Covered { checksum: Some(at), partial: false, .. } = covered
        && be16(frame, at) == 0
    {
        put(frame, at, &[0xff, 0xff]);
    }
}

/// The time to live and the number of a packet.
pub(super) fn number(frame: &mut [u8], style: IpId, next: impl FnOnce() -> u16) {
    match style {
        IpId::Kernel => {}
        IpId::Counter => ip_covered().write(frame, ETHERNET + 4, &next().to_be_bytes()),
    }
}

/// Takes `by` from the time to live.
pub(super) fn age(frame: &mut [u8], ip: Ip, by: u8) {
    ip_covered().write(frame, ETHERNET + 8, &[ip.ttl.saturating_sub(by)]);
}

/// Writes an address of the IP header; `at` counts from its start.
fn translate(frame: &mut [u8], at: usize, new: Ipv4Addr, layer4: Covered) {
    let at = ETHERNET + at;
    let Some(old) = array::<4>(frame, at) else { return };
    ip_covered().write(frame, at, &new.octets());
    layer4.replaced(frame, &old, &new.octets());
}

/// What a SYN-ACK shows of the system: its window and the order of its options.
fn greet(frame: &mut [u8], ip: Ip, tcp: Tcp, covered: Covered, style: &Personality) {
    let is_scaled = layout(frame, ip, tcp).any(|kind| kind == SCALE);
    let window = if is_scaled { style.tcp.window } else { style.tcp.window_unscaled };
    if let Some(window) = window.or(style.tcp.window) {
        covered.write(frame, ip.l4 + 14, &window.to_be_bytes());
    }
    let fits = |order: &&Reorder| layout(frame, ip, tcp).eq(order.from.iter().copied());
    if let Some(order) = style.tcp.options.iter().find(fits) {
        reorder(frame, ip, tcp, covered, &order.to);
    }
}

/// The same options in another order. Each kind of `to` is taken once from what is there, so
/// that the result has the same length.
fn reorder(frame: &mut [u8], ip: Ip, tcp: Tcp, covered: Covered, to: &[u8]) {
    let mut made = [0; MAX_OPTIONS];
    let mut length = 0;
    for (index, wanted) in to.iter().enumerate() {
        let nth = to[..index].iter().filter(|kind| *kind == wanted).count();
        let mut same = options(frame, ip.l4 + 20, tcp.payload).filter(|(kind, ..)| kind == wanted);
        let Some((_, at, size)) = same.nth(nth) else { return };
        let Some(option) = frame.get(at..at + size) else { return };
        put(&mut made, length, option);
        length += size;
    }
    covered.write(frame, ip.l4 + 20, &made[..length.min(MAX_OPTIONS)]);
}

/// Adds to one of the two values of a timestamp; an echo of zero stays zero.
fn move_clock(frame: &mut [u8], ip: Ip, tcp: Tcp, covered: Covered, (at, by): (usize, u32)) {
    if by == 0 {
        return;
    }
    let found = options(frame, ip.l4 + 20, tcp.payload).find(|option| option.0 == TIME);
    if let Some((_, option, 10)) = found {
        let value = be32(frame, option + at);
        if at == 2 || value != 0 {
            covered.write(frame, option + at, &value.wrapping_add(by).to_be_bytes());
        }
    }
}

/// Adds to both edges of each block.
fn shift_sack(frame: &mut [u8], ip: Ip, tcp: Tcp, covered: Covered, by: u32) {
    let found = options(frame, ip.l4 + 20, tcp.payload).find(|option| option.0 == SACK);
    if let Some((_, option, size)) = found {
        for edge in (option + 2..option + size).step_by(4).take((size - 2) / 4) {
            let value = be32(frame, edge).wrapping_add(by);
            covered.write(frame, edge, &value.to_be_bytes());
        }
    }
}

/// The packet that an ICMP error quotes, if it is TCP that a decky sent: its header and its two
/// ports. The error's own checksum must be right.
pub(super) fn quoted(frame: &[u8], ip: Ip) -> Option<(Ip, u16, u16)> {
    let message = frame.get(ip.l4..ip.end)?;
    let is_error = matches!(byte(message, 0), 3 | 11 | 12);
    let inner = ip_header(frame.get(..ip.end)?, ip.l4 + 8)?;
    let ports: [u8; 8] = array(frame, inner.l4)?;
    let is_ours = is_error && inner.protocol == TCP && inner.source == ip.target;
    let is_whole = inner.l4 + 8 <= ip.end && fold(sum(message, 0)) == 0xffff;
    let port = |at| u16::from_be_bytes([ports[at], ports[at + 1]]);
    (is_ours && is_whole && !inner.is_fragment).then(|| (inner, port(0), port(2)))
}

/// An ICMP error about a connection, on its way to the kernel: what it quotes becomes what the
/// kernel sent.
pub(super) fn inbound_error(frame: &mut [u8], ip: Ip, inner: Ip, flow: &Flow) {
    let inside = flow.key.slot.inside();
    let start = ip.l4 + 8;
    let covered = Covered { start, checksum: Some(start + 10), partial: false };
    covered.write(frame, start + 12, &inside.octets());
    let seq = be32(frame, inner.l4 + 4).wrapping_sub(flow.shift);
    put(frame, inner.l4 + 4, &seq.to_be_bytes());
    let none = Covered { start: ip.l4, checksum: None, partial: false };
    translate(frame, 16, inside, none);
    put(frame, ip.l4 + 2, &[0, 0]);
    let right = checksum(frame.get(ip.l4..ip.end).unwrap_or_default(), 0);
    put(frame, ip.l4 + 2, &right.to_be_bytes());
}

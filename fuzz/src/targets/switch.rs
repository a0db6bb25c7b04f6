//! Frames, as anybody on a segment may send them, and as a namespace that went wrong would.

use fleet::switch::{
    ClassId, Frame, Interface, Mac, MachineId, MachineRow, Personalities, Ports, Segment, Side,
    Slot, Switch, Update, UplinkId, VNET_LEN, Verdict,
};

use super::Target;
use crate::Trace;

/// Most frames of one input.
const MAX_FRAMES: usize = 64;
/// Where every decky is, as the outside sees it.
const OUTSIDE: u8 = 10;

/// A byte for the side, a byte for the length, then a frame, and again. The side's second bit
/// says whether a virtio header comes first, the fourth that checksums stay as they are.
pub(super) const TARGET: Target = Target {
    name: "switch",
    about: "any frames are taken; nothing of the inside shows, and nothing but answers comes out",
    words: &["\u{8}\u{0}E\u{0}", "\u{8}\u{6}\u{0}\u{1}", "\u{1}\u{3}\u{3}\u{8}"],
    mutation: None,
    run,
};

fn run(input: &[u8], trace: &mut Trace) {
    let mut switch = lab();
    let (mut rest, mut now) = (input, 0);
    for _ in 0..MAX_FRAMES {
        let [side, length, after @ ..] = rest else { break };
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        now += u64::from(*length) * 40;
        one(&mut switch, *side, bytes, now, trace);
        switch.tick(now);
    }
}

fn one(switch: &mut Switch, side: u8, bytes: &[u8], now: u64, trace: &mut Trace) {
    let header = if side & 2 != 0 { bytes.len().min(VNET_LEN) } else { 0 };
    let mut frame = Frame::from_bytes(&bytes[header..]);
    if side & 8 == 0 {
        repair(&mut frame.buffer()[VNET_LEN..][..bytes.len() - header]);
    }
    frame.buffer()[..header].copy_from_slice(&bytes[..header]);
    let is_outside = side & 1 == 0;
    let from = match is_outside {
        true => Side::Uplink(UplinkId(0)),
        false => Side::Class(ClassId(side >> 2 & 1)),
    };
    let before = *switch.counters();
    let verdict = switch.receive(from, &mut frame, now);
    for count in fleet::switch::Count::ALL {
        if switch.counters().get(*count) != before.get(*count) {
            trace.note((count.as_str(), is_outside));
        }
    }
    match verdict {
        Verdict::Send(Side::Uplink(_)) => {
            let out = frame.bytes();
            assert!(out.len() >= 42, "a frame of {} bytes", out.len());
            let source = if out[12..14] == [8, 0] { out[26] } else { out[28] };
            assert_eq!(source, OUTSIDE, "an address of the inside shows");
        }
        Verdict::Send(Side::Class(_)) => assert!(is_outside, "from one class to another"),
        Verdict::Drop => {}
    }
}

/// Makes the checksums right, so that what was changed elsewhere is looked at.
fn repair(frame: &mut [u8]) {
    const IP: usize = 14;
    let length = usize::from(frame.get(IP).copied().unwrap_or(0) & 15) * 4;
    if frame.len() < IP + length.max(20) || frame[12..14] != [8, 0] {
        return;
    }
    frame[24..26].fill(0);
    let header = !sum(&frame[IP..IP + length], 0);
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    let end = IP + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let (protocol, addresses) = (frame[23], sum(&frame[26..34], 0));
    let Some(part) = frame.get_mut(IP + length..end) else { return };
    let (at, begun) = match protocol {
        1 => (2, 0),
        6 => (16, u32::from(addresses) + 6 + part.len() as u32),
        17 => (6, u32::from(addresses) + 17 + part.len() as u32),
        _ => return,
    };
    if part.len() < at + 2 {
        return;
    }
    part[at..at + 2].fill(0);
    let right = !sum(part, begun);
    part[at..at + 2].copy_from_slice(&right.to_be_bytes());
}

/// The ones' complement sum of a part of a frame.
fn sum(bytes: &[u8], begun: u32) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let whole = bytes.chunks(2).map(word).sum::<u32>() + begun;
    let once = (whole & 0xffff) + (whole >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// Two machines on the uplink, the second of which forwards to a third.
fn lab() -> Switch {
    let personalities = Personalities::built_in();
    let windows = personalities.named("windows-10").expect("it is built in");
    let linux = personalities.named("debian-12").expect("it is built in");
    let mut switch = Switch::with_flow_limit(personalities, 1, 16);
    let segment = |id, third: u8, uplink: Option<u8>| Update::PutSegment {
        segment: Segment(id),
        subnet: format!("10.0.{third}.0/24").parse().expect("a subnet"),
        uplink: uplink.map(UplinkId),
    };
    let interface = |slot: u32, on: u32, address: [u8; 4]| Interface {
        slot: Slot(slot),
        segment: Segment(on),
        address: address.into(),
        mac: Mac([0x52, 0x54, 0, 0, 0, slot as u8]),
        routes: [2, 3].contains(&slot),
    };
    let machine = |id: u32, personality, interfaces: Vec<Interface>| {
        Update::PutMachine(MachineRow {
            id: MachineId(id),
            personality,
            class: ClassId(u8::from(personality == windows)),
            clock: 77,
            seed: 1,
            interfaces,
            ports: Ports { tcp: vec![22, 80], udp: vec![161] },
        })
    };
    let updates = [
        segment(1, 0, Some(0)),
        segment(2, 1, None),
        machine(1, linux, vec![interface(1, 1, [10, 0, 0, 1])]),
        machine(2, windows, vec![interface(2, 1, [10, 0, 0, 2]), interface(3, 2, [10, 0, 1, 1])]),
        machine(3, linux, vec![interface(4, 2, [10, 0, 1, 5])]),
    ];
    updates.into_iter().for_each(|update| switch.apply(update).expect("the lab fits"));
    switch
}

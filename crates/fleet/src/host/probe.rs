//! Whether a network delivers to a hardware address that it does not know: an ARP request from
//! such an address, and whether the answer comes back to it.
//!
//! The request is a probe (RFC 5227): its sender has no IP address, so that nobody's table
//! changes by it.

use std::{
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{Interface, sys::PacketSocket};

/// How often it is asked; a frame may get lost.
const TRIES: u32 = 3;
/// Length of the request: Ethernet, then ARP over IPv4.
const LENGTH: usize = 42;
const ARP: [u8; 2] = [0x08, 0x06];
const KIND: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// Which hardware addresses a network delivers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Any: deckies can have their own.
    Own,
    /// Only the one of this machine's interface.
    Host,
    /// Nobody answered either.
    Nobody,
}

/// Asks who has `target` on the interface, first as a stranger, then as this machine; waits as
/// long as `patience` for each answer.
///
/// # Errors
/// Where a packet socket cannot be had.
pub fn mac_probe(
    interface: &Interface,
    target: Ipv4Addr,
    stranger: [u8; 6],
    patience: Duration,
) -> io::Result<Reach> {
    let socket = PacketSocket::on(interface.index)?;
    // Locally administered, to one machine only: nobody's, and no group's.
    let stranger = [
        (stranger[0] | 0x02) & !0x01,
        stranger[1],
        stranger[2],
        stranger[3],
        stranger[4],
        stranger[5],
    ];
    for (mac, reach) in [(stranger, Reach::Own), (interface.mac, Reach::Host)] {
        if is_answered(&socket, mac, target, patience)? {
            return Ok(reach);
        }
    }
    Ok(Reach::Nobody)
}

fn is_answered(
    socket: &PacketSocket,
    mac: [u8; 6],
    target: Ipv4Addr,
    patience: Duration,
) -> io::Result<bool> {
    for _ in 0..TRIES {
        socket.send(&request(mac, target))?;
        let until = Instant::now() + patience / TRIES;
        let mut frame = [0; 2048];
        while let Some(length) = socket.receive(&mut frame, until)? {
            if is_reply(&frame[..length], mac, target) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn request(mac: [u8; 6], target: Ipv4Addr) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    let parts: [&[u8]; 9] =
        [&[0xff; 6], &mac, &ARP, &KIND, &REQUEST, &mac, &[0; 4], &[0; 6], &target.octets()];
    let mut at = 0;
    for part in parts {
        frame[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    frame
}

/// Whether the frame says to `mac` who has `target`.
fn is_reply(frame: &[u8], mac: [u8; 6], target: Ipv4Addr) -> bool {
    frame.len() >= LENGTH
        && frame[..6] == mac
        && frame[12..14] == ARP
        && frame[20..22] == REPLY
        && frame[28..32] == target.octets()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{host::try_namespace, raw};

    const PATIENCE: Duration = Duration::from_millis(900);
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    const STRANGER: [u8; 6] = [0xff, 1, 2, 3, 4, 5];

    fn ip(arguments: &str) {
        let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {arguments}: {output:?}");
    }

    /// Runs in a namespace of its own with a cable from `here` to `there`; says that it does not
    /// where namespaces cannot be made.
    fn over_a_cable(test: impl FnOnce() + Send) {
        if let Err(error) = try_namespace() {
            return eprintln!(
                "skipped: no network namespace can be made ({error}); run it as root"
            );
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                raw::enter_new_namespace().unwrap();
                ip("link add here type veth peer name there");
                ip("link set here up");
                ip("link set there up");
                test();
            });
        });
    }

    /// Answers on `there` to those that `is_known` lets through, until nobody asks any more.
    fn answer(socket: &PacketSocket, is_known: impl Fn([u8; 6]) -> bool, until: Instant) {
        let mut frame = [0; 2048];
        while let Some(length) = socket.receive(&mut frame, until).unwrap() {
            let mac = <[u8; 6]>::try_from(&frame[6..12]).unwrap();
            if length < LENGTH || frame[20..22] != REQUEST || !is_known(mac) {
                continue;
            }
            let mut reply = request([2, 9, 9, 9, 9, 9], Ipv4Addr::UNSPECIFIED);
            reply[..6].copy_from_slice(&mac);
            reply[20..22].copy_from_slice(&REPLY);
            reply[28..32].copy_from_slice(&PEER.octets());
            socket.send(&reply).unwrap();
        }
    }

    #[test]
    fn a_network_that_takes_everybody_is_told_from_one_that_filters() {
        over_a_cable(|| {
            let here = Interface::named("here").unwrap().unwrap();
            let there = Interface::named("there").unwrap().unwrap();
            assert_eq!(mac_probe(&here, PEER, STRANGER, PATIENCE).unwrap(), Reach::Nobody);
            let own = here.mac;
            std::thread::scope(|scope| {
                let socket = PacketSocket::on(there.index).unwrap();
                let until = Instant::now() + 3 * PATIENCE;
                scope.spawn(move || answer(&socket, |mac| mac == own, until));
                assert_eq!(mac_probe(&here, PEER, STRANGER, PATIENCE).unwrap(), Reach::Host);
            });
        });
    }

    #[test]
    fn the_kernel_of_a_real_host_answers_a_stranger() {
        over_a_cable(|| {
            ip("addr add 10.9.0.1/24 dev there");
            let here = Interface::named("here").unwrap().unwrap();
            assert_eq!(mac_probe(&here, PEER, STRANGER, 3 * PATIENCE).unwrap(), Reach::Own);
            let there = Interface::named("there").unwrap().unwrap();
            assert_eq!(there.addresses, [PEER]);
        });
    }

    #[test]
    fn only_an_answer_to_the_asker_about_the_target_counts() {
        let (mac, target) = ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1));
        let mut reply = request(mac, Ipv4Addr::UNSPECIFIED);
        assert!(!is_reply(&reply, mac, target), "an echo of the question is no answer");
        reply[..6].copy_from_slice(&mac);
        reply[20..22].copy_from_slice(&REPLY);
        reply[28..32].copy_from_slice(&target.octets());
        assert!(is_reply(&reply, mac, target));
        assert!(!is_reply(&reply, [2, 0, 0, 0, 0, 2], target));
        assert!(!is_reply(&reply, mac, Ipv4Addr::new(10, 0, 0, 2)));
        for length in 0..LENGTH {
            assert!(!is_reply(&reply[..length], mac, target));
        }
    }
}

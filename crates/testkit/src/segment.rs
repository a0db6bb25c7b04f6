//! A real segment to put deckies on, and a visitor on it: two namespaces with a wire between.
//! Needs root; everything that is made has a name of its own and goes with the value.

#![allow(clippy::unwrap_used, reason = "for tests only: a failed unwrap is a failed test")]
#![allow(unreachable_pub, reason = "tests of the fleet, below this crate, have it by its path")]

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::{fd::AsFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

/// Longest wait for anything that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing has to come for it to count as silence.
pub const SILENCE: Duration = Duration::from_millis(200);

/// A segment: `<name>v` is the visitor's namespace, `<name>l` the one with the uplink.
pub struct Segment {
    /// The namespace of who visits; it has 10.80.0.2/16 on `eth0`.
    pub visitor: String,
    /// The namespace with the uplink, `u0`.
    pub lan: String,
}

static SEGMENTS: AtomicU32 = AtomicU32::new(0);

/// Runs a command; what it printed.
pub fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Segment {
    /// `None`, and a message, where there is no root.
    pub fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: namespaces need root and /dev/net/tun");
            return None;
        }
        let name = format!("mgt{}x{}", id(), SEGMENTS.fetch_add(1, SeqCst));
        let segment = Self { visitor: format!("{name}v"), lan: format!("{name}l") };
        for namespace in [&segment.visitor, &segment.lan] {
            run(&format!("ip netns add {namespace}"));
            for scope in ["all", "default"] {
                let key = format!("net.ipv6.conf.{scope}.disable_ipv6=1");
                run(&format!("ip netns exec {namespace} sysctl -qw {key}"));
            }
        }
        for namespace in [&segment.visitor, &segment.lan] {
            run(&format!("ip -n {namespace} link set lo up"));
        }
        segment.wire();
        Some(segment)
    }

    /// The wire between the visitor and the uplink.
    pub fn wire(&self) {
        let Self { visitor, lan } = self;
        run(&format!("ip -n {lan} link add u0 type veth peer name eth0 netns {visitor}"));
        run(&format!("ip -n {lan} link set u0 up"));
        run(&format!("ip -n {visitor} link set eth0 up"));
        run(&format!("ip -n {visitor} addr add 10.80.0.2/16 dev eth0"));
    }

    /// Runs as the visitor.
    pub fn visit<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.visitor)).unwrap();
        within(namespace.as_fd(), work)
    }

    /// A program in `directory` that runs `binary` where the uplink is.
    pub fn program(&self, directory: &Path, binary: &str) -> PathBuf {
        let program = directory.join("where-the-uplink-is");
        let script = format!("#!/bin/sh\nexec ip netns exec {} {binary} \"$@\"\n", self.lan);
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    /// A command as the visitor.
    pub fn sh(&self, command: &str) -> String {
        run(&format!("ip netns exec {} {command}", self.visitor))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for namespace in [&self.visitor, &self.lan] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// Runs in the namespace behind the descriptor.
pub fn within<T: Send>(
    namespace: std::os::fd::BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> T {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    std::thread::scope(|scope| {
        let there = move || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        scope.spawn(there).join().unwrap()
    })
}

/// A connection that is given up in time.
pub fn connect(address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(address, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The first line that is said there.
pub fn banner(address: Ipv4Addr, port: u16) -> io::Result<String> {
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(connect(address, port)?), &mut line)?;
    Ok(line.trim_end().to_owned())
}

/// What came back for an echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The reply.
    Echo,
    /// The packet's time ended on its way.
    Expired,
}

/// Sends an echo request that lives for so many hops; who answered within the time, and what.
pub fn ping(to: Ipv4Addr, hops: u32, wait: Duration) -> Option<(Ipv4Addr, Answer)> {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket, sockopt};
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    let number = (NUMBERS.fetch_add(1, SeqCst) as u16).to_be_bytes();
    let echo = [8, 0, 0, 0, b'm', b'g', number[0], number[1]];
    let sum: u32 = echo.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = (!(sum + (sum >> 16)) as u16).to_be_bytes();
    let mut request = echo;
    request[2..4].copy_from_slice(&checksum);
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
    sockopt::set_ip_ttl(&socket, hops).unwrap();
    let socket = std::net::UdpSocket::from(socket);
    socket.send_to(&request, (to, 0)).ok()?;
    let until = std::time::Instant::now() + wait;
    let mut packet = [0; 1500];
    loop {
        let left = until.checked_duration_since(std::time::Instant::now())?;
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
        let Ok((length, SocketAddr::V4(from))) = socket.recv_from(&mut packet) else { continue };
        let icmp = packet.get(20..length).unwrap_or_default();
        let is_ours = |at: usize| icmp.get(at + 4..at + 8) == Some(&echo[4..]);
        match icmp.first() {
            Some(0) if is_ours(0) => return Some((*from.ip(), Answer::Echo)),
            Some(11) if is_ours(28) => return Some((*from.ip(), Answer::Expired)),
            _ => {}
        }
    }
}

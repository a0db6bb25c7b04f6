//! Visitors of random deckies, who stay while the maze changes around them.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use model::Service;
use testkit::segment::{Segment, connect};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::rules::Mark;

/// Longest wait for a decky's answer, or for the end of a session.
const PATIENCE: Duration = Duration::from_secs(20);

/// How visitors come to deckies.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// There is no network.
    None,
    /// Every decky has an address on this machine.
    Loopback,
    /// What is in the DMZ is on the segment.
    Segment(&'a Segment),
}

/// The visitor's own addresses on the segment, one for each DMZ that there may be.
pub(crate) const ON_SEGMENT: [&str; 8] = [
    "10.66.1.200/24",
    "10.66.2.200/24",
    "10.66.3.200/24",
    "10.66.4.200/24",
    "10.66.5.200/24",
    "10.66.6.200/24",
    "10.66.8.200/24",
    "10.66.40.200/20",
];

impl Way<'_> {
    /// Whether a visitor gets there.
    pub(crate) fn reaches(self, at: SocketAddr, is_dmz: bool) -> bool {
        let IpAddr::V4(ip) = at.ip() else { return false };
        match self {
            Self::None => false,
            Self::Loopback => true,
            Self::Segment(_) => is_dmz && [1, 2, 3, 4, 5, 6, 8, 32].contains(&ip.octets()[2]),
        }
    }

    async fn connect(self, at: SocketAddr) -> std::io::Result<TcpStream> {
        let connecting = async {
            match (self, at.ip()) {
                (Self::Segment(segment), IpAddr::V4(ip)) => {
                    // Somebody who comes anew: a machine does not say that it has the address now
                    // that was another's a moment ago.
                    segment.sh("ip neigh flush dev eth0");
                    let stream = segment.visit(|| connect(ip, at.port()))?;
                    stream.set_nonblocking(true)?;
                    TcpStream::from_std(stream)
                }
                _ => TcpStream::connect(at).await,
            }
        };
        tokio::time::timeout(PATIENCE, connecting).await.expect("a connect ends")
    }

    /// Nobody answers there.
    pub(crate) async fn assert_nobody(self, at: SocketAddr) {
        assert!(self.connect(at).await.is_err(), "somebody answers at {at} still");
    }
}

/// Somebody on a decky.
pub(crate) struct Visitor {
    pub(crate) decky: Mark,
    pub(crate) lan: Mark,
    pub(crate) service: Service,
    at: SocketAddr,
    stream: TcpStream,
    /// How often it has asked something.
    pub(crate) asked: usize,
}

impl Visitor {
    /// Connects and is greeted, where the service greets.
    pub(crate) async fn come(
        way: Way<'_>,
        (decky, lan, service): (Mark, Mark, Service),
        at: SocketAddr,
    ) -> Self {
        let stream = way.connect(at).await;
        let stream = stream.unwrap_or_else(|error| panic!("{service} at {at}: {error}"));
        let mut visitor = Self { decky, lan, service, at, stream, asked: 0 };
        if matches!(service, Service::Ftp | Service::Ssh) {
            visitor.read().await;
        }
        visitor.ask().await;
        visitor
    }

    /// Asks something and is answered: the session lives.
    pub(crate) async fn ask(&mut self) {
        let question: &[u8] = match self.service {
            Service::Http => b"HEAD / HTTP/1.1\r\nhost: maze\r\n\r\n",
            Service::Ftp => b"NOOP\r\n",
            Service::Redis => b"PING\r\n",
            // What follows a version is keys, which nobody here has.
            Service::Ssh => return self.assert_silent(),
            Service::Snmp => unreachable!("visitors come by connections"),
        };
        self.asked += 1;
        let (service, at) = (self.service, self.at);
        let written = self.stream.write_all(question).await;
        written.unwrap_or_else(|error| panic!("the session with {service} at {at}: {error}"));
        self.read().await;
    }

    async fn read(&mut self) {
        let (service, at) = (self.service, self.at);
        let mut answer = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut answer)).await;
        let read = read.unwrap_or_else(|_| panic!("{service} at {at} does not answer"));
        let length = read.unwrap_or_else(|error| panic!("{service} at {at}: {error}"));
        assert!(length > 0, "the session with {service} at {at} has ended");
    }

    fn assert_silent(&self) {
        let met = self.stream.try_read(&mut [0; 64]);
        let is_open = matches!(&met, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
            || matches!(met, Ok(1..));
        assert!(is_open, "the session with {} at {}: {met:?}", self.service, self.at);
    }

    /// Waits until the session is ended from the other side. A machine that went from a segment
    /// says nothing any more.
    pub(crate) async fn until_cut(mut self, way: Way<'_>) {
        if matches!(way, Way::Segment(_)) {
            return;
        }
        let mut rest = Vec::new();
        let cut = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        // Reset or closed: both are an end.
        let _ = cut.unwrap_or_else(|_| panic!("{} at {} goes on", self.service, self.at));
    }
}

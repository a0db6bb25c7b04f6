//! Request and reply: how long one takes from end to end, through two connections.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::server::Server;
use crate::wire::{Conn, publish};

/// The service is in the generator too: it costs every server the same.
struct Pair {
    requester: Conn,
    service: Conn,
    count: u64,
    out: Vec<u8>,
}

/// Microseconds at p50 and p99, one request after the other.
pub(crate) fn in_turn(server: &Server, time: Duration) -> io::Result<Vec<f64>> {
    let mut pair = Pair::new(server)?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < time {
        times.push(pair.request()?);
    }
    Ok(percentiles(times))
}

/// Microseconds at p50 and p99, one request a millisecond.
pub(crate) fn a_thousand(server: &Server, time: Duration) -> io::Result<Vec<f64>> {
    let mut pair = Pair::new(server)?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < time {
        let due = begin + Duration::from_millis(times.len() as u64);
        sleep(due.saturating_duration_since(Instant::now()));
        times.push(pair.request()?);
    }
    Ok(percentiles(times))
}

/// The p50 and the p99 of some durations, in microseconds.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Vec<f64> {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1));
    let micros = |share| at(share).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6);
    vec![micros(50), micros(99)]
}

impl Pair {
    fn new(server: &Server) -> io::Result<Self> {
        let (mut requester, mut service) = (server.connect()?, server.connect()?);
        service.subscribe("bench.service", 1)?;
        service.flush()?;
        requester.subscribe("_INBOX.bench.*", 1)?;
        requester.flush()?;
        let mut pair = Self { requester, service, count: 0, out: Vec::new() };
        for _ in 0..1_000 {
            pair.request()?;
        }
        Ok(pair)
    }

    fn request(&mut self) -> io::Result<Duration> {
        self.count += 1;
        let inbox = format!("_INBOX.bench.{}", self.count);
        self.out.clear();
        publish(&mut self.out, b"bench.service", inbox.as_bytes(), &[b'x'; 128]);
        let begin = Instant::now();
        self.requester.send(&self.out)?;
        self.serve()?;
        let mut answers = 0;
        while answers == 0 {
            self.requester.receive(|_| answers += 1)?;
        }
        Ok(begin.elapsed())
    }

    fn serve(&mut self) -> io::Result<()> {
        let out = &mut self.out;
        out.clear();
        while out.is_empty() {
            self.service.receive(|message| publish(out, message.reply(), b"", message.body))?;
        }
        self.service.send(&self.out)
    }
}

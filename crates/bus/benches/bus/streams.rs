//! Durable streams by the protocol: publishes acknowledged, messages fetched and acknowledged.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::requests::percentiles;
use crate::server::Server;
use crate::wire::{Conn, publish};

/// Where acknowledgements and answers go.
const INBOX: &[u8] = b"_INBOX.bench.acks";
/// Messages of one fetch.
const BATCH: usize = 256;
/// Messages in the stream that is read.
const STORED: usize = 100_000;

/// A connection with a stream of file storage on `bench.stream`.
struct Publisher {
    conn: Conn,
    frame: Vec<u8>,
}

impl Publisher {
    fn new(server: &Server) -> io::Result<Self> {
        let mut conn = server.connect()?;
        conn.subscribe("_INBOX.bench.>", 1)?;
        conn.flush()?;
        let mut frame = Vec::new();
        publish(&mut frame, b"bench.stream", INBOX, &[b'x'; 128]);
        let mut publisher = Self { conn, frame };
        publisher.ask(
            "$JS.API.STREAM.CREATE.BENCH",
            &json!({
                "name": "BENCH", "subjects": ["bench.stream"], "storage": "file",
                "retention": "limits", "discard": "old", "max_consumers": -1, "max_msgs": -1,
                "max_bytes": -1, "max_age": 0, "max_msg_size": -1, "num_replicas": 1,
                "duplicate_window": 120_000_000_000_u64,
            }),
        )?;
        Ok(publisher)
    }

    /// A call of the JetStream API; an error that it answers is one.
    fn ask(&mut self, subject: &str, body: &Value) -> io::Result<Value> {
        let mut out = Vec::new();
        publish(&mut out, subject.as_bytes(), INBOX, body.to_string().as_bytes());
        self.conn.send(&out)?;
        let mut answer = None;
        while answer.is_none() {
            self.conn.receive(|message| answer = serde_json::from_slice(message.body).ok())?;
        }
        let answer: Value = answer.unwrap_or_default();
        match answer.get("error") {
            Some(error) => Err(io::Error::other(format!("{subject}: {error}"))),
            None => Ok(answer),
        }
    }

    /// Publishes with `window` under way until `enough`, and waits for the last answer.
    fn publish(&mut self, window: usize, enough: impl Fn(usize) -> bool) -> io::Result<usize> {
        let block = self.frame.repeat(window);
        let (mut sent, mut acknowledged) = (0, 0);
        loop {
            let more = if enough(acknowledged) { 0 } else { window - (sent - acknowledged) };
            self.conn.send(&block[..more * self.frame.len()])?;
            sent += more;
            if sent == acknowledged {
                return Ok(acknowledged);
            }
            self.conn.receive(|message| acknowledged += usize::from(is_ack(message.body)))?;
        }
    }

    /// Compares what the stream holds with what was acknowledged.
    fn holds(&mut self, acknowledged: usize) -> io::Result<()> {
        let info = self.ask("$JS.API.STREAM.INFO.BENCH", &json!({}))?;
        match info["state"]["messages"].as_u64() {
            Some(messages) if messages == acknowledged as u64 => Ok(()),
            other => Err(io::Error::other(format!("{acknowledged} acknowledged, has {other:?}"))),
        }
    }
}

fn is_ack(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"seq\":").is_some()
}

/// Acknowledged publishes a second with `window` of them under way.
pub(crate) fn windowed(server: &Server, window: usize, time: Duration) -> io::Result<Vec<f64>> {
    let mut publisher = Publisher::new(server)?;
    let warm = Instant::now() + time / 5;
    let before = publisher.publish(window, |_| Instant::now() > warm)?;
    let begin = Instant::now();
    let count = publisher.publish(window, |_| begin.elapsed() > time)?;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    publisher.holds(before + count)?;
    Ok(vec![rate])
}

/// One after the other: a second, and microseconds at p50 and p99.
pub(crate) fn in_turn(server: &Server, time: Duration) -> io::Result<Vec<f64>> {
    let mut publisher = Publisher::new(server)?;
    publisher.publish(1, |count| count >= 100)?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < time {
        let sent = Instant::now();
        publisher.publish(1, |count| count > 0)?;
        times.push(sent.elapsed());
    }
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    publisher.holds(100 + times.len())?;
    Ok([vec![rate], percentiles(times)].concat())
}

/// Messages a second that a durable pull consumer fetches, each acknowledged by itself.
pub(crate) fn pull(server: &Server) -> io::Result<Vec<f64>> {
    let mut publisher = Publisher::new(server)?;
    publisher.publish(256, |count| count >= STORED)?;
    publisher.ask(
        "$JS.API.CONSUMER.DURABLE.CREATE.BENCH.reader",
        &json!({ "stream_name": "BENCH", "config": {
            "durable_name": "reader", "ack_policy": "explicit", "deliver_policy": "all",
            "max_ack_pending": 10_000, "ack_wait": 30_000_000_000_u64, "replay_policy": "instant",
        }}),
    )?;
    let mut reader = publisher.conn;
    let begin = Instant::now();
    let (mut fetched, mut out) = (0, Vec::new());
    while fetched < STORED {
        let next = json!({ "batch": BATCH, "expires": 5_000_000_000_u64 }).to_string();
        publish(&mut out, b"$JS.API.CONSUMER.MSG.NEXT.BENCH.reader", INBOX, next.as_bytes());
        reader.send(&out)?;
        out.clear();
        let end = (fetched + BATCH).min(STORED);
        while fetched < end {
            reader.receive(|message| {
                fetched += usize::from(message.reply().starts_with(b"$JS.ACK."));
                publish(&mut out, message.reply(), b"", b"+ACK");
            })?;
        }
    }
    reader.send(&out)?;
    reader.flush()?;
    Ok(vec![fetched as f64 / begin.elapsed().as_secs_f64()])
}

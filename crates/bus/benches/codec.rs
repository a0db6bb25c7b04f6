//! What frames cost: `cargo bench -p morgana-bus --bench codec`.
//!
//! Prints millions of frames a second; each figure is the best of five rounds.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use morgana_bus::proto::{ClientFrame, Parsed, ProtoLimits, parse_client, parse_server, write};

const FRAMES: usize = 100_000;

fn main() {
    let limits = ProtoLimits::default();
    for size in [16, 128, 1024] {
        let body = vec![b'x'; size];
        let subject = b"bench.of.the.codec";
        let stream = repeated(|out| write::pub_(out, subject, None, b"", &body));
        report(&format!("PUB of {size} bytes, read"), || read_client(&stream, &limits));
        let stream = repeated(|out| write::msg(out, subject, b"12", None, 0, &body));
        report(&format!("MSG of {size} bytes, read"), || read_server(&stream, &limits));
        let mut out = Vec::with_capacity(stream.len());
        report(&format!("MSG of {size} bytes, written"), || {
            out.clear();
            (0..FRAMES).for_each(|_| write::msg(&mut out, subject, b"12", None, 0, &body));
        });
    }
}

fn repeated(mut write: impl FnMut(&mut Vec<u8>)) -> Vec<u8> {
    let mut stream = Vec::new();
    (0..FRAMES).for_each(|_| write(&mut stream));
    stream
}

fn read_client(mut stream: &[u8], limits: &ProtoLimits) {
    while let Ok(Parsed::Frame { frame, used }) = parse_client(black_box(stream), limits) {
        assert!(matches!(black_box(frame), ClientFrame::Pub { .. }));
        stream = &stream[used..];
    }
    assert!(stream.is_empty());
}

fn read_server(mut stream: &[u8], limits: &ProtoLimits) {
    while let Ok(Parsed::Frame { frame, used }) = parse_server(black_box(stream), limits) {
        black_box(frame);
        stream = &stream[used..];
    }
    assert!(stream.is_empty());
}

fn report(what: &str, mut round: impl FnMut()) {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed()
    });
    let best = times.min().unwrap_or(Duration::MAX);
    let rate = FRAMES as f64 / best.as_secs_f64() / 1e6;
    println!("{what:<32} {rate:>8.1} M/s {:>8.1} ns", 1e3 / rate);
}

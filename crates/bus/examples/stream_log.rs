//! How fast a log takes messages here: batches of 256 messages of 128 bytes, one sync each.
//!
//! `cargo run --release -p morgana-bus --example stream_log -- [DIRECTORY [BATCHES]]`

use std::{
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use morgana_bus::stream::{Append, LogOptions, StreamConfig, StreamLog, UnixNanos};

const BATCH: u32 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let batches: u32 = arguments.next().map_or(Ok(2000), |text| text.parse())?;
    let dir = parent.join(format!("stream_log.{}", std::process::id()));
    let config = StreamConfig::new("BENCH".parse()?, vec!["bench.>".into()]);
    let mut log = StreamLog::create(&dir, config, &LogOptions::default(), UnixNanos(1))?;
    let written = write(&mut log, batches);
    let read = read(&mut log);
    log.destroy()?;
    let (appending, commits) = written?;
    show(batches, appending, &commits);
    println!(
        "read back        {:>9.0} messages/s",
        f64::from(batches * BATCH) / read?.as_secs_f64()
    );
    Ok(())
}

fn write(log: &mut StreamLog, batches: u32) -> Result<(Duration, Vec<Duration>), Box<dyn Error>> {
    let message = Append { subject: b"bench.one", body: &[b'x'; 128], ..Append::default() };
    let (mut appending, mut commits) = (Duration::ZERO, Vec::new());
    for batch in 0..batches {
        let start = Instant::now();
        for _ in 0..BATCH {
            log.append(&message, UnixNanos(u64::from(batch) + 1))?;
        }
        appending += start.elapsed();
        let start = Instant::now();
        log.commit()?;
        commits.push(start.elapsed());
    }
    commits.sort_unstable();
    Ok((appending, commits))
}

fn read(log: &mut StreamLog) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    for seq in 1..=log.committed() {
        log.peek(seq)?.ok_or("a message is gone")?;
    }
    Ok(start.elapsed())
}

fn show(batches: u32, appending: Duration, commits: &[Duration]) {
    let at = |part: usize| commits[(commits.len() * part / 100).min(commits.len() - 1)];
    let messages = f64::from(batches * BATCH);
    let total = appending + commits.iter().sum::<Duration>();
    println!("append           {:>9.0} ns/message", appending.as_nanos() as f64 / messages);
    println!("commit p50 / p99 {:>9.0} / {} us", at(50).as_micros(), at(99).as_micros());
    println!("append + commit  {:>9.0} messages/s", messages / total.as_secs_f64());
}

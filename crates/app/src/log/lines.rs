//! Warnings and errors of the log as events, `system.log`: so many a second and no more.
//!
//! What the bus itself logs is left out, so that a line about a lost event causes no further
//! event. A line that finds no room is counted, and the next one says how many there were.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bus::Bus;
use model::{Ambient, Event, Payload, SystemLog};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{
    Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// Lines that wait for the bus at most.
const WAITING: usize = 256;
/// Lines at once,
const BURST: u32 = 50;
/// and a second in the long run.
const PER_SECOND: u32 = 10;
/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 1024;
/// Fields of a line at most.
const MAX_FIELDS: usize = 16;
/// Modules whose lines would cause further ones.
const LEFT_OUT: [&str; 2] = ["morgana_bus", "async_nats"];
/// Who says what the modules below log, most particular first.
const WORKERS: [(&str, &str); 8] = [
    ("morgana::flow::observe", "observer"),
    ("morgana::flow::mutate", "mutator"),
    ("morgana::flow::reconcile", "mutator"),
    ("morgana::flow::relay", "relay"),
    ("morgana_decoys", "decoys"),
    ("morgana_api", "api"),
    ("morgana_fleet", "mutator"),
    ("", "morgana"),
];

/// The lines that others should hear of.
pub struct LogLines {
    lines: mpsc::Receiver<SystemLog>,
    lost: Arc<AtomicU64>,
}

/// The part of the log that picks them.
pub(super) struct LinesLayer {
    lines: mpsc::Sender<SystemLog>,
    lost: Arc<AtomicU64>,
}

pub(super) fn channel() -> (LinesLayer, LogLines) {
    let (sender, lines) = mpsc::channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    (LinesLayer { lines: sender, lost: lost.clone() }, LogLines { lines, lost })
}

impl<S: Subscriber> Layer<S> for LinesLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        if LEFT_OUT.iter().any(|module| meta.target().starts_with(module)) {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let line = SystemLog {
            worker: worker(meta.target()).into(),
            level: meta.level().as_str().to_lowercase(),
            message: words.message,
            fields: words.fields,
        };
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn worker(target: &str) -> &'static str {
    let known = WORKERS.iter().find(|(module, _)| target.starts_with(module));
    known.map_or("morgana", |(_, worker)| worker)
}

/// Tells the bus the lines until `stop`.
pub async fn tell(lines: LogLines, bus: Bus, ambient: Ambient, stop: CancellationToken) {
    let LogLines { mut lines, lost } = lines;
    let mut allowance = Allowance::new(Instant::now());
    // Cancel-safe: a channel keeps what is not taken.
    while let Some(Some(mut line)) = stop.run_until_cancelled(lines.recv()).await {
        if !allowance.admits(Instant::now()) {
            lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let before = lost.swap(0, Ordering::Relaxed);
        if before > 0 {
            line.fields.insert("lines_left_out".into(), before.to_string());
        }
        bus.publish(&Event::new(&ambient, Payload::SystemLog(line)));
    }
}

/// A bucket of lines that fills up again.
struct Allowance {
    lines: u32,
    filled_at: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { lines: BURST, filled_at: now }
    }

    fn admits(&mut self, now: Instant) -> bool {
        let gap = Duration::from_secs(1) / PER_SECOND;
        let due = now.duration_since(self.filled_at).as_micros() / gap.as_micros();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        self.filled_at += gap.saturating_mul(due);
        self.lines = self.lines.saturating_add(due).min(BURST);
        let admits = self.lines > 0;
        self.lines = self.lines.saturating_sub(1);
        admits
    }
}

/// The message and the fields of a line, as text.
#[derive(Default)]
struct Words {
    message: String,
    fields: BTreeMap<String, String>,
}

impl Words {
    fn put(&mut self, field: &Field, mut value: String) {
        if value.len() > MAX_VALUE_BYTES {
            let end = (0..=MAX_VALUE_BYTES).rev().find(|at| value.is_char_boundary(*at));
            value.truncate(end.unwrap_or(0));
        }
        if field.name() == "message" {
            self.message = value;
        } else if self.fields.len() < MAX_FIELDS {
            self.fields.insert(field.name().into(), value);
        }
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain = std::iter::successors(Some(value), |error| error.source());
        self.put(field, chain.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    }
}

#[cfg(test)]
mod tests {
    use bus::{Delivery, OnLag};
    use tracing::{error, info, warn};
    use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

    use super::*;

    async fn told(log: impl FnOnce()) -> Vec<SystemLog> {
        let (layer, lines) = channel();
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(LevelFilter::WARN));
        let guard = tracing::subscriber::set_default(subscriber);
        let bus = Bus::embedded("test");
        let mut heard = bus.subscribe("system.log".parse().unwrap(), 1024, OnLag::DropNewest).await;
        log();
        drop(guard);
        tell(lines, bus.clone(), Ambient::system(), CancellationToken::new()).await;
        bus.close().await;
        let mut all = Vec::new();
        while let Some(Delivery::Event(entry)) = heard.next().await {
            all.push(serde_json::from_str(entry.payload.get()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn warnings_and_errors_are_told_with_their_fields() {
        let lines = told(|| {
            info!("not this");
            warn!(target: "morgana_api::server", { peer.addr = "10.0.0.9", count = 3 }, "turned away");
            let cause = std::io::Error::other("disk is full");
            let error = &cause as &dyn std::error::Error;
            error!(target: "morgana::flow::relay::runner", error, "it fails {}", "now");
            warn!(target: "morgana_bus::link", "never this");
        })
        .await;
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].worker.as_str(), lines[0].level.as_str()), ("api", "warn"));
        assert_eq!(
            (lines[0].fields["peer.addr"].as_str(), &*lines[0].fields["count"]),
            ("10.0.0.9", "3")
        );
        assert_eq!((lines[1].worker.as_str(), &*lines[1].message), ("relay", "it fails now"));
        assert_eq!(lines[1].fields["error"], "disk is full");
    }

    #[tokio::test]
    async fn a_flood_is_cut_and_counted() {
        let lines = told(|| (0..1000).for_each(|n| warn!(n, "{}", "x".repeat(5000)))).await;
        assert!((BURST as usize..BURST as usize + 5).contains(&lines.len()), "{}", lines.len());
        assert!(lines.iter().all(|line| line.message.len() == MAX_VALUE_BYTES));
        assert_eq!(lines[0].fields["lines_left_out"], (1000 - WAITING).to_string());
    }

    #[test]
    fn the_allowance_fills_up_again() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(now);
        let admitted = |allowance: &mut Allowance, now| {
            (0..200).filter(|_| allowance.admits(now)).count() as u32
        };
        for (pause, expected) in [(0, BURST), (1, PER_SECOND), (2, 2 * PER_SECOND), (3600, BURST)] {
            now += Duration::from_secs(pause);
            assert_eq!(admitted(&mut allowance, now), expected, "after {pause} s");
        }
    }
}

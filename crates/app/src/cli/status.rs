//! `morgana status`: what runs, in the words of an operator.

use model::Timestamp;
use serde_json::Value;

use super::{
    render::{self, cell},
    worker,
};
use crate::client::Client;

/// Show what runs.
#[derive(clap::Args)]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let mut status = client.get("/api/v1/status").await?;
        let workers = client.get("/api/v1/workers").await?;
        if self.json {
            status["workers"] = workers["items"].clone();
            return render::json(&status);
        }
        for (name, value) in lines(&status) {
            render::line(format!("{name:<12}{value}").trim_end())?;
        }
        render::line("")?;
        worker::print(&workers, &cell(&status, "now"))?;
        render::line("")?;
        let topologies = client.get("/api/v1/topologies").await?;
        render::table(
            &["TOPOLOGY", "STATUS", "VERSION", "REASON"],
            render::items(&topologies).iter().map(|t| {
                vec![cell(t, "name"), cell(t, "status"), cell(t, "version"), cell(t, "reason")]
            }),
        )
    }
}

/// What is the same for the whole service, a line each.
fn lines(status: &Value) -> Vec<(&'static str, String)> {
    let (now, count) = (cell(status, "now"), |name: &str| status[name].as_u64().unwrap_or(0));
    let (bus, kept) = (&status["bus"], count("journal_head") + 1 - count("journal_oldest"));
    let pending = match status["oldest_claim_at"].as_str() {
        Some(at) => {
            format!("{} pending, one claimed {}", count("pending_mutations"), ago(&now, at))
        }
        None => format!("{} pending", count("pending_mutations")),
    };
    vec![
        (
            "Morgana",
            format!("{}, up since {}", cell(status, "version"), cell(status, "started_at")),
        ),
        ("Journal", format!("{} events, {kept} kept", count("journal_head"))),
        ("Database", format!("{}, {} waiting", bytes(count("store_bytes")), count("store_queue"))),
        ("Mutations", pending),
        ("Streams", format!("{} live", count("live_streams"))),
        ("Bus", bus_line(bus)),
    ]
}

/// `embedded: 12 published, 3 delivered to 4 subscribers`.
fn bus_line(bus: &Value) -> String {
    let count = |name: &str| bus[name].as_u64().unwrap_or(0);
    let mut line = format!(
        "{}: {} published, {} delivered to {} subscribers",
        cell(bus, "state"),
        count("published"),
        count("delivered"),
        count("subscribers")
    );
    for name in ["dropped", "skipped", "reconnects"] {
        if count(name) > 0 {
            line += &format!(", {} {name}", count(name));
        }
    }
    line
}

/// A number of bytes as people read it.
fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None => format!("{count} bytes"),
    }
}

/// How long before `now` something was: `12 s ago`. Empty where it was never.
pub(super) fn ago(now: &str, then: &str) -> String {
    let (Ok(now), Ok(then)) = (now.parse::<Timestamp>(), then.parse::<Timestamp>()) else {
        return String::new();
    };
    let seconds = (now.as_micros() - then.as_micros()).max(0) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_told_by_their_distance() {
        let now = "2026-01-01T12:00:00.000000Z";
        for (then, expected) in [
            ("2026-01-01T11:59:48.500000Z", "11 s ago"),
            ("2026-01-01T11:50:00.000000Z", "10 min ago"),
            ("2025-12-31T12:00:00.000000Z", "24 h ago"),
            ("2026-01-01T12:00:05.000000Z", "0 s ago"),
            ("", ""),
        ] {
            assert_eq!(ago(now, then), expected);
        }
    }

    #[test]
    fn the_status_is_told_in_words() {
        let status = json!({
            "version": "0.1.0", "started_at": "2026-01-01T11:00:00.000000Z",
            "now": "2026-01-01T12:00:00.000000Z", "journal_head": 40, "journal_oldest": 11,
            "pending_mutations": 2, "oldest_claim_at": "2026-01-01T11:59:57.000000Z",
            "store_queue": 0, "store_bytes": 3_500_000, "live_streams": 1,
            "bus": { "state": "embedded", "published": 12, "delivered": 3, "subscribers": 4,
                "dropped": 1, "skipped": 0, "reconnects": 0 },
        });
        let text: Vec<String> =
            lines(&status).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            text,
            [
                "Morgana: 0.1.0, up since 2026-01-01T11:00:00.000000Z",
                "Journal: 40 events, 30 kept",
                "Database: 3.3 MiB, 0 waiting",
                "Mutations: 2 pending, one claimed 3 s ago",
                "Streams: 1 live",
                "Bus: embedded: 12 published, 3 delivered to 4 subscribers, 1 dropped",
            ]
        );
    }
}

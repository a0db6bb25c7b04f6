//! `morgana bus top`: who is connected and how busy they are, read again and again.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use bus::client::{Client, RequestError};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    seconds,
    show::{bytes, escaped},
};
use crate::cli::render::{self, cell};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Moves the cursor home and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Who is connected and how busy they are.
#[derive(clap::Args)]
pub(super) struct Top {
    /// Print once and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    every: Duration,
    /// Connections that are shown, the busiest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// The server's numbers at one moment.
struct Look {
    at: Instant,
    server: Value,
    connections: Vec<Value>,
}

/// One line of the table.
#[derive(PartialEq, Debug)]
struct Row {
    cid: u64,
    /// Messages a second in and out together: what the table is sorted by.
    busy: f64,
    cells: Vec<String>,
}

impl Top {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let mut before = Look::take(client).await?;
        if self.once {
            return self.print(&before, &before);
        }
        loop {
            tokio::time::sleep(self.every).await;
            let now = Look::take(client).await?;
            render::line(CLEAR)?;
            self.print(&before, &now)?;
            before = now;
        }
    }

    fn print(&self, before: &Look, now: &Look) -> anyhow::Result<()> {
        render::line(&summary(before, now))?;
        let mut rows = rows(before, now);
        rows.sort_by(|a, b| b.busy.total_cmp(&a.busy).then(a.cid.cmp(&b.cid)));
        let hidden = rows.len().saturating_sub(self.limit);
        let head = [
            "CID", "NAME", "USER", "FROM", "LANG", "SUBS", "PENDING", "IN/S", "OUT/S", "IN", "OUT",
        ];
        render::table(&head, rows.into_iter().take(self.limit).map(|row| row.cells))?;
        match hidden {
            0 => Ok(()),
            hidden => render::line(&format!("and {hidden} more: --limit")),
        }
    }
}

impl Look {
    async fn take(client: &Client) -> anyhow::Result<Self> {
        let server = ask(client, "VARZ").await?;
        let connections = ask(client, "CONNZ").await?;
        let connections = connections["connections"].as_array().cloned().unwrap_or_default();
        Ok(Self { at: Instant::now(), server, connections })
    }
}

/// Asks the server for one of its pages.
async fn ask(client: &Client, page: &str) -> anyhow::Result<Value> {
    let subject = format!("$SYS.REQ.SERVER.PING.{page}");
    let answer = client.request(&subject, &[], b"", TIMEOUT).await;
    let answer = answer.map_err(|error| match error {
        RequestError::NoResponders(_) => anyhow::anyhow!(
            "this bus tells its numbers to nobody here; a nats-server tells its system account"
        ),
        RequestError::Client(error) => {
            anyhow::Error::new(error).context("only operators may see who is connected")
        }
        other => other.into(),
    })?;
    let mut answer: Value = serde_json::from_slice(&answer.body).context("no JSON came back")?;
    Ok(answer["data"].take())
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or(0)
}

fn summary(before: &Look, now: &Look) -> String {
    let rate = |field: &str| {
        per_second(before, now, number(&before.server, field), number(&now.server, field))
    };
    let all = |field: &str| number(&now.server, field);
    format!(
        "{} {}, up {}: {} connections, {} subscriptions, {} slow consumers\n\
         in {:.0} msgs/s ({} in all), out {:.0} msgs/s ({} in all)\n",
        escaped(cell(&now.server, "server_name").as_bytes()),
        escaped(cell(&now.server, "version").as_bytes()),
        escaped(cell(&now.server, "uptime").as_bytes()),
        all("connections"),
        all("subscriptions"),
        all("slow_consumers"),
        rate("in_msgs"),
        bytes(all("in_bytes")),
        rate("out_msgs"),
        bytes(all("out_bytes")),
    )
}

/// The change of a counter, by the time that passed; 0 between a look and itself.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(before: &Look, now: &Look, was: u64, is: u64) -> f64 {
    let passed = now.at.duration_since(before.at).as_secs_f64();
    if passed > 0.0 { is.saturating_sub(was) as f64 / passed } else { 0.0 }
}

fn rows(before: &Look, now: &Look) -> Vec<Row> {
    let earlier: BTreeMap<u64, &Value> =
        before.connections.iter().map(|one| (number(one, "cid"), one)).collect();
    let row = |one: &Value| {
        let cid = number(one, "cid");
        // A connection that came meanwhile counts from 0.
        let was = |field: &str| earlier.get(&cid).map_or(0, |one| number(one, field));
        let rate = |field: &str| per_second(before, now, was(field), number(one, field));
        let (in_rate, out_rate) = (rate("in_msgs"), rate("out_msgs"));
        let text = |field: &str| escaped(cell(one, field).as_bytes());
        let cells = vec![
            cid.to_string(),
            text("name"),
            text("authorized_user"),
            from(one),
            text("lang"),
            text("subscriptions"),
            bytes(number(one, "pending_bytes")),
            format!("{in_rate:.0}"),
            format!("{out_rate:.0}"),
            text("in_msgs"),
            text("out_msgs"),
        ];
        Row { cid, busy: in_rate + out_rate, cells }
    };
    now.connections.iter().map(row).collect()
}

/// `127.0.0.1:4312`; the address alone where there is no port, as of a UNIX socket.
fn from(connection: &Value) -> String {
    let ip = cell(connection, "ip");
    let shown = match number(connection, "port") {
        0 => ip,
        port => format!("{ip}:{port}"),
    };
    escaped(shown.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(at: Instant, connections: &Value) -> Look {
        let connections = connections.as_array().cloned().unwrap_or_default();
        Look { at, server: json!({ "in_msgs": 7 }), connections }
    }

    #[test]
    fn rates_are_what_changed_by_the_time_that_passed() {
        let start = Instant::now();
        let before = look(start, &json!([{ "cid": 1, "in_msgs": 10, "out_msgs": 0 }]));
        let now = look(
            start + Duration::from_secs(2),
            &json!([
                { "cid": 1, "in_msgs": 30, "out_msgs": 4, "ip": "10.0.0.1", "port": 5 },
                { "cid": 2, "in_msgs": 2, "name": "\u{1b}[2J", "ip": "unix" },
            ]),
        );
        let rows = rows(&before, &now);
        assert_eq!(rows.iter().map(|row| row.busy).collect::<Vec<_>>(), [12.0, 1.0]);
        assert_eq!(rows[0].cells[3], "10.0.0.1:5");
        assert_eq!((rows[1].cells[1].as_str(), rows[1].cells[3].as_str()), ("\\u{1b}[2J", "unix"));
        assert_eq!(per_second(&now, &now, 0, 9), 0.0, "a look and itself");
    }
}

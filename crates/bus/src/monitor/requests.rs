//! The same numbers on request over the bus: `$SYS.REQ.SERVER.PING`, its `….VARZ`, `….CONNZ` and
//! `….STATSZ`, and `$SYS.REQ.USER.INFO`, answered as nats-server does: `{"server": {…}, "data":
//! {…}}`, where the data of the first are called `statsz`.
//!
//! Who may ask is a matter of permissions: `$SYS.>` is nobody's by default but the operator's.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Facts, Recent, pages};
use crate::broker::{
    Batch, Broker, BrokerStats, LocalClient, LocalOptions, LocalSink, Origin, Outgoing,
};

const SUBJECTS: [&[u8]; 3] =
    [b"$SYS.REQ.SERVER.PING", b"$SYS.REQ.SERVER.PING.*", b"$SYS.REQ.USER.INFO"];
/// The account that everybody is in, as nats-server calls it.
const ACCOUNT: &str = "$G";

/// Requests that wait for an answer before further ones are dropped.
const MAX_WAITING: usize = 64;

/// Answers requests for a broker's numbers.
pub struct Requests {
    recent: Recent,
    facts: Facts,
    client: LocalClient,
    asked: mpsc::Receiver<Asked>,
}

/// What is asked for, and where the answer goes.
struct Asked {
    page: Page,
    from: Origin,
    reply: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Page {
    Varz,
    Connz,
    Statsz,
    User,
}

struct Sink(mpsc::Sender<Asked>);

impl LocalSink for Sink {
    fn deliver(&mut self, batch: Batch) {
        for message in batch.iter() {
            let page = match message.subject.rsplit(|byte| *byte == b'.').next() {
                Some(b"VARZ") => Page::Varz,
                Some(b"CONNZ") => Page::Connz,
                Some(b"PING" | b"STATSZ") => Page::Statsz,
                Some(b"INFO") => Page::User,
                _ => continue,
            };
            if let Some(reply) = message.reply {
                // Full: whoever asks that often asks again.
                let (from, reply) = (message.from, reply.to_vec());
                let _ = self.0.try_send(Asked { page, from, reply });
            }
        }
    }
}

impl Requests {
    /// Subscribes to the requests.
    pub fn new(broker: &Broker, facts: Facts) -> Self {
        let (sink, asked) = mpsc::channel(MAX_WAITING);
        let client = broker.local_with(LocalOptions::named("monitor"), Box::new(Sink(sink)));
        for (sid, subject) in (1..).zip(SUBJECTS) {
            client.subscribe(sid, subject, None);
        }
        Self { recent: Recent::new(broker), facts, client, asked }
    }

    /// Answers until `stop`, or until the broker ends.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            // Cancel-safe: a request that was not taken stays in the channel.
            let asked = tokio::select! {
                () = stop.cancelled() => break,
                asked = self.asked.recv() => asked,
            };
            let Some(asked) = asked else { break };
            let Some(body) = self.answer(&asked).await else { break };
            self.client.publish(Outgoing {
                route: asked.reply.into(),
                body: body.into(),
                ..Outgoing::default()
            });
        }
        self.client.close();
    }

    /// None where the broker ended.
    async fn answer(&self, asked: &Asked) -> Option<Vec<u8>> {
        let stats = self.recent.stats().await?;
        let (key, data) = match asked.page {
            Page::Varz => ("data", pages::varz(&self.facts, &stats)),
            Page::Connz => ("data", pages::connz("auth=1", &stats).unwrap_or_default()),
            Page::Statsz => ("statsz", pages::statsz(&stats)),
            Page::User => {
                let user = self.user(asked.from, &stats).await?;
                let data = serde_json::json!({ "user": user, "account": ACCOUNT });
                ("data", data.to_string().into_bytes())
            }
        };
        let server = serde_json::json!({
            "name": stats.server_name,
            "host": self.facts.clients.map(|addr| addr.ip().to_string()).unwrap_or_default(),
            "id": stats.server_id,
            "ver": self.facts.version,
            "jetstream": self.facts.store_dir.is_some(),
        });
        let mut body = format!(r#"{{"server":{server},"{key}":"#).into_bytes();
        body.extend_from_slice(&data);
        body.push(b'}');
        Some(body)
    }

    /// The name of the user who asks, empty where it has none; none where the broker ended.
    async fn user(&self, from: Origin, stats: &BrokerStats) -> Option<Arc<str>> {
        let Origin::Connection(cid) = from else { return Some("".into()) };
        let of = |stats: &BrokerStats| {
            let asking = stats.clients.iter().find(|client| client.cid == cid)?;
            Some(asking.user.clone().unwrap_or_default())
        };
        match of(stats) {
            Some(user) => Some(user),
            // It came since.
            None => Some(of(&*self.recent.anew().await?).unwrap_or_default()),
        }
    }
}

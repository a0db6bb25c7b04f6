//! The same numbers on request over the bus: `$SYS.REQ.SERVER.PING.VARZ` and `….CONNZ`, answered
//! as nats-server answers its system account: `{"server": {…}, "data": {…}}`.
//!
//! Who may ask is a matter of permissions: `$SYS.>` is nobody's by default but the operator's.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Facts, Recent, pages};
use crate::broker::{Batch, Broker, BrokerStats, LocalClient, LocalOptions, LocalSink, Outgoing};

const SUBJECTS: &[u8] = b"$SYS.REQ.SERVER.PING.*";
const SUBSCRIPTION: u64 = 1;

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
    reply: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Page {
    Varz,
    Connz,
}

struct Sink(mpsc::Sender<Asked>);

impl LocalSink for Sink {
    fn deliver(&mut self, batch: Batch) {
        for message in batch.iter() {
            let page = match message.subject.rsplit(|byte| *byte == b'.').next() {
                Some(b"VARZ") => Page::Varz,
                Some(b"CONNZ") => Page::Connz,
                _ => continue,
            };
            if let Some(reply) = message.reply {
                // Full: whoever asks that often asks again.
                let _ = self.0.try_send(Asked { page, reply: reply.to_vec() });
            }
        }
    }
}

impl Requests {
    /// Subscribes to the requests.
    pub fn new(broker: &Broker, facts: Facts) -> Self {
        let (sink, asked) = mpsc::channel(MAX_WAITING);
        let client = broker.local_with(LocalOptions::named("monitor"), Box::new(Sink(sink)));
        client.subscribe(SUBSCRIPTION, SUBJECTS, None);
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
            let (Some(asked), Some(stats)) = (asked, self.recent.stats().await) else {
                break;
            };
            let body = self.answer(asked.page, &stats).into();
            self.client.publish(Outgoing {
                route: asked.reply.into(),
                body,
                ..Outgoing::default()
            });
        }
        self.client.close();
    }

    fn answer(&self, page: Page, stats: &BrokerStats) -> Vec<u8> {
        let data = match page {
            Page::Varz => pages::varz(&self.facts, stats),
            Page::Connz => pages::connz("auth=1", stats).unwrap_or_else(|_| b"null".to_vec()),
        };
        let server = serde_json::json!({
            "name": stats.server_name,
            "id": stats.server_id,
            "ver": self.facts.version,
        });
        [br#"{"server":"#, server.to_string().as_bytes(), br#","data":"#, &data, b"}"].concat()
    }
}

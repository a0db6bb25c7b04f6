//! The events of a service, followed from a point in time on.

use std::time::Duration;

use morgana::client::{Client, Frames};
use serde_json::Value;

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that came over one stream since it was opened, in order.
pub struct Events {
    frames: Frames,
    /// The journalled and other events so far: the parsed `data:` of each frame.
    pub seen: Vec<Value>,
    /// The snapshot with which the stream began.
    pub snapshot: Value,
    /// The `id:` of the last frame that had one.
    pub last_id: Option<String>,
}

impl Events {
    /// Opens a stream; done when its snapshot is there, so that nothing later is missed.
    pub async fn follow(client: &Client, path: &str) -> Self {
        let frames = client.stream(path).await.expect("the stream opens");
        let mut events = Self { frames, seen: Vec::new(), snapshot: Value::Null, last_id: None };
        while events.snapshot.is_null() {
            events.take().await;
        }
        events
    }

    async fn take(&mut self) {
        let next = tokio::time::timeout(PATIENCE, self.frames.next()).await;
        let frame = next.unwrap_or_else(|_| panic!("no further event after {:#?}", self.kinds()));
        let frame = frame.expect("the stream holds").expect("the stream goes on");
        let data: Value = serde_json::from_str(&frame.data).expect("data is JSON");
        self.last_id = frame.id.or(self.last_id.take());
        match frame.event.as_str() {
            "snapshot" => self.snapshot = data,
            _ => self.seen.push(data),
        }
    }

    /// The kinds seen so far.
    pub fn kinds(&self) -> Vec<&str> {
        self.seen.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    /// Waits for an event of this kind that `wanted` accepts, those already seen included.
    pub async fn wait(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut looked_at = 0;
        loop {
            let found = self.seen[looked_at..]
                .iter()
                .find(|event| event["type"] == kind && wanted(&event["payload"]));
            if let Some(event) = found {
                return event.clone();
            }
            looked_at = self.seen.len();
            self.take().await;
        }
    }

    /// The positions of what was seen, of events that have one.
    pub fn positions(&self) -> Vec<u64> {
        self.seen.iter().filter_map(|event| event["seq"].as_u64()).collect()
    }

    /// The kinds of the events of one session, in order.
    pub fn of_session(&self, session: &Value) -> Vec<&Value> {
        self.seen.iter().filter(|event| event["payload"]["session_id"] == *session).collect()
    }
}

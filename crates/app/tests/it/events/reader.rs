//! What is in a stream, read without any client of JetStream: by its API on a server, by the
//! engine in this process.

use bus::stream::Streams;
use serde_json::{Value, json};

/// Where a stream is.
pub(super) enum Reader {
    Embedded(Streams),
    Nats(async_nats::Client),
}

pub(super) const STREAM: &str = "ACTIVITY_EVENTS";

impl Reader {
    pub(super) async fn of(url: &str) -> Self {
        Self::Nats(async_nats::connect(url).await.unwrap())
    }

    /// A request of JetStream's API.
    pub(super) async fn ask(&self, subject: &str, body: Value) -> Value {
        let Self::Nats(client) = self else { panic!("only a server is asked") };
        let answer = client.request(subject.to_owned(), body.to_string().into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    }

    /// Makes a stream before the sink finds it.
    pub(super) async fn make(&self, name: &str, subjects: &[&str], more: Value) {
        self.configure("CREATE", name, subjects, more).await;
    }

    /// Gives a stream another configuration.
    pub(super) async fn update(&self, name: &str, subjects: &[&str], more: Value) {
        self.configure("UPDATE", name, subjects, more).await;
    }

    async fn configure(&self, verb: &str, name: &str, subjects: &[&str], more: Value) {
        let mut config = json!({"name": name, "subjects": subjects, "storage": "file"});
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let answer = self.ask(&format!("$JS.API.STREAM.{verb}.{name}"), config).await;
        assert!(answer.get("error").is_none(), "{answer}");
    }

    async fn last_seq(&self, stream: &str) -> u64 {
        match self {
            Self::Embedded(streams) => {
                streams.info(stream).await.map_or(0, |info| info.state.last_seq)
            }
            Self::Nats(_) => {
                let info = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), json!({})).await;
                info["state"]["last_seq"].as_u64().unwrap_or(0)
            }
        }
    }

    /// How many messages came into the stream.
    pub(super) async fn count(&self) -> u64 {
        self.last_seq(STREAM).await
    }

    /// Every message in a stream, oldest first: its header block and its body.
    async fn messages_of(&self, stream: &str) -> Vec<(String, Value)> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let mut all = Vec::new();
        for seq in 1..=self.last_seq(stream).await {
            let message = match self {
                Self::Embedded(streams) => {
                    let stored = streams.get(stream, seq).await.unwrap();
                    stored.map(|stored| [stored.headers.to_vec(), stored.body.to_vec()])
                }
                Self::Nats(_) => {
                    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
                    let got = self.ask(&subject, json!({"seq": seq})).await;
                    let part = |name: &str| got["message"][name].as_str().unwrap_or_default();
                    let decoded = |name: &str| STANDARD.decode(part(name)).unwrap();
                    got.get("message").map(|_| [decoded("hdrs"), decoded("data")])
                }
            };
            all.extend(message.map(|[headers, body]| {
                (String::from_utf8(headers).unwrap(), serde_json::from_slice(&body).unwrap())
            }));
        }
        all
    }

    /// The body of every message in a stream, oldest first.
    pub(super) async fn all_of(&self, stream: &str) -> Vec<Value> {
        self.messages_of(stream).await.into_iter().map(|(_, body)| body).collect()
    }

    /// The ids under which the messages were published, in their order, whatever their format.
    pub(super) async fn message_ids(&self) -> Vec<String> {
        let id = |(headers, _): &(String, Value)| {
            let after = headers.split_once("Nats-Msg-Id: ").unwrap().1;
            after.lines().next().unwrap().to_owned()
        };
        self.messages_of(STREAM).await.iter().map(id).collect()
    }

    /// The ids of our events in the stream, in their order.
    pub(super) async fn ids(&self) -> Vec<String> {
        let ours = |event: &Value| {
            let is_ours = event["source"].as_str()?.starts_with("urn:morgana:");
            is_ours.then(|| event["id"].as_str().unwrap().to_owned())
        };
        self.all_of(STREAM).await.iter().filter_map(ours).collect()
    }
}

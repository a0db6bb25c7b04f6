//! Consuming in process: a handle of one consumer.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    super::{
        consumer::{Ack, PullRequest},
        types::{ConsumerInfo, Delivered, NO_WAIT, StreamsError},
    },
    Engine, Streams,
    mailbox::Call,
    port::Fetch,
};

/// A consumer of a stream, used from within the process. Clones share the consumer, and the
/// messages are shared out between them.
#[derive(Debug, Clone)]
pub struct Consumer {
    streams: Streams,
    stream: Arc<str>,
    name: Arc<str>,
}

/// What a fetch brings.
type Fetched = Result<Vec<Delivered>, StreamsError>;

/// A fetch under way. Dropped before its end it is taken back, so that its messages, those that
/// are on their way included, go to somebody else at once.
struct UnderWay<'a> {
    consumer: &'a Consumer,
    number: u64,
    result: oneshot::Receiver<Fetched>,
    ended: bool,
}

impl UnderWay<'_> {
    async fn wait(mut self) -> Fetched {
        // Cut off here, it is not ended: what the channel holds is given back.
        let fetched = (&mut self.result).await.unwrap_or(Err(StreamsError::Closed));
        self.ended = true;
        fetched
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // From now on the engine cannot hand anything over, and keeps it for the call below.
        self.result.close();
        let got = self.result.try_recv().ok().and_then(Result::ok).unwrap_or_default();
        let (stream, name) = (Arc::clone(&self.consumer.stream), Arc::clone(&self.consumer.name));
        let number = self.number;
        let job = move |engine: &mut Engine| engine.withdraw(&stream, &name, number, got);
        self.consumer.streams.shared.mailbox.call(Call::Run(Box::new(job)));
    }
}

impl Consumer {
    pub(super) fn new(streams: Streams, stream: Arc<str>, name: Arc<str>) -> Self {
        Self { streams, stream, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its stream's name.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Up to `max` messages. Returns what is there; where nothing is, waits up to `wait` for the
    /// first ones, and returns none after that. Dropped before its end, it gives its messages
    /// back.
    ///
    /// # Errors
    /// The consumer is gone or serves no more requests, or the streams are closed.
    pub async fn fetch(&self, max: u32, wait: Duration) -> Result<Vec<Delivered>, StreamsError> {
        let max = max.max(1);
        let expires = (wait > NO_WAIT).then_some(wait);
        let request =
            PullRequest { batch: max, expires, no_wait: true, max_bytes: 0, heartbeat: None };
        let number = self.streams.next_fetch();
        let (done, result) = oneshot::channel();
        let (stream, name) = (Arc::clone(&self.stream), Arc::clone(&self.name));
        let under_way = UnderWay { consumer: self, number, result, ended: false };
        let fetch = Fetch { got: Vec::new(), want: max as usize, done: Some(done) };
        self.streams
            .run(move |engine| engine.fetch(&stream, &name, number, &request, fetch))
            .await?;
        under_way.wait().await
    }

    /// These messages are done with. Durable with the next save of the consumer, at most a
    /// second later: a crash before it delivers them again.
    ///
    /// # Errors
    /// The consumer is gone or the streams are closed.
    pub async fn ack(&self, seqs: impl IntoIterator<Item = u64>) -> Result<(), StreamsError> {
        self.settle(seqs.into_iter().collect(), Ack::Done, false).await
    }

    /// As [`Consumer::ack`]; returns once that is on disk.
    ///
    /// # Errors
    /// As [`Consumer::ack`].
    pub async fn ack_synced(
        &self,
        seqs: impl IntoIterator<Item = u64>,
    ) -> Result<(), StreamsError> {
        self.settle(seqs.into_iter().collect(), Ack::Done, true).await
    }

    /// Deliver this message again, after a pause.
    ///
    /// # Errors
    /// As [`Consumer::ack`].
    pub async fn nak(&self, seq: u64, delay: Option<Duration>) -> Result<(), StreamsError> {
        self.settle(vec![seq], Ack::Again(delay), false).await
    }

    /// Never deliver this message again.
    ///
    /// # Errors
    /// As [`Consumer::ack`].
    pub async fn term(&self, seq: u64) -> Result<(), StreamsError> {
        self.settle(vec![seq], Ack::Never, false).await
    }

    /// Work on this message goes on: its wait begins anew.
    ///
    /// # Errors
    /// As [`Consumer::ack`].
    pub async fn in_progress(&self, seq: u64) -> Result<(), StreamsError> {
        self.settle(vec![seq], Ack::Working, false).await
    }

    async fn settle(&self, seqs: Vec<u64>, ack: Ack, sync: bool) -> Result<(), StreamsError> {
        let (stream, name) = (Arc::clone(&self.stream), Arc::clone(&self.name));
        let settle =
            move |engine: &mut Engine| engine.settle_all(&stream, &name, &seqs, &ack, sync);
        self.streams.run(settle).await?
    }

    /// Its configuration and figures.
    ///
    /// # Errors
    /// As [`Consumer::ack`].
    pub async fn info(&self) -> Result<ConsumerInfo, StreamsError> {
        let (stream, name) = (Arc::clone(&self.stream), Arc::clone(&self.name));
        self.streams.run(move |engine| engine.catalogue().consumer_info(&stream, &name)).await?
    }
}

//! The thread that owns all streams, and the handle that programs in this process hold.
//!
//! The thread drains what waits, applies it, commits every stream that changed with one sync
//! each, and only then lets acknowledgements and messages out. It blocks while nothing waits.
//! With a broker attached it also serves the streams' subjects and JetStream's API; without
//! one everything in process works the same.

mod api;
mod cycle;
mod deliver;
mod mailbox;
pub(crate) mod port;
mod publish;
mod pull;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use model::Ambient;
use tokio::sync::{Semaphore, oneshot, watch};

pub(crate) use cycle::Engine;
use mailbox::{Call, Mailbox, Sink};
pub use pull::Consumer;

use super::{
    Purge, Registry, Stored, StreamConfig,
    catalogue::Catalogue,
    consumer::ConsumerConfig,
    types::{
        ConsumerInfo, OpenError, PubAck, Publish, PublishError, StreamInfo, StreamsConfig,
        StreamsError,
    },
};
use crate::broker::{Broker, LocalOptions};

/// The streams of one directory: a handle of the thread that owns them. Clones share it; with
/// the last one it ends by itself, writing what it has.
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

struct Shared {
    mailbox: Arc<Mailbox>,
    /// One permit per call that waits for its answer.
    permits: Semaphore,
    ended: watch::Receiver<bool>,
    fetches: AtomicU64,
}

/// Says that the thread has ended, whichever way.
struct Ending {
    mailbox: Arc<Mailbox>,
    end: watch::Sender<bool>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.mailbox.end();
        self.end.send_replace(true);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("ended", &*self.shared.ended.borrow()).finish()
    }
}

impl Streams {
    /// Opens the streams in a directory, repairs what a crash left, and starts their thread.
    ///
    /// # Errors
    /// Another process holds the directory, or it cannot be read.
    pub fn open(
        dir: impl AsRef<Path>,
        config: StreamsConfig,
        ambient: Ambient,
    ) -> Result<Self, OpenError> {
        let permits = Semaphore::new(config.max_calls);
        let registry = Registry::open(dir.as_ref(), config.log.clone())?;
        let catalogue = Catalogue::open(registry, config, ambient)?;
        let mailbox = Arc::new(Mailbox::default());
        let (end, ended) = watch::channel(false);
        let engine = Engine::new(catalogue, Arc::clone(&mailbox));
        let ending = Ending { mailbox: Arc::clone(&mailbox), end };
        let run = move || {
            let _ending = ending;
            engine.run();
        };
        std::thread::Builder::new()
            .name("morgana-streams".into())
            .spawn(run)
            .map_err(OpenError::Thread)?;
        let fetches = AtomicU64::new(1);
        Ok(Self { shared: Arc::new(Shared { mailbox, permits, ended, fetches }) })
    }

    /// Serves the streams to the clients of a broker from now on.
    pub fn attach(&self, broker: &Broker) {
        let options = LocalOptions { echo: false, ..LocalOptions::named("streams") };
        let client = broker.local_with(options, Box::new(Sink(Arc::clone(&self.shared.mailbox))));
        self.shared.mailbox.call(Call::Attach(client));
    }

    /// Runs `job` on the thread and brings its result back; full means that the caller waits.
    async fn run<T, F>(&self, job: F) -> Result<T, StreamsError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Engine) -> T + Send + 'static,
    {
        let _permit = self.shared.permits.acquire().await.map_err(|_| StreamsError::Closed)?;
        let (done, result) = oneshot::channel();
        let job = move |engine: &mut Engine| {
            // Where the caller has gone, the work was still asked for.
            let _ = done.send(job(engine));
        };
        if !self.shared.mailbox.call(Call::Run(Box::new(job))) {
            return Err(StreamsError::Closed);
        }
        result.await.map_err(|_| StreamsError::Closed)
    }

    /// Returns once everything that was asked before is done; after [`Streams::attach`]: once
    /// the broker has the subscriptions.
    ///
    /// # Errors
    /// The streams are closed.
    pub async fn ready(&self) -> Result<(), StreamsError> {
        let client = self.run(|engine| engine.client().cloned()).await?;
        if let Some(client) = client {
            client.flush().await;
        }
        Ok(())
    }

    /// Makes a stream or, where one of this name exists, gives it this configuration.
    ///
    /// # Errors
    /// The configuration is refused, or the files fail.
    pub async fn ensure(&self, config: StreamConfig) -> Result<StreamInfo, StreamsError> {
        self.run(move |engine| engine.ensure(config)).await?
    }

    /// Stores a message; returns once it is on disk. Many may be under way at once: those that
    /// wait together are written and synced together.
    ///
    /// # Errors
    /// Says why it is not stored.
    pub async fn publish(&self, message: Publish) -> Result<PubAck, PublishError> {
        let permit = self.shared.permits.acquire().await;
        let _permit = permit.map_err(|_| PublishError::Closed)?;
        let (done, result) = oneshot::channel();
        if !self.shared.mailbox.call(Call::Publish(message, done)) {
            return Err(PublishError::Closed);
        }
        result.await.unwrap_or(Err(PublishError::Closed))
    }

    /// Stores many messages in this order with one commit per stream; one answer for each.
    ///
    /// # Errors
    /// The streams are closed; what is wrong with one message is in its own answer.
    pub async fn publish_many(
        &self,
        messages: Vec<Publish>,
    ) -> Result<Vec<Result<PubAck, PublishError>>, StreamsError> {
        let waiting = self
            .run(move |engine| {
                let all = messages.into_iter().map(|message| {
                    let (done, result) = oneshot::channel();
                    engine.publish(&message, done);
                    result
                });
                all.collect::<Vec<_>>()
            })
            .await?;
        let mut answers = Vec::with_capacity(waiting.len());
        for result in waiting {
            answers.push(result.await.unwrap_or(Err(PublishError::Closed)));
        }
        Ok(answers)
    }

    /// Makes a consumer, or updates the one of this name.
    ///
    /// # Errors
    /// The stream is missing or the configuration is refused.
    pub async fn consumer(
        &self,
        stream: &str,
        config: ConsumerConfig,
    ) -> Result<Consumer, StreamsError> {
        let of = stream.to_owned();
        let name =
            self.run(move |engine| engine.catalogue().create_consumer(&of, config)).await??;
        Ok(Consumer::new(self.clone(), stream.into(), name.into()))
    }

    /// Removes a consumer; who waits for its messages is told.
    ///
    /// # Errors
    /// There is no such stream or consumer.
    pub async fn remove_consumer(&self, stream: &str, name: &str) -> Result<(), StreamsError> {
        let (stream, name) = (stream.to_owned(), name.to_owned());
        self.run(move |engine| engine.remove_consumer(&stream, &name)).await?
    }

    /// The consumers of a stream, by name.
    ///
    /// # Errors
    /// There is no such stream.
    pub async fn consumers(&self, stream: &str) -> Result<Vec<ConsumerInfo>, StreamsError> {
        let stream = stream.to_owned();
        self.run(move |engine| engine.catalogue().consumer_infos(&stream)).await?
    }

    /// One stream's configuration and figures.
    ///
    /// # Errors
    /// There is no such stream.
    pub async fn info(&self, stream: &str) -> Result<StreamInfo, StreamsError> {
        let stream = stream.to_owned();
        self.run(move |engine| engine.catalogue().info(&stream)).await?
    }

    /// All streams, by name.
    ///
    /// # Errors
    /// The streams are closed.
    pub async fn infos(&self) -> Result<Vec<StreamInfo>, StreamsError> {
        self.run(|engine| engine.catalogue().infos()).await
    }

    /// One message by its number; none where it is gone or not there yet.
    ///
    /// # Errors
    /// There is no such stream, or the message cannot be read.
    pub async fn get(&self, stream: &str, seq: u64) -> Result<Option<Stored>, StreamsError> {
        let stream = stream.to_owned();
        self.run(move |engine| Ok(engine.catalogue().get(&stream)?.log.get(seq)?)).await?
    }

    /// The last message of a subject.
    ///
    /// # Errors
    /// As [`Streams::get`].
    pub async fn last_by_subject(
        &self,
        stream: &str,
        subject: &[u8],
    ) -> Result<Option<Stored>, StreamsError> {
        let (stream, subject) = (stream.to_owned(), subject.to_vec());
        self.run(move |engine| {
            let log = &mut engine.catalogue().get(&stream)?.log;
            match log.last_by_subject(&subject) {
                Some(seq) => Ok(log.get(seq)?),
                None => Ok(None),
            }
        })
        .await?
    }

    /// Removes one message, overwriting its bytes with `erase`; false where it is not there.
    ///
    /// # Errors
    /// The stream is missing or forbids it.
    pub async fn delete_message(
        &self,
        stream: &str,
        seq: u64,
        erase: bool,
    ) -> Result<bool, StreamsError> {
        let stream = stream.to_owned();
        self.run(move |engine| engine.catalogue().delete_message(&stream, seq, erase)).await?
    }

    /// Removes many messages; says how many.
    ///
    /// # Errors
    /// The stream is missing or forbids it.
    pub async fn purge(&self, stream: &str, purge: Purge) -> Result<u64, StreamsError> {
        let stream = stream.to_owned();
        self.run(move |engine| engine.catalogue().purge(&stream, &purge)).await?
    }

    /// Removes a stream with everything in it.
    ///
    /// # Errors
    /// There is no such stream, or its files cannot be removed.
    pub async fn remove(&self, stream: &str) -> Result<(), StreamsError> {
        let stream = stream.to_owned();
        self.run(move |engine| engine.remove_stream(&stream)).await?
    }

    /// Takes no more calls, does those that wait, writes everything and ends the thread. Twice
    /// is harmless.
    pub async fn close(&self) {
        self.shared.mailbox.close();
        let mut ended = self.shared.ended.clone();
        // An error means that the sender is gone, which is the end as well.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    fn next_fetch(&self) -> u64 {
        self.shared.fetches.fetch_add(1, Ordering::Relaxed)
    }
}

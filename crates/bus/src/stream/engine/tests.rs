//! The in-process API over real files, without a broker.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use model::Ambient;

use super::{
    super::{
        ConsumerConfig, LogError, Publish, PublishError, Retention, StreamConfig, StreamLog,
        StreamsConfig, StreamsError,
    },
    Streams,
};

const WAIT: Duration = Duration::from_secs(10);

fn open(dir: &std::path::Path) -> Streams {
    open_at(dir, Ambient::system())
}

fn open_at(dir: &std::path::Path, ambient: Ambient) -> Streams {
    let mut config = StreamsConfig::default();
    config.log.first_segment_bytes = 64 << 10;
    Streams::open(dir, config, ambient).expect("the directory is ours")
}

/// Does something to the stream `S`, behind everybody's back.
async fn tamper(streams: &Streams, act: impl FnOnce(&mut StreamLog) + Send + 'static) {
    let done = streams.run(|engine| act(&mut engine.catalogue().get("S").expect("a stream").log));
    done.await.expect("open");
}

/// Lets a future go as far as it can now; whether it waits there.
fn waits<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn config(name: &str) -> StreamConfig {
    let name = name.parse().expect("a name");
    StreamConfig::new(name, vec!["s.>".to_owned()])
}

fn message(body: &str) -> Publish {
    Publish {
        subject: Bytes::from_static(b"s.1"),
        body: Bytes::copy_from_slice(body.as_bytes()),
        ..Publish::default()
    }
}

fn bodies(got: &[super::super::Delivered]) -> Vec<&str> {
    got.iter().map(|m| std::str::from_utf8(&m.body).expect("text")).collect()
}

#[tokio::test]
async fn acknowledged_messages_and_settled_deliveries_survive() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    for (seq, body) in [(1, "a"), (2, "b"), (3, "c")] {
        let ack = streams.publish(message(body)).await.expect("stored");
        assert_eq!((ack.seq, ack.duplicate), (seq, false));
    }
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    let got = consumer.fetch(2, WAIT).await.expect("messages");
    assert_eq!(bodies(&got), ["a", "b"]);
    consumer.ack_synced([1]).await.expect("settled");
    streams.close().await;
    streams.close().await;
    assert!(matches!(streams.publish(message("d")).await, Err(PublishError::Closed)));

    let streams = open(dir.path());
    let info = streams.info("S").await.expect("the stream is there");
    assert_eq!((info.state.messages, info.consumers), (3, 1));
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    assert_eq!(bodies(&consumer.fetch(9, WAIT).await.expect("messages")), ["c"]);
    consumer.nak(2, None).await.expect("settled");
    let again = consumer.fetch(9, WAIT).await.expect("messages");
    assert_eq!((bodies(&again), again[0].deliveries), (vec!["b"], 2));
    streams.close().await;
}

#[tokio::test]
async fn a_fetch_waits_for_what_comes() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    assert!(consumer.fetch(1, Duration::ZERO).await.expect("nothing").is_empty());
    let (got, ack) = tokio::join!(consumer.fetch(5, WAIT), streams.publish(message("late")));
    ack.expect("stored");
    assert_eq!(bodies(&got.expect("messages")), ["late"]);
    let missing = streams.remove_consumer("S", "other").await;
    assert!(matches!(missing, Err(StreamsError::NoConsumer(_))));
    streams.remove_consumer("S", "c").await.expect("removed");
    assert!(matches!(consumer.fetch(1, WAIT).await, Err(StreamsError::NoConsumer(_))));
    streams.close().await;
}

#[tokio::test]
async fn many_messages_are_committed_together_and_duplicates_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let named = |id: &'static str| Publish {
        msg_id: Some(Bytes::from_static(id.as_bytes())),
        ..message(id)
    };
    let to = |subject: &'static [u8]| Publish {
        subject: Bytes::from_static(subject),
        ..Publish::default()
    };
    let (stray, odd) = (to(b"other"), [b"s. ", b"s.\t", b"s.\r", b"s.\n"].map(|odd| to(odd)));
    let sent = [named("a"), named("b"), named("a"), stray].into_iter().chain(odd);
    let answers = streams.publish_many(sent.collect()).await;
    let answers = answers.expect("answers");
    let seen: Vec<_> = answers.iter().flatten().map(|ack| (ack.seq, ack.duplicate)).collect();
    assert_eq!(seen, [(1, false), (2, false), (1, true)]);
    assert!(matches!(answers[3], Err(PublishError::NoStream)));
    assert!(answers[4..].iter().all(|refused| matches!(refused, Err(PublishError::Subject))));
    streams.close().await;
}

#[tokio::test]
async fn a_work_queue_forgets_what_is_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    let queue = StreamConfig { retention: Retention::WorkQueue, ..config("Q") };
    streams.ensure(queue).await.expect("a stream");
    streams.publish_many(["a", "b"].map(message).to_vec()).await.expect("answers");
    let consumer = streams.consumer("Q", ConsumerConfig::durable("c")).await.expect("a consumer");
    let second = streams.consumer("Q", ConsumerConfig::durable("d")).await;
    assert!(matches!(second, Err(StreamsError::ConsumerConfig(_))));
    consumer.fetch(2, WAIT).await.expect("messages");
    consumer.ack_synced([1]).await.expect("settled");
    assert_eq!(streams.info("Q").await.expect("a stream").state.messages, 1);
    assert!(streams.get("Q", 1).await.expect("readable").is_none());
    streams.close().await;
}

#[tokio::test]
async fn a_stream_whose_files_failed_is_taken_up_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let ambient = Ambient::seeded(1, model::Timestamp::from_micros(1_000_000));
    let streams = open_at(dir.path(), ambient.clone());
    let queue = StreamConfig { retention: Retention::WorkQueue, ..config("S") };
    streams.ensure(queue).await.expect("a stream");
    streams.publish_many(["a", "b"].map(message).to_vec()).await.expect("answers");
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    consumer.fetch(2, WAIT).await.expect("messages");
    tamper(&streams, StreamLog::break_files).await;
    assert!(consumer.ack_synced([1]).await.is_err(), "its removal is not on disk");
    consumer.ack([2]).await.expect("taken note of");
    let refused = streams.publish(message("c")).await.expect_err("nothing is written");
    assert!(matches!(refused, PublishError::Refused(_) | PublishError::NotWritten), "{refused}");
    ambient.advance(Duration::from_secs(1));
    streams.ready().await.expect("open");
    assert_eq!(streams.publish(message("d")).await.expect("stored").seq, 3);
    assert_eq!(streams.info("S").await.expect("a stream").state.messages, 1);
    assert_eq!(bodies(&consumer.fetch(9, WAIT).await.expect("messages")), ["d"]);
    consumer.ack_synced([3]).await.expect("settled");
    assert_eq!(streams.info("S").await.expect("a stream").state.messages, 0);
    streams.close().await;
}

#[tokio::test]
async fn only_what_is_saved_is_confirmed() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    streams.publish_many(["a", "b", "c"].map(message).to_vec()).await.expect("answers");
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    consumer.fetch(3, WAIT).await.expect("messages");
    // It takes what is written, and cannot be synced; what has no room cannot be written.
    for broken in ["/dev/null", "/dev/full"] {
        tamper(&streams, move |log| log.break_consumers(broken.as_ref())).await;
        for _ in 0..2 {
            let failed = consumer.ack_synced([1]).await.expect_err(broken);
            assert!(matches!(failed, StreamsError::Log(LogError::Io { .. })), "{failed}");
        }
    }
    let file = dir.path().join("S/consumers/c.consumer");
    tamper(&streams, move |log| log.break_consumers(&file)).await;
    consumer.ack_synced([1]).await.expect("saved");
    let kept = std::fs::read(dir.path().join("S/consumers/c.consumer")).expect("readable");
    streams.close().await;
    std::fs::write(dir.path().join("S/consumers/c.consumer"), kept).expect("written");
    let streams = open(dir.path());
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    let state = consumer.info().await.expect("a consumer").state;
    assert_eq!((state.ack_pending, state.ack_floor.seq), (2, 1));
    streams.close().await;
}

#[tokio::test]
async fn a_consumer_that_is_not_on_disk_was_not_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let consumers = dir.path().join("S/consumers");
    std::fs::remove_dir(&consumers).expect("it is empty");
    let refused = streams.consumer("S", ConsumerConfig::durable("c")).await;
    assert!(matches!(refused, Err(StreamsError::Log(_))));
    assert!(streams.consumers("S").await.expect("a stream").is_empty());
    std::fs::create_dir(&consumers).expect("made");
    streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    streams.close().await;
}

#[tokio::test]
async fn a_rollup_replaces_what_was_published_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    let rolled = StreamConfig { allow_rollup_hdrs: true, ..config("S") };
    streams.ensure(rolled).await.expect("a stream");
    let headers = Bytes::from_static(b"NATS/1.0\r\nNats-Rollup: sub\r\n\r\n");
    let last = Publish { headers, ..message("last") };
    let answers = streams.publish_many(vec![message("first"), last]).await.expect("answers");
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(streams.info("S").await.expect("a stream").state.messages, 1);
    assert!(streams.get("S", 1).await.expect("readable").is_none());
    streams.close().await;
}

#[tokio::test]
async fn a_fetch_that_is_cut_off_gives_back_what_it_got() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let consumer = streams.consumer("S", ConsumerConfig::durable("c")).await.expect("a consumer");
    // Everything between the last look at the fetch and its end happens to it.
    for ready in [false, true] {
        let mut fetch = Box::pin(consumer.fetch(1, WAIT));
        assert!(waits(fetch.as_mut()));
        streams.ready().await.expect("open");
        assert!(waits(fetch.as_mut()));
        if ready {
            streams.publish(message("a")).await.expect("stored");
            streams.ready().await.expect("open");
        }
        drop(fetch);
    }
    let got = consumer.fetch(1, Duration::ZERO).await.expect("messages");
    assert_eq!((bodies(&got), got[0].deliveries), (vec!["a"], 2));
    streams.close().await;
}

#[tokio::test]
async fn a_consumer_with_too_many_requests_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let narrow = ConsumerConfig { max_waiting: 1, ..ConsumerConfig::durable("c") };
    let consumer = streams.consumer("S", narrow).await.expect("a consumer");
    let mut first = Box::pin(consumer.fetch(1, WAIT));
    assert!(waits(first.as_mut()));
    let second = consumer.fetch(1, WAIT).await;
    assert!(matches!(second, Err(StreamsError::FetchRefused(why)) if why == "Exceeded MaxWaiting"));
    streams.publish(message("a")).await.expect("stored");
    assert_eq!(bodies(&first.await.expect("messages")), ["a"]);
    streams.close().await;
}

#[tokio::test]
async fn nobody_waits_for_a_thread_that_panicked() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let panicked = streams.run(|_| -> () { panic!("the thread ends here") });
    let waiting = streams.publish(message("a"));
    let (panicked, waiting) = tokio::join!(panicked, waiting);
    assert!(matches!(panicked, Err(StreamsError::Closed)));
    assert!(matches!(waiting, Err(PublishError::Closed)));
    assert!(matches!(streams.publish(message("b")).await, Err(PublishError::Closed)));
    streams.close().await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_removed_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    streams.ensure(config("S")).await.expect("a stream");
    let in_the_way = dir.path().join("=gone.S");
    std::fs::write(&in_the_way, "").expect("written");
    assert!(matches!(streams.remove("S").await, Err(StreamsError::Log(_))));
    assert_eq!(streams.publish(message("a")).await.expect("stored").seq, 1);
    std::fs::remove_file(in_the_way).expect("removed");
    streams.remove("S").await.expect("removed");
    assert!(matches!(streams.publish(message("b")).await, Err(PublishError::NoStream)));
    streams.ensure(config("S")).await.expect("a new stream");
    assert_eq!(streams.publish(message("b")).await.expect("stored").seq, 1);
    streams.close().await;
}

#[tokio::test]
async fn what_nobody_wants_goes_with_the_commit_that_brought_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let streams = open(dir.path());
    let interest = StreamConfig { retention: Retention::Interest, ..config("S") };
    streams.ensure(interest).await.expect("a stream");
    let wants = |name, filter: &str| ConsumerConfig {
        filter: Some(filter.to_owned()),
        ..ConsumerConfig::durable(name)
    };
    streams.consumer("S", wants("one", "s.1")).await.expect("a consumer");
    streams.consumer("S", wants("two", "s.2")).await.expect("a consumer");
    let to = |subject: &'static str| Publish { subject: subject.into(), ..message("") };
    let sent = ["s.1", "s.2", "s.3"].map(to).to_vec();
    let answers = streams.publish_many(sent).await.expect("answers");
    assert!(answers.iter().all(Result::is_ok));
    tamper(&streams, |log| assert!(!log.is_dirty() && log.state().messages == 2)).await;
    // What only this one wants goes once the stream is opened again.
    streams.remove_consumer("S", "one").await.expect("removed");
    streams.close().await;
    let streams = open(dir.path());
    streams.ready().await.expect("open");
    tamper(&streams, |log| assert!(!log.is_dirty() && log.state().messages == 1)).await;
    streams.close().await;
}

//! The stream of this process.

use bus::{
    proto::HeaderBuilder,
    stream::{AppendError, Publish, PublishError, Stored, StreamInfo, Streams, StreamsError},
};
use bytes::Bytes;

use super::{
    Message, Unreachable,
    link::{Answer, Kept, headers},
    stream::{ACTIVITY_EVENTS, Choice, Found, choose, embedded},
};

/// The largest message that a client of the broker could be given.
const MAX_MESSAGE: usize = 1 << 20;

/// The streams with the one that takes the events.
pub(super) struct EmbeddedLink {
    streams: Streams,
    name: String,
    limit: usize,
}

impl EmbeddedLink {
    pub(super) async fn open(streams: Streams) -> Result<Self, Unreachable> {
        let overlapping: Vec<Found> =
            streams.infos().await.map_err(away)?.iter().filter_map(found).collect();
        let name = match choose(&overlapping)? {
            Choice::Use(name) => name,
            Choice::Make => {
                streams.ensure(embedded()).await.map_err(away)?;
                ACTIVITY_EVENTS.into()
            }
        };
        let config = streams.info(&name).await.map_err(away)?.config;
        let limit = config.max_msg_size.map_or(MAX_MESSAGE, |most| MAX_MESSAGE.min(most as usize));
        Ok(Self { streams, name, limit })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) async fn last(&self, subject: &str) -> Result<Option<Kept>, Unreachable> {
        let last = self.streams.last_by_subject(&self.name, subject.as_bytes()).await;
        Ok(last.map_err(away)?.map(kept))
    }

    pub(super) async fn range(&self) -> Result<(u64, u64), Unreachable> {
        let state = self.streams.info(&self.name).await.map_err(away)?.state;
        Ok((state.first_seq, state.last_seq))
    }

    pub(super) async fn get(&self, seq: u64) -> Result<Option<Kept>, Unreachable> {
        Ok(self.streams.get(&self.name, seq).await.map_err(away)?.map(kept))
    }

    pub(super) async fn publish(
        &self,
        messages: &[Message],
        chained: bool,
    ) -> Result<Vec<Answer>, Unreachable> {
        let lines = headers(&self.name, messages, chained);
        let batch = messages.iter().zip(lines).map(|(message, lines)| {
            let block = lines.into_iter().fold(HeaderBuilder::new(), |b, (key, v)| b.add(key, v));
            Publish {
                subject: Bytes::from_static(message.subject.as_bytes()),
                headers: block.finish().into(),
                body: message.body.clone(),
                msg_id: None,
            }
        });
        let answers = self.streams.publish_many(batch.collect()).await.map_err(away)?;
        Ok(answers.into_iter().map(answer).collect())
    }
}

fn answer(answer: Result<bus::stream::PubAck, PublishError>) -> Answer {
    match answer {
        Ok(ack) => Answer::Stored {
            stream: ack.stream.to_string(),
            seq: ack.seq,
            duplicate: ack.duplicate,
        },
        Err(PublishError::Refused(AppendError::WrongLastMsgId { .. })) => Answer::OtherLast,
        Err(PublishError::Refused(
            error @ (AppendError::TooLarge { .. } | AppendError::LongField { .. }),
        )) => Answer::TooLarge(error.to_string()),
        Err(error @ (PublishError::NoStream | PublishError::Headers(_))) => {
            Answer::Elsewhere(with_sources(&error))
        }
        Err(error) => Answer::Failed(with_sources(&error)),
    }
}

fn kept(Stored { headers, body, .. }: Stored) -> Kept {
    Kept { headers, body }
}

/// What `SUBJECTS` has to do with a stream: it and its subjects, where they overlap.
fn found(stream: &StreamInfo) -> Option<Found> {
    let takes_some = stream.config.subjects.iter().any(|subject| overlaps(subject));
    takes_some.then(|| Found {
        name: stream.config.name.to_string(),
        subjects: stream.config.subjects.clone(),
        acknowledges: true,
    })
}

fn overlaps(filter: &str) -> bool {
    bus::matcher::overlaps(filter.as_bytes(), super::stream::SUBJECTS.as_bytes())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn away(error: StreamsError) -> Unreachable {
    Unreachable(with_sources(&error))
}

/// An error with what caused it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

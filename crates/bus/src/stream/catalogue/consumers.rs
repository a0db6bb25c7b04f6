//! Making, changing and removing consumers, and which of their configurations are accepted.

use std::time::Duration;

use super::super::{
    Retention, StreamConfig,
    config::check_name,
    consumer::{AckPolicy, ConsumerConfig, Cursor, Deliver},
    engine::port::Reader,
    types::{ConsumerFault, ConsumerInfo, StreamsError},
};
use super::{Catalogue, Consumer, Stream, within};
use crate::matcher;

/// An ephemeral consumer that nobody uses for this long goes, unless it says otherwise.
const INACTIVE: Duration = Duration::from_secs(5);
/// Pull requests that may wait at one consumer at most, whatever it asks for: each look at a
/// consumer goes through them.
const MAX_WAITING: u32 = 16_384;
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

impl Catalogue {
    /// Makes a consumer, or updates the one of this name; returns its name.
    pub(crate) fn create_consumer(
        &mut self,
        stream: &str,
        config: ConsumerConfig,
    ) -> Result<String, StreamsError> {
        let now = self.now();
        let config = self.completed(config);
        let account = self.account();
        let full = account.max_consumers.is_some_and(|most| self.consumers() >= most);
        let max = if full { 0 } else { self.limits.max_consumers };
        let stream = self.get(stream)?;
        check(&config, stream)?;
        let name = config.name.clone();
        if let Some(slot) = stream.consumer_slot(&name) {
            update(stream, slot, config, now)?;
            return Ok(name);
        }
        check_room(stream, max)?;
        check_work_queue(&config, stream)?;
        let cursor = Cursor::new(config, &mut Reader::new(&mut stream.log), now);
        let slot = stream.insert(cursor);
        if let Err(error) = stream.save_consumer(slot) {
            stream.take(&name);
            return Err(error.into());
        }
        Ok(name)
    }

    /// A configuration with what it leaves open.
    pub(crate) fn completed(&self, mut config: ConsumerConfig) -> ConsumerConfig {
        if config.name.is_empty() {
            config.name = self.made_up_name();
        }
        if !config.durable && config.inactive_threshold.is_none() {
            config.inactive_threshold = Some(INACTIVE);
        }
        config.max_waiting = config.max_waiting.min(MAX_WAITING);
        let most = self.account().max_ack_pending;
        config.max_ack_pending = match (config.max_ack_pending, most) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => most.filter(|_| config.ack != AckPolicy::None).or(own),
        };
        config
    }

    /// Consumers of all streams.
    fn consumers(&self) -> usize {
        self.slots.iter().flatten().map(|stream| stream.consumers().count()).sum()
    }

    fn made_up_name(&self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let random: [u8; 8] = self.ambient().bytes();
        random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
    }

    pub(crate) fn consumer_info(
        &mut self,
        stream: &str,
        name: &str,
    ) -> Result<ConsumerInfo, StreamsError> {
        let stream = self.get(stream)?;
        stream.consumer_info(name).ok_or_else(|| StreamsError::NoConsumer(name.to_owned()))
    }

    /// All consumers of a stream, by name.
    pub(crate) fn consumer_infos(
        &mut self,
        stream: &str,
    ) -> Result<Vec<ConsumerInfo>, StreamsError> {
        let stream = self.get(stream)?;
        let names: Vec<String> = stream.consumer_names().into_iter().map(str::to_owned).collect();
        Ok(names.iter().filter_map(|name| stream.consumer_info(name)).collect())
    }

    /// Takes a consumer out; the caller tells those who wait for it.
    pub(crate) fn remove_consumer(
        &mut self,
        stream: &str,
        name: &str,
    ) -> Result<Consumer, StreamsError> {
        let stream = self.get(stream)?;
        let none = || StreamsError::NoConsumer(name.to_owned());
        let consumer = stream.take(name).ok_or_else(none)?;
        if consumer.cursor.config().durable {
            stream.log.remove_consumer(name)?;
        }
        Ok(consumer)
    }
}

fn update(
    stream: &mut Stream,
    slot: usize,
    config: ConsumerConfig,
    now: model::Timestamp,
) -> Result<(), StreamsError> {
    let Some(consumer) = stream.consumer_at(slot) else { return Ok(()) };
    let old = consumer.cursor.config();
    if *old == config {
        return Ok(());
    }
    let fixed = [
        (old.ack != config.ack, "ack policy"),
        (old.deliver != config.deliver, "deliver policy"),
        (old.replay_original != config.replay_original, "replay policy"),
        (old.push.is_some() != config.push.is_some(), "deliver subject"),
        (old.max_waiting != config.max_waiting, "max waiting"),
    ];
    if let Some((_, what)) = fixed.iter().find(|(differs, _)| *differs) {
        return Err(StreamsError::FixedConsumer(what));
    }
    consumer.cursor.update(config, now);
    Ok(stream.save_consumer(slot)?)
}

fn check(config: &ConsumerConfig, stream: &Stream) -> Result<(), StreamsError> {
    let name = check_name(&config.name).err().map(|_| ConsumerFault::Name);
    let fault = name
        .or_else(|| push_fault(config, stream.log.config()))
        .or_else(|| filter_fault(config, stream.log.config()))
        .or_else(|| backoff_fault(config));
    fault.map_or(Ok(()), |fault| Err(StreamsError::ConsumerConfig(fault)))
}

fn push_fault(config: &ConsumerConfig, stream: &StreamConfig) -> Option<ConsumerFault> {
    let Some(push) = &config.push else {
        let unacked = config.ack == AckPolicy::None && stream.retention == Retention::WorkQueue;
        return unacked.then_some(ConsumerFault::PullRequiresAck);
    };
    if !matcher::valid_literal(push.subject.as_bytes()) {
        return Some(ConsumerFault::DeliverToWildcards);
    }
    if within(&push.subject, &stream.subjects) {
        return Some(ConsumerFault::DeliverCycle);
    }
    if push.heartbeat.is_some_and(|beat| beat < MIN_HEARTBEAT) {
        return Some(ConsumerFault::SmallHeartbeat);
    }
    let unguarded = push.flow_control && push.heartbeat.is_none();
    unguarded.then_some(ConsumerFault::FlowControlNeedsHeartbeat)
}

fn filter_fault(config: &ConsumerConfig, stream: &StreamConfig) -> Option<ConsumerFault> {
    match &config.filter {
        Some(filter) if !meets(filter, &stream.subjects) => Some(ConsumerFault::FilterNotSubset),
        None if config.deliver == Deliver::LastPerSubject => {
            Some(ConsumerFault::LastPerSubjectNeedsFilter)
        }
        _ => None,
    }
}

/// Whether a filter can name anything that the stream captures.
fn meets(filter: &str, subjects: &[String]) -> bool {
    subjects.iter().any(|subject| matcher::overlaps(filter.as_bytes(), subject.as_bytes()))
}

fn backoff_fault(config: &ConsumerConfig) -> Option<ConsumerFault> {
    let max = config.max_deliver.unwrap_or(u32::MAX) as usize;
    (config.backoff.len() > max).then_some(ConsumerFault::MaxDeliverBackoff)
}

fn check_room(stream: &Stream, max: usize) -> Result<(), StreamsError> {
    let own = stream.log.config().max_consumers.map_or(max, |own| max.min(own as usize));
    if stream.consumers().count() >= own {
        return Err(StreamsError::TooMany("consumers"));
    }
    Ok(())
}

fn check_work_queue(config: &ConsumerConfig, stream: &Stream) -> Result<(), StreamsError> {
    if stream.log.config().retention != Retention::WorkQueue {
        return Ok(());
    }
    work_queue_fault(config, stream)
        .map_or(Ok(()), |fault| Err(StreamsError::ConsumerConfig(fault)))
}

fn work_queue_fault(config: &ConsumerConfig, stream: &Stream) -> Option<ConsumerFault> {
    if config.ack != AckPolicy::Explicit {
        return Some(ConsumerFault::WorkQueueExplicitAck);
    }
    if stream.consumers().count() > 0 {
        let Some(filter) = &config.filter else { return Some(ConsumerFault::WorkQueueNotUnique) };
        let clashes = |other: &Consumer| match &other.cursor.config().filter {
            Some(taken) => matcher::overlaps(taken.as_bytes(), filter.as_bytes()),
            None => true,
        };
        if stream.consumers().any(clashes) {
            return Some(ConsumerFault::WorkQueueFilterNotUnique);
        }
    }
    (config.deliver != Deliver::All).then_some(ConsumerFault::WorkQueueDeliverAll)
}

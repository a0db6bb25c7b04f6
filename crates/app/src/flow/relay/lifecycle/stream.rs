//! Which stream takes the events: an existing one that has all of their subjects, by whatever
//! name, or a new one.

use std::time::Duration;

use bus::stream::StreamConfig;
use model::{Subject, SubjectFilter};

use super::Unreachable;

/// The name of a stream that we make.
pub(super) const ACTIVITY_EVENTS: &str = "ACTIVITY_EVENTS";
/// Its subjects.
pub(super) const SUBJECTS: &str = "org.>";
/// What it says of itself.
pub(super) const DESCRIPTION: &str = "lifecycle events";
/// How long it keeps an event.
pub(super) const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the embedded one holds at most, in bytes; then the oldest events go.
const MAX_BYTES: u64 = 1 << 30;
/// How long it remembers an event's id.
pub(super) const WINDOW: Duration = StreamConfig::DEFAULT_DUPLICATE_WINDOW;

/// A stream that has something to do with our subjects.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) subjects: Vec<String>,
    /// Whether it tells who publishes that it has a message.
    pub(super) acknowledges: bool,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This stream has all of our subjects.
    Use(String),
    /// Nobody has them.
    Make,
}

/// Chooses among the streams that capture some of our subjects.
///
/// # Errors
/// Why none can be used and none can be made, for an operator.
pub(super) fn choose(found: &[Found]) -> Result<Choice, Unreachable> {
    let Some(stream) = found.iter().find(|stream| stream.has_all()).or(found.first()) else {
        return Ok(Choice::Make);
    };
    let Found { name, subjects, .. } = stream;
    if !stream.has_all() {
        let taken = subjects.join("`, `");
        return Err(Unreachable(format!(
            "stream `{name}` takes `{taken}`, so that none can take all of `{SUBJECTS}`"
        )));
    }
    if !stream.acknowledges {
        return Err(Unreachable(format!("stream `{name}` acknowledges nothing (no_ack)")));
    }
    Ok(Choice::Use(name.clone()))
}

impl Found {
    /// Whether it captures every event that there is.
    fn has_all(&self) -> bool {
        let filters: Vec<SubjectFilter> =
            self.subjects.iter().filter_map(|subject| subject.parse().ok()).collect();
        let has = |subject: Subject| filters.iter().any(|filter| filter.matches(&subject));
        let types = exports::TYPES.iter().copied().flatten();
        types.filter_map(|event| event.name.parse().ok()).all(has)
    }
}

/// The stream as we make it here.
pub(super) fn embedded() -> StreamConfig {
    let name = ACTIVITY_EVENTS.parse().expect("it is a name");
    StreamConfig {
        description: Some(DESCRIPTION.into()),
        max_age: Some(MAX_AGE),
        max_bytes: Some(MAX_BYTES),
        duplicate_window: WINDOW,
        allow_direct: true,
        ..StreamConfig::new(name, vec![SUBJECTS.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(streams: &[(&str, &[&str], bool)], expected: Result<&str, &str>) {
        let found: Vec<Found> = streams
            .iter()
            .map(|(name, subjects, acknowledges)| Found {
                name: (*name).into(),
                subjects: subjects.iter().map(|s| (*s).into()).collect(),
                acknowledges: *acknowledges,
            })
            .collect();
        let chosen = choose(&found).map(|choice| match choice {
            Choice::Use(name) => name,
            Choice::Make => String::new(),
        });
        match (chosen, expected) {
            (Ok(name), Ok(wanted)) => assert_eq!(name, wanted),
            (Err(Unreachable(reason)), Err(wanted)) => assert!(reason.contains(wanted), "{reason}"),
            (chosen, _) => panic!("{chosen:?} for {streams:?}"),
        }
    }

    #[test]
    fn a_stream_with_all_subjects_is_used_and_an_overlap_is_named() {
        check(&[], Ok(""));
        check(&[("ACTIVITY_EVENTS", &["org.>"], true)], Ok("ACTIVITY_EVENTS"));
        check(&[("ALL", &[">"], true)], Ok("ALL"));
        check(&[("TWO", &["org.statehub.>", "org.morgana.>"], true)], Ok("TWO"));
        check(&[("DEEP", &["org.*.>"], true)], Ok("DEEP"));
        check(&[("TASKS", &["org.statehub.task.*"], true)], Err("`TASKS` takes `org.statehub.ta"));
        check(&[("ODD", &["org.orders.>", "x"], true)], Err("`ODD` takes `org.orders.>`, `x`"));
        check(&[("MUTE", &["org.>"], false)], Err("`MUTE` acknowledges nothing"));
    }
}

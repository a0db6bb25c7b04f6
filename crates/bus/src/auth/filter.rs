//! Lists of subject filters, made for many questions.
//!
//! The publish rules are asked once per message, so filters of the usual shapes (`>`, a literal,
//! `a.b.>`) are told apart when they are made and answered by comparing bytes.

use crate::matcher;

use super::PermissionsError;

/// Subject filters, some for one queue group only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    plain: Vec<Filter>,
    queues: Vec<QueueFilter>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    text: Box<[u8]>,
    shape: Shape,
}

/// How a filter is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `>`
    Everything,
    /// No wildcards.
    Literal,
    /// `a.b.>`, with the length of `a.b.`.
    Below(usize),
    /// Wildcards inside.
    Pattern,
}

/// `subject queue`; the queue's name may hold wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
struct QueueFilter {
    filter: Filter,
    queue: Box<[u8]>,
}

impl Filters {
    /// Reads `subject` and `subject queue`.
    pub(super) fn new<S: AsRef<str>>(texts: &[S]) -> Result<Filters, PermissionsError> {
        let mut filters = Filters::default();
        for text in texts {
            filters.add(text.as_ref())?;
        }
        Ok(filters)
    }

    fn add(&mut self, text: &str) -> Result<(), PermissionsError> {
        let mut words = text.split_ascii_whitespace();
        let (subject, queue, more) = (words.next(), words.next(), words.next());
        let wrong = || PermissionsError::Subject(text.into());
        let filter = subject.and_then(Filter::new).ok_or_else(wrong)?;
        match (queue, more) {
            (None, _) => self.plain.push(filter),
            (Some(queue), None) if matcher::valid_filter(queue.as_bytes()) => {
                self.queues.push(QueueFilter { filter, queue: queue.as_bytes().into() });
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// The first filter that is for a queue group.
    pub(super) fn queue_form(&self) -> Option<String> {
        let first = self.queues.first()?;
        let (subject, queue) = (&first.filter.text, &first.queue);
        Some(format!("{} {}", String::from_utf8_lossy(subject), String::from_utf8_lossy(queue)))
    }

    /// Whether one matches this subject. Those for queue groups do not count.
    pub(super) fn match_subject(&self, subject: &[u8]) -> bool {
        self.plain.iter().any(|filter| filter.matches(subject))
    }

    /// Whether one contains everything that `filter` matches.
    pub(super) fn contain(&self, filter: &[u8]) -> bool {
        self.plain.iter().any(|wider| matcher::is_subset(filter, &wider.text))
    }

    /// Whether one and `filter` have a subject in common.
    pub(super) fn touch(&self, filter: &[u8]) -> bool {
        self.plain.iter().any(|other| matcher::overlaps(filter, &other.text))
    }

    /// For a member of `queue`: `None` where no queue form contains `filter`, else whether one of
    /// those that do is for this queue.
    pub(super) fn contain_queue(&self, filter: &[u8], queue: &[u8]) -> Option<bool> {
        let mut verdict = None;
        for rule in &self.queues {
            if matcher::is_subset(filter, &rule.filter.text) {
                verdict = Some(verdict == Some(true) || matcher::matches(&rule.queue, queue));
            }
        }
        verdict
    }
}

impl Filter {
    fn new(text: &str) -> Option<Filter> {
        matcher::valid_filter(text.as_bytes())
            .then(|| Filter { shape: Shape::of(text), text: text.as_bytes().into() })
    }

    fn matches(&self, subject: &[u8]) -> bool {
        match self.shape {
            Shape::Everything => true,
            Shape::Literal => *self.text == *subject,
            Shape::Below(length) => {
                subject.len() > length && subject[..length] == self.text[..length]
            }
            Shape::Pattern => matcher::matches(&self.text, subject),
        }
    }
}

impl Shape {
    fn of(text: &str) -> Shape {
        let wild = |token: &str| token == "*" || token == ">";
        match text.strip_suffix('>') {
            Some("") => Shape::Everything,
            Some(above) if above.ends_with('.') && !above.split('.').any(wild) => {
                Shape::Below(above.len())
            }
            _ if text.split('.').any(wild) => Shape::Pattern,
            _ => Shape::Literal,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_shapes_are_told_apart() {
        for (text, shape) in [
            (">", Shape::Everything),
            ("a", Shape::Literal),
            ("a.b*", Shape::Literal),
            ("a.b>", Shape::Literal),
            ("a.>", Shape::Below(2)),
            ("a.b.>", Shape::Below(4)),
            ("*.>", Shape::Pattern),
            ("a.*.>", Shape::Pattern),
            ("a.*", Shape::Pattern),
        ] {
            assert_eq!(Shape::of(text), shape, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", " ", "a..b", "a.>.b", ".a", "a.", "a b c", "a b..c"] {
            assert_eq!(Filters::new(&[text]), Err(PermissionsError::Subject(text.into())));
        }
    }

    fn subject() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "a*", "c>"]), 1..4)
            .prop_map(|tokens| tokens.join("."))
    }

    fn filter() -> impl Strategy<Value = String> {
        let tokens = prop::sample::select(vec!["a", "b", "*", "a*"]);
        (prop::collection::vec(tokens, 0..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest || tokens.is_empty() {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    proptest! {
        #[test]
        fn shapes_answer_as_the_naive_matcher(filter in filter(), subject in subject()) {
            let fast = Filter::new(&filter).unwrap();
            prop_assert_eq!(
                fast.matches(subject.as_bytes()),
                matcher::matches(filter.as_bytes(), subject.as_bytes())
            );
        }
    }
}

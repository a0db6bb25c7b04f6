//! A set of numbers as runs. Pure.

use std::collections::BTreeMap;

/// Runs of numbers, first to last, that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    runs: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(first, last)| (*first, *last))
    }

    /// Whether a number is in it.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// Adds the numbers from `first` to `last`; nothing where `last` is before `first`.
    pub(crate) fn add(&mut self, mut first: u64, mut last: u64) {
        if last < first {
            return;
        }
        while let Some((start, end)) = self.run_before(last.saturating_add(1)) {
            if end.saturating_add(1) < first {
                break;
            }
            self.runs.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.runs.insert(first, last);
    }

    /// Takes the numbers from `first` to `last` out.
    pub(crate) fn subtract(&mut self, first: u64, last: u64) {
        while let Some((start, end)) = self.run_before(last) {
            if last < first || end < first {
                return;
            }
            self.runs.remove(&start);
            if end > last {
                self.runs.insert(last + 1, end);
            }
            if start < first {
                self.runs.insert(start, first - 1);
            }
        }
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    /// The last run that begins at or before a number.
    fn run_before(&self, number: u64) -> Option<(u64, u64)> {
        self.runs.range(..=number).next_back().map(|(first, last)| (*first, *last))
    }
}

//! The loop: pick, mutate, run, keep what is new, make small what fails.
//!
//! Everything follows from the seed and the corpus. States of an input: it runs, then it is
//! dropped, kept, or a [`Failure`].

use std::{
    collections::HashSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{Failure, Target, Trace, check, corpus, watchdog::Watchdog};

/// Most inputs that are kept; a new one then replaces any.
const MAX_CORPUS: usize = 4096;
/// How often a failing input is run again to make it smaller.
const MAX_SHRINKS: usize = 600;

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// For this time.
    Elapsed(Duration),
    /// For this many inputs, those of the corpus included.
    Rounds(u64),
}

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all randomness comes from.
    pub seed: u64,
    /// When it ends.
    pub until: Until,
    /// After how many different failures it ends earlier.
    pub failures: usize,
    /// Where failing inputs go.
    pub found: PathBuf,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs that ran.
    pub rounds: u64,
    /// Inputs that did something new.
    pub kept: usize,
    /// Different things that were seen to happen.
    pub features: usize,
    /// What must not be, each place once.
    pub failures: Vec<Failure>,
}

/// Fuzzes `target`, beginning with the inputs of `start`.
pub fn fuzz(target: &Target, start: Vec<Vec<u8>>, plan: &Plan) -> Report {
    let mut run = Run {
        target,
        plan,
        watchdog: Watchdog::start(target.name, &plan.found),
        corpus: Vec::new(),
        seen: HashSet::new(),
        report: Report::default(),
    };
    let mut dice = StdRng::seed_from_u64(plan.seed);
    let began = Instant::now();
    let mut start = start.into_iter();
    while !run.is_over(began) {
        let input = start.next().unwrap_or_else(|| run.mutant(&mut dice));
        run.try_one(input, &mut dice);
    }
    run.report.kept = run.corpus.len();
    run.report.features = run.seen.len();
    run.report
}

struct Run<'a> {
    target: &'a Target,
    plan: &'a Plan,
    watchdog: Watchdog,
    corpus: Vec<Vec<u8>>,
    seen: HashSet<u64>,
    report: Report,
}

impl Run<'_> {
    fn is_over(&self, began: Instant) -> bool {
        let done = match self.plan.until {
            Until::Elapsed(time) => began.elapsed() >= time,
            Until::Rounds(rounds) => self.report.rounds >= rounds,
        };
        done || self.report.failures.len() >= self.plan.failures
    }

    /// A kept input, changed. What was kept last is picked more often.
    fn mutant(&self, dice: &mut StdRng) -> Vec<u8> {
        let recent = &self.corpus[self.corpus.len().saturating_sub(32)..];
        let from = if dice.random_ratio(1, 3) { recent } else { &self.corpus };
        let mut input = from.choose(dice).cloned().unwrap_or_default();
        let other = self.corpus.choose(dice).map_or(&[][..], Vec::as_slice);
        self.target.mutate(&mut input, other, dice);
        input
    }

    fn try_one(&mut self, input: Vec<u8>, dice: &mut StdRng) {
        self.report.rounds += 1;
        match self.check(&input) {
            Ok(trace) => {
                let before = self.seen.len();
                self.seen.extend(trace.features());
                if self.seen.len() > before {
                    self.keep(input, dice);
                }
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn keep(&mut self, input: Vec<u8>, dice: &mut impl Rng) {
        if self.corpus.len() < MAX_CORPUS {
            self.corpus.push(input);
        } else {
            let at = dice.random_range(0..MAX_CORPUS);
            self.corpus[at] = input;
        }
    }

    fn fail(&mut self, failure: Failure) {
        if self.report.failures.iter().any(|known| known.place == failure.place) {
            return;
        }
        let mut small = self.shrink(failure);
        small.file = corpus::save(&self.plan.found, self.target.name, &small.input).ok();
        self.report.failures.push(small);
    }

    fn check(&self, input: &[u8]) -> Result<Trace, Failure> {
        let _watch = self.watchdog.watch(input);
        check(self.target, input)
    }

    /// Leaves out what the failure does not need.
    fn shrink(&self, mut failure: Failure) -> Failure {
        let mut tries = 0;
        let mut step = failure.input.len().div_ceil(2);
        while step > 0 {
            let mut at = 0;
            while at < failure.input.len() && tries < MAX_SHRINKS {
                tries += 1;
                let mut less = failure.input.clone();
                less.drain(at..(at + step).min(less.len()));
                match self.check(&less) {
                    Err(same) if same.place == failure.place => failure = same,
                    _ => at += step,
                }
            }
            step /= 2;
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(target: &'static Target, seed: u64, rounds: u64) -> Report {
        let found = tempfile::tempdir().unwrap();
        let until = Until::Rounds(rounds);
        let plan = Plan { seed, until, failures: 1, found: found.path().to_owned() };
        fuzz(target, vec![b"begin".to_vec()], &plan)
    }

    fn looks_for_a_word(input: &[u8], trace: &mut Trace) {
        let common = input.iter().zip(b"!?#").take_while(|(a, b)| a == b).count();
        trace.note(common);
        assert!(common < 3, "the word was found");
    }

    static LOCK: Target = Target {
        name: "lock",
        about: "fails at a word that only feedback leads to",
        words: &[],
        mutation: None,
        run: looks_for_a_word,
    };

    #[test]
    fn feedback_leads_to_a_failure_that_is_made_small() {
        let report = run(&LOCK, 1, 1_000_000);
        let failure = &report.failures[0];
        assert_eq!(failure.input, b"!?#");
        assert!(failure.message.ends_with("the word was found"), "{}", failure.message);
        assert_eq!(check(&LOCK, b"!?#").unwrap_err().place, failure.place);
        assert!(check(&LOCK, b"!?").is_ok());
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let counts = |seed| {
            let report = run(&LOCK, seed, 2000);
            (report.rounds, report.kept, report.features)
        };
        assert_eq!(counts(5), counts(5));
    }
}

//! A seeded sample of every target, as part of every test run. `tools/fuzz.sh` runs them longer.

use morgana_fuzz::{
    TARGETS, check, corpus,
    engine::{Plan, Until, fuzz},
};

/// Inputs of each target. The seed is fixed: a failure here is a change of the code.
const ROUNDS: u64 = 60;

/// One test, for what an input may cost is measured on the whole process.
#[test]
fn no_target_fails_on_its_corpus_or_near_it() {
    for target in TARGETS {
        let start = corpus::load(target.name).expect(target.name);
        assert!(!start.is_empty(), "{} has no corpus", target.name);
        for input in &start {
            check(target, input).unwrap_or_else(|f| panic!("{}: {}", target.name, f.message));
        }
        let found = corpus::home().join("found");
        let plan = Plan { seed: 1, until: Until::Rounds(ROUNDS), failures: 1, found };
        let report = fuzz(target, start, &plan);
        assert_eq!(report.failures, [], "{}", target.name);
        assert_eq!(report.rounds, ROUNDS, "{}", target.name);
    }
}

//! `morgana-fuzz TARGET`: fuzzes one target, or runs one input that was found.

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use morgana_fuzz::{
    Failure, TARGETS, Target, check, corpus,
    engine::{Plan, Report, Until, fuzz},
};

/// Hostile input for every parser of Morgana.
#[derive(Parser)]
#[command(after_help = targets())]
struct Arguments {
    /// What to fuzz.
    target: String,
    /// Where all randomness comes from; the same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long.
    #[arg(long, default_value_t = 60, conflicts_with = "rounds")]
    seconds: u64,
    /// For how many inputs, in place of a time.
    #[arg(long)]
    rounds: Option<u64>,
    /// After how many different failures to end.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Runs this input alone.
    #[arg(long)]
    input: Option<PathBuf>,
}

fn targets() -> String {
    let lines = TARGETS.iter().map(|target| format!("\n  {:10} {}", target.name, target.about));
    format!("Targets:{}", lines.collect::<String>())
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let target = TARGETS
        .iter()
        .find(|target| target.name == arguments.target)
        .with_context(|| format!("no target `{}`\n{}", arguments.target, targets()))?;
    let failures = match &arguments.input {
        Some(path) => {
            let input =
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            check(target, &input).err().into_iter().collect()
        }
        None => run(target, &arguments)?.failures,
    };
    failures.iter().for_each(|failure| show(target, failure));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(target: &Target, arguments: &Arguments) -> anyhow::Result<Report> {
    let start = corpus::load(target.name)
        .with_context(|| format!("cannot read the corpus of `{}`", target.name))?;
    let until = match arguments.rounds {
        Some(rounds) => Until::Rounds(rounds),
        None => Until::Elapsed(Duration::from_secs(arguments.seconds)),
    };
    let found = corpus::home().join("found");
    let plan = Plan { seed: arguments.seed, until, failures: arguments.failures, found };
    let report = fuzz(target, start, &plan);
    println!(
        "{}: {} inputs, {} kept, {} features, {} failures (seed {})",
        target.name,
        report.rounds,
        report.kept,
        report.features,
        report.failures.len(),
        arguments.seed,
    );
    Ok(report)
}

fn show(target: &Target, failure: &Failure) {
    println!("{}: {}", target.name, failure.message);
    if let Some(file) = &failure.file {
        let file = file.display();
        println!("  cargo run --release -p morgana-fuzz -- {} --input {file}", target.name);
    }
}

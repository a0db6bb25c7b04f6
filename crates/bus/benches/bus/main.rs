//! The broker beside nats-server, in one run and with one generator.
//!
//! `make bench-bus`, or `cargo bench -p morgana-bus --bench bus -- [options]`:
//!
//! ```text
//! --only NAME      cases whose name has NAME in it; may be given more than once
//! --rounds N       rounds of which the median counts (3)
//! --seconds S      how long one measurement takes (2)
//! --dir DIR        where streams are stored; should be a real disk
//! --markdown FILE  writes the table there too
//! --list           names the cases
//! ```
//!
//! The servers: what `NATS_SERVERS` names (paths with colons between; default: the nats-server in
//! PATH and `.tools/nats-server`), and ours: what `MORGANA_BIN` names, default the example
//! `nats-server` of this crate. Each server runs on core 0 and the generator on core 1; every
//! case of every round starts a server of its own, and the servers take turns.

mod cases;
mod disk;
mod memory;
mod report;
mod requests;
mod server;
mod streams;
mod traffic;
mod wire;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use cases::Case;
use report::Measured;
use server::Rival;

/// The core of the generator; the server has the other.
const CORE: &str = "1";

/// What the command line says.
struct Options {
    only: Vec<String>,
    rounds: usize,
    time: Duration,
    dir: PathBuf,
    markdown: Option<PathBuf>,
    list: bool,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            rounds: 3,
            time: Duration::from_secs(2),
            dir: env!("CARGO_TARGET_TMPDIR").into(),
            markdown: None,
            list: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--only" => options.only.push(value()?),
                "--rounds" => options.rounds = number(&value()?)?,
                "--seconds" => options.time = Duration::from_secs_f64(number(&value()?)?),
                "--dir" => options.dir = value()?.into(),
                "--markdown" => options.markdown = Some(value()?.into()),
                "--list" => options.list = true,
                "--bench" => {}
                _ => return Err(format!("{word} is no option")),
            }
        }
        Ok(options)
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = cases::all();
        let wanted = |case: &Case| self.only.iter().any(|only| case.name.contains(only));
        cases.retain(|case| self.only.is_empty() || wanted(case));
        cases
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn main() -> ExitCode {
    let result = Options::parse(env::args().skip(1)).and_then(|options| run(&options));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let cases = options.cases();
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(());
    }
    pin().and_then(|()| raise_descriptors()).map_err(|error| error.to_string())?;
    let rivals = rivals();
    if rivals.is_empty() {
        return Err("there is no server to measure".into());
    }
    let heading = heading(options).map_err(|error| error.to_string())?;
    println!("{heading}");
    let measured = measure(options, &rivals, cases);
    let text = format!("{heading}\n{}", report::table(&rivals, &measured));
    println!("\n{text}");
    match &options.markdown {
        Some(path) => fs::write(path, text).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// Every case on every server in every round; a case that fails is told and leaves a hole.
fn measure(options: &Options, rivals: &[Rival], cases: Vec<Case>) -> Vec<(Case, Measured)> {
    let fresh = |case| (case, Measured::new(rivals.len()));
    let mut measured: Vec<_> = cases.into_iter().map(fresh).collect();
    for round in 1..=options.rounds {
        for (case, results) in &mut measured {
            for (index, rival) in rivals.iter().enumerate() {
                let figures = once(options, rival, case);
                eprintln!("{round}: {}: {}: {figures:.1?}", case.name, rival.label);
                if let Ok(figures) = figures {
                    results.add(index, figures);
                }
            }
        }
    }
    measured
}

fn once(options: &Options, rival: &Rival, case: &Case) -> io::Result<Vec<f64>> {
    let server = rival.start(&options.dir, case.sync)?;
    (case.measure)(&server, options.time)
}

fn rivals() -> Vec<Rival> {
    let named = env::var_os("NATS_SERVERS");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let usual = || vec!["nats-server".into(), root.join(".tools/nats-server")];
    let theirs = named.map_or_else(usual, |list| env::split_paths(&list).collect());
    let mut rivals: Vec<Rival> = theirs.iter().filter_map(|path| Rival::nats(path)).collect();
    rivals.extend(ours().as_deref().and_then(Rival::ours));
    rivals
}

/// Beside this program's directory lies that of the examples.
fn ours() -> Option<PathBuf> {
    let example =
        || Some(env::current_exe().ok()?.parent()?.with_file_name("examples/nats-server"));
    env::var_os("MORGANA_BIN").map(PathBuf::from).or_else(example)
}

/// `taskset` on this process: no further dependency, and it says what is wrong.
fn pin() -> io::Result<()> {
    let process = std::process::id().to_string();
    let taskset = ["-a", "-p", "-c", CORE, &process];
    let status = Command::new("taskset").args(taskset).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("cannot pin to core 1")) }
}

fn raise_descriptors() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// What the figures depend on beside the servers.
fn heading(options: &Options) -> io::Result<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let models: Vec<&str> = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .collect();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let disk = disk::fdatasync(&options.dir)?;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} x {}, Linux {}; load before the run {}; medians of {} rounds of {} s; fdatasync of \
        128 bytes: p50 {:.0} µs, p99 {:.0} µs.",
        models.len(),
        models.first().unwrap_or(&"unknown"),
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
        options.rounds,
        options.time.as_secs_f64(),
        disk[0],
        disk[1],
    );
    Ok(out)
}

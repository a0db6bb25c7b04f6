//! The programs of `docs/hub.md`, run: each reads what the hub says, is killed, and goes on where
//! it was.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{
    python::{root, serve},
    reader::{Reader, STREAM},
    server::NatsServer,
    world::{PATIENCE, World, until},
};

/// How long nothing may come where nothing should.
const QUIET: Duration = Duration::from_millis(300);

fn source(name: &str) -> String {
    let file = root().join("crates/app/tests/programs").join(name);
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn the_programs_stand_in_the_documentation() {
    let documentation = std::fs::read_to_string(root().join("docs/hub.md")).unwrap();
    for (language, name) in [("python", "engine.py"), ("go", "engine.go"), ("js", "engine.mjs")] {
        let quoted = format!("\n```{language}\n{}```\n", source(name));
        assert!(documentation.contains(&quoted), "docs/hub.md has another {name}");
    }
}

/// A program that reads events; killed when dropped.
struct Engine {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Engine {
    fn start(mut command: Command, server: &str) -> Self {
        command.arg(server).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{:?}: {error}; `make tools` installs it", command.as_std())
        });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next lines that it prints.
    async fn read(&mut self, count: usize) -> Vec<String> {
        let mut read = Vec::new();
        while read.len() < count {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{} of {count} lines came", read.len()));
            read.push(line.unwrap().expect("it goes on"));
        }
        read
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(QUIET, self.lines.next_line()).await.is_err()
    }
}

/// Waits until the consumer's every message is acknowledged.
async fn until_acknowledged(reader: &Reader) {
    until("every message is acknowledged", async || {
        let info = reader.ask(&format!("$JS.API.CONSUMER.INFO.{STREAM}.engine"), json!({})).await;
        [&info["num_ack_pending"], &info["num_pending"]] == [&json!(0); 2]
    })
    .await;
}

/// What the lines of these events begin with.
fn beginnings(events: &[Value]) -> Vec<String> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    events.iter().map(|event| text(event, "type") + " " + &text(event, "subject") + " ").collect()
}

async fn check(world: &World, url: &str, command: impl Fn() -> Command) {
    let reader = Reader::of(url).await;
    let life = world.start().await;
    for round in 0..2 {
        world.say(20).await;
        world.until_settled(&life).await;
        let mut engine = Engine::start(command(), url);
        let mut lines = engine.read(20).await;
        world.say(5).await;
        lines.extend(engine.read(5).await);
        let events = reader.all_of(STREAM).await.split_off(round * 25);
        let mut expected = beginnings(&events);
        assert_eq!(lines.len(), expected.len());
        if round > 0 {
            // What the broker gave to the one that was just killed, before it knew, comes again
            // behind what is newer, when the time to acknowledge it is over.
            lines.sort();
            expected.sort();
        }
        for (line, beginning) in lines.iter().zip(expected) {
            assert!(line.starts_with(&beginning), "{line:?} is not of {beginning:?}");
        }
        until_acknowledged(&reader).await;
        assert!(engine.is_quiet().await);
        engine.kill().await;
    }
    life.end().await;
}

/// With the embedded broker and with nats-server.
async fn check_both(command: impl Fn() -> Command) {
    let world = World::new(None);
    let (broker, url) = serve(&world).await;
    check(&world, &url, &command).await;
    broker.stop().await;
    let Some(server) = NatsServer::with_jetstream() else { return };
    check(&World::new(Some(server.url())), &server.url(), &command).await;
}

fn run(program: impl AsRef<Path>, arguments: &[&Path]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(arguments);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_program_reads_and_goes_on() {
    let python = root().join(".tools/python/bin/python");
    let program = root().join("crates/app/tests/programs/engine.py");
    check_both(|| run(&python, &[Path::new("-u"), &program])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_program_reads_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    // Packages are looked for beside a program.
    let packages = root().join(".tools/node/node_modules");
    std::os::unix::fs::symlink(packages, dir.path().join("node_modules")).unwrap();
    let program = dir.path().join("engine.mjs");
    std::fs::write(&program, source("engine.mjs")).unwrap();
    check_both(|| run("node", &[&program])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_program_reads_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("engine");
    let mut build = Command::new("go");
    // With the library where Debian puts it.
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
    build.env("GOCACHE", dir.path().join("cache"));
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(root().join("crates/app/tests/programs/engine.go"));
    let built = build.output().await.expect("`make tools` installs go");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    check_both(|| run(&program, &[])).await;
}

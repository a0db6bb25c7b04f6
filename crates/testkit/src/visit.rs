//! Visitors: real clients.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

/// Longest visit.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program with this on its standard input; answers what it printed, both kinds together.
pub async fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    visit(command, input, program).await
}

/// Runs a command line by the shell, as a person who pastes it.
pub async fn run_line(line: &str, input: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    visit(command, input, line).await
}

async fn visit(mut command: Command, input: &str, what: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{what}: {error}; `make tools` installs it"));
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let input = input.to_owned();
    let feeding = tokio::spawn(async move {
        // A client that ends early does not want the rest.
        let _ = stdin.write_all(input.as_bytes()).await;
    });
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output =
        output.unwrap_or_else(|_| panic!("{what} did not end")).expect("it can be awaited");
    feeding.await.expect("feeding does not panic");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

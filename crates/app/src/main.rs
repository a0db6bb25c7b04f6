//! The binary: reads the command line and says how it went.

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|own| Path::new(&own).ends_with("nats-server")) {
        return nats_server(arguments);
    }
    match morgana::cli::run(morgana::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("morgana: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Called by this name, it is a broker alone with nats-server's flags: what starts a nats-server
/// can start it.
fn nats_server(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let words = arguments.map(|word| word.to_string_lossy().into_owned());
    morgana::as_nats_server(words)
}

/// An error and what it came from, on one line; a cause that its effect quotes is not repeated.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

//! The binary: reads the command line and says how it went.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match morgana::cli::run(morgana::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("morgana: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
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

//! A bash of Debian 12 that never runs anything: a parser, an interpreter, the commands that bots
//! and people try first, and a file system that remembers within one session.

use std::{net::IpAddr, sync::Arc};

use model::{Persona, PersonaAccount, SessionFact, Timestamp};

/// Whether the visitor's shell goes on after a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShellFlow {
    /// It waits for another line behind [`Shell::prompt`].
    Continue,
    /// It ended with this status.
    Exit(u8),
}

/// What a command run without a terminal wrote.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ShellOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// One visitor's shell.
pub struct Shell {}

#[allow(unused_variables)]
impl Shell {
    /// The shell of `account` for a visitor at `peer`; whatever looks random comes from `seed`.
    pub fn new(
        persona: Arc<Persona>,
        account: &PersonaAccount,
        peer: IpAddr,
        now: Timestamp,
        seed: [u8; 32],
    ) -> Self {
        unimplemented!()
    }

    /// What a login shows before the first prompt: the message of the day and the last login.
    pub fn greeting(&self, now: Timestamp) -> String {
        unimplemented!()
    }

    /// What stands before the visitor's next line; lines end with a line feed alone.
    pub fn prompt(&self) -> String {
        unimplemented!()
    }

    /// Runs one line, typed at the prompt, without its line end.
    pub fn run_line(&mut self, now: Timestamp, line: &str, out: &mut Vec<u8>) -> ShellFlow {
        unimplemented!()
    }

    /// Runs `command` as `bash -c` does, without a terminal, and gives its exit status.
    pub fn exec(
        &mut self,
        now: Timestamp,
        command: &str,
        stdin: &[u8],
        out: &mut ShellOutput,
    ) -> u8 {
        unimplemented!()
    }

    /// What happened since the last call: files written and attempts to reach the outside.
    pub fn take_facts(&mut self) -> Vec<SessionFact> {
        unimplemented!()
    }
}

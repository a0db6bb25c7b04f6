//! Dialogues with the shell.

use expect_test::{Expect, expect};
use model::{Archetype, SessionFact};
use proptest::prelude::*;

use super::{Shell, ShellFlow, ShellOutput, limits};
use crate::testing::{START, peer, persona};

fn shell(user: usize) -> Shell {
    let persona = persona(1, "web-01", Archetype::WebServer);
    let account = persona.accounts[user].clone();
    Shell::new(persona, &account, peer().ip(), START, [3; 32])
}

/// Types lines at a prompt; what they print stands under each.
fn talk(shell: &mut Shell, lines: &str) -> String {
    let mut shown = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut out = Vec::new();
        let prompt = shell.prompt();
        let flow = shell.run_line(START, line, &mut out);
        shown.push_str(&format!("{prompt}{line}\n{}", String::from_utf8_lossy(&out)));
        if let ShellFlow::Exit(status) = flow {
            shown.push_str(&format!("[exit {status}]\n"));
        }
    }
    shown
}

fn check(lines: &str, expected: Expect) {
    expected.assert_eq(&talk(&mut shell(0), lines));
}

fn exec(command: &str) -> (String, String, u8) {
    let mut out = ShellOutput::default();
    let status = shell(0).exec(START, command, b"", &mut out);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&out.stdout), text(&out.stderr), status)
}

//! What runs on a session channel (RFC 4254 section 6): nothing yet, a shell with or without a
//! terminal, or a command.
//!
//! Owns the program's input; its output goes into the channel. It must not know messages.

use model::{SessionFact, Timestamp, escape_text};

use super::{
    channel::{Channel, Stream},
    tty::{Key, LineEditor, Terminal},
};
use crate::shell::{Shell, ShellFlow, ShellOutput};

/// Most bytes of standard input that are kept for one command; the rest is dropped.
const MAX_STDIN_BYTES: usize = 4 << 20;
/// Longest line of a shell without a terminal; longer ones are cut.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// The program of a channel.
pub(super) enum Program {
    /// None yet (`SSH_CHANNEL_LARVAL`).
    None,
    /// A shell on a terminal.
    Terminal(Box<LineEditor>),
    /// A shell that reads lines from a pipe.
    Pipe { line: Vec<u8> },
    /// A command that reads its input to the end before it runs.
    Command { text: String, stdin: Vec<u8> },
    /// One that has ended, or was refused.
    Ended,
}

/// One session of a connection.
pub(super) struct SessionChannel {
    pub(super) channel: Channel,
    pub(super) terminal: Option<Terminal>,
    pub(super) program: Program,
    /// Input that could not be used yet; bounded by the window that was given.
    input: Vec<u8>,
}

/// What a program works with.
pub(super) struct Machine<'a> {
    pub(super) now: Timestamp,
    pub(super) shell: &'a mut Shell,
    pub(super) root: bool,
    pub(super) facts: &'a mut Vec<SessionFact>,
}

impl Machine<'_> {
    fn command(&mut self, text: &[u8]) {
        self.facts.push(SessionFact::Command { text: escape_text(text) });
    }

    fn exec(&mut self, command: &str, stdin: &[u8], channel: &mut Channel) {
        let mut out = ShellOutput::default();
        let status = self.shell.exec(self.now, command, stdin, &mut out);
        self.facts.extend(self.shell.take_facts());
        channel.write(Stream::Output, &out.stdout);
        channel.write(Stream::Error, &out.stderr);
        channel.exit(status);
    }

    /// Runs a line; the answer to a question for a password is no command.
    fn line(&mut self, line: &str, secret: bool, out: &mut Vec<u8>) -> ShellFlow {
        if !secret && !line.trim().is_empty() {
            self.command(line.as_bytes());
        }
        let flow = self.shell.run_line(self.now, line, out);
        self.facts.extend(self.shell.take_facts());
        flow
    }
}

impl SessionChannel {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, terminal: None, program: Program::None, input: Vec::new() }
    }

    /// Starts a shell.
    pub(super) fn shell(&mut self, machine: &mut Machine<'_>) {
        self.program = match self.terminal.clone() {
            None => Program::Pipe { line: Vec::new() },
            Some(terminal) => {
                let mut editor = LineEditor::new(terminal, machine.root);
                let mut out = Vec::new();
                editor.print(&greeting(machine), &mut out);
                editor.prompt(&machine.shell.prompt(), &mut out);
                self.channel.write(Stream::Output, &out);
                Program::Terminal(Box::new(editor))
            }
        };
    }

    /// Starts a command. One that does not read its input runs at once, for many clients never
    /// say that theirs is over.
    pub(super) fn exec(&mut self, command: &[u8], machine: &mut Machine<'_>) {
        machine.command(command);
        let text = String::from_utf8_lossy(command).into_owned();
        self.program = Program::Command { text, stdin: Vec::new() };
        if !reads_input(&String::from_utf8_lossy(command)) {
            self.run_command(machine);
        }
    }

    /// The visitor sent data.
    pub(super) fn input(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Lets the program read; says how many bytes it took.
    pub(super) fn run(&mut self, machine: &mut Machine<'_>) -> usize {
        let input = std::mem::take(&mut self.input);
        let mut used = 0;
        while used < input.len() && !self.channel.is_full() {
            used += self.step(&input[used..], machine);
        }
        self.input = input[used..].to_vec();
        if self.channel.eof_received && self.input.is_empty() {
            self.end_of_input(machine);
        }
        used
    }

    /// Gives the program some input; says how much of it it took, at least one byte.
    fn step(&mut self, input: &[u8], machine: &mut Machine<'_>) -> usize {
        match &mut self.program {
            Program::None | Program::Ended => input.len(),
            Program::Command { stdin, .. } => {
                let room = MAX_STDIN_BYTES - stdin.len();
                stdin.extend_from_slice(&input[..input.len().min(room)]);
                input.len()
            }
            Program::Pipe { line } => {
                let end = input.iter().position(|&b| b == b'\n');
                let piece = &input[..end.unwrap_or(input.len())];
                let room = MAX_LINE_BYTES - line.len();
                line.extend_from_slice(&piece[..piece.len().min(room)]);
                if end.is_some() {
                    self.pipe_line(machine);
                }
                piece.len() + usize::from(end.is_some())
            }
            Program::Terminal(editor) => {
                let mut out = Vec::new();
                let key = editor.key(input[0], &mut out);
                let exit = press(editor, key, machine, &mut out);
                self.channel.write(Stream::Output, &out);
                self.exit(exit);
                1
            }
        }
    }

    fn exit(&mut self, status: Option<u8>) {
        if let Some(status) = status {
            self.channel.exit(status);
            self.program = Program::Ended;
        }
    }

    fn pipe_line(&mut self, machine: &mut Machine<'_>) {
        let Program::Pipe { line } = &mut self.program else { return };
        let line = std::mem::take(line);
        let mut out = Vec::new();
        let flow = machine.line(&String::from_utf8_lossy(&line), false, &mut out);
        if let ShellFlow::Exit(status) = flow {
            let said = out.strip_suffix(b"logout\n").map_or(out.len(), <[u8]>::len);
            out.truncate(said);
            self.channel.write(Stream::Output, &out);
            return self.exit(Some(status));
        }
        self.channel.write(Stream::Output, &out);
    }

    /// The visitor's input is over. A terminal does not care.
    pub(super) fn end_of_input(&mut self, machine: &mut Machine<'_>) {
        match &self.program {
            Program::Command { .. } => self.run_command(machine),
            Program::Pipe { line } => {
                if !line.is_empty() {
                    self.pipe_line(machine);
                }
                self.exit(Some(0));
            }
            Program::None | Program::Terminal(_) | Program::Ended => {}
        }
    }

    fn run_command(&mut self, machine: &mut Machine<'_>) {
        if let Program::Command { text, stdin } =
            std::mem::replace(&mut self.program, Program::Ended)
        {
            machine.exec(&text, &stdin, &mut self.channel);
        }
    }
}

/// The greeting, whose last line sshd itself writes with a CR of its own.
fn greeting(machine: &Machine<'_>) -> Vec<u8> {
    let mut text = machine.shell.greeting(machine.now).into_bytes();
    if let Some(end) = text.len().checked_sub(1).filter(|end| text[*end] == b'\n') {
        text.insert(end, b'\r');
    }
    text
}

/// Acts on a key of the terminal; gives the status where the shell ends.
fn press(
    editor: &mut LineEditor,
    key: Key,
    machine: &mut Machine<'_>,
    out: &mut Vec<u8>,
) -> Option<u8> {
    let flow = match key {
        Key::None => return None,
        Key::Interrupt => {
            machine.shell.interrupt();
            ShellFlow::Continue
        }
        Key::EndOfFile => {
            let mut printed = Vec::new();
            let flow = machine.shell.run_line(machine.now, "exit", &mut printed);
            editor.print(&printed, out);
            flow
        }
        Key::Line(line) => {
            let mut printed = Vec::new();
            let flow = machine.line(&line, editor.is_secret(), &mut printed);
            editor.print(&printed, out);
            flow
        }
    };
    match flow {
        ShellFlow::Exit(status) => Some(status),
        ShellFlow::Continue => {
            editor.prompt(&machine.shell.prompt(), out);
            None
        }
    }
}

/// Whether a command looks as if it read its standard input: whether the first stage of some
/// pipeline in it does.
fn reads_input(command: &str) -> bool {
    command
        .replace("||", ";")
        .split([';', '&', '\n'])
        .filter_map(|pipeline| pipeline.split('|').next())
        .any(stage_reads_input)
}

fn stage_reads_input(stage: &str) -> bool {
    if stage.contains('<') {
        return false;
    }
    let before_redirection = stage.split('>').next().unwrap_or_default();
    let mut words = before_redirection.split_whitespace().skip_while(|word| word.contains('='));
    let program = words.next().unwrap_or_default();
    let has = |option: &str| words.clone().any(|word| word == option);
    let operands = words.clone().filter(|word| !word.starts_with('-')).count();
    match program.rsplit('/').next().unwrap_or_default() {
        "cat" | "base64" | "gunzip" | "xxd" => operands == 0 && !has("--version"),
        "sh" | "bash" | "dash" => (operands == 0 || has("-s")) && !has("-c") && !has("--version"),
        "tee" => true,
        "dd" => !stage.contains("if="),
        "scp" => has("-t"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_wait_for_input_are_known() {
        for command in ["cat > /tmp/x", "cat>/tmp/x", "cd /tmp; cat >x", "tee a", "bash -s", "sh"] {
            assert!(reads_input(command), "{command}");
        }
        for command in
            ["cat /etc/passwd", "uname -a", "bash -c 'id'", "dd if=/dev/zero of=x", "echo a | cat"]
        {
            assert!(!reads_input(command), "{command}");
        }
    }
}

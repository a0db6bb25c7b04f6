//! A bash of Debian 12 that never runs anything: a parser, an interpreter, the commands that bots
//! and people try first, and a file system that remembers within one session.
//!
//! Owns the state of one visitor's shell. It opens no file and no socket and starts no process:
//! what would leave the machine fails as on a host without a way out, and is recorded.

mod accounts;
mod arithmetic;
pub(crate) mod calendar;
mod commands;
mod expand;
pub(crate) mod fs;
pub(crate) mod limits;
pub(crate) mod machine;
mod processes;
mod redirect;
mod run;
mod syntax;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use model::{Persona, PersonaAccount, SessionFact, Timestamp, escape_text};
use sha2::{Digest, Sha256};

use calendar::Date;
use fs::{Fs, Who};
use machine::{Machine, hex};
use run::{Control, Io, Sink, Source};
use syntax::SyntaxError;

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

#[derive(Clone, Debug)]
struct Variable {
    value: String,
    exported: bool,
}

/// How the shell that reads commands was started; its error messages begin differently.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Mode {
    Interactive,
    Command,
    /// A script of this name; `true` where dash reads it.
    Script(String, bool),
}

/// A user's shell; `su` and `sudo -i` put another on top.
#[derive(Clone, Debug)]
struct Frame {
    user: String,
    who: Who,
    cwd: String,
    variables: BTreeMap<String, Variable>,
    login: bool,
}

/// A question on the terminal that the next line answers.
#[derive(Clone, Debug)]
struct Question {
    prompt: String,
    expected: String,
    tries_left: u8,
    then: Vec<String>,
}

/// One visitor's shell.
pub struct Shell {
    machine: Arc<Machine>,
    fs: Fs,
    now: Timestamp,
    random: u64,
    frame: Frame,
    outer: Vec<Frame>,
    functions: BTreeMap<String, Arc<syntax::Command>>,
    args: Vec<String>,
    status: u8,
    mode: Mode,
    line: u32,
    tty: bool,
    history: Vec<String>,
    pending: String,
    question: Option<Question>,
    sources: Vec<Source>,
    sinks: Vec<Sink>,
    steps: u32,
    written: usize,
    expanded: usize,
    depth: u32,
    control: Control,
    facts: Vec<SessionFact>,
    unhashed: BTreeSet<String>,
}

impl Shell {
    /// The shell of `account` for a visitor at `peer`; whatever looks random comes from `seed`.
    /// The machine's own address is a neighbour of the visitor's until [`Shell::set_address`].
    pub fn new(
        persona: Arc<Persona>,
        account: &PersonaAccount,
        peer: IpAddr,
        now: Timestamp,
        seed: [u8; 32],
    ) -> Self {
        let address = neighbour(peer);
        let machine = Machine::new(persona, address, peer, account.user.clone(), now);
        let machine = Arc::new(machine);
        let random = u64::from_le_bytes(seed[..8].try_into().expect("32 bytes hold 8")) | 1;
        let mut shell = Self {
            fs: Fs::new(machine.clone()),
            frame: Frame::login(&machine, &account.user, account.uid),
            machine,
            now,
            random,
            outer: Vec::new(),
            functions: BTreeMap::new(),
            args: Vec::new(),
            status: 0,
            mode: Mode::Interactive,
            line: 1,
            tty: true,
            history: Vec::new(),
            pending: String::new(),
            question: None,
            sources: Vec::new(),
            sinks: Vec::new(),
            steps: 0,
            written: 0,
            expanded: 0,
            depth: 0,
            control: Control::None,
            facts: Vec::new(),
            unhashed: BTreeSet::new(),
        };
        shell.set_connection();
        shell
    }

    /// Sets the machine's own address, for commands that show it. To be called before the first
    /// line.
    pub fn set_address(&mut self, address: IpAddr) {
        let old = &self.machine;
        let machine = Arc::new(Machine::new(
            old.persona.clone(),
            address,
            old.peer,
            old.login_user.clone(),
            old.login_at,
        ));
        self.fs = Fs::new(machine.clone());
        self.machine = machine;
        self.set_connection();
    }

    fn set_connection(&mut self) {
        let (peer, port) = (self.machine.peer, self.machine.peer_port());
        let address = self.machine.address;
        self.export("SSH_CLIENT", &format!("{peer} {port} 22"));
        self.export("SSH_CONNECTION", &format!("{peer} {port} {address} 22"));
        self.export("SSH_TTY", "/dev/pts/0");
    }

    /// What a login shows before the first prompt: the kernel, the message of the day and the
    /// last login.
    pub fn greeting(&self, _now: Timestamp) -> String {
        let persona = &self.machine.persona;
        let last = self.last_login();
        format!(
            "Linux {} {} {} x86_64\n{}Last login: {} from {}\n",
            persona.host_name,
            persona.kernel_release,
            persona.kernel_version,
            fs::MOTD,
            Date::of(last.0).format("%a %b %e %H:%M:%S %Y"),
            last.1,
        )
    }

    /// When and from where this user was here before.
    fn last_login(&self) -> (Timestamp, String) {
        let machine = &self.machine;
        let hours = 9 + machine.draw("last.login") % 60;
        let at = machine.login_at.minus(std::time::Duration::from_secs(
            hours * 3600 + machine.draw("last.seconds") % 3600,
        ));
        (at.max(machine.persona.booted_at), machine.gateway())
    }

    /// What stands before the visitor's next line; lines end with a line feed alone.
    pub fn prompt(&self) -> String {
        if let Some(question) = &self.question {
            return question.prompt.clone();
        }
        if !self.pending.is_empty() {
            return "> ".into();
        }
        let home = self.variable("HOME").unwrap_or_default();
        let cwd = match self.frame.cwd.strip_prefix(&home) {
            Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => {
                format!("~{rest}")
            }
            _ => self.frame.cwd.clone(),
        };
        let sign = if self.frame.who.uid == 0 { '#' } else { '$' };
        format!("{}@{}:{cwd}{sign} ", self.frame.user, self.machine.persona.host_name)
    }

    /// Runs one line, typed at the prompt, without its line end.
    pub fn run_line(&mut self, now: Timestamp, line: &str, out: &mut Vec<u8>) -> ShellFlow {
        self.begin(now, limits::MAX_SHOWN_BYTES);
        self.mode = Mode::Interactive;
        self.tty = true;
        let line = cut(line, limits::MAX_LINE_BYTES);
        let io = self.terminal(b"");
        if let Some(question) = self.question.take() {
            self.answer(question, line, io);
        } else {
            self.typed(line, io);
        }
        out.append(&mut std::mem::take(&mut self.sinks[io.out].bytes));
        self.settle(false);
        match std::mem::replace(&mut self.control, Control::None) {
            Control::Exit(status) => self.leave(status, out),
            _ => ShellFlow::Continue,
        }
    }

    fn typed(&mut self, line: &str, io: Io) {
        if self.pending.is_empty() && !line.trim().is_empty() && !line.starts_with(' ') {
            if self.history.len() >= limits::MAX_HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.to_owned());
        }
        let room = limits::MAX_PENDING_BYTES.saturating_sub(self.pending.len());
        self.pending.push_str(cut(line, room));
        match syntax::parse(&self.pending) {
            Ok(list) => {
                self.pending.clear();
                self.run_list(&list, io);
            }
            Err(SyntaxError::Incomplete(_)) if self.pending.len() < limits::MAX_PENDING_BYTES => {
                self.pending.push('\n');
            }
            Err(error) => {
                let text = std::mem::take(&mut self.pending);
                self.complain(&text, &error, io);
            }
        }
    }

    /// The end of the innermost shell: the one below goes on, or the session is over.
    fn leave(&mut self, status: u8, out: &mut Vec<u8>) -> ShellFlow {
        if self.frame.login {
            out.extend_from_slice(b"logout\n");
        }
        match self.outer.pop() {
            Some(frame) => {
                self.frame = frame;
                self.status = status;
                ShellFlow::Continue
            }
            None => {
                self.settle(true);
                ShellFlow::Exit(status)
            }
        }
    }

    /// Runs `command` as `bash -c` does, without a terminal, and gives its exit status.
    pub fn exec(
        &mut self,
        now: Timestamp,
        command: &str,
        stdin: &[u8],
        out: &mut ShellOutput,
    ) -> u8 {
        self.begin(now, limits::MAX_PIPE_BYTES);
        self.mode = Mode::Command;
        self.tty = false;
        self.frame.variables.remove("SSH_TTY");
        let io = self.terminal(stdin);
        let io = Io { err: self.sink(limits::MAX_SHOWN_BYTES), ..io };
        let command = cut(command, limits::MAX_PENDING_BYTES).to_owned();
        self.run_text(&command, io);
        out.stdout.append(&mut std::mem::take(&mut self.sinks[io.out].bytes));
        out.stderr.append(&mut std::mem::take(&mut self.sinks[io.err].bytes));
        self.settle(true);
        match std::mem::replace(&mut self.control, Control::None) {
            Control::Exit(status) => status,
            _ => self.status,
        }
    }

    /// What happened since the last call: files written and attempts to reach the outside. A
    /// file that is being appended to line by line is reported once something else happens.
    pub fn take_facts(&mut self) -> Vec<SessionFact> {
        std::mem::take(&mut self.facts)
    }

    /// The visitor pressed `^C`: an unfinished command or an unanswered question is dropped.
    pub fn interrupt(&mut self) {
        self.pending.clear();
        self.question = None;
        self.status = 130;
    }

    /// Reports what is still outstanding; to be called when the visitor is gone.
    pub fn finish(&mut self) {
        self.settle(true);
    }

    /// Fresh budgets for one line.
    fn begin(&mut self, now: Timestamp, shown: usize) {
        self.now = now;
        self.sources.clear();
        self.sinks.clear();
        self.steps = 0;
        self.written = 0;
        self.expanded = 0;
        self.depth = 0;
        self.control = Control::None;
        self.sink(shown);
    }

    fn terminal(&mut self, stdin: &[u8]) -> Io {
        let stdin = self.source(cut_bytes(stdin, limits::MAX_PIPE_BYTES).to_vec());
        Io { stdin, out: 0, err: 0 }
    }

    /// Notes that a file was written; its hash is taken when the line is over.
    fn wrote(&mut self, path: String) {
        if self.unhashed.len() < limits::MAX_FACTS {
            self.unhashed.insert(path);
        }
    }

    /// Reports written files. A file that only grew in this line waits for the next one.
    fn settle(&mut self, all: bool) {
        let growing = self.history.last().is_some_and(|line| line.contains(">>"));
        if growing && !all {
            return;
        }
        for path in std::mem::take(&mut self.unhashed) {
            let root = Who { uid: 0, gid: 0 };
            let Ok(bytes) = self.fs.read(root, "/", &path, self.now, 0) else { continue };
            self.record(upload(&path, &bytes));
        }
    }

    fn record(&mut self, fact: SessionFact) {
        if self.facts.len() < limits::MAX_FACTS {
            self.facts.push(fact);
        }
    }

    /// Records an attempt to reach something outside.
    fn reached_for(&mut self, text: &str) {
        self.record(SessionFact::Request { text: escape_text(text.as_bytes()) });
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.frame.variables.get(name).map(|variable| variable.value.clone())
    }

    fn set(&mut self, name: &str, value: String) {
        let known = self.frame.variables.contains_key(name);
        if !known && self.frame.variables.len() >= limits::MAX_NAMES {
            return;
        }
        let mut value = value;
        value.truncate(cut(&value, limits::MAX_VALUE_BYTES).len());
        let entry = self.frame.variables.entry(name.to_owned());
        entry.or_insert(Variable { value: String::new(), exported: false }).value = value;
    }

    fn export(&mut self, name: &str, value: &str) {
        self.set(name, value.to_owned());
        if let Some(variable) = self.frame.variables.get_mut(name) {
            variable.exported = true;
        }
    }

    /// A number that looks random (xorshift64*).
    fn draw(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

impl Frame {
    /// The frame that a login of `user` begins with.
    fn login(machine: &Machine, user: &str, uid: u32) -> Self {
        let home = fs::home_of(user);
        let path = if uid == 0 {
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        } else {
            "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
        };
        let exported = [
            ("SHELL", "/bin/bash"),
            ("PWD", &home),
            ("LOGNAME", user),
            ("MOTD_SHOWN", "pam"),
            ("HOME", &home),
            ("LANG", "C.UTF-8"),
            ("TERM", "xterm-256color"),
            ("USER", user),
            ("SHLVL", "1"),
            ("PATH", path),
        ];
        let hidden = [
            ("BASH", "/bin/bash"),
            ("BASH_VERSION", "5.2.15(1)-release"),
            ("HOSTNAME", &machine.persona.host_name),
            ("HOSTTYPE", "x86_64"),
            ("OSTYPE", "linux-gnu"),
            ("IFS", " \t\n"),
            ("PS1", "\\u@\\h:\\w\\$ "),
            ("HISTFILE", &format!("{home}/.bash_history")),
            ("HISTSIZE", "1000"),
        ];
        let entry = |exported: bool| {
            move |(name, value): (&str, &str)| {
                (name.to_owned(), Variable { value: value.to_owned(), exported })
            }
        };
        let variables =
            exported.into_iter().map(entry(true)).chain(hidden.into_iter().map(entry(false)));
        Self {
            user: user.to_owned(),
            who: Who { uid, gid: uid },
            cwd: home.clone(),
            variables: variables.collect(),
            login: true,
        }
    }
}

/// The fact about a file that a visitor left.
pub(crate) fn upload(path: &str, bytes: &[u8]) -> SessionFact {
    SessionFact::Upload {
        name: escape_text(path.as_bytes()),
        sha256: hex(&Sha256::digest(bytes)),
        bytes: bytes.len() as u64,
    }
}

fn neighbour(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(v4) if v4.is_private() => {
            let [a, b, c, d] = v4.octets();
            IpAddr::from([a, b, c, if d == 10 { 11 } else { 10 }])
        }
        _ => IpAddr::from([192, 168, 1, 10]),
    }
}

/// At most `most` bytes of a text, cut between characters.
fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn cut_bytes(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

//! The interpreter: walks the tree of [`super::syntax`] and moves bytes between commands. Every
//! command runs to its end before the next begins; a pipe is a buffer.

use std::sync::Arc;

use super::{
    Mode, Shell, commands,
    fs::{self, EXECUTE, FsError, Kind as NodeKind},
    limits,
    syntax::{self, AndOr, Command, Kind, List, Pipeline, SyntaxError},
};

/// What cuts the ordinary order of commands short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    None,
    Break(u32),
    Continue(u32),
    Return,
    Exit(u8),
    /// A budget is used up.
    Stopped,
}

/// Bytes that commands read, and how far they have.
#[derive(Default)]
pub(super) struct Source {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) at: usize,
}

/// Bytes that commands wrote.
#[derive(Default)]
pub(super) struct Sink {
    pub(super) bytes: Vec<u8>,
    most: usize,
}

/// Where a command's standard streams are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Io {
    pub(super) stdin: usize,
    pub(super) out: usize,
    pub(super) err: usize,
}

impl Shell {
    pub(super) fn sink(&mut self, most: usize) -> usize {
        self.sinks.push(Sink { bytes: Vec::new(), most });
        self.sinks.len() - 1
    }

    pub(super) fn source(&mut self, bytes: Vec<u8>) -> usize {
        self.sources.push(Source { bytes: Arc::new(bytes), at: 0 });
        self.sources.len() - 1
    }

    /// Writes to a sink, as far as the budgets allow.
    pub(super) fn write(&mut self, sink: usize, bytes: &[u8]) {
        let left = limits::MAX_WRITTEN_BYTES.saturating_sub(self.written);
        let sink = &mut self.sinks[sink];
        let room = sink.most.saturating_sub(sink.bytes.len()).min(left);
        let taken = bytes.len().min(room);
        sink.bytes.extend_from_slice(&bytes[..taken]);
        self.written += taken;
        if left == 0 && !bytes.is_empty() {
            self.control = Control::Stopped;
        }
    }

    pub(super) fn say(&mut self, io: Io, text: impl AsRef<[u8]>) {
        self.write(io.out, text.as_ref());
    }

    /// Writes a line to standard error.
    pub(super) fn warn(&mut self, io: Io, text: impl AsRef<str>) {
        self.write(io.err, text.as_ref().as_bytes());
        self.write(io.err, b"\n");
    }

    /// A message of the shell itself, with the prefix of how it was started.
    pub(super) fn grumble(&mut self, io: Io, text: impl AsRef<str>) {
        let prefix = match &self.mode {
            Mode::Interactive if self.frame.login => "-bash: ".to_owned(),
            Mode::Interactive => "bash: ".to_owned(),
            Mode::Command => format!("bash: line {}: ", self.line),
            Mode::Script(name, true) => format!("{name}: {}: ", self.line),
            Mode::Script(name, false) => format!("{name}: line {}: ", self.line),
        };
        self.warn(io, format!("{prefix}{}", text.as_ref()));
    }

    pub(super) fn complain(&mut self, text: &str, error: &SyntaxError, io: Io) {
        self.status = 2;
        match error {
            SyntaxError::Unexpected(token) => {
                self.grumble(io, format!("syntax error near unexpected token `{token}'"));
                if self.mode != Mode::Interactive {
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    self.grumble(io, format!("`{line}'"));
                }
            }
            SyntaxError::Incomplete(Some(quote)) => {
                let text = format!("unexpected EOF while looking for matching `{quote}'");
                self.grumble(io, text);
            }
            SyntaxError::Incomplete(None) => {
                self.line = text.lines().count() as u32 + 1;
                self.grumble(io, "syntax error: unexpected end of file");
            }
        }
    }

    /// Parses and runs a text, one level deeper.
    pub(super) fn run_text(&mut self, text: &str, io: Io) {
        match syntax::parse(text) {
            Ok(list) => self.run_list(&list, io),
            Err(error) => self.complain(text, &error, io),
        }
    }

    /// Counts one step; false once the line has had enough.
    pub(super) fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps > limits::MAX_STEPS {
            self.control = Control::Stopped;
        }
        self.control == Control::None
    }

    pub(super) fn run_list(&mut self, list: &List, io: Io) {
        for item in list {
            if self.control != Control::None {
                return;
            }
            self.run_and_or(item, io);
        }
    }

    fn run_and_or(&mut self, item: &AndOr, io: Io) {
        if item.background && self.mode == Mode::Interactive {
            let pid = self.machine.shell_pid() + 20 + self.steps;
            self.set("!", pid.to_string());
            self.warn(io, format!("[1] {pid}"));
        }
        self.run_pipeline(&item.first, io);
        for (and, pipeline) in &item.rest {
            if self.control != Control::None {
                return;
            }
            if *and == (self.status == 0) {
                self.run_pipeline(pipeline, io);
            }
        }
        if item.background {
            self.status = 0;
        }
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline, io: Io) {
        let last = pipeline.commands.len() - 1;
        let mut stdin = io.stdin;
        for (index, command) in pipeline.commands.iter().enumerate() {
            if index == last {
                self.run_command(command, Io { stdin, ..io });
            } else {
                let pipe = self.sink(limits::MAX_PIPE_BYTES);
                self.run_command(command, Io { stdin, out: pipe, ..io });
                let bytes = std::mem::take(&mut self.sinks[pipe].bytes);
                stdin = self.source(bytes);
                if matches!(self.control, Control::Exit(_) | Control::Return) {
                    self.control = Control::None;
                }
            }
        }
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
    }

    fn run_command(&mut self, command: &Command, io: Io) {
        if !self.step() {
            return;
        }
        if self.depth >= limits::MAX_DEPTH {
            self.control = Control::Stopped;
            return;
        }
        self.depth += 1;
        if self.mode != Mode::Interactive {
            self.line = command.line;
        }
        let mut opened = Vec::new();
        match self.redirect(command, io, &mut opened) {
            Some(inner) => self.run_kind(&command.kind, inner),
            None => self.status = 1,
        }
        for file in opened {
            self.flush(&file, io);
        }
        self.depth -= 1;
    }

    fn run_kind(&mut self, kind: &Kind, io: Io) {
        match kind {
            Kind::Simple { assigns, words } => self.run_simple(assigns, words, io),
            Kind::Group(list) => self.run_list(list, io),
            Kind::Subshell(list) => {
                let frame = self.frame.clone();
                self.run_list(list, io);
                self.frame = frame;
                if let Control::Exit(status) = self.control {
                    self.status = status;
                    self.control = Control::None;
                }
            }
            Kind::If { arms, otherwise } => self.run_if(arms, otherwise, io),
            Kind::For { name, words, body } => {
                let words = match words {
                    Some(words) => self.expand_words(words, io),
                    None => self.args.iter().skip(1).cloned().collect(),
                };
                self.status = 0;
                for word in words {
                    self.set(name, word);
                    if !self.run_round(body, io) {
                        break;
                    }
                }
            }
            Kind::While { until, condition, body } => self.run_while(*until, condition, body, io),
            Kind::Case { word, arms } => {
                let word = self.expand_one(word, io);
                self.status = 0;
                for (patterns, body) in arms {
                    let hit = patterns.iter().any(|pattern| {
                        let pattern = self.expand_pattern(pattern, io);
                        super::text::matches(&pattern, &word)
                    });
                    if hit {
                        self.run_list(body, io);
                        break;
                    }
                }
            }
            Kind::Function { name, body } => {
                if self.functions.len() < limits::MAX_NAMES {
                    self.functions.insert(name.clone(), body.clone());
                }
                self.status = 0;
            }
        }
    }

    fn run_if(&mut self, arms: &[(List, List)], otherwise: &List, io: Io) {
        for (condition, body) in arms {
            self.run_list(condition, io);
            if self.control != Control::None {
                return;
            }
            if self.status == 0 {
                self.run_list(body, io);
                return;
            }
        }
        self.status = 0;
        self.run_list(otherwise, io);
    }

    fn run_while(&mut self, until: bool, condition: &List, body: &List, io: Io) {
        let mut last = 0;
        loop {
            self.run_list(condition, io);
            if self.control != Control::None || (self.status == 0) == until {
                break;
            }
            let go_on = self.run_round(body, io);
            last = self.status;
            if !go_on {
                break;
            }
        }
        self.status = last;
    }

    /// One round of a loop; false where the loop ends.
    fn run_round(&mut self, body: &List, io: Io) -> bool {
        if !self.step() {
            return false;
        }
        self.run_list(body, io);
        match self.control {
            Control::None => true,
            Control::Continue(1) => {
                self.control = Control::None;
                true
            }
            Control::Break(1) => {
                self.control = Control::None;
                false
            }
            Control::Continue(n) => {
                self.control = Control::Continue(n - 1);
                false
            }
            Control::Break(n) => {
                self.control = Control::Break(n - 1);
                false
            }
            Control::Return | Control::Exit(_) | Control::Stopped => false,
        }
    }

    fn run_simple(&mut self, assigns: &[(String, syntax::Word)], words: &[syntax::Word], io: Io) {
        let before = self.status;
        self.status = 0;
        let mut args = {
            self.status = before;
            self.expand_words(words, io)
        };
        let substituted = self.status;
        let values: Vec<(String, String)> =
            assigns.iter().map(|(name, word)| (name.clone(), self.expand_one(word, io))).collect();
        if args.is_empty() {
            for (name, value) in values {
                self.set(&name, value);
            }
            let none_ran = substituted == before && self.status == before;
            self.status = if none_ran { 0 } else { self.status };
            return;
        }
        if self.control != Control::None {
            return;
        }
        if args[0] == "ls" || args[0] == "grep" {
            args.retain(|arg| !arg.starts_with("--color"));
        }
        let saved = (!values.is_empty()).then(|| self.frame.variables.clone());
        for (name, value) in values {
            self.export(&name, &value);
        }
        self.status = self.call(args, io);
        if let Some(variables) = saved {
            self.frame.variables = variables;
        }
    }

    /// Runs one command by name: function, builtin, program or file.
    pub(super) fn call(&mut self, args: Vec<String>, io: Io) -> u8 {
        if let Some(body) = self.functions.get(&args[0]).cloned() {
            return self.call_function(args, &body, io);
        }
        let name = args[0].clone();
        if name.contains('/') {
            return self.call_path(args, io);
        }
        if let Some(run) = commands::builtin(&name) {
            return run(self, &args, io);
        }
        match self.which(&name) {
            Some(path) => self.call_file(&path, args, io),
            None => {
                self.not_found(&name, io);
                127
            }
        }
    }

    fn not_found(&mut self, name: &str, io: Io) {
        if matches!(self.mode, Mode::Script(_, true)) {
            self.grumble(io, format!("{name}: not found"));
        } else {
            self.grumble(io, format!("{name}: command not found"));
        }
    }

    fn call_function(&mut self, args: Vec<String>, body: &Arc<Command>, io: Io) -> u8 {
        let outer = std::mem::replace(&mut self.args, args);
        self.run_command(body, io);
        self.args = outer;
        if self.control == Control::Return {
            self.control = Control::None;
        }
        self.status
    }

    /// The path of a program in `$PATH`.
    pub(super) fn which(&self, name: &str) -> Option<String> {
        let path = self.variable("PATH").unwrap_or_default();
        path.split(':').take(32).map(|dir| fs::join(dir, name)).find(|path| {
            let found = self.fs.find(self.frame.who, "/", path);
            found.is_ok_and(|(_, node)| {
                matches!(node.kind, NodeKind::File(_)) && node.mode & 0o111 != 0
            })
        })
    }

    fn call_path(&mut self, args: Vec<String>, io: Io) -> u8 {
        let name = args[0].clone();
        let who = self.frame.who;
        let found = self.fs.find(who, &self.frame.cwd, &name);
        let found = found.map(|(path, node)| (path, node.is_dir()));
        match found {
            Err(error) => {
                self.grumble(io, format!("{name}: {}", error.message()));
                if error == FsError::NotFound { 127 } else { 126 }
            }
            Ok((_, true)) => {
                self.grumble(io, format!("{name}: Is a directory"));
                126
            }
            Ok((path, false)) if !self.fs.may(who, &path, EXECUTE) => {
                self.grumble(io, format!("{name}: Permission denied"));
                126
            }
            Ok((path, false)) => self.call_file(&path, args, io),
        }
    }

    /// Runs a file that may be executed: a program of the base image by its name, a script by
    /// its text, anything else not at all.
    fn call_file(&mut self, path: &str, args: Vec<String>, io: Io) -> u8 {
        let who = self.frame.who;
        let Ok((path, node)) = self.fs.find(who, "/", path) else { return 127 };
        if matches!(&node.kind, NodeKind::File(fs::Content::Program(_))) {
            let name = fs::base_name(&args[0]).to_owned();
            let real = fs::base_name(&path).to_owned();
            return match commands::program(&name).or_else(|| commands::program(&real)) {
                Some(run) => run(self, &args, io),
                None => commands::unremarkable(self, &args, io),
            };
        }
        let bytes = self.fs.read(who, "/", &path, self.now, 0).unwrap_or_default();
        if bytes.starts_with(b"\x7fELF") {
            // it starts and says nothing, as a daemon does
            return 0;
        }
        if bytes.contains(&0) {
            let name = &args[0];
            self.grumble(io, format!("{name}: cannot execute binary file: Exec format error"));
            return 126;
        }
        let dash = bytes.starts_with(b"#!")
            && !bytes.starts_with(b"#!/bin/bash")
            && !bytes.starts_with(b"#!/usr/bin/env bash");
        self.run_script(&String::from_utf8_lossy(&bytes), args, dash, io)
    }

    /// Runs a text as a script with its own arguments and variables.
    pub(super) fn run_script(&mut self, text: &str, args: Vec<String>, dash: bool, io: Io) -> u8 {
        let script = Mode::Script(args[0].clone(), dash);
        let mode = std::mem::replace(&mut self.mode, script);
        let outer = std::mem::replace(&mut self.args, args);
        let (frame, line) = (self.frame.clone(), self.line);
        self.depth += 1;
        if self.depth < limits::MAX_DEPTH {
            self.run_text(text, io);
        } else {
            self.control = Control::Stopped;
        }
        self.depth -= 1;
        (self.mode, self.args, self.frame, self.line) = (mode, outer, frame, line);
        match self.control {
            Control::Exit(status) => {
                self.control = Control::None;
                status
            }
            Control::Return => {
                self.control = Control::None;
                self.status
            }
            _ => self.status,
        }
    }
}

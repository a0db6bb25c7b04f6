//! Expansion of words: braces, tildes, parameters, command substitution, arithmetic, field
//! splitting and globs, in bash's order.

use super::{
    Shell,
    fs::READ,
    limits,
    run::{Control, Io},
    syntax::{Part, Word, parse_quoted},
    text,
};

/// A field as it grows: what it says, the same as a pattern, and whether quotes keep it alive.
#[derive(Default)]
struct Field {
    text: String,
    pattern: String,
    globs: bool,
    kept: bool,
}

impl Field {
    fn push(&mut self, c: char, quoted: bool) {
        self.text.push(c);
        if quoted && matches!(c, '*' | '?' | '[' | ']' | '\\') {
            self.pattern.push('\\');
        }
        self.globs |= !quoted && matches!(c, '*' | '?' | '[');
        self.pattern.push(c);
    }
}

impl Shell {
    /// The arguments that words stand for.
    pub(super) fn expand_words(&mut self, words: &[Word], io: Io) -> Vec<String> {
        let mut args = Vec::new();
        for word in words {
            for word in braces(word) {
                for field in self.fields(&word, io, true) {
                    self.glob(field, &mut args);
                    if args.len() >= limits::MAX_WORDS
                        || self.expanded >= limits::MAX_EXPANDED_BYTES
                    {
                        self.control = Control::Stopped;
                        return args;
                    }
                }
            }
        }
        args
    }

    /// A word as one text, neither split nor globbed.
    pub(super) fn expand_one(&mut self, word: &Word, io: Io) -> String {
        self.fields(word, io, false).into_iter().next().unwrap_or_default().text
    }

    /// A word as a pattern: what was quoted stands for itself.
    pub(super) fn expand_pattern(&mut self, word: &Word, io: Io) -> String {
        self.fields(word, io, false).into_iter().next().unwrap_or_default().pattern
    }

    fn fields(&mut self, word: &Word, io: Io, split: bool) -> Vec<Field> {
        let mut fields = vec![Field::default()];
        for part in &word.0 {
            match part {
                Part::Text { text, quoted } => self.add(&mut fields, text, *quoted, false),
                Part::Tilde(name) => {
                    let home = self.tilde(name);
                    self.add(&mut fields, &home, true, false);
                }
                Part::Variable { text, quoted } if text == "@" && *quoted && split => {
                    let args = self.args.clone();
                    for (index, arg) in args.iter().skip(1).enumerate() {
                        if index > 0 {
                            fields.push(Field::default());
                        }
                        self.add(&mut fields, arg, true, false);
                    }
                }
                Part::Variable { text, quoted } => {
                    let value = self.parameter(text, io);
                    self.add(&mut fields, &value, *quoted, split && !quoted);
                }
                Part::Substitution { text, quoted } => {
                    let value = self.substitute(text, io);
                    self.add(&mut fields, &value, *quoted, split && !quoted);
                }
                Part::Arithmetic { text, quoted } => {
                    let value = self.arithmetic(text, io).to_string();
                    self.add(&mut fields, &value, *quoted, false);
                }
            }
        }
        if split {
            fields.retain(|field| field.kept || !field.text.is_empty());
        }
        fields
    }

    /// Adds text to the last field, or to new ones where it is split.
    fn add(&mut self, fields: &mut Vec<Field>, text: &str, quoted: bool, split: bool) {
        let room = limits::MAX_EXPANDED_BYTES.saturating_sub(self.expanded);
        let text = super::cut(text, room);
        self.expanded += text.len();
        let mut ended = false;
        for c in text.chars() {
            if split && matches!(c, ' ' | '\t' | '\n') {
                ended = true;
                continue;
            }
            let open = fields.last().is_some_and(|f| f.kept || !f.text.is_empty());
            if ended && open && fields.len() < limits::MAX_WORDS {
                fields.push(Field::default());
            }
            ended = false;
            if let Some(field) = fields.last_mut() {
                field.push(c, quoted);
            }
        }
        if ended && fields.last().is_some_and(|f| !f.text.is_empty()) {
            fields.push(Field::default());
        }
        if let Some(field) = fields.last_mut() {
            field.kept |= quoted;
        }
    }

    fn tilde(&self, name: &str) -> String {
        match name {
            "" => self.variable("HOME").unwrap_or_else(|| "/".into()),
            "+" => self.frame.cwd.clone(),
            name => match self.machine.account(name) {
                Some(account) => super::fs::home_of(&account.user),
                None => format!("~{name}"),
            },
        }
    }

    /// Runs `$(…)` and gives what it wrote, without the line ends at its end.
    fn substitute(&mut self, text: &str, io: Io) -> String {
        if self.depth >= limits::MAX_DEPTH || !self.step() {
            self.control = Control::Stopped;
            return String::new();
        }
        self.depth += 1;
        let frame = self.frame.clone();
        let out = self.sink(limits::MAX_EXPANDED_BYTES);
        self.run_text(text, Io { out, ..io });
        if let Control::Exit(status) = self.control {
            self.status = status;
            self.control = Control::None;
        }
        self.frame = frame;
        self.depth -= 1;
        let bytes = std::mem::take(&mut self.sinks[out].bytes);
        let text = String::from_utf8_lossy(&bytes).replace('\0', "");
        text.trim_end_matches('\n').to_owned()
    }

    /// What stands in `${…}`.
    fn parameter(&mut self, text: &str, io: Io) -> String {
        if let Some(name) = text.strip_prefix('#').filter(|name| !name.is_empty()) {
            let value = self.value(name).unwrap_or_default();
            return value.chars().count().to_string();
        }
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len())
            .max(usize::from(text.starts_with(|c| "?$!#@*-".contains(c))));
        let (name, rest) = text.split_at(end);
        let value = self.value(name);
        let colon = rest.starts_with(':');
        let present = value.as_ref().is_some_and(|value| !(colon && value.is_empty()));
        let operator = rest.trim_start_matches(':');
        let word = |shell: &mut Self, text: &str| match parse_quoted(&text.replace('"', "")) {
            Ok(word) if shell.depth < limits::MAX_DEPTH => {
                shell.depth += 1;
                let text = shell.expand_one(&word, io);
                shell.depth -= 1;
                text
            }
            _ => String::new(),
        };
        let value = value.unwrap_or_default();
        match operator.chars().next() {
            None => value,
            Some('-') if present => value,
            Some('-') => word(self, &operator[1..]),
            Some('=') if present => value,
            Some('=') => {
                let value = word(self, &operator[1..]);
                self.set(name, value.clone());
                value
            }
            Some('+') if present => word(self, &operator[1..]),
            Some('+') => String::new(),
            Some('?') if present => value,
            Some('?') => {
                let message = word(self, &operator[1..]);
                self.grumble(io, format!("{name}: {message}"));
                String::new()
            }
            Some(c @ ('#' | '%')) => {
                let pattern = operator.trim_start_matches(c);
                let longest = operator.len() - pattern.len() > 1;
                let pattern = word(self, pattern);
                trim(&value, &pattern, c == '#', longest)
            }
            Some('/') => {
                let all = operator.starts_with("//");
                let (from, to) = operator
                    .trim_start_matches('/')
                    .split_once('/')
                    .unwrap_or((operator.trim_start_matches('/'), ""));
                let (from, to) = (word(self, from), word(self, to));
                if from.is_empty() {
                    value
                } else if all {
                    value.replace(&from, super::cut(&to, 256))
                } else {
                    value.replacen(&from, &to, 1)
                }
            }
            Some('^') => value.to_uppercase(),
            Some(',') => value.to_lowercase(),
            Some(_) if colon => {
                let (from, len) = rest[1..].split_once(':').unwrap_or((&rest[1..], ""));
                let chars: Vec<char> = value.chars().collect();
                let from = self.arithmetic(from, io);
                let from = if from < 0 { chars.len() as i64 + from } else { from };
                let from = from.clamp(0, chars.len() as i64) as usize;
                let len = if len.is_empty() { i64::MAX } else { self.arithmetic(len, io) };
                chars[from..].iter().take(len.max(0) as usize).collect()
            }
            Some(_) => {
                self.grumble(io, format!("${{{text}}}: bad substitution"));
                String::new()
            }
        }
    }

    pub(super) fn value(&mut self, name: &str) -> Option<String> {
        Some(match name {
            "?" => self.status.to_string(),
            "$" | "BASHPID" => self.machine.shell_pid().to_string(),
            "PPID" => (self.machine.shell_pid() - 7).to_string(),
            "#" => self.args.len().saturating_sub(1).to_string(),
            "@" | "*" => self.args.get(1..).unwrap_or_default().join(" "),
            "-" => if self.tty { "himBHs" } else { "hBc" }.into(),
            "0" => match self.args.first() {
                Some(name) => name.clone(),
                None if self.tty => "-bash".into(),
                None => "bash".into(),
            },
            "UID" | "EUID" => self.frame.who.uid.to_string(),
            "RANDOM" => (self.draw() % 32_768).to_string(),
            "SECONDS" => self.now.since(self.machine.login_at).as_secs().to_string(),
            "LINENO" => self.line.to_string(),
            "PWD" => self.frame.cwd.clone(),
            digits if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                return digits.parse().ok().and_then(|n: usize| self.args.get(n).cloned());
            }
            name => return self.variable(name),
        })
    }

    /// Replaces a pattern by the paths that match it; where none does, it stays as it is.
    fn glob(&mut self, field: Field, args: &mut Vec<String>) {
        if !field.globs {
            args.push(field.text);
            return;
        }
        let mut found =
            vec![if field.pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
        for part in field.pattern.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for base in &found {
                if !self.step() {
                    return;
                }
                self.glob_part(base, part, &mut next);
                next.truncate(limits::MAX_WORDS);
            }
            found = next;
        }
        if found.is_empty() {
            args.push(field.text);
        }
        self.expanded += found.iter().map(String::len).sum::<usize>();
        args.extend(found);
    }

    fn glob_part(&mut self, base: &str, part: &str, next: &mut Vec<String>) {
        let (who, cwd) = (self.frame.who, &self.frame.cwd);
        let prefix = if base.is_empty() || base.ends_with('/') {
            base.to_owned()
        } else {
            format!("{base}/")
        };
        if !part.contains(['*', '?', '[']) {
            let path = format!("{prefix}{}", part.replace('\\', ""));
            if self.fs.find_link(who, cwd, &path).is_ok() {
                next.push(path);
            }
            return;
        }
        let dir = if base.is_empty() { "." } else { base };
        let Ok((path, _)) = self.fs.find(who, cwd, dir) else { return };
        if !self.fs.may(who, &path, READ) {
            return;
        }
        let names = self.fs.names(&path);
        let hidden = part.starts_with('.');
        let hits = names
            .iter()
            .filter(|name| (hidden || !name.starts_with('.')) && text::matches(part, name));
        next.extend(hits.map(|name| format!("{prefix}{name}")));
    }
}

/// Removes what matches a pattern from one end of a value.
fn trim(value: &str, pattern: &str, front: bool, longest: bool) -> String {
    let value = super::cut(value, 4096);
    let mut cuts: Vec<usize> =
        value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    if front == longest {
        cuts.reverse();
    }
    for at in cuts {
        let (head, tail) = value.split_at(at);
        let (gone, left) = if front { (head, tail) } else { (tail, head) };
        if text::matches(pattern, gone) {
            return left.to_owned();
        }
    }
    value.to_owned()
}

/// `a{b,c}` and `{1..3}`: the words that a word with braces stands for.
fn braces(word: &Word) -> Vec<Word> {
    let mut done = Vec::new();
    let mut todo = vec![word.clone()];
    while let Some(word) = todo.pop() {
        let found = word.0.iter().enumerate().find_map(|(index, part)| match part {
            Part::Text { text, quoted: false } => brace(text).map(|found| (index, found)),
            _ => None,
        });
        match found {
            Some((index, choices))
                if done.len() + todo.len() + choices.len() < limits::MAX_WORDS =>
            {
                for choice in choices.into_iter().rev() {
                    let mut word = word.clone();
                    word.0[index] = Part::Text { text: choice, quoted: false };
                    todo.push(word);
                }
            }
            _ => done.push(word),
        }
    }
    done
}

fn brace(text: &str) -> Option<Vec<String>> {
    let open = text.find('{')?;
    let close = open + text[open..].find('}')?;
    let (head, inner, tail) = (&text[..open], &text[open + 1..close], &text[close + 1..]);
    let choices: Vec<String> = if let Some((from, to)) = inner.split_once("..") {
        if let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) {
            let count = from.abs_diff(to).min(limits::MAX_WORDS as u64 / 2) as i64;
            let sign = if to < from { -1 } else { 1 };
            (0..=count).map(|n| (from + n * sign).to_string()).collect()
        } else {
            let (from, to) = (from.chars().next()?, to.chars().next()?);
            if inner.len() != 4 || !from.is_ascii_alphabetic() || !to.is_ascii_alphabetic() {
                return None;
            }
            (from..=to).map(String::from).collect()
        }
    } else if inner.contains(',') {
        inner.split(',').map(str::to_owned).collect()
    } else {
        return None;
    };
    Some(choices.iter().map(|choice| format!("{head}{choice}{tail}")).collect())
}

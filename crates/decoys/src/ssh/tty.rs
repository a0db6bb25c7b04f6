//! A terminal with bash and readline 8.2 behind it: echo, editing, history, CR LF.
//!
//! Owns the line being typed. It must not know commands: it gives lines and takes output.

/// Longest line; what is typed beyond rings the bell.
const MAX_LINE_CHARS: usize = 4096;
/// Lines that the arrow keys bring back.
const MAX_HISTORY: usize = 500;
/// Longest escape sequence that is waited for.
const MAX_SEQUENCE_BYTES: usize = 32;

/// A terminal as the visitor's client describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Terminal {
    /// `$TERM`.
    pub(super) name: String,
}

impl Terminal {
    fn is_dumb(&self) -> bool {
        self.name == "dumb" || self.name.is_empty()
    }

    fn has_title(&self) -> bool {
        self.name.starts_with("xterm") || self.name.starts_with("rxvt")
    }

    fn has_colour(&self) -> bool {
        self.name == "xterm-color" || self.name.ends_with("-256color")
    }
}

/// What a key led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    None,
    /// A line was entered.
    Line(String),
    /// `^C`.
    Interrupt,
    /// `^D` on an empty line.
    EndOfFile,
}

/// Where an escape sequence stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Sequence {
    None,
    Escape,
    Control(Vec<u8>),
    /// `ESC O`, as keypads send it.
    Single,
}

/// The line being typed.
pub(super) struct LineEditor {
    terminal: Terminal,
    root: bool,
    prompt: String,
    /// A program asks for a password: no echo, no editing with readline.
    secret: bool,
    line: Vec<char>,
    cursor: usize,
    sequence: Sequence,
    utf8: Vec<u8>,
    killed: Vec<char>,
    history: Vec<Vec<char>>,
    position: usize,
    carriage_return: bool,
}

const BELL: &[u8] = b"\x07";

impl LineEditor {
    pub(super) fn new(terminal: Terminal, root: bool) -> Self {
        Self {
            terminal,
            root,
            prompt: String::new(),
            secret: false,
            line: Vec::new(),
            cursor: 0,
            sequence: Sequence::None,
            utf8: Vec::new(),
            killed: Vec::new(),
            history: Vec::new(),
            position: 0,
            carriage_return: false,
        }
    }

    /// Prints a program's output: line feeds become CR LF.
    pub(super) fn print(&self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            if byte == b'\n' {
                out.push(b'\r');
            }
            out.push(byte);
        }
    }

    /// Begins a line.
    pub(super) fn prompt(&mut self, prompt: &str, out: &mut Vec<u8>) {
        self.secret = prompt.ends_with(": ");
        self.prompt = self.decorate(prompt);
        self.line.clear();
        self.cursor = 0;
        self.position = self.history.len();
        if !self.is_plain() {
            out.extend_from_slice(b"\x1b[?2004h");
        }
        out.extend_from_slice(self.prompt.as_bytes());
    }

    /// Whether a program asks for a password.
    pub(super) fn is_secret(&self) -> bool {
        self.secret
    }

    fn is_plain(&self) -> bool {
        self.secret || self.terminal.is_dumb()
    }

    /// What the `.bashrc` of Debian's skeleton makes of a user's prompt; root has none.
    fn decorate(&self, prompt: &str) -> String {
        let parts = prompt.split_once(':').and_then(|(who, rest)| {
            let at = rest.rfind(['$', '#'])?;
            Some((who, &rest[..at], &rest[at..]))
        });
        let Some((who, path, mark)) = parts.filter(|_| !self.root && !self.secret) else {
            return prompt.into();
        };
        let mut text = String::new();
        if self.terminal.has_title() {
            text.push_str(&format!("\x1b]0;{who}: {path}\x07"));
        }
        match self.terminal.has_colour() {
            true => {
                text.push_str(&format!("\x1b[01;32m{who}\x1b[00m:\x1b[01;34m{path}\x1b[00m{mark}"))
            }
            false => text.push_str(prompt),
        }
        text
    }

    /// Takes one byte of the visitor.
    pub(super) fn key(&mut self, byte: u8, out: &mut Vec<u8>) -> Key {
        if self.secret {
            let mut unseen = Vec::new();
            let key = self.edit(byte, &mut unseen);
            if key != Key::None {
                out.extend_from_slice(b"\r\n");
            }
            return key;
        }
        self.edit(byte, out)
    }

    fn edit(&mut self, byte: u8, out: &mut Vec<u8>) -> Key {
        match std::mem::replace(&mut self.sequence, Sequence::None) {
            Sequence::None => self.plain(byte, out),
            Sequence::Escape => self.escaped(byte),
            Sequence::Single => self.function(&[byte], out),
            Sequence::Control(mut bytes) => {
                bytes.push(byte);
                let ended = (0x40..=0x7e).contains(&byte);
                if ended {
                    return self.function(&bytes, out);
                }
                if bytes.len() < MAX_SEQUENCE_BYTES {
                    self.sequence = Sequence::Control(bytes);
                }
                Key::None
            }
        }
    }

    fn escaped(&mut self, byte: u8) -> Key {
        match byte {
            b'[' => self.sequence = Sequence::Control(Vec::new()),
            b'O' => self.sequence = Sequence::Single,
            _ => {}
        }
        Key::None
    }

    fn function(&mut self, sequence: &[u8], out: &mut Vec<u8>) -> Key {
        match sequence {
            b"A" => self.recall(self.position.wrapping_sub(1), out),
            b"B" => self.recall(self.position + 1, out),
            b"C" => self.move_to(self.cursor + 1, out),
            b"D" => self.move_to(self.cursor.wrapping_sub(1), out),
            b"H" | b"1~" => self.move_to(0, out),
            b"F" | b"4~" => self.move_to(self.line.len(), out),
            b"3~" => self.delete(self.cursor, self.cursor + 1, out),
            _ => {}
        }
        Key::None
    }

    fn plain(&mut self, byte: u8, out: &mut Vec<u8>) -> Key {
        let after_return = std::mem::replace(&mut self.carriage_return, byte == b'\r');
        match byte {
            b'\n' if after_return => {}
            b'\r' | b'\n' => return self.enter(out),
            0x01 => self.move_to(0, out),
            0x02 => self.move_to(self.cursor.wrapping_sub(1), out),
            0x03 => return self.interrupt(out),
            0x04 if self.line.is_empty() => {
                self.leave(out);
                out.extend_from_slice(b"\r\n");
                return Key::EndOfFile;
            }
            0x04 => self.delete(self.cursor, self.cursor + 1, out),
            0x05 => self.move_to(self.line.len(), out),
            0x06 => self.move_to(self.cursor + 1, out),
            0x08 | 0x7f => match self.cursor {
                0 => out.extend_from_slice(BELL),
                cursor => self.delete(cursor - 1, cursor, out),
            },
            0x0b => self.kill(self.cursor, self.line.len(), out),
            0x0c => {
                out.extend_from_slice(b"\x1b[H\x1b[2J\x1b[3J");
                out.extend_from_slice(self.prompt.clone().as_bytes());
                self.draw(0, 0, out);
            }
            0x0e => self.recall(self.position + 1, out),
            0x10 => self.recall(self.position.wrapping_sub(1), out),
            0x15 => self.kill(0, self.cursor, out),
            0x17 => self.kill(self.word_start(), self.cursor, out),
            0x19 => self.killed.clone().into_iter().for_each(|c| self.insert(c, out)),
            0x1b => self.sequence = Sequence::Escape,
            b'\t' => out.extend_from_slice(BELL),
            byte if byte < 0x20 => {}
            byte => self.text(byte, out),
        }
        Key::None
    }

    /// Collects the bytes of one character; what is not UTF-8 is dropped.
    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.utf8.push(byte);
        match std::str::from_utf8(&self.utf8) {
            Ok(text) => {
                let typed: Vec<char> = text.chars().collect();
                self.utf8.clear();
                typed.into_iter().for_each(|c| self.insert(c, out));
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => self.utf8.clear(),
        }
    }

    fn insert(&mut self, c: char, out: &mut Vec<u8>) {
        if self.line.len() >= MAX_LINE_CHARS {
            out.extend_from_slice(BELL);
            return;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
        push(c, out);
        self.redraw_tail(0, out);
    }

    /// Prints what is right of the cursor, `gone` blanks over what was there, and comes back.
    fn redraw_tail(&self, gone: usize, out: &mut Vec<u8>) {
        let tail = &self.line[self.cursor..];
        tail.iter().for_each(|&c| push(c, out));
        if gone > 0 {
            out.extend_from_slice(b"\x1b[K");
        }
        out.resize(out.len() + tail.len(), 0x08);
    }

    fn delete(&mut self, start: usize, end: usize, out: &mut Vec<u8>) {
        if start >= end || end > self.line.len() {
            return;
        }
        let back = self.cursor - start;
        self.line.drain(start..end);
        self.cursor = start;
        out.resize(out.len() + back, 0x08);
        self.redraw_tail(end - start, out);
    }

    fn kill(&mut self, start: usize, end: usize, out: &mut Vec<u8>) {
        if start < end {
            self.killed = self.line[start..end].to_vec();
        }
        self.delete(start, end, out);
    }

    fn word_start(&self) -> usize {
        let blank = self.line[..self.cursor].iter().rev().take_while(|c| c.is_whitespace()).count();
        let word = self.line[..self.cursor - blank]
            .iter()
            .rev()
            .take_while(|c| !c.is_whitespace())
            .count();
        self.cursor - blank - word
    }

    fn move_to(&mut self, target: usize, out: &mut Vec<u8>) {
        if target > self.line.len() {
            out.extend_from_slice(BELL);
            return;
        }
        match target < self.cursor {
            true => out.resize(out.len() + self.cursor - target, 0x08),
            false => self.line[self.cursor..target].iter().for_each(|&c| push(c, out)),
        }
        self.cursor = target;
    }

    fn recall(&mut self, position: usize, out: &mut Vec<u8>) {
        if position > self.history.len() {
            out.extend_from_slice(BELL);
            return;
        }
        let line = self.history.get(position).cloned().unwrap_or_default();
        self.position = position;
        let (cursor, length) = (self.cursor, self.line.len());
        self.line = line;
        self.draw(cursor, length, out);
    }

    /// Draws the whole line over one of which `cursor` of `length` characters lie left.
    fn draw(&mut self, cursor: usize, length: usize, out: &mut Vec<u8>) {
        out.resize(out.len() + cursor, 0x08);
        self.line.iter().for_each(|&c| push(c, out));
        if length > self.line.len() {
            out.extend_from_slice(b"\x1b[K");
        }
        self.cursor = self.line.len();
    }

    /// The terminal leaves the mode of readline.
    fn leave(&self, out: &mut Vec<u8>) {
        if !self.is_plain() {
            out.extend_from_slice(b"\x1b[?2004l\r");
        }
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Key {
        out.extend_from_slice(b"\r\n");
        self.leave(out);
        let line = std::mem::take(&mut self.line);
        if !self.secret && !line.is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == MAX_HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        Key::Line(line.into_iter().collect())
    }

    fn interrupt(&mut self, out: &mut Vec<u8>) -> Key {
        out.extend_from_slice(b"^C");
        self.leave(out);
        out.extend_from_slice(b"\r\n");
        Key::Interrupt
    }
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Types keys on a dumb terminal; shows the echo and the lines that came of it.
    #[track_caller]
    fn check(keys: &[u8], expected: Expect) {
        let mut editor = LineEditor::new(Terminal { name: "dumb".into() }, true);
        let (mut out, mut lines) = (Vec::new(), Vec::new());
        for &key in keys {
            match editor.key(key, &mut out) {
                Key::None => {}
                key => {
                    lines.push(key);
                    editor.prompt("", &mut out);
                }
            }
        }
        expected.assert_eq(&format!("{:?} {lines:?}", String::from_utf8(out).unwrap()));
    }

    #[test]
    fn lines_are_edited() {
        check(b"id\r", expect![[r#""id\r\n" [Line("id")]"#]]);
        check(b"ix\x7fd\r", expect![[r#""ix\u{8}\u{1b}[Kd\r\n" [Line("id")]"#]]);
        check(b"d\x1b[Di\r\n", expect![[r#""d\u{8}id\u{8}\r\n" [Line("id")]"#]]);
        check(
            b"a b\x17c\x15d\r",
            expect![[r#""a b\u{8}\u{1b}[Kc\u{8}\u{8}\u{8}\u{1b}[Kd\r\n" [Line("d")]"#]],
        );
        check(b"x\x03", expect![[r#""x^C\r\n" [Interrupt]"#]]);
        check(b"\x04", expect![[r#""\r\n" [EndOfFile]"#]]);
        check(b"id\r\x1b[A\r", expect![[r#""id\r\nid\r\n" [Line("id"), Line("id")]"#]]);
        check(b"\x1b[200~ls\x1b[201~\r", expect![[r#""ls\r\n" [Line("ls")]"#]]);
        check("ä\x7f\r".as_bytes(), expect![[r#""ä\u{8}\u{1b}[K\r\n" [Line("")]"#]]);
    }

    #[test]
    fn prompts_are_those_of_the_skeleton() {
        let mut editor = LineEditor::new(Terminal { name: "xterm-256color".into() }, false);
        let mut out = Vec::new();
        editor.prompt("eva@web1:/tmp$ ", &mut out);
        let expected = "\x1b[?2004h\x1b]0;eva@web1: /tmp\x07\x1b[01;32meva@web1\x1b[00m:\x1b[01;34m/tmp\x1b[00m$ ";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

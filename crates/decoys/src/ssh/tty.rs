//! A terminal with bash and readline 8.2 behind it: echo, editing, history, CR LF.
//!
//! Owns the line being typed. It must not know commands: it gives lines and takes output.

/// Longest line; what is typed beyond rings the bell.
const MAX_LINE_CHARS: usize = 4096;
/// Lines that the arrow keys bring back.
const MAX_HISTORY: usize = 500;
/// Longest paste that is taken; a longer one is dropped.
const MAX_PASTE_BYTES: usize = 64 * 1024;
/// Longest escape sequence that is waited for.
const MAX_SEQUENCE_BYTES: usize = 32;

/// A terminal as the visitor's client describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Terminal {
    /// `$TERM`.
    pub(super) name: String,
}

impl Terminal {
    /// Debian's ncurses-base knows these; readline takes every other one for dumb.
    fn is_dumb(&self) -> bool {
        !self.is_one_of(&["vt", "sun", "cygwin", "cons25", "pcansi"]) && !self.shifts()
    }

    /// Whether its terminfo entry inserts and deletes characters.
    fn shifts(&self) -> bool {
        self.is_one_of(&["xterm", "rxvt", "screen", "tmux", "linux", "vt220", "ansi"])
    }

    fn is_one_of(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.name.starts_with(prefix))
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
    /// The last key killed text.
    killing: bool,
    /// What was pasted so far.
    paste: Option<Vec<u8>>,
    /// Where pasted text begins that is still shown marked.
    marked: Option<usize>,
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
            killing: false,
            paste: None,
            marked: None,
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
        self.marked = None;
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
        if self.terminal.has_colour() {
            let who = format!("\x1b[01;32m{who}\x1b[00m");
            text.push_str(&format!("{who}:\x1b[01;34m{path}\x1b[00m{mark}"));
        } else {
            text.push_str(prompt);
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
            Sequence::None if self.paste.is_some() => {
                self.pasting(byte, out);
                Key::None
            }
            Sequence::None => {
                self.unmark(out);
                self.plain(byte, out)
            }
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
            b"C" => self.go(self.cursor + 1, out),
            b"D" => self.go(self.cursor.wrapping_sub(1), out),
            b"H" | b"1~" => self.go(0, out),
            b"F" | b"4~" => self.go(self.line.len(), out),
            b"3~" => self.delete(self.cursor, self.cursor + 1, out),
            b"200~" => self.paste = Some(Vec::new()),
            _ => {}
        }
        Key::None
    }

    fn plain(&mut self, byte: u8, out: &mut Vec<u8>) -> Key {
        let after_return = std::mem::replace(&mut self.carriage_return, byte == b'\r');
        let joined = std::mem::replace(&mut self.killing, matches!(byte, 0x0b | 0x15 | 0x17));
        match byte {
            b'\n' if after_return => {}
            b'\r' | b'\n' => return self.enter(out),
            0x01 => self.go(0, out),
            0x02 => self.go(self.cursor.wrapping_sub(1), out),
            0x03 => return self.interrupt(out),
            0x04 if self.line.is_empty() => {
                if !self.is_plain() {
                    self.leave(out);
                    out.extend_from_slice(b"\r\n");
                }
                return Key::EndOfFile;
            }
            0x04 => self.delete(self.cursor, self.cursor + 1, out),
            0x05 => self.go(self.line.len(), out),
            0x06 => self.go(self.cursor + 1, out),
            0x08 | 0x7f => self.rub_out(out),
            0x0b => self.kill(self.cursor, self.line.len(), joined, out),
            0x0c => self.clear_screen(out),
            0x0e => self.recall(self.position + 1, out),
            0x10 => self.recall(self.position.wrapping_sub(1), out),
            0x15 => self.kill(0, self.cursor, joined, out),
            0x17 => self.kill(self.word_start(), self.cursor, joined, out),
            0x19 => self.insert(&self.killed.clone(), out),
            0x1b => self.sequence = Sequence::Escape,
            b'\t' => out.extend_from_slice(BELL),
            byte if byte < 0x20 => {}
            byte => {
                if let Some(c) = self.character(byte) {
                    self.insert(&[c], out);
                }
            }
        }
        Key::None
    }

    /// Collects the bytes of one character; what is not UTF-8 is dropped.
    fn character(&mut self, byte: u8) -> Option<char> {
        self.utf8.push(byte);
        match std::str::from_utf8(&self.utf8) {
            Ok(text) => {
                let typed = text.chars().next();
                self.utf8.clear();
                typed
            }
            Err(error) if error.error_len().is_none() => None,
            Err(_) => {
                self.utf8.clear();
                None
            }
        }
    }

    fn insert(&mut self, text: &[char], out: &mut Vec<u8>) {
        if self.line.len() + text.len() > MAX_LINE_CHARS {
            out.extend_from_slice(BELL);
            return;
        }
        let mut line = self.line.clone();
        line.splice(self.cursor..self.cursor, text.iter().copied());
        self.show(line, self.cursor + text.len(), out);
    }

    /// At the end of the line a character is erased with a blank; elsewhere the line closes up.
    fn rub_out(&mut self, out: &mut Vec<u8>) {
        match self.cursor.checked_sub(1) {
            None => out.extend_from_slice(BELL),
            Some(start) if self.cursor == self.line.len() => {
                self.line.pop();
                self.cursor = start;
                out.extend_from_slice(b"\x08 \x08");
            }
            Some(start) => self.delete(start, self.cursor, out),
        }
    }

    fn delete(&mut self, start: usize, end: usize, out: &mut Vec<u8>) {
        if start < end && end <= self.line.len() {
            let mut line = self.line.clone();
            line.drain(start..end);
            self.show(line, start, out);
        }
    }

    /// Kills that follow one another gather in one text.
    fn kill(&mut self, start: usize, end: usize, joined: bool, out: &mut Vec<u8>) {
        let text = self.line[start..end].to_vec();
        self.killed = match (joined, end == self.cursor) {
            (false, _) => text,
            (true, true) => [text, std::mem::take(&mut self.killed)].concat(),
            (true, false) => [std::mem::take(&mut self.killed), text].concat(),
        };
        self.killed.truncate(MAX_LINE_CHARS);
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

    /// Moves the cursor at the visitor's wish.
    fn go(&mut self, target: usize, out: &mut Vec<u8>) {
        if target > self.line.len() {
            out.extend_from_slice(BELL);
        } else {
            self.move_to(target, out);
        }
    }

    fn move_to(&mut self, target: usize, out: &mut Vec<u8>) {
        match target < self.cursor {
            true => out.resize(out.len() + self.cursor - target, 0x08),
            false => put(&self.line[self.cursor..target], out),
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
        let end = line.len();
        self.show(line, end, out);
    }

    fn clear_screen(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.terminal.name.as_str() {
            _ if self.terminal.is_dumb() => b"\r\n",
            "vt100" => b"\x1b[H\x1b[J",
            _ => b"\x1b[H\x1b[2J",
        });
        out.extend_from_slice(self.prompt.as_bytes());
        put(&self.line, out);
        let cursor = std::mem::replace(&mut self.cursor, self.line.len());
        self.move_to(cursor, out);
    }

    /// Brings the screen from the old line to `new` with as little as readline's `update_line`
    /// uses, then puts the cursor where it belongs.
    fn show(&mut self, new: Vec<char>, cursor: usize, out: &mut Vec<u8>) {
        let same = self.line.iter().zip(&new).take_while(|(old, new)| old == new).count();
        if same < self.line.len() || same < new.len() {
            self.move_to(same, out);
            let (old_end, new_end) = differing_ends(&self.line, &new, same);
            let shifts = self.terminal.shifts();
            let at_end = old_end == self.line.len();
            if new_end > old_end {
                let grown = new_end - old_end;
                if shifts && !at_end {
                    out.extend_from_slice(format!("\x1b[{grown}@").as_bytes());
                    put(&new[same..new_end], out);
                    self.cursor = new_end;
                } else {
                    put(&new[same..], out);
                    self.cursor = new.len();
                }
            } else {
                let shrunk = old_end - new_end;
                if shifts && 2 * (new.len() - same) >= shrunk {
                    if shrunk > 0 {
                        out.extend_from_slice(format!("\x1b[{shrunk}P").as_bytes());
                    }
                    put(&new[same..new_end], out);
                    self.cursor = new_end;
                } else {
                    put(&new[same..], out);
                    self.cursor = new.len() + self.clear_tail(self.line.len() - new.len(), out);
                }
            }
        }
        // Behind the new line there may be blanks that were just written.
        let beyond = self.cursor.saturating_sub(new.len());
        out.resize(out.len() + beyond, 0x08);
        self.cursor -= beyond;
        self.line = new;
        self.move_to(cursor, out);
    }

    /// Clears what is left of a longer line; says how far the cursor went for it.
    fn clear_tail(&self, columns: usize, out: &mut Vec<u8>) -> usize {
        if self.terminal.is_dumb() {
            out.resize(out.len() + columns, b' ');
            return columns;
        }
        if columns > 0 {
            out.extend_from_slice(b"\x1b[K");
        }
        0
    }

    /// Takes a byte between the marks of a bracketed paste, which readline shows marked.
    fn pasting(&mut self, byte: u8, out: &mut Vec<u8>) {
        let Some(mut pasted) = self.paste.take() else { return };
        pasted.push(byte);
        if let Some(text) = pasted.strip_suffix(b"\x1b[201~") {
            let text = String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n");
            let text: Vec<char> = text.chars().collect();
            if self.cursor < self.line.len() || text.is_empty() || self.is_plain() {
                return self.insert(&text, out);
            }
            out.extend_from_slice(b"\x1b[7m");
            let start = self.cursor;
            self.insert(&text, out);
            out.extend_from_slice(b"\x1b[27m");
            self.marked = Some(start);
        } else if pasted.len() < MAX_PASTE_BYTES {
            self.paste = Some(pasted);
        }
    }

    /// The next key after a paste takes its mark away.
    fn unmark(&mut self, out: &mut Vec<u8>) {
        if let Some(start) = self.marked.take() {
            let end = self.cursor;
            self.move_to(start, out);
            self.move_to(end, out);
        }
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

    /// As bash 5.2 does: its signal handler sets the terminal up once more in between.
    fn interrupt(&mut self, out: &mut Vec<u8>) -> Key {
        out.extend_from_slice(b"^C");
        if !self.is_plain() {
            out.extend_from_slice(b"\x1b[?2004l\r\x1b[?2004h\x1b[?2004l\r");
        }
        out.extend_from_slice(b"\r\n");
        self.line.clear();
        Key::Interrupt
    }
}

/// Where old and new line begin to be equal to their ends, as `update_line` sees it: both
/// differing parts stay at least one character long, and blanks alone do not count.
fn differing_ends(old: &[char], new: &[char], same: usize) -> (usize, usize) {
    let (mut old_last, mut new_last) = (old.len() as isize - 1, new.len() as isize - 1);
    let same = same as isize;
    let mut blank = true;
    while old_last > same && new_last > same && old[old_last as usize] == new[new_last as usize] {
        blank &= old[old_last as usize] == ' ';
        old_last -= 1;
        new_last -= 1;
    }
    if blank {
        return (old.len(), new.len());
    }
    let equal = old.get(old_last as usize) == new.get(new_last as usize);
    let step = isize::from(!equal);
    ((old_last + step) as usize, (new_last + step) as usize)
}

/// Prints characters; a line feed within a pasted text begins a line.
fn put(text: &[char], out: &mut Vec<u8>) {
    for c in text {
        if *c == '\n' {
            out.push(b'\r');
        }
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Types keys; shows the echo and the lines that came of it.
    #[track_caller]
    fn check(terminal: &str, keys: &[u8], expected: &Expect) {
        let mut editor = LineEditor::new(Terminal { name: terminal.into() }, true);
        let (mut out, mut lines) = (Vec::new(), Vec::new());
        editor.prompt("", &mut out);
        out.clear();
        for &key in keys {
            match editor.key(key, &mut out) {
                Key::None => {}
                key => {
                    lines.push(key);
                    editor.prompt("", &mut out);
                }
            }
        }
        let shown =
            String::from_utf8(out).unwrap().replace("\x1b[?2004", "{").escape_debug().to_string();
        expected.assert_eq(&format!("{shown} {lines:?}"));
    }

    /// Transcripts of bash 5.2.15 behind sshd of Debian 12.
    #[test]
    fn lines_are_edited_as_readline_does() {
        let check = |keys: &[u8], expected: &Expect| check("xterm-256color", keys, expected);
        check(b"ab\x7f\x7f\x7f", &expect![[r#"ab\u{8} \u{8}\u{8} \u{8}\u{7} []"#]]);
        check(
            b"abc\x1b[D\x1b[Dx\x7f\x04\x1b[C\x1b[C",
            &expect![[r#"abc\u{8}\u{8}\u{1b}[1@x\u{8}\u{1b}[1P\u{1b}[1Pc\u{8}c\u{7} []"#]],
        );
        check(
            b"abc\x01z\x05y\x1b[H\x1b[F",
            &expect![[r#"abc\u{8}\u{8}\u{8}\u{1b}[1@zabcy\u{8}\u{8}\u{8}\u{8}\u{8}zabcy []"#]],
        );
        check(
            b"ab cd ef\x17\x17\x19\x15\x19",
            &expect![[
                r#"ab cd ef\u{8}\u{8}\u{1b}[K\u{8}\u{8}\u{8}\u{1b}[Kcd ef\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{1b}[Kab cd ef []"#
            ]],
        );
        check(b"abc\x01\x06\x0b\x19", &expect![[r#"abc\u{8}\u{8}\u{8}a\u{1b}[Kbc []"#]]);
        check(
            b": a\r: bcd\r\x1b[A\x1b[A\x1b[B\x1b[B",
            &expect![[
                r#": a\r\n{l\r{h: bcd\r\n{l\r{h: bcd\u{8}\u{8}\u{8}\u{1b}[2Pa\u{8}bcd\u{8}\u{8}\u{8}\u{8}\u{8}\u{1b}[K [Line(": a"), Line(": bcd")]"#
            ]],
        );
        check(b"ab\x03", &expect![[r#"ab^C{l\r{h{l\r\r\n{h [Interrupt]"#]]);
        check(b"\x04", &expect![[r#"{l\r\r\n{h [EndOfFile]"#]]);
        check(
            b"\x1b[200~: a\x1b[201~\r",
            &expect![[r#"\u{1b}[7m: a\u{1b}[27m\u{8}\u{8}\u{8}: a\r\n{l\r{h [Line(": a")]"#]],
        );
        check("ä\x7f\r".as_bytes(), &expect![[r#"ä\u{8} \u{8}\r\n{l\r{h [Line("")]"#]]);
    }

    #[test]
    fn a_dumb_terminal_gets_plain_text() {
        check("dumb", b"ix\x7fd\r\n", &expect![[r#"ix\u{8} \u{8}d\r\n [Line("id")]"#]]);
        check(
            "dumb",
            b"abc\x15d\x03",
            &expect![[r#"abc\u{8}\u{8}\u{8}   \u{8}\u{8}\u{8}d^C\r\n [Interrupt]"#]],
        );
        check(
            "vt100",
            b"abc\x1b[Dx\x7f\r",
            &expect![[r#"abc\u{8}xc\u{8}\u{8}c\u{1b}[K\u{8}\r\n{l\r{h [Line("abc")]"#]],
        );
    }

    proptest::proptest! {
        /// Whatever is typed, nothing panics and the cursor stays within the line.
        #[test]
        fn no_key_does_harm(keys in proptest::collection::vec(
            proptest::prelude::prop_oneof![
                proptest::prelude::any::<u8>(),
                proptest::sample::select(b"\x01\x02\x05\x06\x7f\x0b\x15\x17\x19\x0e\x10 ab\r".to_vec()),
            ], 0..200), terminal in proptest::sample::select(vec!["xterm", "vt100", "dumb"])) {
            let mut editor = LineEditor::new(Terminal { name: terminal.into() }, true);
            let mut out = Vec::new();
            for key in keys {
                if editor.key(key, &mut out) != Key::None {
                    editor.prompt("# ", &mut out);
                }
                proptest::prop_assert!(editor.cursor <= editor.line.len());
            }
        }
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

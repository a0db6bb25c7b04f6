//! From bytes to commands: inline and multibulk requests of RESP, with Redis's own errors.
//!
//! A state machine over the input: it keeps one unfinished line or argument and never more than
//! the named maxima, however long the visitor says his arguments are.

/// Longest inline request and longest count line (`PROTO_INLINE_MAX_SIZE`).
const MAX_LINE_BYTES: usize = 64 << 10;

/// Largest argument that the protocol allows (`proto-max-bulk-len`).
const MAX_BULK_BYTES: i64 = 512 << 20;

/// How much of one argument is kept; the rest is counted only.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// How much of all arguments of one command is kept.
const MAX_KEPT_COMMAND_BYTES: usize = 4 << 20;

/// How many arguments of one command are kept.
const MAX_KEPT_ARGUMENTS: usize = 16_384;

/// Before a login no command may have more arguments than this.
const MAX_STRANGER_ARGUMENTS: i64 = 10;

/// Before a login no argument may be longer than this.
const MAX_STRANGER_BULK_BYTES: i64 = 16_384;

/// One command with its arguments.
#[derive(Debug, Default, Clone)]
pub(super) struct Command {
    /// Name and arguments; long ones are cut.
    pub(super) words: Vec<Vec<u8>>,
    /// Bytes that were sent for the longest argument.
    pub(super) longest: u64,
}

/// Why the connection ends, in Redis's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProtocolError(pub(super) String);

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    /// Arguments still to come in a multibulk request.
    left: i64,
    bulk: Option<Bulk>,
    command: Command,
    kept: usize,
}

#[derive(Debug)]
struct Bulk {
    /// Bytes still to come, its line end included.
    left: u64,
    /// Bytes of the argument still to come.
    content: u64,
    word: Vec<u8>,
}

impl Parser {
    /// Takes bytes until a command is whole or nothing is left; advances `bytes`. `stranger` says
    /// that nobody has logged in yet.
    pub(super) fn next(
        &mut self,
        bytes: &mut &[u8],
        stranger: bool,
    ) -> Result<Option<Command>, ProtocolError> {
        loop {
            if self.bulk.is_some() {
                if !self.take_bulk(bytes) {
                    return Ok(None);
                }
                if self.left == 0 {
                    self.kept = 0;
                    return Ok(Some(std::mem::take(&mut self.command)));
                }
                continue;
            }
            let inline = self.left == 0 && self.first(bytes).is_some_and(|byte| byte != b'*');
            let Some(line) = self.take_line(bytes, inline)? else { return Ok(None) };
            if self.left > 0 {
                self.begin_bulk(&line, stranger)?;
            } else if inline {
                let words = split_words(&line)
                    .ok_or_else(|| ProtocolError("unbalanced quotes in request".into()))?;
                if !words.is_empty() {
                    let longest = words.iter().map(Vec::len).max().unwrap_or(0) as u64;
                    return Ok(Some(Command { words, longest }));
                }
            } else {
                self.left = count(&line, stranger)?;
            }
        }
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let words: usize = self.command.words.iter().map(|word| word.len() + 24).sum();
        self.line.len() + words + self.bulk.as_ref().map_or(0, |bulk| bulk.word.len())
    }

    fn first(&self, bytes: &[u8]) -> Option<u8> {
        self.line.first().or(bytes.first()).copied()
    }

    /// A line without its end. Inline requests end with a line feed; count lines end with a
    /// carriage return and whatever byte follows it, as in Redis.
    fn take_line(
        &mut self,
        bytes: &mut &[u8],
        inline: bool,
    ) -> Result<Option<Vec<u8>>, ProtocolError> {
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if inline && *byte == b'\n' {
                let mut line = std::mem::take(&mut self.line);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if !inline && self.line.last() == Some(&b'\r') {
                let mut line = std::mem::take(&mut self.line);
                line.pop();
                return Ok(Some(line));
            }
            self.line.push(*byte);
            if self.line.len() > MAX_LINE_BYTES {
                return Err(ProtocolError(
                    match (inline, self.left) {
                        (true, _) => "too big inline request",
                        (false, 0) => "too big mbulk count string",
                        (false, _) => "too big bulk count string",
                    }
                    .into(),
                ));
            }
        }
        Ok(None)
    }

    fn begin_bulk(&mut self, line: &[u8], stranger: bool) -> Result<(), ProtocolError> {
        if line.first() != Some(&b'$') {
            let got = line.first().copied().unwrap_or(b'\r');
            return Err(ProtocolError(format!("expected '$', got '{}'", char::from(got))));
        }
        let length = number(&line[1..]).filter(|length| (0..=MAX_BULK_BYTES).contains(length));
        let length = length.ok_or_else(|| ProtocolError("invalid bulk length".into()))?;
        if stranger && length > MAX_STRANGER_BULK_BYTES {
            return Err(ProtocolError("unauthenticated bulk length".into()));
        }
        let content = length as u64;
        self.bulk = Some(Bulk { left: content + 2, content, word: Vec::new() });
        self.command.longest = self.command.longest.max(content);
        Ok(())
    }

    /// Takes bytes of the current argument; tells whether it is whole.
    fn take_bulk(&mut self, bytes: &mut &[u8]) -> bool {
        let Some(bulk) = &mut self.bulk else { return true };
        let take = usize::try_from(bulk.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let content = usize::try_from(bulk.content).map_or(take, |content| content.min(take));
        let room = MAX_KEPT_BYTES
            .saturating_sub(bulk.word.len())
            .min(MAX_KEPT_COMMAND_BYTES.saturating_sub(self.kept));
        let kept = content.min(room);
        bulk.word.extend_from_slice(&bytes[..kept]);
        self.kept += kept;
        bulk.left -= take as u64;
        bulk.content -= content as u64;
        *bytes = &bytes[take..];
        if bulk.left > 0 {
            return false;
        }
        let word = std::mem::take(&mut bulk.word);
        self.bulk = None;
        self.left -= 1;
        if self.command.words.len() < MAX_KEPT_ARGUMENTS {
            self.command.words.push(word);
        }
        true
    }
}

fn count(line: &[u8], stranger: bool) -> Result<i64, ProtocolError> {
    let count = number(&line[1..]).filter(|count| *count <= i64::from(i32::MAX));
    let count = count.ok_or_else(|| ProtocolError("invalid multibulk length".into()))?;
    if stranger && count > MAX_STRANGER_ARGUMENTS {
        return Err(ProtocolError("unauthenticated multibulk length".into()));
    }
    Ok(count.max(0))
}

/// A decimal number as Redis reads it: no sign but `-`, no leading zeros, no spaces.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Splits an inline request into words, quotes and escapes understood; nothing where quotes are
/// unbalanced.
fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] => break,
                [b'"', ..] => rest = double_quoted(&rest[1..], &mut word)?,
                [b'\'', ..] => rest = single_quoted(&rest[1..], &mut word)?,
                [byte, ..] if byte.is_ascii_whitespace() || *byte == 0 => {
                    rest = &rest[1..];
                    break;
                }
                [byte, tail @ ..] => {
                    word.push(*byte);
                    rest = tail;
                }
            }
        }
        words.push(word);
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return closes(tail),
            [b'\\', b'x', high, low, tail @ ..] if hex(high).is_some() && hex(low).is_some() => {
                word.push((hex(high)? * 16 + hex(low)?) as u8);
                rest = tail;
            }
            [b'\\', byte, tail @ ..] => {
                word.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return closes(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

/// After a closing quote only white space may follow.
fn closes(tail: &[u8]) -> Option<&[u8]> {
    tail.first().is_none_or(u8::is_ascii_whitespace).then_some(tail)
}

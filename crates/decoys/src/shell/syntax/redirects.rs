//! Redirections and here-documents.

use super::{
    Parsed, Parser, SyntaxError, parse_quoted,
    tree::{Part, Redirect, Target, Word},
};

impl Parser {
    pub(super) fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        self.blanks();
        let start = self.at;
        let digits: String =
            self.chars[self.at..].iter().take(4).take_while(|c| c.is_ascii_digit()).collect();
        self.at += digits.len();
        let fd: Option<u32> = digits.parse().ok();
        let redirect = if fd.is_none() && (self.take("&>>") || self.take("&>")) {
            Redirect { fd: 1, to: Target::Both(self.operand()?) }
        } else if self.take("<<<") {
            let mut word = self.operand()?;
            word.0.push(Part::Text { text: "\n".into(), quoted: true });
            Redirect { fd: 0, to: Target::Here(word) }
        } else if self.take("<<-") {
            Redirect { fd: 0, to: self.here(true)? }
        } else if self.take("<<") {
            Redirect { fd: 0, to: self.here(false)? }
        } else if self.take(">>") {
            Redirect { fd: fd.unwrap_or(1), to: Target::Append(self.operand()?) }
        } else if self.take(">&") || self.take("<&") {
            let word = self.operand()?;
            let fd = fd.unwrap_or(1);
            match word.plain().map(|text| (text, text.parse())) {
                Some(("-", _)) => Redirect { fd, to: Target::Close },
                Some((_, Ok(from))) => Redirect { fd, to: Target::Duplicate(from) },
                _ => Redirect { fd: 1, to: Target::Both(word) },
            }
        } else if self.take(">|") || self.take(">") {
            Redirect { fd: fd.unwrap_or(1), to: Target::Write(self.operand()?) }
        } else if self.take("<>") || self.take("<") {
            Redirect { fd: fd.unwrap_or(0), to: Target::Read(self.operand()?) }
        } else {
            self.at = start;
            return Ok(None);
        };
        Ok(Some(redirect))
    }

    pub(super) fn operand(&mut self) -> Parsed<Word> {
        self.blanks();
        match self.word()? {
            Some(word) => Ok(word),
            None if self.peek().is_none() => Err(SyntaxError::Unexpected("newline".into())),
            None => Err(self.unexpected()),
        }
    }

    /// Reads a here-document: its text stands after the end of this line.
    pub(super) fn here(&mut self, strip: bool) -> Parsed<Target> {
        let delimiter = self.operand()?;
        let quoted = delimiter.0.iter().any(|part| matches!(part, Part::Text { quoted: true, .. }));
        let mark: String = delimiter
            .0
            .iter()
            .map(|part| match part {
                Part::Text { text, .. } => text.as_str(),
                _ => "",
            })
            .collect();
        let begin = match self.skip_to {
            Some(at) => at,
            None => {
                let rest = self.chars[self.at..].iter().position(|c| *c == '\n');
                self.at + rest.ok_or(SyntaxError::Incomplete(None))? + 1
            }
        };
        let mut at = begin;
        let mut text = String::new();
        while at < self.chars.len() {
            let end = self.chars[at..]
                .iter()
                .position(|c| *c == '\n')
                .map_or(self.chars.len(), |n| at + n);
            let line: String = self.chars[at..end].iter().collect();
            let line = if strip { line.trim_start_matches('\t') } else { &line };
            at = (end + 1).min(self.chars.len());
            if line.trim_end_matches('\r') == mark {
                self.skip_to = Some(at);
                let word = if quoted {
                    Word(vec![Part::Text { text, quoted: true }])
                } else {
                    parse_quoted(&text)?
                };
                return Ok(Target::Here(word));
            }
            text.push_str(line);
            text.push('\n');
        }
        Err(SyntaxError::Incomplete(None))
    }
}

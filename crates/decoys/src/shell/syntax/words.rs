//! Words: quotes, escapes, and where variables and substitutions stand in them.

use super::{
    Parsed, Parser, SyntaxError, is_meta, is_name,
    tree::{Part, Word},
};

impl Parser {
    /// One word, if one begins here.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let after_assignment = self.at > 0 && self.chars[self.at - 1] == '=';
        if !after_assignment {
            self.blanks();
        }
        let mut word = Word::default();
        let start = self.at;
        if self.peek() == Some('~') {
            let name: String = self.chars[self.at + 1..]
                .iter()
                .take_while(|c| is_name(**c) || matches!(c, '-' | '.'))
                .collect();
            let after = self.ahead(1 + name.chars().count());
            if after.is_none_or(|c| c == '/' || is_meta(c)) {
                self.at += 1 + name.chars().count();
                word.0.push(Part::Tilde(name));
            }
        }
        while let Some(c) = self.peek() {
            match c {
                c if is_meta(c) => break,
                '\'' => self.single(&mut word)?,
                '"' => self.double(&mut word)?,
                '$' if self.ahead(1) == Some('\'') => self.ansi(&mut word)?,
                '$' if self.ahead(1) == Some('"') => self.at += 1,
                '$' => self.dollar(&mut word, false)?,
                '`' => self.backticks(&mut word, false)?,
                '\\' => {
                    self.at += 1;
                    match self.next() {
                        Some('\n') => {}
                        Some(c) => word.push(c, true),
                        None => return Err(SyntaxError::Incomplete(None)),
                    }
                }
                c => {
                    self.at += 1;
                    word.push(c, false);
                }
            }
        }
        Ok((self.at > start).then_some(word))
    }

    pub(super) fn single(&mut self, word: &mut Word) -> Parsed<()> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.raw() {
                Some('\'') => break,
                Some(c) => text.push(c),
                None => return Err(SyntaxError::Incomplete(Some('\''))),
            }
        }
        word.0.push(Part::Text { text, quoted: true });
        Ok(())
    }

    /// The next character where line ends mean nothing special.
    pub(super) fn raw(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        self.line += u32::from(c == '\n');
        Some(c)
    }

    pub(super) fn double(&mut self, word: &mut Word) -> Parsed<()> {
        self.at += 1;
        word.0.push(Part::Text { text: String::new(), quoted: true });
        loop {
            match self.peek() {
                None => return Err(SyntaxError::Incomplete(Some('"'))),
                Some('"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some('$') => self.dollar(word, true)?,
                Some('`') => self.backticks(word, true)?,
                Some('\\') => {
                    self.at += 1;
                    match self.raw() {
                        Some('\n') => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c, true),
                        Some(c) => {
                            word.push('\\', true);
                            word.push(c, true);
                        }
                        None => return Err(SyntaxError::Incomplete(Some('"'))),
                    }
                }
                Some(c) => {
                    self.raw();
                    word.push(c, true);
                }
            }
        }
    }

    /// `$'…'`.
    pub(super) fn ansi(&mut self, word: &mut Word) -> Parsed<()> {
        self.at += 2;
        let mut text = String::new();
        loop {
            match self.raw() {
                Some('\'') => break,
                Some('\\') => {
                    text.push('\\');
                    text.extend(self.raw());
                }
                Some(c) => text.push(c),
                None => return Err(SyntaxError::Incomplete(Some('\''))),
            }
        }
        let (bytes, _) = crate::shell::text::unescape(&text, false);
        let text = String::from_utf8_lossy(&bytes).replace("\\'", "'");
        word.0.push(Part::Text { text, quoted: true });
        Ok(())
    }

    pub(super) fn backticks(&mut self, word: &mut Word, quoted: bool) -> Parsed<()> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.raw() {
                Some('`') => break,
                Some('\\') if matches!(self.peek(), Some('`' | '\\' | '$')) => {
                    text.extend(self.raw());
                }
                Some(c) => text.push(c),
                None => return Err(SyntaxError::Incomplete(Some('`'))),
            }
        }
        word.0.push(Part::Substitution { text, quoted });
        Ok(())
    }

    pub(super) fn dollar(&mut self, word: &mut Word, quoted: bool) -> Parsed<()> {
        self.at += 1;
        match self.peek() {
            Some('(') if self.ahead(1) == Some('(') => {
                let start = self.at;
                let inner = self.enclosed('(', ')')?;
                match inner.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
                    Some(text) => {
                        word.0.push(Part::Arithmetic { text: text.to_owned(), quoted });
                    }
                    None => {
                        self.at = start;
                        let text = self.enclosed('(', ')')?;
                        word.0.push(Part::Substitution { text, quoted });
                    }
                }
            }
            Some('(') => {
                let text = self.enclosed('(', ')')?;
                word.0.push(Part::Substitution { text, quoted });
            }
            Some('{') => {
                let text = self.enclosed('{', '}')?;
                word.0.push(Part::Variable { text, quoted });
            }
            Some(c) if c.is_ascii_digit() || "?$!#@*-".contains(c) => {
                self.at += 1;
                word.0.push(Part::Variable { text: c.into(), quoted });
            }
            Some(c) if is_name(c) => {
                let text: String =
                    self.chars[self.at..].iter().take_while(|c| is_name(**c)).collect();
                self.at += text.len();
                word.0.push(Part::Variable { text, quoted });
            }
            _ => word.push('$', quoted),
        }
        Ok(())
    }

    /// The text between brackets that match, quotes respected.
    pub(super) fn enclosed(&mut self, open: char, close: char) -> Parsed<String> {
        self.at += 1;
        let mut depth = 1;
        let mut quote = None;
        let mut text = String::new();
        loop {
            let c = self.raw().ok_or(SyntaxError::Incomplete(Some(close)))?;
            match (quote, c) {
                (Some('\''), '\'') | (Some('"'), '"') => quote = None,
                (Some('\''), _) => {}
                (_, '\\') => {
                    text.push(c);
                    text.extend(self.raw());
                    continue;
                }
                (None, '\'' | '"') => quote = Some(c),
                (None, c) if c == open => depth += 1,
                (None, c) if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(text);
                    }
                }
                _ => {}
            }
            text.push(c);
        }
    }
}

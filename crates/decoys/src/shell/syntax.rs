//! Bash's grammar as far as bots and people at a prompt use it: text in, a tree out. Knows
//! nothing of variables, files or commands.

use std::sync::Arc;

mod redirects;
mod tree;
mod words;

use super::limits;
pub(crate) use tree::{
    AndOr, Command, Kind, List, Part, Pipeline, Redirect, SyntaxError, Target, Word,
};

type Parsed<T> = Result<T, SyntaxError>;

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Parsed<List> {
    let mut parser = Parser::new(text);
    let list = parser.list()?;
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

/// Parses text in which only `$` and backticks are special: here-documents, `${x:-…}`.
pub(crate) fn parse_quoted(text: &str) -> Parsed<Word> {
    let mut parser = Parser::new(text);
    let mut word = Word::default();
    while let Some(c) = parser.peek() {
        match c {
            '$' => parser.dollar(&mut word, true)?,
            '`' => parser.backticks(&mut word, true)?,
            '\\' if matches!(parser.ahead(1), Some('$' | '`' | '\\')) => {
                parser.at += 1;
                let c = parser.next().unwrap_or('\\');
                word.push(c, true);
            }
            c => {
                parser.at += 1;
                word.push(c, true);
            }
        }
    }
    Ok(word)
}

const KEYWORDS: &[&str] = &["then", "else", "elif", "fi", "do", "done", "esac", "}"];

impl Word {
    fn push(&mut self, c: char, quoted: bool) {
        if let Some(Part::Text { text, quoted: before }) = self.0.last_mut()
            && *before == quoted
        {
            text.push(c);
        } else {
            self.0.push(Part::Text { text: c.into(), quoted });
        }
    }

    /// The text of a word without any quoting or expansion.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Text { text, quoted: false }] => Some(text),
            _ => None,
        }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    line: u32,
    depth: u32,
    /// Where their texts end, so that the line end jumps over them.
    skip_to: Option<usize>,
}

impl Parser {
    fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0, line: 1, depth: 0, skip_to: None }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn ahead(&self, by: usize) -> Option<char> {
        self.chars.get(self.at + by).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
            if let Some(end) = self.skip_to.take() {
                self.at = end;
            }
        }
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(n, c)| self.ahead(n) == Some(c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Skips blanks, continued lines and comments.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.ahead(1) == Some('\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                Some('#')
                    if self.at == 0
                        || self.chars[self.at - 1].is_whitespace()
                        || self.chars[self.at - 1] == ';' =>
                {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// Skips blanks and line ends.
    fn lines(&mut self) {
        loop {
            self.blanks();
            if self.peek() != Some('\n') {
                return;
            }
            self.next();
        }
    }

    fn unexpected(&self) -> SyntaxError {
        let rest: String = self.chars[self.at..].iter().take(64).collect();
        let token = match rest.chars().next() {
            None => return SyntaxError::Incomplete(None),
            Some('\n') => "newline".into(),
            Some('&' | '|' | ';' | '<' | '>') => {
                let two: String = rest.chars().take(2).collect();
                if matches!(two.as_str(), "&&" | "||" | ";;" | "<<" | ">>" | "&>" | ">&" | "<&") {
                    two
                } else {
                    rest.chars().take(1).collect()
                }
            }
            Some('(' | ')') => rest.chars().take(1).collect(),
            Some(_) => rest.chars().take_while(|c| !is_meta(*c)).collect(),
        };
        SyntaxError::Unexpected(token)
    }

    /// The word at hand, if it is plain, without taking it.
    fn keyword(&mut self) -> String {
        self.blanks();
        self.chars[self.at..].iter().take(10).take_while(|c| !is_meta(**c)).collect()
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        self.lines();
        if self.keyword() == word {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > limits::MAX_DEPTH {
            return Err(self.unexpected());
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Commands up to a closing keyword, `)`, `;;` or the end.
    fn list(&mut self) -> Parsed<List> {
        let mut list = List::new();
        loop {
            self.lines();
            let ends = match self.peek() {
                None | Some(')') => true,
                Some(';') => self.ahead(1) == Some(';'),
                Some(_) => KEYWORDS.contains(&self.keyword().as_str()),
            };
            if ends {
                return Ok(list);
            }
            let mut item = self.and_or()?;
            self.blanks();
            match self.peek() {
                Some('&') => {
                    item.background = true;
                    self.at += 1;
                }
                Some(';') if self.ahead(1) != Some(';') => self.at += 1,
                Some('\n') => {
                    self.next();
                }
                Some(';' | ')') | None => {}
                Some(_) => return Err(self.unexpected()),
            }
            list.push(item);
        }
    }

    /// A list that must not be empty.
    fn body(&mut self) -> Parsed<List> {
        let list = self.deeper(Self::list)?;
        if list.is_empty() { Err(self.unexpected()) } else { Ok(list) }
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = if self.take("&&") {
                true
            } else if self.take("||") {
                false
            } else {
                return Ok(AndOr { first, rest, background: false });
            };
            self.lines();
            rest.push((and, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negated = false;
        while self.keyword() == "!" {
            self.at += 1;
            negated = !negated;
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.ahead(1) == Some('|') {
                return Ok(Pipeline { negated, commands });
            }
            self.at += 1;
            if self.peek() == Some('&') {
                self.at += 1;
                if let Some(last) = commands.last_mut() {
                    last.redirects.push(Redirect { fd: 2, to: Target::Duplicate(1) });
                }
            }
            self.lines();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let line = self.line;
        let keyword = self.keyword();
        let kind = match (keyword.as_str(), self.peek()) {
            ("if", _) => self.deeper(Self::if_clause)?,
            ("for", _) => self.deeper(Self::for_clause)?,
            ("while" | "until", _) => self.deeper(Self::while_clause)?,
            ("case", _) => self.deeper(Self::case_clause)?,
            ("{", _) => {
                self.at += 1;
                let list = self.body()?;
                self.expect("}")?;
                Kind::Group(list)
            }
            (_, Some('(')) => {
                self.at += 1;
                let list = self.body()?;
                self.lines();
                if !self.take(")") {
                    return Err(self.unexpected());
                }
                Kind::Subshell(list)
            }
            ("function", _) => {
                self.at += 8;
                let name = self.keyword();
                self.at += name.chars().count();
                return self.function(name, line);
            }
            _ => return self.simple(line),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(Command { kind, redirects, line })
    }

    fn function(&mut self, name: String, line: u32) -> Parsed<Command> {
        self.blanks();
        if self.take("(") {
            self.blanks();
            if !self.take(")") {
                return Err(self.unexpected());
            }
        }
        self.lines();
        let body = self.deeper(Self::command)?;
        let kind = Kind::Function { name, body: Arc::new(body) };
        Ok(Command { kind, redirects: Vec::new(), line })
    }

    fn if_clause(&mut self) -> Parsed<Kind> {
        self.at += 2;
        let mut arms = Vec::new();
        loop {
            let condition = self.body()?;
            self.expect("then")?;
            let body = self.body()?;
            arms.push((condition, body));
            self.lines();
            match self.keyword().as_str() {
                "elif" => self.at += 4,
                "else" => {
                    self.at += 4;
                    let otherwise = self.body()?;
                    self.expect("fi")?;
                    return Ok(Kind::If { arms, otherwise });
                }
                _ => {
                    self.expect("fi")?;
                    return Ok(Kind::If { arms, otherwise: List::new() });
                }
            }
        }
    }

    fn for_clause(&mut self) -> Parsed<Kind> {
        self.at += 3;
        self.blanks();
        let name: String = self.chars[self.at..].iter().take_while(|c| is_name(**c)).collect();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        self.at += name.len();
        self.lines();
        let mut words = None;
        if self.keyword() == "in" {
            self.at += 2;
            let mut list = Vec::new();
            while let Some(word) = self.word()? {
                list.push(word);
            }
            words = Some(list);
        }
        self.blanks();
        self.take(";");
        self.expect("do")?;
        let body = self.body()?;
        self.expect("done")?;
        Ok(Kind::For { name, words, body })
    }

    fn while_clause(&mut self) -> Parsed<Kind> {
        let until = self.peek() == Some('u');
        self.at += 5;
        let condition = self.body()?;
        self.expect("do")?;
        let body = self.body()?;
        self.expect("done")?;
        Ok(Kind::While { until, condition, body })
    }

    fn case_clause(&mut self) -> Parsed<Kind> {
        self.at += 4;
        let word = self.word()?.ok_or_else(|| self.unexpected())?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.lines();
            if self.keyword() == "esac" {
                self.at += 4;
                return Ok(Kind::Case { word, arms });
            }
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                patterns.push(self.word()?.ok_or_else(|| self.unexpected())?);
                self.blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return Err(self.unexpected());
            }
            let body = self.deeper(Self::list)?;
            self.lines();
            arms.push((patterns, body));
            if !self.take(";;") && self.keyword() != "esac" {
                return Err(self.unexpected());
            }
        }
    }

    fn simple(&mut self, line: u32) -> Parsed<Command> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            self.blanks();
            if words.is_empty()
                && let Some(name) = self.assignment()
            {
                assigns.push((name, self.word()?.unwrap_or_default()));
                continue;
            }
            let Some(word) = self.word()? else { break };
            if words.is_empty() && assigns.is_empty() && self.peek() == Some('(') {
                let name = word.plain().map(str::to_owned);
                return match name {
                    Some(name) if self.ahead(1) == Some(')') => self.function(name, line),
                    _ => Err(self.unexpected()),
                };
            }
            words.push(word);
        }
        if words.is_empty() && assigns.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command { kind: Kind::Simple { assigns, words }, redirects, line })
    }

    /// Takes `name=`, leaving its value.
    fn assignment(&mut self) -> Option<String> {
        let name: String = self.chars[self.at..].iter().take_while(|c| is_name(**c)).collect();
        let valid = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
        if !valid || self.ahead(name.len()) != Some('=') {
            return None;
        }
        self.at += name.len() + 1;
        // an empty value: the next blank ends it
        Some(name)
    }
}

fn is_meta(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

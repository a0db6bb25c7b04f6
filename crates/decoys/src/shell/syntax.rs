//! Bash's grammar as far as bots and people at a prompt use it: text in, a tree out. Knows
//! nothing of variables, files or commands.

use std::sync::Arc;

use super::limits;

/// Commands one after another.
pub(crate) type List = Vec<AndOr>;

/// Pipelines joined by `&&` and `||`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    /// `true` is `&&`.
    pub(crate) rest: Vec<(bool, Pipeline)>,
    pub(crate) background: bool,
}

/// Commands joined by `|`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    pub(crate) commands: Vec<Command>,
}

/// One command with its redirections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) line: u32,
}

/// What a command is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Simple { assigns: Vec<(String, Word)>, words: Vec<Word> },
    If { arms: Vec<(List, List)>, otherwise: List },
    For { name: String, words: Option<Vec<Word>>, body: List },
    While { until: bool, condition: List, body: List },
    Case { word: Word, arms: Vec<(Vec<Word>, List)> },
    Group(List),
    Subshell(List),
    Function { name: String, body: Arc<Command> },
}

/// One redirection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Redirect {
    pub(crate) fd: u32,
    pub(crate) to: Target,
}

/// Where it goes to or comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `&>`: both outputs.
    Both(Word),
    Duplicate(u32),
    Close,
    /// A here-document or here-string.
    Here(Word),
}

/// One word before expansion.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Word(pub(crate) Vec<Part>);

/// A piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    /// `$name`, or what stands in `${…}`.
    Variable {
        text: String,
        quoted: bool,
    },
    /// The text in `$(…)` or backticks.
    Substitution {
        text: String,
        quoted: bool,
    },
    /// The text in `$((…))`.
    Arithmetic {
        text: String,
        quoted: bool,
    },
    /// `~` or `~name` at the start of a word.
    Tilde(String),
}

/// Why a text is no list of commands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SyntaxError {
    /// More lines could make it one; where the text ends instead, this quote stands open.
    Incomplete(Option<char>),
    /// This token cannot stand there.
    Unexpected(String),
}

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

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
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

    fn operand(&mut self) -> Parsed<Word> {
        self.blanks();
        match self.word()? {
            Some(word) => Ok(word),
            None if self.peek().is_none() => Err(SyntaxError::Unexpected("newline".into())),
            None => Err(self.unexpected()),
        }
    }

    /// Reads a here-document: its text stands after the end of this line.
    fn here(&mut self, strip: bool) -> Parsed<Target> {
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

    /// One word, if one begins here.
    fn word(&mut self) -> Parsed<Option<Word>> {
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

    fn single(&mut self, word: &mut Word) -> Parsed<()> {
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
    fn raw(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        self.line += u32::from(c == '\n');
        Some(c)
    }

    fn double(&mut self, word: &mut Word) -> Parsed<()> {
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
    fn ansi(&mut self, word: &mut Word) -> Parsed<()> {
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
        let (bytes, _) = super::text::unescape(&text, false);
        let text = String::from_utf8_lossy(&bytes).replace("\\'", "'");
        word.0.push(Part::Text { text, quoted: true });
        Ok(())
    }

    fn backticks(&mut self, word: &mut Word, quoted: bool) -> Parsed<()> {
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

    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Parsed<()> {
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
    fn enclosed(&mut self, open: char, close: char) -> Parsed<String> {
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

fn is_meta(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

//! The format: text in, [`Map`] out. Pure: files and the environment come through [`Outside`].

use std::{io, path::Path, sync::Arc};

use super::{ConfFault, Map, Node, Place, Value};
use crate::units;

/// How deep maps and lists may be inside of one another.
pub const MAX_DEPTH: usize = 32;
/// How many values one configuration may have, variables counted where they are used.
pub const MAX_VALUES: usize = 100_000;
/// How long one file may be, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// How many files may be included in all.
pub const MAX_INCLUDES: usize = 64;

/// Hashes that may stand bare although they start like a variable.
const HASHES: &[&str] = &["$2a$", "$2b$", "$2x$", "$2y$", "$argon2"];

/// What a configuration may ask for.
pub struct Outside<'a> {
    /// Reads an included file.
    pub include: &'a dyn Fn(&Path) -> io::Result<String>,
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Outside<'_> {
    /// Nothing is to be had.
    pub fn nothing() -> Outside<'static> {
        Outside { include: &|_| Err(io::ErrorKind::NotFound.into()), variable: &|_| None }
    }
}

/// Reads a configuration that is called `file`.
///
/// # Errors
/// The first thing that is not the format.
pub fn parse(file: &str, text: &str, outside: &Outside<'_>) -> Result<Map, ConfFault> {
    let mut shared = Shared { outside, scopes: Vec::new(), values: 0, includes: 0 };
    shared.scopes.push(Map::default());
    Reader::new(file, text, &mut shared)?.file()?;
    Ok(shared.scopes.pop().unwrap_or_default())
}

/// What a file and those that it includes have in common.
struct Shared<'a> {
    outside: &'a Outside<'a>,
    /// The maps that are open, outermost first.
    scopes: Vec<Map>,
    values: usize,
    includes: usize,
}

struct Reader<'t, 's, 'o> {
    file: Arc<str>,
    rest: &'t str,
    line: u32,
    depth: usize,
    shared: &'s mut Shared<'o>,
}

impl<'t, 's, 'o> Reader<'t, 's, 'o> {
    fn new(
        file: &str,
        text: &'t str,
        shared: &'s mut Shared<'o>,
    ) -> Result<Reader<'t, 's, 'o>, ConfFault> {
        let depth = shared.scopes.len();
        let reader = Reader { file: file.into(), rest: text, line: 1, depth, shared };
        if text.len() > MAX_TEXT_BYTES {
            return Err(reader.fault(format!("is longer than {MAX_TEXT_BYTES} bytes")));
        }
        Ok(reader)
    }

    /// A whole file; all of it may stand in `{}`, as JSON does.
    fn file(mut self) -> Result<(), ConfFault> {
        self.skip_gaps();
        let wrapped = self.take('{');
        self.pairs(wrapped)?;
        self.skip_gaps();
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault("something follows the end")) }
    }

    /// Keys and values into the innermost scope, up to `}` if `closed` by one, else to the end.
    fn pairs(&mut self, closed: bool) -> Result<(), ConfFault> {
        loop {
            self.skip_separators();
            if self.rest.is_empty() {
                return if closed { Err(self.fault("`}` is missing")) } else { Ok(()) };
            }
            if closed && self.take('}') {
                return Ok(());
            }
            self.pair()?;
        }
    }

    fn pair(&mut self) -> Result<(), ConfFault> {
        let (key, bare) = self.key()?;
        self.skip_gaps();
        if bare && key == "include" {
            return self.include();
        }
        if self.take(':') || self.take('=') {
            self.skip_gaps();
        }
        let node = self.value()?;
        if let Some(scope) = self.shared.scopes.last_mut() {
            scope.set(key, node);
        }
        Ok(())
    }

    fn key(&mut self) -> Result<(String, bool), ConfFault> {
        match self.rest.chars().next() {
            Some('"') => Ok((self.double_quoted()?, false)),
            Some('\'') => Ok((self.single_quoted()?, false)),
            _ => {
                let end = |c: char| c.is_whitespace() || ":={}[],;\"'#".contains(c);
                let key = self.take_until(end);
                if key.is_empty() {
                    Err(self.fault("expected a key"))
                } else {
                    Ok((key.into(), true))
                }
            }
        }
    }

    fn include(&mut self) -> Result<(), ConfFault> {
        let named = self.value()?.text()?;
        self.shared.includes += 1;
        if self.shared.includes > MAX_INCLUDES || self.depth >= MAX_DEPTH {
            return Err(self.fault(format!("more than {MAX_INCLUDES} includes, or too deep")));
        }
        let path = Path::new(&*self.file).parent().unwrap_or(Path::new("")).join(&named);
        let text = (self.shared.outside.include)(&path)
            .map_err(|err| self.fault(format!("cannot include `{named}`: {err}")))?;
        let mut included = Reader::new(&path.display().to_string(), &text, self.shared)?;
        included.depth = self.depth + 1;
        included.file()
    }

    fn value(&mut self) -> Result<Node, ConfFault> {
        let place = self.place();
        self.shared.values += 1;
        if self.shared.values > MAX_VALUES {
            return Err(self.fault(format!("more than {MAX_VALUES} values")));
        }
        let value = match self.rest.chars().next() {
            Some('{') => self.nested(Reader::map)?,
            Some('[') => self.nested(Reader::array)?,
            Some('"') => Value::Text(self.double_quoted()?),
            Some('\'') => Value::Text(self.single_quoted()?),
            Some('(') => Value::Text(self.block()?),
            _ => self.bare()?,
        };
        Ok(Node { value, place })
    }

    /// What opens with one character and may hold more of its kind.
    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, ConfFault>,
    ) -> Result<Value, ConfFault> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(format!("deeper than {MAX_DEPTH}")));
        }
        self.advance(1);
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn map(&mut self) -> Result<Value, ConfFault> {
        self.shared.scopes.push(Map::default());
        let read = self.pairs(true);
        let map = self.shared.scopes.pop().unwrap_or_default();
        read.map(|()| Value::Map(map))
    }

    fn array(&mut self) -> Result<Value, ConfFault> {
        let mut nodes = Vec::new();
        loop {
            self.skip_separators();
            if self.take(']') {
                return Ok(Value::Array(nodes));
            }
            if self.rest.is_empty() {
                return Err(self.fault("`]` is missing"));
            }
            nodes.push(self.value()?);
        }
    }

    fn double_quoted(&mut self) -> Result<String, ConfFault> {
        self.advance(1);
        let mut text = String::new();
        loop {
            let part = self.take_until(|c| c == '"' || c == '\\' || c == '\n');
            text.push_str(part);
            if self.take('"') {
                return Ok(text);
            }
            if !self.take('\\') {
                return Err(self.fault("a quote is not closed on its line"));
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, ConfFault> {
        let escape = self.rest.chars().next().unwrap_or('\n');
        let meant = match escape {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            '"' | '\\' => escape,
            'x' => return self.hexadecimal(),
            _ => return Err(self.fault("an escape that is none")),
        };
        self.advance(1);
        Ok(meant)
    }

    fn hexadecimal(&mut self) -> Result<char, ConfFault> {
        let digits = self.rest.get(1..3).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte.filter(u8::is_ascii) else {
            return Err(self.fault("`\\x` needs two hexadecimal digits below 80"));
        };
        self.advance(3);
        Ok(byte.into())
    }

    fn single_quoted(&mut self) -> Result<String, ConfFault> {
        self.advance(1);
        let text = self.take_until(|c| c == '\'' || c == '\n').to_owned();
        if self.take('\'') {
            Ok(text)
        } else {
            Err(self.fault("a quote is not closed on its line"))
        }
    }

    /// `( … )` over several lines.
    fn block(&mut self) -> Result<String, ConfFault> {
        self.advance(1);
        let text = self.take_until(|c| c == ')').to_owned();
        if self.take(')') { Ok(text) } else { Err(self.fault("`)` is missing")) }
    }

    fn bare(&mut self) -> Result<Value, ConfFault> {
        let text = self.take_until(|c| c.is_whitespace() || ",;]}".contains(c));
        if text.is_empty() {
            return Err(self.fault("a value is missing"));
        }
        match text.strip_prefix('$') {
            Some(name) if !HASHES.iter().any(|hash| text.starts_with(hash)) => self.variable(name),
            _ => Ok(meaning(text)),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Value, ConfFault> {
        let inside = self.shared.scopes.iter_mut().rev().find_map(|scope| scope.variable(name));
        if let Some(value) = inside {
            let (weight, height) = (value.weight(), value.height());
            // Counted before it is copied: variables of variables grow fast.
            self.shared.values = self.shared.values.saturating_add(weight);
            if self.shared.values > MAX_VALUES || self.depth + height > MAX_DEPTH {
                return Err(
                    self.fault(format!("variable `{name}` makes this too large or too deep"))
                );
            }
            return self.inside(name).ok_or_else(|| self.unset(name));
        }
        let text = (self.shared.outside.variable)(name).ok_or_else(|| self.unset(name))?;
        Ok(meaning(text.trim().trim_matches(['"', '\''])))
    }

    fn inside(&mut self, name: &str) -> Option<Value> {
        self.shared.scopes.iter_mut().rev().find_map(|scope| scope.variable(name)).cloned()
    }

    fn unset(&self, name: &str) -> ConfFault {
        self.fault(format!("variable `{name}` is set nowhere"))
    }

    /// White space and comments.
    fn skip_gaps(&mut self) {
        loop {
            self.take_until(|c| !c.is_whitespace());
            if !(self.rest.starts_with('#') || self.rest.starts_with("//")) {
                return;
            }
            self.take_until(|c| c == '\n');
        }
    }

    /// The same, with what may stand between two values.
    fn skip_separators(&mut self) {
        loop {
            self.skip_gaps();
            if !(self.take(',') || self.take(';')) {
                return;
            }
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.rest.starts_with(wanted);
        if there {
            self.advance(wanted.len_utf8());
        }
        there
    }

    fn take_until(&mut self, end: impl Fn(char) -> bool) -> &'t str {
        let length = self.rest.find(end).unwrap_or(self.rest.len());
        let taken = &self.rest[..length];
        self.advance(length);
        taken
    }

    /// `bytes` must end where a character does.
    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        let lines = passed.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
    }

    fn place(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: self.line }
    }

    fn fault(&self, what: impl Into<String>) -> ConfFault {
        ConfFault { place: self.place(), what: what.into() }
    }
}

/// What a bare word is.
fn meaning(word: &str) -> Value {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return Value::Bool(true),
        "false" | "no" | "off" => return Value::Bool(false),
        _ => {}
    }
    let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if let Some(number) = units::size(word).filter(|_| number) {
        return Value::Integer(number);
    }
    match word.parse::<f64>() {
        Ok(fraction) if number && fraction.is_finite() => Value::Float(fraction),
        _ => Value::Text(word.into()),
    }
}

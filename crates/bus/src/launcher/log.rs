//! The log in nats-server's format: `[pid] yyyy/mm/dd hh:mm:ss.uuuuuu [INF] text`, in UTC.
//!
//! Suites and scripts wait for its lines. What the library says by `tracing` is written here too.

use std::{
    fmt::{self, Write as _},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{Timestamp, tz::TimeZone};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The longest text of one line; the rest is left out.
const MAX_LINE: usize = 4096;

/// A log. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: Option<PathBuf>,
    out: Mutex<Out>,
    time: bool,
    most: Level,
}

#[derive(Debug)]
enum Out {
    Nowhere,
    Stderr,
    File(File),
}

impl Log {
    /// Keeps nothing.
    pub fn nowhere() -> Log {
        Log::new(Out::Nowhere, None, false, Level::ERROR)
    }

    /// To standard error, with debugging lines or without.
    pub fn stderr(time: bool, debug: bool) -> Log {
        Log::new(Out::Stderr, None, time, most(debug))
    }

    /// To the end of a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(path: &Path, time: bool, debug: bool) -> io::Result<Log> {
        let file = append_to(path)?;
        Ok(Log::new(Out::File(file), Some(path.into()), time, most(debug)))
    }

    fn new(out: Out, path: Option<PathBuf>, time: bool, most: Level) -> Log {
        Log { shared: Arc::new(Shared { path, out: Mutex::new(out), time, most }) }
    }

    /// Opens the file again, for whoever moved it away.
    ///
    /// # Errors
    /// It cannot be opened; the old one is kept.
    pub fn reopen(&self) -> io::Result<()> {
        let Some(path) = &self.shared.path else { return Ok(()) };
        let file = append_to(path)?;
        *self.shared.out.lock().unwrap_or_else(PoisonError::into_inner) = Out::File(file);
        Ok(())
    }

    /// A line of a level; one that is more detailed than wanted is skipped.
    pub fn line(&self, level: Level, text: impl fmt::Display) {
        if level > self.shared.most {
            return;
        }
        let line = format!("{}{}{}\n", self.head(), label(level), Escaped(&text.to_string()));
        let mut out = self.shared.out.lock().unwrap_or_else(PoisonError::into_inner);
        // There is nowhere left to say that the log cannot be written.
        let _ = match &mut *out {
            Out::Nowhere => Ok(()),
            Out::Stderr => io::stderr().write_all(line.as_bytes()),
            Out::File(file) => file.write_all(line.as_bytes()),
        };
    }

    /// An `[INF]` line.
    pub fn info(&self, text: impl fmt::Display) {
        self.line(Level::INFO, text);
    }

    /// A `[WRN]` line.
    pub fn warn(&self, text: impl fmt::Display) {
        self.line(Level::WARN, text);
    }

    /// An `[ERR]` line.
    pub fn error(&self, text: impl fmt::Display) {
        self.line(Level::ERROR, text);
    }

    /// What `tracing` writes from now on, in the whole process, comes here. The first log that
    /// asks has it.
    pub fn take_tracing(&self) {
        // Somebody else wants it already: then it is theirs.
        let _ = tracing::subscriber::set_global_default(Bridge(self.clone()));
    }

    fn head(&self) -> String {
        let pid = std::process::id();
        if !self.shared.time {
            return format!("[{pid}] ");
        }
        let now = Timestamp::now().to_zoned(TimeZone::UTC);
        format!("[{pid}] {} ", now.strftime("%Y/%m/%d %H:%M:%S%.6f"))
    }
}

fn most(debug: bool) -> Level {
    if debug { Level::DEBUG } else { Level::INFO }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn label(level: Level) -> &'static str {
    match level {
        Level::ERROR => "[ERR] ",
        Level::WARN => "[WRN] ",
        Level::INFO => "[INF] ",
        Level::DEBUG => "[DBG] ",
        Level::TRACE => "[TRC] ",
    }
}

/// Text on one line, and not too much of it: it may hold what a client sent.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = MAX_LINE;
        for letter in self.0.chars() {
            let width = letter.len_utf8();
            if width > left {
                return f.write_str("…");
            }
            left -= width;
            match letter.is_control() {
                true => write!(f, "{}", letter.escape_default())?,
                false => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// Lets `tracing` write to a [`Log`]. Spans are not shown.
struct Bridge(Log);

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0.shared.most && metadata.target().starts_with("morgana")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.line(*event.metadata().level(), format_args!("{}{}", text.message, text.fields));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_that_scripts_wait_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::file(&path, true, false).unwrap();
        log.info("Listening for client connections on 127.0.0.1:4222");
        log.line(Level::DEBUG, "not wanted");
        log.warn("two\nlines\x1b");
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        log.reopen().unwrap();
        log.error("x".repeat(2 * MAX_LINE));
        let old = std::fs::read_to_string(dir.path().join("old")).unwrap();
        let lines: Vec<&str> = old.lines().collect();
        assert_eq!(lines.len(), 2, "{old}");
        let pid = format!("[{}] ", std::process::id());
        let (head, text) = lines[0].strip_prefix(&pid).unwrap().split_at(26);
        assert_eq!(text, " [INF] Listening for client connections on 127.0.0.1:4222");
        let shape: String =
            head.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000/00/00 00:00:00.000000");
        assert!(lines[1].ends_with("[WRN] two\\nlines\\u{1b}"), "{}", lines[1]);
        let new = std::fs::read_to_string(&path).unwrap();
        assert!(new.len() < MAX_LINE + 100 && new.ends_with("x…\n"));
    }

    #[test]
    fn what_the_library_says_comes_with_its_fields_and_causes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::file(&path, false, false).unwrap();
        tracing::subscriber::with_default(Bridge(log), || {
            let error = crate::auth::AuthFileError::Read {
                path: "users".into(),
                source: io::Error::other("no disk"),
            };
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, count = 3, "not taken");
            tracing::debug!("not wanted");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, text) = text.split_once("] ").unwrap();
        assert_eq!(text, "[WRN] not taken, error=cannot read `users`: no disk, count=3\n");
    }
}

//! The commands: builtins of bash, and programs by the name of their file.

mod awk;
mod builtins;
mod conditions;
mod dd;
mod digest;
pub(crate) mod files;
mod launch;
pub(crate) mod lists;
mod network;
mod packages;
mod processes;
mod services;
mod sockets;
mod system;
mod texts;
mod users;

use super::{Shell, run::Io};

/// A command: gets its name and arguments, writes to the streams, gives its exit status.
pub(super) type Run = fn(&mut Shell, &[String], Io) -> u8;

/// A builtin of bash.
pub(super) fn builtin(name: &str) -> Option<Run> {
    builtins::find(name)
}

/// A program that has its file in `/usr/bin` or `/usr/sbin`.
pub(super) fn program(name: &str) -> Option<Run> {
    files::find(name)
        .or_else(|| lists::find(name))
        .or_else(|| texts::find(name))
        .or_else(|| system::find(name))
        .or_else(|| processes::find(name))
        .or_else(|| services::find(name))
        .or_else(|| packages::find(name))
        .or_else(|| users::find(name))
        .or_else(|| network::find(name))
        .or_else(|| builtins::program(name))
}

/// A program that is there and has nothing to say.
pub(super) fn unremarkable(_: &mut Shell, _: &[String], _: Io) -> u8 {
    0
}

/// Splits arguments into the letters of short options, long options and operands. Letters in
/// `valued` take the rest of their word or the next argument.
pub(super) struct Options {
    flags: Vec<char>,
    values: Vec<(char, String)>,
    long: Vec<String>,
    pub(super) operands: Vec<String>,
}

impl Options {
    pub(super) fn parse(args: &[String], valued: &str) -> Self {
        let mut options =
            Self { flags: Vec::new(), values: Vec::new(), long: Vec::new(), operands: Vec::new() };
        let mut rest = args.iter().skip(1);
        while let Some(arg) = rest.next() {
            if arg == "--" {
                options.operands.extend(rest.cloned());
                break;
            }
            if let Some(long) = arg.strip_prefix("--") {
                options.long.push(long.to_owned());
                continue;
            }
            let Some(short) = arg.strip_prefix('-').filter(|short| !short.is_empty()) else {
                options.operands.push(arg.clone());
                continue;
            };
            for (at, flag) in short.char_indices() {
                options.flags.push(flag);
                if valued.contains(flag) {
                    let attached = &short[at + flag.len_utf8()..];
                    let value = if attached.is_empty() {
                        rest.next().cloned().unwrap_or_default()
                    } else {
                        attached.to_owned()
                    };
                    options.values.push((flag, value));
                    break;
                }
            }
        }
        options
    }

    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    pub(super) fn long(&self, name: &str) -> bool {
        self.long.iter().any(|long| long.split('=').next() == Some(name))
    }

    pub(super) fn value(&self, flag: char) -> Option<&str> {
        self.values.iter().rev().find(|(name, _)| *name == flag).map(|(_, value)| value.as_str())
    }

    /// The first short option outside `known`, to be refused.
    pub(super) fn unknown(&self, known: &str) -> Option<char> {
        self.flags.iter().copied().find(|flag| !known.contains(*flag))
    }
}

impl Shell {
    /// The bytes of the files named, or of standard input where none is; what cannot be read is
    /// said and left out.
    pub(super) fn inputs(
        &mut self,
        args: &[String],
        names: &[String],
        io: Io,
    ) -> (Vec<(String, Vec<u8>)>, bool) {
        if names.is_empty() {
            return (vec![("-".into(), self.read_all(io))], true);
        }
        let mut found = Vec::new();
        let mut well = true;
        for name in names.iter().take(256) {
            if name == "-" || name == "/dev/stdin" {
                let bytes = self.read_all(io);
                found.push((name.clone(), bytes));
                continue;
            }
            let most = super::limits::MAX_SHOWN_BYTES;
            match self.fs.read(self.frame.who, &self.frame.cwd, name, self.now, most) {
                Ok(bytes) => found.push((name.clone(), bytes)),
                Err(error) => {
                    well = false;
                    self.warn(
                        io,
                        format!("{}: {name}: {}", super::fs::base_name(&args[0]), error.message()),
                    );
                }
            }
        }
        (found, well)
    }

    /// The refusal of an option that a program does not know.
    pub(super) fn usage(&mut self, args: &[String], flag: char, io: Io) -> u8 {
        let name = super::fs::base_name(&args[0]).to_owned();
        self.warn(io, format!("{name}: invalid option -- '{flag}'"));
        self.warn(io, format!("Try '{name} --help' for more information."));
        1
    }
}

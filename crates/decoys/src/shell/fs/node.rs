//! The entries of the file system, and who may do what with them.

use std::borrow::Cow;

use model::Timestamp;

use crate::shell::machine::Machine;

/// On whose behalf something is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Who {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Why the kernel would refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FsError {
    NotFound,
    Denied,
    NotPermitted,
    NotDir,
    IsDir,
    Exists,
    NotEmpty,
    NoSpace,
    Loop,
    NameTooLong,
    Io,
    Busy,
    Invalid,
}

impl FsError {
    /// The text of `strerror`.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NotFound => "No such file or directory",
            Self::Denied => "Permission denied",
            Self::NotPermitted => "Operation not permitted",
            Self::NotDir => "Not a directory",
            Self::IsDir => "Is a directory",
            Self::Exists => "File exists",
            Self::NotEmpty => "Directory not empty",
            Self::NoSpace => "No space left on device",
            Self::Loop => "Too many levels of symbolic links",
            Self::NameTooLong => "File name too long",
            Self::Io => "Input/output error",
            Self::Busy => "Device or resource busy",
            Self::Invalid => "Invalid argument",
        }
    }
}

/// A character device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Device {
    Null,
    Zero,
    Full,
    Random,
    Terminal,
    Memory,
    Disk,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The same on every machine.
    Fixed(&'static str),
    /// Made from the machine when it is read.
    Made(fn(&Machine, Timestamp) -> String),
    /// A program: a plausible head, and this many bytes in all.
    Program(u32),
    /// Written in this session.
    Own(Vec<u8>),
}

/// What an entry is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Dir,
    File(Content),
    Link(Cow<'static, str>),
    Device(Device, u32, u32),
}

/// When an entry changed last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stamp {
    /// With the installation, this many seconds later.
    Installed(u32),
    /// At boot, this many seconds later.
    Booted(u32),
    /// Just now, always (`/proc`).
    Now,
    /// Then.
    At(Timestamp),
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) stamp: Stamp,
}

impl Node {
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }

    pub(super) fn allows(&self, who: Who, bit: u32) -> bool {
        if who.uid == 0 {
            return bit != 1 || self.is_dir() || self.mode & 0o111 != 0;
        }
        let shift = if who.uid == self.uid {
            6
        } else if who.gid == self.gid {
            3
        } else {
            0
        };
        self.mode >> shift & bit != 0
    }
}

/// Read, write, execute: permission bits of one class.
pub(crate) const READ: u32 = 4;
pub(crate) const WRITE: u32 = 2;
pub(crate) const EXECUTE: u32 = 1;

//! Decoy protocols as pure sessions, and the one driver that owns their sockets.

pub mod shell;

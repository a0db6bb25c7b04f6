//! The broker: one I/O thread that owns sockets and match table.

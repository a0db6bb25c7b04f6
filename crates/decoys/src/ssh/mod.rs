//! SSH as OpenSSH 9.2p1 of Debian 12 speaks it, byte for byte where a stranger can see it.
//!
//! A session is a stack of plain states: `transport` turns bytes into messages, `auth`
//! lets someone in, `connection` holds channels with shells. Libraries are used for
//! cryptography and deflate only; nothing is executed, forwarded or resolved.

mod algorithms;
mod auth;
mod channel;
mod cipher;
mod compress;
mod connection;
mod fatal;
mod hostkey;
mod kex;
mod mac;
mod message;
mod packet;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod transport;
mod tty;
mod umac;
mod version;
mod wire;

pub use hostkey::prepare;
pub use server::SshSession;
pub use version::identification;

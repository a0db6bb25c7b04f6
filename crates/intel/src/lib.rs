//! Sessions, scores and identities, pure: facts of decoys in, rows and events out.
//!
//! Owns what the facts of a session mean: who the attacker is, how dangerous it looks, which
//! identity stands behind it, and which events tell so. It refuses to know the store, the bus,
//! sockets and clocks: what is known already is handed in by [`Analyst::learn`], moments come
//! with the facts, ids come from the [`model::Ambient`].
//!
//! One batch goes like this: [`Analyst::needs`] names the rows that are not in memory, the
//! caller loads them and hands them to [`Analyst::learn`], [`Analyst::observe`] answers with one
//! [`model::Observation`], which the caller writes in one transaction. Where the write fails,
//! [`Analyst::forget`] and the same batch again.
//!
//! Invariants: the same facts give the same rows and the same events however they are cut into
//! batches; a fact that was seen before changes nothing; a score never falls.

mod analyst;
mod recent;
mod score;
mod sessions;
mod words;

pub use analyst::{Analyst, Known, Limits, Needs, credential_hash};
pub use score::{Score, score};

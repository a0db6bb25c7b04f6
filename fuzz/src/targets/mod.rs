//! The targets: one for each parser that reads what strangers or operators write.

mod bus_codec;
mod bus_conf;
mod bus_headers;
mod bus_matcher;
mod bus_segment;
#[cfg(feature = "app")]
mod config;
mod helper;
mod maze;
mod ops;
mod safe;
mod services;
mod shell;
mod snmp;
mod ssh;
mod ssh_client;
mod subjects;
mod switch;
mod text;
mod visit;

use rand::rngs::StdRng;

use crate::{Trace, mutate};

/// Something that takes any bytes.
pub struct Target {
    /// Its name: on the command line, and of its directory below `corpus`.
    pub name: &'static str,
    /// What it holds the code to, in one line.
    pub about: &'static str,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// How its inputs change, where bytes are not the right grain.
    pub mutation: Option<Mutation>,
    /// Runs one input. Panics where something does not hold that always must.
    pub run: fn(&[u8], &mut Trace),
}

/// Changes an input, with another one to borrow from.
pub type Mutation = fn(&mut Vec<u8>, &[u8], &mut StdRng);

impl Target {
    /// Changes `input`, with `other` to borrow from.
    pub fn mutate(&self, input: &mut Vec<u8>, other: &[u8], dice: &mut StdRng) {
        match self.mutation {
            Some(mutation) => mutation(input, other, dice),
            None => mutate::mutate(input, other, self.words, dice),
        }
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    subjects::TARGET,
    text::TARGET,
    ops::TARGET,
    maze::TARGET,
    #[cfg(feature = "app")]
    config::TARGET,
    services::HTTP,
    services::REDIS,
    services::FTP,
    snmp::TARGET,
    ssh::TARGET,
    shell::TARGET,
    bus_codec::TARGET,
    bus_conf::TARGET,
    bus_headers::TARGET,
    bus_matcher::TARGET,
    bus_segment::TARGET,
    switch::TARGET,
    helper::TARGET,
];

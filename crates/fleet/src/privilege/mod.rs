//! Giving up what a process does not need, for good: users, capabilities, system calls.
//!
//! Two processes come here. The one that meets visitors becomes an ordinary user with nothing
//! ([`become_user`]), or stays the one that it is with nothing ([`keep_nothing`]); the root helper
//! keeps its user and four capabilities ([`confine_helper`]). Both are told in one thread, before
//! there are others, and neither can go back. This knows nothing of drivers, deckies or what the
//! processes are for.

mod account;
mod filter;
mod sys;
mod tree;

use std::io;

use rustix::{
    process::{DumpableBehavior, set_dumpable_behavior},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

use self::filter::Whom;
pub use self::{
    account::{Account, AccountError, group},
    tree::{HandOverError, hand_over},
};

/// What the root helper keeps: namespaces, links and kernel settings, packet sockets, low ports.
const HELPER: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Why privilege was not given up. The process must not go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct DropError {
    what: &'static str,
    #[source]
    source: io::Error,
}

impl DropError {
    fn of<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self { what, source: source.into() }
    }
}

/// Whether this process is root to the kernel.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this process may do anything that its user may not.
///
/// # Errors
/// Where the kernel does not say.
pub fn is_privileged() -> io::Result<bool> {
    Ok(!capabilities(None)?.permitted.is_empty())
}

/// The effective user. `/proc/self` does not tell it: what gave up privilege belongs to root
/// there, so that others of its user cannot look inside.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Becomes an ordinary user: no group but the account's, no capability in any set, nothing
/// gained by any program, and no system call that a decoy host never needs.
///
/// # Errors
/// Where there are other threads already, or the kernel refuses a part.
pub fn become_user(account: &Account) -> Result<(), DropError> {
    alone()?;
    bound_capabilities(CapabilitySet::empty())?;
    sys::become_user(account.uid, account.gid, &account.groups)
        .map_err(DropError::of("change the user"))?;
    keep_nothing()
}

/// No capability, nothing gained by any program, and no system call that a decoy host never
/// needs; for who is an ordinary user already. What such a user's capabilities are bounded by
/// stays, since it takes more privilege to lower that; there is no way up to it any more.
///
/// # Errors
/// Where there are other threads already, or the kernel refuses a part.
pub fn keep_nothing() -> Result<(), DropError> {
    alone()?;
    no_ambient_capabilities()?;
    keep_capabilities(CapabilitySet::empty())?;
    lock_in(Whom::Host)
}

/// No more than the helper's capabilities, without descriptors but the standard ones, out of
/// reach of the terminal, of signals that are meant for its master and of others of its user.
///
/// # Errors
/// Where there are other threads already, or the kernel refuses a part.
pub fn confine_helper() -> Result<(), DropError> {
    alone()?;
    sys::close_all_beyond_standard().map_err(DropError::of("close inherited descriptors"))?;
    sys::ignore_signals_of_the_terminal().map_err(DropError::of("ignore signals"))?;
    // Fails only where it leads a session already.
    let _ = rustix::process::setsid();
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(DropError::of("keep others from looking inside"))?;
    if is_root() {
        bound_capabilities(HELPER)?;
    }
    no_ambient_capabilities()?;
    keep_capabilities(HELPER)?;
    lock_in(Whom::Helper)
}

fn lock_in(whom: Whom) -> Result<(), DropError> {
    set_no_new_privs(true).map_err(DropError::of("forbid new privilege"))?;
    filter::install(whom).map_err(DropError::of("install the system call filter"))
}

/// Capabilities belong to threads: another one would keep its own.
fn alone() -> Result<(), DropError> {
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    match threads.map_err(DropError::of("count threads"))? {
        0 | 1 => Ok(()),
        _ => Err(DropError::of("give up privilege")(io::Error::other("there are other threads"))),
    }
}

/// Nothing beyond these can ever be had again.
fn bound_capabilities(kept: CapabilitySet) -> Result<(), DropError> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // An error is one that this kernel does not know.
        if !kept.contains(one) && capability_is_in_bounding_set(one).unwrap_or(false) {
            remove_capability_from_bounding_set(one)
                .map_err(DropError::of("bound the capabilities"))?;
        }
    }
    Ok(())
}

fn no_ambient_capabilities() -> Result<(), DropError> {
    clear_ambient_capability_set().map_err(DropError::of("clear the ambient capabilities"))
}

/// Of these, those that there are: a container's root may have fewer.
fn keep_capabilities(kept: CapabilitySet) -> Result<(), DropError> {
    let now = capabilities(None).map_err(DropError::of("look at the capabilities"))?;
    let (kept, inheritable) = (now.permitted & kept, CapabilitySet::empty());
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable };
    set_capabilities(None, sets).map_err(DropError::of("give up capabilities"))
}

//! One handle a role for the whole process, so that what serves many requests does not open a
//! connection for each.
//!
//! A handle is made when it is first asked for and made again once it was closed. Nothing about a
//! failed connection is kept here: the handle itself goes on trying.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Bus, BusState};

static ROLES: Mutex<BTreeMap<String, Bus>> = Mutex::new(BTreeMap::new());

/// Held for a few instructions, and while a handle is made: nothing waits for the bus meanwhile.
fn roles() -> MutexGuard<'static, BTreeMap<String, Bus>> {
    ROLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process's handle for `role`. `make` is called with the role's name where there is none, or
/// where the last one was closed; it must not ask for a shared handle itself.
pub fn shared(role: &str, make: impl FnOnce(&str) -> Bus) -> Bus {
    let mut roles = roles();
    if let Some(bus) = roles.get(role)
        && bus.health().state != BusState::Closed
    {
        return bus.clone();
    }
    let bus = make(role);
    roles.insert(role.to_owned(), bus.clone());
    bus
}

/// Closes the handle of `role`; without effect where there is none.
pub async fn close_shared(role: &str) {
    let bus = roles().remove(role);
    if let Some(bus) = bus {
        bus.close().await;
    }
}

/// Closes the handles of all roles, as a process does when it ends.
pub async fn close_all_shared() {
    let all = std::mem::take(&mut *roles());
    for bus in all.into_values() {
        bus.close().await;
    }
}

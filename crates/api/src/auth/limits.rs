//! Failed logins slow down further ones, per account and per address: by delay, never by lockout.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::{Ambient, Timestamp};

/// Failures without any delay.
const FREE: u32 = 3;
/// Delay after the first failure beyond; doubles with each further one.
const FIRST: Duration = Duration::from_millis(500);
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(30);
/// Failures are forgotten after this much time without one.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Accounts and addresses that are remembered; beyond, the oldest go.
const MAX_KEYS: usize = 10_000;

/// Whose failures are counted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Account(String),
    Address(IpAddr),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    latest: Timestamp,
}

/// Remembers failed logins.
pub(crate) struct Throttle {
    ambient: Ambient,
    failures: Mutex<HashMap<Key, Failures>>,
}

impl Throttle {
    pub(crate) fn new(ambient: Ambient) -> Self {
        Self { ambient, failures: Mutex::default() }
    }

    /// How long this login has to wait before it is tried; `None` where it may be tried now.
    pub(crate) fn wait(&self, account: &str, address: Option<IpAddr>) -> Option<Duration> {
        let now = self.ambient.now();
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = keys(account, address).filter_map(|key| {
            let failed = failures.get(&key)?;
            let free_again = failed.latest.plus(delay(failed.count));
            (free_again > now).then(|| free_again.since(now))
        });
        waits.max()
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, account: &str, address: Option<IpAddr>) {
        let now = self.ambient.now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(account, address) {
            let entry = failures.entry(key).or_insert(Failures { count: 0, latest: now });
            let fresh = now.since(entry.latest) >= FORGET;
            entry.count = if fresh { 1 } else { entry.count.saturating_add(1) };
            entry.latest = now;
        }
        if failures.len() > MAX_KEYS {
            failures.retain(|_, failed| now.since(failed.latest) < FORGET);
        }
        while failures.len() > MAX_KEYS {
            let oldest = failures.iter().min_by_key(|(_, failed)| failed.latest);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            failures.remove(&oldest);
        }
    }

    /// Forgets the account's failures; those of the address stay.
    pub(crate) fn succeeded(&self, account: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&Key::Account(account.into()));
    }
}

fn keys(account: &str, address: Option<IpAddr>) -> impl Iterator<Item = Key> {
    std::iter::once(Key::Account(account.chars().take(64).collect()))
        .chain(address.map(Key::Address))
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(beyond) => FIRST.saturating_mul(1 << beyond.min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_delay_by_account_and_by_address_and_are_forgotten() {
        let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
        let throttle = Throttle::new(ambient.clone());
        let here: Option<IpAddr> = Some([127, 0, 0, 1].into());
        let there: Option<IpAddr> = Some([127, 0, 0, 2].into());
        for _ in 0..2 {
            throttle.failed("ada", here);
        }
        assert_eq!(throttle.wait("ada", here), None);
        throttle.failed("ada", here);
        assert_eq!(throttle.wait("ada", there), Some(FIRST));
        assert_eq!(throttle.wait("bob", here), Some(FIRST));
        assert_eq!(throttle.wait("bob", there), None);
        throttle.failed("ada", here);
        assert_eq!(throttle.wait("ada", None), Some(FIRST * 2));
        ambient.advance(FIRST * 2);
        assert_eq!(throttle.wait("ada", here), None);
        for _ in 0..40 {
            throttle.failed("ada", None);
        }
        assert_eq!(throttle.wait("ada", None), Some(LONGEST));
        throttle.succeeded("ada");
        assert_eq!(throttle.wait("ada", None), None);
    }
}

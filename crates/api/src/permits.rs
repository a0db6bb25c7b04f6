//! How many live streams may be open, and which end when a login does.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use model::{TokenId, UserId};
use tokio_util::sync::CancellationToken;

use crate::{
    Limits,
    auth::{Principal, Proof},
    peer::Peer,
    problem::Problem,
};

/// Seconds after which a refused client may try again.
const RETRY_AFTER: u64 = 10;

/// Where streams come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Origin {
    Address(IpAddr),
    Uid(u32),
}

struct Open {
    origin: Origin,
    user: Option<UserId>,
    proof: Proof,
    revoked: CancellationToken,
}

#[derive(Default)]
struct Registry {
    next: u64,
    open: HashMap<u64, Open>,
    by_origin: HashMap<Origin, usize>,
    by_user: HashMap<Option<UserId>, usize>,
    by_proof: HashMap<Proof, usize>,
}

/// All open streams.
pub(crate) struct Permits {
    limits: Limits,
    registry: Mutex<Registry>,
}

/// The right to one stream; returned on drop.
pub(crate) struct Permit {
    permits: Arc<Permits>,
    number: u64,
    /// Cancelled when the login behind it ends.
    pub(crate) revoked: CancellationToken,
}

impl Permits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, registry: Mutex::default() }
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// Where as many are out as may be.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        principal: &Principal,
        peer: Peer,
    ) -> Result<Permit, Problem> {
        let origin = match peer {
            Peer::Tcp(addr) => Origin::Address(addr.ip()),
            Peer::Unix { uid } => Origin::Uid(uid),
        };
        let (user, proof) = (principal.user_id, principal.proof);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let per_proof = match proof {
            Proof::Login(_) => self.limits.streams_per_login,
            Proof::ApiToken(..) | Proof::Local(_) => self.limits.streams_per_token,
        };
        let full = [
            ("the service", registry.open.len(), self.limits.streams),
            ("the address", count(&registry.by_origin, &origin), self.limits.streams_per_address),
            ("the user", count(&registry.by_user, &user), self.limits.streams_per_user),
            ("the login", count(&registry.by_proof, &proof), per_proof),
        ];
        if let Some((whose, _, most)) = full.iter().find(|(_, open, most)| open >= most) {
            let detail = format!("{whose} has {most} live streams open already");
            return Err(Problem::too_many_streams(detail).retry_after(RETRY_AFTER));
        }
        *registry.by_origin.entry(origin).or_default() += 1;
        *registry.by_user.entry(user).or_default() += 1;
        *registry.by_proof.entry(proof).or_default() += 1;
        let (number, revoked) = (registry.next, CancellationToken::new());
        registry.next += 1;
        registry.open.insert(number, Open { origin, user, proof, revoked: revoked.clone() });
        Ok(Permit { permits: self.clone(), number, revoked })
    }

    /// Streams that are open.
    pub(crate) fn open(&self) -> usize {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }

    /// Ends all streams of a user.
    pub(crate) fn revoke_user(&self, user: UserId) {
        self.revoke_where(|open| open.user == Some(user));
    }

    /// Ends all streams of an API token.
    pub(crate) fn revoke_token(&self, token: TokenId) {
        self.revoke_where(|open| matches!(open.proof, Proof::ApiToken(_, id) if id == token));
    }

    /// Ends all streams of a login.
    pub(crate) fn revoke_proof(&self, proof: Proof) {
        self.revoke_where(|open| open.proof == proof);
    }

    fn revoke_where(&self, ends: impl Fn(&Open) -> bool) {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.open.values().filter(|open| ends(open)).for_each(|open| open.revoked.cancel());
    }

    fn release(&self, number: u64) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = registry.open.remove(&number) else { return };
        decrement(&mut registry.by_origin, &open.origin);
        decrement(&mut registry.by_user, &open.user);
        decrement(&mut registry.by_proof, &open.proof);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.release(self.number);
    }
}

fn count<K: Eq + Hash>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or_default()
}

fn decrement<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(open) = counts.get_mut(key) {
        *open -= 1;
        if *open == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Role;
    use store::TokenHash;

    use super::*;

    fn principal(login: u8) -> Principal {
        Principal {
            user_id: None,
            name: "ada".into(),
            role: Role::Viewer,
            proof: Proof::Login(TokenHash([login; 32])),
            until: None,
        }
    }

    #[test]
    fn permits_are_counted_per_login_and_returned_on_drop() {
        let limits = Limits { streams_per_login: 1, streams: 2, ..Limits::default() };
        let permits = Arc::new(Permits::new(limits));
        let peer = Peer::Tcp("127.0.0.1:9".parse().unwrap());
        let first = permits.acquire(&principal(1), peer).ok().unwrap();
        assert!(permits.acquire(&principal(1), peer).is_err());
        let second = permits.acquire(&principal(2), peer).ok().unwrap();
        assert!(permits.acquire(&principal(3), peer).is_err());
        permits.revoke_proof(principal(2).proof);
        assert!(second.revoked.is_cancelled() && !first.revoked.is_cancelled());
        drop((first, second));
        assert_eq!(permits.open(), 0);
        assert!(permits.registry.lock().unwrap().by_proof.is_empty());
        assert!(permits.acquire(&principal(1), peer).is_ok());
    }
}

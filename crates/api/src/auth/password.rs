//! Passwords: argon2id, few hashes at a time, the same time for unknown users.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use model::Ambient;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Shortest password, in characters.
const MIN_CHARACTERS: usize = 8;
/// Longest password, in characters.
const MAX_CHARACTERS: usize = 128;
/// Hashes at once: each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// Longest wait for a turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most used passwords that are long enough to be accepted otherwise, in lower case.
const COMMON: &str = include_str!("common_passwords.txt");

/// Hashes and compares passwords.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    ambient: Ambient,
    /// Hash of nobody's password, compared with where there is no user.
    decoy: Arc<str>,
}

/// RFC 9106 and OWASP: 19 MiB, two passes, one lane.
fn argon2id() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("the parameters are within bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str, salt: [u8; 16]) -> Option<String> {
    let hash: PasswordHash = argon2id().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| argon2id().verify_password(password.as_bytes(), &hash).is_ok())
}

impl Passwords {
    /// Hashes nobody's password once.
    pub(crate) fn new(ambient: Ambient) -> Self {
        let nobody: [u8; 16] = ambient.bytes();
        let decoy = hash(&format!("{nobody:?}"), ambient.bytes()).unwrap_or_default();
        Self { turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)), ambient, decoy: decoy.into() }
    }

    /// Hashes a password for keeping.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        let salt = self.ambient.bytes();
        let hashed = self.in_turn(move || hash(&password, salt)).await?;
        hashed.ok_or_else(|| Problem::internal("the password cannot be hashed"))
    }

    /// Whether the password is the one of `hash`; `None` takes the same time and is false.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        Ok(self.in_turn(move || verify(&password, &hash)).await? & known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(Problem::throttled("too many logins at once").retry_after(5));
        };
        // The turn goes with the work: a caller that hangs up does not free it early.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| Problem::internal("the password cannot be checked"))
    }
}

/// Refuses passwords that are too short, too long or too common.
pub(crate) fn check_new_password(field: &str, password: &str) -> Result<(), Problem> {
    let characters = password.chars().count();
    if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&characters) {
        let message = format!("a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters");
        return Err(Problem::field(field, "PASSWORD_LENGTH", message));
    }
    let lower = password.to_lowercase();
    if COMMON.lines().any(|common| common == lower) {
        let message = "this password is among the most common ones";
        return Err(Problem::field(field, "PASSWORD_COMMON", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    #[tokio::test]
    async fn only_the_password_fits_its_hash() {
        let passwords = Passwords::new(Ambient::seeded(1, Timestamp::from_micros(0)));
        let kept = passwords.hash("correct horse".into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(passwords.verify("correct horse".into(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.verify("correct hors".into(), Some(kept)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
    }

    #[test]
    fn weak_passwords_are_refused() {
        for (password, accepted) in [
            ("short", false),
            ("12345678", false),
            ("Password1", false),
            ("eight ch", true),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
            (&"é".repeat(128), true),
        ] {
            assert_eq!(check_new_password("password", password).is_ok(), accepted, "{password}");
        }
    }
}

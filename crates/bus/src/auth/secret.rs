//! Passwords, tokens and keys: how each is checked, and what that costs.

/// The dearest bcrypt cost that is taken: above it, one login would hold the checking thread for
/// more than a few seconds.
pub const MAX_BCRYPT_COST: u32 = 16;

/// A secret that nobody can check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It starts like a bcrypt hash and is none.
    #[error("is no bcrypt hash")]
    Bcrypt,
    /// Its bcrypt cost is above [`MAX_BCRYPT_COST`].
    #[error("has bcrypt cost {0}, more than {MAX_BCRYPT_COST}")]
    Cost(u32),
    /// It starts like an argon2 hash and is none, or asks for more than 1 GiB or 100 passes.
    #[error("is no argon2 hash, or one that is too dear")]
    Argon2,
    /// It is no public nkey of a user.
    #[error("is no public user nkey (`U…`)")]
    Nkey,
}

/// How a secret is checked.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Plain { text: String, token: bool },
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

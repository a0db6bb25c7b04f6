//! Passwords, tokens and keys: how each is checked, and what that costs.
//!
//! Owns the forms a secret may have; refuses to know whose it is. Plain text is compared in a time
//! that depends on what was offered only.

use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nkeys::{KeyPair, KeyPairType};
use subtle::{Choice, ConstantTimeEq};

use super::{Credentials, Login};

/// The dearest bcrypt cost that is taken: above it, one login would hold the checking thread for
/// more than a few seconds.
pub const MAX_BCRYPT_COST: u32 = 16;

/// The most memory that an argon2 hash may ask for, in KiB.
const MAX_ARGON2_KIB: u32 = 1 << 20;
/// The most passes that an argon2 hash may ask for.
const MAX_ARGON2_PASSES: u32 = 100;

/// What a check may take, as [`Secret::cost`] says, for it not to be slow.
const SLOW: u64 = 500;

/// A secret that nobody can check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is empty.
    #[error("the secret is empty")]
    Empty,
    /// It starts like a bcrypt hash and is none.
    #[error("no bcrypt hash")]
    Bcrypt,
    /// Its bcrypt cost is above [`MAX_BCRYPT_COST`].
    #[error("bcrypt cost {0} is more than {MAX_BCRYPT_COST}")]
    Cost(u32),
    /// It starts like an argon2 hash and is none, or asks for more than 1 GiB or 100 passes.
    #[error("no argon2 hash, or one that is too dear")]
    Argon2,
    /// It is no public nkey of a user.
    #[error("no public nkey of a user (`U…`)")]
    Nkey,
}

/// How a secret is checked.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// What the client sends as `pass`.
    Password(Check),
    /// What the client sends as `auth_token`.
    Token(Check),
    /// The key whose signature the client sends.
    Nkey(String),
    /// Nothing proves it.
    Never,
}

/// What a text is compared with.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Check {
    Plain(String),
    Bcrypt { hash: String, cost: u32 },
    Argon2 { hash: String, kib: u32, passes: u32 },
}

impl Secret {
    /// Takes what was configured; the form of a hash says which it is.
    pub(super) fn new(login: &Login) -> Result<Secret, SecretError> {
        match login {
            Login::Password(text) => Check::new(text).map(Secret::Password),
            Login::Token(text) => Check::new(text).map(Secret::Token),
            Login::Nkey(key) => public_user_key(key).map(|_| Secret::Nkey(key.clone())),
            Login::Never => Ok(Secret::Never),
        }
    }

    /// Whether the client proved that it knows this.
    pub(super) fn proven_by(&self, offered: &Credentials<'_>, nonce: &[u8]) -> bool {
        match self {
            Secret::Password(check) => check.accepts(offered.pass.unwrap_or_default()),
            Secret::Token(check) => check.accepts(offered.token.unwrap_or_default()),
            Secret::Nkey(key) => signed(key, nonce, offered.sig.unwrap_or_default()),
            Secret::Never => false,
        }
    }

    /// Roughly what one check takes, in microseconds: only for comparing.
    pub(super) fn cost(&self) -> u64 {
        match self {
            Secret::Password(check) | Secret::Token(check) => check.cost(),
            Secret::Nkey(_) => 100,
            Secret::Never => 0,
        }
    }

    /// Whether a check takes so long that others must not wait for it.
    pub(super) fn is_slow(&self) -> bool {
        self.cost() > SLOW
    }

    /// Spends the time of one check on whatever was offered.
    pub(super) fn spend(&self, offered: &Credentials<'_>, nonce: &[u8]) {
        let text = offered.pass.or(offered.token).unwrap_or_default();
        match self {
            Secret::Password(check) | Secret::Token(check) => drop(check.accepts(text)),
            Secret::Nkey(key) => drop(signed(key, nonce, offered.sig.unwrap_or_default())),
            Secret::Never => {}
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password(…)",
            Secret::Token(_) => "Token(…)",
            Secret::Nkey(_) => "Nkey(…)",
            Secret::Never => "Never",
        })
    }
}

impl Check {
    fn new(text: &str) -> Result<Check, SecretError> {
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if text.starts_with("$argon2") {
            return Check::argon2(text);
        }
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|version| text.starts_with(version)) {
            return Check::bcrypt(text);
        }
        Ok(Check::Plain(text.into()))
    }

    fn bcrypt(hash: &str) -> Result<Check, SecretError> {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| SecretError::Bcrypt)?;
        match parts.get_cost() {
            cost @ 4..=MAX_BCRYPT_COST => Ok(Check::Bcrypt { hash: hash.into(), cost }),
            cost => Err(SecretError::Cost(cost)),
        }
    }

    fn argon2(hash: &str) -> Result<Check, SecretError> {
        let parsed = PasswordHash::new(hash).map_err(|_| SecretError::Argon2)?;
        let params = argon2::Params::try_from(&parsed).map_err(|_| SecretError::Argon2)?;
        let (kib, passes) = (params.m_cost(), params.t_cost());
        let complete = parsed.hash.is_some() && parsed.salt.is_some();
        if !complete || kib > MAX_ARGON2_KIB || passes > MAX_ARGON2_PASSES {
            return Err(SecretError::Argon2);
        }
        Ok(Check::Argon2 { hash: hash.into(), kib, passes })
    }

    /// A hash that cannot be read accepts nothing; [`Check::new`] keeps such out.
    fn accepts(&self, offered: &str) -> bool {
        match self {
            Check::Plain(text) => same(text.as_bytes(), offered.as_bytes()),
            Check::Bcrypt { hash, .. } => bcrypt::verify(offered, hash).unwrap_or(false),
            Check::Argon2 { hash, .. } => PasswordHash::new(hash)
                .is_ok_and(|h| Argon2::default().verify_password(offered.as_bytes(), &h).is_ok()),
        }
    }

    fn cost(&self) -> u64 {
        match self {
            Check::Plain(_) => 0,
            Check::Bcrypt { cost, .. } => 50 << cost,
            Check::Argon2 { kib, passes, .. } => u64::from(*kib) * u64::from(*passes),
        }
    }
}

/// Compares in a time that depends on the length of `offered` alone.
fn same(expected: &[u8], offered: &[u8]) -> bool {
    let stretched: Vec<u8> = expected.iter().copied().cycle().take(offered.len()).collect();
    let length = Choice::from(u8::from(expected.len() == offered.len()));
    (stretched.ct_eq(offered) & length).into()
}

fn public_user_key(key: &str) -> Result<KeyPair, SecretError> {
    let pair = KeyPair::from_public_key(key).map_err(|_| SecretError::Nkey)?;
    match pair.key_pair_type() {
        KeyPairType::User => Ok(pair),
        _ => Err(SecretError::Nkey),
    }
}

/// Whether `sig` is the key's signature over the nonce: raw URL base64; padded standard base64 is
/// taken too, as by nats-server.
fn signed(key: &str, nonce: &[u8], sig: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(sig).or_else(|_| STANDARD.decode(sig));
    let (Ok(bytes), Ok(pair)) = (bytes, public_user_key(key)) else { return false };
    !nonce.is_empty() && pair.verify(nonce, &bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `secret` as configured, what a client offers, and whether that is it.
    fn check(secret: &str, offered: &str, expected: bool) {
        let check = Check::new(secret).unwrap_or_else(|err| panic!("{secret}: {err}"));
        assert_eq!(check.accepts(offered), expected, "{secret} against {offered:?}");
    }

    #[test]
    fn texts_and_hashes_are_compared() {
        let bcrypt = bcrypt::hash("s3cr3t", 4).unwrap();
        let argon2 = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$";
        assert_eq!(Check::new(argon2).err(), Some(SecretError::Argon2));
        for secret in ["s3cr3t", bcrypt.as_str()] {
            check(secret, "s3cr3t", true);
            for wrong in ["", "s3cr3", "s3cr3ts3cr3t", "S3cr3t", secret.get(..4).unwrap_or("")] {
                check(secret, wrong, false);
            }
        }
    }

    #[test]
    fn argon2_is_taken() {
        use argon2::{Params, PasswordHasher};
        let cheap = Params::new(64, 1, 1, None).unwrap();
        let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
        let hash = hasher.hash_password_with_salt(b"s3cr3t", b"0123456789abcdef").unwrap();
        check(&hash.to_string(), "s3cr3t", true);
        check(&hash.to_string(), "s3cr3u", false);
    }

    #[test]
    fn what_nobody_can_check_is_refused() {
        let dear = bcrypt::hash("x", 4).unwrap().replacen("$04$", "$17$", 1);
        let seed = KeyPair::new_user().seed().unwrap();
        let account = KeyPair::new_account().public_key();
        for (login, expected) in [
            (Login::Password(String::new()), SecretError::Empty),
            (Login::Token("$2b$junk".into()), SecretError::Bcrypt),
            (Login::Password(dear), SecretError::Cost(17)),
            (
                Login::Password("$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$AAAA".into()),
                SecretError::Argon2,
            ),
            (Login::Nkey("UNKNOWN".into()), SecretError::Nkey),
            (Login::Nkey(seed), SecretError::Nkey),
            (Login::Nkey(account), SecretError::Nkey),
        ] {
            assert_eq!(Secret::new(&login), Err(expected), "{login:?}");
        }
    }

    #[test]
    fn a_signature_counts_for_its_nonce_and_key_only() {
        let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
        let sig = URL_SAFE_NO_PAD.encode(pair.sign(b"nonce").unwrap());
        let standard = STANDARD.encode(pair.sign(b"nonce").unwrap());
        for (key, nonce, sig, expected) in [
            (pair.public_key(), &b"nonce"[..], sig.as_str(), true),
            (pair.public_key(), b"nonce", &standard, true),
            (pair.public_key(), b"nonc3", &sig, false),
            (other.public_key(), b"nonce", &sig, false),
            (pair.public_key(), b"nonce", "", false),
            (pair.public_key(), b"nonce", "%%%", false),
            (pair.public_key(), b"", &URL_SAFE_NO_PAD.encode(pair.sign(b"").unwrap()), false),
        ] {
            assert_eq!(signed(&key, nonce, sig), expected, "{sig} over {nonce:?}");
        }
    }
}

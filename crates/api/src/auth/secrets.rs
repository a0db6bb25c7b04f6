//! Opaque tokens: made from random bytes, kept as SHA-256.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::Ambient;
use sha2::{Digest, Sha256};
use store::TokenHash;

/// What API tokens begin with, so that scanners of leaked secrets know them.
const API_TOKEN_PREFIX: &str = "mrg_";

/// What is kept of a token. Tokens have 128 random bits or more, so a plain hash suffices.
pub(crate) fn hash_token(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

/// The value of a session cookie: 128 bits.
pub(crate) fn new_session_token(ambient: &Ambient) -> String {
    URL_SAFE_NO_PAD.encode(ambient.bytes::<16>())
}

/// An API token: 192 bits.
pub(crate) fn new_api_token(ambient: &Ambient) -> String {
    format!("{API_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(ambient.bytes::<24>()))
}

/// A set-up secret that can be typed: 100 bits as five groups of four letters and digits,
/// without those that look alike.
pub(crate) fn new_setup_secret(ambient: &Ambient) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letters = ambient.bytes::<20>().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    let groups: Vec<String> = letters.chunks(4).map(String::from_iter).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    #[test]
    fn tokens_have_their_shapes() {
        let ambient = Ambient::seeded(7, Timestamp::from_micros(0));
        assert_eq!(new_session_token(&ambient).len(), 22);
        assert!(new_api_token(&ambient).starts_with("mrg_"));
        let secret = new_setup_secret(&ambient);
        assert_eq!((secret.len(), secret.matches('-').count()), (24, 4));
        assert_ne!(secret, new_setup_secret(&ambient));
    }
}

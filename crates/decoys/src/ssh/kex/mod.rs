//! Key exchanges from the server's side: the client's public value in, ours and the shared
//! secret out.
//!
//! Knows mathematics and its encodings only; order and messages belong to `transport`.

pub(super) mod dh;
pub(super) mod ecdh;
pub(super) mod moduli;

use rand::CryptoRng;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{algorithms::KexMethod, fatal::Fatal};

/// What one exchange leads to.
pub(super) struct Exchanged {
    /// Our public value as it goes into the reply.
    pub(super) public: Vec<u8>,
    /// The shared secret, encoded as it enters the hash: an mpint, for the hybrid a string.
    pub(super) secret: Vec<u8>,
}

/// The hash function of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(super) fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn all<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().to_vec()
        }
        match self {
            Self::Sha256 => all::<Sha256>(parts),
            Self::Sha384 => all::<Sha384>(parts),
            Self::Sha512 => all::<Sha512>(parts),
        }
    }
}

impl KexMethod {
    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::Curve25519 | Self::Curve25519Libssh | Self::P256 => Hash::Sha256,
            Self::GroupExchange | Self::Group14 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 | Self::Sntrup | Self::SntrupOpenssh => Hash::Sha512,
            Self::Group16 | Self::Group18 => Hash::Sha512,
        }
    }
}

/// Answers the client's public value. [`KexMethod::GroupExchange`] has no group before one was
/// chosen: see [`dh::respond`].
pub(super) fn respond(
    method: KexMethod,
    client: &[u8],
    random: &mut impl CryptoRng,
) -> Result<Exchanged, Fatal> {
    match method {
        KexMethod::Sntrup | KexMethod::SntrupOpenssh => ecdh::hybrid(client, random),
        KexMethod::Curve25519 | KexMethod::Curve25519Libssh => ecdh::x25519(client, random),
        KexMethod::P256 => ecdh::nist::<p256::NistP256>(client, random),
        KexMethod::P384 => ecdh::nist::<p384::NistP384>(client, random),
        KexMethod::P521 => ecdh::nist::<p521::NistP521>(client, random),
        KexMethod::Group14 => dh::respond(&moduli::fixed("group14"), client, random),
        KexMethod::Group16 => dh::respond(&moduli::fixed("group16"), client, random),
        KexMethod::Group18 => dh::respond(&moduli::fixed("group18"), client, random),
        KexMethod::GroupExchange => Err(Fatal::Close),
    }
}

//! Host keys of a persona: derived from its seeds, hence unlike any other's and the same after
//! every restart.
//!
//! An RSA key takes long to find (see [`prepare`]); found keys stay in a small cache of the
//! process, keyed by their seed. Nothing else here is shared.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ed25519_dalek::Signer;
use model::Persona;
use p256::ecdsa;
use rand::{SeedableRng, rngs::ChaCha20Rng};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::{self, SigningKey},
    signature::SignatureEncoding,
    traits::PublicKeyParts,
};
use sha2::{Sha256, Sha512};

use super::{algorithms::HostKeyAlgorithm, wire::Writer};

/// Bits of the RSA key that Debian's openssh-server makes.
const RSA_BITS: usize = 3072;
/// RSA keys that the process remembers; the oldest goes first.
const MAX_CACHED_KEYS: usize = 256;

type Cell = Arc<OnceLock<RsaPrivateKey>>;

static CACHE: Mutex<VecDeque<([u8; 32], Cell)>> = Mutex::new(VecDeque::new());

/// Finds the RSA key of a persona ahead of time, so that no visitor waits for it. Takes from
/// some 100 ms to seconds of one processor: call it where blocking is allowed.
pub fn prepare(persona: &Persona) {
    HostKeys::derive(persona).rsa();
}

/// The keys of one persona.
#[derive(Clone)]
pub(super) struct HostKeys {
    ed25519: [u8; 32],
    ecdsa: [u8; 32],
    rsa: [u8; 32],
}

/// A kind of key, in the order in which sshd loads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeyKind {
    Rsa,
    Ecdsa,
    Ed25519,
}

impl KeyKind {
    pub(super) const ALL: [Self; 3] = [Self::Rsa, Self::Ecdsa, Self::Ed25519];
}

impl HostKeyAlgorithm {
    pub(super) const fn kind(self) -> KeyKind {
        match self {
            Self::RsaSha512 | Self::RsaSha256 => KeyKind::Rsa,
            Self::EcdsaP256 => KeyKind::Ecdsa,
            Self::Ed25519 => KeyKind::Ed25519,
        }
    }
}

const P256_CURVE: &str = "nistp256";

impl HostKeys {
    pub(super) fn derive(persona: &Persona) -> Self {
        Self {
            ed25519: persona.seed("ssh.ed25519"),
            ecdsa: persona.seed("ssh.ecdsa"),
            rsa: persona.seed("ssh.rsa"),
        }
    }

    /// The public key as it goes over the wire.
    pub(super) fn public(&self, kind: KeyKind) -> Vec<u8> {
        match kind {
            KeyKind::Rsa => {
                let key = self.rsa();
                Writer::blob()
                    .text("ssh-rsa")
                    .mpint(&key.e().to_be_bytes())
                    .mpint(&key.n().as_ref().to_be_bytes())
                    .done()
            }
            KeyKind::Ecdsa => Writer::blob()
                .text(HostKeyAlgorithm::EcdsaP256.name())
                .text(P256_CURVE)
                .string(self.ecdsa().verifying_key().to_sec1_point(false).as_bytes())
                .done(),
            KeyKind::Ed25519 => Writer::blob()
                .text(HostKeyAlgorithm::Ed25519.name())
                .string(self.ed25519().verifying_key().as_bytes())
                .done(),
        }
    }

    /// A signature of `data` as it goes over the wire.
    pub(super) fn sign(&self, algorithm: HostKeyAlgorithm, data: &[u8]) -> Vec<u8> {
        let bytes = match algorithm {
            HostKeyAlgorithm::RsaSha512 => {
                let signature: pkcs1v15::Signature =
                    SigningKey::<Sha512>::new(self.rsa()).sign(data);
                signature.to_vec()
            }
            HostKeyAlgorithm::RsaSha256 => {
                let signature: pkcs1v15::Signature =
                    SigningKey::<Sha256>::new(self.rsa()).sign(data);
                signature.to_vec()
            }
            HostKeyAlgorithm::EcdsaP256 => {
                let signature: ecdsa::Signature = self.ecdsa().sign(data);
                let (r, s) = signature.split_bytes();
                Writer::blob().mpint(&r).mpint(&s).done()
            }
            HostKeyAlgorithm::Ed25519 => self.ed25519().sign(data).to_bytes().to_vec(),
        };
        Writer::blob().text(algorithm.name()).string(&bytes).done()
    }

    fn ed25519(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.ed25519)
    }

    /// From the first of the seed's numbers that is a scalar: all but one of 2^32 seeds are.
    fn ecdsa(&self) -> ecdsa::SigningKey {
        let mut seed = self.ecdsa;
        loop {
            if let Ok(key) = ecdsa::SigningKey::from_slice(&seed) {
                return key;
            }
            seed[0] = seed[0].wrapping_sub(1);
        }
    }

    fn rsa(&self) -> RsaPrivateKey {
        let cell = self.rsa_cell();
        cell.get_or_init(|| {
            RsaPrivateKey::new(&mut ChaCha20Rng::from_seed(self.rsa), RSA_BITS)
                .expect("3072 bits are a size of RSA keys")
        })
        .clone()
    }

    /// The lock is held for the look-up only: whoever waits for a key waits at its own cell.
    fn rsa_cell(&self) -> Cell {
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = cache.iter().find(|(seed, _)| *seed == self.rsa) {
            return cell.clone();
        }
        if cache.len() == MAX_CACHED_KEYS {
            cache.pop_front();
        }
        let cell = Cell::default();
        cache.push_back((self.rsa, cell.clone()));
        cell
    }
}

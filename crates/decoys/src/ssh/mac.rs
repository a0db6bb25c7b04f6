//! Message authentication codes of RFC 4253, RFC 6668 and OpenSSH (PROTOCOL section 1.5, 1.7).

use hmac::{Hmac, KeyInit};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{algorithms::MacName, umac::Umac};

impl MacName {
    /// Whether it covers the ciphertext; if not, the cleartext.
    pub(super) const fn encrypt_then_mac(self) -> bool {
        matches!(
            self,
            Self::Umac64Etm | Self::Umac128Etm | Self::Sha256Etm | Self::Sha512Etm | Self::Sha1Etm
        )
    }

    pub(super) const fn key_bytes(self) -> usize {
        match self {
            Self::Umac64 | Self::Umac64Etm | Self::Umac128 | Self::Umac128Etm => 16,
            Self::Sha1 | Self::Sha1Etm => 20,
            Self::Sha256 | Self::Sha256Etm => 32,
            Self::Sha512 | Self::Sha512Etm => 64,
        }
    }

    pub(super) const fn tag_bytes(self) -> usize {
        match self {
            Self::Umac64 | Self::Umac64Etm => 8,
            Self::Umac128 | Self::Umac128Etm => 16,
            Self::Sha1 | Self::Sha1Etm => 20,
            Self::Sha256 | Self::Sha256Etm => 32,
            Self::Sha512 | Self::Sha512Etm => 64,
        }
    }
}

/// A keyed code of one direction.
pub(super) struct Mac {
    name: MacName,
    key: Key,
}

enum Key {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Box<Hmac<Sha512>>),
    Umac(Box<Umac>),
}

const ANY_LENGTH: &str = "HMAC takes keys of any length";

impl Mac {
    /// From a key of [`MacName::key_bytes`].
    pub(super) fn new(name: MacName, key: &[u8]) -> Self {
        use MacName as M;
        let key = match name {
            M::Sha1 | M::Sha1Etm => Key::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            M::Sha256 | M::Sha256Etm => Key::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            M::Sha512 | M::Sha512Etm => {
                Key::Sha512(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
            M::Umac64 | M::Umac64Etm | M::Umac128 | M::Umac128Etm => {
                let key = key.try_into().expect("UMAC keys are derived with 16 bytes");
                Key::Umac(Box::new(Umac::new(key, name.tag_bytes())))
            }
        };
        Self { name, key }
    }

    pub(super) fn name(&self) -> MacName {
        self.name
    }

    /// The code of `packet` as packet number `seq`.
    pub(super) fn tag(&self, seq: u32, packet: &[u8]) -> Vec<u8> {
        let number = seq.to_be_bytes();
        match &self.key {
            Key::Sha1(mac) => code(mac.clone(), number, packet),
            Key::Sha256(mac) => code(mac.clone(), number, packet),
            Key::Sha512(mac) => code(mac.as_ref().clone(), number, packet),
            Key::Umac(umac) => umac.tag(packet, u64::from(seq).to_be_bytes()),
        }
    }

    pub(super) fn verifies(&self, seq: u32, packet: &[u8], tag: &[u8]) -> bool {
        self.tag(seq, packet).ct_eq(tag).into()
    }
}

fn code<M: hmac::Mac>(mut mac: M, number: [u8; 4], packet: &[u8]) -> Vec<u8> {
    mac.update(&number);
    mac.update(packet);
    mac.finalize().into_bytes().to_vec()
}

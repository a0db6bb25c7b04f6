//! Ciphers of one direction: AES in counter mode (RFC 4344), AES-GCM with OpenSSH's invocation
//! counter (RFC 5647), and chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305).
//!
//! Knows single packets; framing belongs to `packet`.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm};
use chacha20::ChaCha20Legacy;
use ctr::{
    Ctr128BE,
    cipher::{KeyInit, KeyIvInit, StreamCipher},
};
use poly1305::Poly1305;
use subtle::ConstantTimeEq;

use super::algorithms::CipherName;

/// The wrong tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forged;

/// Bytes of an AEAD tag.
pub(super) const TAG_BYTES: usize = 16;

impl CipherName {
    pub(super) const fn key_bytes(self) -> usize {
        match self {
            Self::ChaChaPoly => 64,
            Self::Aes128Ctr | Self::Aes128Gcm => 16,
            Self::Aes192Ctr => 24,
            Self::Aes256Ctr | Self::Aes256Gcm => 32,
        }
    }

    pub(super) const fn iv_bytes(self) -> usize {
        match self {
            Self::ChaChaPoly => 0,
            Self::Aes128Gcm | Self::Aes256Gcm => 12,
            Self::Aes128Ctr | Self::Aes192Ctr | Self::Aes256Ctr => 16,
        }
    }

    /// Packets are padded to a multiple of this.
    pub(super) const fn block_bytes(self) -> usize {
        match self {
            Self::ChaChaPoly => 8,
            _ => 16,
        }
    }
}

/// The cipher of one direction with its state.
pub(super) enum Cipher {
    /// Counter mode.
    Stream(Box<dyn Stream>),
    /// GCM.
    Gcm { key: GcmKey, nonce: [u8; 12] },
    /// ChaCha20 and Poly1305.
    ChaChaPoly { main: [u8; 32], header: [u8; 32] },
}

/// A keystream that goes on from packet to packet.
pub(super) trait Stream: Send {
    fn apply(&mut self, bytes: &mut [u8]);
}

impl<C: StreamCipher + Send> Stream for C {
    fn apply(&mut self, bytes: &mut [u8]) {
        self.apply_keystream(bytes);
    }
}

/// A GCM key; boxed, for its tables are large.
pub(super) enum GcmKey {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

const KEY_FITS: &str = "keys are derived in the cipher's own sizes";

impl Cipher {
    /// From key material of [`CipherName::key_bytes`] and [`CipherName::iv_bytes`].
    pub(super) fn new(name: CipherName, key: &[u8], iv: &[u8]) -> Self {
        fn stream<C: StreamCipher + KeyIvInit + Send + 'static>(key: &[u8], iv: &[u8]) -> Cipher {
            Cipher::Stream(Box::new(C::new_from_slices(key, iv).expect(KEY_FITS)))
        }
        match name {
            CipherName::Aes128Ctr => stream::<Ctr128BE<Aes128>>(key, iv),
            CipherName::Aes192Ctr => stream::<Ctr128BE<Aes192>>(key, iv),
            CipherName::Aes256Ctr => stream::<Ctr128BE<Aes256>>(key, iv),
            CipherName::Aes128Gcm => Self::Gcm {
                key: GcmKey::Aes128(Box::new(Aes128Gcm::new_from_slice(key).expect(KEY_FITS))),
                nonce: iv.try_into().expect(KEY_FITS),
            },
            CipherName::Aes256Gcm => Self::Gcm {
                key: GcmKey::Aes256(Box::new(Aes256Gcm::new_from_slice(key).expect(KEY_FITS))),
                nonce: iv.try_into().expect(KEY_FITS),
            },
            CipherName::ChaChaPoly => Self::ChaChaPoly {
                main: key[..32].try_into().expect(KEY_FITS),
                header: key[32..].try_into().expect(KEY_FITS),
            },
        }
    }

    /// The length field of a packet of an AEAD cipher, from its four bytes on the wire.
    pub(super) fn aead_length(&self, seq: u32, wire: [u8; 4]) -> u32 {
        let mut bytes = wire;
        if let Self::ChaChaPoly { header, .. } = self {
            chacha(header, seq).apply_keystream(&mut bytes);
        }
        u32::from_be_bytes(bytes)
    }

    /// Seals `packet`, length field first; gives the tag, where the cipher has one.
    pub(super) fn seal(&mut self, seq: u32, packet: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        match self {
            Self::Stream(stream) => {
                stream.apply(packet);
                None
            }
            Self::Gcm { key, nonce } => {
                let (length, body) = packet.split_at_mut(4);
                let tag = key.encrypt(nonce, length, body);
                next(nonce);
                Some(tag)
            }
            Self::ChaChaPoly { main, header } => {
                chacha(header, seq).apply_keystream(&mut packet[..4]);
                let (mut stream, authenticator) = keyed(main, seq);
                stream.apply_keystream(&mut packet[4..]);
                Some(authenticator.compute_unpadded(packet).into())
            }
        }
    }

    /// Opens `packet`, length field first, of an AEAD cipher. The length field keeps its wire
    /// form.
    pub(super) fn open(&mut self, seq: u32, packet: &mut [u8], tag: &[u8]) -> Result<(), Forged> {
        match self {
            Self::Stream(stream) => {
                stream.apply(packet);
                Ok(())
            }
            Self::Gcm { key, nonce } => {
                let (length, body) = packet.split_at_mut(4);
                key.decrypt(nonce, length, body, tag)?;
                next(nonce);
                Ok(())
            }
            Self::ChaChaPoly { main, .. } => {
                let (mut stream, authenticator) = keyed(main, seq);
                let expected: [u8; TAG_BYTES] = authenticator.compute_unpadded(packet).into();
                if !bool::from(expected.ct_eq(tag)) {
                    return Err(Forged);
                }
                stream.apply_keystream(&mut packet[4..]);
                Ok(())
            }
        }
    }
}

impl GcmKey {
    fn encrypt(&self, nonce: &[u8; 12], length: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        let nonce = (*nonce).into();
        match self {
            Self::Aes128(key) => key.encrypt_inout_detached(&nonce, length, body.into()),
            Self::Aes256(key) => key.encrypt_inout_detached(&nonce, length, body.into()),
        }
        .expect("packets are far below the limit of GCM")
        .into()
    }

    fn decrypt(
        &self,
        nonce: &[u8; 12],
        length: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Forged> {
        let nonce = (*nonce).into();
        let tag: [u8; TAG_BYTES] = tag.try_into().map_err(|_| Forged)?;
        let tag = tag.into();
        match self {
            Self::Aes128(key) => key.decrypt_inout_detached(&nonce, length, body.into(), &tag),
            Self::Aes256(key) => key.decrypt_inout_detached(&nonce, length, body.into(), &tag),
        }
        .map_err(|_| Forged)
    }
}

/// The invocation counter is the nonce's last eight bytes.
fn next(nonce: &mut [u8; 12]) {
    for byte in nonce[4..].iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}

fn chacha(key: &[u8; 32], seq: u32) -> ChaCha20Legacy {
    ChaCha20Legacy::new(&(*key).into(), &u64::from(seq).to_be_bytes().into())
}

/// The keystream from block 1 on, and the authenticator keyed by block 0.
fn keyed(key: &[u8; 32], seq: u32) -> (ChaCha20Legacy, Poly1305) {
    let mut stream = chacha(key, seq);
    let mut block = [0; 64];
    stream.apply_keystream(&mut block);
    let authenticator = Poly1305::new_from_slice(&block[..32]).expect(KEY_FITS);
    (stream, authenticator)
}

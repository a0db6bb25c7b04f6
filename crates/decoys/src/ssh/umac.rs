//! UMAC (RFC 4418) with tags of 8 and 16 bytes over AES-128, as `umac-64@openssh.com` and
//! `umac-128@openssh.com` use it.
//!
//! Pure functions of key, nonce and message. Messages stay below the 16 MiB where the second
//! layer would change to its wide form: packets end at 256 KiB.

use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt, KeyInit},
};

/// Bytes hashed at a time by the first layer.
const L1_BLOCK: usize = 1024;
/// The prime of the second layer, 2^64 - 59.
const P64: u128 = 0xffff_ffff_ffff_ffc5;
/// The prime of the third layer, 2^36 - 5.
const P36: u64 = 0x000f_ffff_fffb;
/// Polynomial keys are cut to these bits.
const POLY_MASK: u64 = 0x01ff_ffff_01ff_ffff;
/// Words at or above this are written as a marker and the word less 59.
const MAX_WORD: u64 = 0xffff_ffff_0000_0000;

/// A key with all that is derived from it.
pub(super) struct Umac {
    pad: Aes128,
    l1: Vec<u32>,
    l2: Vec<u64>,
    l3: Vec<[u64; 8]>,
    l3_mask: Vec<u32>,
}

impl Umac {
    /// For tags of `tag_bytes`, 8 or 16.
    pub(super) fn new(key: &[u8; 16], tag_bytes: usize) -> Self {
        let rounds = tag_bytes / 4;
        let cipher = Aes128::new(&(*key).into());
        let pad_key: [u8; 16] = derive(&cipher, 0, 16).try_into().expect("16 bytes were asked for");
        let l1 = derive(&cipher, 1, L1_BLOCK + 16 * (rounds - 1));
        let l2 = derive(&cipher, 2, 24 * rounds);
        let l3 = derive(&cipher, 3, 64 * rounds);
        let l3_mask = derive(&cipher, 4, 4 * rounds);
        Self {
            pad: Aes128::new(&pad_key.into()),
            l1: l1.chunks_exact(4).map(be32).collect(),
            l2: l2.chunks_exact(24).map(|c| be64(&c[..8]) & POLY_MASK).collect(),
            l3: l3
                .chunks_exact(64)
                .map(|c| std::array::from_fn(|i| be64(&c[8 * i..8 * i + 8]) % P36))
                .collect(),
            l3_mask: l3_mask.chunks_exact(4).map(be32).collect(),
        }
    }

    /// The tag of `message` under an eight-byte nonce.
    pub(super) fn tag(&self, message: &[u8], nonce: [u8; 8]) -> Vec<u8> {
        let pad = self.pad(nonce);
        (0..self.l2.len())
            .flat_map(|round| self.round(message, round).to_be_bytes())
            .zip(pad)
            .map(|(hash, pad)| hash ^ pad)
            .collect()
    }

    /// The pad (RFC 4418 section 3.3.1). Short tags share a block: the nonce's last bit says
    /// which half is theirs.
    fn pad(&self, nonce: [u8; 8]) -> Vec<u8> {
        let short = self.l2.len() == 2;
        let mut block = [0; 16];
        block[..8].copy_from_slice(&nonce);
        let half = block[7] & 1;
        if short {
            block[7] &= !1;
        }
        let mut block = block.into();
        self.pad.encrypt_block(&mut block);
        match (short, half) {
            (false, _) => block.to_vec(),
            (true, 0) => block[..8].to_vec(),
            (true, _) => block[8..].to_vec(),
        }
    }

    fn round(&self, message: &[u8], round: usize) -> u32 {
        let key = &self.l1[4 * round..];
        let mut blocks = message.chunks(L1_BLOCK);
        let first = nh(key, blocks.next().unwrap_or_default());
        let hash = match message.len() <= L1_BLOCK {
            true => first,
            false => {
                let start = poly(self.l2[round], 1, first);
                blocks.fold(start, |hash, block| poly(self.l2[round], hash, nh(key, block)))
            }
        };
        self.inner_product(round, hash)
    }

    /// The third layer: the words of a 128-bit value whose upper half is zero.
    fn inner_product(&self, round: usize, hash: u64) -> u32 {
        let keys = &self.l3[round];
        let words = hash.to_be_bytes();
        let sum: u128 = words
            .chunks_exact(2)
            .zip(&keys[4..])
            .map(|(word, key)| {
                u128::from(u16::from_be_bytes([word[0], word[1]])) * u128::from(*key)
            })
            .sum();
        ((sum % u128::from(P36)) as u32) ^ self.l3_mask[round]
    }
}

/// `KDF(K, index, count)` of section 3.2.1.
fn derive(cipher: &Aes128, index: u8, count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(count + 16);
    for number in 1..=count.div_ceil(16) as u64 {
        let mut block = [0; 16];
        block[7] = index;
        block[8..].copy_from_slice(&number.to_be_bytes());
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        out.extend_from_slice(&block);
    }
    out.truncate(count);
    out
}

/// The first layer: NH over one block padded with zeros, plus its length in bits.
fn nh(key: &[u32], block: &[u8]) -> u64 {
    let padded = block.len().max(1).div_ceil(32) * 32;
    let mut bytes = [0; L1_BLOCK];
    bytes[..block.len()].copy_from_slice(block);
    let mut sum = (block.len() as u64) * 8;
    for (chunk, key) in bytes[..padded].chunks_exact(32).zip(key.chunks_exact(8)) {
        let word = |i: usize| le32(&chunk[4 * i..4 * i + 4]).wrapping_add(key[i]);
        for i in 0..4 {
            sum = sum.wrapping_add(u64::from(word(i)) * u64::from(word(i + 4)));
        }
    }
    sum
}

/// One step of the second layer.
fn poly(key: u64, hash: u64, word: u64) -> u64 {
    let step = |hash: u64, word: u64| {
        ((u128::from(key) * u128::from(hash) + u128::from(word)) % P64) as u64
    };
    match word >= MAX_WORD {
        true => step(step(hash, (P64 - 1) as u64), word - 59),
        false => step(hash, word),
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from(be32(&bytes[..4])) << 32 | u64::from(be32(&bytes[4..8]))
}

#[cfg(test)]
mod tests {
    use super::{super::algorithms::hex, *};

    /// The appendix of RFC 4418 and the same key with 128-bit tags.
    #[test]
    fn tags_are_those_of_the_rfc() {
        let cases: &[(usize, u8, &str, &str)] = &[
            (0, b'a', "6e155fad26900be1", "32fedb100c79ad58f07ff764"),
            (3, b'a', "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc"),
            (1 << 10, b'a', "26bf2f5d60118bd9", "7a54abe04af82d60fb298c3c"),
            (1 << 15, b'a', "27f8ef643b0d118d", "7b136bd911e4b734286ef2be"),
        ];
        for (length, byte, tag64, tag96) in cases {
            let message = vec![*byte; *length];
            let tag = Umac::new(b"abcdefghijklmnop", 8).tag(&message, *b"bcdefghi");
            assert_eq!(hex(&tag), *tag64, "{length}");
            let wide = Umac::new(b"abcdefghijklmnop", 16).tag(&message, *b"bcdefghi");
            assert_eq!(hex(&wide[..12]), *tag96, "{length}");
        }
        let tag = Umac::new(b"abcdefghijklmnop", 8).tag(b"abc", *b"bcdefghi");
        assert_eq!(hex(&tag), "d4d7b9f6bd4fbfcf");
    }
}

//! The client's side of SSH, as much of it as hostile messages need: one key exchange
//! (curve25519-sha256), one cipher (aes128-ctr) and one code (hmac-sha2-256).
//!
//! Owns what a client remembers. It checks nothing: the server is not what is in doubt about
//! its own answers here.

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// What the client calls itself.
pub(super) const VERSION: &[u8] = b"SSH-2.0-OpenSSH_9.2p1\r\n";
const BLOCK: usize = 16;
const CODE: usize = 32;

const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;
const ECDH_INIT: u8 = 30;
const ECDH_REPLY: u8 = 31;

/// How an honest key exchange is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// `zlib@openssh.com` instead of none.
    pub(super) compression: bool,
    /// `kex-strict-c-v00@openssh.com`.
    pub(super) strict: bool,
}

/// What a client knows.
#[derive(Default)]
pub(super) struct Client {
    version: Option<Vec<u8>>,
    server_version: Option<Vec<u8>>,
    sending: Direction,
    receiving: Direction,
    next_sending: Option<Keys>,
    next_receiving: Option<Keys>,
    session_id: Vec<u8>,
    /// The latest KEXINIT of each side.
    ours: Vec<u8>,
    theirs: Vec<u8>,
    received: Vec<u8>,
    strict: bool,
    compressed: bool,
    stream_begun: bool,
}

#[derive(Default)]
struct Direction {
    seq: u32,
    keys: Option<Keys>,
}

struct Keys {
    cipher: Ctr128BE<Aes128>,
    code: [u8; 32],
}

impl Client {
    /// Bytes that go out as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.version.is_none() {
            self.version = Some(bytes.split(|b| *b == b'\n').next().unwrap_or_default().to_vec());
        }
        bytes.to_vec()
    }

    /// A message as a packet, under the keys that are in use; `compress` wraps it as deflate.
    pub(super) fn message(&mut self, payload: &[u8], compress: bool) -> Vec<u8> {
        let packed =
            if compress && self.compressed { self.deflate(payload) } else { payload.into() };
        let padding = BLOCK - (5 + packed.len()) % BLOCK;
        let padding = if padding < 4 { padding + BLOCK } else { padding };
        let length = (1 + packed.len() + padding) as u32;
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(padding as u8);
        packet.extend(packed);
        packet.resize(packet.len() + padding, 0);
        let seq = self.sending.seq;
        self.sending.seq = seq.wrapping_add(1);
        if let Some(keys) = &mut self.sending.keys {
            let code = keys.code(seq, &packet);
            keys.cipher.apply_keystream(&mut packet);
            packet.extend(code);
        }
        packet
    }

    /// Stored blocks: valid deflate that hides nothing from mutation.
    fn deflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let head: &[u8] =
            if std::mem::replace(&mut self.stream_begun, true) { &[] } else { &[0x78, 0x01] };
        let blocks = payload.chunks(0xffff).flat_map(|block| {
            let length = block.len() as u16;
            [&[0], &length.to_le_bytes()[..], &(!length).to_le_bytes(), block].concat()
        });
        head.iter().copied().chain(blocks).collect()
    }

    /// Takes in what the server sent.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        if self.server_version.is_none() {
            let Some(end) = self.received.iter().position(|b| *b == b'\n') else { return };
            let line: Vec<u8> = self.received.drain(..=end).collect();
            self.server_version = Some(line.trim_ascii_end().to_vec());
        }
        while let Some(payload) = self.open() {
            match payload.first() {
                Some(&KEXINIT) => self.theirs = payload,
                Some(&ECDH_REPLY) => self.agree(&payload),
                Some(&NEWKEYS) if self.next_receiving.is_some() => {
                    self.receiving.keys = self.next_receiving.take();
                    if self.strict {
                        self.receiving.seq = 0;
                    }
                }
                _ => {}
            }
        }
    }

    /// The server's packets come whole, for it sends them whole.
    fn open(&mut self) -> Option<Vec<u8>> {
        let Direction { seq, keys } = &mut self.receiving;
        if self.received.len() < BLOCK {
            return None;
        }
        if let Some(keys) = keys {
            keys.cipher.apply_keystream(&mut self.received[..BLOCK]);
        }
        let length = u32_at(&self.received, 0)? as usize;
        let code = if keys.is_some() { CODE } else { 0 };
        if self.received.len() < 4 + length + code {
            self.received.clear();
            return None;
        }
        let mut packet: Vec<u8> = self.received.drain(..4 + length + code).collect();
        packet.truncate(4 + length);
        if let Some(keys) = keys {
            keys.cipher.apply_keystream(&mut packet[BLOCK..]);
        }
        *seq = seq.wrapping_add(1);
        let padding = usize::from(packet[4]);
        packet.get(5..packet.len().checked_sub(padding)?).map(<[u8]>::to_vec)
    }

    /// The first words of an honest exchange: identification, where it is due, and KEXINIT.
    pub(super) fn propose(&mut self, wish: Wish) -> Vec<u8> {
        let version = match self.version {
            Some(_) => Vec::new(),
            None => self.raw(VERSION),
        };
        self.ours = kexinit(wish);
        self.strict |= wish.strict;
        let packet = self.message(&self.ours.clone(), true);
        [version, packet].concat()
    }

    /// The next: our point.
    pub(super) fn point(&mut self) -> Vec<u8> {
        let public = PublicKey::from(&secret());
        self.message(&[&[ECDH_INIT][..], &string(public.as_bytes())].concat(), true)
    }

    /// The last: NEWKEYS, after which the keys change. `None` where the server did not reply.
    pub(super) fn new_keys(&mut self, wish: Wish) -> Option<Vec<u8>> {
        let keys = self.next_sending.take()?;
        let packet = self.message(&[NEWKEYS], true);
        self.sending.keys = Some(keys);
        if self.strict {
            self.sending.seq = 0;
        }
        self.compressed = wish.compression;
        self.stream_begun = false;
        Some(packet)
    }

    /// The exchange hash and the keys (RFC 8731 and RFC 4253 section 7.2).
    fn agree(&mut self, reply: &[u8]) {
        let keys = || {
            let (host_key, rest) = take_string(reply.get(1..)?)?;
            let (point, _) = take_string(rest)?;
            let their_point: [u8; 32] = point.try_into().ok()?;
            let shared = secret().diffie_hellman(&PublicKey::from(their_point));
            let public = PublicKey::from(&secret());
            let version = self.version.as_deref()?.trim_ascii_end();
            let secret = mpint(shared.as_bytes());
            let strings =
                [version, self.server_version.as_deref()?, &self.ours, &self.theirs, host_key];
            let mut hash = Sha256::new();
            for part in strings.into_iter().chain([&public.as_bytes()[..], point]) {
                hash.update(string(part));
            }
            Some((secret.clone(), hash.chain_update(secret).finalize().to_vec()))
        };
        let Some((secret, hash)) = keys() else { return };
        if self.session_id.is_empty() {
            self.session_id = hash.clone();
        }
        let key = |letter: u8| -> [u8; 32] {
            let parts = [&secret, &hash, &[letter][..], &self.session_id].concat();
            Sha256::digest(parts).into()
        };
        self.next_sending = Some(Keys::new(&key(b'C'), &key(b'A'), key(b'E')));
        self.next_receiving = Some(Keys::new(&key(b'D'), &key(b'B'), key(b'F')));
    }
}

impl Keys {
    fn new(key: &[u8; 32], iv: &[u8; 32], code: [u8; 32]) -> Self {
        let cipher = Ctr128BE::<Aes128>::new_from_slices(&key[..BLOCK], &iv[..BLOCK]);
        Self { cipher: cipher.expect("key and counter have one block each"), code }
    }

    fn code(&self, seq: u32, packet: &[u8]) -> [u8; CODE] {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.code).expect("HMAC takes any key");
        code.update(&seq.to_be_bytes());
        code.update(packet);
        code.finalize().into_bytes().into()
    }
}

/// The same in every exchange: nothing is kept secret here.
fn secret() -> StaticSecret {
    StaticSecret::from([9; 32])
}

fn kexinit(wish: Wish) -> Vec<u8> {
    let kex = match wish.strict {
        true => "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
        false => "curve25519-sha256",
    };
    let compression = if wish.compression { "zlib@openssh.com" } else { "none" };
    let (cipher, code) = ("aes128-ctr", "hmac-sha2-256");
    let lists = [kex, "ssh-ed25519", cipher, cipher, code, code, compression, compression, "", ""];
    kexinit_of(&lists, false)
}

/// A KEXINIT with these ten lists of names.
pub(super) fn kexinit_of<T: AsRef<str>>(lists: &[T], guesses: bool) -> Vec<u8> {
    let mut message = vec![KEXINIT];
    message.extend([7; 16]);
    lists.iter().for_each(|list| message.extend(string(list.as_ref().as_bytes())));
    message.extend([u8::from(guesses), 0, 0, 0, 0]);
    message
}

/// A string of RFC 4251.
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.get(4..)?.split_at_checked(u32_at(bytes, 0)? as usize)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn mpint(digits: &[u8]) -> Vec<u8> {
    let start = digits.iter().position(|d| *d != 0).unwrap_or(digits.len());
    let sign: &[u8] = if digits[start..].first().is_some_and(|d| *d >= 0x80) { &[0] } else { &[] };
    string(&[sign, &digits[start..]].concat())
}

//! The binary packet protocol (RFC 4253 section 6): bytes become payloads and back.
//!
//! Owns sequence numbers, ciphers, codes and compression of both directions. It must not know
//! what a payload means. Errors end connections just as OpenSSH's packet.c does: a goodbye that
//! it queues and never flushes is not sent here either.

use rand::Rng;

use super::{
    algorithms::{CipherName, Compression, Protection},
    cipher::{Cipher, TAG_BYTES},
    compress::{Deflater, Inflater},
    fatal::Fatal,
    mac::Mac,
    message,
};

/// Longest packet, its length field and code not counted (`PACKET_MAX_SIZE`).
pub(super) const MAX_PACKET_BYTES: usize = 256 * 1024;
/// Length and padding length.
const HEADER_BYTES: usize = 5;
const MIN_PADDING: usize = 4;
/// Block size before there is a cipher.
const PLAIN_BLOCK: usize = 8;

/// Received bytes that are no packet yet.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
    }

    fn head_mut(&mut self, count: usize) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + count]
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.bytes()[..count].to_vec();
        self.consume(count);
        taken
    }
}

/// Keys of one direction, as derived after a key exchange.
pub(super) struct Keys {
    protection: Protection,
    cipher: Cipher,
    mac: Option<Mac>,
}

impl Keys {
    /// `material` gives the bytes for a letter of RFC 4253 section 7.2, in the wanted number.
    pub(super) fn derive(
        protection: Protection,
        letters: [u8; 3],
        material: impl Fn(u8, usize) -> Vec<u8>,
    ) -> Self {
        let name = protection.cipher;
        let iv = material(letters[0], name.iv_bytes());
        let key = material(letters[1], name.key_bytes());
        let mac = protection.mac.map(|mac| Mac::new(mac, &material(letters[2], mac.key_bytes())));
        Self { protection, cipher: Cipher::new(name, &key, &iv), mac }
    }

    fn name(&self) -> CipherName {
        self.protection.cipher
    }

    fn etm(&self) -> bool {
        self.mac.as_ref().is_some_and(|mac| mac.name().encrypt_then_mac())
    }

    /// Whether the length field is outside of the padded part.
    fn length_apart(&self) -> bool {
        self.name().is_aead() || self.etm()
    }

    fn tag_bytes(&self) -> usize {
        self.mac.as_ref().map_or(TAG_BYTES, |mac| mac.name().tag_bytes())
    }
}

/// What a direction counts, and its protection.
#[derive(Default)]
struct Direction {
    seq: u32,
    keys: Option<Keys>,
    /// Since these keys.
    packets: u64,
    bytes: u64,
}

impl Direction {
    fn block(&self) -> usize {
        self.keys.as_ref().map_or(PLAIN_BLOCK, |keys| keys.name().block_bytes())
    }

    fn length_apart(&self) -> bool {
        self.keys.as_ref().is_some_and(Keys::length_apart)
    }

    fn count(&mut self, bytes: usize) {
        self.seq = self.seq.wrapping_add(1);
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    fn renew(&mut self, keys: Keys, strict: bool) {
        self.keys = Some(keys);
        self.packets = 0;
        self.bytes = 0;
        if strict {
            self.seq = 0;
        }
    }

    fn delayed_compression(&self) -> bool {
        self.keys.as_ref().is_some_and(|k| k.protection.compression == Compression::Delayed)
    }
}

/// The visitor's packets.
#[derive(Default)]
pub(super) struct Opener {
    direction: Direction,
    /// Length of the packet whose head was looked at already.
    length: Option<usize>,
    inflater: Option<Inflater>,
}

/// A packet that was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    pub(super) seq: u32,
    /// The message number.
    pub(super) number: u8,
    /// The message, number included.
    pub(super) payload: Vec<u8>,
}

impl Opener {
    /// Uses these keys for all that follows; a strict exchange counts anew.
    pub(super) fn renew(&mut self, keys: Keys, strict: bool, authenticated: bool) {
        self.direction.renew(keys, strict);
        self.inflater = None;
        if authenticated {
            self.authenticated();
        }
    }

    /// Authentication is over: delayed compression begins.
    pub(super) fn authenticated(&mut self) {
        if self.direction.delayed_compression() {
            self.inflater = Some(Inflater::new());
        }
    }

    /// Packets and bytes since the last keys.
    pub(super) fn used(&self) -> (u64, u64) {
        (self.direction.packets, self.direction.bytes)
    }

    /// Whether a key exchange was completed.
    pub(super) fn has_keys(&self) -> bool {
        self.direction.keys.is_some()
    }

    /// The next packet, where it is complete.
    pub(super) fn open(&mut self, inbox: &mut Inbox) -> Result<Option<Opened>, Fatal> {
        let Some(length) = self.packet_length(inbox)? else { return Ok(None) };
        let tag_bytes = self.direction.keys.as_ref().map_or(0, Keys::tag_bytes);
        if inbox.len() < 4 + length + tag_bytes {
            return Ok(None);
        }
        self.length = None;
        let mut packet = inbox.take(4 + length);
        let tag = inbox.take(tag_bytes);
        self.unprotect(&mut packet, &tag)?;
        let seq = self.direction.seq;
        self.direction.count(packet.len());
        let payload = self.payload(&packet)?;
        let number = *payload.first().ok_or(Fatal::Close)?;
        if number == 0 || number >= message::LOCAL_FIRST {
            return Err(Fatal::disconnect(format!("Invalid ssh2 packet type: {number}")));
        }
        Ok(Some(Opened { seq, number, payload }))
    }

    fn packet_length(&mut self, inbox: &mut Inbox) -> Result<Option<usize>, Fatal> {
        if self.length.is_some() {
            return Ok(self.length);
        }
        let block = self.direction.block();
        let apart = self.direction.length_apart();
        let head = if apart { 4 } else { block };
        if inbox.len() < head {
            return Ok(None);
        }
        let length = self.read_length(inbox.head_mut(head)) as usize;
        if !(HEADER_BYTES..=MAX_PACKET_BYTES).contains(&length) {
            return Err(Fatal::Close);
        }
        let padded = if apart { length } else { length + 4 };
        if padded < head || padded % block != 0 {
            return Err(Fatal::Close);
        }
        self.length = Some(length);
        Ok(self.length)
    }

    /// Reads the length field; where it is part of the ciphertext, decrypts the first block.
    fn read_length(&mut self, head: &mut [u8]) -> u32 {
        let seq = self.direction.seq;
        if let Some(keys) = &mut self.direction.keys {
            if keys.name().is_aead() {
                return keys.cipher.aead_length(seq, [head[0], head[1], head[2], head[3]]);
            }
            if let (false, Cipher::Stream(stream)) = (keys.etm(), &mut keys.cipher) {
                stream.apply(head);
            }
        }
        u32::from_be_bytes([head[0], head[1], head[2], head[3]])
    }

    fn unprotect(&mut self, packet: &mut [u8], tag: &[u8]) -> Result<(), Fatal> {
        let seq = self.direction.seq;
        let Some(keys) = &mut self.direction.keys else { return Ok(()) };
        let etm = keys.etm();
        let verifies = |mac: &Option<Mac>, packet: &[u8]| {
            mac.as_ref().is_none_or(|mac| mac.verifies(seq, packet, tag))
        };
        match &mut keys.cipher {
            Cipher::Stream(stream) if etm => {
                if !verifies(&keys.mac, packet) {
                    return Err(Fatal::Close);
                }
                stream.apply(&mut packet[4..]);
            }
            Cipher::Stream(stream) => {
                stream.apply(&mut packet[CipherName::Aes128Ctr.block_bytes()..]);
                if !verifies(&keys.mac, packet) {
                    return Err(Fatal::Close);
                }
            }
            aead => aead.open(seq, packet, tag).map_err(|_| Fatal::Close)?,
        }
        Ok(())
    }

    fn payload(&mut self, packet: &[u8]) -> Result<Vec<u8>, Fatal> {
        let padding = usize::from(packet[4]);
        if padding < MIN_PADDING {
            return Err(Fatal::disconnect(format!("Corrupted padlen {padding} on input.")));
        }
        let end = packet.len().checked_sub(padding).filter(|end| *end >= HEADER_BYTES);
        let payload = &packet[HEADER_BYTES..end.ok_or(Fatal::Close)?];
        match &mut self.inflater {
            Some(inflater) => Ok(inflater.packet(payload)?),
            None => Ok(payload.to_vec()),
        }
    }
}

/// Our packets.
#[derive(Default)]
pub(super) struct Sealer {
    direction: Direction,
    deflater: Option<Deflater>,
}

impl Sealer {
    /// Uses these keys for all that follows; a strict exchange counts anew.
    pub(super) fn renew(&mut self, keys: Keys, strict: bool, authenticated: bool) {
        self.direction.renew(keys, strict);
        self.deflater = None;
        if authenticated {
            self.authenticated();
        }
    }

    /// Authentication is over: delayed compression begins.
    pub(super) fn authenticated(&mut self) {
        if self.direction.delayed_compression() {
            self.deflater = Some(Deflater::new());
        }
    }

    /// Packets and bytes since the last keys.
    pub(super) fn used(&self) -> (u64, u64) {
        (self.direction.packets, self.direction.bytes)
    }

    /// Appends `payload` as a packet to `wire`. Padding is random under a cipher, zero without,
    /// as in OpenSSH.
    pub(super) fn seal(&mut self, payload: &[u8], random: &mut impl Rng, wire: &mut Vec<u8>) {
        let packed = self.deflater.as_mut().map(|deflater| deflater.packet(payload));
        let payload = packed.as_deref().unwrap_or(payload);
        let start = wire.len();
        let padding = self.padding(payload.len());
        let length = u32::try_from(1 + payload.len() + padding)
            .expect("payloads are bounded far below 4 GiB");
        wire.extend_from_slice(&length.to_be_bytes());
        wire.push(padding as u8);
        wire.extend_from_slice(payload);
        wire.resize(wire.len() + padding, 0);
        let seq = self.direction.seq;
        if let Some(keys) = &mut self.direction.keys {
            let end = wire.len();
            random.fill_bytes(&mut wire[end - padding..]);
            protect(keys, seq, start, wire);
        }
        self.direction.count(wire.len() - start);
    }

    fn padding(&self, payload: usize) -> usize {
        let block = self.direction.block();
        let length =
            if self.direction.length_apart() { 1 + payload } else { HEADER_BYTES + payload };
        let padding = block - length % block;
        if padding < MIN_PADDING { padding + block } else { padding }
    }
}

fn protect(keys: &mut Keys, seq: u32, start: usize, wire: &mut Vec<u8>) {
    let etm = keys.etm();
    let tag = match &mut keys.cipher {
        Cipher::Stream(stream) if etm => {
            stream.apply(&mut wire[start + 4..]);
            keys.mac.as_ref().map(|mac| mac.tag(seq, &wire[start..]))
        }
        Cipher::Stream(stream) => {
            let tag = keys.mac.as_ref().map(|mac| mac.tag(seq, &wire[start..]));
            stream.apply(&mut wire[start..]);
            tag
        }
        aead => aead.seal(seq, &mut wire[start..]).map(|tag| tag.to_vec()),
    };
    wire.extend_from_slice(&tag.unwrap_or_default());
}

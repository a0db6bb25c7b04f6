//! Bytes of files that are not text.

/// Bytes that look random and repeat for the same seed (xorshift64*).
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A program as far as a probe looks into it: the ELF header and program headers of an amd64
/// executable of Debian 12, the interpreter's name, then noise.
pub(super) fn program(path: &str, size: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size as usize);
    bytes.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0");
    let seed = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let entry = 0x2000 + ((seed % 0x6000) & !0xf);
    bytes.extend_from_slice(&entry.to_le_bytes());
    bytes.extend_from_slice(&64_u64.to_le_bytes());
    let sections = u64::from(size).saturating_sub(0x780) & !7;
    bytes.extend_from_slice(&sections.to_le_bytes());
    bytes.extend_from_slice(b"\0\0\0\0\x40\0\x38\0\x0d\0\x40\0\x1f\0\x1e\0");
    bytes.extend_from_slice(b"\x06\0\0\0\x04\0\0\0");
    for word in [64_u64, 64, 64, 0x2d8, 0x2d8, 8] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(b"\x03\0\0\0\x04\0\0\0");
    for word in [0x318_u64, 0x318, 0x318, 0x1c, 0x1c, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.resize(0x318, 0);
    bytes.extend_from_slice(b"/lib64/ld-linux-x86-64.so.2\0");
    let rest = (size as usize).saturating_sub(bytes.len());
    bytes.extend(noise(seed, rest));
    bytes.truncate(size as usize);
    bytes
}

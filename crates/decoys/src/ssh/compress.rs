//! Streams of `zlib@openssh.com`: one deflate stream per direction, flushed at every packet.
//!
//! Knows bytes only; when a stream begins is decided by `transport`.

use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    deflate::{
        core::{CompressorOxide, create_comp_flags_from_zip_params},
        stream::deflate,
    },
    inflate::stream::{InflateState, inflate},
};

use super::{packet::MAX_PACKET_BYTES, wire::Malformed};

/// The level that sshd uses.
const LEVEL: i32 = 6;
/// Most bytes that one packet may grow to: what a channel packet of the largest size needs.
const MAX_INFLATED_BYTES: usize = MAX_PACKET_BYTES;
const CHUNK_BYTES: usize = 4096;

/// The outgoing stream.
pub(super) struct Deflater(Box<CompressorOxide>);

impl Deflater {
    pub(super) fn new() -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, 15, 0);
        Self(Box::new(CompressorOxide::new(flags)))
    }

    /// Compresses one payload.
    pub(super) fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(payload.len() / 2 + 64);
        let mut rest = payload;
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let step = deflate(&mut self.0, rest, &mut chunk, MZFlush::Sync);
            rest = &rest[step.bytes_consumed..];
            packed.extend_from_slice(&chunk[..step.bytes_written]);
            if step.status.is_err() || (rest.is_empty() && step.bytes_written < chunk.len()) {
                return packed;
            }
        }
    }
}

/// The incoming stream.
pub(super) struct Inflater(Box<InflateState>);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(InflateState::new_boxed(DataFormat::Zlib))
    }

    /// Decompresses one payload.
    pub(super) fn packet(&mut self, packed: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut payload = Vec::new();
        let mut rest = packed;
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let step = inflate(&mut self.0, rest, &mut chunk, MZFlush::Sync);
            rest = &rest[step.bytes_consumed..];
            payload.extend_from_slice(&chunk[..step.bytes_written]);
            if payload.len() > MAX_INFLATED_BYTES {
                return Err(Malformed);
            }
            match step.status {
                Ok(MZStatus::Ok) if !rest.is_empty() || step.bytes_written > 0 => {}
                Ok(_) | Err(MZError::Buf) => break,
                Err(_) => return Err(Malformed),
            }
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back_one_by_one() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        for length in [1, 5, 4096, 4095, 32_768, 60_000, 3] {
            let payload: Vec<u8> = (0..length).map(|i| (i * 7 % 251) as u8).collect();
            let packed = deflater.packet(&payload);
            assert_eq!(inflater.packet(&packed), Ok(payload));
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let packed = Deflater::new().packet(&vec![0; 4 << 20]);
        assert_eq!(Inflater::new().packet(&packed), Err(Malformed));
    }
}

//! Frames: an Ethernet frame behind its virtio header, and what the switch reads from it.

use std::net::Ipv4Addr;

use super::wire::{array, be16, byte, checksum, fold, put, sum};

/// Length of the virtio header (`struct virtio_net_hdr`) that stands before each frame.
pub const VNET_LEN: usize = 10;
/// Largest frame: 64 KiB of IP behind an Ethernet header, as offloads make them.
pub const MAX_FRAME: usize = 14 + 65_535;
/// Length of an Ethernet header.
pub(super) const ETHERNET: usize = 14;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it means more than one machine.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A buffer with one frame. Made once and used again for each frame.
#[derive(Clone)]
pub struct Frame {
    bytes: Box<[u8]>,
    len: usize,
}

impl Frame {
    /// An empty one for frames of up to [`MAX_FRAME`] bytes.
    pub fn new() -> Self {
        Self { bytes: vec![0; VNET_LEN + MAX_FRAME].into(), len: 0 }
    }

    /// A frame of these bytes, with a zero header; longer ones are cut.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut frame = Self::new();
        let len = bytes.len().min(MAX_FRAME);
        frame.bytes[VNET_LEN..VNET_LEN + len].copy_from_slice(&bytes[..len]);
        frame.len = len;
        frame
    }

    /// The whole buffer, header first: where a read of the kernel goes.
    pub fn buffer(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Header and frame, as they are sent.
    pub fn with_header(&self) -> &[u8] {
        &self.bytes[..VNET_LEN + self.len]
    }

    /// The frame without its header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[VNET_LEN..VNET_LEN + self.len]
    }

    /// Says how long the frame is that was put into the buffer.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(MAX_FRAME);
    }

    /// Forgets the header: offloads do not concern this frame.
    pub fn clear_header(&mut self) {
        self.bytes[..VNET_LEN].fill(0);
    }

    /// What the header says.
    pub fn offload(&self) -> Offload {
        let [flags, gso, _, _, low, high, ..] = array(&self.bytes, 0).unwrap_or([0; VNET_LEN]);
        Offload {
            partial: flags & 1 != 0,
            checked: flags & 2 != 0,
            segment: if gso == 0 { 0 } else { u16::from_le_bytes([low, high]) },
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[VNET_LEN..VNET_LEN + self.len]
    }

    pub(super) fn source_mac(&self) -> Mac {
        Mac(array(self.bytes(), 6).unwrap_or_default())
    }

    pub(super) fn target_mac(&self) -> Mac {
        Mac(array(self.bytes(), 0).unwrap_or_default())
    }

    pub(super) fn set_macs(&mut self, to: Mac, from: Mac) {
        put(self.bytes_mut(), 0, &to.0);
        put(self.bytes_mut(), 6, &from.0);
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What a virtio header says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offload {
    /// The layer-4 checksum is only begun (`NEEDS_CSUM`).
    pub partial: bool,
    /// The layer-4 checksum was found correct (`DATA_VALID`).
    pub checked: bool,
    /// Bytes of each segment that the frame will be cut into; 0 where it stays whole.
    pub segment: u16,
}

/// Where the parts of an IPv4 packet are; all of them lie within the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip {
    /// Where layer 4 begins.
    pub(super) l4: usize,
    /// Where the packet ends; the frame may be padded.
    pub(super) end: usize,
    pub(super) protocol: u8,
    pub(super) ttl: u8,
    pub(super) source: Ipv4Addr,
    pub(super) target: Ipv4Addr,
    /// Whether it is a part of a packet.
    pub(super) is_fragment: bool,
    /// Where in its packet that part begins, in units of eight bytes.
    pub(super) offset: u16,
}

/// IPv4 in an Ethernet frame, with a sound header.
pub(super) fn ip(frame: &[u8]) -> Option<Ip> {
    let header = ip_header(frame, ETHERNET)?;
    let is_sound = fold(sum(frame.get(ETHERNET..header.l4)?, 0)) == 0xffff;
    (be16(frame, 12) == 0x0800 && is_sound && header.end <= frame.len()).then_some(header)
}

/// An IPv4 header at `at`; what follows it may be cut off.
pub(super) fn ip_header(bytes: &[u8], at: usize) -> Option<Ip> {
    let header: [u8; 20] = array(bytes, at)?;
    let length = usize::from(header[0] & 15) * 4;
    let total = usize::from(be16(&header, 2));
    let is_sound = header[0] >> 4 == 4 && length >= 20 && total >= length;
    (is_sound && at + length <= bytes.len()).then(|| Ip {
        l4: at + length,
        end: at + total,
        protocol: header[9],
        ttl: header[8],
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
        target: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
        is_fragment: be16(&header, 6) & 0x3fff != 0,
        offset: be16(&header, 6) & 0x1fff,
    })
}

impl Ip {
    pub(super) fn payload_len(self) -> usize {
        self.end - self.l4
    }

    /// The sum of the pseudo header that TCP and UDP cover (RFC 9293, 3.1).
    pub(super) fn pseudo_sum(self) -> u32 {
        let addresses = sum(&self.target.octets(), sum(&self.source.octets(), 0));
        addresses + u32::from(self.protocol) + self.payload_len() as u32
    }

    /// Whether TCP or UDP came unharmed. A UDP checksum of zero is none.
    pub(super) fn is_intact(self, frame: &[u8], offload: Offload) -> bool {
        let part = frame.get(self.l4..self.end).unwrap_or_default();
        let is_unchecked = self.protocol == UDP && be16(part, 6) == 0;
        offload.partial
            || offload.checked
            || is_unchecked
            || fold(sum(part, self.pseudo_sum())) == 0xffff
    }
}

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// The fixed part of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp {
    pub(super) source_port: u16,
    pub(super) target_port: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// Where the payload begins; options end there.
    pub(super) payload: usize,
}

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// TCP in the packet; `None` where its header is not whole.
pub(super) fn tcp(frame: &[u8], ip: Ip) -> Option<Tcp> {
    let part = frame.get(ip.l4..ip.end)?;
    let header: [u8; 20] = array(part, 0)?;
    let length = usize::from(header[12] >> 4) * 4;
    (length >= 20 && length <= part.len()).then(|| Tcp {
        source_port: be16(&header, 0),
        target_port: be16(&header, 2),
        seq: super::wire::be32(&header, 4),
        ack: super::wire::be32(&header, 8),
        flags: header[13],
        payload: ip.l4 + length,
    })
}

/// The ports of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Udp {
    pub(super) source_port: u16,
    pub(super) target_port: u16,
}

/// UDP in the packet; `None` where its header is not whole, or claims another length than the
/// packet has.
pub(super) fn udp(frame: &[u8], ip: Ip) -> Option<Udp> {
    let part = frame.get(ip.l4..ip.end)?;
    let header: [u8; 8] = array(part, 0)?;
    let (source_port, target_port) = (be16(&header, 0), be16(&header, 2));
    let is_whole = usize::from(be16(&header, 4)) == part.len();
    is_whole.then_some(Udp { source_port, target_port })
}

/// The options of a TCP header, as (kind, offset in the frame, length); ends at the first
/// malformed one, as stacks do.
pub(super) fn options(frame: &[u8], from: usize, to: usize) -> Options<'_> {
    Options { frame, at: from, end: to.min(frame.len()) }
}

pub(super) struct Options<'a> {
    frame: &'a [u8],
    at: usize,
    end: usize,
}

impl Iterator for Options<'_> {
    type Item = (u8, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (at, kind) = (self.at, byte(self.frame, self.at));
        if at >= self.end || kind == 0 {
            return None;
        }
        let length = if kind == 1 { 1 } else { usize::from(byte(self.frame, at + 1)) };
        if kind != 1 && (length < 2 || at + length > self.end) {
            return None;
        }
        self.at = at + length;
        Some((kind, at, length))
    }
}

/// Writes an IPv4 header without options, and its checksum.
pub(super) fn write_ip(frame: &mut [u8], header: NewIp) {
    let mut bytes = [0; 20];
    bytes[0] = 0x45;
    bytes[1] = header.tos;
    put(&mut bytes, 2, &header.total.to_be_bytes());
    put(&mut bytes, 4, &header.id.to_be_bytes());
    put(&mut bytes, 6, &(if header.dont_fragment { 0x4000_u16 } else { 0 }).to_be_bytes());
    bytes[8] = header.ttl;
    bytes[9] = header.protocol;
    put(&mut bytes, 12, &header.source.octets());
    put(&mut bytes, 16, &header.target.octets());
    let right = checksum(&bytes, 0);
    put(&mut bytes, 10, &right.to_be_bytes());
    put(frame, ETHERNET, &bytes);
}

/// An IPv4 header to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewIp {
    pub(super) tos: u8,
    pub(super) total: u16,
    pub(super) id: u16,
    pub(super) dont_fragment: bool,
    pub(super) ttl: u8,
    pub(super) protocol: u8,
    pub(super) source: Ipv4Addr,
    pub(super) target: Ipv4Addr,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn options_end_at_the_first_malformed_one() {
        let list = |bytes: &[u8]| -> Vec<_> {
            options(bytes, 0, bytes.len()).map(|(kind, _, length)| (kind, length)).collect()
        };
        assert_eq!(list(&[2, 4, 5, 180, 1, 3, 3, 7]), [(2, 4), (1, 1), (3, 3)]);
        assert_eq!(list(&[1, 0, 1]), [(1, 1)]);
        assert_eq!(list(&[1, 8, 10, 1]), [(1, 1)]);
        assert_eq!(list(&[8, 1]), []);
        assert_eq!(list(&[8]), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = bytes;
            if bytes.len() > 40 {
                put(&mut bytes, 12, &[8, 0]);
                bytes[14] = 0x45 + bytes[14] % 3;
                bytes[16] = 0;
            }
            if let Some(ip) = ip_header(&bytes, ETHERNET) {
                prop_assert!(ip.l4 <= bytes.len() && ip.l4 <= ip.end);
                if ip.end <= bytes.len() && let Some(tcp) = tcp(&bytes, ip) {
                    prop_assert!(tcp.payload <= ip.end);
                    for (_, at, length) in options(&bytes, ip.l4 + 20, tcp.payload) {
                        prop_assert!(at + length <= tcp.payload);
                    }
                }
            }
        }
    }
}

//! What is said between the two processes. Both are the same binary, so there is one version.
//! Pure; the socket is the others' affair.

use std::{io, num::NonZeroU16};

use model::Transport;

use crate::switch::Kernel;

/// Longest request.
pub const MAX_REQUEST: usize = 9;
/// Longest reply: a reason is cut there.
pub(super) const MAX_REPLY: usize = 256;

const UPLINK: u8 = 1;
const CLASS: u8 = 2;
const CONNECTIONS: u8 = 3;
const DATAGRAMS: u8 = 4;
const RELEASE: u8 = 9;
const DONE: u8 = 0;
const FAILED: u8 = 1;

/// What the unprivileged process may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The way to the real network, as it was configured at the start.
    Uplink,
    /// A namespace with these settings, for its TAP.
    Class(Kernel),
    /// A socket in a namespace that was made before.
    Open {
        /// The namespace's number.
        class: u8,
        /// A listener, or a socket for datagrams.
        transport: Transport,
        /// On all of its addresses.
        port: NonZeroU16,
    },
    /// All namespaces go; what was handed over belongs to who has it. The only one that is
    /// answered without a descriptor.
    Release,
}

/// Bytes that are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a request: {0}")]
pub struct BadRequest(&'static str);

impl Request {
    /// As it is sent: a byte for its kind, then its fields.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Uplink => vec![UPLINK],
            Self::Release => vec![RELEASE],
            Self::Class(kernel) => {
                let switches = [
                    kernel.tcp_timestamps,
                    kernel.tcp_sack,
                    kernel.tcp_window_scaling,
                    kernel.tcp_ecn,
                ];
                [&[CLASS][..], &switches, &kernel.tcp_rmem_max.to_be_bytes()].concat()
            }
            Self::Open { class, transport, port } => {
                let kind = match transport {
                    Transport::Tcp => CONNECTIONS,
                    Transport::Udp => DATAGRAMS,
                };
                [&[kind, *class][..], &port.get().to_be_bytes()].concat()
            }
        }
    }

    /// Reads one. Every value is within its bounds afterwards.
    ///
    /// # Errors
    /// Where it is anything but what [`Self::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRequest> {
        match *bytes {
            [UPLINK] => Ok(Self::Uplink),
            [RELEASE] => Ok(Self::Release),
            [CLASS, tcp_timestamps, tcp_sack, tcp_window_scaling, tcp_ecn, a, b, c, d] => {
                let tcp_rmem_max = u32::from_be_bytes([a, b, c, d]);
                let kernel =
                    Kernel { tcp_timestamps, tcp_rmem_max, tcp_sack, tcp_window_scaling, tcp_ecn };
                kernel.check().map_err(BadRequest)?;
                Ok(Self::Class(kernel))
            }
            [kind @ (CONNECTIONS | DATAGRAMS), class, high, low] => {
                let transport = if kind == CONNECTIONS { Transport::Tcp } else { Transport::Udp };
                let port = NonZeroU16::new(u16::from_be_bytes([high, low]));
                let port = port.ok_or(BadRequest("there is no port 0"))?;
                Ok(Self::Open { class, transport, port })
            }
            _ => Err(BadRequest("its kind or its length is unknown")),
        }
    }
}

/// The answer. A descriptor comes with the first kind, but for [`Request::Release`].
#[derive(Debug)]
pub(super) enum Reply {
    /// Done; the number of the class that was made, or 0.
    Done(u8),
    /// Not done, and why.
    Failed(io::Error),
}

impl Reply {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Done(number) => vec![DONE, *number],
            Self::Failed(error) => {
                let code = error.raw_os_error().unwrap_or_default().to_be_bytes();
                let text = error.to_string();
                let mut bytes = [&[FAILED][..], &code, text.as_bytes()].concat();
                bytes.truncate(MAX_REPLY);
                bytes
            }
        }
    }

    /// Reads one; `None` is a helper that went wrong.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [DONE, number] => Some(Self::Done(*number)),
            [FAILED, a, b, c, d, text @ ..] => {
                Some(Self::Failed(match i32::from_be_bytes([*a, *b, *c, *d]) {
                    0 => io::Error::other(String::from_utf8_lossy(text).into_owned()),
                    code => io::Error::from_raw_os_error(code),
                }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is taken is within bounds, and is said in one way only.
        #[test]
        fn any_bytes_are_a_request_within_bounds_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..12),
            kind in 0_u8..12,
        ) {
            let mut bytes = bytes;
            bytes.insert(0, kind);
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes);
                if let Request::Class(kernel) = request {
                    prop_assert_eq!(kernel.check(), Ok(()));
                }
            }
        }

        #[test]
        fn every_request_within_bounds_survives(
            switches in (0_u8..=2, 0_u8..=1, 0_u8..=1, 0_u8..=2),
            tcp_rmem_max in 65_536_u32..=1 << 26,
            class in any::<u8>(),
            port in 1_u16..,
        ) {
            let (tcp_timestamps, tcp_sack, tcp_window_scaling, tcp_ecn) = switches;
            let kernel =
                Kernel { tcp_timestamps, tcp_rmem_max, tcp_sack, tcp_window_scaling, tcp_ecn };
            let port = NonZeroU16::new(port).unwrap();
            let open = |transport| Request::Open { class, transport, port };
            let [tcp, udp] = [Transport::Tcp, Transport::Udp].map(open);
            let others = [Request::Uplink, Request::Class(kernel), Request::Release];
            for request in others.into_iter().chain([tcp, udp]) {
                let bytes = request.encode();
                prop_assert!(bytes.len() <= MAX_REQUEST);
                prop_assert_eq!(Request::decode(&bytes), Ok(request));
                for cut in 0..bytes.len() {
                    prop_assert!(Request::decode(&bytes[..cut]).is_err());
                }
                prop_assert!(Request::decode(&[bytes, vec![0]].concat()).is_err());
            }
        }
    }

    #[test]
    fn settings_beyond_their_bounds_are_refused() {
        let fine = [CLASS, 1, 1, 1, 2, 0, 0x60, 0, 0];
        assert!(Request::decode(&fine).is_ok());
        for (at, value) in [(1, 3), (2, 2), (3, 2), (4, 3), (5, 8), (6, 0)] {
            let mut bytes = fine;
            bytes[at] = value;
            assert!(Request::decode(&bytes).is_err(), "byte {at} is {value}");
        }
        for kind in [CONNECTIONS, DATAGRAMS] {
            assert!(Request::decode(&[kind, 0, 0, 0]).is_err(), "port 0");
        }
        assert!(Request::decode(&[]).is_err(), "nothing");
    }

    #[test]
    fn a_reason_arrives() {
        let said = |error: io::Error| match Reply::decode(&Reply::Failed(error).encode()) {
            Some(Reply::Failed(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said(io::Error::other("no more")), "no more");
        assert!(said(io::Error::from_raw_os_error(libc::ENODEV)).contains("No such device"));
        assert_eq!(said(io::Error::other("x".repeat(9999))).len(), MAX_REPLY - 5);
        assert!(matches!(Reply::decode(&Reply::Done(7).encode()), Some(Reply::Done(7))));
        assert!(Reply::decode(&[]).is_none() && Reply::decode(&[9, 9]).is_none());
    }
}

//! Who is at the other end of a UNIX socket (`SO_PEERCRED`).
//!
//! By way of tokio: rustix 1.1 takes the process number for one that is never 0, which is what the
//! kernel reports for a peer that has no number in our PID namespace. Tokio asks only sockets that
//! are registered with a runtime, so this owns one, for nothing else.

use std::{io, os::unix::net::UnixStream};

use tokio::runtime::{Builder, Runtime};

use crate::auth::PeerAddress;

/// Asks for peers. Not for use within a runtime.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Present until it is dropped.
    runtime: Option<Runtime>,
}

impl Credentials {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { runtime: Some(Builder::new_current_thread().enable_io().build()?) })
    }

    /// Who is behind `stream`, which does not block, and the stream.
    pub(super) fn of(&self, stream: UnixStream) -> io::Result<(UnixStream, PeerAddress)> {
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        runtime.block_on(async {
            let stream = tokio::net::UnixStream::from_std(stream)?;
            let peer = stream.peer_cred()?;
            let stream = stream.into_std()?;
            // The runtime forgets streams that it gave back only when it is driven.
            tokio::task::yield_now().await;
            Ok((stream, address(peer.uid(), peer.gid(), peer.pid())))
        })
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        // Other than dropping it, this may be done within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// As [`Credentials::of`], for a caller that may be within a runtime.
pub(super) fn peer_of(stream: UnixStream) -> io::Result<PeerAddress> {
    stream.set_nonblocking(true)?;
    let asked = std::thread::Builder::new().spawn(|| Ok(Credentials::new()?.of(stream)?.1))?;
    asked.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

/// A process without a number here has none.
fn address(uid: u32, gid: u32, pid: Option<i32>) -> PeerAddress {
    PeerAddress::Unix { uid, gid, pid: pid.filter(|pid| *pid > 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_namespace_has_no_number() {
        for (reported, expected) in [(Some(7), Some(7)), (Some(0), None), (None, None)] {
            let PeerAddress::Unix { uid: 1, gid: 2, pid } = address(1, 2, reported) else {
                panic!("a peer on a UNIX socket");
            };
            assert_eq!(pid, expected);
        }
    }

    #[tokio::test]
    async fn the_other_end_of_a_pair_is_this_process() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let PeerAddress::Unix { uid, pid, .. } = peer_of(ours).unwrap() else {
            panic!("a peer on a UNIX socket");
        };
        assert_eq!(uid, rustix::process::getuid().as_raw());
        assert_eq!(pid.map(i32::cast_unsigned), Some(std::process::id()));
    }

    #[test]
    fn many_are_asked_for() {
        let credentials = Credentials::new().unwrap();
        for _ in 0..100 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let (ours, _) = credentials.of(ours).unwrap();
            drop(theirs);
            assert_eq!(std::io::Read::read(&mut &ours, &mut [0]).unwrap(), 0);
        }
    }
}

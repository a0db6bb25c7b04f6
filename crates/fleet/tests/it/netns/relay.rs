//! A wire that does not deliver everything: two cards and a program between them that decides of
//! each frame.

#![allow(unsafe_code, reason = "a TAP is opened by a call that no library of the tree wraps")]

use std::{
    fs::File,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

/// Longest frame.
const LONGEST: usize = 1 << 16;

/// Which way a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum To {
    Visitor,
    Uplink,
}

/// Stands between the visitor's card and the uplink until it is dropped.
pub(super) struct Relay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Takes the place of the segment's wire; a frame passes where `passes` says so.
    pub(super) fn between(
        segment: &Segment,
        passes: impl FnMut(To, &[u8]) -> bool + Send + 'static,
    ) -> Self {
        run(&format!("ip -n {} link del u0", segment.lan));
        let ends = [(&segment.visitor, "eth0"), (&segment.lan, "u0")].map(|(namespace, name)| {
            let file = File::open(format!("/run/netns/{namespace}")).unwrap();
            let card = within(file.as_fd(), || card(name));
            run(&format!("ip -n {namespace} link set {name} up"));
            card
        });
        run(&format!("ip -n {} addr add 10.80.0.2/16 dev eth0", segment.visitor));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || carry(&ends, passes, &stopped));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()), "the relay failed");
    }
}

/// A card of this name in the calling thread's namespace; its wire is the descriptor.
fn card(name: &str) -> OwnedFd {
    /// `struct ifreq` as far as TUNSETIFF reads it: a TAP, frames without a header.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    const TUNSETIFF: u64 = 0x4004_54ca;
    let mut request = Request { name: [0; 16], flags: 0x0002 | 0x1000, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    let tap = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    // SAFETY: `request` is as large as `struct ifreq`, and outlives the call that reads and
    // writes it.
    let made = unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETIFF as _, &raw mut request) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    rustix::io::ioctl_fionbio(&tap, true).unwrap();
    tap.into()
}

fn carry(ends: &[OwnedFd; 2], mut passes: impl FnMut(To, &[u8]) -> bool, stop: &AtomicBool) {
    let rest = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let mut frame = vec![0; LONGEST];
    while !stop.load(SeqCst) {
        let mut fds = ends.each_ref().map(|end| PollFd::new(end, PollFlags::IN));
        poll(&mut fds, Some(&rest)).unwrap();
        for (from, to, way) in [(0, 1, To::Uplink), (1, 0, To::Visitor)] {
            while let Ok(length) = rustix::io::read(&ends[from], &mut *frame) {
                if passes(way, &frame[..length]) {
                    // A card that is not up yet loses it, as on a wire.
                    let _ = rustix::io::write(&ends[to], &frame[..length]);
                }
            }
        }
    }
}

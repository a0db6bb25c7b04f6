//! The system calls about the machine that no safe wrapper has.
//!
//! Each function is one call, or one question made of a few.

#![allow(unsafe_code, reason = "calls that no library of the tree wraps; each has its proof")]

use std::{
    collections::BTreeMap,
    ffi::CStr,
    fs::File,
    io,
    mem::zeroed,
    net::Ipv4Addr,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    ptr,
    time::Instant,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Interface;
use crate::raw::{self, done, packet_socket, set};

/// Gives the kernel back what this process has freed and keeps for later. Takes some milliseconds
/// where that is much.
pub(super) fn trim_memory() {
    // SAFETY: takes a number; the allocator keeps its own locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether TAPs can carry virtio headers.
pub(super) fn tun_has_headers() -> io::Result<bool> {
    /// `_IOR('T', 207, unsigned int)`.
    const GET_FEATURES: libc::c_ulong = 0x8004_54cf;
    const VNET_HDR: libc::c_uint = 0x4000;
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut features: libc::c_uint = 0;
    // SAFETY: `features` is as large as the call writes, and outlives it.
    done(unsafe { libc::ioctl(tun.as_raw_fd(), GET_FEATURES as _, &raw mut features) })?;
    Ok(features & VNET_HDR != 0)
}

/// Whether packet sockets can carry virtio headers.
pub(super) fn packet_has_headers() -> io::Result<bool> {
    const PACKET_VNET_HDR: i32 = 15;
    let socket = packet_socket()?;
    Ok(set(&socket, libc::SOL_PACKET, PACKET_VNET_HDR, &1_i32).is_ok())
}

/// A socket that sees the ARP frames of one interface, to whomever they are.
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// On the interface of this number.
    pub(super) fn on(index: u32) -> io::Result<Self> {
        let socket = packet_socket()?;
        raw::listen(&socket, index, libc::ETH_P_ARP)?;
        Ok(Self(socket))
    }

    /// Sends one frame.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.0, frame)?;
        Ok(())
    }

    /// The next frame's length; `None` where none comes before `until`.
    pub(super) fn receive(&self, into: &mut [u8], until: Instant) -> io::Result<Option<usize>> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let ready = PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN);
            if poll(&mut [ready], Some(&timeout))? == 0 {
                return Ok(None);
            }
            match rustix::io::read(&self.0, &mut *into) {
                Ok(length) => return Ok(Some(length)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The interfaces of the calling thread's namespace.
pub(super) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the call writes one pointer, to a list that is ours until it is freed below.
    done(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: not null, and an element of the list, which is freed after the loop.
        let element = unsafe { &*next };
        next = element.ifa_next;
        // SAFETY: the name is a C string of the list.
        let name = unsafe { CStr::from_ptr(element.ifa_name) }.to_string_lossy().into_owned();
        let interface = found.entry(name.clone()).or_insert(Interface {
            name,
            index: 0,
            mac: [0; 6],
            is_up: element.ifa_flags & libc::IFF_UP as u32 != 0,
            has_carrier: element.ifa_flags & libc::IFF_RUNNING as u32 != 0,
            addresses: Vec::new(),
        });
        if element.ifa_addr.is_null() {
            continue;
        }
        // SAFETY: not null, and every address begins with its family.
        match i32::from(unsafe { (*element.ifa_addr).sa_family }) {
            libc::AF_PACKET => {
                // SAFETY: of this family it is a `sockaddr_ll`; read whatever its alignment.
                let link = unsafe { element.ifa_addr.cast::<libc::sockaddr_ll>().read_unaligned() };
                interface.index = u32::try_from(link.sll_ifindex).unwrap_or(0);
                interface.mac.copy_from_slice(&link.sll_addr[..6]);
            }
            libc::AF_INET => {
                // SAFETY: of this family it is a `sockaddr_in`; read whatever its alignment.
                let at = unsafe { element.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
                interface.addresses.push(Ipv4Addr::from(at.sin_addr.s_addr.to_ne_bytes()));
            }
            _ => {}
        }
    }
    // SAFETY: the list came from `getifaddrs`, and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(found.into_values().collect())
}

/// Whether the kernel believes its clock to be right.
pub(super) fn is_clock_synchronised() -> Option<bool> {
    const ERROR: libc::c_int = 5;
    // SAFETY: all zeroes is a valid `timex`: no mode is set, so that nothing is changed.
    let mut state: libc::timex = unsafe { zeroed() };
    // SAFETY: the pointer is to a `timex` that outlives the call.
    match unsafe { libc::adjtimex(&raw mut state) } {
        result if result < 0 => None,
        result => Some(result != ERROR),
    }
}

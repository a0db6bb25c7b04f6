//! The system calls that both the driver and the questions about the machine make, and that no
//! safe wrapper has.
//!
//! Each function is one call, or one setting made of a few; nothing here knows what it is for.

#![allow(unsafe_code, reason = "calls that no library of the tree wraps; each has its proof")]

use std::{
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
};

/// What a call answered, or the error that it left.
pub(crate) fn done(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Moves the calling thread into a new network namespace. For threads that end soon after.
pub(crate) fn enter_new_namespace() -> io::Result<()> {
    // SAFETY: takes no pointer; CLONE_NEWNET changes the network view of this thread alone.
    done(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// A packet socket, to which nothing comes before [`listen`].
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer. Protocol 0: nothing comes in before it is bound.
    let raw = done(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the call above made the descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sets an option of a socket.
pub(crate) fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is to `length` readable bytes that outlive the call.
    done(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(value).cast(), length)
    })?;
    Ok(())
}

/// From now on the packet socket sees the frames of this protocol (`ETH_P_…`) on an interface of
/// the calling thread's namespace, to whomever they are.
pub(crate) fn listen(socket: &OwnedFd, interface: u32, protocol: libc::c_int) -> io::Result<()> {
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    let membership = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
    // SAFETY: all zeroes is a valid `sockaddr_ll`.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
    address.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to `length` readable bytes that outlive the call.
    done(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(())
}

//! The system calls that no safe wrapper has: with `privilege/sys.rs` the only unsafe code of the
//! fleet.
//!
//! Each function is one call, or one setting made of a few. What it takes and gives are owned
//! descriptors and slices; nothing here knows what they are for.

#![allow(unsafe_code, reason = "calls that no library of the tree wraps; each has its proof")]

use std::{
    collections::BTreeSet,
    io,
    mem::{size_of, size_of_val, zeroed},
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use crate::{
    raw::{self, done, packet_socket, set},
    switch::{Frame, VNET_LEN},
};

/// Most frames of one call.
pub(super) const BATCH: usize = 64;

/// Moves the calling thread into a new network namespace, which lives as long as the descriptor
/// that comes back, or anything in it. For threads that end soon after.
pub(super) fn enter_new_namespace() -> io::Result<OwnedFd> {
    raw::enter_new_namespace()?;
    Ok(std::fs::File::open("/proc/thread-self/ns/net")?.into())
}

/// `struct ifreq` as far as TUNSETIFF reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes a TAP of this name in the calling thread's namespace. It goes with the descriptor.
/// Frames have a virtio header before them; `offloads` are those that the kernel may leave to us.
pub(super) fn open_tap(name: &str, offloads: bool) -> io::Result<OwnedFd> {
    const IFF_TAP: u16 = 0x0002;
    const IFF_NO_PI: u16 = 0x1000;
    const IFF_VNET_HDR: u16 = 0x4000;
    /// Checksums and TCP segmentation over IPv4.
    const OFFLOADS: libc::c_ulong = 1 | 2;
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
        rest: [0; 22],
    };
    let place = request.name.get_mut(..name.len()).filter(|place| place.len() < 16);
    let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    place.copy_from_slice(name.as_bytes());
    let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the path is a C string that outlives the call.
    let raw = done(unsafe { libc::open(c"/dev/net/tun".as_ptr(), flags) })?;
    // SAFETY: the call above made the descriptor, and nobody else has it.
    let tap = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: `request` is as large as `struct ifreq`, and outlives the call that reads and
    // writes it.
    done(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })?;
    let offloads = if offloads { OFFLOADS } else { 0 };
    // SAFETY: the argument of TUNSETOFFLOAD is a number.
    done(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETOFFLOAD as _, offloads) })?;
    Ok(tap)
}

/// One instruction of a classic packet filter: code, jumps, operand.
pub(super) type Instruction = (u16, u8, u8, u32);

/// What of the frames on an uplink is taken: IPv4 and ARP of the segment itself. The kernel has
/// taken the tag off a frame of another VLAN before the socket sees it, and tells it aside.
const OF_THE_SEGMENT: [Instruction; 9] = {
    /// `SKF_AD_OFF`, and what it leads to.
    const ASIDE: u32 = 0xffff_f000;
    const VLAN_TAG: u32 = ASIDE + 44;
    const HAS_VLAN_TAG: u32 = ASIDE + 48;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const IF_EQUAL: u16 = 0x15;
    const IF_ANY: u16 = 0x45;
    const RETURN: u16 = 0x06;
    [
        (LOAD_WORD, 0, 0, HAS_VLAN_TAG),
        (IF_EQUAL, 2, 0, 0),
        (LOAD_WORD, 0, 0, VLAN_TAG),
        // A tag without a VLAN is about priority alone.
        (IF_ANY, 4, 0, 0x0fff),
        (LOAD_HALF, 0, 0, 12),
        (IF_EQUAL, 1, 0, 0x0800),
        (IF_EQUAL, 0, 1, 0x0806),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ]
};

fn compiled(program: &[Instruction]) -> Vec<libc::sock_filter> {
    let compile = |(code, jt, jf, k): &Instruction| libc::sock_filter {
        code: *code,
        jt: *jt,
        jf: *jf,
        k: *k,
    };
    program.iter().map(compile).collect()
}

/// Has the kernel drop what the filter refuses, before it comes out of the TAP.
pub(super) fn filter_tap(tap: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let mut code = compiled(program);
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions, which outlive the call; the kernel copies
    // and checks them.
    done(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNATTACHFILTER as _, &raw const program) })?;
    Ok(())
}

/// A socket that sees the frames of [`OF_THE_SEGMENT`] that come in on an interface of the calling
/// thread's namespace, to whomever they are, with virtio headers where `headers` says so.
pub(super) fn open_packet(interface: u32, headers: bool) -> io::Result<OwnedFd> {
    const PACKET_IGNORE_OUTGOING: i32 = 23;
    const BUFFER: i32 = 16 << 20;
    let socket = packet_socket()?;
    set(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &i32::from(headers))?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &BUFFER)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &BUFFER)?;
    let mut code = compiled(&OF_THE_SEGMENT);
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    set(&socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
    raw::listen(&socket, interface, libc::ETH_P_ALL)?;
    Ok(socket)
}

/// A request about an interface.
fn request_about(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes is a valid `ifreq`: an empty name, numbers, and addresses of family 0.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let place = request.ifr_name.get_mut(..name.len()).filter(|place| place.len() < 16);
    let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    for (to, from) in place.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// The hardware address of an interface of the socket's namespace; `None` where it is no Ethernet.
pub(super) fn hardware_address(socket: BorrowedFd<'_>, name: &str) -> io::Result<Option<[u8; 6]>> {
    let mut request = request_about(name)?;
    // SAFETY: `request` is what the call reads and writes, and outlives it.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) })?;
    // SAFETY: the call wrote this member.
    let found = unsafe { request.ifr_ifru.ifru_hwaddr };
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(found.sa_data) {
        *to = from as u8;
    }
    Ok((found.sa_family == libc::ARPHRD_ETHER).then_some(mac))
}

/// The largest packet of an interface of the socket's namespace.
pub(super) fn mtu(socket: BorrowedFd<'_>, name: &str) -> io::Result<u32> {
    let mut request = request_about(name)?;
    // SAFETY: `request` is what the call reads and writes, and outlives it.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) })?;
    // SAFETY: the call wrote this number.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).map_err(io::Error::other)
}

/// The IPv4 addresses of the socket's namespace. Asked without netlink, which who meets visitors
/// may not speak.
pub(super) fn addresses(socket: BorrowedFd<'_>) -> io::Result<BTreeSet<Ipv4Addr>> {
    /// More than any machine has.
    const MOST: usize = 4096;
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut found: Vec<libc::ifreq> = vec![unsafe { zeroed() }; MOST];
    let mut all = libc::ifconf {
        ifc_len: size_of_val(found.as_slice()) as libc::c_int,
        ifc_ifcu: libc::__c_anonymous_ifc_ifcu { ifcu_req: found.as_mut_ptr() },
    };
    // SAFETY: `all` says how many bytes there are at its pointer, and both outlive the call.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFCONF as _, &raw mut all) })?;
    found.truncate(all.ifc_len as usize / size_of::<libc::ifreq>());
    if found.len() == MOST {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let address = |one: &libc::ifreq| {
        // SAFETY: the call writes addresses only, those of IPv4: port and address are the bytes.
        let bytes = unsafe { one.ifr_ifru.ifru_addr }.sa_data.map(|byte| byte as u8);
        Ipv4Addr::new(bytes[2], bytes[3], bytes[4], bytes[5])
    };
    Ok(found.iter().map(address).collect())
}

/// A socket to ask the calling thread's namespace by; any user may have one.
pub(super) fn inet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer.
    let raw = done(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: the call above made the descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// What each of a batch of messages is to hold; the vectors are told apart by direction.
fn messages(
    vectors: &mut [libc::iovec; BATCH],
    count: usize,
) -> ([libc::mmsghdr; BATCH], libc::c_uint) {
    // SAFETY: all zeroes is a valid `mmsghdr`: no address, no vectors, no control data.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    for (message, vector) in messages.iter_mut().zip(vectors) {
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    (messages, count.min(BATCH) as libc::c_uint)
}

const NO_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

/// Receives into up to [`BATCH`] frames what is there; how many came. `headers` says whether the
/// socket puts virtio headers before them; where it does not, they are zero.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    frames: &mut [Frame],
    headers: bool,
) -> io::Result<usize> {
    let skip = if headers { 0 } else { VNET_LEN };
    let mut vectors = [NO_VECTOR; BATCH];
    for (vector, frame) in vectors.iter_mut().zip(frames.iter_mut()) {
        let place = &mut frame.buffer()[skip..];
        *vector = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
    }
    let (mut messages, count) = messages(&mut vectors, frames.len());
    // SAFETY: each of the first `count` messages has one vector, to a buffer of its own frame
    // that is borrowed for the whole call; `vectors` and `messages` outlive it.
    let received = done(unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
        )
    })? as usize;
    for (frame, message) in frames.iter_mut().zip(&messages[..received]) {
        if !headers {
            frame.clear_header();
        }
        frame.set_len((message.msg_len as usize + skip).saturating_sub(VNET_LEN));
    }
    Ok(received)
}

/// Sends the frames of these indexes; how many the kernel took before it refused one.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    frames: &[Frame],
    which: &[usize],
    headers: bool,
) -> io::Result<usize> {
    let skip = if headers { 0 } else { VNET_LEN };
    let mut vectors = [NO_VECTOR; BATCH];
    let chosen = which.iter().filter_map(|index| frames.get(*index));
    for (vector, frame) in vectors.iter_mut().zip(chosen) {
        let bytes = &frame.with_header()[skip..];
        *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    }
    let (mut messages, count) = messages(&mut vectors, which.len());
    // SAFETY: each of the first `count` messages has one vector, to the bytes of a frame that is
    // borrowed for the whole call and only read; an unused vector has length zero.
    let sent = done(unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    })?;
    Ok(sent as usize)
}

/// Runs in the namespace behind the descriptor, on a thread that ends with it.
pub(super) fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    let enter = move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    };
    apart(enter)
}

/// Runs on a thread of its own: namespaces are a matter of threads, and no other may notice.
pub(super) fn apart<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_tells_what_it_has() {
        let socket = inet_socket().unwrap();
        let socket = socket.as_fd();
        assert_eq!(hardware_address(socket, "lo").unwrap(), None, "it is no Ethernet");
        assert!(mtu(socket, "lo").unwrap() >= 1500);
        assert!(addresses(socket).unwrap().contains(&Ipv4Addr::LOCALHOST));
        for unknown in ["no-such-link", "a-name-of-16-chars"] {
            assert!(hardware_address(socket, unknown).is_err() && mtu(socket, unknown).is_err());
        }
    }
}

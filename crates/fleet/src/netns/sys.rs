//! The system calls that no safe wrapper has: with `privilege/sys.rs` the only unsafe code of the
//! fleet.
//!
//! Each function is one call, or one setting made of a few. What it takes and gives are owned
//! descriptors and slices; nothing here knows what they are for.

#![allow(unsafe_code, reason = "calls that no library of the tree wraps; each has its proof")]

use std::{
    collections::BTreeSet,
    io,
    mem::zeroed,
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

/// The IPv4 addresses of the calling thread's namespace. Asked without netlink, which who meets
/// visitors may not speak.
pub(super) fn own_addresses() -> io::Result<BTreeSet<Ipv4Addr>> {
    /// More than any machine has.
    const MOST: usize = 4096;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: all zeroes is a valid `ifreq`: numbers and addresses.
    let mut list: Vec<libc::ifreq> = vec![unsafe { zeroed() }; MOST];
    let length = size_of_val(list.as_slice()) as libc::c_int;
    let place = libc::__c_anonymous_ifc_ifcu { ifcu_req: list.as_mut_ptr() };
    let mut question = libc::ifconf { ifc_len: length, ifc_ifcu: place };
    // SAFETY: `question` points to `length` writable bytes, which outlive the call.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFCONF as _, &raw mut question) })?;
    list.truncate(question.ifc_len as usize / size_of::<libc::ifreq>());
    if list.len() == MOST {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let address = |request: &libc::ifreq| {
        // SAFETY: the kernel wrote a `sockaddr_in` there: it lists IPv4 addresses only.
        let at =
            unsafe { (&raw const request.ifr_ifru).cast::<libc::sockaddr_in>().read_unaligned() };
        Ipv4Addr::from(at.sin_addr.s_addr.to_ne_bytes())
    };
    Ok(list.iter().map(address).collect())
}

/// The largest packet of an interface of the calling thread's namespace.
pub(super) fn mtu(name: &str) -> io::Result<u32> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: all zeroes is a valid `ifreq`: numbers and addresses.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let place = request.ifr_name.get_mut(..name.len()).filter(|place| place.len() < 16);
    let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    place.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte as libc::c_char);
    // SAFETY: `request` outlives the call that reads and writes it.
    done(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) })?;
    // SAFETY: the kernel wrote this number.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).map_err(io::Error::other)
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
        frame.clear_header();
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

//! Which system calls a process still has.
//!
//! A list of what is denied, with an error and not with death: the process embeds a database, a
//! runtime and glibc, whose calls change with their versions, and a list of what is allowed would
//! break a running deception network on an update of libc. What is denied is what such a host
//! never does and an intruder would like: running programs, looking into processes, mounting,
//! namespaces, the kernel's rarely used doors. Who meets visitors holds the TAPs of namespaces, and
//! whoever holds a TAP may take off its filter and let it outlive the process: it reads and writes
//! them, and all else about them is denied.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads, sock_filter,
};

/// Whose calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The process that meets visitors.
    Host,
    /// The root helper.
    Helper,
}

/// Denied to both.
const DENIED: &[libc::c_long] = &[
    // programs
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // file systems
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_mknodat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    // the kernel itself
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_vmsplice,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_personality,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // the machine
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
];

/// Denied to who meets visitors: namespaces are the helper's work.
const DENIED_TO_HOST: &[libc::c_long] = &[libc::SYS_setns, libc::SYS_unshare];

/// What would type into the terminal that the process was started from.
const KEYS_OF_THE_TERMINAL: [libc::Ioctl; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The families of sockets that who meets visitors may make. Netlink is not among them; glibc's
/// resolver does without.
const FAMILIES: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// System calls of the x32 interface have this bit, and would slip by their other numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Puts the filter on every thread of this process, for good.
pub(super) fn install(whom: Whom) -> io::Result<()> {
    for program in programs(whom).map_err(io::Error::other)? {
        apply_filter_all_threads(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

/// One program per error: a filter has one answer.
fn programs(whom: Whom) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let host = if whom == Whom::Host { DENIED_TO_HOST } else { &[] };
    rules.extend(DENIED.iter().chain(host).map(|call| (*call, Vec::new())));
    rules.insert(libc::SYS_clone, vec![new_process()?]);
    let mut requests = Vec::from(KEYS_OF_THE_TERMINAL.map(is_request));
    if whom == Whom::Host {
        requests.extend([is_tap_setting(), is_request(libc::SIOCSIFHWADDR)]);
        for call in [libc::SYS_socket, libc::SYS_socketpair] {
            rules.insert(call, vec![other_families()?]);
        }
    }
    rules.insert(libc::SYS_ioctl, requests.into_iter().collect::<Result<_, _>>()?);
    // Its flags are behind a pointer; glibc falls back to `clone`, whose flags can be seen.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([program(clone3, libc::ENOSYS)?, program(rules, libc::EPERM)?])
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    error: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let action = SeccompAction::Errno(error.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
    let filter: BpfProgram = filter.try_into()?;
    Ok(without_x32().into_iter().chain(filter).collect())
}

/// Instructions before a filter that refuse every call of the x32 interface.
fn without_x32() -> Vec<sock_filter> {
    #[cfg(target_arch = "x86_64")]
    {
        const LOAD_WORD: u16 = 0x20;
        const IF_AT_LEAST: u16 = 0x35;
        const RETURN: u16 = 0x06;
        let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        vec![
            sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
            sock_filter { code: IF_AT_LEAST, jt: 0, jf: 1, k: X32 },
            sock_filter { code: RETURN, jt: 0, jf: 0, k: refuse },
        ]
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// A process and not a thread.
fn new_process() -> Result<SeccompRule, seccompiler::BackendError> {
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    let masked = SeccompCmpOp::MaskedEq(thread);
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, masked, 0)?])
}

/// A request of `ioctl`, whatever it is about.
fn is_request(request: libc::Ioctl) -> Result<SeccompRule, seccompiler::BackendError> {
    let (length, is) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
    SeccompRule::new(vec![SeccompCondition::new(1, length, is, request)?])
}

/// Every request that `tun` has: type `T`, numbers from 192 on. The terminals' own are below.
fn is_tap_setting() -> Result<SeccompRule, seccompiler::BackendError> {
    const TYPE_AND_TOP_OF_NUMBER: u64 = 0xffc0;
    let (length, is) = (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(TYPE_AND_TOP_OF_NUMBER));
    let of_tun = libc::TUNSETIFF & TYPE_AND_TOP_OF_NUMBER;
    SeccompRule::new(vec![SeccompCondition::new(1, length, is, of_tun)?])
}

fn other_families() -> Result<SeccompRule, seccompiler::BackendError> {
    let is_not = |family: libc::c_int| {
        let family = family.unsigned_abs().into();
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    };
    SeccompRule::new(FAMILIES.into_iter().map(is_not).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream, ToSocketAddrs as _},
        os::fd::AsRawFd as _,
        process::Command,
        ptr, thread,
    };

    use rustix::{
        event::{PollFd, PollFlags, poll},
        io::Errno,
        net::{AddressFamily, SocketFlags, SocketType, socket, socketpair},
    };

    use super::*;
    use crate::raw;

    /// Runs on a thread of its own that has the filter, as have the threads that it starts.
    fn under<T: Send + 'static>(whom: Whom, work: impl FnOnce() -> T + Send + 'static) -> T {
        let filtered = thread::spawn(move || {
            for program in programs(whom).unwrap() {
                seccompiler::apply_filter(&program).unwrap();
            }
            work()
        });
        filtered.join().unwrap()
    }

    fn refusal(made: rustix::io::Result<std::os::fd::OwnedFd>) -> Option<Errno> {
        made.err()
    }

    #[test]
    fn what_a_host_never_does_is_refused_and_nothing_dies() {
        under(Whom::Host, || {
            let program = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(program.kind(), io::ErrorKind::PermissionDenied);
            for family in [AddressFamily::NETLINK, AddressFamily::PACKET] {
                let made = socket(family, SocketType::RAW, None);
                assert_eq!(refusal(made), Some(Errno::PERM), "{family:?}");
                let pair = socketpair(family, SocketType::RAW, SocketFlags::empty(), None);
                assert_eq!(pair.unwrap_err(), Errno::PERM, "a pair of {family:?}");
            }
            let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
            let moved = rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&own),
                Some(rustix::thread::LinkNameSpaceType::Network),
            );
            assert_eq!(moved, Err(Errno::PERM));
            assert_eq!(rustix::process::chroot("/"), Err(Errno::PERM));
        });
    }

    #[test]
    fn what_a_host_does_every_day_works() {
        under(Whom::Host, || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            // A thread is made by `clone`, once glibc has heard that there is no `clone3`.
            let visitor = thread::spawn(move || TcpStream::connect(addr).map(drop));
            listener.accept().unwrap();
            visitor.join().unwrap().unwrap();
            // glibc's resolver wants netlink, and does without.
            let found: Vec<_> = ("localhost", 80).to_socket_addrs().unwrap().collect();
            assert!(found.iter().any(|addr| addr.ip().is_loopback()), "{found:?}");
            std::os::unix::net::UnixStream::pair().unwrap();
        });
    }

    /// A TAP in a namespace of the thread's own.
    #[allow(unsafe_code, reason = "a TAP is made by an ioctl")]
    fn tap() -> std::fs::File {
        const IFF_TAP_WITHOUT_INFORMATION: u16 = 0x1002;
        raw::enter_new_namespace().unwrap();
        let tap = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        let mut request = [0_u8; 40];
        request[16..18].copy_from_slice(&IFF_TAP_WITHOUT_INFORMATION.to_ne_bytes());
        // SAFETY: `request` is as large as `struct ifreq`, and outlives the call.
        raw::done(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })
            .unwrap();
        tap
    }

    /// Each way to take a TAP from who made it, with what came of trying it.
    #[allow(unsafe_code, reason = "what the kernel has to refuse is behind ioctl")]
    fn ways_to_take(tap: &std::fs::File) -> Vec<(&'static str, Option<i32>)> {
        type Way = (&'static str, libc::Ioctl, *const libc::c_void);
        let mut instruction = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX };
        let everything = libc::sock_fprog { len: 1, filter: &raw mut instruction };
        let mut address = [0_u8; 40];
        // ARPHRD_ETHER, then an address of nobody's.
        address[16..24].copy_from_slice(&[1, 0, 2, 0, 0, 0, 0, 9]);
        let ways: [Way; 6] = [
            ("attach a filter", libc::TUNATTACHFILTER as _, (&raw const everything).cast()),
            ("detach the filter", libc::TUNDETACHFILTER as _, (&raw const everything).cast()),
            ("make it persist", libc::TUNSETPERSIST as _, ptr::without_provenance(1)),
            ("let it go again", libc::TUNSETPERSIST as _, ptr::null()),
            ("change its offloads", libc::TUNSETOFFLOAD as _, ptr::null()),
            ("change its address", libc::SIOCSIFHWADDR as _, (&raw const address).cast()),
        ];
        let attempt = |(way, request, argument): Way| {
            // SAFETY: each argument is a number, or points to as much as its request reads, which
            // outlives the call.
            let done = unsafe { libc::ioctl(tap.as_raw_fd(), request, argument) };
            (way, raw::done(done).err().and_then(|error| error.raw_os_error()))
        };
        ways.map(attempt).to_vec()
    }

    #[test]
    fn who_holds_a_tap_can_read_and_write_it_and_nothing_else() {
        if !super::super::is_root() || !std::path::Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: TAPs need root and /dev/net/tun");
            return;
        }
        let may = |whom| under(whom, || ways_to_take(&tap()));
        let free = thread::spawn(|| ways_to_take(&tap())).join().unwrap();
        assert!(free.iter().all(|(_, error)| error.is_none()), "without a filter: {free:?}");
        assert_eq!(may(Whom::Helper), free, "the helper makes them");
        let held = thread::spawn(tap).join().unwrap();
        under(Whom::Host, move || {
            for (way, error) in ways_to_take(&held) {
                assert_eq!(error, Some(libc::EPERM), "{way}");
            }
            // It is down: the kernel takes nothing, but is asked.
            let written = (&held).write(&[0; 60]).unwrap_err();
            assert_eq!(written.raw_os_error(), Some(libc::EIO));
            let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let mut readable = [PollFd::new(&held, PollFlags::IN)];
            poll(&mut readable, Some(&none)).unwrap();
        });
    }

    #[test]
    fn the_terminal_cannot_be_typed_into() {
        for whom in [Whom::Host, Whom::Helper] {
            for (request, error) in under(whom, keys_typed) {
                assert_eq!(error, Some(libc::EPERM), "{request} by {whom:?}");
            }
        }
        let free = thread::spawn(keys_typed).join().unwrap();
        assert!(free.iter().all(|(_, error)| *error == Some(libc::ENOTTY)), "{free:?}");
    }

    /// Tried on what is no terminal.
    #[allow(unsafe_code, reason = "what the kernel has to refuse is behind ioctl")]
    fn keys_typed() -> [(&'static str, Option<i32>); 2] {
        let nothing = std::fs::File::open("/dev/null").unwrap();
        [("TIOCSTI", libc::TIOCSTI), ("TIOCLINUX", libc::TIOCLINUX)].map(|(name, request)| {
            let mut key = [b'x'; 8];
            // SAFETY: both requests read a byte or a few of what is there and outlives the call.
            let typed = unsafe { libc::ioctl(nothing.as_raw_fd(), request as _, &raw mut key) };
            (name, raw::done(typed).err().and_then(|error| error.raw_os_error()))
        })
    }

    #[test]
    fn the_helper_keeps_what_is_its_work() {
        under(Whom::Helper, || {
            let made = socket(AddressFamily::NETLINK, SocketType::RAW, None);
            assert_eq!(refusal(made), None);
            let program = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(program.kind(), io::ErrorKind::PermissionDenied);
        });
    }
}

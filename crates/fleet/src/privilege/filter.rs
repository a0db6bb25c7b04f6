//! Which system calls a process still has.
//!
//! A list of what is denied, with an error and not with death: the process embeds a database, a
//! runtime and glibc, whose calls change with their versions, and a list of what is allowed would
//! break a running deception network on an update of libc. What is denied is what such a host
//! never does and an intruder would like: running programs, looking into processes, mounting,
//! namespaces, the kernel's rarely used doors.

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
    rules.insert(libc::SYS_ioctl, vec![keys_of_the_terminal()?]);
    if whom == Whom::Host {
        rules.insert(libc::SYS_socket, vec![other_families()?]);
    }
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

/// What would type into the terminal that the process was started from.
fn keys_of_the_terminal() -> Result<SeccompRule, seccompiler::BackendError> {
    let (length, is) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
    SeccompRule::new(vec![SeccompCondition::new(1, length, is, libc::TIOCSTI)?])
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
        net::{TcpListener, TcpStream, ToSocketAddrs as _},
        process::Command,
        thread,
    };

    use rustix::{
        io::Errno,
        net::{AddressFamily, SocketType, socket},
    };

    use super::*;

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

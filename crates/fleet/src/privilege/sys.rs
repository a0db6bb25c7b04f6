//! Calls about the whole process that no safe wrapper has: glibc's, which change every thread.

#![allow(unsafe_code, reason = "calls that no library of the tree wraps; each has its proof")]

use std::io;

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Groups first: afterwards there is no right to set them.
pub(super) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer is to `len` readable numbers, which outlive the call.
    done(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: takes no pointer.
    done(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: takes no pointer.
    done(unsafe { libc::setresuid(uid, uid, uid) })
}

/// Closes everything but standard input, output and error.
pub(super) fn close_all_beyond_standard() -> io::Result<()> {
    // SAFETY: takes no pointer. The caller runs before anything in this process owns a
    // descriptor beyond the standard three: what is closed came from whoever started it.
    done(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) })
}

/// Interrupts, hang-ups and requests to end are the master's affair: the helper goes after it.
pub(super) fn ignore_signals_of_the_terminal() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM, libc::SIGQUIT] {
        // SAFETY: SIG_IGN is a valid disposition, and no handler is involved.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

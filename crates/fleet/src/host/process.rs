//! Processes: memory of this one, and ending the one that holds a lock: only if it really does,
//! and never another one.

use std::{
    ffi::OsStr,
    fs, io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// Gives the kernel back the memory that this process has freed and kept for later, where the
/// allocator can (glibc). Takes some milliseconds where that is much.
pub fn give_memory_back() {
    super::sys::trim_memory();
}

/// Why a process was not ended.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// It does not have the file locked.
    #[error("process {pid} does not hold `{lock}`: it may be of another container")]
    NotHolder {
        /// Which.
        pid: u32,
        /// The file.
        lock: PathBuf,
    },
    /// It holds the lock and is something else.
    #[error("process {pid}, which holds `{lock}`, is `{program}`")]
    NotOurs {
        /// Which.
        pid: u32,
        /// The file.
        lock: PathBuf,
        /// What it is.
        program: String,
    },
    /// The kernel does not allow it, or to look at it.
    #[error("cannot end process {pid}: run this as root, or as the user that it runs as")]
    Refused {
        /// Which.
        pid: u32,
        /// From the kernel.
        #[source]
        source: io::Error,
    },
    /// It was told to end and is still there: it hangs in the kernel.
    #[error("process {pid} is killed, but not gone after {waited:?}")]
    StillThere {
        /// Which.
        pid: u32,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Kills the process `pid`, if it runs one of these programs and has the file `lock` locked, and
/// waits until it is gone; with it go its namespaces, TAPs and sockets. A process that is gone
/// already is fine. What is looked at and what is killed is the same process, even where its
/// number was given to another meanwhile.
///
/// # Errors
/// Where it is not that process, may not be ended, or does not end within `patience`.
pub fn kill_holder(
    pid: u32,
    programs: &[&OsStr],
    lock: &Path,
    patience: Duration,
) -> Result<(), KillError> {
    let refused = |source| KillError::Refused { pid, source };
    let not_holder = || KillError::NotHolder { pid, lock: lock.into() };
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(not_holder)?;
    let process = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(refused(error.into())),
    };
    if !holds(pid, lock).map_err(refused)? {
        return Err(not_holder());
    }
    let program = program(pid).map_err(refused)?;
    if !programs.iter().any(|known| program.as_os_str() == *known) {
        let program = program.display().to_string();
        return Err(KillError::NotOurs { pid, lock: lock.into(), program });
    }
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(refused(error.into())),
    }
    // Readable once the process has ended.
    let ended = PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN);
    let timeout = Timespec::try_from(patience).ok();
    match poll(&mut [ended], timeout.as_ref()) {
        Ok(0) => Err(KillError::StillThere { pid, waited: patience }),
        Ok(_) => Ok(()),
        Err(error) => Err(refused(error.into())),
    }
}

/// Whether the process has the file open and locked, as the kernel says.
fn holds(pid: u32, lock: &Path) -> io::Result<bool> {
    let wanted = fs::metadata(lock)?;
    let open = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(open) => open,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in open.flatten() {
        // A descriptor may be closed while we look.
        let Ok(found) = fs::metadata(entry.path()) else { continue };
        if (found.dev(), found.ino()) != (wanted.dev(), wanted.ino()) {
            continue;
        }
        let told = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(entry.file_name());
        if fs::read_to_string(told).is_ok_and(|told| is_locked(&told)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether this is what the kernel says of a descriptor that holds a lock.
fn is_locked(told: &str) -> bool {
    let mut locks = told.lines().filter(|line| line.starts_with("lock:"));
    locks.any(|line| line.contains("FLOCK") && line.contains("WRITE"))
}

/// The name of the file that the process runs, also where that was replaced since.
fn program(pid: u32) -> io::Result<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(name.trim_end_matches(" (deleted)").into())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        process::{Child, Command, Stdio},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A process that has the file open, and locked.
    fn holder_of(path: &Path) -> Child {
        let file = File::create(path).unwrap();
        file.try_lock().unwrap();
        // The lock belongs to the open file, which the child shares.
        Command::new("cat").stdin(Stdio::piped()).stdout(file).spawn().unwrap()
    }

    #[test]
    fn only_the_holder_of_the_lock_is_killed_and_only_if_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, other) = (dir.path().join("lock"), dir.path().join("other"));
        File::create(&other).unwrap();
        let mut child = holder_of(&lock);
        let pid = child.id();
        let ours = [OsStr::new("cat"), OsStr::new("coreutils"), OsStr::new("busybox")];
        let wrong_file = kill_holder(pid, &ours, &other, PATIENCE);
        assert!(matches!(wrong_file, Err(KillError::NotHolder { .. })), "{wrong_file:?}");
        let wrong_process = kill_holder(std::process::id(), &ours, &lock, PATIENCE);
        assert!(matches!(wrong_process, Err(KillError::NotHolder { .. })), "{wrong_process:?}");
        let wrong_program = kill_holder(pid, &[OsStr::new("morgana")], &lock, PATIENCE);
        assert!(matches!(wrong_program, Err(KillError::NotOurs { .. })), "{wrong_program:?}");
        assert!(child.try_wait().unwrap().is_none(), "it is still there");
        kill_holder(pid, &ours, &lock, PATIENCE).unwrap();
        assert!(!child.wait().unwrap().success());
        kill_holder(pid, &ours, &lock, PATIENCE).unwrap();
    }

    #[test]
    fn a_file_that_is_open_and_not_locked_makes_no_holder() {
        assert!(is_locked("pos:\t0\nlock:\t1: FLOCK  ADVISORY  WRITE 7 00:21:9 0 EOF\n"));
        assert!(!is_locked("pos:\t0\nlock:\t1: POSIX  ADVISORY  READ 7 00:21:9 0 EOF\n"));
        assert!(!is_locked("pos:\t0\nflags:\t02\n"));
    }
}

//! Listening: TCP, and the socket file with its owner's rights.
//!
//! A socket file is replaced only when nobody listens on it any more, and taken away in the end
//! only while it is still ours.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    },
};

use super::{StartError, UnixListenAt, credentials};
use crate::auth::PeerAddress;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long another that starts may hold the lock.
const LOCK_LIMIT: Duration = Duration::from_secs(1);
/// How often it is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Listens on `addr`.
pub(super) fn tcp(addr: SocketAddr) -> Result<TcpListener, StartError> {
    let listening = || {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listening().map_err(|source| StartError::Tcp { addr, source })
}

/// A socket file that is listened on; dropping it takes the file away.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode: tell whether the file is still ours.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it fails there is nothing left to do, and the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket file and listens on it.
pub(super) fn unix(at: &UnixListenAt) -> Result<SocketFile, StartError> {
    let failed = |source| StartError::Unix { path: at.path.clone(), source };
    let group = at.group.as_deref().map(group_id).transpose()?;
    let _alone = Lock::take(&at.path).map_err(failed)?;
    remove_stale(&at.path)?;
    bind_file(at, group).map_err(failed)
}

/// Two that start at once must not take each other's fresh file for a stale one, so they lock
/// `<path>.lock`. Not the directory, which anybody may lock who can read it.
#[derive(Debug)]
struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    fn take(socket: &Path) -> io::Result<Self> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        Self::wait_for(&path).map_err(|error| {
            let (kind, path) = (error.kind(), path.display());
            io::Error::new(kind, format!("cannot lock `{path}`: {error}"))
        })
    }

    fn wait_for(path: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match Self::try_take(path)? {
                Some(lock) => return Ok(lock),
                None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
                None => std::thread::sleep(LOCK_PAUSE),
            }
        }
    }

    /// None where somebody has it.
    fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        // Whoever had it before took the file away, maybe this one.
        let held = file.metadata()?;
        let same = identity(path).is_ok_and(|present| present == (held.dev(), held.ino()));
        Ok(same.then(|| Self { file, path: path.into() }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked, so that nobody gets a file that is not there any more.
        let _ = std::fs::remove_file(&self.path);
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The file has its final rights before anybody can connect: `listen` comes last.
fn bind_file(at: &UnixListenAt, group: Option<u32>) -> io::Result<SocketFile> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(&at.path)?)?;
    let listener = UnixListener::from(socket);
    let file = SocketFile { listener, path: at.path.clone(), identity: identity(&at.path)? };
    if group.is_some() {
        std::os::unix::fs::chown(&at.path, None, group)?;
    }
    std::fs::set_permissions(&at.path, std::fs::Permissions::from_mode(at.mode))?;
    listen(&file.listener, BACKLOG)?;
    Ok(file)
}

/// Removes a socket file on which nobody listens; an error where somebody does.
fn remove_stale(path: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Unix { path: path.into(), source };
    match knock(path).map_err(failed)? {
        Ok(holder) => Err(held_by(path, holder)),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::CONNREFUSED) if is_socket(path) => std::fs::remove_file(path).map_err(failed),
        // Somebody listens, who accepts nobody.
        Err(Errno::WOULDBLOCK) => Err(failed(Errno::ADDRINUSE.into())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Connects without waiting for whoever listens.
fn knock(path: &Path) -> io::Result<Result<UnixStream, Errno>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let connected = connect(&socket, &SocketAddrUnix::new(path)?);
    Ok(connected.map(|()| UnixStream::from(socket)))
}

fn held_by(path: &Path, holder: UnixStream) -> StartError {
    let path = path.into();
    match credentials::peer_of(holder) {
        Ok(PeerAddress::Unix { uid, pid, .. }) => {
            StartError::Held { path, pid: pid.unwrap_or_default(), uid }
        }
        Ok(PeerAddress::Tcp(_)) => StartError::Unix { path, source: io::ErrorKind::Other.into() },
        Err(source) => StartError::Unix { path, source },
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = std::fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// The number of a group; by name as in `/etc/group`.
fn group_id(group: &str) -> Result<u32, StartError> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| StartError::Group { group: group.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_or_number() {
        assert_eq!(group_id("root").unwrap(), 0);
        assert_eq!(group_id("4711").unwrap(), 4711);
        assert!(matches!(group_id("no such group"), Err(StartError::Group { .. })));
    }
}

//! Directories that an ordinary user takes over, with what an earlier run as root left in them.
//!
//! The user may have planted anything there, and root walks it: links are not followed, a file
//! with two names keeps its owner (the other name may be elsewhere), and of everything only what
//! belongs to root changes hands. Each step is made from the descriptor of the last.

use std::{
    io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::fs::DirBuilderExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat};

use super::Account;

/// Deepest that directories go into each other.
const MAX_DEPTH: usize = 16;

/// A directory that could not be taken over.
#[derive(Debug, thiserror::Error)]
#[error("cannot give `{path}` to the user `{user}`")]
pub struct HandOverError {
    path: PathBuf,
    user: String,
    #[source]
    source: io::Error,
}

/// Makes the directory, if it is not there, for its owner alone, and gives it to the account
/// with everything in it that is root's.
///
/// # Errors
/// Where a part of it cannot be made, read or given.
pub fn hand_over(path: &Path, account: &Account) -> Result<(), HandOverError> {
    let make = || {
        // Who may enter what is above it is not decided here.
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    };
    let walk = || {
        let top = openat(CWD, path, DIRECTORY, Mode::empty())?;
        give(top.as_fd(), account)?;
        give_contents(top.as_fd(), account, MAX_DEPTH)
    };
    let user = account.name.clone();
    make().and_then(|()| walk()).map_err(|source| HandOverError { path: path.into(), user, source })
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const ANYTHING: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn give_contents(directory: BorrowedFd<'_>, account: &Account, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other("directories are nested too deeply"));
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        let found = openat(directory, name, ANYTHING, Mode::empty())?;
        give(found.as_fd(), account)?;
        if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Directory {
            // Through the descriptor that was looked at: its name may be another's by now.
            let inside = openat(&found, c".", DIRECTORY, Mode::empty())?;
            give_contents(inside.as_fd(), account, depth - 1)?;
        }
    }
    Ok(())
}

fn give(what: BorrowedFd<'_>, account: &Account) -> io::Result<()> {
    let stat = fstat(what)?;
    let may_change = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => true,
        FileType::RegularFile | FileType::Socket => stat.st_nlink == 1,
        _ => false,
    };
    if stat.st_uid == 0 && may_change {
        let (user, group) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        chownat(what, c"", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn what_root_left_changes_hands_and_nothing_else_does() {
        if !super::super::is_root() {
            eprintln!("skipped: giving files away needs root");
            return;
        }
        let lab = tempfile::tempdir().unwrap();
        let (outside, data) = (lab.path().join("outside"), lab.path().join("data"));
        fs::write(&outside, "not theirs").unwrap();
        fs::create_dir_all(data.join("streams/a")).unwrap();
        fs::write(data.join("streams/a/1"), "").unwrap();
        fs::hard_link(&outside, data.join("hard")).unwrap();
        std::os::unix::fs::symlink(&outside, data.join("soft")).unwrap();
        std::os::unix::fs::symlink("/etc", data.join("etc")).unwrap();
        fs::write(data.join("third"), "").unwrap();
        std::os::unix::fs::chown(data.join("third"), Some(4712), None).unwrap();

        let account = Account { name: "t".into(), uid: 4711, gid: 4711, groups: vec![] };
        hand_over(&data, &account).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        for theirs in ["", "streams", "streams/a", "streams/a/1"] {
            assert_eq!(owner(&data.join(theirs)), 4711, "{theirs}");
        }
        assert_eq!(owner(&data.join("third")), 4712);
        assert_eq!(owner(&outside), 0, "by a second name");
        assert_eq!(owner(Path::new("/etc")), 0, "by a link");

        let new = lab.path().join("new/deep");
        hand_over(&new, &account).unwrap();
        assert_eq!((owner(&new), fs::metadata(&new).unwrap().mode() & 0o777), (4711, 0o700));
        assert_eq!(owner(&lab.path().join("new")), 0);
    }
}

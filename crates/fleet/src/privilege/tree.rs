//! Directories that an ordinary user takes over, with what an earlier run as root left in them.
//!
//! The user may have planted anything there, and root walks it: within the directory no link is
//! followed, a file with two names keeps its owner (the other name may be elsewhere), and of
//! everything only what belongs to root changes hands. On the way to it a link is followed only
//! as long as nobody but root could have put it there, and the directory itself is never one.
//! Each step is made from the descriptor of the last.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, mkdirat, openat,
        readlinkat,
    },
    io::Errno,
};

use super::Account;

/// Deepest that directories go into each other.
const MAX_DEPTH: usize = 16;
/// Most links on the way to a directory, as in the kernel.
const MAX_LINKS: usize = 40;

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
/// Where a part of it cannot be made, read or given, and where it is a link, or others than root
/// may have put one on the way to it.
pub fn hand_over(path: &Path, account: &Account) -> Result<(), HandOverError> {
    let walk = || {
        let top = find(path, Missing::Make)?;
        give(top.as_fd(), account)?;
        give_contents(top.as_fd(), account, MAX_DEPTH)
    };
    let user = account.name.clone();
    walk().map_err(|source| HandOverError { path: path.into(), user, source })
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make it, and those above it.
    Make,
    /// Leave it.
    Refuse,
}

/// The directory at this path, without a link that others than root may have put there.
///
/// # Errors
/// Where there is such a link, or no such directory.
pub(super) fn find(path: &Path, missing: Missing) -> io::Result<OwnedFd> {
    let path = std::path::absolute(path)?;
    let mut at = openat(CWD, c"/", DIRECTORY, Mode::empty())?;
    let mut way: VecDeque<OsString> = names(&path).collect();
    // Once somebody else may have had a hand in it, that stays so.
    let (mut roots_alone, mut links) = (true, 0);
    while let Some(name) = way.pop_front() {
        roots_alone &= is_roots_alone(&fstat(&at)?);
        let is_last = way.is_empty();
        if missing == Missing::Make {
            // Who may enter what is above it is not decided here.
            let mode = if is_last { Mode::RWXU } else { Mode::from_raw_mode(0o777) };
            match mkdirat(&at, &name, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = openat(&at, &name, ANYTHING, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Symlink {
            at = found;
            continue;
        }
        links += 1;
        if is_last || !roots_alone || links > MAX_LINKS {
            let name = name.display();
            return Err(io::Error::other(format!("`{name}`, a part of that path, is a link")));
        }
        let to =
            PathBuf::from(OsString::from_vec(readlinkat(&found, c"", Vec::new())?.into_bytes()));
        if to.is_absolute() {
            at = openat(CWD, c"/", DIRECTORY, Mode::empty())?;
        }
        names(&to).rev().for_each(|name| way.push_front(name));
    }
    Ok(openat(&at, c".", DIRECTORY, Mode::empty())?)
}

/// The steps of a path that lead anywhere.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

/// Whether nobody else can put anything into the directory.
fn is_roots_alone(directory: &Stat) -> bool {
    directory.st_uid == 0 && directory.st_mode & 0o022 == 0
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
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    };

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
        symlink(&outside, data.join("soft")).unwrap();
        symlink("/etc", data.join("etc")).unwrap();
        fs::write(data.join("third"), "").unwrap();
        chown(data.join("third"), Some(4712), None).unwrap();

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

    /// A directory that is the user's, in one that is root's alone, and root's treasure.
    fn lab_of_a_user() -> Option<(tempfile::TempDir, Account)> {
        if !super::super::is_root() {
            eprintln!("skipped: giving files away needs root");
            return None;
        }
        let lab = tempfile::tempdir_in("/run").unwrap();
        for (directory, owner) in [("treasure", 0), ("home", 4711), ("home/data", 4711)] {
            fs::create_dir(lab.path().join(directory)).unwrap();
            chown(lab.path().join(directory), Some(owner), None).unwrap();
        }
        fs::write(lab.path().join("treasure/shadow"), "root's").unwrap();
        Some((lab, Account { name: "t".into(), uid: 4711, gid: 4711, groups: vec![] }))
    }

    #[test]
    fn a_link_that_the_user_planted_on_the_way_leads_nowhere() {
        let Some((lab, account)) = lab_of_a_user() else { return };
        let (treasure, home) = (lab.path().join("treasure"), lab.path().join("home"));
        symlink(&treasure, home.join("data/streams")).unwrap();
        symlink(lab.path(), home.join("above")).unwrap();
        fs::create_dir(home.join("roots")).unwrap();
        symlink(&treasure, home.join("roots/own")).unwrap();
        for planted in ["data/streams", "above/treasure", "above/new", "roots/own", "roots/own/x"] {
            let error = hand_over(&home.join(planted), &account).unwrap_err();
            let why = std::error::Error::source(&error).unwrap().to_string();
            assert!(why.contains("is a link"), "{planted}: {why}");
            assert_eq!(Account::owner_of(&home.join(planted)), None, "{planted}");
        }
        for kept in ["treasure", "treasure/shadow"] {
            assert_eq!(fs::metadata(lab.path().join(kept)).unwrap().uid(), 0, "{kept}");
        }
        let made = lab.path().join("new").exists() || treasure.join("x").exists();
        assert!(!made, "nothing is made where a planted link leads to");
    }

    #[test]
    fn a_link_of_roots_on_the_way_is_followed_as_long_as_it_is_roots_alone() {
        let Some((lab, account)) = lab_of_a_user() else { return };
        symlink("home/../home", lab.path().join("way")).unwrap();
        symlink("circle", lab.path().join("circle")).unwrap();
        let data = lab.path().join("way/data");
        assert_eq!(Account::owner_of(&data).unwrap().uid, 4711);
        fs::write(data.join("left"), "").unwrap();
        hand_over(&data, &account).unwrap();
        assert_eq!(fs::metadata(data.join("left")).unwrap().uid(), 4711);
        hand_over(&lab.path().join("circle/x"), &account).unwrap_err();

        fs::set_permissions(lab.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        hand_over(&data, &account).unwrap_err();
    }
}

//! The file system as one FTP login sees it: paths of any bytes, `~`, the umask, and the
//! changed root of guests. Owns where the visitor stands; knows nothing of replies.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use model::{Persona, Timestamp};

use crate::shell::{
    fs::{Fs, FsError, Kind, READ, WRITE, Who, home_of, join},
    limits::MAX_FILE_BYTES,
    machine::Machine,
};

/// Where guests are locked in.
const GUEST_ROOT: &str = "/srv/ftp";

/// The account `ftp` of Debian.
const GUEST: Who = Who { uid: 105, gid: 113 };

/// Root, who prepares the guests' directory.
const ROOT: Who = Who { uid: 0, gid: 0 };

/// Bytes that are no UTF-8 become characters of this private area, and back.
const FOREIGN: u32 = 0xf700;

/// vsftpd's `local_umask`.
const UMASK: u32 = 0o077;

/// A file system and who uses it from where.
pub(super) struct Files {
    fs: Fs,
    who: Who,
    home: String,
    root: &'static str,
    cwd: String,
    /// Mode bits that new entries do not get.
    pub(super) umask: u32,
}

/// One line of a listing.
pub(super) struct Row {
    /// Name within its directory.
    pub(super) name: String,
    /// Type letter as `ls -l` prints it.
    pub(super) letter: char,
    /// Where a symbolic link points.
    pub(super) target: Option<String>,
    /// Permission bits.
    pub(super) mode: u32,
    /// Hard links.
    pub(super) links: usize,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Size in bytes.
    pub(super) size: u64,
    /// Last change.
    pub(super) modified: Timestamp,
}

impl Files {
    /// As `user` with `uid` at home.
    pub(super) fn of_account(
        persona: Arc<Persona>,
        user: &str,
        uid: u32,
        local: IpAddr,
        peer: IpAddr,
        now: Timestamp,
    ) -> Self {
        let machine = Arc::new(Machine::new(persona, local, peer, user.to_owned(), now));
        let home = home_of(user);
        let who = Who { uid, gid: uid };
        Self { fs: Fs::new(machine), who, cwd: home.clone(), home, root: "", umask: UMASK }
    }

    /// As a guest, who sees little and changes nothing.
    pub(super) fn of_guest(
        persona: Arc<Persona>,
        local: IpAddr,
        peer: IpAddr,
        now: Timestamp,
    ) -> Self {
        let installed = persona.installed_at;
        let machine = Arc::new(Machine::new(persona, local, peer, "ftp".to_owned(), now));
        let mut fs = Fs::new(machine);
        for dir in [GUEST_ROOT, "/srv/ftp/pub"] {
            // A fresh image has room for two directories.
            let _ = fs.mkdir(ROOT, "/", dir, installed);
        }
        let home = "/".to_owned();
        Self { fs, who: GUEST, cwd: home.clone(), home, root: GUEST_ROOT, umask: UMASK }
    }

    /// The working directory as the visitor sees it.
    pub(super) fn cwd(&self) -> &str {
        &self.cwd
    }

    /// The path that the file system knows, from one that the visitor sent.
    fn place(&self, path: &str) -> String {
        let path: Cow<'_, str> = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{}{rest}", self.home).into()
            }
            _ => path.into(),
        };
        if self.root.is_empty() || path.is_empty() {
            return path.into_owned();
        }
        let seen = if path.starts_with('/') { path } else { join(&self.cwd, &path).into() };
        let mut kept: Vec<&str> = Vec::new();
        for part in seen.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                kept.pop();
            } else {
                kept.push(part);
            }
        }
        if kept.is_empty() {
            self.root.to_owned()
        } else {
            format!("{}/{}", self.root, kept.join("/"))
        }
    }

    /// The path as the visitor sees it, from a resolved one.
    fn shown(&self, resolved: &str) -> String {
        let rest = resolved.strip_prefix(self.root).unwrap_or(resolved);
        if rest.is_empty() { "/".to_owned() } else { rest.to_owned() }
    }

    /// The absolute path of an entry that need not exist, as the visitor sees it.
    pub(super) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { join(&self.cwd, path) }
    }

    /// Changes the working directory.
    pub(super) fn enter(&mut self, path: &str) -> Result<(), FsError> {
        let (dir, node) = self.fs.find(self.who, &self.cwd, &self.place(path))?;
        if !node.is_dir() {
            return Err(FsError::NotDir);
        }
        if !self.fs.may(self.who, &dir, crate::shell::fs::EXECUTE) {
            return Err(FsError::Denied);
        }
        self.cwd = self.shown(&dir);
        Ok(())
    }

    /// What a regular file holds.
    pub(super) fn read(&self, path: &str, now: Timestamp) -> Result<Vec<u8>, FsError> {
        let path = self.place(path);
        let (_, node) = self.fs.find(self.who, &self.cwd, &path)?;
        if !matches!(node.kind, Kind::File(_)) {
            return Err(FsError::Invalid);
        }
        self.fs.read(self.who, &self.cwd, &path, now, MAX_FILE_BYTES)
    }

    /// Size and time of a regular file.
    pub(super) fn stat(&self, path: &str, now: Timestamp) -> Result<(u64, Timestamp), FsError> {
        let (path, node) = self.fs.find(self.who, &self.cwd, &self.place(path))?;
        if !matches!(node.kind, Kind::File(_)) {
            return Err(FsError::Invalid);
        }
        Ok((self.fs.size(&path, node, now), self.fs.modified(&path, node, now)))
    }

    /// Opens a regular file for writing as `open(O_CREAT)` does, emptied where `empty` is set.
    pub(super) fn create(
        &mut self,
        path: &str,
        empty: bool,
        now: Timestamp,
    ) -> Result<(), FsError> {
        let path = self.place(path);
        let resolved = self.fs.resolve(self.who, &self.cwd, &path, true)?;
        match self.fs.node(&resolved) {
            Some(node) if !matches!(node.kind, Kind::File(_)) => return Err(FsError::Invalid),
            Some(_) if !self.fs.may(self.who, &resolved, WRITE) => return Err(FsError::Denied),
            Some(_) if !empty => return Ok(()),
            Some(_) => {
                self.fs.write(self.who, "/", &resolved, b"", false, now)?;
            }
            None => {
                self.fs.write(self.who, "/", &resolved, b"", false, now)?;
                self.fs.chmod(self.who, &resolved, 0o666 & !self.umask)?;
            }
        }
        Ok(())
    }

    /// Puts `bytes` at `offset` of a file, or at its end where `offset` is none.
    pub(super) fn put(
        &mut self,
        path: &str,
        offset: Option<u64>,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), FsError> {
        let path = self.place(path);
        let resolved = self.fs.resolve(self.who, &self.cwd, &path, true)?;
        let Some(offset) = offset else {
            return self.fs.write(self.who, "/", &resolved, bytes, true, now).map(drop);
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if offset > MAX_FILE_BYTES {
            return Err(FsError::NoSpace);
        }
        // Whoever may write a file need not be able to read it.
        let mut whole = if offset > 0 {
            self.fs.read(ROOT, "/", &resolved, now, MAX_FILE_BYTES)?
        } else {
            Vec::new()
        };
        let end = offset + bytes.len();
        whole.resize(whole.len().max(end), 0);
        whole[offset..end].copy_from_slice(bytes);
        self.fs.write(self.who, "/", &resolved, &whole, false, now).map(drop)
    }

    /// Whether something is there.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.fs.find_link(self.who, &self.cwd, &self.place(path)).is_ok()
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, path: &str) -> Result<(), FsError> {
        self.fs.unlink(self.who, &self.cwd, &self.place(path))
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&mut self, path: &str) -> Result<(), FsError> {
        self.fs.rmdir(self.who, &self.cwd, &self.place(path))
    }

    /// Makes a directory.
    pub(super) fn make_dir(&mut self, path: &str, now: Timestamp) -> Result<(), FsError> {
        let path = self.fs.mkdir(self.who, &self.cwd, &self.place(path), now)?;
        self.fs.chmod(self.who, &path, 0o777 & !self.umask)
    }

    /// Moves an entry.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), FsError> {
        self.fs.rename(self.who, &self.cwd, &self.place(from), &self.place(to))
    }

    /// Sets mode bits.
    pub(super) fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), FsError> {
        let path = self.fs.resolve(self.who, &self.cwd, &self.place(path), true)?;
        self.fs.chmod(self.who, &path, mode & 0o7777)
    }

    /// Sets the time of the last change.
    pub(super) fn set_time(&mut self, path: &str, at: Timestamp) -> Result<(), FsError> {
        let path = self.fs.resolve(self.who, &self.cwd, &self.place(path), true)?;
        self.fs.set_time(self.who, &path, at)
    }

    /// The entries of a directory, `.` and `..` included, by name.
    pub(super) fn rows(&self, dir: &str, now: Timestamp) -> Result<Vec<Row>, FsError> {
        let (dir, node) = self.fs.find(self.who, &self.cwd, &self.place(dir))?;
        if !node.is_dir() {
            return Err(FsError::NotDir);
        }
        if !self.fs.may(self.who, &dir, READ) {
            return Err(FsError::Denied);
        }
        let up = if dir == self.root { dir.as_str() } else { crate::shell::fs::parent(&dir) };
        let mut rows: Vec<Row> = [(".", dir.as_str()), ("..", up)]
            .into_iter()
            .filter_map(|(name, path)| self.row(name, path, now))
            .collect();
        let names = self.fs.names(&dir);
        rows.extend(names.iter().filter_map(|name| self.row(name, &join(&dir, name), now)));
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    fn row(&self, name: &str, path: &str, now: Timestamp) -> Option<Row> {
        let node = self.fs.node(path)?;
        let (letter, links, target) = match &node.kind {
            Kind::Dir => {
                let is_dir = |name: &String| {
                    self.fs.node(&join(path, name)).is_some_and(crate::shell::fs::Node::is_dir)
                };
                ('d', 2 + self.fs.names(path).iter().filter(|name| is_dir(name)).count(), None)
            }
            Kind::File(_) => ('-', 1, None),
            Kind::Link(target) => ('l', 1, Some(target.to_string())),
            Kind::Device(crate::shell::fs::Device::Disk, ..) => ('b', 1, None),
            Kind::Device(..) => ('c', 1, None),
        };
        Some(Row {
            name: name.to_owned(),
            letter,
            target,
            mode: node.mode,
            links,
            uid: node.uid,
            gid: node.gid,
            size: self.fs.size(path, node, now),
            modified: self.fs.modified(path, node, now),
        })
    }
}

/// A visitor's bytes as text that the file system can hold.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|b| char::from_u32(FOREIGN + u32::from(*b))));
    }
    text
}

/// The bytes that a text stands for.
pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut utf8 = [0; 4];
    for c in text.chars() {
        match u8::try_from((c as u32).wrapping_sub(FOREIGN)) {
            Ok(foreign) if foreign >= 0x80 => bytes.push(foreign),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    bytes
}

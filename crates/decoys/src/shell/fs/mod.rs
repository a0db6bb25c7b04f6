//! The file system that a visitor sees: a base image that all deckies share, whose texts and
//! times come from the persona, and on top what this session changed. Owns paths, permissions
//! and bounds; knows nothing of commands or of FTP.

mod binary;
mod image;
mod node;
mod proc;
mod servers;
mod texts;

pub(crate) use binary::noise;
pub(crate) use image::home_of;
pub(crate) use node::{Content, Device, EXECUTE, FsError, Kind, Node, READ, Stamp, WRITE, Who};
pub(crate) use proc::mounts;
pub(crate) use texts::MOTD;

use binary::program;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use model::Timestamp;

use super::{limits, machine::Machine};

type Found<T> = Result<T, FsError>;

/// The file system of one session.
pub(crate) struct Fs {
    machine: Arc<Machine>,
    base: &'static BTreeMap<&'static str, Node>,
    changed: BTreeMap<String, Option<Node>>,
    bytes: usize,
}

impl Fs {
    /// The file system of `machine` as nobody has touched it.
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        let changed = image::own(&machine);
        Self { machine, base: image::base(), changed, bytes: 0 }
    }

    /// The entry at a resolved path.
    pub(crate) fn node(&self, path: &str) -> Option<&Node> {
        match self.changed.get(path) {
            Some(changed) => changed.as_ref(),
            None => self.base.get(path),
        }
    }

    /// The absolute path without links, `.` and `..`. The last component need not exist; it is
    /// followed where it is a link and `follow` is set.
    pub(crate) fn resolve(&self, who: Who, cwd: &str, path: &str, follow: bool) -> Found<String> {
        if path.is_empty() {
            return Err(FsError::NotFound);
        }
        if path.len() > limits::MAX_PATH_BYTES {
            return Err(FsError::NameTooLong);
        }
        let mut links = 0;
        let start = if path.starts_with('/') { "" } else { cwd.trim_end_matches('/') };
        let must_be_dir = path.ends_with('/');
        let mut done = start.to_owned();
        let mut todo: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        while let Some(part) = todo.pop() {
            let here = if done.is_empty() { "/" } else { &done };
            let dir = self.node(here).ok_or(FsError::NotFound)?;
            if !dir.is_dir() {
                return Err(FsError::NotDir);
            }
            if !dir.allows(who, EXECUTE) {
                return Err(FsError::Denied);
            }
            match part.as_str() {
                "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                name if name.len() > limits::MAX_NAME_BYTES => return Err(FsError::NameTooLong),
                name => {
                    done.push('/');
                    done.push_str(name);
                }
            }
            let last = todo.is_empty();
            let Some(node) = self.node(&done) else {
                if last {
                    break;
                }
                return Err(FsError::NotFound);
            };
            if let Kind::Link(target) = &node.kind
                && (!last || follow || must_be_dir)
            {
                links += 1;
                if links > limits::MAX_LINKS {
                    return Err(FsError::Loop);
                }
                done.truncate(done.rfind('/').unwrap_or(0));
                if target.starts_with('/') {
                    done.clear();
                }
                todo.extend(parts(target).rev().map(str::to_owned));
            }
        }
        if done.is_empty() {
            done.push('/');
        }
        if must_be_dir && self.node(&done).is_some_and(|n| !n.is_dir()) {
            return Err(FsError::NotDir);
        }
        Ok(done)
    }

    /// The entry that a path names, with its resolved path.
    pub(crate) fn find(&self, who: Who, cwd: &str, path: &str) -> Found<(String, &Node)> {
        let path = self.resolve(who, cwd, path, true)?;
        let node = self.node(&path).ok_or(FsError::NotFound)?;
        Ok((path, node))
    }

    /// The same, but a link itself where the path names one.
    pub(crate) fn find_link(&self, who: Who, cwd: &str, path: &str) -> Found<(String, &Node)> {
        let path = self.resolve(who, cwd, path, false)?;
        let node = self.node(&path).ok_or(FsError::NotFound)?;
        Ok((path, node))
    }

    /// Whether `who` may do `bit` with the entry at a resolved path.
    pub(crate) fn may(&self, who: Who, path: &str, bit: u32) -> bool {
        self.node(path).is_some_and(|node| node.allows(who, bit))
    }

    /// What a file holds; devices give at most `most` bytes.
    pub(crate) fn read(
        &self,
        who: Who,
        cwd: &str,
        path: &str,
        now: Timestamp,
        most: usize,
    ) -> Found<Vec<u8>> {
        let (path, node) = self.find(who, cwd, path)?;
        if node.is_dir() {
            return Err(FsError::IsDir);
        }
        if !node.allows(who, READ) {
            return Err(FsError::Denied);
        }
        Ok(match &node.kind {
            Kind::File(content) => self.bytes_of(&path, content, now),
            Kind::Device(Device::Zero | Device::Full, ..) => vec![0; most],
            Kind::Device(Device::Random | Device::Memory | Device::Disk, ..) => {
                noise(now.as_micros() as u64 ^ self.machine.draw(&path), most)
            }
            Kind::Device(Device::Null | Device::Terminal, ..) | Kind::Dir | Kind::Link(_) => {
                Vec::new()
            }
        })
    }

    fn bytes_of(&self, path: &str, content: &Content, now: Timestamp) -> Vec<u8> {
        match content {
            Content::Fixed(text) => text.as_bytes().to_vec(),
            Content::Made(make) => make(&self.machine, now).into_bytes(),
            Content::Program(size) => program(path, *size),
            Content::Own(bytes) => bytes.clone(),
        }
    }

    /// Size as `ls -l` shows it.
    pub(crate) fn size(&self, path: &str, node: &Node, now: Timestamp) -> u64 {
        match &node.kind {
            Kind::Dir if virtual_fs(path) || path.starts_with("/dev") => 0,
            Kind::Dir => 4096,
            Kind::Link(target) => target.len() as u64,
            Kind::Device(..) => 0,
            Kind::File(_) if path.starts_with("/proc/") => 0,
            Kind::File(_) if path.starts_with("/sys/") => 4096,
            Kind::File(Content::Fixed(text)) => text.len() as u64,
            Kind::File(Content::Program(size)) => u64::from(*size),
            Kind::File(Content::Own(bytes)) => bytes.len() as u64,
            Kind::File(Content::Made(make)) => make(&self.machine, now).len() as u64,
        }
    }

    /// When an entry changed last.
    pub(crate) fn modified(&self, path: &str, node: &Node, now: Timestamp) -> Timestamp {
        use std::time::Duration;
        let persona = &self.machine.persona;
        match node.stamp {
            Stamp::Installed(after) => {
                let spread = self.machine.draw(path) % 600;
                persona.installed_at.plus(Duration::from_secs(u64::from(after) + spread))
            }
            Stamp::Booted(after) => persona.booted_at.plus(Duration::from_secs(u64::from(after))),
            Stamp::Now => now,
            Stamp::At(at) => at,
        }
    }

    /// The inode number of an entry: stable within a machine.
    pub(crate) fn inode(&self, path: &str) -> u64 {
        if path == "/" { 2 } else { 131_073 + self.machine.draw(path) % 1_300_000 }
    }

    /// The names in a directory at a resolved path, sorted by byte.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let prefix = if dir == "/" { "/".to_owned() } else { format!("{dir}/") };
        let mut names = std::collections::BTreeSet::new();
        let child = |path: &str| {
            let name = path.strip_prefix(&prefix)?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        };
        for (path, _) in self.base.range(prefix.as_str()..) {
            if !path.starts_with(&prefix) {
                break;
            }
            names.extend(child(path));
        }
        for (path, node) in self.changed.range(prefix.clone()..) {
            if !path.starts_with(&prefix) {
                break;
            }
            if let Some(name) = child(path) {
                match node {
                    Some(_) => names.insert(name),
                    None => names.remove(&name),
                };
            }
        }
        names.into_iter().collect()
    }

    /// Writes a file, new or not. Gives its resolved path, or none where the bytes went to a
    /// device.
    pub(crate) fn write(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        bytes: &[u8],
        append: bool,
        now: Timestamp,
    ) -> Found<Option<String>> {
        let path = self.resolve(who, cwd, path, true)?;
        let Some(node) = self.node(&path) else {
            let node = self.create(who, &path, Kind::File(Content::Own(Vec::new())), 0o644, now)?;
            return self.store(path, node, bytes.to_vec(), now).map(Some);
        };
        if !node.allows(who, WRITE) {
            return Err(FsError::Denied);
        }
        match &node.kind {
            Kind::Dir => Err(FsError::IsDir),
            Kind::Device(Device::Full, ..) if !bytes.is_empty() => Err(FsError::NoSpace),
            Kind::Device(Device::Memory | Device::Disk, ..) => Err(FsError::NotPermitted),
            Kind::Device(..) | Kind::Link(_) => Ok(None),
            Kind::File(_) if path.starts_with("/sys/") => Err(FsError::Denied),
            Kind::File(_) if virtual_fs(&path) => {
                let tunable = path.starts_with("/proc/sys/") || path.ends_with("oom_score_adj");
                if tunable || bytes.is_empty() { Ok(None) } else { Err(FsError::Io) }
            }
            Kind::File(content) => {
                let mut whole =
                    if append { self.bytes_of(&path, content, now) } else { Vec::new() };
                whole.extend_from_slice(bytes);
                let node = node.clone();
                self.store(path, node, whole, now).map(Some)
            }
        }
    }

    fn store(
        &mut self,
        path: String,
        mut node: Node,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Found<String> {
        let before = self.own_bytes(&path);
        if bytes.len() > limits::MAX_FILE_BYTES
            || self.bytes - before + bytes.len() > limits::MAX_FILES_BYTES
        {
            return Err(FsError::NoSpace);
        }
        node.kind = Kind::File(Content::Own(bytes));
        node.stamp = Stamp::At(now);
        self.put(&path, Some(node))?;
        Ok(path)
    }

    fn own_bytes(&self, path: &str) -> usize {
        match self.changed.get(path) {
            Some(Some(Node { kind: Kind::File(Content::Own(bytes)), .. })) => bytes.len(),
            _ => 0,
        }
    }

    /// Puts an entry in place, or takes it away.
    fn put(&mut self, path: &str, node: Option<Node>) -> Found<()> {
        if self.changed.len() >= limits::MAX_ENTRIES && !self.changed.contains_key(path) {
            return Err(FsError::NoSpace);
        }
        self.bytes -= self.own_bytes(path);
        if node.is_none() && !self.base.contains_key(path) {
            self.changed.remove(path);
        } else {
            self.changed.insert(path.to_owned(), node);
        }
        self.bytes += self.own_bytes(path);
        Ok(())
    }

    /// The node for a new entry at a resolved path, after the checks that its directory asks for.
    fn create(&self, who: Who, path: &str, kind: Kind, mode: u32, now: Timestamp) -> Found<Node> {
        if self.node(path).is_some() {
            return Err(FsError::Exists);
        }
        let parent = parent(path);
        let dir = self.node(parent).ok_or(FsError::NotFound)?;
        if !dir.is_dir() {
            return Err(FsError::NotDir);
        }
        if virtual_fs(path) {
            let absent = path.starts_with("/proc");
            return Err(if absent { FsError::NotFound } else { FsError::Denied });
        }
        if !dir.allows(who, WRITE) {
            return Err(FsError::Denied);
        }
        Ok(Node { kind, mode, uid: who.uid, gid: who.gid, stamp: Stamp::At(now) })
    }

    /// Makes a directory.
    pub(crate) fn mkdir(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        now: Timestamp,
    ) -> Found<String> {
        let path = self.resolve(who, cwd, path.trim_end_matches('/'), false)?;
        let node = self.create(who, &path, Kind::Dir, 0o755, now)?;
        self.put(&path, Some(node))?;
        Ok(path)
    }

    /// Makes a symbolic link.
    pub(crate) fn link(
        &mut self,
        who: Who,
        cwd: &str,
        path: &str,
        target: &str,
        now: Timestamp,
    ) -> Found<()> {
        let path = self.resolve(who, cwd, path, false)?;
        let kind = Kind::Link(Cow::Owned(target.to_owned()));
        let node = self.create(who, &path, kind, 0o777, now)?;
        self.put(&path, Some(node))
    }

    /// Whether `who` may take the entry at a resolved path out of its directory.
    fn removable(&self, who: Who, path: &str) -> Found<&Node> {
        let node = self.node(path).ok_or(FsError::NotFound)?;
        if path == "/" || image::is_mount(path) {
            return Err(FsError::Busy);
        }
        let dir = self.node(parent(path)).ok_or(FsError::NotFound)?;
        if !dir.allows(who, WRITE) {
            return Err(FsError::Denied);
        }
        let sticky = dir.mode & 0o1000 != 0 && who.uid != 0;
        if virtual_fs(path) || sticky && who.uid != node.uid && who.uid != dir.uid {
            return Err(FsError::NotPermitted);
        }
        Ok(node)
    }

    /// Removes what is no directory.
    pub(crate) fn unlink(&mut self, who: Who, cwd: &str, path: &str) -> Found<()> {
        let path = self.resolve(who, cwd, path, false)?;
        if self.removable(who, &path)?.is_dir() {
            return Err(FsError::IsDir);
        }
        self.put(&path, None)
    }

    /// Removes an empty directory.
    pub(crate) fn rmdir(&mut self, who: Who, cwd: &str, path: &str) -> Found<()> {
        let path = self.resolve(who, cwd, path, false)?;
        if !self.removable(who, &path)?.is_dir() {
            return Err(FsError::NotDir);
        }
        if !self.names(&path).is_empty() {
            return Err(FsError::NotEmpty);
        }
        self.put(&path, None)
    }

    /// Moves an entry, with all that is in it, over what is at `to`.
    pub(crate) fn rename(&mut self, who: Who, cwd: &str, from: &str, to: &str) -> Found<()> {
        let from = self.resolve(who, cwd, from.trim_end_matches('/'), false)?;
        let to = self.resolve(who, cwd, to.trim_end_matches('/'), false)?;
        let node = self.removable(who, &from)?.clone();
        if from == to {
            return Ok(());
        }
        if to.starts_with(&format!("{from}/")) {
            return Err(FsError::Invalid);
        }
        if let Some(there) = self.node(&to) {
            match (node.is_dir(), there.is_dir()) {
                (true, false) => return Err(FsError::NotDir),
                (false, true) => return Err(FsError::IsDir),
                (true, true) if !self.names(&to).is_empty() => return Err(FsError::NotEmpty),
                _ => {}
            }
            self.removable(who, &to)?;
        } else {
            self.create(who, &to, Kind::Dir, 0, Timestamp::default())?;
        }
        for (path, node) in self.below(&from) {
            let target = format!("{to}{}", &path[from.len()..]);
            self.put(&path, None)?;
            self.put(&target, Some(node))?;
        }
        Ok(())
    }

    /// An entry and all below it, parents first.
    pub(crate) fn below(&self, path: &str) -> Vec<(String, Node)> {
        let mut found = Vec::new();
        let mut todo = vec![path.to_owned()];
        while let Some(path) = todo.pop() {
            let Some(node) = self.node(&path) else { continue };
            if node.is_dir() {
                let base = path.trim_end_matches('/');
                todo.extend(self.names(&path).iter().rev().map(|name| format!("{base}/{name}")));
            }
            found.push((path.clone(), node.clone()));
        }
        found
    }

    /// Changes mode bits, which only the owner and root may.
    pub(crate) fn chmod(&mut self, who: Who, path: &str, mode: u32) -> Found<()> {
        self.alter(who, path, |node| node.mode = mode)
    }

    /// Changes the owner, which only root may.
    pub(crate) fn chown(
        &mut self,
        who: Who,
        path: &str,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Found<()> {
        if who.uid != 0 {
            return Err(FsError::NotPermitted);
        }
        self.alter(who, path, |node| {
            node.uid = uid.unwrap_or(node.uid);
            node.gid = gid.unwrap_or(node.gid);
        })
    }

    /// Sets the time of the last change.
    pub(crate) fn set_time(&mut self, who: Who, path: &str, at: Timestamp) -> Found<()> {
        let writable = self.may(who, path, WRITE);
        match self.alter(who, path, |node| node.stamp = Stamp::At(at)) {
            Err(FsError::NotPermitted) if !writable => Err(FsError::Denied),
            other => other,
        }
    }

    fn alter(&mut self, who: Who, path: &str, change: impl FnOnce(&mut Node)) -> Found<()> {
        let mut node = self.node(path).ok_or(FsError::NotFound)?.clone();
        if who.uid != 0 && who.uid != node.uid || virtual_fs(path) {
            return Err(FsError::NotPermitted);
        }
        if matches!(node.kind, Kind::Device(..)) {
            return Ok(());
        }
        change(&mut node);
        self.put(path, Some(node))
    }

    /// A copy of the file at a resolved path, written elsewhere with the same mode.
    pub(crate) fn copy(
        &mut self,
        who: Who,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> Found<Option<String>> {
        let mode = self.node(from).ok_or(FsError::NotFound)?.mode;
        let fresh = self.node(to).is_none();
        let bytes = self.read(who, "/", from, now, limits::MAX_FILE_BYTES)?;
        let written = self.write(who, "/", to, &bytes, false, now)?;
        if let (Some(path), true) = (&written, fresh) {
            self.chmod(who, path, mode & 0o755)?;
        }
        Ok(written)
    }
}

/// The directory that holds a resolved path.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// `name` within the directory `dir`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    format!("{}/{name}", dir.trim_end_matches('/'))
}

/// The last component of a path.
pub(crate) fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn virtual_fs(path: &str) -> bool {
    ["/proc", "/sys"].iter().any(|root| path == *root || path.starts_with(&format!("{root}/")))
}

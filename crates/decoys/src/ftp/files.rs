//! The files of one FTP user, with vsftpd's words for what goes right and wrong.

use std::{net::IpAddr, sync::Arc, time::Duration};

use model::{Persona, PersonaAccount, Timestamp};

use crate::shell::{
    calendar::Date,
    commands::{files::new_mode, lists::mode_text},
    fs::{self, Fs, Kind, Who},
    limits,
    machine::Machine,
    text,
};

/// Largest upload, in bytes.
pub(super) const MAX_UPLOAD_BYTES: usize = limits::MAX_FILE_BYTES;

/// The file system as one user sees it.
pub(super) struct Files {
    pub(super) user: String,
    pub(super) cwd: String,
    pub(super) now: Timestamp,
    who: Who,
    fs: Fs,
}

impl Files {
    pub(super) fn new(
        persona: &Arc<Persona>,
        account: &PersonaAccount,
        local: IpAddr,
        peer: IpAddr,
        now: Timestamp,
    ) -> Self {
        let user = account.user.clone();
        let machine = Machine::new(persona.clone(), local, peer, user.clone(), now);
        Self {
            cwd: fs::home_of(&user),
            user,
            now,
            who: Who { uid: account.uid, gid: account.uid },
            fs: Fs::new(Arc::new(machine)),
        }
    }

    pub(super) fn change_dir(&mut self, path: &str) -> String {
        let found = self.fs.find(self.who, &self.cwd, path);
        match found.map(|(path, node)| (path, node.is_dir())) {
            Ok((path, true)) if self.fs.may(self.who, &path, fs::EXECUTE) => {
                self.cwd = path;
                "250 Directory successfully changed.".into()
            }
            _ => "550 Failed to change directory.".into(),
        }
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.fs.find_link(self.who, &self.cwd, path).is_ok()
    }

    pub(super) fn size(&self, path: &str) -> String {
        match self.fs.find(self.who, &self.cwd, path) {
            Ok((path, node)) if matches!(node.kind, Kind::File(_)) => {
                format!("213 {}", self.fs.size(&path, node, self.now))
            }
            _ => "550 Could not get file size.".into(),
        }
    }

    pub(super) fn modified(&self, path: &str) -> String {
        match self.fs.find(self.who, &self.cwd, path) {
            Ok((path, node)) if matches!(node.kind, Kind::File(_)) => {
                let at = Date::of(self.fs.modified(&path, node, self.now));
                format!("213 {}", at.format("%Y%m%d%H%M%S"))
            }
            _ => "550 Could not get file modification time.".into(),
        }
    }

    pub(super) fn make_dir(&mut self, path: &str, umask: u32) -> String {
        match self.fs.mkdir(self.who, &self.cwd, path, self.now) {
            Ok(path) => {
                // the user just made it and so owns it
                let _ = self.fs.chmod(self.who, &path, 0o777 & !umask);
                format!("257 \"{}\" created", path.replace('"', "\"\""))
            }
            Err(_) => "550 Create directory operation failed.".into(),
        }
    }

    pub(super) fn remove_dir(&mut self, path: &str) -> String {
        match self.fs.rmdir(self.who, &self.cwd, path) {
            Ok(()) => "250 Remove directory operation successful.".into(),
            Err(_) => "550 Remove directory operation failed.".into(),
        }
    }

    pub(super) fn delete(&mut self, path: &str) -> String {
        match self.fs.unlink(self.who, &self.cwd, path) {
            Ok(()) => "250 Delete operation successful.".into(),
            Err(_) => "550 Delete operation failed.".into(),
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> String {
        match self.fs.rename(self.who, &self.cwd, from, to) {
            Ok(()) => "250 Rename successful.".into(),
            Err(_) => "550 Rename failed.".into(),
        }
    }

    pub(super) fn change_mode(&mut self, mode: &str, path: &str) -> String {
        let found = self.fs.find(self.who, &self.cwd, path).map(|(path, _)| path);
        let mode = new_mode(mode, 0, false).unwrap_or(0) & 0o777;
        match found.and_then(|path| self.fs.chmod(self.who, &path, mode)) {
            Ok(()) => "200 SITE CHMOD command ok.".into(),
            Err(_) => "550 SITE CHMOD command failed.".into(),
        }
    }

    /// What a regular file holds.
    pub(super) fn read(&self, path: &str) -> Option<Vec<u8>> {
        let (path, node) = self.fs.find(self.who, &self.cwd, path).ok()?;
        if !matches!(node.kind, Kind::File(_)) {
            return None;
        }
        self.fs.read(self.who, "/", &path, self.now, MAX_UPLOAD_BYTES).ok()
    }

    /// Opens a file for writing; gives its path and, where `keep` asks for it, what it held.
    pub(super) fn create(
        &mut self,
        name: &str,
        keep: usize,
        umask: u32,
    ) -> Option<(String, Vec<u8>)> {
        let fresh = self.fs.find(self.who, &self.cwd, name).is_err();
        let append = keep > 0;
        let opened = self.fs.write(self.who, &self.cwd, name, b"", append, self.now);
        let path = opened.ok().flatten()?;
        if fresh {
            // the user just made it and so owns it
            let _ = self.fs.chmod(self.who, &path, 0o666 & !umask);
        }
        let before = if append { self.read(&path).unwrap_or_default() } else { Vec::new() };
        Some((path, before))
    }

    /// Writes an upload into the file that [`Files::create`] opened.
    pub(super) fn store(&mut self, path: &str, bytes: &[u8]) -> bool {
        let root = Who { uid: 0, gid: 0 };
        self.fs.write(root, "/", path, bytes, false, self.now).is_ok()
    }

    /// The lines of LIST.
    pub(super) fn list(&self, argument: &str) -> String {
        self.entries(argument).iter().map(|(name, path)| self.row(name, path)).collect()
    }

    /// The lines of NLST.
    pub(super) fn names(&self, argument: &str) -> String {
        self.entries(argument).iter().map(|(name, _)| format!("{name}\r\n")).collect()
    }

    /// Names and paths that a listing shows: `-a`, a directory, a file or a pattern.
    fn entries(&self, argument: &str) -> Vec<(String, String)> {
        let (flags, path) = match argument.strip_prefix('-') {
            Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
            None => ("", argument),
        };
        let all = flags.contains('a');
        let (dir, pattern) = match path.rsplit_once('/') {
            Some((dir, last)) if last.contains(['*', '?']) => (format!("{dir}/"), last),
            None if path.contains(['*', '?']) => (".".into(), path),
            _ if path.is_empty() => (".".into(), "*"),
            _ => (path.to_owned(), "*"),
        };
        let Ok((found, node)) = self.fs.find(self.who, &self.cwd, &dir) else {
            return Vec::new();
        };
        if !node.is_dir() {
            return vec![(path.to_owned(), found)];
        }
        if !self.fs.may(self.who, &found, fs::READ) {
            return Vec::new();
        }
        let mut entries = Vec::new();
        if all && pattern == "*" {
            entries.push((".".to_owned(), found.clone()));
            entries.push(("..".to_owned(), fs::parent(&found).to_owned()));
        }
        let names = self.fs.names(&found).into_iter();
        let shown =
            names.filter(|name| (all || !name.starts_with('.')) && text::matches(pattern, name));
        entries.extend(shown.map(|name| {
            let path = fs::join(&found, &name);
            (name, path)
        }));
        entries
    }

    fn row(&self, name: &str, path: &str) -> String {
        let Some(node) = self.fs.node(path) else { return String::new() };
        let at = self.fs.modified(path, node, self.now);
        let old = self.now.since(at) > Duration::from_secs(182 * 86_400);
        let date = Date::of(at).format(if old { "%b %d  %Y" } else { "%b %d %H:%M" });
        let links = if node.is_dir() { 2 } else { 1 };
        let target = match &node.kind {
            Kind::Link(target) => format!(" -> {target}"),
            _ => String::new(),
        };
        format!(
            "{} {links:>4} {:<8} {:<8} {:>8} {date} {name}{target}\r\n",
            mode_text(node),
            node.uid,
            node.gid,
            self.fs.size(path, node, self.now),
        )
    }
}

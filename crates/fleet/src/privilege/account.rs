//! Users and groups, as `/etc/passwd` and `/etc/group` have them.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::fs::fstat;

use super::tree::{self, Missing};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";
/// Most groups that a process takes along.
const MAX_GROUPS: usize = 64;

/// Whom to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is called.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its own group.
    pub gid: u32,
    /// All groups that it is in.
    pub groups: Vec<u32>,
}

/// Why there is no such account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The list cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// From the system.
        #[source]
        source: io::Error,
    },
    /// No line for it.
    #[error("there is no user `{0}`")]
    NoUser(String),
    /// No line for it.
    #[error("there is no group `{0}`")]
    NoGroup(String),
}

impl Account {
    /// The account of this name or number.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(user: &str) -> Result<Self, AccountError> {
        let found = find(&read(USERS)?, &read(GROUPS)?, user);
        found.ok_or_else(|| AccountError::NoUser(user.into()))
    }

    /// The first of these that there is.
    ///
    /// # Errors
    /// Where there is none of them.
    pub fn first_of(users: &[&str]) -> Result<Self, AccountError> {
        let (accounts, groups) = (read(USERS)?, read(GROUPS)?);
        let found = users.iter().find_map(|user| find(&accounts, &groups, user));
        found.ok_or_else(|| AccountError::NoUser(users.join("` or `")))
    }

    /// Who owns the directory at this path, root apart. Nobody does where others than root may
    /// have put a link on the way.
    pub fn owner_of(path: &Path) -> Option<Self> {
        let there = fstat(tree::find(path, Missing::Refuse).ok()?).ok()?;
        let (uid, gid) = (there.st_uid, there.st_gid);
        if uid == 0 {
            return None;
        }
        let unnamed = Self { name: uid.to_string(), uid, gid, groups: vec![gid] };
        Some(Self::named(&uid.to_string()).unwrap_or(unnamed))
    }

    /// The same in one more group.
    pub fn also_in(mut self, group: u32) -> Self {
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
        self
    }

    /// Whether it is root, or as good as.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// The number of a group.
///
/// # Errors
/// Where there is no such group.
pub fn group(name: &str) -> Result<u32, AccountError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let groups = read(GROUPS)?;
    let found =
        rows(&groups).find(|row| row.first() == Some(&name)).and_then(|row| number(&row, 2));
    found.ok_or_else(|| AccountError::NoGroup(name.into()))
}

fn read(path: &str) -> Result<String, AccountError> {
    std::fs::read_to_string(path).map_err(|source| AccountError::Read { path: path.into(), source })
}

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn number(row: &[&str], column: usize) -> Option<u32> {
    row.get(column)?.parse().ok()
}

fn find(accounts: &str, groups: &str, user: &str) -> Option<Account> {
    let is_meant = |row: &Vec<&str>| match user.parse::<u32>() {
        Ok(wanted) => number(row, 2) == Some(wanted),
        Err(_) => row.first() == Some(&user),
    };
    let row = rows(accounts).find(is_meant)?;
    let (name, uid, gid) = ((*row.first()?).to_owned(), number(&row, 2)?, number(&row, 3)?);
    let is_member = |row: &Vec<&str>| row.get(3)?.split(',').any(|m| m == name).then_some(());
    let of_it = rows(groups).filter(|row| is_member(row).is_some());
    let mut all = vec![gid];
    all.extend(of_it.filter_map(|row| number(&row, 2)).filter(|group| *group != gid));
    all.truncate(MAX_GROUPS);
    Some(Account { name, uid, gid, groups: all })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nkim:x:1000:1000::/home/kim:/bin/sh\nbad\n";
    const GROUPS: &str = "root:x:0:\nkim:x:1000:kim\nssl-cert:x:107:www,kim\nempty\n";

    #[test]
    fn a_user_is_found_by_name_or_number_with_its_groups() {
        let kim = find(USERS, GROUPS, "kim").unwrap();
        assert_eq!((kim.uid, kim.gid, &kim.groups[..]), (1000, 1000, &[1000, 107][..]));
        assert_eq!(find(USERS, GROUPS, "1000").unwrap(), kim);
        for nobody in ["bad", "kimm", "", "7", "-1"] {
            assert_eq!(find(USERS, GROUPS, nobody), None, "{nobody}");
        }
        assert!(find(USERS, GROUPS, "0").unwrap().is_root());
        assert_eq!(kim.clone().also_in(107), kim);
        assert_eq!(kim.also_in(5).groups, [1000, 107, 5]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Account::first_of(&["no-such-user", "nor-this"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no user `no-such-user` or `nor-this`");
        assert_eq!(group("root").unwrap(), 0);
        assert_eq!(
            group("no-such-group").unwrap_err().to_string(),
            "there is no group `no-such-group`"
        );
    }
}

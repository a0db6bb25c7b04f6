//! Users: as configured, and as somebody who came in.

use std::sync::Arc;

use super::{Permissions, Secret};

/// How a user proves who he is.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// By name and password: plain, bcrypt (`$2a$`, `$2b$`, `$2y$`) or argon2 (`$argon2id$…`).
    Password(String),
    /// By a token: plain, bcrypt or argon2.
    Token(String),
    /// By signing the nonce: the public key (`U…`).
    Nkey(String),
    /// Not at all: nobody can come in as him, but he may stand for clients without credentials.
    Never,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Login::Password(_) => "Password(…)",
            Login::Token(_) => "Token(…)",
            Login::Nkey(_) => "Nkey(…)",
            Login::Never => "Never",
        })
    }
}

/// A space of subjects: who is in one hears nothing of the others. Programs in the broker's own
/// process, and with them streams and monitoring, are in the main one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account(u8);

impl Account {
    /// Where everybody is who is nowhere else.
    pub const MAIN: Account = Account(0);
    /// Accounts at most.
    pub const MOST: usize = 64;

    /// The account at this place, the main one first; none from [`Account::MOST`] on.
    #[must_use]
    pub fn at(place: usize) -> Option<Account> {
        u8::try_from(place).ok().filter(|_| place < Account::MOST).map(Account)
    }

    /// Its place.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// A user, as configured.
#[derive(Clone, Debug)]
pub struct UserRule {
    /// The name: what CONNECT calls `user`, and what `/connz` shows.
    pub name: String,
    /// How he proves who he is.
    pub login: Login,
    /// What he may do. Absent: [`super::AuthRules::default_permissions`].
    pub permissions: Option<Permissions>,
    /// Where he publishes and subscribes.
    pub account: Account,
}

/// Somebody who came in.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// The name; empty where nobody needs one.
    pub name: String,
    /// What he may do. `None`: everything.
    pub permissions: Option<Permissions>,
    /// Where he may do it.
    pub account: Account,
    /// Why he was let in: what a reload compares.
    pub(super) standing: Standing,
}

impl User {
    pub(super) fn new(name: &str, permissions: Option<Permissions>, standing: Standing) -> User {
        User { name: name.into(), permissions, account: Account::MAIN, standing }
    }

    pub(super) fn of(self, account: Account) -> User {
        User { account, ..self }
    }
}

/// Why somebody was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody needs credentials.
    Open,
    /// He sent no credentials and is `no_auth_user`.
    Unproven,
    /// By the UNIX socket: root or this owner.
    Owner(u32),
    /// By the UNIX socket: somebody else.
    Local,
    /// He proved to be a configured user.
    Configured(Secret),
}

/// A configured user and what he becomes.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) secret: Secret,
    pub(super) user: Arc<User>,
}

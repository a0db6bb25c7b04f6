//! Who may connect, and what they may publish and subscribe to.
//!
//! Owns users, the proof that somebody is one of them, and permissions by subject. It refuses to
//! know sockets, the wire and the broker: credentials and a nonce in, a [`User`] or a refusal out.
//! The only file that it reads is the [`AuthFile`].
//!
//! ```text
//! AuthFile / natsconf / launcher ──> AuthRules ──> Auth ── authenticate ──> Arc<User> ── Permissions
//! ```
//!
//! Every refusal costs one check of the dearest kind that is configured, so the time of an answer
//! does not tell whether a user exists. Checks are slow on purpose (bcrypt): never call
//! [`Auth::authenticate`] on the I/O thread.

mod defaults;
mod file;
mod filter;
mod permissions;
mod responses;
mod secret;
mod user;

pub use defaults::{FAMILIES, local_peers};
pub use file::{AuthFile, AuthFileError, MAX_FILE_BYTES, watch};
pub use permissions::{AllowResponses, Permissions, PermissionsError, SubjectRules};
pub use responses::{MAX_GRANTS, ResponseGrants};
pub use secret::{MAX_BCRYPT_COST, SecretError};
pub use user::{Account, Login, User, UserRule};

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::Arc,
};

use crate::proto::ConnectOptions;

use secret::Secret;
use user::{Known, Standing};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// By TCP.
    Tcp(SocketAddr),
    /// By the UNIX socket, with what the kernel says about the other end (`SO_PEERCRED`).
    Unix {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its process, where the kernel knows one.
        pid: Option<i32>,
    },
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it comes from.
    pub address: PeerAddress,
    /// The connection came through TLS.
    pub tls: bool,
}

/// What a client puts into CONNECT to prove who it is. Empty strings count as absent, as many
/// clients send them for what they do not use.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// `user`.
    pub user: Option<&'a str>,
    /// `pass`.
    pub pass: Option<&'a str>,
    /// `auth_token`.
    pub token: Option<&'a str>,
    /// `nkey`: the public key.
    pub nkey: Option<&'a str>,
    /// `sig`: the nonce, signed; base64.
    pub sig: Option<&'a str>,
    /// `jwt`. Not supported: a client that sends one is refused unless something else proves it.
    pub jwt: Option<&'a str>,
}

impl<'a> From<&'a ConnectOptions> for Credentials<'a> {
    fn from(options: &'a ConnectOptions) -> Credentials<'a> {
        Credentials {
            user: options.user.as_deref(),
            pass: options.pass.as_deref(),
            token: options.auth_token.as_deref(),
            nkey: options.nkey.as_deref(),
            sig: options.sig.as_deref(),
            jwt: options.jwt.as_deref(),
        }
    }
}

impl Credentials<'_> {
    fn without_empty(self) -> Self {
        let full = |text: &&str| !text.is_empty();
        Credentials {
            user: self.user.filter(full),
            pass: self.pass.filter(full),
            token: self.token.filter(full),
            nkey: self.nkey.filter(full),
            sig: self.sig.filter(full),
            jwt: self.jwt.filter(full),
        }
    }

    /// A signature alone claims nothing: some clients sign any nonce.
    fn are_absent(&self) -> bool {
        [self.user, self.pass, self.token, self.nkey, self.jwt].iter().all(Option::is_none)
    }
}

/// Why somebody was not let in. For the log: the client always reads 'Authorization Violation'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It sent no credentials.
    #[error("no credentials")]
    Missing,
    /// Nobody is called so, or the password, token or signature is wrong: which one, nobody tells.
    #[error("unknown user, or wrong password, token or signature")]
    Refused,
    /// Too many others wait to be checked.
    #[error("too many sign-ins wait")]
    Busy,
    /// It sent a JWT.
    #[error("JWTs are not supported")]
    Jwt,
}

/// Who may connect over the UNIX socket without credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnixPeers {
    /// Nobody: credentials are needed as on TCP.
    #[default]
    Nobody,
    /// Root and `owner` may do everything; whoever else can open the socket may do what `others`
    /// says.
    Trusted {
        /// The user that the service runs as.
        owner: u32,
        /// What everybody else may do.
        others: Permissions,
    },
}

/// Everything that [`Auth`] is made of.
#[derive(Clone, Debug, Default)]
pub struct AuthRules {
    /// The users.
    pub users: Vec<UserRule>,
    /// Who a TCP client without credentials is.
    pub no_auth_user: Option<String>,
    /// For users whose rule has no permissions of its own. Absent: they may do everything.
    pub default_permissions: Option<Permissions>,
    /// Who needs no credentials on the UNIX socket.
    pub unix: UnixPeers,
}

/// One thing that is wrong with [`AuthRules`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Two users of one name.
    #[error("user `{name}` is there twice")]
    Twice {
        /// The name, or the public key.
        name: String,
    },
    /// A secret that nobody can check.
    #[error("user `{name}` cannot prove who he is")]
    Secret {
        /// The user.
        name: String,
        /// What is wrong.
        #[source]
        source: SecretError,
    },
    /// `no_auth_user` names nobody.
    #[error("no_auth_user `{name}` is no user")]
    NoAuthUser {
        /// The name.
        name: String,
    },
}

/// Who may connect. Immutable: a reload makes a new one.
#[derive(Debug, Default)]
pub struct Auth {
    /// By name; by public key where that is the proof.
    named: HashMap<String, Known>,
    /// Those who prove it by a token.
    tokens: Vec<Known>,
    /// Who a client without credentials is, where that may be.
    anonymous: Option<Arc<User>>,
    /// Nobody is asked for credentials, and nobody's are checked.
    open: bool,
    local: Option<Local>,
    /// What is checked in vain where a refusal would otherwise be cheaper than others.
    dearest: Option<Secret>,
}

/// Peers on the UNIX socket who need no credentials.
#[derive(Debug)]
struct Local {
    owner: u32,
    trusted: Arc<User>,
    others: Arc<User>,
}

impl Auth {
    /// Everybody may do everything, without credentials. For a broker on loopback whose operator
    /// asked for it.
    pub fn open() -> Auth {
        let anyone = User::new("", None, Standing::Open);
        Auth { open: true, anonymous: Some(Arc::new(anyone)), ..Auth::default() }
    }

    /// Checks `rules`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(rules: AuthRules) -> Result<Auth, Vec<RuleError>> {
        let mut auth = Auth { local: Local::new(rules.unix), ..Auth::default() };
        let mut faults = Vec::new();
        for rule in rules.users {
            auth.add(rule, rules.default_permissions.as_ref()).unwrap_or_else(|f| faults.push(f));
        }
        if let Some(name) = rules.no_auth_user {
            auth.set_anonymous(name).unwrap_or_else(|fault| faults.push(fault));
        }
        if faults.is_empty() { Ok(auth) } else { Err(faults) }
    }

    fn add(&mut self, rule: UserRule, default: Option<&Permissions>) -> Result<(), RuleError> {
        let name = rule.name;
        let secret = Secret::new(&rule.login)
            .map_err(|source| RuleError::Secret { name: name.clone(), source })?;
        if self.dearest.as_ref().is_none_or(|dearest| dearest.cost() < secret.cost()) {
            self.dearest = Some(secret.clone());
        }
        let permissions = rule.permissions.or_else(|| default.cloned());
        let user = User::new(&name, permissions, Standing::Configured(secret.clone()));
        let user = user.of(rule.account);
        let known = Known { user: Arc::new(user), secret };
        let key = match &known.secret {
            Secret::Token(_) => return self.add_token(known),
            Secret::Nkey(key) => key.clone(),
            Secret::Password(_) | Secret::Never => name.clone(),
        };
        match self.named.entry(key) {
            Entry::Occupied(_) => Err(RuleError::Twice { name }),
            Entry::Vacant(free) => {
                free.insert(known);
                Ok(())
            }
        }
    }

    fn add_token(&mut self, known: Known) -> Result<(), RuleError> {
        let name = &known.user.name;
        if self.tokens.iter().any(|other| other.user.name == *name) {
            return Err(RuleError::Twice { name: name.clone() });
        }
        self.tokens.push(known);
        Ok(())
    }

    fn set_anonymous(&mut self, name: String) -> Result<(), RuleError> {
        let Some(known) = self.users().find(|known| known.user.name == name) else {
            return Err(RuleError::NoAuthUser { name });
        };
        let user = User::new(&name, known.user.permissions.clone(), Standing::Unproven);
        let user = user.of(known.user.account);
        self.anonymous = Some(Arc::new(user));
        Ok(())
    }

    fn users(&self) -> impl Iterator<Item = &Known> {
        self.named.values().chain(&self.tokens)
    }

    /// Whether this peer needs credentials: `auth_required` of INFO.
    pub fn required(&self, peer: &Peer) -> bool {
        self.without_credentials(peer).is_none()
    }

    /// Whether INFO must carry a nonce, because a user has an nkey.
    pub fn needs_nonce(&self) -> bool {
        self.named.values().any(|known| matches!(known.secret, Secret::Nkey(_)))
    }

    /// Says who the client is. Slow (bcrypt, argon2): not for the I/O thread.
    ///
    /// # Errors
    /// Why it is nobody; the client is told 'Authorization Violation' in each case.
    pub fn authenticate<'a>(
        &self,
        credentials: impl Into<Credentials<'a>>,
        nonce: &[u8],
        peer: &Peer,
    ) -> Result<Arc<User>, AuthError> {
        let offered = credentials.into().without_empty();
        if self.open || offered.are_absent() {
            return self.without_credentials(peer).ok_or(AuthError::Missing);
        }
        self.proven(&offered, nonce)
            .map_err(|refusal| if offered.jwt.is_some() { AuthError::Jwt } else { refusal })
    }

    /// As [`Auth::authenticate`], where no slow check is needed for it: the client proves itself by
    /// a signature or a text, or nobody's secret is slow to check. None: ask `authenticate`, which
    /// takes its time for a refusal, too.
    pub fn authenticate_at_once<'a>(
        &self,
        credentials: impl Into<Credentials<'a>>,
        nonce: &[u8],
        peer: &Peer,
    ) -> Option<Result<Arc<User>, AuthError>> {
        let offered = credentials.into().without_empty();
        if self.open || offered.are_absent() || !self.dearest.as_ref().is_some_and(Secret::is_slow)
        {
            return Some(self.authenticate(offered, nonce, peer));
        }
        let mut quick = self.candidates(&offered).filter(|known| !known.secret.is_slow());
        let proven = quick.find(|known| known.secret.proven_by(&offered, nonce))?;
        Some(Ok(Arc::clone(&proven.user)))
    }

    fn without_credentials(&self, peer: &Peer) -> Option<Arc<User>> {
        let by_socket = match (peer.address, &self.local) {
            (PeerAddress::Unix { uid, .. }, Some(local)) => Some(local.user(uid)),
            (PeerAddress::Unix { .. } | PeerAddress::Tcp(_), _) => None,
        };
        by_socket.or(self.anonymous.as_ref()).cloned()
    }

    fn proven(&self, offered: &Credentials<'_>, nonce: &[u8]) -> Result<Arc<User>, AuthError> {
        let mut spent = 0;
        for known in self.candidates(offered) {
            if known.secret.proven_by(offered, nonce) {
                return Ok(Arc::clone(&known.user));
            }
            spent += known.secret.cost();
        }
        match &self.dearest {
            Some(dearest) if spent < dearest.cost() => dearest.spend(offered, nonce),
            _ => {}
        }
        Err(AuthError::Refused)
    }

    /// Who the client may be: the one that it names, or everybody with a token. One proof is
    /// looked at, as in nats-server: an nkey, else a name, else a token.
    fn candidates(&self, offered: &Credentials<'_>) -> impl Iterator<Item = &Known> {
        let by_key = |known: &&Known| matches!(known.secret, Secret::Nkey(_));
        let named = match (offered.nkey, offered.user) {
            (Some(key), _) => self.named.get(key).filter(by_key),
            (None, Some(name)) => self.named.get(name).filter(|known| !by_key(known)),
            (None, None) => None,
        };
        let by_token = offered.nkey.is_none() && offered.user.is_none();
        named.into_iter().chain(self.tokens.iter().filter(move |_| by_token))
    }

    /// Whether a user who came in under older rules would still be the same one: there, with the
    /// same secret and the same permissions.
    pub fn still_valid(&self, user: &User) -> bool {
        let local = self.local.iter().flat_map(|local| [&local.trusted, &local.others]);
        self.users()
            .map(|known| &known.user)
            .chain(&self.anonymous)
            .chain(local)
            .any(|present| **present == *user)
    }
}

impl Local {
    fn new(peers: UnixPeers) -> Option<Local> {
        match peers {
            UnixPeers::Nobody => None,
            UnixPeers::Trusted { owner, others } => Some(Local {
                owner,
                trusted: Arc::new(User::new("", None, Standing::Owner(owner))),
                others: Arc::new(User::new("", Some(others), Standing::Local)),
            }),
        }
    }

    fn user(&self, uid: u32) -> &Arc<User> {
        if uid == 0 || uid == self.owner { &self.trusted } else { &self.others }
    }
}

#[cfg(test)]
mod tests;

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
pub use file::{AuthFile, AuthFileError, watch};
pub use permissions::{AllowResponses, Permissions, PermissionsError, SubjectRules};
pub use responses::{MAX_GRANTS, ResponseGrants};
pub use secret::{MAX_BCRYPT_COST, SecretError};
pub use user::{Login, User, UserRule};

use std::{net::SocketAddr, sync::Arc};

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

/// Why somebody was not let in. For the log: the client always reads 'Authorization Violation'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It sent no credentials.
    #[error("no credentials")]
    Missing,
    /// Nobody is called so, or the password, token or signature is wrong: which one, nobody tells.
    #[error("unknown user, or wrong password, token or signature")]
    Refused,
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
    #[error("user `{name}`: {source}")]
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
#[derive(Debug)]
pub struct Auth {
    open: bool,
    known: Vec<Known>,
    no_auth_user: Option<Arc<User>>,
    unix: UnixPeers,
    /// What is checked in vain when a refusal would otherwise be cheaper than others.
    dearest: Option<Secret>,
}

impl Auth {
    /// Everybody may do everything, without credentials. For a broker on loopback whose operator
    /// asked for it.
    pub fn open() -> Auth {
        unimplemented!()
    }

    /// Checks `rules`; reports everything that is wrong.
    pub fn new(rules: AuthRules) -> Result<Auth, Vec<RuleError>> {
        let _ = rules;
        unimplemented!()
    }

    /// Whether this peer needs credentials: `auth_required` of INFO.
    pub fn required(&self, peer: &Peer) -> bool {
        let _ = peer;
        unimplemented!()
    }

    /// Whether INFO must carry a nonce, because a user has an nkey.
    pub fn needs_nonce(&self) -> bool {
        unimplemented!()
    }

    /// Says who the client is. Slow (bcrypt, argon2): not for the I/O thread.
    pub fn authenticate<'a>(
        &self,
        credentials: impl Into<Credentials<'a>>,
        nonce: &[u8],
        peer: &Peer,
    ) -> Result<Arc<User>, AuthError> {
        let _ = (credentials.into(), nonce, peer);
        unimplemented!()
    }

    /// Whether a user who came in under older rules would still be the same one: there, with the
    /// same secret and the same permissions.
    pub fn still_valid(&self, user: &User) -> bool {
        let _ = user;
        unimplemented!()
    }
}

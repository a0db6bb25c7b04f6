//! Users, their browser sessions and API tokens, and the one-time set-up: what may be asked and
//! what is answered. The statements are in `user_rows.rs`. Secrets arrive hashed.

use std::fmt;

use model::{Role, Timestamp, TokenId, UserId};

use crate::{Store, StoreError, user_rows as table};

/// SHA-256 of a secret that the caller has made: session tokens, API tokens, the set-up secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A user to create.
#[derive(Clone)]
pub struct NewUser {
    /// Log-in name, unique.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Hash of the password, in the caller's format.
    pub password_hash: String,
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Their id.
    pub id: UserId,
    /// Log-in name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Hash of the password, in the caller's format.
    pub password_hash: String,
    /// Whether they are locked out.
    pub disabled: bool,
    /// When they were created.
    pub created_at: Timestamp,
}

/// A browser session to keep.
#[derive(Clone, Debug)]
pub struct NewWebSession {
    /// Hash of its token.
    pub hash: TokenHash,
    /// Whose.
    pub user_id: UserId,
    /// When it ends unless touched.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub absolute_until: Timestamp,
}

/// A browser session that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSessionRecord {
    /// Whose.
    pub user: UserRecord,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends unless touched.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub absolute_until: Timestamp,
}

/// An API token to keep.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// Hash of the token.
    pub hash: TokenHash,
    /// What it is for, unique among those of its user.
    pub name: String,
    /// Whose.
    pub user_id: UserId,
    /// What it may do.
    pub role: Role,
    /// When it ends; `None` means never.
    pub expires_at: Option<Timestamp>,
}

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenRecord {
    /// Its id, which is no secret.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// Whose.
    pub user_id: UserId,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None` means never.
    pub expires_at: Option<Timestamp>,
}

/// Where the one-time set-up stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// No set-up secret was made yet.
    Fresh,
    /// One was made.
    Offered {
        /// When it ends.
        expires_at: Timestamp,
    },
    /// It is done, for ever.
    Closed,
}

/// Why a set-up step was refused.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// It is done, for ever.
    #[error("the set-up is closed")]
    Closed,
    /// The secret is not the one offered.
    #[error("the set-up secret is wrong")]
    Wrong,
    /// The secret is no longer good.
    #[error("the set-up secret has expired")]
    Expired,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something about users was refused.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is in use.
    #[error("the name `{name}` is taken")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is no such user.
    #[error("there is no user {id}")]
    Unknown {
        /// Their id.
        id: UserId,
    },
    /// Nobody would be left who can administer.
    #[error("this is the last administrator")]
    LastAdmin,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Where the one-time set-up stands.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn setup_state(&self) -> Result<SetupState, StoreError> {
        self.read("read the set-up", table::setup_state).await
    }

    /// Offers a set-up secret in place of any earlier one.
    ///
    /// # Errors
    /// Where the set-up is closed or the database fails.
    pub async fn put_setup_secret(
        &self,
        hash: TokenHash,
        expires_at: Timestamp,
    ) -> Result<(), SetupError> {
        self.write("offer the set-up", move |tx| table::offer_setup(tx, hash, expires_at)).await
    }

    /// Spends the set-up secret on the first user and closes the set-up for ever, all or nothing.
    ///
    /// # Errors
    /// Where the set-up is closed, the secret is wrong or has expired, or the database fails.
    pub async fn consume_setup(
        &self,
        secret: TokenHash,
        user: NewUser,
    ) -> Result<UserRecord, SetupError> {
        self.write("close the set-up", move |tx| table::consume_setup(tx, secret, user)).await
    }

    /// All users, by name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn users(&self) -> Result<Vec<UserRecord>, StoreError> {
        self.read("list users", table::users).await
    }

    /// The user of this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRecord>, StoreError> {
        self.read("read a user", move |connection| table::user(connection, id)).await
    }

    /// The user of this name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRecord>, StoreError> {
        let name = name.to_owned();
        self.read("read a user", move |connection| table::user_named(connection, &name)).await
    }

    /// Keeps a new user.
    ///
    /// # Errors
    /// Where the name is taken or the database fails.
    pub async fn create_user(&self, user: NewUser) -> Result<UserRecord, UserError> {
        self.write("create a user", move |tx| table::create(tx, user)).await
    }

    /// Locks a user out, which ends their browser sessions in the same transaction, or lets
    /// them in again.
    ///
    /// # Errors
    /// Where there is no such user, it is the last administrator, or the database fails.
    pub async fn set_user_disabled(&self, id: UserId, disabled: bool) -> Result<(), UserError> {
        self.write("disable or enable a user", move |tx| table::set_disabled(tx, id, disabled))
            .await
    }

    /// Gives a user another role, which ends their browser sessions in the same transaction.
    ///
    /// # Errors
    /// Where there is no such user, it is the last administrator, or the database fails.
    pub async fn set_user_role(&self, id: UserId, role: Role) -> Result<(), UserError> {
        self.write("change the role of a user", move |tx| table::set_role(tx, id, role)).await
    }

    /// Gives a user another password, which ends their browser sessions in the same transaction.
    ///
    /// # Errors
    /// Where there is no such user or the database fails.
    pub async fn set_user_password(
        &self,
        id: UserId,
        password_hash: &str,
    ) -> Result<(), UserError> {
        let password_hash = password_hash.to_owned();
        self.write("change the password of a user", move |tx| {
            table::set_password(tx, id, &password_hash)
        })
        .await
    }

    /// Removes a user with their browser sessions and API tokens.
    ///
    /// # Errors
    /// Where there is no such user, it is the last administrator, or the database fails.
    pub async fn delete_user(&self, id: UserId) -> Result<(), UserError> {
        self.write("delete a user", move |tx| table::delete(tx, id)).await
    }

    /// Keeps a browser session, and forgets those that are over.
    ///
    /// # Errors
    /// Where there is no such user (a disabled one counts as none) or the database fails.
    pub async fn put_web_session(&self, session: NewWebSession) -> Result<(), UserError> {
        self.write("keep a browser session", move |tx| table::put_web_session(tx, &session)).await
    }

    /// The browser session of this token, where it holds and its user is not disabled.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn web_session(
        &self,
        hash: TokenHash,
    ) -> Result<Option<WebSessionRecord>, StoreError> {
        let now = self.now();
        self.read("read a browser session", move |connection| {
            table::web_session(connection, hash, now)
        })
        .await
    }

    /// Makes a browser session that holds last until `idle_until`, never beyond its absolute
    /// end; answers whether it does hold.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn touch_web_session(
        &self,
        hash: TokenHash,
        idle_until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write("extend a browser session", move |tx| {
            Ok(table::touch_web_session(tx, hash, idle_until)?)
        })
        .await
    }

    /// Ends a browser session; answers whether there was one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn delete_web_session(&self, hash: TokenHash) -> Result<bool, StoreError> {
        self.write("end a browser session", move |tx| Ok(table::delete_web_session(tx, hash)?))
            .await
    }

    /// Ends all browser sessions of a user; answers how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn delete_web_sessions_of(&self, user: UserId) -> Result<u64, StoreError> {
        self.write("end the browser sessions of a user", move |tx| {
            Ok(table::end_web_sessions(tx, user)?)
        })
        .await
    }

    /// Keeps an API token.
    ///
    /// # Errors
    /// Where there is no such user, they have a token of this name, or the database fails.
    pub async fn put_api_token(&self, token: NewApiToken) -> Result<ApiTokenRecord, UserError> {
        self.write("keep an API token", move |tx| table::put_api_token(tx, token)).await
    }

    /// The API token of this hash and its user, where it holds and the user is not disabled.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn api_token(
        &self,
        hash: TokenHash,
    ) -> Result<Option<(ApiTokenRecord, UserRecord)>, StoreError> {
        let now = self.now();
        self.read("read an API token", move |connection| table::api_token(connection, hash, now))
            .await
    }

    /// API tokens, newest first, of one user where given; those that are over included.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn api_tokens(
        &self,
        user: Option<UserId>,
    ) -> Result<Vec<ApiTokenRecord>, StoreError> {
        self.read("list API tokens", move |connection| table::api_tokens(connection, user)).await
    }

    /// Ends an API token for ever; answers whether there was one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn revoke_api_token(&self, id: TokenId) -> Result<bool, StoreError> {
        self.write("revoke an API token", move |tx| Ok(table::revoke_api_token(tx, id)?)).await
    }
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

//! The users file: TOML, read again when it changes.
//!
//! ```toml
//! no_auth_user = "guest"                 # optional
//! default_permissions = { publish = ["_INBOX.>"], subscribe = { deny = ["ingest.>"] } }
//!
//! [[user]]
//! name = "sensor"
//! password = "$2b$12$…"                  # or token = "…", or nkey = "U…"
//! publish = ["site.a.>"]                 # or { allow = […], deny = […] }
//! subscribe = ["site.>", "jobs workers"] # `subject queue` is for one queue group
//! allow_responses = true                 # or { max = 5, expires = "1m" }
//! ```
//!
//! Owns reading and judging the file; refuses to know who uses the outcome. A file that is bad in
//! any way changes nothing.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::Notify, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use super::{
    Account, AllowResponses, Auth, AuthRules, Login, Permissions, PermissionsError, SubjectRules,
    UnixPeers, UserRule,
};
use crate::units;

/// The largest users file that is read.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// How often [`watch`] looks at the file.
const LOOK: Duration = Duration::from_secs(1);

/// Why a users file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says things that are wrong; one entry each, with the key.
    #[error("`{}`: {}", path.display(), faults.join("; "))]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        faults: Vec<String>,
    },
}

/// A users file and what it said last.
#[derive(Debug)]
pub struct AuthFile {
    path: PathBuf,
    unix: UnixPeers,
    auth: Arc<Auth>,
    seen: Seen,
}

/// What tells one state of the file from another.
type Seen = Option<(SystemTime, u64)>;

impl AuthFile {
    /// Reads the file; `unix` is who needs no credentials on the UNIX socket.
    ///
    /// # Errors
    /// The file cannot be read, or all that is wrong in it.
    pub fn load(path: &Path, unix: UnixPeers) -> Result<AuthFile, AuthFileError> {
        let seen = seen(path);
        let auth = Arc::new(read(path, &unix)?);
        Ok(AuthFile { path: path.into(), unix, auth, seen })
    }

    /// What the file said when it was last taken.
    pub fn auth(&self) -> Arc<Auth> {
        Arc::clone(&self.auth)
    }

    /// Reads the file again. A bad one changes nothing.
    ///
    /// # Errors
    /// As [`AuthFile::load`].
    pub fn reload(&mut self) -> Result<Arc<Auth>, AuthFileError> {
        self.seen = seen(&self.path);
        self.auth = Arc::new(read(&self.path, &self.unix)?);
        Ok(self.auth())
    }

    /// Whether the file is another than the one that was read last, as far as its size and time
    /// tell.
    pub fn changed(&self) -> bool {
        seen(&self.path) != self.seen
    }
}

fn seen(path: &Path) -> Seen {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Looks at the file every second, and whenever `look` is notified, until `stop`; hands new rules
/// to `taken`. A bad file is logged once and changes nothing.
pub async fn watch(
    mut file: AuthFile,
    taken: impl Fn(Arc<Auth>),
    look: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Cancel-safe, each of them: a lost tick or wake-up costs one more look.
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            _ = clock.tick() => false,
            () = look.notified() => true,
        };
        let looked = tokio::task::spawn_blocking(move || {
            let outcome = (asked || file.changed()).then(|| file.reload());
            (file, outcome)
        });
        let Ok((same, outcome)) = looked.await else { return };
        file = same;
        tell(outcome, &taken);
    }
}

fn tell(outcome: Option<Result<Arc<Auth>, AuthFileError>>, taken: &impl Fn(Arc<Auth>)) {
    match outcome {
        None => {}
        Some(Ok(auth)) => {
            taken(auth);
            tracing::info!("users were read again");
        }
        Some(Err(err)) => tracing::error!(
            error = &err as &dyn std::error::Error,
            "the users file is not taken; the users stay as they were"
        ),
    }
}

fn read(path: &Path, unix: &UnixPeers) -> Result<Auth, AuthFileError> {
    let text = text(path).map_err(|source| AuthFileError::Read { path: path.into(), source })?;
    judge(&text, unix).map_err(|faults| AuthFileError::Faults { path: path.into(), faults })
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

/// What the file says. Every entry is judged for itself, so that one fault hides no other.
fn judge(text: &str, unix: &UnixPeers) -> Result<Auth, Vec<String>> {
    let mut table: Table = text.parse().map_err(|err: toml::de::Error| vec![one_line(&err)])?;
    let mut faults = Vec::new();
    let mut rules = AuthRules { unix: unix.clone(), ..AuthRules::default() };
    for (index, entry) in entries(table.remove("user"), &mut faults).into_iter().enumerate() {
        let key = entry_key(index, &entry);
        match parsed(entry).and_then(UserEntry::rule) {
            Ok(user) => rules.users.push(user),
            Err(fault) => faults.push(format!("{key}: {fault}")),
        }
    }
    match parsed::<Top>(Value::Table(table)).and_then(|top| top.apply(&mut rules)) {
        Ok(()) if faults.is_empty() => {}
        Ok(()) => return Err(faults),
        Err(fault) => return Err([faults, vec![fault]].concat()),
    }
    Auth::new(rules).map_err(|wrong| wrong.iter().map(chain).collect())
}

fn entries(users: Option<Value>, faults: &mut Vec<String>) -> Vec<Value> {
    match users {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => {
            faults.push("user: expected `[[user]]` tables".into());
            Vec::new()
        }
    }
}

/// `user[2]`, with the name where there is one.
fn entry_key(index: usize, entry: &Value) -> String {
    match entry.get("name").and_then(Value::as_str) {
        Some(name) => format!("user[{index}] `{name}`"),
        None => format!("user[{index}]"),
    }
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    value.try_into().map_err(|err: toml::de::Error| one_line(&err))
}

fn one_line(text: &impl Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error and what caused it.
fn chain(err: &impl std::error::Error) -> String {
    err.source().map_or_else(|| err.to_string(), |source| format!("{err}: {source}"))
}

/// What stands above the users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Top {
    no_auth_user: Option<String>,
    default_permissions: Option<PermissionsEntry>,
}

impl Top {
    fn apply(self, rules: &mut AuthRules) -> Result<(), String> {
        rules.no_auth_user = self.no_auth_user;
        rules.default_permissions = match self.default_permissions {
            Some(entry) => {
                entry.permissions().map_err(|err| format!("default_permissions: {err}"))?
            }
            None => None,
        };
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: String,
    password: Option<String>,
    token: Option<String>,
    nkey: Option<String>,
    publish: Option<RulesEntry>,
    subscribe: Option<RulesEntry>,
    allow_responses: Option<ResponsesEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionsEntry {
    publish: Option<RulesEntry>,
    subscribe: Option<RulesEntry>,
    allow_responses: Option<ResponsesEntry>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of subjects, or `{ allow = […], deny = […] }`")]
enum RulesEntry {
    Allow(Vec<String>),
    Both(AllowDeny),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowDeny {
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected true, false, or `{ max = 1, expires = \"2m\" }`")]
enum ResponsesEntry {
    Switch(bool),
    Bounds(Bounds),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    max: Option<u32>,
    expires: Option<String>,
}

impl UserEntry {
    fn rule(self) -> Result<UserRule, String> {
        let login = match (self.password, self.token, self.nkey) {
            (Some(password), None, None) => Login::Password(password),
            (None, Some(token), None) => Login::Token(token),
            (None, None, Some(nkey)) => Login::Nkey(nkey),
            _ => return Err("needs one of `password`, `token` and `nkey`".into()),
        };
        let entry = PermissionsEntry {
            publish: self.publish,
            subscribe: self.subscribe,
            allow_responses: self.allow_responses,
        };
        Ok(UserRule {
            name: self.name,
            login,
            permissions: entry.permissions()?,
            account: Account::MAIN,
        })
    }
}

impl PermissionsEntry {
    /// Nothing where nothing is restricted.
    fn permissions(self) -> Result<Option<Permissions>, String> {
        let responses = match self.allow_responses {
            Some(entry) => entry.bounds().map_err(|err| format!("allow_responses: {err}"))?,
            None => None,
        };
        if self.publish.is_none() && self.subscribe.is_none() && responses.is_none() {
            return Ok(None);
        }
        let publish = rules("publish", self.publish)?;
        let subscribe = rules("subscribe", self.subscribe)?;
        let wrong = |err: PermissionsError| format!("publish: {err}");
        Permissions::new(publish, subscribe, responses).map(Some).map_err(wrong)
    }
}

fn rules(key: &str, entry: Option<RulesEntry>) -> Result<SubjectRules, String> {
    let (allow, deny) = match entry {
        None => (None, Vec::new()),
        Some(RulesEntry::Allow(allow)) => (Some(allow), Vec::new()),
        Some(RulesEntry::Both(both)) => (both.allow, both.deny),
    };
    let denied = SubjectRules::all().deny(&deny);
    let all = match allow {
        Some(allow) => denied.and_then(|rules| rules.allow(&allow)),
        None => denied,
    };
    all.map_err(|err| format!("{key}: {err}"))
}

impl ResponsesEntry {
    fn bounds(self) -> Result<Option<AllowResponses>, String> {
        let usual = AllowResponses::default();
        let bounds = match self {
            ResponsesEntry::Switch(on) => return Ok(on.then_some(usual)),
            ResponsesEntry::Bounds(bounds) => bounds,
        };
        let expires = match bounds.expires {
            Some(text) => Some(units::duration(&text).ok_or(format!("`{text}` is no duration"))?),
            None => usual.expires,
        };
        Ok(Some(AllowResponses { max: bounds.max.or(usual.max), expires }))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::auth::{Credentials, Peer, PeerAddress};

    fn check_faults(text: &str, expected: &Expect) {
        let faults = judge(text, &UnixPeers::Nobody).expect_err("it has faults");
        expected.assert_eq(&faults.join("\n"));
    }

    #[test]
    fn every_fault_is_told_with_its_key() {
        check_faults(
            r#"
            no_auth_user = "x"
            colour = "blue"
            [[user]]
            name = "a"
            [[user]]
            name = "b"
            password = "x"
            publsh = ["a"]
            [[user]]
            name = "c"
            password = 7
            [[user]]
            name = "d"
            token = "t"
            subscribe = ["a..b"]
            [[user]]
            name = "e"
            token = "t"
            publish = "a"
            [[user]]
            name = "f"
            nkey = "U"
            allow_responses = { expires = "soon" }
            [[user]]
            token = "t"
            "#,
            &expect![[r#"
                user[0] `a`: needs one of `password`, `token` and `nkey`
                user[1] `b`: unknown field `publsh`, expected one of `name`, `password`, `token`, `nkey`, `publish`, `subscribe`, `allow_responses`
                user[2] `c`: invalid type: integer `7`, expected a string in `password`
                user[3] `d`: subscribe: `a..b` is no subject
                user[4] `e`: expected a list of subjects, or `{ allow = […], deny = […] }` in `publish`
                user[5] `f`: allow_responses: `soon` is no duration
                user[6]: missing field `name`
                unknown field `colour`, expected `no_auth_user` or `default_permissions`"#]],
        );
        check_faults(
            r#"
            no_auth_user = "x"
            [[user]]
            name = "a"
            password = ""
            [[user]]
            name = "b"
            nkey = "U"
            "#,
            &expect![[r#"
                user `a` cannot prove who he is: the secret is empty
                user `b` cannot prove who he is: no public nkey of a user (`U…`)
                no_auth_user `x` is no user"#]],
        );
        check_faults("user = 3", &expect!["user: expected `[[user]]` tables"]);
        check_faults(
            "[[user",
            &expect![
                "TOML parse error at line 1, column 7 | 1 | [[user | ^ unclosed array table, expected `]]`"
            ],
        );
        check_faults(
            "default_permissions = { publish = [\"a q\"] }",
            &expect!["default_permissions: publish: `a q`: only a subscription has a queue group"],
        );
    }

    fn login(auth: &Auth, user: &str, pass: &str) -> Option<Arc<crate::auth::User>> {
        let address = PeerAddress::Tcp(([127, 0, 0, 1], 1).into());
        let offered = Credentials { user: Some(user), pass: Some(pass), ..Credentials::default() };
        auth.authenticate(offered, b"", &Peer { address, tls: false }).ok()
    }

    #[test]
    fn users_and_their_permissions_are_read() {
        let auth = judge(
            r#"
            default_permissions = { publish = ["open.>"] }
            [[user]]
            name = "usual"
            password = "x"
            [[user]]
            name = "sensor"
            password = "x"
            publish = { deny = ["secret.>"] }
            subscribe = ["site.>", "jobs workers"]
            allow_responses = { max = 5, expires = "1m" }
            "#,
            &UnixPeers::Nobody,
        )
        .unwrap();
        let usual = login(&auth, "usual", "x").unwrap().permissions.clone().unwrap();
        assert!(usual.may_publish(b"open.a") && !usual.may_publish(b"a"));
        let sensor = login(&auth, "sensor", "x").unwrap().permissions.clone().unwrap();
        assert!(sensor.may_subscribe(b"jobs", Some(b"workers")));
        assert!(!sensor.may_subscribe(b"jobs", None));
        let bounds = AllowResponses { max: Some(5), expires: Some(Duration::from_secs(60)) };
        assert_eq!(sensor.allow_responses(), Some(bounds));
    }

    fn file_for(password: &str) -> String {
        format!("[[user]]\nname = \"a\"\npassword = \"{password}\"\n")
    }

    #[test]
    fn a_bad_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        assert!(matches!(
            AuthFile::load(&path, UnixPeers::Nobody),
            Err(AuthFileError::Read { .. })
        ));
        std::fs::write(&path, file_for("first")).unwrap();
        let mut file = AuthFile::load(&path, UnixPeers::Nobody).unwrap();
        assert!(!file.changed());
        for bad in ["nonsense".to_owned(), file_for(""), "#".repeat(2 << 20)] {
            std::fs::write(&path, bad).unwrap();
            assert!(file.changed());
            file.reload().unwrap_err();
            assert!(!file.changed(), "a bad file is looked at once");
            assert!(login(&file.auth(), "a", "first").is_some());
        }
        std::fs::write(&path, file_for("second")).unwrap();
        file.reload().unwrap();
        assert!(login(&file.auth(), "a", "second").is_some());
        assert!(login(&file.auth(), "a", "first").is_none());
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_without_being_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, file_for("first")).unwrap();
        let file = AuthFile::load(&path, UnixPeers::Nobody).unwrap();
        let (taken, mut news) = tokio::sync::mpsc::unbounded_channel();
        let (look, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let watching = tokio::spawn(watch(
            file,
            move |auth| taken.send(auth).unwrap_or_default(),
            Arc::clone(&look),
            stop.clone(),
        ));
        std::fs::write(&path, file_for("the second")).unwrap();
        let auth = news.recv().await.unwrap();
        assert!(login(&auth, "a", "the second").is_some());
        look.notify_one();
        assert!(news.recv().await.is_some(), "asked, it reads again in any case");
        stop.cancel();
        watching.await.unwrap();
    }
}

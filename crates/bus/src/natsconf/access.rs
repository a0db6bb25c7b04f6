//! `authorization`, `accounts` and `no_auth_user`: who may connect.

use std::time::Duration;

use super::{ConfFault, Map, Node, Place, Value, server::bytes};
use crate::{
    auth::{
        Account, AllowResponses, AuthRules, Login, Permissions, PermissionsError, SubjectRules,
        UserRule,
    },
    stream::AccountLimits,
};

/// nats-server's own account, which has no users of interest here.
const SYSTEM: [&str; 2] = ["$sys", "sys"];

/// What was said about access so far.
#[derive(Default)]
pub(super) struct Access {
    users: Vec<UserRule>,
    defaults: Option<Permissions>,
    no_auth_user: Option<(String, Place)>,
    /// Of whom the users are that are read now: places among `accounts`; outside of all the main.
    account: Account,
    /// Where the streams are: the account that says so, else the first.
    streams: Option<String>,
    /// What all streams together may take.
    pub(super) stream_limits: AccountLimits,
    /// How long a client may take to say who it is.
    pub(super) timeout: Option<Duration>,
}

/// What nats-server calls the owner of `authorization { token }`.
const TOKEN_USER: &str = "token";

impl Access {
    /// Takes a key of the top level, the last that could know it.
    pub(super) fn set(&mut self, key: &str, node: Node, variable: bool) -> Result<(), ConfFault> {
        match key {
            "authorization" => self.authorization(node),
            "accounts" => self.accounts(node),
            "no_auth_user" => {
                let place = node.place.clone();
                self.no_auth_user = Some((node.text()?, place));
                Ok(())
            }
            _ if variable => Ok(()),
            _ => Err(node.fault(format!("unknown field `{key}`"))),
        }
    }

    /// Nothing where nobody was configured.
    pub(super) fn rules(self) -> Result<Option<AuthRules>, ConfFault> {
        if let Some((name, place)) = &self.no_auth_user
            && !self.users.iter().any(|user| user.name == *name)
        {
            let what = format!("no_auth_user `{name}` is no user");
            return Err(ConfFault { place: place.clone(), what });
        }
        let rules = AuthRules {
            users: self.users,
            no_auth_user: self.no_auth_user.map(|(name, _)| name),
            default_permissions: self.defaults,
            ..AuthRules::default()
        };
        Ok((!rules.users.is_empty()).then_some(rules))
    }

    fn authorization(&mut self, node: Node) -> Result<(), ConfFault> {
        let at = node.clone();
        let (mut user, mut pass) = (None, None);
        for (key, node, variable) in node.map()?.settings() {
            match key.as_str() {
                "user" | "username" => user = Some(node.text()?),
                "pass" | "password" => pass = Some(node.text()?),
                "token" => self.token(node)?,
                "timeout" => self.timeout = Some(node.duration()?),
                "users" => self.users(node)?,
                "default_permission" | "default_permissions" | "permissions" => {
                    self.defaults = Some(permissions(node)?);
                }
                _ if variable => {}
                _ => return Err(unknown("authorization", &key, &node)),
            }
        }
        match (user, pass) {
            (None, None) => Ok(()),
            (Some(name), Some(pass)) => self.add(&at, name, Login::Password(pass), None),
            _ => Err(at.fault("`authorization` needs both `user` and `password`")),
        }
    }

    fn token(&mut self, node: Node) -> Result<(), ConfFault> {
        let at = node.clone();
        self.add(&at, TOKEN_USER.into(), Login::Token(node.text()?), None)
    }

    fn accounts(&mut self, node: Node) -> Result<(), ConfFault> {
        let at = node.clone();
        let mut accounts: Vec<(String, Node)> = Vec::new();
        for (name, node, variable) in node.map()?.settings() {
            if !variable && !SYSTEM.contains(&name.as_str()) {
                accounts.push((name, node));
            }
        }
        // The one with streams comes first: what is in the server's process is in the main one.
        accounts.sort_by_key(|(_, node)| !has_streams(node));
        for (place, (name, node)) in accounts.into_iter().enumerate() {
            let most = Account::MOST;
            let account = Account::at(place);
            self.account =
                account.ok_or_else(|| at.fault(format!("there are more than {most} accounts")))?;
            self.account(&name, node)?;
        }
        self.account = Account::MAIN;
        Ok(())
    }

    fn account(&mut self, name: &str, node: Node) -> Result<(), ConfFault> {
        let (first, mut defaults) = (self.users.len(), None);
        for (key, node, variable) in node.map()?.settings() {
            match key.as_str() {
                "users" => self.users(node)?,
                "default_permissions" => defaults = Some(permissions(node)?),
                "jetstream" => self.jetstream(name, &node)?,
                // Limits of the account are those of the server.
                "limits" => {}
                _ if variable => {}
                _ => return Err(unknown("account", &key, &node)),
            }
        }
        for user in &mut self.users[first..] {
            user.permissions = user.permissions.take().or_else(|| defaults.clone());
        }
        Ok(())
    }

    fn jetstream(&mut self, account: &str, node: &Node) -> Result<(), ConfFault> {
        match &self.streams {
            _ if !is_on(node) => Ok(()),
            Some(other) => {
                let what = format!("streams of account `{account}` beside those of `{other}`");
                Err(node.fault(format!("{what}: not supported")))
            }
            None => {
                self.streams = Some(account.to_owned());
                self.stream_limits = stream_limits(node)?;
                Ok(())
            }
        }
    }

    fn users(&mut self, node: Node) -> Result<(), ConfFault> {
        node.array()?.into_iter().try_for_each(|node| self.user(node))
    }

    fn user(&mut self, node: Node) -> Result<(), ConfFault> {
        let at = node.clone();
        let (mut name, mut pass, mut nkey, mut rules) = (None, None, None, None);
        for (key, node, variable) in node.map()?.settings() {
            match key.as_str() {
                "user" | "username" => name = Some(node.text()?),
                "pass" | "password" => pass = Some(node.text()?),
                "nkey" => nkey = Some(node.text()?),
                "permission" | "permissions" | "authorization" => rules = Some(permissions(node)?),
                _ if variable => {}
                _ => return Err(unknown("user", &key, &node)),
            }
        }
        match (name, nkey) {
            (None, Some(key)) => self.add(&at, key.clone(), Login::Nkey(key), rules),
            (Some(name), None) => {
                let login = pass.filter(|pass| !pass.is_empty()).map(Login::Password);
                self.add(&at, name, login.unwrap_or(Login::Never), rules)
            }
            _ => Err(at.fault("a user needs either `user` or `nkey`")),
        }
    }

    fn add(
        &mut self,
        at: &Node,
        name: String,
        login: Login,
        permissions: Option<Permissions>,
    ) -> Result<(), ConfFault> {
        if self.users.iter().any(|user| user.name == name) {
            return Err(at.fault(format!("user `{name}` is there twice")));
        }
        self.users.push(UserRule { name, login, permissions, account: self.account });
        Ok(())
    }
}

/// Whether an account's setting says that it has streams.
fn has_streams(account: &Node) -> bool {
    let Ok(map) = account.clone().map() else { return false };
    map.settings().any(|(key, node, _)| key == "jetstream" && is_on(&node))
}

/// A map of limits; anything else has none.
fn stream_limits(node: &Node) -> Result<AccountLimits, ConfFault> {
    let mut limits = AccountLimits::default();
    if !matches!(node.value, Value::Map(_)) {
        return Ok(limits);
    }
    for (key, node, variable) in node.clone().map()?.settings() {
        match key.as_str() {
            "max_memory" | "max_mem" | "mem" | "memory" => limits.max_memory = bytes(&node)?,
            "max_file" | "max_store" | "store" | "file" | "max_disk" | "disk" => {
                limits.max_storage = bytes(&node)?;
            }
            "max_streams" | "streams" => limits.max_streams = most(&node)?,
            "max_consumers" | "consumers" => limits.max_consumers = most(&node)?,
            "max_ack_pending" => limits.max_ack_pending = most(&node)?,
            "max_bytes_required" | "max_stream_bytes" | "max_bytes" => {
                limits.max_bytes_required = node.bool()?;
            }
            "mem_max_stream_bytes" | "memory_max_stream_bytes" => {
                limits.memory_max_stream_bytes = bytes(&node)?;
            }
            "disk_max_stream_bytes" | "store_max_stream_bytes" => {
                limits.storage_max_stream_bytes = bytes(&node)?;
            }
            _ if variable => {}
            _ => return Err(unknown("an account's jetstream", &key, &node)),
        }
    }
    Ok(limits)
}

/// A number; below 0 is no limit.
fn most<T: TryFrom<i64>>(node: &Node) -> Result<Option<T>, ConfFault> {
    node.integer().map(|number| T::try_from(number).ok().filter(|_| number >= 0))
}

fn is_on(jetstream: &Node) -> bool {
    match &jetstream.value {
        Value::Bool(on) => *on,
        Value::Text(word) => !word.eq_ignore_ascii_case("disabled"),
        _ => true,
    }
}

fn unknown(parent: &str, key: &str, node: &Node) -> ConfFault {
    node.fault(format!("`{key}` of {parent} is unknown or not supported"))
}

fn permissions(node: Node) -> Result<Permissions, ConfFault> {
    let at = node.clone();
    let (mut publish, mut subscribe) = (SubjectRules::all(), SubjectRules::all());
    let mut answers = None;
    for (key, node, variable) in node.map()?.settings() {
        match key.as_str() {
            "pub" | "publish" | "import" => publish = rules(node)?,
            "sub" | "subscribe" | "export" => subscribe = rules(node)?,
            "allow_responses" | "publish_allow_responses" => answers = responses(node)?,
            _ if variable => {}
            _ => return Err(unknown("permissions", &key, &node)),
        }
    }
    Permissions::new(publish, subscribe, answers).map_err(|err| at.fault(err.to_string()))
}

/// A subject, a list of them, or `{allow, deny}`; an empty list of what is allowed is no
/// restriction there, as nats-server has it.
fn rules(node: Node) -> Result<SubjectRules, ConfFault> {
    let at = node.clone();
    let (allow, deny) = match node.value {
        Value::Map(map) => allow_and_deny(map)?,
        _ => (Some(node.texts()?), Vec::new()),
    };
    let wrong = |err: PermissionsError| at.fault(err.to_string());
    let denied = SubjectRules::all().deny(&deny).map_err(wrong)?;
    match allow {
        Some(allow) => denied.allow(&allow).map_err(wrong),
        None => Ok(denied),
    }
}

fn allow_and_deny(map: Map) -> Result<(Option<Vec<String>>, Vec<String>), ConfFault> {
    let (mut allow, mut deny) = (None, Vec::new());
    for (key, node, variable) in map.settings() {
        match key.as_str() {
            "allow" => allow = Some(node.texts()?).filter(|subjects| !subjects.is_empty()),
            "deny" => deny = node.texts()?,
            _ if variable => {}
            _ => return Err(unknown("a permission", &key, &node)),
        }
    }
    Ok((allow, deny))
}

fn responses(node: Node) -> Result<Option<AllowResponses>, ConfFault> {
    let mut answers = AllowResponses::default();
    if let Value::Bool(on) = node.value {
        return Ok(on.then_some(answers));
    }
    for (key, node, variable) in node.map()?.settings() {
        match key.as_str() {
            "max" | "max_msgs" | "max_messages" => answers.max = at_most(&node, answers.max)?,
            "expires" | "expiration" | "ttl" => answers.expires = Some(node.duration()?),
            _ if variable => {}
            _ => return Err(unknown("allow_responses", &key, &node)),
        }
    }
    Ok(Some(answers))
}

/// 0 is the default, below is no limit.
fn at_most(node: &Node, usual: Option<u32>) -> Result<Option<u32>, ConfFault> {
    match node.integer()? {
        0 => Ok(usual),
        ..0 => Ok(None),
        _ => node.number().map(Some),
    }
}

//! `authorization`, `accounts` and `no_auth_user`: who may connect.

use std::time::Duration;

use super::{ConfFault, Map, Node, Place, Value};
use crate::auth::{
    AllowResponses, AuthRules, Login, Permissions, PermissionsError, SubjectRules, UserRule,
};

/// nats-server's own account, which has no users of interest here.
const SYSTEM: [&str; 2] = ["$sys", "sys"];

/// What was said about access so far.
#[derive(Default)]
pub(super) struct Access {
    users: Vec<UserRule>,
    defaults: Option<Permissions>,
    no_auth_user: Option<(String, Place)>,
    /// The one account, and where it stands.
    account: Option<String>,
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
        for (name, node, variable) in node.map()?.settings() {
            let system = SYSTEM.contains(&name.as_str());
            match &self.account {
                _ if variable || system => {}
                Some(first) => {
                    return Err(node.fault(format!(
                        "account `{name}` beside `{first}`: more than one account is not supported"
                    )));
                }
                None => self.account(name, node)?,
            }
        }
        Ok(())
    }

    fn account(&mut self, name: String, node: Node) -> Result<(), ConfFault> {
        self.account = Some(name);
        for (key, node, variable) in node.map()?.settings() {
            match key.as_str() {
                "users" => self.users(node)?,
                "default_permissions" => self.defaults = Some(permissions(node)?),
                // Limits of the account are those of the server: there is one.
                "jetstream" | "limits" => {}
                _ if variable => {}
                _ => return Err(unknown("account", &key, &node)),
            }
        }
        Ok(())
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
        self.users.push(UserRule { name, login, permissions });
        Ok(())
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

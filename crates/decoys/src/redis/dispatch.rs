//! Carries commands out, in the order in which redis judges them: unknown, number of arguments,
//! login, transaction, and only then the command itself.

use model::{SessionFact, Timestamp, escape_text};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::{
    MAX_QUEUED, RedisSession, Transaction,
    keyspace::{DATABASES, integer, wrong_arguments},
    reply::{Reply, raw},
    server::{all, fits, hex, known},
};
use crate::{Flow, Output};

const NO_CLUSTER: &str = "This instance has cluster support disabled";
const NOT_LOGGED_IN: &str = "NOAUTH Authentication required.";
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_SET: &str = "AUTH <password> called without any password configured for the \
    default user. Are you sure your configuration is correct?";
const HELLO_NEEDS_LOGIN: &str = "NOAUTH HELLO must be called with the client already \
    authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the \
    client and select the RESP protocol version at the same time";

/// Longest list of arguments that is repeated to the visitor (redis: 128 bytes).
const MAX_ECHOED_BYTES: usize = 128;

/// Most channels of one subscriber.
const MAX_CHANNELS: usize = 1024;

impl RedisSession {
    /// The reply to one command, and whether the connection goes on.
    pub(super) fn dispatch(
        &mut self,
        now: Timestamp,
        words: &[Vec<u8>],
        out: &mut Output,
    ) -> (Reply, Flow) {
        let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
        if name == "quit" {
            return (Reply::ok(), Flow::Close);
        }
        let refusal = refuse(&name, words).or_else(|| self.refuse_stranger(&name));
        if let Some(refusal) = refusal {
            if let Some(transaction) = &mut self.client.transaction {
                transaction.failed = true;
            }
            return (refusal, Flow::Continue);
        }
        let steers =
            matches!(name.as_str(), "exec" | "discard" | "multi" | "watch" | "reset" | "quit");
        if let Some(transaction) = self.client.transaction.as_mut().filter(|_| !steers) {
            if transaction.queued.len() < MAX_QUEUED {
                transaction.queued.push(words.to_vec());
            }
            return (Reply::Simple("QUEUED".into()), Flow::Continue);
        }
        let flow = match (name.as_str(), words.get(1)) {
            ("shutdown", argument) if argument.is_none_or(|word| is_shutdown_option(word)) => {
                return (Reply::Many(Vec::new()), Flow::Close);
            }
            _ => Flow::Continue,
        };
        (self.run(now, &name, words, out), flow)
    }

    fn refuse_stranger(&self, name: &str) -> Option<Reply> {
        let open = matches!(name, "auth" | "hello" | "reset" | "quit");
        if !self.client.logged_in && !open {
            return Some(Reply::Error(NOT_LOGGED_IN.into()));
        }
        let allowed = matches!(
            name,
            "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "ping" | "quit" | "reset"
        );
        let bound = !self.client.channels.is_empty() && !self.client.resp3;
        (bound && !allowed).then(|| {
            Reply::error(format!(
                "Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context"
            ))
        })
    }

    fn run(&mut self, now: Timestamp, name: &str, words: &[Vec<u8>], out: &mut Output) -> Reply {
        let args = &words[1..];
        if let Some(reply) = self.keyspace.run(now, name, words) {
            return reply;
        }
        let outcome = match name {
            "auth" => Ok(self.auth(args, out)),
            "hello" => self.hello(args, out),
            "ping" | "echo" | "time" | "reset" | "wait" | "lolwut" | "monitor" => {
                Ok(self.simple(now, name, args))
            }
            "select" | "swapdb" | "move" | "flushall" | "flushdb" | "object" | "memory" => {
                self.databases(name, args)
            }
            "info" => {
                let text = self.server.info(now, &self.keyspace, args);
                Ok(Reply::Text(self.with_master(text)))
            }
            "config" => Ok(self.config(args)),
            "client" => Ok(self.client_command(args)),
            "command" => Ok(commands(args)),
            "multi" | "exec" | "discard" | "watch" | "unwatch" => {
                Ok(self.transaction(now, name, out))
            }
            "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "publish" | "pubsub" => {
                Ok(self.channels(name, args))
            }
            "slaveof" | "replicaof" | "role" => self.replication(name, args),
            "save" => Ok(Reply::ok()),
            "bgsave" => Ok(match args {
                [] => Reply::Simple("Background saving started".into()),
                [one] if one.eq_ignore_ascii_case(b"schedule") => {
                    Reply::Simple("Background saving started".into())
                }
                _ => Reply::error("syntax error"),
            }),
            "bgrewriteaof" => {
                Ok(Reply::Simple("Background append only file rewriting started".into()))
            }
            "lastsave" => Ok(count(self.server.last_save(now))),
            "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "script" => script(name, args),
            "module" | "debug" if name == "debug" || !is(args, "list") => Ok(forbidden(name)),
            "module" => Ok(Reply::Array(Vec::new())),
            "slowlog" | "latency" => {
                Ok(if is(args, "len") { Reply::Int(0) } else { Reply::Array(Vec::new()) })
            }
            "acl" => Ok(self.acl(args)),
            "shutdown" => Ok(Reply::error("syntax error")),
            "cluster" | "readonly" | "readwrite" | "asking" => Ok(Reply::error(NO_CLUSTER)),
            "failover" => Ok(Reply::error("FAILOVER requires connected replicas.")),
            // What is known and not played: as if the administrator had taken the right away.
            _ => Ok(not_permitted(name)),
        };
        match outcome {
            Ok(reply) | Err(reply) => reply,
        }
    }

    fn simple(&mut self, now: Timestamp, name: &str, args: &[Vec<u8>]) -> Reply {
        match (name, args) {
            ("ping", [_, _, ..]) => wrong_arguments("ping"),
            ("ping", _) if !self.client.channels.is_empty() && !self.client.resp3 => {
                let text = args.first().cloned().unwrap_or_default();
                Reply::Array(vec![Reply::bulk("pong"), Reply::Bulk(text)])
            }
            ("ping", []) => Reply::Simple("PONG".into()),
            ("ping" | "echo", [text]) => Reply::bulk(text),
            ("time", _) => {
                let micros = now.as_micros();
                let parts = [micros / 1_000_000, micros % 1_000_000];
                Reply::Array(parts.iter().map(|part| Reply::bulk(part.to_string())).collect())
            }
            ("reset", _) => {
                self.client.transaction = None;
                self.client.channels.clear();
                self.client.resp3 = false;
                self.client.name.clear();
                self.client.logged_in = self.server.password.is_none();
                self.keyspace.select(0);
                Reply::Simple("RESET".into())
            }
            ("wait", _) => Reply::Int(0),
            ("lolwut", _) => Reply::Text("Redis ver. 7.0.15\n".into()),
            _ => Reply::ok(),
        }
    }

    fn auth(&mut self, args: &[Vec<u8>], out: &mut Output) -> Reply {
        match args {
            [password] if self.server.password.is_none() => {
                note_login(b"", password, false, out);
                Reply::error(NO_PASSWORD_SET)
            }
            [password] => self.log_in(b"", password, out),
            [user, password] => self.log_in(user, password, out),
            _ => Reply::error("syntax error"),
        }
    }

    fn log_in(&mut self, user: &[u8], password: &[u8], out: &mut Output) -> Reply {
        let known = user.is_empty() || user == b"default";
        let right = self.server.password.as_ref().is_none_or(|one| one.as_bytes() == password);
        note_login(user, password, known && right, out);
        if !known || !right {
            return Reply::Error(WRONG_PASSWORD.into());
        }
        self.client.logged_in = true;
        Reply::ok()
    }

    fn hello(&mut self, args: &[Vec<u8>], out: &mut Output) -> Result<Reply, Reply> {
        let mut resp3 = self.client.resp3;
        if let Some(version) = args.first() {
            let not_a_number = "Protocol version is not an integer or out of range";
            resp3 = match integer(version).map_err(|_| Reply::error(not_a_number))? {
                2 => false,
                3 => true,
                _ => return Err(Reply::Error("NOPROTO unsupported protocol version".into())),
            };
        }
        let (mut login, mut client_name) = (None, None);
        let mut rest = args.get(1..).unwrap_or_default();
        while let [option, tail @ ..] = rest {
            match (option.to_ascii_lowercase().as_slice(), tail) {
                (b"auth", [user, password, more @ ..]) => {
                    login = Some((user, password));
                    rest = more;
                }
                (b"setname", [name, more @ ..]) => {
                    client_name = Some(name);
                    rest = more;
                }
                _ => {
                    let shown = raw(option);
                    return Err(Reply::error(format!("Syntax error in HELLO option '{shown}'")));
                }
            }
        }
        if let Some((user, password)) = login
            && let refusal @ Reply::Error(_) = self.log_in(user, password, out)
        {
            return Err(refusal);
        }
        if !self.client.logged_in {
            return Err(Reply::Error(HELLO_NEEDS_LOGIN.into()));
        }
        if let Some(name) = client_name {
            self.client.name.clone_from(name);
        }
        self.client.resp3 = resp3;
        let role = if self.client.master.is_some() { "replica" } else { "master" };
        Ok(Reply::Map(vec![
            (Reply::bulk("server"), Reply::bulk("redis")),
            (Reply::bulk("version"), Reply::bulk("7.0.15")),
            (Reply::bulk("proto"), Reply::Int(if resp3 { 3 } else { 2 })),
            (Reply::bulk("id"), count(self.client.id)),
            (Reply::bulk("mode"), Reply::bulk("standalone")),
            (Reply::bulk("role"), Reply::bulk(role)),
            (Reply::bulk("modules"), Reply::Array(Vec::new())),
        ]))
    }

    fn databases(&mut self, name: &str, args: &[Vec<u8>]) -> Result<Reply, Reply> {
        let database = |text: &[u8]| {
            let at = usize::try_from(integer(text)?).ok().filter(|at| *at < DATABASES);
            at.ok_or_else(|| Reply::error("DB index is out of range"))
        };
        match name {
            "select" => self.keyspace.select(database(&args[0])?),
            "swapdb" => self.keyspace.swap(database(&args[0])?, database(&args[1])?),
            "flushall" | "flushdb" => match args {
                [] => self.keyspace.flush(name == "flushall"),
                [how] if matches!(how.to_ascii_lowercase().as_slice(), b"sync" | b"async") => {
                    self.keyspace.flush(name == "flushall");
                }
                _ => return Err(Reply::error("syntax error")),
            },
            "object" if is(args, "encoding") && args.len() == 2 => {
                return Ok(self.keyspace.encoding(&args[1]).map_or(Reply::Nil, Reply::bulk));
            }
            "memory" if is(args, "usage") && args.len() >= 2 => {
                return Ok(self.keyspace.encoding(&args[1]).map_or(Reply::Nil, |_| Reply::Int(56)));
            }
            _ => return Err(not_permitted(name)),
        }
        Ok(Reply::ok())
    }

    fn config(&mut self, args: &[Vec<u8>]) -> Reply {
        match args[0].to_ascii_lowercase().as_slice() {
            b"get" => self.server.config_get(&self.client.changed, &args[1..]),
            b"set" => self.server.config_set(&mut self.client.changed, &args[1..]),
            b"help" => {
                Reply::Array(CONFIG_HELP.iter().map(|s| Reply::Simple((*s).into())).collect())
            }
            _ => Reply::ok(),
        }
    }

    fn client_command(&mut self, args: &[Vec<u8>]) -> Reply {
        let client = &mut self.client;
        match args[0].to_ascii_lowercase().as_slice() {
            b"id" => count(client.id),
            b"getname" if client.name.is_empty() => Reply::Nil,
            b"getname" => Reply::bulk(&client.name),
            b"setname" if args[1].iter().all(|byte| (b'!'..=b'~').contains(byte)) => {
                client.name.clone_from(&args[1]);
                Reply::ok()
            }
            b"setname" => {
                Reply::error("Client names cannot contain spaces, newlines or special characters.")
            }
            b"list" => Reply::Text(self.describe("client|list")),
            b"info" => Reply::Text(self.describe("client|info")),
            b"kill" => Reply::error("No such client"),
            b"reply"
                if !matches!(args[1].to_ascii_lowercase().as_slice(), b"on" | b"off" | b"skip") =>
            {
                Reply::error("syntax error")
            }
            _ => Reply::ok(),
        }
    }

    fn describe(&self, command: &str) -> String {
        let client = &self.client;
        format!(
            "id={} addr={} laddr={} fd=8 name={} age=0 idle=0 flags=N db={} sub={} psub=0 ssub=0 \
             multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 \
             omem=0 tot-mem=22298 events=r cmd={command} user=default redir=-1 resp={}\n",
            client.id,
            client.peer,
            client.local,
            String::from_utf8_lossy(&client.name),
            self.keyspace.selected(),
            client.channels.len(),
            if client.resp3 { 3 } else { 2 },
        )
    }

    fn transaction(&mut self, now: Timestamp, name: &str, out: &mut Output) -> Reply {
        match (name, self.client.transaction.take()) {
            ("multi", None) => {
                self.client.transaction = Some(Transaction::default());
                Reply::ok()
            }
            ("multi", open) => {
                self.client.transaction = open;
                Reply::error("MULTI calls can not be nested")
            }
            ("discard", Some(_)) => Reply::ok(),
            ("discard" | "exec", None) => {
                Reply::error(format!("{} without MULTI", name.to_ascii_uppercase()))
            }
            ("exec", Some(open)) if open.failed => {
                Reply::Error("EXECABORT Transaction discarded because of previous errors.".into())
            }
            ("exec", Some(open)) => {
                let run = |words: &Vec<Vec<u8>>| {
                    let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
                    self.run(now, &name, words, out)
                };
                Reply::Array(open.queued.iter().map(run).collect())
            }
            ("watch", open @ Some(_)) => {
                self.client.transaction = open;
                Reply::error("WATCH inside MULTI is not allowed")
            }
            (_, open) => {
                self.client.transaction = open;
                Reply::ok()
            }
        }
    }

    fn channels(&mut self, name: &str, args: &[Vec<u8>]) -> Reply {
        let channels = &mut self.client.channels;
        let note = |kind: &str, channel: Reply, count: usize| {
            Reply::Push(vec![Reply::bulk(kind), channel, Reply::Int(count as i64)])
        };
        match name {
            "publish" => Reply::Int(0),
            "pubsub" if is(args, "numsub") => Reply::Array(
                args[1..].iter().flat_map(|name| [Reply::bulk(name), Reply::Int(0)]).collect(),
            ),
            "pubsub" if is(args, "numpat") => Reply::Int(0),
            "pubsub" => Reply::Array(Vec::new()),
            "subscribe" | "psubscribe" => {
                let mut notes = Vec::new();
                for channel in args {
                    if !channels.contains(channel) && channels.len() < MAX_CHANNELS {
                        channels.push(channel.clone());
                    }
                    notes.push(note(name, Reply::bulk(channel), channels.len()));
                }
                Reply::Many(notes)
            }
            _ => {
                let leaving = if args.is_empty() { channels.clone() } else { args.to_vec() };
                let mut notes = Vec::new();
                for channel in &leaving {
                    channels.retain(|one| one != channel);
                    notes.push(note(name, Reply::bulk(channel), channels.len()));
                }
                if notes.is_empty() {
                    notes.push(note(name, Reply::Nil, 0));
                }
                Reply::Many(notes)
            }
        }
    }

    fn replication(&mut self, name: &str, args: &[Vec<u8>]) -> Result<Reply, Reply> {
        if name == "role" {
            return Ok(Reply::Array(match &self.client.master {
                None => vec![Reply::bulk("master"), Reply::Int(0), Reply::Array(Vec::new())],
                Some((host, port)) => vec![
                    Reply::bulk("slave"),
                    Reply::bulk(host),
                    Reply::Int(i64::from(*port)),
                    Reply::bulk("connect"),
                    Reply::Int(-1),
                ],
            }));
        }
        if args[0].eq_ignore_ascii_case(b"no") && args[1].eq_ignore_ascii_case(b"one") {
            self.client.master = None;
            return Ok(Reply::ok());
        }
        let port = integer(&args[1]).ok().and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or_else(|| Reply::error("Invalid master port"))?;
        self.client.master = Some((escape_text(&args[0]), port));
        Ok(Reply::ok())
    }

    /// INFO as a replica of the master that the visitor named; nobody connects to it.
    fn with_master(&self, text: String) -> String {
        let Some((host, port)) = &self.client.master else { return text };
        let replica = format!(
            "role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\nmaster_link_status:down\r\n\
             master_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:0\r\n"
        );
        text.replace("role:master\r\n", &replica)
    }

    fn acl(&self, args: &[Vec<u8>]) -> Reply {
        match args[0].to_ascii_lowercase().as_slice() {
            b"whoami" => Reply::bulk("default"),
            b"users" => Reply::Array(vec![Reply::bulk("default")]),
            b"list" => {
                let secret = match &self.server.password {
                    None => "nopass".to_owned(),
                    Some(password) => format!("#{}", hex(&Sha256::digest(password.as_bytes()))),
                };
                let line = format!("user default on {secret} ~* &* +@all");
                Reply::Array(vec![Reply::bulk(line)])
            }
            _ => not_permitted("acl"),
        }
    }
}

const CONFIG_HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

/// Unknown commands and subcommands, and wrong numbers of arguments.
fn refuse(name: &str, words: &[Vec<u8>]) -> Option<Reply> {
    let Some(command) = known(name) else { return Some(unknown(words)) };
    let subcommand = words.get(1).filter(|_| !command.subcommands.is_empty());
    let Some(given) = subcommand else {
        return (!fits(command.arity, words.len())).then(|| wrong_arguments(name));
    };
    let lower = String::from_utf8_lossy(given).to_ascii_lowercase();
    match command.subcommands.iter().find(|(one, _)| *one == lower) {
        None => Some(Reply::error(format!(
            "unknown subcommand '{}'. Try {} HELP.",
            raw(&given[..given.len().min(MAX_ECHOED_BYTES)]),
            name.to_ascii_uppercase(),
        ))),
        Some((_, arity)) if !fits(*arity, words.len()) => {
            Some(wrong_arguments(&format!("{name}|{lower}")))
        }
        Some(_) => None,
    }
}

fn unknown(words: &[Vec<u8>]) -> Reply {
    let mut args = String::new();
    for word in &words[1..] {
        if args.len() >= MAX_ECHOED_BYTES {
            break;
        }
        let room = MAX_ECHOED_BYTES - args.len();
        args.push_str(&format!("'{}' ", raw(&word[..word.len().min(room)])));
    }
    let name = raw(&words[0][..words[0].len().min(MAX_ECHOED_BYTES)]);
    Reply::error(format!("unknown command '{name}', with args beginning with: {args}"))
}

fn is(args: &[Vec<u8>], word: &str) -> bool {
    args.first().is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_shutdown_option(word: &[u8]) -> bool {
    matches!(word.to_ascii_lowercase().as_slice(), b"save" | b"nosave" | b"now" | b"force")
}

fn count(number: u64) -> Reply {
    Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn not_permitted(name: &str) -> Reply {
    Reply::Error(format!("NOPERM this user has no permissions to run the '{name}' command"))
}

fn forbidden(name: &str) -> Reply {
    Reply::error(format!(
        "{} command not allowed. If the enable-{name}-command option is set to \"local\", you can \
         run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
        name.to_ascii_uppercase(),
    ))
}

fn note_login(user: &[u8], password: &[u8], accepted: bool, out: &mut Output) {
    out.record(SessionFact::Login {
        principal: escape_text(user),
        secret: escape_text(password),
        method: "password".into(),
        accepted,
    });
}

fn commands(args: &[Vec<u8>]) -> Reply {
    match args.first().map(|word| word.to_ascii_lowercase()).as_deref() {
        Some(b"count") => count(all().count() as u64),
        Some(b"info") if args.len() > 1 => {
            let entry = |word: &Vec<u8>| {
                let name = String::from_utf8_lossy(word).to_ascii_lowercase();
                known(&name).map_or(Reply::Nil, |command| entry(&name, command.arity))
            };
            Reply::Array(args[1..].iter().map(entry).collect())
        }
        Some(b"docs") => Reply::Map(Vec::new()),
        Some(b"list") => Reply::Array(Reply::bulks(all().map(|(name, _)| name))),
        _ => Reply::Array(all().map(|(name, arity)| entry(name, arity)).collect()),
    }
}

/// A command as COMMAND tells it, without flags and keys.
fn entry(name: &str, arity: i64) -> Reply {
    let mut fields = vec![Reply::bulk(name), Reply::Int(arity), Reply::Array(Vec::new())];
    fields.extend([0; 3].map(Reply::Int));
    fields.extend([(); 4].map(|()| Reply::Array(Vec::new())));
    Reply::Array(fields)
}

/// Scripts are recorded, never run; the few that everyone tries first get their answer.
fn script(name: &str, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    if name == "script" {
        return Ok(match args[0].to_ascii_lowercase().as_slice() {
            b"load" => Reply::bulk(hex(&Sha1::digest(&args[1]))),
            b"exists" => Reply::Array(args[1..].iter().map(|_| Reply::Int(0)).collect()),
            b"kill" => Reply::Error("NOTBUSY No scripts in execution right now.".into()),
            _ => Reply::ok(),
        });
    }
    let keys = integer(&args[1])?;
    if keys < 0 {
        return Err(Reply::error("Number of keys can't be negative"));
    }
    if keys > i64::try_from(args.len() - 2).unwrap_or(i64::MAX) {
        return Err(Reply::error("Number of keys can't be greater than number of args"));
    }
    if name.starts_with("evalsha") {
        return Err(Reply::Error("NOSCRIPT No matching script. Please use EVAL.".into()));
    }
    let text = String::from_utf8_lossy(&args[0]);
    let Some(value) = text.trim().strip_prefix("return ").map(str::trim) else {
        return Ok(Reply::Nil);
    };
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    Ok(match (value.parse(), quoted('\'').or_else(|| quoted('"'))) {
        (Ok(number), _) => Reply::Int(number),
        (Err(_), Some(text)) => Reply::bulk(text),
        (Err(_), None) => Reply::Nil,
    })
}

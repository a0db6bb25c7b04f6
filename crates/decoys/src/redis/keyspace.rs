//! A small keyspace: strings, hashes, lists and sets that last as long as the session.
//!
//! Seeded from the persona, so that every visitor finds the same keys. Bounded in keys and
//! bytes; what does not fit is refused as Redis refuses it when its memory is used up.

use std::{collections::BTreeMap, time::Duration};

use model::{Persona, Timestamp};

use super::{glob::matches_glob, parse::number, reply::Reply};

/// Databases, as `databases` says.
pub(super) const DATABASES: usize = 16;

/// Most elements in all databases together.
const MAX_ELEMENTS: usize = 4096;

/// Most bytes in all databases together.
const MAX_BYTES: usize = 4 << 20;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const NOT_AN_INTEGER: &str = "value is not an integer or out of range";
const SYNTAX: &str = "syntax error";

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) expires: Option<Timestamp>,
    /// Changed in place, which shows in its encoding.
    pub(super) grown: bool,
}

/// All databases of one session.
#[derive(Debug)]
pub(super) struct Keyspace {
    databases: Vec<BTreeMap<Vec<u8>, Item>>,
    selected: usize,
    /// Before this nothing expires, so that a command need not look at every key.
    next_expiry: Option<Timestamp>,
}

pub(super) type Outcome = Result<Reply, Reply>;

impl Keyspace {
    pub(super) fn empty() -> Self {
        Self { databases: vec![BTreeMap::new(); DATABASES], selected: 0, next_expiry: None }
    }

    /// What `persona` keeps in its database.
    pub(super) fn of(persona: &Persona) -> Self {
        let mut keyspace = Self::empty();
        let mut put = |key: String, value: Value| {
            keyspace.databases[0]
                .insert(key.into_bytes(), Item { value, expires: None, grown: false });
        };
        let number = |label: &str, below: u64| persona.draw(label, below);
        for n in 0..2 + number("redis.sessions", 6) {
            let token = &super::server::hex(&persona.seed(&format!("redis.session.{n}")))[..24];
            let user = 1000 + number(&format!("redis.user.{n}"), 8000);
            let text = format!("{{\"uid\":{user},\"csrf\":\"{}\"}}", &token[..10]);
            put(format!("session:{token}"), Value::String(text.into_bytes()));
        }
        let settings = [
            ("maintenance", "0".to_owned()),
            ("release", format!("{}.{}", 2 + number("redis.major", 5), number("redis.minor", 30))),
            ("host", format!("{}.{}", persona.host_name, persona.domain)),
        ];
        let hash = settings.map(|(k, v)| (k.as_bytes().to_vec(), v.into_bytes()));
        put("app:settings".into(), Value::Hash(hash.into()));
        let jobs = 1 + number("redis.jobs", 5);
        let queue = (0..jobs).map(|n| {
            let id = number(&format!("redis.job.{n}"), 90_000) + 10_000;
            format!("{{\"job\":\"report\",\"id\":{id}}}").into_bytes()
        });
        put("queue:default".into(), Value::List(queue.collect()));
        let visits = number("redis.visits", 400_000).to_string();
        put("stats:visits".into(), Value::String(visits.into_bytes()));
        let users = persona.accounts.iter().map(|account| account.user.clone().into_bytes());
        put("users:active".into(), Value::Set(users.skip(1).collect()));
        keyspace
    }

    pub(super) fn selected(&self) -> usize {
        self.selected
    }

    pub(super) fn select(&mut self, database: usize) {
        self.selected = database;
    }

    pub(super) fn swap(&mut self, one: usize, other: usize) {
        self.databases.swap(one, other);
    }

    pub(super) fn flush(&mut self, all: bool) {
        if all {
            self.databases.iter_mut().for_each(BTreeMap::clear);
        } else {
            self.databases[self.selected].clear();
        }
    }

    /// Number of keys, and of those that expire, of each database that has any.
    pub(super) fn sizes(&self) -> Vec<(usize, usize, usize)> {
        let of = |keys: &BTreeMap<Vec<u8>, Item>| {
            (keys.len(), keys.values().filter(|item| item.expires.is_some()).count())
        };
        let all = self.databases.iter().map(of).enumerate();
        all.filter(|(_, (keys, _))| *keys > 0).map(|(n, (keys, e))| (n, keys, e)).collect()
    }

    /// Carries out a command on keys; nothing where it is none of those known here. The number
    /// of words is right already.
    pub(super) fn run(&mut self, now: Timestamp, name: &str, words: &[Vec<u8>]) -> Option<Reply> {
        self.expire(now);
        let outcome = self.known(now, name, &words[1..])?;
        Some(match outcome {
            Ok(reply) | Err(reply) => reply,
        })
    }

    /// Drops what is over by `now`.
    fn expire(&mut self, now: Timestamp) {
        if self.next_expiry.is_none_or(|at| at > now) {
            return;
        }
        for keys in &mut self.databases {
            keys.retain(|_, item| item.expires.is_none_or(|at| at > now));
        }
        let left = self.databases.iter().flat_map(BTreeMap::values);
        self.next_expiry = left.filter_map(|item| item.expires).min();
    }

    fn will_expire(&mut self, at: Timestamp) {
        self.next_expiry = Some(self.next_expiry.map_or(at, |earlier| earlier.min(at)));
    }

    fn known(&mut self, now: Timestamp, name: &str, args: &[Vec<u8>]) -> Option<Outcome> {
        if is_writing(name) && !self.has_room(args) {
            return Some(Err(Reply::Error(OUT_OF_MEMORY.into())));
        }
        Some(match name {
            "get" | "getdel" | "getset" | "set" | "setnx" | "setex" | "psetex" | "mget"
            | "mset" | "strlen" | "append" | "incr" | "decr" | "incrby" | "decrby" | "getrange"
            | "substr" | "setrange" | "getex" => self.strings(now, name, args),
            "hset" | "hmset" | "hget" | "hmget" | "hgetall" | "hkeys" | "hvals" | "hlen"
            | "hexists" | "hdel" | "hsetnx" | "hincrby" => self.hashes(name, args),
            "lpush" | "rpush" | "lrange" | "llen" | "lindex" | "lpop" | "rpop" | "lrem"
            | "lset" | "ltrim" => self.lists(name, args),
            "sadd" | "smembers" | "scard" | "sismember" | "srem" => self.sets(name, args),
            "del" | "unlink" | "exists" | "type" | "ttl" | "pttl" | "expire" | "pexpire"
            | "expireat" | "persist" | "keys" | "scan" | "dbsize" | "randomkey" | "rename"
            | "touch" => self.generic(now, name, args),
            _ => return None,
        })
    }

    fn has_room(&self, args: &[Vec<u8>]) -> bool {
        let mut elements = args.len();
        let mut bytes: usize = args.iter().map(Vec::len).sum();
        for (key, item) in self.databases.iter().flatten() {
            let (count, size) = match &item.value {
                Value::String(text) => (1, text.len()),
                Value::Hash(hash) => {
                    (hash.len(), hash.iter().map(|(k, v)| k.len() + v.len()).sum())
                }
                Value::List(list) | Value::Set(list) => {
                    (list.len(), list.iter().map(Vec::len).sum())
                }
            };
            elements += count;
            bytes += size + key.len();
        }
        elements <= MAX_ELEMENTS && bytes <= MAX_BYTES
    }

    pub(super) fn keys(&mut self) -> &mut BTreeMap<Vec<u8>, Item> {
        &mut self.databases[self.selected]
    }

    fn text(&mut self, key: &[u8]) -> Result<Option<&mut Vec<u8>>, Reply> {
        match self.keys().get_mut(key).map(|item| &mut item.value) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type()),
        }
    }

    fn put(&mut self, key: &[u8], text: Vec<u8>, expires: Option<Timestamp>) {
        if let Some(at) = expires {
            self.will_expire(at);
        }
        self.keys()
            .insert(key.to_vec(), Item { value: Value::String(text), expires, grown: false });
    }

    fn strings(&mut self, now: Timestamp, name: &str, args: &[Vec<u8>]) -> Outcome {
        let key = &args[0];
        let found = |text: Option<&mut Vec<u8>>| text.map_or(Reply::Nil, Reply::bulk);
        match name {
            "get" | "getex" => Ok(found(self.text(key)?)),
            "getdel" => {
                let reply = found(self.text(key)?);
                self.keys().remove(key);
                Ok(reply)
            }
            "getset" => {
                let reply = found(self.text(key)?);
                self.put(key, args[1].clone(), None);
                Ok(reply)
            }
            "set" => self.set(now, args),
            "setnx" => {
                let fresh = !self.keys().contains_key(key);
                if fresh {
                    self.put(key, args[1].clone(), None);
                }
                Ok(Reply::Int(i64::from(fresh)))
            }
            "setex" | "psetex" => {
                let unit = if name == "setex" { 1000 } else { 1 };
                let at = expiry(now, &args[1], unit, name)?;
                self.put(key, args[2].clone(), Some(at));
                Ok(Reply::ok())
            }
            "mget" => Ok(Reply::Array(
                args.iter().map(|key| self.text(key).map_or(Reply::Nil, found)).collect(),
            )),
            "mset" if args.len() % 2 == 1 => Err(wrong_arguments("mset")),
            "mset" => {
                for pair in args.chunks_exact(2) {
                    self.put(&pair[0], pair[1].clone(), None);
                }
                Ok(Reply::ok())
            }
            "strlen" => Ok(length(self.text(key)?.map_or(0, |text| text.len()))),
            "append" => {
                if let Some(text) = self.text(key)? {
                    text.extend_from_slice(&args[1]);
                    let reply = length(text.len());
                    self.grew(key);
                    return Ok(reply);
                }
                self.put(key, args[1].clone(), None);
                Ok(length(args[1].len()))
            }
            "getrange" | "substr" => {
                let text = self.text(key)?.cloned().unwrap_or_default();
                let range = range(&args[1], &args[2], text.len())?;
                Ok(Reply::bulk(&text[range]))
            }
            "setrange" => self.set_range(key, &args[1], &args[2]),
            _ => self.count(name, args),
        }
    }

    fn set_range(&mut self, key: &[u8], offset: &[u8], value: &[u8]) -> Outcome {
        let offset = integer(offset)?;
        let at = usize::try_from(offset).map_err(|_| Reply::error("offset is out of range"))?;
        if at + value.len() > MAX_BYTES {
            return Err(Reply::Error(OUT_OF_MEMORY.into()));
        }
        let mut text = self.text(key)?.cloned().unwrap_or_default();
        text.resize(text.len().max(at + value.len()), 0);
        text[at..at + value.len()].copy_from_slice(value);
        let reply = length(text.len());
        self.put(key, text, None);
        self.grew(key);
        Ok(reply)
    }

    fn grew(&mut self, key: &[u8]) {
        if let Some(item) = self.keys().get_mut(key) {
            item.grown = true;
        }
    }

    fn count(&mut self, name: &str, args: &[Vec<u8>]) -> Outcome {
        let step = match name {
            "incr" => 1,
            "decr" => -1,
            "incrby" => integer(&args[1])?,
            _ => integer(&args[1])?.checked_neg().ok_or_else(not_an_integer)?,
        };
        let now = self.text(&args[0])?.map_or(Ok(0), |text| integer(text))?;
        let overflow = || Reply::error("increment or decrement would overflow");
        let next = now.checked_add(step).ok_or_else(overflow)?;
        match self.text(&args[0])? {
            Some(text) => *text = next.to_string().into_bytes(),
            None => self.put(&args[0], next.to_string().into_bytes(), None),
        }
        Ok(Reply::Int(next))
    }

    fn set(&mut self, now: Timestamp, args: &[Vec<u8>]) -> Outcome {
        let mut expires = None;
        let (mut only_new, mut only_old, mut get, mut keep) = (false, false, false, false);
        let mut options = args[2..].iter();
        while let Some(option) = options.next() {
            match option.to_ascii_lowercase().as_slice() {
                b"nx" => only_new = true,
                b"xx" => only_old = true,
                b"get" => get = true,
                b"keepttl" => keep = true,
                unit @ (b"ex" | b"px") => {
                    let text = options.next().ok_or_else(|| Reply::error(SYNTAX))?;
                    let unit = if unit == b"ex" { 1000 } else { 1 };
                    expires = Some(expiry(now, text, unit, "set")?);
                }
                _ => return Err(Reply::error(SYNTAX)),
            }
        }
        if only_new && only_old {
            return Err(Reply::error(SYNTAX));
        }
        let key = &args[0];
        let exists = self.keys().contains_key(key);
        let old = if get { self.text(key)?.map_or(Reply::Nil, Reply::bulk) } else { Reply::Nil };
        if (only_new && exists) || (only_old && !exists) {
            return Ok(if get { old } else { Reply::Nil });
        }
        if keep {
            expires = self.keys().get(key).and_then(|item| item.expires);
        }
        self.put(key, args[1].clone(), expires);
        Ok(if get { old } else { Reply::ok() })
    }

    fn generic(&mut self, now: Timestamp, name: &str, args: &[Vec<u8>]) -> Outcome {
        let keys = self.keys();
        Ok(match name {
            "del" | "unlink" => {
                length(args.iter().filter(|key| keys.remove(*key).is_some()).count())
            }
            "exists" | "touch" => length(args.iter().filter(|key| keys.contains_key(*key)).count()),
            "type" => Reply::Simple(keys.get(&args[0]).map_or("none", type_name).into()),
            "ttl" | "pttl" => {
                let unit = if name == "ttl" { 1000 } else { 1 };
                Reply::Int(match keys.get(&args[0]).map(|item| item.expires) {
                    None => -2,
                    Some(None) => -1,
                    Some(Some(at)) => {
                        let left = at.since(now).as_millis() as u64;
                        i64::try_from((left + unit / 2) / unit).unwrap_or(i64::MAX)
                    }
                })
            }
            "expire" | "pexpire" | "expireat" => {
                let amount = integer(&args[1])?;
                let at = match name {
                    "expire" => now.plus(Duration::from_secs(amount.max(0).unsigned_abs())),
                    "pexpire" => now.plus(Duration::from_millis(amount.max(0).unsigned_abs())),
                    _ => Timestamp::from_micros(amount.saturating_mul(1_000_000)),
                };
                let found = keys.get_mut(&args[0]).map(|item| item.expires = Some(at)).is_some();
                if at <= now {
                    keys.remove(&args[0]);
                }
                self.will_expire(at);
                Reply::Int(i64::from(found))
            }
            "persist" => {
                let expires = keys.get_mut(&args[0]).and_then(|item| item.expires.take());
                Reply::Int(i64::from(expires.is_some()))
            }
            "keys" => {
                let found = keys.keys().filter(|key| matches_glob(&args[0], key));
                Reply::Array(Reply::bulks(found))
            }
            "dbsize" => length(keys.len()),
            "randomkey" => keys.keys().next().map_or(Reply::Nil, Reply::bulk),
            "rename" => {
                let item = keys.remove(&args[0]).ok_or_else(|| Reply::error("no such key"))?;
                keys.insert(args[1].clone(), item);
                Reply::ok()
            }
            _ => return self.scan(args),
        })
    }

    fn scan(&mut self, args: &[Vec<u8>]) -> Outcome {
        let cursor = std::str::from_utf8(&args[0]).ok().and_then(|text| text.parse::<u64>().ok());
        let cursor = cursor.ok_or_else(|| Reply::error("invalid cursor"))?;
        let (mut pattern, mut kind) = (b"*".to_vec(), None);
        let mut options = args[1..].iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or_else(|| Reply::error(SYNTAX))?;
            match option.to_ascii_lowercase().as_slice() {
                b"match" => pattern.clone_from(value),
                b"type" => kind = Some(value.to_ascii_lowercase()),
                b"count" if integer(value)? < 1 => return Err(Reply::error(SYNTAX)),
                b"count" => {}
                _ => return Err(Reply::error(SYNTAX)),
            }
        }
        // Small enough to be told at once: a cursor other than 0 is at the end already.
        let of_kind = |item: &Item| {
            kind.as_ref().is_none_or(|kind| kind.as_slice() == type_name(item).as_bytes())
        };
        let found = self
            .keys()
            .iter()
            .filter(|(key, item)| cursor == 0 && matches_glob(&pattern, key) && of_kind(item));
        let found = Reply::bulks(found.map(|(key, _)| key));
        Ok(Reply::Array(vec![Reply::bulk("0"), Reply::Array(found)]))
    }

    /// How Redis keeps a value inside (`OBJECT ENCODING`).
    pub(super) fn encoding(&mut self, key: &[u8]) -> Option<&'static str> {
        let item = self.keys().get(key)?;
        Some(match &item.value {
            Value::String(_) if item.grown => "raw",
            Value::String(text) if number(text).is_some() => "int",
            Value::String(text) if text.len() <= 44 => "embstr",
            Value::String(_) => "raw",
            Value::Hash(_) => "listpack",
            Value::List(_) => "quicklist",
            Value::Set(_) => "hashtable",
        })
    }
}

fn is_writing(name: &str) -> bool {
    matches!(
        name,
        "set"
            | "setnx"
            | "setex"
            | "psetex"
            | "mset"
            | "append"
            | "getset"
            | "setrange"
            | "hset"
            | "hmset"
            | "hsetnx"
            | "lpush"
            | "rpush"
            | "sadd"
            | "lset"
            | "incr"
            | "incrby"
            | "decr"
            | "decrby"
            | "hincrby"
    )
}

fn type_name(item: &Item) -> &'static str {
    match item.value {
        Value::String(_) => "string",
        Value::Hash(_) => "hash",
        Value::List(_) => "list",
        Value::Set(_) => "set",
    }
}

pub(super) fn wrong_type() -> Reply {
    Reply::Error(WRONG_TYPE.into())
}

fn not_an_integer() -> Reply {
    Reply::error(NOT_AN_INTEGER)
}

/// The reply to a wrong number of arguments.
pub(super) fn wrong_arguments(name: &str) -> Reply {
    Reply::error(format!("wrong number of arguments for '{name}' command"))
}

pub(super) fn length(count: usize) -> Reply {
    Reply::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A whole number argument.
pub(super) fn integer(text: &[u8]) -> Result<i64, Reply> {
    number(text).ok_or_else(not_an_integer)
}

fn expiry(now: Timestamp, text: &[u8], unit: u64, name: &str) -> Result<Timestamp, Reply> {
    let amount = integer(text)?;
    let invalid = || Reply::error(format!("invalid expire time in '{name}' command"));
    let amount = u64::try_from(amount).ok().filter(|amount| *amount > 0).ok_or_else(invalid)?;
    let millis = amount.checked_mul(unit).ok_or_else(invalid)?;
    Ok(now.plus(Duration::from_millis(millis)))
}

/// An inclusive range with negative numbers counted from the end.
pub(super) fn range(
    first: &[u8],
    last: &[u8],
    len: usize,
) -> Result<std::ops::Range<usize>, Reply> {
    let (first, last) = (integer(first)?, integer(last)?);
    let total = i64::try_from(len).unwrap_or(i64::MAX);
    let clamp = |at: i64| if at < 0 { total.saturating_add(at) } else { at };
    let (first, last) = (clamp(first).max(0), clamp(last).min(total - 1));
    if first > last {
        return Ok(0..0);
    }
    Ok(usize::try_from(first).unwrap_or(0)..usize::try_from(last).map_or(0, |last| last + 1))
}

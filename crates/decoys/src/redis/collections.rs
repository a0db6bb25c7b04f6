//! Hashes, lists and sets of the keyspace.

use std::collections::BTreeMap;

use super::{
    keyspace::{
        Item, Keyspace, Outcome, Value, integer, length, range, wrong_arguments, wrong_type,
    },
    parse::number,
    reply::Reply,
};

impl Keyspace {
    pub(super) fn hashes(&mut self, name: &str, args: &[Vec<u8>]) -> Outcome {
        let key = &args[0];
        let mut fresh = BTreeMap::new();
        let hash = match self.keys().get_mut(key).map(|item| &mut item.value) {
            None => &mut fresh,
            Some(Value::Hash(hash)) => hash,
            Some(_) => return Err(wrong_type()),
        };
        let value = |field: &Vec<u8>| hash.get(field).map_or(Reply::Nil, Reply::bulk);
        let reply = match name {
            "hget" => return Ok(value(&args[1])),
            "hmget" => return Ok(Reply::Array(args[1..].iter().map(value).collect())),
            "hgetall" => {
                let pairs = hash.iter().map(|(k, v)| (Reply::bulk(k), Reply::bulk(v)));
                return Ok(Reply::Map(pairs.collect()));
            }
            "hkeys" => return Ok(Reply::Array(Reply::bulks(hash.keys()))),
            "hvals" => return Ok(Reply::Array(Reply::bulks(hash.values()))),
            "hlen" => return Ok(length(hash.len())),
            "hexists" => return Ok(Reply::Int(i64::from(hash.contains_key(&args[1])))),
            "hset" | "hmset" if args.len().is_multiple_of(2) => return Err(wrong_arguments(name)),
            "hset" | "hmset" => {
                let before = hash.len();
                for pair in args[1..].chunks_exact(2) {
                    hash.insert(pair[0].clone(), pair[1].clone());
                }
                if name == "hset" { length(hash.len() - before) } else { Reply::ok() }
            }
            "hsetnx" => {
                let is_new = !hash.contains_key(&args[1]);
                hash.entry(args[1].clone()).or_insert_with(|| args[2].clone());
                Reply::Int(i64::from(is_new))
            }
            "hdel" => {
                length(args[1..].iter().filter(|field| hash.remove(*field).is_some()).count())
            }
            _ => {
                let bad = || Reply::error("hash value is not an integer");
                let now = hash.get(&args[1]).map_or(Some(0), |text| number(text));
                let next = now.ok_or_else(bad)?.checked_add(integer(&args[2])?);
                let next =
                    next.ok_or_else(|| Reply::error("increment or decrement would overflow"))?;
                hash.insert(args[1].clone(), next.to_string().into_bytes());
                Reply::Int(next)
            }
        };
        let empty = hash.is_empty();
        self.settle(key, Value::Hash(fresh), empty);
        Ok(reply)
    }

    /// Removes what became empty, adds what is new. `fresh` is where a value was built that had
    /// no key yet.
    fn settle(&mut self, key: &[u8], fresh: Value, empty: bool) {
        if empty {
            self.keys().remove(key);
        } else if !self.keys().contains_key(key) {
            let item = Item { value: fresh, expires: None, grown: false };
            self.keys().insert(key.to_vec(), item);
        }
    }

    pub(super) fn lists(&mut self, name: &str, args: &[Vec<u8>]) -> Outcome {
        let key = &args[0];
        let existed = self.keys().contains_key(key);
        let mut fresh = Vec::new();
        let list = match self.keys().get_mut(key).map(|item| &mut item.value) {
            None => &mut fresh,
            Some(Value::List(list)) => list,
            Some(_) => return Err(wrong_type()),
        };
        let reply = match name {
            "lrange" => {
                let range = range(&args[1], &args[2], list.len())?;
                return Ok(Reply::Array(Reply::bulks(&list[range])));
            }
            "llen" => return Ok(length(list.len())),
            "lindex" => {
                let at = position(integer(&args[1])?, list.len());
                return Ok(at.and_then(|at| list.get(at)).map_or(Reply::Nil, Reply::bulk));
            }
            "lpush" => {
                list.splice(0..0, args[1..].iter().rev().cloned());
                length(list.len())
            }
            "rpush" => {
                list.extend_from_slice(&args[1..]);
                length(list.len())
            }
            "lpop" | "rpop" => {
                let wanted = args.get(1).map(|text| integer(text)).transpose()?;
                let out_of_range = || Reply::error("value is out of range, must be positive");
                let many = usize::try_from(wanted.unwrap_or(1)).map_err(|_| out_of_range())?;
                if !existed {
                    return Ok(if wanted.is_some() { Reply::NilArray } else { Reply::Nil });
                }
                let many = many.min(list.len());
                let mut taken: Vec<Vec<u8>> = match name {
                    "lpop" => list.drain(..many).collect(),
                    _ => list.drain(list.len() - many..).rev().collect(),
                };
                match wanted {
                    Some(_) => Reply::Array(Reply::bulks(taken)),
                    None => taken.pop().map_or(Reply::Nil, Reply::Bulk),
                }
            }
            "lrem" => {
                let wanted = integer(&args[1])?;
                let most = match wanted.unsigned_abs() {
                    0 => usize::MAX,
                    most => usize::try_from(most).unwrap_or(usize::MAX),
                };
                if wanted < 0 {
                    list.reverse();
                }
                let mut removed = 0;
                list.retain(|one| {
                    let goes = one == &args[2] && removed < most;
                    removed += usize::from(goes);
                    !goes
                });
                if wanted < 0 {
                    list.reverse();
                }
                length(removed)
            }
            "lset" => {
                if !existed {
                    return Err(Reply::error("no such key"));
                }
                let at = position(integer(&args[1])?, list.len()).filter(|at| *at < list.len());
                list[at.ok_or_else(|| Reply::error("index out of range"))?] = args[2].clone();
                Reply::ok()
            }
            _ => {
                let range = range(&args[1], &args[2], list.len())?;
                *list = list[range].to_vec();
                Reply::ok()
            }
        };
        let empty = list.is_empty();
        self.settle(key, Value::List(fresh), empty);
        Ok(reply)
    }

    pub(super) fn sets(&mut self, name: &str, args: &[Vec<u8>]) -> Outcome {
        let key = &args[0];
        let mut fresh = Vec::new();
        let set = match self.keys().get_mut(key).map(|item| &mut item.value) {
            None => &mut fresh,
            Some(Value::Set(set)) => set,
            Some(_) => return Err(wrong_type()),
        };
        let before = set.len();
        let reply = match name {
            "smembers" => return Ok(Reply::Set(Reply::bulks(&*set))),
            "scard" => return Ok(length(before)),
            "sismember" => return Ok(Reply::Int(i64::from(set.contains(&args[1])))),
            "sadd" => {
                for member in &args[1..] {
                    if !set.contains(member) {
                        set.push(member.clone());
                    }
                }
                length(set.len() - before)
            }
            _ => {
                set.retain(|member| !args[1..].contains(member));
                length(before - set.len())
            }
        };
        let empty = set.is_empty();
        self.settle(key, Value::Set(fresh), empty);
        Ok(reply)
    }
}

fn position(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    usize::try_from(if index < 0 { len.checked_add(index)? } else { index }).ok()
}

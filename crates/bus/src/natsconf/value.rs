//! What a configuration file says, before anybody knows what it means.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{ConfFault, Place};
use crate::units;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, quoted or bare.
    Text(String),
    /// A number; sizes (`64KB`) are one.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// `[…]`
    Array(Vec<Node>),
    /// `{…}`
    Map(Map),
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// Keys and values, in their order. A key that comes again replaces the earlier one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    entries: Vec<(String, Node)>,
    at: HashMap<String, usize>,
    /// Keys whose value was used as a variable: they need no other meaning.
    used: HashSet<String>,
}

impl Map {
    pub(super) fn set(&mut self, key: String, node: Node) {
        match self.at.get(&key) {
            Some(at) => self.entries[*at].1 = node,
            None => {
                self.at.insert(key.clone(), self.entries.len());
                self.entries.push((key, node));
            }
        }
    }

    /// The value of a variable, which is marked as used.
    pub(super) fn variable(&mut self, name: &str) -> Option<&Value> {
        let at = *self.at.get(name)?;
        self.used.insert(name.to_owned());
        Some(&self.entries[at].1.value)
    }

    /// All of it, as it is written.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(key, node)| (key.as_str(), node))
    }

    /// Every key in small letters, its value, and whether that is used as a variable.
    pub(super) fn settings(self) -> impl Iterator<Item = (String, Node, bool)> {
        let used = self.used;
        self.entries.into_iter().map(move |(key, node)| {
            let variable = used.contains(&key);
            (key.to_ascii_lowercase(), node, variable)
        })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Value {
    /// How many levels it has.
    pub(super) fn height(&self) -> usize {
        match self {
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_) => 0,
            Value::Array(nodes) => 1 + nodes.iter().map(|n| n.value.height()).max().unwrap_or(0),
            Value::Map(map) => 1 + map.entries().map(|(_, n)| n.value.height()).max().unwrap_or(0),
        }
    }

    /// How many values a copy of it counts as; long texts count for more.
    pub(super) fn weight(&self) -> usize {
        match self {
            Value::Text(text) => 1 + text.len() / 32,
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => 1,
            Value::Array(nodes) => 1 + nodes.iter().map(|n| n.value.weight()).sum::<usize>(),
            Value::Map(map) => {
                1 + map.entries().map(|(key, n)| key.len() / 32 + n.value.weight()).sum::<usize>()
            }
        }
    }
}

impl Node {
    /// The fault that this is something else than `expected`.
    pub(super) fn fault(&self, what: impl Into<String>) -> ConfFault {
        ConfFault { place: self.place.clone(), what: what.into() }
    }

    pub(super) fn text(self) -> Result<String, ConfFault> {
        match self.value {
            Value::Text(text) => Ok(text),
            Value::Integer(number) => Ok(number.to_string()),
            _ => Err(self.fault("expected text")),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, ConfFault> {
        match self.value {
            Value::Bool(on) => Ok(on),
            _ => Err(self.fault("expected true or false")),
        }
    }

    pub(super) fn integer(&self) -> Result<i64, ConfFault> {
        match &self.value {
            Value::Integer(number) => Ok(*number),
            Value::Text(text) => units::size(text).ok_or_else(|| self.fault("expected a number")),
            _ => Err(self.fault("expected a number")),
        }
    }

    /// A number that fits.
    pub(super) fn number<N: TryFrom<i64>>(&self) -> Result<N, ConfFault> {
        N::try_from(self.integer()?).map_err(|_| self.fault("is out of range"))
    }

    /// `2s`, or a number of seconds.
    pub(super) fn duration(&self) -> Result<Duration, ConfFault> {
        let found = match &self.value {
            Value::Text(text) => units::duration(text),
            Value::Integer(seconds) => {
                u32::try_from(*seconds).ok().map(|s| Duration::from_secs(s.into()))
            }
            Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        };
        found.ok_or_else(|| self.fault("expected a duration like `2s`"))
    }

    pub(super) fn map(self) -> Result<Map, ConfFault> {
        match self.value {
            Value::Map(map) => Ok(map),
            _ => Err(self.fault("expected `{ … }`")),
        }
    }

    pub(super) fn array(self) -> Result<Vec<Node>, ConfFault> {
        match self.value {
            Value::Array(nodes) => Ok(nodes),
            _ => Err(self.fault("expected `[ … ]`")),
        }
    }

    /// One text, or a list of them.
    pub(super) fn texts(self) -> Result<Vec<String>, ConfFault> {
        match self.value {
            Value::Array(nodes) => nodes.into_iter().map(Node::text).collect(),
            _ => self.text().map(|text| vec![text]),
        }
    }
}

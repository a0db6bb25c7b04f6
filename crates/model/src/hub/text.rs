//! The texts of the hub, parsed once: slugs, titles, prose and places.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest slug, in bytes.
const MAX_SLUG_BYTES: usize = 64;
/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// Longest prose, in bytes.
pub const MAX_PROSE_BYTES: usize = 16 * 1024;
/// Longest URL or path, in bytes.
pub const MAX_LOCATION_BYTES: usize = 2048;

/// The short name of a thing of the hub: words of `a-z` and `0-9` with single hyphens in
/// between, at most 64 characters. Fits a path segment as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

/// A line that names a thing or a person: 1 to 200 characters, none of them a control
/// character; white space around it is dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Title(Arc<str>);

/// Text of any number of lines, at most 16 KiB, without control characters other than tab and
/// line ends. May be empty.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prose(Arc<str>);

/// A URL or a path: 1 to 2,048 bytes without control characters, and without a password, since
/// it is published.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Arc<str>);

/// Why a text is refused.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum TextError {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Beyond the limit.
    #[error("has at most {most} {unit}")]
    TooLong {
        /// The limit.
        most: usize,
        /// Of what.
        unit: &'static str,
    },
    /// A character that does not belong there.
    #[error("must not hold {0:?}")]
    Character(char),
    /// A hyphen at an end, or two in a row.
    #[error("holds single hyphens, each between letters or digits")]
    Hyphen,
    /// A URL with a password in it.
    #[error("must not hold a password or a token: it is published with events")]
    Password,
}

fn slug(text: &str) -> Result<&str, TextError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() {
        Err(TextError::Empty)
    } else if text.len() > MAX_SLUG_BYTES {
        Err(TextError::TooLong { most: MAX_SLUG_BYTES, unit: "characters" })
    } else if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
        Err(TextError::Character(bad))
    } else if text.split('-').any(str::is_empty) {
        Err(TextError::Hyphen)
    } else {
        Ok(text)
    }
}

fn title(text: &str) -> Result<&str, TextError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > MAX_TITLE_CHARS {
        return Err(TextError::TooLong { most: MAX_TITLE_CHARS, unit: "characters" });
    }
    without(text, char::is_control)
}

fn prose(text: &str) -> Result<&str, TextError> {
    if text.len() > MAX_PROSE_BYTES {
        return Err(TextError::TooLong { most: MAX_PROSE_BYTES, unit: "bytes" });
    }
    without(text, |c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

fn location(text: &str) -> Result<&str, TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > MAX_LOCATION_BYTES {
        return Err(TextError::TooLong { most: MAX_LOCATION_BYTES, unit: "bytes" });
    }
    if has_secret(text) { Err(TextError::Password) } else { without(text, char::is_control) }
}

/// Whether the text is a URL with a secret: `user:password@` (RFC 3986 section 3.2.1), a user where
/// forges put tokens (`https://token@host`), or a query, which the URL of a repository has none of.
fn has_secret(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let by_http = scheme.to_ascii_lowercase().trim_start_matches("git+").starts_with("http");
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':') || by_http) || (by_http && rest.contains('?'))
}

fn without(text: &str, bad: impl Fn(char) -> bool) -> Result<&str, TextError> {
    match text.chars().find(|c| bad(*c)) {
        Some(found) => Err(TextError::Character(found)),
        None => Ok(text),
    }
}

macro_rules! parsed {
    ($($name:ident by $check:ident),*) => {$(
        impl $name {
            /// It as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                Ok(Self($check(text)?.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(&*self.0, f) }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
parsed!(Slug by slug, Title by title, Prose by prose, Location by location);

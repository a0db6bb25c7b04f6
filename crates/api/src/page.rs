//! Lists in pages, with cursors that mean nothing outside.

use std::{fmt::Display, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Rows of a page where nothing is asked for.
const DEFAULT_LIMIT: u32 = 50;
/// Most rows of a page.
const MAX_LIMIT: u32 = 200;

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Where the page begins: `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    pub(crate) limit: Option<u32>,
}

/// A part of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; absent at the end.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
    /// Rows of the whole list, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
}

impl<T> Page<T> {
    /// A page of the store, shown.
    pub(crate) fn of<R, C: Display>(page: &store::Page<R, C>, show: impl Fn(&R) -> T) -> Self {
        Self {
            items: page.items.iter().map(show).collect(),
            next_cursor: page.next.as_ref().map(cursor_of),
            total: page.total,
        }
    }
}

/// A place in a list, as a cursor.
pub(crate) fn cursor_of(place: &impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("1.{place}"))
}

/// The wanted number of rows.
pub(crate) fn limit(wanted: Option<u32>) -> Result<usize, Problem> {
    match wanted.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit as usize),
        _ => Err(Problem::field("limit", "OUT_OF_RANGE", format!("1 to {MAX_LIMIT}"))),
    }
}

/// The place that a cursor stands for.
pub(crate) fn place<C: FromStr>(cursor: Option<&str>) -> Result<Option<C>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        std::str::from_utf8(&bytes).ok()?.strip_prefix("1.")?.parse().ok()
    };
    let wrong = || Problem::field("cursor", "INVALID_CURSOR", "not a cursor of this list");
    read().map(Some).ok_or_else(wrong)
}

impl PageQuery {
    /// Place and number of rows.
    pub(crate) fn parse<C: FromStr>(&self) -> Result<(Option<C>, usize), Problem> {
        Ok((place(self.cursor.as_deref())?, limit(self.limit)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written_and_nothing_else_is() {
        assert_eq!(place::<u64>(Some(&cursor_of(&7))).ok(), Some(Some(7)));
        for wrong in ["", "7", "!!", "MS5h"] {
            assert!(place::<u64>(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(limit(Some(0)).is_err() && limit(Some(201)).is_err());
        assert_eq!(limit(None).ok(), Some(50));
    }
}

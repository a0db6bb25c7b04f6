//! Names as operators write them: an id, a beginning of one that fits one thing only, a name,
//! `demo/web-01`.

use std::str::FromStr;

use model::{Name, TopologyId, TopologyStatus};
use store::{Store, TopologyRecord};

use crate::problem::Problem;

/// Shortest beginning of an id.
const MIN_PREFIX: usize = 4;

/// The topology that `text` names; torn-down ones by id only.
pub(crate) async fn topology(store: &Store, text: &str) -> Result<TopologyRecord, Problem> {
    let missing = || Problem::not_found("there is no such topology");
    if let Ok(id) = text.parse::<TopologyId>() {
        return store.topology(id).await?.ok_or_else(missing);
    }
    if let Ok(name) = text.parse::<Name>()
        && let Some(record) = store.topology_named(&name).await?
    {
        return Ok(record);
    }
    let all = store.topologies().await?;
    let fits = |record: &TopologyRecord| begins(&record.topology.id.to_string(), text);
    one(all.into_iter().filter(fits), missing)
}

/// The decky that `text` names, within the topology that holds it.
pub(crate) async fn decky(
    store: &Store,
    text: &str,
) -> Result<(TopologyRecord, std::sync::Arc<model::Decky>), Problem> {
    let missing = || Problem::not_found("there is no such decky");
    if let Some((maze, name)) = text.split_once('/') {
        let record = topology(store, maze).await.map_err(|problem| {
            if problem.status().as_u16() == 404 { missing() } else { problem }
        })?;
        let found = record.topology.deckies.values().find(|d| d.name.as_str() == name).cloned();
        return found.map(|decky| (record, decky)).ok_or_else(missing);
    }
    let fits =
        |decky: &model::Decky| decky.name.as_str() == text || begins(&decky.id.to_string(), text);
    let all = store.topologies().await?;
    let standing = all.into_iter().filter(|r| r.status != TopologyStatus::TornDown);
    let found = standing.flat_map(|record| {
        let deckies = record.topology.deckies.values();
        let fitting: Vec<_> = deckies.filter(|decky| fits(decky)).cloned().collect();
        fitting.into_iter().map(move |decky| (record.clone(), decky)).collect::<Vec<_>>()
    });
    one(found, missing)
}

/// Whether `id` begins with `text`, which is long enough to mean an id.
fn begins(id: &str, text: &str) -> bool {
    text.len() >= MIN_PREFIX && id.starts_with(&text.to_ascii_lowercase())
}

/// The only one.
fn one<T>(mut found: impl Iterator<Item = T>, missing: impl Fn() -> Problem) -> Result<T, Problem> {
    let first = found.next().ok_or_else(missing)?;
    match found.next() {
        None => Ok(first),
        Some(_) => Err(Problem::ambiguous("the name fits several things; write more of it")),
    }
}

/// The beginning of an id as the bounds of all ids that begin so: the ids just before the
/// first and just after the last. `None` where it can begin no id.
fn prefix_bound(text: &str) -> Option<String> {
    if text.len() < MIN_PREFIX || text.len() > 36 {
        return None;
    }
    let shape = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    let fits = text.bytes().zip(shape.bytes()).all(|(given, wanted)| match wanted {
        b'-' => given == b'-',
        _ => given.is_ascii_hexdigit(),
    });
    fits.then(|| format!("{}{}", text.to_ascii_lowercase(), &shape[text.len()..]))
}

/// The only row whose id begins with `text`, where lists are newest first by id: the page that
/// ends with the largest id of that beginning holds it at its top.
pub(crate) fn one_of<T>(
    text: &str,
    rows: Vec<T>,
    id: impl Fn(&T) -> String,
) -> Result<Option<T>, Problem> {
    let mut fitting = rows.into_iter().filter(|row| begins(&id(row), text));
    match (fitting.next(), fitting.next()) {
        (Some(_), Some(_)) => {
            Err(Problem::ambiguous("the id fits several things; write more of it"))
        }
        (first, _) => Ok(first),
    }
}

/// Where the list of ids that begin with `text` starts.
pub(crate) fn bound<I: FromStr>(text: &str) -> Option<I> {
    prefix_bound(text)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_ids_are_told_from_other_texts() {
        assert!(prefix_bound("019").is_none() && prefix_bound("web-01").is_none());
        assert_eq!(prefix_bound("0192F").as_deref(), Some("0192ffff-ffff-ffff-ffff-ffffffffffff"));
        assert_eq!(
            prefix_bound("0192f0c1-7").as_deref(),
            Some("0192f0c1-7fff-ffff-ffff-ffffffffffff")
        );
        assert!(begins("0192f0c1", "0192F0") && !begins("0192f0c1", "019"));
    }
}

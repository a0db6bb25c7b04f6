//! `morgana hub …`: the work around the network.
//!
//! All kinds of things are listed, shown, added, changed and removed alike, by `KEY=VALUE` as the
//! API names them; what is peculiar to one stands beside that.

mod kinds;
mod sweep;

use anyhow::Context;
use clap::{Args, Subcommand, value_parser};
use serde_json::{Map, Value, json};

use super::{
    key_value,
    render::{self, cell, clock, items},
    segment,
};
use crate::{client::Client, config::Config};
use kinds::{DECISION, DOMAIN, GOAL, Kind, REPO, TASK, TOPIC, WORKSTREAM};

/// Rows that one request asks for.
const PAGE: u32 = 200;

/// The work around the network.
#[derive(Subcommand)]
pub(super) enum Hub {
    /// Fields of work
    ///
    /// Fields: slug, title, description
    #[command(subcommand)]
    Domain(Verb),
    /// What domains aim at
    ///
    /// Fields: domain, title, description; list by: domain, state
    #[command(subcommand)]
    Goal(GoalVerb),
    /// Registered repositories
    ///
    /// Fields: slug, domain, description, remote_url, local_path; list by: domain
    #[command(subcommand)]
    Repo(Verb),
    /// Subjects of work within a domain
    ///
    /// Fields: slug, domain, title, description; list by: domain
    #[command(subcommand)]
    Topic(Verb),
    /// Pieces of work with an end
    ///
    /// Fields: slug, topic, repo, repo_goal, title, description, state (backlog, proposed, ready,
    /// active, blocked, finished, archived); list by: topic, repo, repo_goal, state
    #[command(subcommand)]
    Workstream(Verb),
    /// What is, or was, to be decided
    ///
    /// Fields: title, description, workstream, topic; of one that is made already also type=made,
    /// rationale, decided_by; list by: workstream, topic, type, status
    #[command(subcommand)]
    Decision(DecisionVerb),
    /// Steps of workstreams
    ///
    /// Fields: workstream, title, description, state (wait, todo, progress, done, cancel);
    /// list by: workstream, state, stale
    #[command(subcommand)]
    Task(Verb),
    /// Show what was noted about a workstream or a task, or note something
    Progress(Progress),
    /// Cancel open tasks in workstreams that are finished or archived
    ///
    /// With the service up, it does it; with the service down, this command opens the database
    /// itself, and what it publishes goes out at the next start. Ends with 0 whether or not there
    /// was something to cancel, with 1 where it failed.
    SweepStale(sweep::SweepStale),
}

/// What can be done with every kind of thing.
#[derive(Subcommand)]
pub(super) enum Verb {
    /// List, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one
    Show(Show),
    /// Add one
    Add {
        /// What it consists of
        #[arg(value_name = "KEY=VALUE", value_parser = key_value, required = true)]
        fields: Vec<(String, String)>,
    },
    /// Change one; `KEY=` without a value takes away what may be absent, and is refused elsewhere
    Set {
        /// Its slug, its id, or the beginning of its id
        which: String,
        /// What to change; `version=N` refuses unless it has that version
        #[arg(value_name = "KEY=VALUE", value_parser = key_value, required = true)]
        fields: Vec<(String, String)>,
    },
    /// Remove one that nothing refers to
    #[command(visible_alias = "rm")]
    Remove {
        /// Its slug, its id, or the beginning of its id
        which: String,
    },
}

/// What can be done with goals.
#[derive(Subcommand)]
pub(super) enum GoalVerb {
    #[command(flatten)]
    Usual(Verb),
    /// Aim at a goal
    Activate {
        /// Its id, or the beginning of it
        which: String,
        /// Retire the goal that is active for it
        #[arg(long)]
        replace: bool,
    },
    /// Say that the active goal is reached
    Achieve {
        /// Its id, or the beginning of it
        which: String,
    },
    /// Aim at a goal no longer
    Retire {
        /// Its id, or the beginning of it
        which: String,
    },
}

/// What can be done with decisions.
#[derive(Subcommand)]
pub(super) enum DecisionVerb {
    #[command(flatten)]
    Usual(Verb),
    /// Say how it was decided
    Resolve {
        /// Its id, or the beginning of it
        which: String,
        /// How and why
        rationale: String,
        /// By whom; you, where absent
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Hand it to somebody higher
    Escalate {
        /// Its id, or the beginning of it
        which: String,
    },
    /// Mark it as superseded
    Supersede {
        /// Its id, or the beginning of it
        which: String,
        /// The decision that takes its place
        #[arg(long, value_name = "DECISION")]
        by: Option<String>,
    },
}

/// What to list.
#[derive(Args)]
pub(super) struct List {
    /// Only those with this: state=active
    #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
    filters: Vec<(String, String)>,
    /// Most rows
    #[arg(long, value_name = "N", default_value_t = PAGE, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to show.
#[derive(Args)]
pub(super) struct Show {
    /// Its slug, its id, or the beginning of its id
    which: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A progress log.
#[derive(Args)]
pub(super) struct Progress {
    /// Slug or id of the workstream, or id of the task
    which: String,
    /// It is a task
    #[arg(long)]
    task: bool,
    /// Note this
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Most entries
    #[arg(long, value_name = "N", default_value_t = PAGE, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Hub {
    pub(super) async fn run(self, client: &Client, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Domain(verb) => verb.run(client, &DOMAIN).await,
            Self::Goal(verb) => verb.run(client).await,
            Self::Repo(verb) => verb.run(client, &REPO).await,
            Self::Topic(verb) => verb.run(client, &TOPIC).await,
            Self::Workstream(verb) => verb.run(client, &WORKSTREAM).await,
            Self::Decision(verb) => verb.run(client).await,
            Self::Task(verb) => verb.run(client, &TASK).await,
            Self::Progress(progress) => progress.run(client).await,
            Self::SweepStale(sweep) => sweep.run(client, config).await,
        }
    }
}

impl Verb {
    async fn run(self, client: &Client, kind: &Kind) -> anyhow::Result<()> {
        match self {
            Self::List(wanted) => list(client, kind, &wanted).await,
            Self::Show(Show { which, json }) => {
                let shown = client.get(&kind.path_of(&which)).await?;
                if json { render::json(&shown) } else { fields(&shown) }
            }
            Self::Add { fields } => {
                let made = client.post(&kind.path(), &body(&fields)?).await?;
                render::line(&kind.line(&made))
            }
            Self::Set { which, fields } => {
                let changed = client.patch(&kind.path_of(&which), &body(&fields)?).await?;
                render::line(&kind.line(&changed))
            }
            Self::Remove { which } => {
                client.delete(&kind.path_of(&which)).await?;
                render::line(&format!("{} {which} is removed", kind.noun))
            }
        }
    }
}

impl GoalVerb {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Usual(verb) => verb.run(client, &GOAL).await,
            Self::Activate { which, replace } => {
                tell(client, &GOAL, &which, "activate", &json!({ "replace": replace })).await
            }
            Self::Achieve { which } => tell(client, &GOAL, &which, "achieve", &json!({})).await,
            Self::Retire { which } => tell(client, &GOAL, &which, "retire", &json!({})).await,
        }
    }
}

impl DecisionVerb {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Usual(verb) => verb.run(client, &DECISION).await,
            Self::Resolve { which, rationale, by } => {
                let body = match by {
                    Some(by) => json!({ "rationale": rationale, "decided_by": by }),
                    None => json!({ "rationale": rationale }),
                };
                tell(client, &DECISION, &which, "resolve", &body).await
            }
            Self::Escalate { which } => {
                tell(client, &DECISION, &which, "escalate", &json!({})).await
            }
            Self::Supersede { which, by } => {
                tell(client, &DECISION, &which, "supersede", &json!({ "by": by })).await
            }
        }
    }
}

/// Posts to a thing and prints what became of it.
async fn tell(
    client: &Client,
    kind: &Kind,
    which: &str,
    verb: &str,
    body: &Value,
) -> anyhow::Result<()> {
    let after = client.post(&format!("{}/{verb}", kind.path_of(which)), body).await?;
    render::line(&kind.line(&after))
}

async fn list(client: &Client, kind: &Kind, wanted: &List) -> anyhow::Result<()> {
    let Found { items, more } = find(client, &kind.path(), &wanted.filters, wanted.limit).await?;
    if wanted.json {
        return render::json(&json!({ "items": items, "next_cursor": more }));
    }
    let heads: Vec<&str> = kind.columns.iter().map(|(head, _)| *head).collect();
    let row = |thing: &Value| kind.columns.iter().map(|(_, field)| cell(thing, field)).collect();
    render::table(&heads, items.iter().map(row))?;
    say_more(items.len(), &more)
}

/// What a list holds.
struct Found {
    items: Vec<Value>,
    /// The cursor of what comes after, or null.
    more: Value,
}

/// The newest things of a list, page by page, until there are `limit`.
async fn find(
    client: &Client,
    list: &str,
    filters: &[(String, String)],
    limit: u32,
) -> anyhow::Result<Found> {
    let mut found = Found { items: Vec::new(), more: Value::Null };
    loop {
        let room = limit as usize - found.items.len();
        let mut path = format!("{list}?limit={}", room.min(PAGE as usize));
        for (key, value) in filters {
            path += &format!("&{}={}", segment(key), segment(value));
        }
        if let Some(cursor) = found.more.as_str() {
            path += &format!("&cursor={}", segment(cursor));
        }
        let page = client.get(&path).await?;
        found.items.extend(items(&page).iter().take(room).cloned());
        found.more = page["next_cursor"].clone();
        if found.more.is_null() || found.items.len() >= limit as usize {
            return Ok(found);
        }
    }
}

/// Says that a list goes on.
fn say_more(shown: usize, more: &Value) -> anyhow::Result<()> {
    if more.is_null() {
        return Ok(());
    }
    render::line(&format!("There are more than these {shown}; --limit shows them."))
}

/// All fields of a thing, one per line.
fn fields(thing: &Value) -> anyhow::Result<()> {
    let all = thing.as_object().into_iter().flatten();
    let row = |(name, _): (&String, &Value)| vec![name.clone(), cell(thing, name)];
    render::table(&["FIELD", "VALUE"], all.map(row))
}

/// `version=3` is a number, `description=` is empty, `repo=` is nothing, all else is text. What
/// may not be nothing is refused by the service.
fn body(fields: &[(String, String)]) -> anyhow::Result<Value> {
    let value = |key: &str, text: &str| match key {
        "version" => {
            let version = text.parse::<u64>();
            version.map(Value::from).with_context(|| format!("`version={text}` is no number"))
        }
        "description" => Ok(text.into()),
        _ if text.is_empty() => Ok(Value::Null),
        _ => Ok(text.into()),
    };
    let each = fields.iter().map(|(key, text)| Ok((key.clone(), value(key, text)?)));
    each.collect::<anyhow::Result<Map<_, _>>>().map(Value::from)
}

impl Progress {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let kind = if self.task { &TASK } else { &WORKSTREAM };
        let path = format!("{}/progress", kind.path_of(&self.which));
        if let Some(text) = self.note {
            let noted = client.post(&path, &json!({ "text": text })).await?;
            return render::line(&format!("noted by {}", cell(&noted, "author")));
        }
        let Found { items, more } = find(client, &path, &[], self.limit).await?;
        if self.json {
            return render::json(&json!({ "items": items, "next_cursor": more }));
        }
        let row = |entry: &Value| {
            let at = cell(entry, "at");
            let day = at.get(..10).unwrap_or_default().to_owned();
            let text = cell(entry, "text").replace(['\n', '\r'], " ");
            vec![day, clock(&at).to_owned(), cell(entry, "author"), text]
        };
        render::table(&["DAY", "TIME", "BY", "TEXT"], items.iter().map(row))?;
        say_more(items.len(), &more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_json_by_name() {
        let fields = |all: &[(&str, &str)]| {
            let owned = all.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
            body(&owned.collect::<Vec<_>>())
        };
        assert_eq!(
            fields(&[("version", "3"), ("title", "3"), ("repo", ""), ("description", "")]).unwrap(),
            json!({ "version": 3, "title": "3", "repo": null, "description": "" })
        );
        for wrong in ["", "three", "-1"] {
            let said = fields(&[("version", wrong)]).unwrap_err().to_string();
            assert_eq!(said, format!("`version={wrong}` is no number"));
        }
    }
}

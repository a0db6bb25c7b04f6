//! Asks a service for random changes, knows what has to come of each, and looks whether it came.
//!
//! What it is about to do is written down before it is sent, and what came of it is taken over in
//! one go: it can be stopped at any await. After the service was killed it repeats, under the
//! same keys, what was under way, and the outcome must be the same as without the kill.

mod looks;
mod requests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    time::Duration,
};

use model::Op;
use serde_json::Value;

use super::{
    caller::{Caller, Gone},
    draw::{Dice, ground},
    rules::{Mark, Maze},
    visitors::{Visitor, Way},
};

/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// Requests that a failure prints.
const REMEMBERED: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Active,
    TornDown,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::TornDown => "torn_down",
        }
    }

    fn is_live(self) -> bool {
        self == Self::Active
    }
}

/// A change to queue.
#[derive(Clone, Debug)]
struct Ask {
    op: Op,
    /// Added to the version that the topology has; `None` where no version is insisted on.
    expected: Option<u64>,
    key: String,
    /// Asked of the decky, not of the topology.
    of_decky: bool,
}

/// An [`Ask`] and what it was answered.
#[derive(Clone, Debug)]
struct Item {
    ask: Ask,
    /// Its mutation, or `None` where it was refused.
    answer: Option<Option<String>>,
}

#[derive(Clone, Debug)]
enum Request {
    /// A new maze; refused while there is one.
    Create,
    /// One after the other, without waiting for the ends.
    Ops(Vec<Item>),
    Undo {
        count: usize,
        force: bool,
        key: String,
    },
    /// The last change once more; as it was, or another under its key.
    Again {
        is_other: bool,
    },
    DryRun(Op),
    Deploy,
    TearDown,
    Panic,
}

/// A change that can be taken back.
struct Past {
    before: Maze,
    was_live: bool,
    /// Its place among the applied mutations of the topology.
    row: usize,
}

/// What a mutation came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) is_applied: bool,
    /// The version of the topology afterwards.
    pub(crate) version: u64,
    /// Kinds and deckies of the events that belong to it.
    pub(crate) told: Vec<(String, String)>,
}

pub(crate) struct Player<'a> {
    seed: u64,
    pub(crate) step: usize,
    dice: Dice,
    caller: Caller,
    way: Way<'a>,
    /// How often in a hundred times something happens to the whole maze.
    restless: u32,
    pub(crate) maze: Maze,
    pub(crate) status: Status,
    pub(crate) version: u64,
    pub(crate) topology: Option<String>,
    history: Vec<Past>,
    /// Applied mutations of the topology.
    rows: usize,
    marks: Mark,
    lan_ids: BTreeMap<Mark, String>,
    decky_ids: BTreeMap<Mark, String>,
    under_way: Option<Request>,
    last: Option<(Ask, String)>,
    endpoints: BTreeMap<Mark, BTreeSet<String>>,
    visitors: Vec<Visitor>,
    /// Every mutation that ended, until somebody takes it.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    /// Sessions that the service has told of.
    pub(crate) sessions: BTreeSet<String>,
    log: VecDeque<String>,
}

impl Drop for Player<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("MORGANA_SEED={}, step {}; the last requests:", self.seed, self.step);
            self.log.iter().for_each(|line| eprintln!("  {line}"));
            let status = self.status.word();
            eprintln!("then the maze is {status}, version {}:", self.version);
            self.maze.lines().iter().for_each(|line| eprintln!("  {line}"));
        }
    }
}

impl<'a> Player<'a> {
    pub(crate) fn new(seed: u64, data_dir: &Path, way: Way<'a>, restless: u32) -> Self {
        Self {
            seed,
            step: 0,
            dice: Dice::new(seed),
            caller: Caller::new(data_dir),
            way,
            restless,
            maze: Maze::default(),
            status: Status::TornDown,
            version: 0,
            topology: None,
            history: Vec::new(),
            rows: 0,
            marks: 0,
            lan_ids: BTreeMap::new(),
            decky_ids: BTreeMap::new(),
            under_way: None,
            last: None,
            endpoints: BTreeMap::new(),
            visitors: Vec::new(),
            outcomes: BTreeMap::new(),
            sessions: BTreeSet::new(),
            log: VecDeque::new(),
        }
    }

    /// Draws a request and sees it through.
    pub(crate) async fn play(&mut self) -> Result<(), Gone> {
        self.step += 1;
        let request = self.draw();
        self.note(&format!("{request:?}"));
        self.under_way = Some(request);
        let (before, was_live) = (self.maze.clone(), self.status.is_live());
        self.carry_out().await?;
        self.look().await?;
        self.visitors_after(&before, was_live).await?;
        self.visit().await
    }

    /// Remembers what happens, for a failure to tell.
    pub(crate) fn note(&mut self, what: &str) {
        if self.log.len() == REMEMBERED {
            self.log.pop_front();
        }
        self.log.push_back(format!("{}: {what}", self.step));
    }

    /// The service has ended, and its network with it.
    pub(crate) fn note_death(&mut self) {
        self.visitors.clear();
        self.endpoints.clear();
    }

    /// After the service was started again: sees through what was under way, and looks.
    pub(crate) async fn resume(&mut self) -> Result<(), Gone> {
        self.carry_out().await?;
        if self.topology.is_some() {
            self.look().await?;
        }
        self.until_sessions().await
    }

    /// How many visitors there are, who leave now.
    pub(crate) async fn leave(&mut self) -> Result<(), Gone> {
        self.visitors.clear();
        self.until_sessions().await
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.dice.below(end)
    }

    fn draw(&mut self) -> Request {
        if self.topology.is_none() || (self.status == Status::TornDown && self.dice.percent(50)) {
            return Request::Create;
        }
        if self.status == Status::Pending && self.rows == 0 {
            return Request::Ops(vec![self.item(ground())]);
        }
        if self.status == Status::Pending && self.dice.percent(25) {
            return Request::Deploy;
        }
        if self.dice.percent(self.restless) {
            return self.dice.pick(&[Request::Deploy, Request::TearDown, Request::Panic]);
        }
        match self.dice.below(100) {
            0..70 => {
                let op = self.dice.op(&self.maze);
                let mut item = self.item(op);
                item.ask.of_decky = of_decky(&item.ask.op).is_some() && self.dice.percent(40);
                if !item.ask.of_decky && self.dice.percent(15) {
                    item.ask.expected = Some(u64::from(self.dice.percent(40)));
                }
                Request::Ops(vec![item])
            }
            70..79 => {
                let count = 2 + self.dice.below(4);
                let ops = (0..count).map(|_| self.dice.named(&self.maze)).collect::<Vec<_>>();
                Request::Ops(ops.into_iter().map(|op| self.item(op)).collect())
            }
            79..91 => {
                let count = if self.dice.percent(70) { 1 } else { 1 + self.dice.below(4) };
                Request::Undo { count, force: self.dice.percent(50), key: self.dice.key() }
            }
            91..94 => Request::Again { is_other: self.dice.percent(30) },
            94..97 => Request::DryRun(self.dice.named(&self.maze)),
            97..98 => Request::Create,
            _ => self.dice.pick(&[
                Request::Deploy,
                Request::Deploy,
                Request::Panic,
                Request::TearDown,
            ]),
        }
    }

    fn item(&mut self, op: Op) -> Item {
        let ask = Ask { op, expected: None, key: self.dice.key(), of_decky: false };
        Item { ask, answer: None }
    }

    /// Sees through what is under way. Stopped and begun again it comes to the same.
    async fn carry_out(&mut self) -> Result<(), Gone> {
        match self.under_way.clone() {
            None => return Ok(()),
            Some(Request::Create) => self.create().await?,
            Some(Request::Ops(items)) => {
                for at in 0..items.len() {
                    self.ask(at).await?;
                }
                self.settle_ops().await?;
            }
            Some(Request::Undo { count, force, key }) => self.undo(count, force, &key).await?,
            Some(Request::Again { is_other }) => self.again(is_other).await?,
            Some(Request::DryRun(op)) => self.dry_run(&op).await?,
            Some(Request::Deploy) => self.deploy().await?,
            Some(Request::TearDown) => self.tear_down().await?,
            Some(Request::Panic) => self.panic().await?,
        }
        self.under_way = None;
        Ok(())
    }

    fn path(&self, rest: &str) -> String {
        let id = self.topology.as_deref().expect("there is a topology");
        format!("/api/v1/topologies/{id}{rest}")
    }
}

/// The decky that an operation with a route of its own is about.
fn of_decky(op: &Op) -> Option<&str> {
    match op {
        Op::RotateDecky { decky, .. }
        | Op::StartDecky { decky }
        | Op::StopDecky { decky }
        | Op::RemoveDecky { decky } => Some(decky.as_str()),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:#}")).to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value:#}"))
}

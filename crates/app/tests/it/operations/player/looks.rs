//! What has to be so between two requests: the maze that is shown is the maze that there is, on
//! the network too, and visitors are disturbed by nothing but the end of what they visit.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Instant,
};

use model::{Service, Transport};
use serde_json::Value;

use super::{LOOK, PATIENCE, Player, Status, list, text};
use crate::operations::{
    caller::Gone,
    rules::{Decky, Mark, Maze},
    visitors::{Visitor, Way},
    words::lines_of,
};

/// Most visitors at once.
const VISITORS: usize = 3;
/// Questions of a visitor before it leaves; web servers bear a hundred.
const QUESTIONS: usize = 30;

impl Player<'_> {
    /// The service has to show the maze as the rules say that it is, on the network too.
    pub(super) async fn look(&mut self) -> Result<(), Gone> {
        let shown = self.caller.get(&self.path("")).await?;
        assert_eq!(lines_of(&shown), self.maze.lines(), "step {}", self.step);
        assert_eq!(shown["version"], self.version, "{shown:#}");
        assert_eq!(shown["status"], self.status.word(), "{shown:#}");
        for row in list(&shown["lans"]) {
            let mark = self.maze.lan_named(row["name"].as_str().expect("a name"));
            keep_id(&mut self.lan_ids, mark.expect("the lines agree"), text(&row["lan_id"]));
        }
        let mut endpoints = BTreeMap::new();
        for row in list(&shown["deckies"]) {
            let mark = self.maze.decky_named(row["name"].as_str().expect("a name"));
            let mark = mark.expect("the lines agree");
            keep_id(&mut self.decky_ids, mark, text(&row["decky_id"]));
            self.assert_stands(mark, row);
            let listening = list(&row["endpoints"]).iter().map(|e| text(&e["listening"]));
            endpoints.insert(mark, listening.collect::<BTreeSet<_>>());
        }
        self.assert_nothing_else(&endpoints).await;
        self.endpoints = endpoints;
        Ok(())
    }

    /// A decky has the state of its row, and answers where its row says and nowhere else.
    fn assert_stands(&self, mark: Mark, shown: &Value) {
        let decky = &self.maze.deckies[&mark];
        let is_up = self.status.is_live() && !decky.is_stopped;
        let state = match self.status {
            Status::Pending => "planned",
            Status::TornDown => "retired",
            Status::Active if decky.is_stopped => "stopped",
            Status::Active => "running",
        };
        assert_eq!(shown["state"], state, "{shown:#}");
        let places = decky.edges.iter().flat_map(|edge| {
            let place = |service: &Service| (self.lan_ids[&edge.lan].clone(), service.to_string());
            decky.services.iter().map(place)
        });
        let wanted: BTreeSet<_> = places.filter(|_| is_up).collect();
        let shown = list(&shown["endpoints"]).iter();
        let there: Vec<_> = shown.map(|e| (text(&e["lan_id"]), text(&e["service"]))).collect();
        assert_eq!(there.len(), wanted.len(), "{}: {there:?}, not {wanted:?}", decky.name);
        assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), wanted, "{}", decky.name);
    }

    /// Where something answered that is there no more, nobody answers.
    async fn assert_nothing_else(&self, now: &BTreeMap<Mark, BTreeSet<String>>) {
        if !matches!(self.way, Way::Loopback) {
            return;
        }
        let now: BTreeSet<&String> = now.values().flatten().collect();
        for gone in self.endpoints.values().flatten().filter(|at| !now.contains(at)) {
            self.way.assert_nobody(gone.parse().expect("an address and a port")).await;
        }
    }

    /// Who visits a machine that stays is not disturbed; who visits one that went is cut off.
    pub(super) async fn visitors_after(
        &mut self,
        before: &Maze,
        was_live: bool,
    ) -> Result<(), Gone> {
        let (is_live, mut cut) = (self.status.is_live(), Vec::new());
        for visitor in std::mem::take(&mut self.visitors) {
            if !(was_live && is_live && stays(before, &self.maze, visitor.decky)) {
                cut.push(visitor);
                continue;
            }
            let (old, new) = (&before.deckies[&visitor.decky], &self.maze.deckies[&visitor.decky]);
            let address = |row: &Decky| row.edge_on(visitor.lan).map(|edge| edge.address);
            if address(old) != address(new) {
                cut.push(visitor);
                continue;
            }
            // On a service that was closed, too: who is there already is not disturbed.
            let mut visitor = visitor;
            visitor.ask().await;
            self.visitors.push(visitor);
        }
        self.until_sessions().await?;
        for visitor in cut {
            visitor.until_cut(self.way).await;
        }
        Ok(())
    }

    /// Visitors come and leave.
    pub(super) async fn visit(&mut self) -> Result<(), Gone> {
        let is_tired = |visitor: &Visitor| visitor.asked >= QUESTIONS;
        self.visitors.retain(|visitor| !is_tired(visitor));
        if self.visitors.len() >= VISITORS || (!self.visitors.is_empty() && self.dice.percent(10)) {
            self.visitors.remove(0);
        }
        // Who left is gone before somebody comes, so that they are told apart.
        self.until_sessions().await?;
        if self.status.is_live() && self.dice.percent(30) {
            let shown = self.caller.get(&self.path("")).await?;
            let places = self.places(&shown);
            if !places.is_empty() {
                let (place, at) = self.dice.pick(&places);
                self.visitors.push(Visitor::come(self.way, place, at).await);
            }
        }
        self.until_sessions().await
    }

    /// Where a visitor may go: decky, LAN and service, and the address.
    fn places(&self, shown: &Value) -> Vec<((Mark, Mark, Service), SocketAddr)> {
        let mut places = Vec::new();
        for row in list(&shown["deckies"]) {
            let mark = self.maze.decky_named(row["name"].as_str().expect("a name"));
            for endpoint in list(&row["endpoints"]) {
                let at: SocketAddr = text(&endpoint["listening"]).parse().expect("an address");
                let mut lans = self.maze.lans.iter();
                let (lan, row) = lans
                    .find(|(mark, _)| self.lan_ids[mark] == endpoint["lan_id"])
                    .expect("the LAN is known");
                let service: Service = text(&endpoint["service"]).parse().expect("a service");
                if service.transport() == Transport::Tcp && self.way.reaches(at, row.is_dmz) {
                    places.push(((mark.expect("it is there"), *lan, service), at));
                }
            }
        }
        places
    }

    /// Waits until the service knows of the sessions that there are, and of no other.
    pub(super) async fn until_sessions(&mut self) -> Result<(), Gone> {
        let began = Instant::now();
        loop {
            let page = self.caller.get("/api/v1/sessions?live=true&limit=50").await?;
            let sessions = list(&page["items"]);
            self.sessions.extend(sessions.iter().map(|session| text(&session["session_id"])));
            let mut there: Vec<_> = sessions.iter().map(|s| text(&s["decky_id"])).collect();
            let mut here: Vec<_> =
                self.visitors.iter().map(|v| self.decky_ids[&v.decky].clone()).collect();
            there.sort();
            here.sort();
            if there == here {
                return Ok(());
            }
            assert!(began.elapsed() < PATIENCE, "sessions {page:#}, visitors on {here:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether a machine is the same, and on the network, in both.
pub(super) fn stays(before: &Maze, after: &Maze, decky: Mark) -> bool {
    let up = |maze: &'_ Maze| maze.deckies.get(&decky).filter(|row| !row.is_stopped).cloned();
    match (up(before), up(after)) {
        (Some(before), Some(after)) => before.is_machine(&after),
        _ => false,
    }
}

/// What has a mark has one id as long as it lives, after an undo too, and nobody else has it.
fn keep_id(ids: &mut BTreeMap<Mark, String>, mark: Mark, id: String) {
    if let Some(known) = ids.get(&mark) {
        assert_eq!(*known, id, "another row came back");
        return;
    }
    assert!(!ids.values().any(|known| *known == id), "{id} belongs to what was there before");
    ids.insert(mark, id);
}

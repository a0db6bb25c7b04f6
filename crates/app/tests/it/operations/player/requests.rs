//! How each request is made, what it has to be answered, and what has to come of it.

use std::{collections::BTreeSet, time::Instant};

use model::{Op, Service};
use serde_json::{Value, json};

use super::{
    Ask, Item, LOOK, Outcome, PATIENCE, Past, Player, Request, Status, list, looks::stays,
    of_decky, text,
};
use crate::operations::{
    caller::{Answer, Gone},
    rules::{Codes, Maze},
    visitors::Visitor,
};

/// How far back an undo looks, in applied mutations.
const HISTORY: usize = 500;

impl Player<'_> {
    pub(super) async fn create(&mut self) -> Result<(), Gone> {
        let wanted = json!({"name": "maze"});
        let answer = self.caller.post("/api/v1/topologies", &wanted, None).await?;
        let is_free = self.topology.is_none() || self.status == Status::TornDown;
        if !is_free {
            assert_refused(&answer, 409, &["NAME_TAKEN"].into());
            return Ok(());
        }
        // Taken where the request came through and the answer did not.
        let created = match answer.status {
            201 => answer.body,
            _ => {
                assert_refused(&answer, 409, &["NAME_TAKEN"].into());
                self.caller.get("/api/v1/topologies/maze").await?
            }
        };
        self.topology = Some(text(&created["topology_id"]));
        (self.maze, self.status, self.version) = (Maze::default(), Status::Pending, 1);
        (self.history, self.rows, self.last) = (Vec::new(), 0, None);
        Ok(())
    }

    /// Sends one of the changes that are under way, unless it was answered already.
    pub(super) async fn ask(&mut self, at: usize) -> Result<(), Gone> {
        let Some(Request::Ops(items)) = &self.under_way else { unreachable!("ops are under way") };
        let Item { ask, answer } = items[at].clone();
        if answer.is_some() {
            return Ok(());
        }
        let states = self.states_ahead(&items.clone()[..at]);
        let is_live = self.status.is_live();
        let fits: Vec<Result<Maze, Codes>> =
            states.iter().map(|maze| maze.apply(&ask.op, is_live, &mut self.marks)).collect();
        let answer = self.send(&ask).await?;
        let id = self.judge(&ask, &answer, &fits);
        let Some(Request::Ops(items)) = &mut self.under_way else { unreachable!("see above") };
        if let Some(id) = &id {
            self.last = Some((items[at].ask.clone(), id.clone()));
        }
        items[at].answer = Some(id);
        Ok(())
    }

    /// The mutation that a change has become, where it was to be taken; `fits` says what the rules
    /// make of it on the maze as it is, and after each change before it that may be applied by now.
    fn judge(&self, ask: &Ask, answer: &Answer, fits: &[Result<Maze, Codes>]) -> Option<String> {
        let decky = of_decky(&ask.op).filter(|_| ask.of_decky);
        let refusal = match fits.last().expect("as it is now") {
            _ if decky.is_some_and(|name| self.maze.decky_named(name).is_none()) => {
                Some((404, "NOT_FOUND"))
            }
            Ok(_) if self.status == Status::TornDown => Some((409, "CONFLICT")),
            Ok(_) if ask.expected == Some(1) => Some((412, "VERSION_CONFLICT")),
            Ok(_) => None,
            // By the rules at one of the moments at which it may have been looked at.
            Err(_) => {
                let codes = answer.codes();
                let is_so = |fit: &Result<Maze, Codes>| match fit {
                    Ok(_) => answer.status == 202,
                    Err(wanted) => answer.status == 422 && *wanted == codes,
                };
                assert!(fits.iter().any(is_so), "{ask:?}: {answer:#?}, not {fits:#?}");
                return (answer.status == 202).then(|| text(&answer.body["mutation_id"]));
            }
        };
        if let Some((status, code)) = refusal {
            assert_refused(answer, status, &[code].into());
            return None;
        }
        assert_eq!(answer.status, 202, "{ask:?} fits: {answer:#?}");
        Some(text(&answer.body["mutation_id"]))
    }

    /// The maze as it is, and after each change that was taken.
    fn states_ahead(&mut self, items: &[Item]) -> Vec<Maze> {
        let mut states = vec![self.maze.clone()];
        let is_live = self.status.is_live();
        for item in items.iter().filter(|item| matches!(item.answer, Some(Some(_)))) {
            let last = states.last().expect("the maze as it is");
            if let Ok(next) = last.apply(&item.ask.op, is_live, &mut self.marks) {
                states.push(next);
            }
        }
        states
    }

    async fn send(&self, ask: &Ask) -> Result<Answer, Gone> {
        let mut body = serde_json::to_value(&ask.op).expect("an op is JSON");
        if ask.of_decky {
            let decky = of_decky(&ask.op).expect("it is about one");
            let id = self.topology.as_deref().expect("there is a topology");
            let verb = match &ask.op {
                Op::RotateDecky { .. } => "rotate",
                Op::StartDecky { .. } => "start",
                Op::StopDecky { .. } => "stop",
                _ => "retire",
            };
            let services = body["payload"].get("services").cloned();
            let body = services.map_or(json!({}), |services| json!({ "services": services }));
            let path = format!("/api/v1/deckies/{id}%2F{decky}/{verb}");
            return self.caller.post(&path, &body, Some(&ask.key)).await;
        }
        if let Some(off) = ask.expected {
            body["expected_version"] = json!(self.version + off);
        }
        self.caller.post(&self.path("/mutations"), &body, Some(&ask.key)).await
    }

    /// Waits for the ends of the changes under way; each has to come to what the rules say.
    pub(super) async fn settle_ops(&mut self) -> Result<(), Gone> {
        let Some(Request::Ops(items)) = self.under_way.clone() else { unreachable!("see above") };
        let taken = items.iter().filter_map(|item| Some((&item.ask.op, item.answer.clone()??)));
        let is_live = self.status.is_live();
        let (mut maze, mut version) = (self.maze.clone(), self.version);
        let (mut pasts, mut outcomes) = (Vec::new(), Vec::new());
        for (op, id) in taken {
            let ended = self.until_ended(&id).await?;
            let (is_applied, told) = match maze.apply(op, is_live, &mut self.marks) {
                Ok(mut next) => {
                    assert_eq!(ended["state"], "applied", "{op:?}: {ended:#}");
                    if let Op::RotateDecky { decky, services: None } = op {
                        let picked = self.services_of(decky.as_str()).await?;
                        next.settle_pick(decky, picked);
                    }
                    let told = maze.told(&next, is_live);
                    pasts.push(std::mem::replace(&mut maze, next));
                    version += 1;
                    assert_eq!(ended["version"], version, "{op:?}: {ended:#}");
                    (true, told)
                }
                Err(codes) => {
                    assert_eq!(ended["state"], "failed", "{op:?}: {ended:#}, not {codes:?}");
                    let reason = text(&ended["reason"]);
                    let is_said = |code: &&str| reason.contains(&format!("{code}: "));
                    assert!(codes.iter().all(is_said), "{op:?}: {reason}, not {codes:?}");
                    (false, Vec::new())
                }
            };
            outcomes.push((id, Outcome { is_applied, version, told }));
        }
        for before in pasts {
            self.rows += 1;
            self.history.push(Past { before, was_live: is_live, row: self.rows });
        }
        (self.maze, self.version) = (maze, version);
        self.outcomes.extend(outcomes);
        Ok(())
    }

    async fn until_ended(&self, id: &str) -> Result<Value, Gone> {
        let (path, began) = (self.path(&format!("/mutations/{id}")), Instant::now());
        loop {
            let mutation = self.caller.get(&path).await?;
            if mutation["state"] == "applied" || mutation["state"] == "failed" {
                return Ok(mutation);
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {mutation:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn services_of(&self, name: &str) -> Result<BTreeSet<Service>, Gone> {
        let shown = self.caller.get(&self.path("")).await?;
        let decky = list(&shown["deckies"]).iter().find(|decky| decky["name"] == name).cloned();
        let decky = decky.unwrap_or_else(|| panic!("{name} is not there: {shown:#}"));
        let service = |s: &Value| text(&s["service"]).parse().expect("a service");
        Ok(list(&decky["services"]).iter().map(service).collect())
    }

    pub(super) async fn undo(&mut self, count: usize, force: bool, key: &str) -> Result<(), Gone> {
        let (maze, is_live) = (&self.maze, self.status.is_live());
        let in_sight = self.history.iter().rev();
        let in_sight = in_sight.take_while(|past| self.rows - past.row < HISTORY).count();
        let body = json!({"count": count, "force": force});
        let answer = self.caller.post(&self.path("/undo"), &body, Some(key)).await?;
        if in_sight < count {
            assert_refused(&answer, 409, &["UNDO_UNSAFE"].into());
            return Ok(());
        }
        let left = self.history.len() - count;
        let target = &self.history[left].before;
        // What was done unseen may be more than can be taken back before visitors.
        let is_certain = !is_live || self.history[left..].iter().all(|past| past.was_live);
        let goes = |visitor: &Visitor| !stays(maze, target, visitor.decky);
        let is_visited = is_live && self.visitors.iter().any(goes);
        if answer.status != 202 {
            match (self.status, answer.status) {
                (Status::TornDown, _) => assert_refused(&answer, 409, &["CONFLICT"].into()),
                (_, 409) if is_visited && !force => {
                    assert_refused(&answer, 409, &["UNDO_UNSAFE"].into());
                }
                _ => assert!(!is_certain && answer.status == 422, "{answer:#?}"),
            }
            return Ok(());
        }
        assert_ne!(self.status, Status::TornDown, "{answer:#?}");
        assert!(force || !is_visited, "a visitor is there: {answer:#?}");
        let id = text(&answer.body["mutation_id"]);
        let ended = self.until_ended(&id).await?;
        assert_eq!(ended["state"], "applied", "{ended:#}");
        assert_eq!(ended["version"], self.version + 1, "{ended:#}");
        self.version += 1;
        self.rows += 1;
        let told = self.maze.told(&self.history[left].before, is_live);
        self.outcomes.insert(id, Outcome { is_applied: true, version: self.version, told });
        self.maze = self.history.swap_remove(left).before;
        self.history.truncate(left);
        Ok(())
    }

    pub(super) async fn again(&mut self, is_other: bool) -> Result<(), Gone> {
        let Some((ask, id)) = self.last.clone() else { return Ok(()) };
        if !is_other {
            let answer = self.send(&ask).await?;
            // By the decky only while there is one of the name, or where this removed it.
            let is_removal = matches!(ask.op, Op::RemoveDecky { .. });
            let decky = of_decky(&ask.op).filter(|_| ask.of_decky && !is_removal);
            if decky.is_some_and(|name| self.maze.decky_named(name).is_none()) {
                assert_refused(&answer, 404, &["NOT_FOUND"].into());
                return Ok(());
            }
            assert_eq!(answer.status, 202, "{ask:?}: {answer:#?}");
            assert!(answer.is_replayed, "{ask:?}: {answer:#?}");
            assert_eq!(answer.body["mutation_id"], id, "{ask:?}: {answer:#?}");
            return Ok(());
        }
        let op = Op::AddLan {
            name: "another".parse().expect("a name"),
            subnet: None,
            is_dmz: false,
            position: None,
        };
        let other = Ask { op, expected: None, of_decky: false, ..ask };
        let answer = self.send(&other).await?;
        assert_refused(&answer, 422, &["IDEMPOTENCY_KEY_REUSED"].into());
        Ok(())
    }

    pub(super) async fn dry_run(&mut self, op: &Op) -> Result<(), Gone> {
        let body = serde_json::to_value(op).expect("an op is JSON");
        let answer = self.caller.post(&self.path("/mutations?dry_run=true"), &body, None).await?;
        match self.maze.apply(op, self.status.is_live(), &mut self.marks) {
            Ok(_) => {
                assert_eq!(answer.status, 200, "{op:?}: {answer:#?}");
                assert_eq!(answer.body["version"], self.version + 1, "{op:?}: {answer:#?}");
            }
            Err(codes) => assert_refused(&answer, 422, &codes),
        }
        Ok(())
    }

    pub(super) async fn deploy(&mut self) -> Result<(), Gone> {
        let broken = self.maze.undeployable();
        if self.is_asked_for(&["pending", "active", "torn_down"]).await? {
            let answer = self.caller.post(&self.path("/deploy"), &json!({}), None).await?;
            match self.status {
                Status::Pending if broken.is_empty() => {
                    assert_eq!(answer.status, 202, "{answer:#?}");
                }
                Status::Pending => {
                    assert_refused(&answer, 422, &broken);
                    return Ok(());
                }
                Status::Active | Status::TornDown => {
                    assert_refused(&answer, 409, &["CONFLICT"].into());
                    return Ok(());
                }
            }
        }
        self.until_status("active").await?;
        self.status = Status::Active;
        Ok(())
    }

    pub(super) async fn tear_down(&mut self) -> Result<(), Gone> {
        if self.is_asked_for(&["pending", "active", "torn_down"]).await? {
            let answer = self.caller.post(&self.path("/teardown"), &json!({}), None).await?;
            if !self.status.is_live() {
                assert_refused(&answer, 409, &["CONFLICT"].into());
                return Ok(());
            }
            assert_eq!(answer.status, 202, "{answer:#?}");
        }
        self.until_status("torn_down").await?;
        self.status = Status::TornDown;
        Ok(())
    }

    /// Whether the topology is where it was left, so that the request has still to be made.
    async fn is_asked_for(&self, known: &[&str]) -> Result<bool, Gone> {
        let status = text(&self.caller.get(&self.path("")).await?["status"]);
        Ok(known.contains(&status.as_str()) && status == self.status.word())
    }

    pub(super) async fn panic(&mut self) -> Result<(), Gone> {
        let answer = self.caller.post("/api/v1/panic", &json!({}), None).await?;
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert_eq!(answer.body["left"], json!([]), "{answer:#?}");
        if self.status.is_live() {
            self.status = Status::Pending;
        }
        Ok(())
    }

    async fn until_status(&self, wanted: &str) -> Result<(), Gone> {
        let began = Instant::now();
        loop {
            let shown = self.caller.get(&self.path("")).await?;
            if shown["status"] == wanted {
                return Ok(());
            }
            assert!(began.elapsed() < PATIENCE, "never {wanted}: {shown:#}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn assert_refused(answer: &Answer, status: u16, codes: &Codes) {
    assert_eq!((answer.status, &answer.codes()), (status, codes), "{answer:#?}");
}

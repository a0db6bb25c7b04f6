//! What was observed.

use std::collections::BTreeSet;

use model::{
    Activity, ActivityKind, ActivityPayload, Attacker, Credential, DeckyId, Event, Identity,
    Observation, Payload, Service, Session,
};
use store::{SessionFilter, StreamPosition};

use crate::bench::{Bench, journal};

impl Bench {
    /// One visitor's first session, with `facts` commands.
    fn visit(&self, number: u32, decky_id: DeckyId, facts: u32) -> Observation {
        let now = self.ambient.now();
        let identity_id = self.ambient.id();
        let attacker = Attacker {
            id: self.ambient.id(),
            address: std::net::Ipv4Addr::from(0xC000_0200 + number).into(),
            identity_id,
            first_seen: now,
            last_seen: now,
            score: 55,
            reasons: vec!["3 logins".into()],
            sessions: 1,
            logins: 3,
            logins_accepted: 0,
            commands: facts.into(),
            requests: 0,
            uploads: 0,
            downloads: 0,
            lans: vec![],
            deckies: vec![decky_id],
            services: vec![Service::Ssh],
            fingerprints: vec!["hassh=1".into()],
        };
        let identity = Identity {
            id: identity_id,
            formed_at: now,
            last_seen: now,
            attacker_ids: vec![attacker.id],
            score: 55,
        };
        let session = Session {
            id: self.ambient.id(),
            attacker_id: attacker.id,
            decky_id,
            topology_id: self.ambient.id(),
            lan_id: self.ambient.id(),
            service: Service::Ssh,
            peer: "192.0.2.1:4000".into(),
            started_at: now,
            ended_at: None,
            bytes_in: 0,
            bytes_out: 0,
            logins: 0,
            commands: facts,
            requests: 0,
            uploads: 0,
            truncated: None,
            next_index: facts,
        };
        let credential = Credential {
            id: self.ambient.id(),
            hash: format!("{number:064x}"),
            principal: "root".into(),
            secret: "toor".into(),
            kind: "password".into(),
            first_seen: now,
            last_seen: now,
            tries: 1,
        };
        let mut observation = Observation {
            attackers: vec![attacker],
            identities: vec![identity],
            credentials: vec![credential],
            ..Observation::default()
        };
        for index in 0..facts {
            self.act(&mut observation, &session, index);
        }
        observation.sessions.push(session);
        observation
    }

    fn act(&self, observation: &mut Observation, session: &Session, index: u32) {
        let text = format!("command {index}");
        observation.activity.push(Activity {
            session_id: session.id,
            index,
            at: self.ambient.now(),
            kind: ActivityKind::Command,
            text: text.clone(),
        });
        let payload = Payload::SessionActivity(ActivityPayload {
            session_id: session.id,
            attacker_id: session.attacker_id,
            decky_id: session.decky_id,
            topology_id: session.topology_id,
            index,
            kind: ActivityKind::Command,
            text,
        });
        observation.events.push(Event::new(&self.ambient, payload));
    }
}

pub(crate) async fn a_batch_of_a_stream_is_understood_once(bench: Bench) {
    let store = bench.open();
    let at = |incarnation: &str, seq| StreamPosition {
        stream: "SESSIONS".into(),
        incarnation: incarnation.into(),
        seq,
    };
    let position =
        async |incarnation| store.stream_position("SESSIONS", incarnation).await.unwrap();
    assert_eq!(position("a").await, 0);
    let decky = bench.ambient.id();
    assert_eq!(store.observe_from(bench.visit(1, decky, 3), at("a", 10)).await.unwrap(), 3);
    assert_eq!(position("a").await, 10);
    // Other rows under a position that is understood: it was delivered again, so nothing changes.
    for seq in [4, 10] {
        assert_eq!(store.observe_from(bench.visit(2, decky, 3), at("a", seq)).await.unwrap(), 3);
    }
    assert_eq!(store.observe_from(bench.visit(3, decky, 3), at("a", 11)).await.unwrap(), 6);
    // Nothing to keep: the position moves all the same.
    assert_eq!(store.observe_from(Observation::default(), at("a", 12)).await.unwrap(), 6);
    assert_eq!(position("a").await, 12);
    // The stream was made anew.
    assert_eq!(position("b").await, 0);
    assert_eq!(store.observe_from(bench.visit(4, decky, 3), at("b", 1)).await.unwrap(), 9);
    assert_eq!((position("b").await, position("a").await), (1, 0));
    assert_eq!(journal(&store).await.len(), 9);
}

pub(crate) async fn repeating_an_observation_changes_nothing(bench: Bench) {
    let store = bench.open();
    let visit = bench.visit(1, bench.ambient.id(), 10);
    assert_eq!(store.observe(visit.clone()).await.unwrap(), 10);
    assert_eq!(store.observe(visit.clone()).await.unwrap(), 10);
    let entries = journal(&store).await;
    assert!(entries.iter().zip(&visit.events).all(|(entry, event)| entry.id == event.id));
    let session = visit.sessions[0].clone();
    assert_eq!(store.activity(session.id).await.unwrap(), visit.activity);
    assert_eq!(store.session(session.id).await.unwrap(), Some(session));
    assert_eq!(store.attackers(None, 10).await.unwrap().items, visit.attackers);
    assert_eq!(store.identities(None, 10).await.unwrap().items, visit.identities);
    assert_eq!(store.credentials(None, 10).await.unwrap().items, visit.credentials);
    assert_eq!(store.observe(Observation::default()).await.unwrap(), 10);
}

pub(crate) async fn sessions_never_go_back(bench: Bench) {
    let store = bench.open();
    let mut visit = bench.visit(1, bench.ambient.id(), 2);
    let first = visit.sessions[0].clone();
    store.observe(visit.clone()).await.unwrap();
    let mut further = first.clone();
    further.next_index = 5;
    visit.sessions = vec![further.clone()];
    store.observe(visit.clone()).await.unwrap();
    visit.sessions = vec![first, bench.visit(2, bench.ambient.id(), 0).sessions.remove(0)];
    store.observe(visit).await.unwrap();
    assert_eq!(store.session(further.id).await.unwrap(), Some(further.clone()));
    // An end that brings no further fact is kept: that is how orphans are closed.
    let ended = Session { ended_at: Some(bench.ambient.now()), ..further };
    let orphan = Observation { sessions: vec![ended.clone()], ..Observation::default() };
    store.observe(orphan).await.unwrap();
    assert_eq!(store.session(ended.id).await.unwrap(), Some(ended));
    assert_eq!(store.open_sessions().await.unwrap().len(), 1);
}

pub(crate) async fn large_batches_are_whole(bench: Bench) {
    let store = bench.open();
    let decky = bench.ambient.id();
    let mut batch = Observation::default();
    for number in 0..500 {
        let visit = bench.visit(number, decky, 7);
        batch.attackers.extend(visit.attackers);
        batch.identities.extend(visit.identities);
        batch.sessions.extend(visit.sessions);
        batch.activity.extend(visit.activity);
        batch.credentials.extend(visit.credentials);
        batch.events.extend(visit.events);
    }
    assert_eq!(store.observe(batch.clone()).await.unwrap(), 3500);
    assert_eq!(journal(&store).await.len(), 3500);
    assert_eq!(store.attackers(None, 1).await.unwrap().total, Some(500));
    assert_eq!(store.open_sessions().await.unwrap().len(), 500);
    let snapshot = store.identities_snapshot().await.unwrap();
    assert_eq!((snapshot.head, snapshot.page.items.len()), (3500, 50));
    assert_eq!(snapshot.page.total, Some(500));
    assert!(snapshot.page.next.is_some());
    let snapshot = store.attackers_snapshot().await.unwrap();
    assert_eq!((snapshot.head, snapshot.page.items.len()), (3500, 50));
    assert_eq!(store.observe(batch).await.unwrap(), 3500);
}

pub(crate) async fn pages_are_stable_under_inserts(bench: Bench) {
    let store = bench.open();
    let decky = bench.ambient.id();
    let mut there = BTreeSet::new();
    let mut number = 0;
    let mut arrive = async || {
        number += 1;
        bench.ambient.advance(std::time::Duration::from_millis(1));
        let visit = bench.visit(number, decky, 1);
        let id = visit.attackers[0].id;
        store.observe(visit).await.unwrap();
        id
    };
    for _ in 0..50 {
        there.insert(arrive().await);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.attackers(cursor, 7).await.unwrap();
        assert!(page.items.len() <= 7);
        seen.extend(page.items.iter().map(|attacker| attacker.id));
        arrive().await;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first, none twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), there, "none missed");
}

pub(crate) async fn sessions_are_filtered(bench: Bench) {
    let store = bench.open();
    let (one, two): (DeckyId, DeckyId) = (bench.ambient.id(), bench.ambient.id());
    for number in 0..6 {
        let mut visit = bench.visit(number, if number % 2 == 0 { one } else { two }, 1);
        if number < 2 {
            visit.sessions[0].ended_at = Some(bench.ambient.now());
        }
        store.observe(visit).await.unwrap();
    }
    let count = async |filter| store.sessions(filter, None, 100).await.unwrap().items.len();
    let all = SessionFilter::default();
    assert_eq!(count(all).await, 6);
    assert_eq!(count(SessionFilter { decky: Some(one), ..all }).await, 3);
    assert_eq!(count(SessionFilter { live: Some(true), ..all }).await, 4);
    assert_eq!(count(SessionFilter { live: Some(false), decky: Some(two), ..all }).await, 1);
    let attacker = store.attackers(None, 1).await.unwrap().items[0].id;
    assert_eq!(count(SessionFilter { attacker: Some(attacker), ..all }).await, 1);
    let page = store.sessions(all, None, 4).await.unwrap();
    let rest = store.sessions(all, page.next, 4).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (4, 2, None));
}

pub(crate) async fn batch_knowledge_is_complete(bench: Bench) {
    let store = bench.open();
    let one = bench.visit(1, bench.ambient.id(), 1);
    let two = bench.visit(2, bench.ambient.id(), 1);
    store.observe(one.clone()).await.unwrap();
    store.observe(two.clone()).await.unwrap();
    let addresses = vec![one.attackers[0].address, [198, 51, 100, 1].into()];
    let hashes = vec![two.credentials[0].hash.clone(), "none".into()];
    let known = store.known(addresses, hashes, vec![two.sessions[0].id]).await.unwrap();
    assert_eq!(known.attackers, [one.attackers[0].clone(), two.attackers[0].clone()]);
    assert_eq!(known.sessions, two.sessions);
    assert_eq!(known.credentials, two.credentials);
    assert_eq!(known.identities.len(), 2);

    let attacker = one.attackers[0].clone();
    assert_eq!(store.attacker(attacker.id).await.unwrap().as_ref(), Some(&attacker));
    let by_address = store.attacker_by_address(attacker.address).await.unwrap();
    assert_eq!(by_address, Some(attacker));
    let credential = &one.credentials[0];
    let by_hash = store.credential_by_hash(&credential.hash).await.unwrap();
    assert_eq!(by_hash.as_ref(), Some(credential));
    let identity = &one.identities[0];
    assert_eq!(store.identity(identity.id).await.unwrap().as_ref(), Some(identity));
}

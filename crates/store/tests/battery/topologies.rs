//! Topologies and their status.

use model::{DeckyState, MutationState, TopologyStatus};
use store::{CreateError, DeckyChange, FinishError, TransitionError};

use crate::bench::{Bench, LEASE, field, journal, kinds, mutation, name, rotate};

pub(crate) async fn rows_come_back_as_they_went(bench: Bench) {
    let store = bench.open();
    let topology = bench.maze("maze", 100);
    assert_eq!(store.create_topology(&topology, "tester").await.unwrap(), 1);
    let record = store.topology(topology.id).await.unwrap().unwrap();
    assert_eq!(record.topology, topology);
    assert_eq!(record.status, TopologyStatus::Pending);
    assert_eq!(record.created_at, bench.ambient.now());
    assert!(record.decky_states.values().all(|state| *state == DeckyState::Planned));
    assert_eq!(record.decky_states.len(), 100);
    assert_eq!(store.topology_named(&name("maze")).await.unwrap().as_ref(), Some(&record));
    assert_eq!(store.topologies().await.unwrap(), std::slice::from_ref(&record));
    assert!(store.topology_named(&name("other")).await.unwrap().is_none());
    let taken = store.create_topology(&bench.maze("maze", 0), "tester").await;
    assert!(matches!(taken, Err(CreateError::NameTaken { .. })), "{taken:?}");
    store.close().await;
    let store = bench.open();
    assert_eq!(store.topology(topology.id).await.unwrap().as_ref(), Some(&record));
    assert_eq!(store.topology_named(&name("maze")).await.unwrap().as_ref(), Some(&record));
    assert_eq!(store.topologies().await.unwrap(), [record]);
}

/// What is answered from memory and what the database says, after each of the writer's moves,
/// those that are refused included.
pub(crate) async fn what_is_known_is_what_is_kept(bench: Bench) {
    use TopologyStatus as S;
    let store = bench.open();
    let id = bench.active(&store, "maze", 3).await;
    let (old, gone) = (bench.active(&store, "old", 2).await, S::TearingDown);
    for (from, to) in [(S::Active, gone), (gone, S::TornDown)] {
        store.set_status(old, from, to, None, Vec::new()).await.unwrap();
    }
    let same = async || {
        let kept = store.topology_snapshot(id).await.unwrap().unwrap().record;
        assert_eq!(store.topology(id).await.unwrap().as_ref(), Some(&kept));
        assert_eq!(store.topology_named(&kept.topology.name).await.unwrap().as_ref(), Some(&kept));
        let all = store.topologies().await.unwrap();
        assert!(all.len() == 2 && all.iter().any(|record| record.topology.id == old));
        assert!(all.contains(&kept));
        kept
    };
    let decky_id = *same().await.topology.deckies.keys().next().unwrap();
    let change = DeckyChange { decky_id, state: DeckyState::Degraded, reason: Some("why".into()) };
    store.set_status(id, S::Active, S::Degraded, None, vec![change]).await.unwrap();
    assert_eq!(same().await.decky_states[&decky_id], DeckyState::Degraded);
    for turn in 0..6 {
        let op = rotate(["decky-0", "decky-1", "decky-2"][turn % 3]);
        store.enqueue(mutation(id, op)).await.unwrap();
        let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
        let mut after = claim.topology.topology.clone();
        after.version += 1 + u64::from(turn % 3 == 2);
        let decky = after.deckies.values_mut().nth(turn % 3).unwrap();
        std::sync::Arc::make_mut(decky).services.truncate(turn % 2);
        let (mutation, attempt) = (claim.mutation.id, claim.mutation.attempt);
        let ended = store.finish_applied(mutation, attempt, &after, &[], Vec::new()).await;
        match ended {
            Ok(_) => assert_eq!(same().await.topology, after),
            Err(FinishError::Conflict { .. }) => {
                assert_ne!(same().await.topology, after);
                store.finish_failed(mutation, attempt, "too far").await.unwrap();
            }
            Err(other) => panic!("{other}"),
        }
    }
    let late = store.set_status_at(id, 1, (S::Degraded, S::Active), Vec::new()).await;
    assert!(matches!(late, Err(TransitionError::Stale { .. })), "{late:?}");
    assert_eq!(same().await.status, S::Degraded);
}

pub(crate) async fn status_is_compared_and_set(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    use TopologyStatus as S;
    let set = |from, to| store.set_status(id, from, to, Some("why".into()), Vec::new());
    let wrong = set(S::Pending, S::Deploying).await;
    assert!(matches!(wrong, Err(TransitionError::Conflict { actual: S::Active, .. })), "{wrong:?}");
    let illegal = set(S::Active, S::TornDown).await;
    assert!(matches!(illegal, Err(TransitionError::Illegal { .. })), "{illegal:?}");
    let nobody = bench.ambient.id();
    let unknown = store.set_status(nobody, S::Active, S::Degraded, None, vec![]).await;
    assert!(matches!(unknown, Err(TransitionError::Unknown { .. })), "{unknown:?}");

    let attempts = tokio::join!(set(S::Active, S::Degraded), set(S::Active, S::TearingDown));
    assert_eq!(u8::from(attempts.0.is_ok()) + u8::from(attempts.1.is_ok()), 1, "one wins");
    let record = store.topology(id).await.unwrap().unwrap();
    assert_eq!(record.reason.as_deref(), Some("why"));
    assert_eq!(kinds(&store).await["topology.status"], 4);
}

pub(crate) async fn deckies_tell_creation_and_retirement(bench: Bench) {
    let store = bench.open();
    let topology = bench.maze("maze", 2);
    store.create_topology(&topology, "tester").await.unwrap();
    use TopologyStatus as S;
    let all = |state| -> Vec<DeckyChange> {
        let change = |id: &_| DeckyChange { decky_id: *id, state, reason: None };
        topology.deckies.keys().map(change).collect()
    };
    let moves = [
        (S::Pending, S::Deploying, DeckyState::Starting),
        (S::Deploying, S::Active, DeckyState::Running),
        (S::Active, S::Active, DeckyState::Running),
        (S::Active, S::Degraded, DeckyState::Degraded),
        (S::Degraded, S::Active, DeckyState::Running),
        (S::Active, S::TearingDown, DeckyState::Running),
        (S::TearingDown, S::TornDown, DeckyState::Retired),
    ];
    for (from, to, state) in moves {
        store.set_status(topology.id, from, to, None, all(state)).await.unwrap();
    }
    let kinds = kinds(&store).await;
    assert_eq!(kinds["topology.status"], 7);
    assert_eq!(kinds["decky.state"], 2 * 5, "only where it differs");
    let triggers: Vec<_> = journal(&store)
        .await
        .iter()
        .filter(|entry| entry.kind == "decky.mutation")
        .map(|entry| field(entry, "trigger"))
        .collect();
    assert_eq!(triggers, ["creation", "creation", "retirement", "retirement"]);
}

pub(crate) async fn name_is_free_after_teardown(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 1).await;
    use TopologyStatus as S;
    for (from, to) in [(S::Active, S::TearingDown), (S::TearingDown, S::TornDown)] {
        store.set_status(id, from, to, None, vec![]).await.unwrap();
    }
    assert!(store.topology_named(&name("maze")).await.unwrap().is_none());
    let again = bench.active(&store, "maze", 1).await;
    let named = store.topology_named(&name("maze")).await.unwrap().unwrap();
    assert_eq!(named.topology.id, again);
    assert_eq!(store.topologies().await.unwrap().len(), 2);
    assert_eq!(store.topology(id).await.unwrap().unwrap().status, S::TornDown);
}

pub(crate) async fn reopening_keeps_everything(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 5).await;
    let queued = store.enqueue(mutation(id, rotate("decky-0"))).await.unwrap();
    let before = store.topology_snapshot(id).await.unwrap();
    let installation = store.installation().clone();
    store.close().await;
    store.close().await;
    let late = store.topology(id).await.unwrap_err();
    assert_eq!(late.to_string(), "the store was closed: read a topology");
    let late = store.enqueue(mutation(id, rotate("decky-0"))).await.unwrap_err();
    assert_eq!(late.to_string(), "the store was closed: enqueue a mutation");

    let store = bench.open();
    assert_eq!(*store.installation(), installation);
    assert_eq!(store.topology_snapshot(id).await.unwrap(), before);
    assert_eq!(store.journal_head(), queued.seq);
    let next = store.enqueue(mutation(id, rotate("decky-1"))).await.unwrap();
    assert_eq!(next.seq, queued.seq + 1);
    journal(&store).await;
}

pub(crate) async fn status_is_set_at_one_version(bench: Bench) {
    use TopologyStatus as S;
    let store = bench.open();
    let topology = bench.maze("maze", 1);
    store.create_topology(&topology, "tester").await.unwrap();
    let deploy = (S::Pending, S::Deploying);
    let stale = store.set_status_at(topology.id, 7, deploy, Vec::new()).await;
    assert!(matches!(stale, Err(TransitionError::Stale { expected: 7, current: 1 })), "{stale:?}");
    let (one, other) = tokio::join!(
        store.set_status_at(topology.id, 1, deploy, Vec::new()),
        store.set_status_at(topology.id, 1, deploy, Vec::new())
    );
    assert!(one.is_ok() != other.is_ok(), "one wins: {one:?}, {other:?}");
    let told = |answer| matches!(answer, Err(TransitionError::Conflict { .. }));
    assert!(told(one) || told(other), "and the other is told");
}

pub(crate) async fn the_kill_switch_is_written_down_at_once(bench: Bench) {
    use TopologyStatus as S;
    let store = bench.open();
    let deployed = bench.active(&store, "maze", 3).await;
    let leaving = bench.active(&store, "leaving", 1).await;
    store.set_status(leaving, S::Active, S::TearingDown, None, Vec::new()).await.unwrap();
    let drawn = bench.maze("drawn", 1);
    store.create_topology(&drawn, "tester").await.unwrap();
    let running = store.enqueue(mutation(deployed, rotate("decky-0"))).await.unwrap().mutation;
    let claim = store.claim("mutator", LEASE).await.unwrap().unwrap();
    assert_eq!(claim.mutation.id, running.id);
    let waiting = store.enqueue(mutation(deployed, rotate("decky-1"))).await.unwrap().mutation;

    let mut off = store.switch_off("by panic").await.unwrap();
    off.sort_by_key(|off| off.name.clone());
    let moves: Vec<_> = off.iter().map(|off| (off.id, off.from, off.to, off.deckies)).collect();
    let expected =
        [(leaving, S::TearingDown, S::TornDown, 1), (deployed, S::Active, S::Pending, 3)];
    assert_eq!(moves, expected);
    let record = store.topology(deployed).await.unwrap().unwrap();
    assert_eq!((record.status, record.reason.as_deref()), (S::Pending, Some("by panic")));
    assert!(record.decky_states.values().all(|state| *state == DeckyState::Planned));
    for id in [running.id, waiting.id] {
        let ended = store.mutation(id).await.unwrap().unwrap();
        assert_eq!(ended.state, MutationState::Failed);
        assert_eq!(ended.reason.as_deref(), Some("the network was switched off"));
    }
    let late = store.finish_failed(running.id, claim.mutation.attempt, "late").await;
    assert!(matches!(late, Err(FinishError::Fenced(_))), "{late:?}");

    let head = store.health().await.unwrap().journal_head;
    assert_eq!(store.switch_off("again").await.unwrap(), [], "nothing is left to take off");
    assert_eq!(store.health().await.unwrap().journal_head, head, "and nothing is said");
    store.set_status(deployed, S::Pending, S::Deploying, None, Vec::new()).await.unwrap();
}

//! The mutation queue.

use std::{collections::BTreeMap, time::Duration};

use model::{
    DeckyState, EventId, MutationId, MutationState, Op, Service, TopologyId, TopologyStatus,
    Trigger, TypedId as _,
};
use store::{DeckyOutcome, EnqueueError, FinishError, MAX_PENDING, NewMutation, RenewError, Store};

use crate::bench::{Bench, LEASE, apply, field, journal, kinds, mutation, rotate};

pub(crate) async fn each_mutation_ends_once_under_concurrent_claimers(bench: Bench) {
    let store = bench.open();
    let mut queued: BTreeMap<TopologyId, Vec<MutationId>> = BTreeMap::new();
    for label in ["one", "two", "three"] {
        let id = bench.active(&store, label, 0).await;
        for n in 0..40 {
            let answer = store.enqueue(mutation(id, rotate(&format!("d{n}")))).await.unwrap();
            queued.entry(id).or_default().push(answer.mutation.id);
        }
    }
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let store = store.clone();
        workers.spawn(async move {
            let mut ended = Vec::new();
            loop {
                if let Some(claim) = store.claim(&format!("w{worker}"), LEASE).await.unwrap() {
                    ended.push(claim.mutation.id);
                    apply(&store, &claim).await.unwrap();
                } else if store.health().await.unwrap().pending_mutations == 0 {
                    return ended;
                }
            }
        });
    }
    let mut ended: Vec<MutationId> = workers.join_all().await.into_iter().flatten().collect();
    ended.sort_unstable();
    let mut all: Vec<MutationId> = queued.values().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(ended, all, "each was claimed once");

    let mut applied: BTreeMap<TopologyId, Vec<MutationId>> = BTreeMap::new();
    for entry in journal(&store).await {
        if entry.kind == "topology.mutation.applied" {
            let id = |name| serde_json::from_value(field(&entry, name)).unwrap();
            let topology: TopologyId =
                serde_json::from_value(field(&entry, "topology_id")).unwrap();
            applied.entry(topology).or_default().push(id("mutation_id"));
        }
    }
    assert_eq!(applied, queued, "in the order of the queue");
    for id in queued.keys() {
        assert_eq!(store.topology(*id).await.unwrap().unwrap().topology.version, 41);
    }
}

pub(crate) async fn late_finish_after_reclaim_is_fenced(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    store.enqueue(mutation(id, rotate("web"))).await.unwrap();
    let first = store.claim("first", LEASE).await.unwrap().unwrap();
    bench.ambient.advance(LEASE);
    let second = store.claim("second", LEASE).await.unwrap().unwrap();
    assert_eq!(second.mutation.id, first.mutation.id);
    assert_eq!((first.mutation.attempt, second.mutation.attempt), (1, 2));

    let late = apply(&store, &first).await;
    assert!(matches!(late, Err(FinishError::Fenced(_))), "{late:?}");
    let late = store.finish_failed(first.mutation.id, 1, "late").await;
    assert!(matches!(late, Err(FinishError::Fenced(_))), "{late:?}");
    let late = store.renew(first.mutation.id, 1, LEASE).await;
    assert!(matches!(late, Err(RenewError::Fenced(_))), "{late:?}");

    apply(&store, &second).await.unwrap();
    let again = apply(&store, &second).await;
    assert!(matches!(again, Err(FinishError::Fenced(_))), "{again:?}");
    let kinds = kinds(&store).await;
    assert_eq!(kinds["topology.mutation.applying"], 1, "a reclaim changes no state");
    assert_eq!(kinds["topology.mutation.applied"], 1);
    assert_eq!(kinds.get("topology.mutation.failed"), None);
}

pub(crate) async fn a_worker_that_begins_anew_takes_up_its_own_claims_at_once(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    store.enqueue(mutation(id, rotate("web"))).await.unwrap();
    let first = store.claim("mutator", LEASE).await.unwrap().unwrap();
    assert!(store.claim("mutator", LEASE).await.unwrap().is_none());

    assert_eq!(store.release_leases("somebody-else").await.unwrap(), 0);
    assert!(store.claim("mutator", LEASE).await.unwrap().is_none());
    assert_eq!(store.release_leases("mutator").await.unwrap(), 1);
    let second = store.claim("mutator", LEASE).await.unwrap().unwrap();
    assert_eq!(second.mutation.id, first.mutation.id);
    assert!(matches!(apply(&store, &first).await, Err(FinishError::Fenced(_))));
    apply(&store, &second).await.unwrap();
    assert_eq!(store.release_leases("mutator").await.unwrap(), 0, "nothing ended is released");
}

pub(crate) async fn lease_ends_at_its_boundary(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    store.enqueue(mutation(id, rotate("web"))).await.unwrap();
    store.enqueue(mutation(id, rotate("db"))).await.unwrap();
    let claim = store.claim("first", LEASE).await.unwrap().unwrap();
    let lease = store.oldest_lease().await.unwrap().unwrap();
    assert_eq!((lease.mutation_id, lease.worker.as_str()), (claim.mutation.id, "first"));

    let moment = Duration::from_micros(1);
    bench.ambient.advance(LEASE - moment);
    assert!(store.claim("second", LEASE).await.unwrap().is_none(), "held to the last microsecond");
    let until = store.renew(claim.mutation.id, 1, LEASE).await.unwrap();
    assert_eq!(until, bench.ambient.now().plus(LEASE));
    bench.ambient.advance(LEASE - moment);
    assert!(store.claim("second", LEASE).await.unwrap().is_none(), "renewed");
    bench.ambient.advance(moment);
    // Over, but nobody has taken it: its holder can still renew, and others can still take it.
    store.renew(claim.mutation.id, 1, moment).await.unwrap();
    bench.ambient.advance(moment);
    let taken = store.claim("second", LEASE).await.unwrap().unwrap();
    assert_eq!(taken.mutation.id, claim.mutation.id, "the oldest first");
    apply(&store, &taken).await.unwrap();
    assert!(store.oldest_lease().await.unwrap().is_none());
}

pub(crate) async fn same_key_gets_the_same_answer(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    let keyed = |op| NewMutation { idempotency_key: Some("k".into()), ..mutation(id, op) };
    let first = store.enqueue(keyed(rotate("web"))).await.unwrap();
    let stale = NewMutation { expected_version: Some(99), ..keyed(rotate("web")) };
    let again = store.enqueue(stale).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!((first.mutation.id, first.seq), (again.mutation.id, again.seq));
    let other = store.enqueue(keyed(rotate("db"))).await;
    assert!(matches!(other, Err(EnqueueError::KeyReusedDifferently)), "{other:?}");
    let somebody = NewMutation { requested_by: "somebody".into(), ..keyed(rotate("db")) };
    assert!(!store.enqueue(somebody).await.unwrap().replayed, "keys are per requester");

    let event: EventId = bench.ambient.id();
    let asked = |op| NewMutation { dedupe_event: Some(event), ..mutation(id, op) };
    let first = store.enqueue(asked(rotate("web"))).await.unwrap();
    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    apply(&store, &claim).await.unwrap();
    let again = store.enqueue(asked(rotate("web"))).await.unwrap();
    assert_eq!((again.mutation.id, again.replayed), (first.mutation.id, true));
    assert_eq!(kinds(&store).await["topology.mutation.enqueued"], 3);
}

pub(crate) async fn concurrent_requests_of_one_key_queue_once(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        let keyed =
            NewMutation { idempotency_key: Some("k".into()), ..mutation(id, rotate("web")) };
        requests.spawn(async move { store.enqueue(keyed).await.unwrap() });
    }
    let answers = requests.join_all().await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.seq == answers[0].seq));
    assert_eq!(kinds(&store).await["topology.mutation.enqueued"], 1);
}

pub(crate) async fn refusals(bench: Bench) {
    let store = bench.open();
    let nobody: TopologyId = bench.ambient.id();
    let unknown = store.enqueue(mutation(nobody, rotate("web"))).await;
    assert!(matches!(unknown, Err(EnqueueError::UnknownTopology { .. })), "{unknown:?}");

    let id = bench.active(&store, "maze", 0).await;
    let expecting =
        |version| NewMutation { expected_version: Some(version), ..mutation(id, rotate("web")) };
    let stale = store.enqueue(expecting(2)).await;
    let conflict = EnqueueError::VersionConflict { expected: 2, current: 1 };
    assert_eq!(stale.unwrap_err().to_string(), conflict.to_string());
    store.enqueue(expecting(1)).await.unwrap();
    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    assert_eq!(claim.mutation.expected_version, Some(1));
    apply(&store, &claim).await.unwrap();
    assert!(store.enqueue(expecting(2)).await.is_ok());

    use TopologyStatus as S;
    store.set_status(id, S::Active, S::TearingDown, None, vec![]).await.unwrap();
    let late = store.enqueue(mutation(id, rotate("web"))).await;
    let refusal = EnqueueError::NotMutable { status: S::TearingDown };
    assert_eq!(late.unwrap_err().to_string(), refusal.to_string());
}

pub(crate) async fn full_queue_refuses(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    let mut requests = tokio::task::JoinSet::new();
    for n in 0..MAX_PENDING {
        let store = store.clone();
        requests.spawn(async move {
            store.enqueue(mutation(id, rotate(&format!("d{n}")))).await.map(drop)
        });
    }
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    let full = store.enqueue(mutation(id, rotate("one-more"))).await;
    assert!(matches!(full, Err(EnqueueError::QueueFull)), "{full:?}");
    store.claim("worker", LEASE).await.unwrap().unwrap();
    store.enqueue(mutation(id, rotate("one-more"))).await.unwrap();
}

pub(crate) async fn deploying_keeps_mutations_queued(bench: Bench) {
    let store = bench.open();
    let topology = bench.maze("maze", 0);
    store.create_topology(&topology, "tester").await.unwrap();
    let id = topology.id;
    store.enqueue(mutation(id, rotate("web"))).await.unwrap();
    use TopologyStatus as S;
    store.set_status(id, S::Pending, S::Deploying, None, vec![]).await.unwrap();
    store.enqueue(mutation(id, rotate("db"))).await.unwrap();
    assert!(store.claim("worker", LEASE).await.unwrap().is_none());
    store.set_status(id, S::Deploying, S::Degraded, None, vec![]).await.unwrap();
    assert!(store.claim("worker", LEASE).await.unwrap().is_some());
    assert!(store.claim("worker", LEASE).await.unwrap().is_none(), "one at a time");
}

pub(crate) async fn teardown_ends_what_is_unfinished(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    for decky in ["a", "b", "c"] {
        store.enqueue(mutation(id, rotate(decky))).await.unwrap();
    }
    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    use TopologyStatus as S;
    store.set_status(id, S::Active, S::TearingDown, None, vec![]).await.unwrap();
    assert_eq!(kinds(&store).await["topology.mutation.failed"], 2, "the pending ones");
    bench.ambient.advance(LEASE);
    assert!(store.claim("other", LEASE).await.unwrap().is_none());
    store.set_status(id, S::TearingDown, S::TornDown, None, vec![]).await.unwrap();
    let late = apply(&store, &claim).await;
    assert!(matches!(late, Err(FinishError::Fenced(_))), "{late:?}");
    let ended = store.mutations(id, Some(MutationState::Failed), None, 10).await.unwrap().items;
    assert_eq!(ended.len(), 3);
    assert!(ended.iter().all(|m| m.reason.as_deref() == Some("topology was torn down")));
    assert_eq!(kinds(&store).await["topology.mutation.failed"], 3);
}

pub(crate) async fn failed_mutation_leaves_the_topology(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 2).await;
    let before = store.topology(id).await.unwrap();
    store.enqueue(mutation(id, rotate("web"))).await.unwrap();
    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    let seq = store.finish_failed(claim.mutation.id, 1, "no such decky").await.unwrap();
    assert_eq!(store.topology(id).await.unwrap(), before);
    let entry = store.journal_after(seq - 1, 1).await.unwrap().pop().unwrap();
    assert_eq!(entry.kind, "topology.mutation.failed");
    assert_eq!(field(&entry, "reason"), "no such decky");
    assert_eq!(field(&entry, "version"), 1);
    let kept = store.mutation(claim.mutation.id).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.lease_until), (MutationState::Failed, None));
}

pub(crate) async fn applied_mutation_writes_state_and_events(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 1).await;
    store.enqueue(mutation(id, rotate("decky-0"))).await.unwrap();
    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    let mut after = claim.topology.topology.clone();
    after.version += 1;
    let (lan, old) = (*after.lans.keys().next().unwrap(), *after.deckies.keys().next().unwrap());
    after.deckies.remove(&old);
    bench.add_decky(&mut after, lan, "decky-0", 9);
    let new = *after.deckies.keys().next().unwrap();
    let outcome = |decky_id, from, to, old_services, new_services| DeckyOutcome {
        decky_id,
        name: "decky-0".into(),
        from,
        to,
        old_services,
        new_services,
        trigger: Trigger::Operator,
    };
    use DeckyState as S;
    let deckies = vec![
        outcome(old, S::Running, S::Retired, vec![Service::Ssh], vec![]),
        outcome(new, S::Planned, S::Running, vec![], vec![Service::Ssh]),
    ];
    let inverse = [rotate("decky-0")];
    let (mutation, attempt) = (claim.mutation.id, claim.mutation.attempt);
    let seq = store.finish_applied(mutation, attempt, &after, &inverse, deckies).await.unwrap();

    let told: Vec<String> =
        store.journal_after(seq - 1, 10).await.unwrap().into_iter().map(|e| e.kind).collect();
    let (state, change) = ("decky.state", "decky.mutation");
    assert_eq!(told, ["topology.mutation.applied", state, change, state, change]);
    let kept = store.topology(id).await.unwrap().unwrap();
    assert_eq!(kept.topology, after);
    assert_eq!(kept.decky_states.iter().collect::<Vec<_>>(), [(&new, &S::Running)]);
    let kept = store.mutation(mutation).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.inverse), (2, inverse.to_vec()));
}

pub(crate) async fn finish_on_a_moved_topology_changes_nothing(bench: Bench) {
    let store: Store = bench.open();
    let id = bench.active(&store, "maze", 1).await;
    store.enqueue(mutation(id, rotate("decky-0"))).await.unwrap();
    let mut claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    let (before, head) = (store.topology(id).await.unwrap(), store.journal_head());
    claim.topology.topology.version = 7;
    claim.topology.topology.deckies.clear();
    let moved = apply(&store, &claim).await;
    assert!(matches!(moved, Err(FinishError::Conflict { current: 1, wanted: 8 })), "{moved:?}");
    assert_eq!(store.topology(id).await.unwrap(), before);
    assert_eq!(store.journal_head(), head);
    let kept = store.mutation(claim.mutation.id).await.unwrap().unwrap();
    assert_eq!(kept.state, MutationState::Applying, "the claim still holds");
    assert!(claim.mutation.id.created_at() <= kept.requested_at);
}

pub(crate) async fn an_undo_marks_what_it_takes_back(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    for decky in ["one", "two", "three"] {
        store.enqueue(mutation(id, rotate(decky))).await.unwrap();
        let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
        apply(&store, &claim).await.unwrap();
    }
    let applied = store.applied_mutations(id, 2).await.unwrap();
    assert_eq!(applied.iter().map(|m| m.version).collect::<Vec<_>>(), [4, 3], "the last first");
    assert!(applied.iter().all(|mutation| mutation.undone_by.is_none()));

    let undo = Op::Undo { mutations: vec![applied[0].id], ops: vec![rotate("three")] };
    let undo = store.enqueue(mutation(id, undo)).await.unwrap().mutation;
    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
    apply(&store, &claim).await.unwrap();
    let applied = store.applied_mutations(id, 10).await.unwrap();
    let undone: Vec<_> = applied.iter().map(|mutation| mutation.undone_by).collect();
    assert_eq!(undone, [None, Some(undo.id), None, None]);
}

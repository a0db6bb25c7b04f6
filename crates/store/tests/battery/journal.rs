//! The journal: density, order, retention, and snapshots at one position.

use std::collections::BTreeSet;

use model::MutationId;
use store::NewMutation;

use crate::bench::{Bench, LEASE, apply, field, journal, mutation, rotate};

pub(crate) async fn seq_is_dense_under_writers_and_rollbacks(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        let mazes: Vec<_> = (0..20).map(|n| bench.maze(&format!("m{}", n % 5), 1)).collect();
        writers.spawn(async move {
            let mut seqs = Vec::new();
            for maze in mazes {
                // One of all writers gets the name, the others are rolled back.
                seqs.extend(store.create_topology(&maze, "tester").await.ok());
                let new = mutation(id, rotate(&format!("d{writer}")));
                seqs.push(store.enqueue(new.clone()).await.unwrap().seq);
                let stale = NewMutation { expected_version: Some(5), ..new };
                store.enqueue(stale).await.unwrap_err();
            }
            seqs
        });
    }
    let mut seqs: Vec<u64> = writers.join_all().await.into_iter().flatten().collect();
    seqs.sort_unstable();
    assert_eq!(seqs.len(), 8 * 20 + 5);
    let entries = journal(&store).await;
    assert_eq!(seqs, (4..=entries.len() as u64).collect::<Vec<_>>(), "none lost, none twice");
}

pub(crate) async fn watch_is_never_ahead_of_the_journal(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 0).await;
    let mut heads = store.watch_journal();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..100 {
                let seq = store.enqueue(mutation(id, rotate(&format!("d{n}")))).await.unwrap().seq;
                let entry = store.journal_after(seq - 1, 1).await.unwrap().pop().unwrap();
                assert_eq!(entry.kind, "topology.mutation.enqueued", "readable once acknowledged");
            }
        }
    });
    while *heads.borrow_and_update() < 103 {
        let head = *heads.borrow();
        assert!(head <= store.health().await.unwrap().journal_head);
        heads.changed().await.unwrap();
    }
    writer.await.unwrap();
    assert_eq!(store.journal_head(), 103);
}

pub(crate) async fn pruning_keeps_the_newest(bench: Bench) {
    let store = bench.open();
    assert_eq!((store.journal_oldest().await.unwrap(), store.journal_head()), (1, 0));
    let id = bench.active(&store, "maze", 0).await;
    for n in 0..50 {
        store.enqueue(mutation(id, rotate(&format!("d{n}")))).await.unwrap();
    }
    assert_eq!(store.prune_journal(10).await.unwrap(), 43);
    assert_eq!(store.journal_oldest().await.unwrap(), 44);
    assert_eq!(store.prune_journal(10).await.unwrap(), 0);
    let kept = store.journal_after(0, 100).await.unwrap();
    assert_eq!(kept.first().and_then(|e| e.seq), Some(44));
    assert_eq!(store.prune_journal(0).await.unwrap(), 9, "the newest stays");
    store.close().await;
    let store = bench.open();
    assert_eq!(store.journal_head(), 53, "so that positions go on after a restart");
}

/// What the journal says about a topology up to `head` is what the snapshot shows.
pub(crate) async fn snapshot_is_one_moment(bench: Bench) {
    let store = bench.open();
    let id = bench.active(&store, "maze", 3).await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..150 {
                store.enqueue(mutation(id, rotate(&format!("d{n}")))).await.unwrap();
                if n % 3 != 0 {
                    let claim = store.claim("worker", LEASE).await.unwrap().unwrap();
                    apply(&store, &claim).await.unwrap();
                }
            }
        }
    });
    let mut snapshots = Vec::new();
    while !writer.is_finished() {
        snapshots.push(store.topology_snapshot(id).await.unwrap().unwrap());
    }
    writer.await.unwrap();
    let entries = journal(&store).await;
    assert!(snapshots.len() > 5, "the reader was not shut out");
    for snapshot in snapshots {
        let mut version = 1;
        let mut in_flight = BTreeSet::new();
        for entry in entries.iter().filter(|entry| entry.seq <= Some(snapshot.head)) {
            let mutation =
                || -> MutationId { serde_json::from_value(field(entry, "mutation_id")).unwrap() };
            match entry.kind.as_str() {
                "topology.mutation.enqueued" => assert!(in_flight.insert(mutation())),
                "topology.mutation.applied" => {
                    assert!(in_flight.remove(&mutation()));
                    version = field(entry, "version").as_u64().unwrap();
                }
                _ => {}
            }
        }
        assert_eq!(snapshot.record.topology.version, version);
        assert_eq!(snapshot.in_flight.iter().map(|m| m.id).collect::<BTreeSet<_>>(), in_flight);
        assert!(snapshot.in_flight.is_sorted_by_key(|m| m.position));
    }
}

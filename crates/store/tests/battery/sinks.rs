//! Sinks: positions that never go back, dead letters that are buried once and retried.

use model::{Event, JournalEntry, Payload, SystemLog};
use store::{BuryError, MAX_DEAD_LETTERS, NewDeadLetter, SinkProgress, Store};

use crate::bench::Bench;

fn entry(bench: &Bench, seq: u64) -> JournalEntry {
    let line = SystemLog {
        worker: "w".into(),
        level: "info".into(),
        message: format!("entry {seq}"),
        fields: Default::default(),
    };
    Event::new(&bench.ambient, Payload::SystemLog(line)).to_entry(Some(seq))
}

fn dead(bench: &Bench, seq: u64) -> NewDeadLetter {
    NewDeadLetter { entry: entry(bench, seq), attempts: 3, reason: "no such index".into() }
}

async fn save(store: &Store, position: u64, dead: Vec<NewDeadLetter>) {
    store.save_sink("siem", SinkProgress { position: Some(position), dead }).await.unwrap();
}

async fn seqs(store: &Store) -> Vec<u64> {
    let page = store.dead_letters("siem", None, 100).await.unwrap();
    page.items.iter().map(|letter| letter.entry.seq.unwrap()).collect()
}

pub(crate) async fn positions_never_go_back(bench: Bench) {
    let store = bench.open();
    assert_eq!(store.sink_position("siem").await.unwrap(), None);
    for (saved, then) in [(0, 0), (7, 7), (5, 7), (9, 9)] {
        save(&store, saved, Vec::new()).await;
        assert_eq!(store.sink_position("siem").await.unwrap(), Some(then), "after {saved}");
    }
    assert_eq!(store.sink_position("other").await.unwrap(), None);
    store.close().await;
    assert_eq!(bench.open().sink_position("siem").await.unwrap(), Some(9));
}

pub(crate) async fn dead_letters_are_buried_once(bench: Bench) {
    let store = bench.open();
    save(&store, 3, vec![dead(&bench, 2), dead(&bench, 3)]).await;
    // Delivered again after a crash, and refused again.
    save(&store, 4, vec![dead(&bench, 3), dead(&bench, 4)]).await;
    assert_eq!(seqs(&store).await, [4, 3, 2]);
    assert_eq!(store.dead_letter_counts().await.unwrap(), [("siem".to_owned(), 3)].into());
    let letter = store.dead_letters("siem", None, 1).await.unwrap();
    assert!(letter.next.is_some());
    let letter = &letter.items[0];
    assert_eq!((letter.attempts, letter.retrying), (3, false));
    assert_eq!(letter.reason, "no such index");
    let written = serde_json::to_value(&letter.entry).unwrap();
    assert_eq!(written["payload"]["message"], "entry 4");
    assert!(store.dead_letters("other", None, 100).await.unwrap().items.is_empty());
}

pub(crate) async fn dead_letters_are_retried(bench: Bench) {
    let store = bench.open();
    save(&store, 3, (1..=3).map(|seq| dead(&bench, seq)).collect()).await;
    let ids = store.dead_letters("siem", None, 100).await.unwrap().items;
    let second = ids[1].id;
    assert_eq!(store.retry_dead_letters("siem", Some(second)).await.unwrap(), 1);
    assert_eq!(store.retry_dead_letters("siem", Some(second)).await.unwrap(), 0, "waits already");
    assert_eq!(store.retry_dead_letters("other", None).await.unwrap(), 0);
    let waiting = store.retrying_dead_letters("siem", 10).await.unwrap();
    assert_eq!(waiting.iter().map(|l| l.id).collect::<Vec<_>>(), [second]);
    store.settle_dead_letter(second, Err("still none".into())).await.unwrap();
    let kept = store.dead_letters("siem", None, 100).await.unwrap().items;
    assert_eq!((kept[1].attempts, kept[1].reason.as_str()), (4, "still none"));
    assert!(!kept[1].retrying);
    assert_eq!(store.retry_dead_letters("siem", None).await.unwrap(), 3);
    for letter in store.retrying_dead_letters("siem", 10).await.unwrap() {
        store.settle_dead_letter(letter.id, Ok(())).await.unwrap();
    }
    assert_eq!(seqs(&store).await, [0; 0]);
}

pub(crate) async fn a_sink_with_too_many_dead_letters_stays(bench: Bench) {
    let store = bench.open();
    save(&store, 1, (1..=MAX_DEAD_LETTERS).map(|seq| dead(&bench, seq)).collect()).await;
    let one_more =
        SinkProgress { position: Some(2), dead: vec![dead(&bench, MAX_DEAD_LETTERS + 1)] };
    let refused = store.save_sink("siem", one_more).await.unwrap_err();
    assert!(matches!(refused, BuryError::Full { .. }), "{refused}");
    assert_eq!(store.sink_position("siem").await.unwrap(), Some(1), "nothing of it was kept");
}

//! The audit log.

use store::AuditRecord;

use crate::bench::Bench;

pub(crate) fn record(action: &str) -> AuditRecord {
    AuditRecord {
        actor: "ada".into(),
        action: action.into(),
        object: "topology/1".into(),
        address: Some([192, 0, 2, 1].into()),
        outcome: "ok".into(),
        detail: None,
    }
}

pub(crate) async fn entries_are_chained(bench: Bench) {
    let store = bench.open();
    assert_eq!(store.verify_audit().await.unwrap(), 0);
    for n in 1..=5 {
        assert_eq!(store.audit(record("topology.deploy")).await.unwrap(), n);
    }
    assert_eq!(store.verify_audit().await.unwrap(), 5);
    let page = store.audit_log(None, 3).await.unwrap();
    assert_eq!(page.items.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [5, 4, 3]);
    assert_eq!(page.items[0].record, record("topology.deploy"));
    let rest = store.audit_log(page.next, 3).await.unwrap();
    assert_eq!(rest.items.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 1]);
    assert!(page.items[0].hash != page.items[1].hash);
}

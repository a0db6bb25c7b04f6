//! SNMP against the real binary, with the clients of Net-SNMP: a visitor walks a decky, and the
//! operator sees it.

use serde_json::{Value, json};
use testkit::{Events, Prefix, Service, run};

use crate::demo;

/// Adds a decky that speaks SNMP to the demo; answers where.
async fn add(service: &Service, events: &mut Events, name: &str, archetype: &str) -> String {
    let client = service.client();
    let payload =
        json!({"name": name, "lan": "office", "archetype": archetype, "services": ["snmp"]});
    let op = json!({"op": "add_decky", "payload": payload});
    let queued = client.post("/api/v1/topologies/demo/mutations", &op).await.unwrap();
    let id = &queued["mutation_id"];
    events.wait("topology.mutation.applied", |p| p["mutation_id"] == *id).await;
    let decky = client.get(&format!("/api/v1/deckies/demo%2F{name}")).await.unwrap();
    let endpoint = &decky["endpoints"][0];
    assert_eq!((&endpoint["service"], &endpoint["port"]), (&json!("snmp"), &json!(161)));
    endpoint["listening"].as_str().unwrap().to_owned()
}

/// Runs a client; patient, for the machine may be busy.
async fn ask(client: &str, at: &str, arguments: &[&str], oids: &[&str]) -> String {
    let options = ["-O", "n", "-t", "20", "-r", "0"];
    run(client, &[arguments, &options, &[at], oids].concat(), "").await
}

/// The lines of a walk, without what goes on from one to the next.
fn steady(walk: &str) -> Vec<&str> {
    // Uptimes, counters and the clock.
    let moves = |line: &&str| {
        ["Timeticks", "Counter32"].iter().any(|kind| line.contains(kind))
            || line.contains(".25.1.2.0")
    };
    walk.lines().filter(|line| !moves(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn walks_with_real_clients_are_sessions_with_events() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let mut events = Events::follow(&service.client(), "/api/v1/events").await;
    let printer = add(&service, &mut events, "printer-01", "printer").await;
    let monitor = add(&service, &mut events, "monitor-01", "monitoring-node").await;

    let v2 = ["-v", "2c", "-c", "public"];
    let name = ask("snmpget", &printer, &v2, &["1.3.6.1.2.1.1.5.0"]).await;
    assert_eq!(name.trim(), r#".1.3.6.1.2.1.1.5.0 = STRING: "printer-01""#);
    let ended = events.wait("attacker.session.ended", |p| p["service"] == "snmp").await;
    assert_eq!(ended["payload"]["truncated"], Value::Null);
    let session = events.of_session(&ended["payload"]["session_id"]);
    let texts: Vec<&str> = session.iter().filter_map(|e| e["payload"]["text"].as_str()).collect();
    assert!(texts.contains(&"v2c get 1.3.6.1.2.1.1.5.0"), "{texts:?}");
    // The community is a secret, and masked.
    assert!(texts.iter().any(|t| t.contains("with community ******: accepted")), "{texts:?}");
    assert!(session.iter().any(|e| e["type"] == "credential.captured"), "{session:#?}");
    assert!(!texts.iter().any(|t| t.contains("public")), "{texts:?}");

    for (at, about) in [(&printer, "JETDIRECT"), (&monitor, "Linux monitor-01 6.1.0-")] {
        let walk = ask("snmpwalk", at, &v2, &[".1"]).await;
        assert!(walk.contains(about) && walk.lines().count() > 70, "{walk}");
        let last = walk.lines().last().unwrap();
        assert!(last.contains("No more variables left in this MIB View"), "{last}");
        let first = ask("snmpwalk", at, &["-v", "1", "-c", "public"], &[".1"]).await;
        assert!(first.ends_with("End of MIB\n"), "{first}");
        let bulk = ask("snmpbulkwalk", at, &[&v2[..], &["-C", "r50"]].concat(), &[".1"]).await;
        assert_eq!(steady(&bulk), steady(&walk));
        let (mut first, mut walk) = (steady(&first), steady(&walk));
        // Each version has its own words for the end.
        assert_ne!(first.pop(), walk.pop());
        assert_eq!(first, walk);
        let name = [".1.3.6.1.2.1.1.5.0", "s", "owned"];
        let set = ask("snmpset", at, &v2, &name).await;
        assert!(set.contains("Reason: noAccess"), "{set}");
        let set = ask("snmpset", at, &["-v", "1", "-c", "public"], &name).await;
        assert!(set.contains("(noSuchName)"), "{set}");
    }

    let silent = run(
        "snmpget",
        &["-v", "2c", "-c", "private", "-t", "1", "-r", "0", &printer, "1.3.6.1.2.1.1.5.0"],
        "",
    )
    .await;
    assert!(silent.contains("Timeout: No Response from"), "{silent}");
    let told = "login with community ******: refused";
    events.wait("attacker.session.activity", |p| p["text"] == told).await;
    service.terminate().await;
}

//! What operators and visitors get for bad input.

use std::time::Duration;

use serde_json::json;
use testkit::{Events, Prefix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{demo, with};

#[tokio::test(flavor = "multi_thread")]
async fn refused_changes_name_the_field_and_queue_nothing() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let client = service.client();
    let cases = [
        (json!({"op": "explode", "payload": {}}), "op"),
        (json!({"op": "add_lan", "payload": {"name": "Bad Name"}}), "payload.name"),
        (
            json!({"op": "add_lan", "payload": {"name": "x", "subnet": "10.66.1.0/25"}}),
            "payload.subnet",
        ),
        (json!({"op": "add_lan", "payload": {"name": "dmz"}}), "payload.name"),
        (json!({"op": "add_lan", "payload": {"name": "x", "colour": 1}}), "payload"),
        (
            json!({"op": "add_decky", "payload": {"name": "x", "lan": "dmz", "ip": "10.9.9.9"}}),
            "payload.ip",
        ),
        (
            json!({"op": "add_decky", "payload": {"name": "x", "lan": "dmz", "ip": "10.9"}}),
            "payload.ip",
        ),
        (json!({"op": "add_decky", "payload": {"name": "x", "lan": "nowhere"}}), "payload.lan"),
        (
            json!({"op": "add_decky", "payload": {"name": "x", "lan": "dmz", "services": ["gopher"]}}),
            "payload.services",
        ),
        (json!({"op": "remove_decky", "payload": {"decky": "nobody"}}), "payload.decky"),
    ];
    for (body, field) in cases {
        let error =
            client.post("/api/v1/topologies/demo/mutations", &body).await.expect_err("refused");
        assert!(error.to_string().contains(field), "{body}: {error}");
    }
    let old = json!({"op": "add_lan", "payload": {"name": "x"}, "expected_version": 99});
    let error = client.post("/api/v1/topologies/demo/mutations", &old).await.expect_err("refused");
    assert!(error.to_string().contains("version"), "{error}");
    let error = client
        .post(
            "/api/v1/topologies/nosuch/mutations",
            &json!({"op": "remove_lan", "payload": {"name": "x"}}),
        )
        .await;
    assert!(error.expect_err("refused").to_string().contains("no such topology"));
    let mutations = client.get("/api/v1/topologies/demo/mutations").await.unwrap();
    assert_eq!(mutations["items"], json!([]));
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abusive_visitors_are_cut_and_recorded_and_others_feel_nothing() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let limits = [
        "--demo",
        "--set",
        "visitors.idle_seconds=1",
        "--set",
        "visitors.session_bytes=1000000",
        "--set",
        "visitors.session_seconds=3",
    ];
    let service = with(dir.path(), &prefix, &limits, &[]).await;
    let client = service.client();
    let mut events = Events::follow(&client, "/api/v1/events?filter=attacker.session.ended").await;
    let http =
        service.try_commands()[0].split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
    let ssh = service.try_commands().into_iter().find(|c| c.starts_with("ssh ")).unwrap();
    let words: Vec<&str> = ssh.split_whitespace().collect();
    let ssh = format!("{}:{}", words.last().unwrap().split_once('@').unwrap().1, words[2]);

    // Somebody who sends far more than a session may.
    let mut flood = tokio::net::TcpStream::connect(&http).await.unwrap();
    flood
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        .await
        .unwrap();
    let peer = flood.local_addr().unwrap().to_string();
    let block = vec![b'a'; 65_536];
    while flood.write_all(&block).await.is_ok() {}
    let ended = events
        .wait("attacker.session.ended", |p| {
            p["peer"] == *peer || p["bytes_in"].as_u64() > Some(900_000)
        })
        .await;
    assert_eq!(ended["payload"]["truncated"], "bytes", "{ended:#}");

    // Somebody who is silent, and somebody who sends a byte now and then, for ever.
    let silent = tokio::net::TcpStream::connect(&http).await.unwrap();
    events.wait("attacker.session.ended", |p| p["truncated"] == "idle").await;
    drop(silent);
    let mut slow = tokio::net::TcpStream::connect(&ssh).await.unwrap();
    let trickle = async {
        while slow.write_all(b"S").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    };
    let cut = events.wait("attacker.session.ended", |p| p["service"] == "ssh");
    tokio::select! {
        ended = cut => assert!(ended["payload"]["truncated"].is_string(), "{ended:#}"),
        () = trickle => {}
    }

    // Garbage is answered as the daemon would, and recorded.
    let mut garbage = tokio::net::TcpStream::connect(&ssh).await.unwrap();
    garbage.write_all(b"\x00\xff\x16\x03garbage\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The real daemon resets a connection whose input it did not read to the end.
    let _ = garbage.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"SSH-2.0-OpenSSH"), "{answer:?}");

    let page = testkit::run(
        "curl",
        &["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("http://{http}/")],
        "",
    )
    .await;
    assert_eq!(page, "200");
    service.terminate().await;
}

//! A visitor touches a decky and the operator sees it; the operator changes the maze and the
//! network changes.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Events, Prefix, Service, run, run_line};

use crate::demo;

/// The password that stands in the comment behind a printed command.
fn printed_password(service: &Service) -> String {
    let line = service.welcome_line("ssh -p");
    line.rsplit_once("password: ").expect("a login that gets in").1.trim().to_owned()
}

/// The host and port of a printed command.
fn printed_endpoint(service: &Service, client: &str) -> (String, String) {
    let commands = service.try_commands();
    let line = commands.iter().find(|line| line.starts_with(client)).expect("it is printed");
    let words: Vec<&str> = line.split_whitespace().collect();
    let after =
        |flag: &str| words.iter().position(|w| *w == flag).map(|at| words[at + 1].to_owned());
    match client {
        "ssh" => {
            let target = words.last().expect("a target");
            (target.split_once('@').expect("user@host").1.to_owned(), after("-p").expect("a port"))
        }
        "redis-cli" => (after("-h").expect("a host"), after("-p").expect("a port")),
        "ftp" => (words[1].to_owned(), words[2].to_owned()),
        _ => {
            let url =
                words.last().expect("a URL").trim_start_matches("http://").trim_end_matches('/');
            let (host, port) = url.split_once(':').expect("host:port");
            (host.to_owned(), port.to_owned())
        }
    }
}

fn kinds<'a>(events: &[&'a Value]) -> Vec<&'a str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

fn texts<'a>(events: &[&'a Value]) -> Vec<&'a str> {
    events.iter().filter_map(|event| event["payload"]["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_commands_are_sessions_with_events_rows_and_order() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let client = service.client();
    let mut events = Events::follow(&client, "/api/v1/events").await;

    // curl, exactly as printed.
    let commands = service.try_commands();
    assert!(commands[0].starts_with("curl "), "curl comes first: {commands:?}");
    let page = run_line(&commands[0], "").await;
    assert!(page.contains("HTTP/1.1 ") && page.contains("Server: "), "{page}");
    let observed = events.wait("attacker.observed", |_| true).await;
    let formed = events.wait("identity.formed", |_| true).await;
    let linked = events.wait("identity.observation.linked", |_| true).await;
    let ended = events.wait("attacker.session.ended", |p| p["service"] == "http").await;
    let attacker = &observed["payload"]["attacker_id"];
    assert_eq!(observed["payload"]["identity_id"], formed["payload"]["identity_id"]);
    assert_eq!(formed["payload"]["attacker_ids"], json!([attacker]));
    assert_eq!(linked["payload"]["attacker_id"], *attacker);
    let http = events.of_session(&ended["payload"]["session_id"]);
    let of_http = kinds(&http);
    assert!(of_http.contains(&"attacker.session.started"), "{of_http:?}");
    assert!(texts(&http).iter().any(|t| t.contains("GET / HTTP/1.1")), "{http:#?}");

    // ssh, with the printed login.
    let ssh = commands.iter().find(|line| line.starts_with("ssh ")).expect("ssh is printed");
    let login =
        format!("sshpass -p '{}' {ssh} 'id; echo $((1+1)) > f; cat f'", printed_password(&service));
    let answer = run_line(&login, "").await;
    assert!(answer.contains("uid=0(root)"), "{answer}");
    let ended = events.wait("attacker.session.ended", |p| p["service"] == "ssh").await;
    let session_id = ended["payload"]["session_id"].clone();
    let session = events.of_session(&session_id);
    let journalled: Vec<_> = session.iter().copied().filter(|e| e["seq"].is_u64()).collect();
    let order = kinds(&journalled);
    let place = |kind: &str| {
        order.iter().position(|k| *k == kind).unwrap_or_else(|| panic!("no {kind} in {order:?}"))
    };
    assert_eq!(place("attacker.session.started"), 0, "{order:?}");
    assert_eq!(order.last(), Some(&"attacker.session.ended"), "{order:?}");
    assert!(place("credential.captured") > 0, "{order:?}");
    let told = texts(&journalled);
    // Masked: a secret is never published.
    assert!(told.contains(&"login root with password ******: accepted"), "{told:?}");
    assert!(told.iter().any(|t| t.starts_with("id; echo")), "{told:?}");

    // The rows say the same.
    let path = format!("/api/v1/sessions/{}", session_id.as_str().unwrap());
    let row = client.get(&path).await.unwrap();
    assert_eq!(row["ended_at"], ended["payload"]["ended_at"]);
    assert_eq!(row["attacker_id"], *attacker);
    let rows: Vec<_> = row["activity"].as_array().unwrap().iter().map(|a| &a["text"]).collect();
    let live: Vec<_> = journalled
        .iter()
        .filter(|e| e["type"] == "attacker.session.activity")
        .map(|e| &e["payload"]["text"])
        .collect();
    assert_eq!(rows, live);

    // redis and ftp.
    let redis =
        commands.iter().find(|line| line.starts_with("redis-cli ")).expect("redis is printed");
    let info = run_line(redis, "").await;
    assert!(info.contains("redis_version:7.0.15"), "{info}");
    let ended = events.wait("attacker.session.ended", |p| p["service"] == "redis").await;
    assert!(
        texts(&events.of_session(&ended["payload"]["session_id"]))
            .iter()
            .any(|t| t.contains("info server"))
    );
    let interactive = redis.replace(" info server", "");
    let answer = run_line(&interactive, "NOSUCH a\n").await;
    assert!(
        answer.contains("ERR unknown command 'NOSUCH', with args beginning with: 'a'"),
        "{answer}"
    );

    let (host, port) = printed_endpoint(&service, "ftp");
    let line = service.welcome_line("  ftp ");
    let login = line.rsplit_once(", ").expect("a login").1.replace(" / ", " ");
    let script = format!("open {host} {port}\nuser {login}\npwd\nls\nquit\n");
    let listing = run("ftp", &["-n", "-v"], &script).await;
    assert!(listing.contains("230 Login successful.") && listing.contains("226"), "{listing}");
    let ended = events.wait("attacker.session.ended", |p| p["service"] == "ftp").await;
    assert_eq!(ended["payload"]["truncated"], Value::Null);

    // Every journalled event once, in order, none missing.
    let positions = events.positions();
    let first = positions[0];
    let dense: Vec<u64> = (first..first + positions.len() as u64).collect();
    assert_eq!(positions, dense);
    assert_eq!(events.snapshot["seq"].as_u64(), Some(first - 1));

    let attackers = client.get("/api/v1/attackers").await.unwrap();
    assert_eq!(attackers["items"][0]["attacker_id"], *attacker);
    assert!(attackers["items"][0]["score"].as_u64().unwrap() > 0);
    let identities = client.get("/api/v1/identities").await.unwrap();
    assert_eq!(identities["items"][0]["attacker_ids"], json!([attacker]));
    service.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_queued_applied_and_real() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let client = service.client();
    let demo = client.get("/api/v1/topologies/demo").await.unwrap();
    let stream = format!("/api/v1/topologies/{}/events", demo["topology_id"].as_str().unwrap());
    let mut events = Events::follow(&client, &stream).await;
    assert_eq!(events.snapshot["status"], "active");
    assert_eq!(events.snapshot["in_flight"], json!([]));

    let add = json!({"op": "add_decky", "payload": {"name": "web-77", "lan": "dmz", "archetype": "web-server", "services": ["http"]}});
    let queued = client.post("/api/v1/topologies/demo/mutations", &add).await.unwrap();
    let id = queued["mutation_id"].clone();
    for state in ["enqueued", "applying", "applied"] {
        let kind = format!("topology.mutation.{state}");
        let event = events.wait(&kind, |p| p["mutation_id"] == id).await;
        assert_eq!(event["payload"]["op"], "add_decky");
        if state == "enqueued" {
            assert_eq!(event["seq"], queued["position"]);
        }
    }
    let endpoint = endpoint_of(&client, "web-77").await.expect("it answers");
    let page = run("curl", &["-si", &format!("http://{endpoint}/")], "").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");

    let rotate = client.post("/api/v1/deckies/web-77/rotate", &json!({})).await.unwrap();
    events.wait("topology.mutation.applied", |p| p["mutation_id"] == rotate["mutation_id"]).await;
    let decky = client.get("/api/v1/deckies/demo%2Fweb-77").await.unwrap();
    assert_ne!(decky["services"], json!([{"service": "http", "port": 80}]), "rotated");
    assert_eq!(decky["state"], "running");

    let remove = json!({"op": "remove_decky", "payload": {"decky": "web-77"}});
    let removed = client.post("/api/v1/topologies/demo/mutations", &remove).await.unwrap();
    events.wait("topology.mutation.applied", |p| p["mutation_id"] == removed["mutation_id"]).await;
    let gone = run(
        "curl",
        &["-s", "-o", "/dev/null", "-w", "%{errormsg}", &format!("http://{endpoint}/")],
        "",
    )
    .await;
    assert!(gone.contains("Failed to connect") || gone.contains("refused"), "{gone}");
    assert!(client.get("/api/v1/deckies/web-77").await.is_err());
    service.terminate().await;
}

/// Where the first service of a decky answers, as `address:port`.
async fn endpoint_of(client: &app_client::Client, decky: &str) -> Option<String> {
    let decky = client.get(&format!("/api/v1/deckies/{decky}")).await.ok()?;
    let endpoint = decky["endpoints"].as_array()?.first()?;
    Some(endpoint["listening"].as_str()?.to_owned())
}

use morgana::client as app_client;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_comes_back_as_it_was() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    let service = demo(dir.path(), &prefix).await;
    let (host, port) = printed_endpoint(&service, "ssh");
    let redis = service.try_commands().into_iter().find(|c| c.starts_with("redis-cli ")).unwrap();
    let client = service.client();
    let mut events = Events::follow(&client, "/api/v1/events").await;
    let keys = sorted_keys(&host, &port).await;
    assert!(keys.contains("ssh-ed25519"), "{keys}");
    let uptime = redis_uptime(&redis).await;
    // A session that is open when the process dies.
    let mut open = tokio::net::TcpStream::connect(format!("{host}:{port}")).await.unwrap();
    let mut banner = [0; 4];
    tokio::io::AsyncReadExt::read_exact(&mut open, &mut banner).await.unwrap();
    let orphan = {
        let address = open.local_addr().unwrap().to_string();
        events.wait("attacker.session.started", |p| p["peer"] == *address).await["payload"]["session_id"].clone()
    };
    let before = client.get("/api/v1/topologies/demo").await.unwrap();
    let resume = events.last_id.clone().expect("journalled events have ids");
    service.kill().await;

    let service = demo(dir.path(), &prefix).await;
    let client = service.client();
    assert_eq!(client.get("/api/v1/topologies/demo").await.unwrap(), before);
    assert_eq!(sorted_keys(&host, &port).await, keys);
    let later = redis_uptime(&redis).await;
    assert!((uptime..uptime + 600).contains(&later), "uptime went from {uptime} to {later}");
    // The stream goes on where it was, with the end of the orphaned session.
    let path = format!("/api/v1/events?last_event_id={}", resume.replace(':', "%3A"));
    let mut frames = client.stream(&path).await.unwrap();
    let ended = loop {
        let next = tokio::time::timeout(Duration::from_secs(10), frames.next()).await;
        let frame = next.expect("in time").unwrap().expect("the stream goes on");
        assert_ne!(frame.event, "snapshot", "a resumed stream needs none");
        assert_ne!(frame.event, "reset");
        let data: Value = serde_json::from_str(&frame.data).unwrap();
        if data["type"] == "attacker.session.ended" && data["payload"]["session_id"] == orphan {
            break data;
        }
    };
    assert_eq!(ended["payload"]["truncated"], "shutdown");
    service.terminate().await;
}

async fn sorted_keys(host: &str, port: &str) -> String {
    let scanned = run("ssh-keyscan", &["-p", port, host], "").await;
    let mut keys: Vec<&str> = scanned.lines().filter(|line| !line.starts_with('#')).collect();
    keys.sort_unstable();
    keys.join("\n")
}

async fn redis_uptime(command: &str) -> u64 {
    let info = run_line(command, "").await;
    let line = info.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
    line.unwrap_or_else(|| panic!("no uptime in {info}")).trim().parse().unwrap()
}

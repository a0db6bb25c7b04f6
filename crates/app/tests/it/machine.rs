//! What the machine is asked, and what is written for it: `doctor` and `service`.

use std::{
    fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path, process::Output, time::Duration,
};

use serde_json::Value;
use testkit::Prefix;

use crate::with;

const PATIENCE: Duration = Duration::from_secs(60);

async fn morgana(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_morgana"));
    command.args(arguments).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

/// What the doctor says on this data directory, and whether it ended as it says.
async fn doctor(data_dir: &Path, arguments: &[&str]) -> Value {
    let data_dir = data_dir.display().to_string();
    let all = [&["--data-dir", &data_dir, "doctor", "--json"], arguments].concat();
    let output = morgana(&all).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = i32::from(said["fits"] == false);
    assert_eq!(output.status.code(), Some(code), "{said:#}");
    said
}

fn check<'a>(said: &'a Value, name: &str) -> &'a Value {
    let all = said["checks"].as_array().unwrap();
    all.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {said:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_fits_and_what_to_change() {
    let (dir, prefix) = (tempfile::tempdir().unwrap(), Prefix::claim());
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let said = doctor(dir.path(), &["--set", "listen=127.0.0.1:0"]).await;
    for name in ["rights", "descriptors", "clock", "data", "room", "console", "ports"] {
        check(&said, name);
    }
    assert_eq!(check(&said, "data")["verdict"], "ok");
    assert_eq!(check(&said, "console")["verdict"], "ok");

    let service = with(dir.path(), &prefix, &["--demo"], &[]).await;
    let said = doctor(dir.path(), &[]).await;
    assert_eq!(check(&said, "console")["found"], "the service is up");
    let descriptors = check(&said, "descriptors")["found"].as_str().unwrap().to_owned();
    assert!(!descriptors.contains("(0 of them"), "{descriptors}");
    service.terminate().await;

    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = format!("listen={}", taken.local_addr().unwrap());
    let said = doctor(dir.path(), &["--set", &listen]).await;
    let console = check(&said, "console");
    assert_eq!((&console["verdict"], &said["fits"]), (&"change".into(), &false.into()));
    let pid = std::process::id().to_string();
    assert!(console["found"].as_str().unwrap().contains(&pid), "{console}");

    let said = doctor(dir.path(), &["--uplink", "nosuch0"]).await;
    assert_eq!(check(&said, "uplink")["verdict"], "change");
    for name in ["kernel", "tun", "namespaces", "packets"] {
        check(&said, name);
    }
    let data_dir = dir.path().display().to_string();
    let text = morgana(&["--data-dir", &data_dir, "doctor", "--uplink", "lo"]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("`lo` is up") && text.contains("127.0.0.1"), "{text}");

    let usage = morgana(&["doctor", "--probe-address", "10.0.0.1"]).await;
    assert_eq!(usage.status.code(), Some(2), "an address needs a probe");
    let nowhere = ["doctor", "--uplink", "lo", "--mac-probe"];
    let said = morgana(&[&["--data-dir", &data_dir], &nowhere[..]].concat()).await;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(text.contains("--probe-address"), "{text}");
}

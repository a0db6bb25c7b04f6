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

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_is_written_verified_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().display().to_string();
    let unit = root.path().join("etc/systemd/system/morgana.service");
    // A program that is there on every machine: systemd-analyze looks whether it can be run.
    let install = ["service", "install", "--root", &place, "--program", "/bin/true"];
    let service = async |arguments: &[&str]| {
        let output = morgana(arguments).await;
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    for driver in [&["--driver", "loopback"][..], &["--driver", "netns", "--uplink", "eth1"]] {
        let (code, said) = service(&[&install[..], driver].concat()).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("systemctl enable --now morgana"), "{said}");
        let text = std::fs::read_to_string(&unit).unwrap();
        assert_eq!(text.contains("CAP_SYS_ADMIN"), driver.len() > 2, "{text}");
        verify(&unit).await;
        let (_, printed) =
            service(&[&install[..2], &install[4..], driver, &["--print"]].concat()).await;
        assert_eq!(printed.trim(), text.trim(), "what is printed is what is written");
    }
    let (_, said) = service(&["service", "status", "--root", &place]).await;
    assert!(said.contains(": installed"), "{said}");
    let (code, said) = service(&["service", "uninstall", "--root", &place]).await;
    assert!(code == Some(0) && !unit.exists(), "{said}");
    let (_, said) = service(&["service", "status", "--root", &place]).await;
    assert!(said.contains("not installed"), "{said}");

    std::fs::write(&unit, "[Service]\nExecStart=/bin/false\n").unwrap();
    for verb in [&install[..], &["service", "uninstall", "--root", &place]] {
        let (code, said) = service(verb).await;
        assert!(code == Some(1) && said.contains("not written by this command"), "{said}");
    }
    assert!(std::fs::read_to_string(&unit).unwrap().contains("/bin/false"));
    let uplink = [&install[..], &["--uplink", "eth1"]].concat();
    assert!(service(&uplink).await.1.contains("--driver netns"));
    let (code, said) = service(&[&install[..5], &["/home/me/morgana"]].concat()).await;
    assert!(code == Some(1) && said.contains("--program"), "{said}");
    if !Path::new("/run/systemd/system").exists() {
        let (code, said) = service(&["service", "install", "--program", "/bin/true"]).await;
        assert!(code == Some(1) && said.contains("--root"), "{said}");
    }
}

/// Has systemd look at the unit, where it is installed; it may complain about other units.
async fn verify(unit: &Path) {
    let mut command = tokio::process::Command::new("systemd-analyze");
    command.arg("verify").arg(unit).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await.unwrap() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("morgana.service"), "{said}");
        }
        Err(error) => eprintln!("not verified: systemd-analyze: {error}"),
    }
}

//! The SSH decoy against the real OpenSSH client, over loopback with a plain blocking loop in
//! place of the driver.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output as Ran, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use model::{Ambient, Archetype, InstallationSecret, Persona, SessionFact, Timestamp};
use morgana_decoys::{Flow, Output, Session, ssh::SshSession};

/// A decoy that listens until the process ends.
struct Decoy {
    address: SocketAddr,
    persona: Arc<Persona>,
    facts: Arc<Mutex<Vec<SessionFact>>>,
}

impl Decoy {
    fn start() -> Self {
        let ambient =
            Ambient::seeded(7, "2026-01-02T03:04:05Z".parse::<Timestamp>().expect("a time"));
        let persona = Arc::new(Persona::derive(
            &InstallationSecret::new([9; 32]),
            ambient.id(),
            &"web1".parse().expect("a host name"),
            Archetype::LinuxServer,
        ));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let facts = Arc::new(Mutex::new(Vec::new()));
        let (host, log) = (persona.clone(), facts.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (host, log) = (host.clone(), log.clone());
                thread::spawn(move || serve(&stream, host, &log));
            }
        });
        Self { address, persona, facts }
    }

    /// Runs the real client as root, with its input from `stdin`.
    fn ssh(&self, options: &[&str], command: &[&str], stdin: &str) -> Ran {
        let mut child = Command::new("sshpass")
            .args(["-p", &self.persona.accounts[0].password, "ssh", "-F", "none", "-q"])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "UpdateHostKeys=no", "-o", "PreferredAuthentications=password"])
            .args(["-p", &self.address.port().to_string()])
            .args(options)
            .arg("root@127.0.0.1")
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sshpass and ssh are installed");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(stdin.as_bytes()).expect("the client reads");
        drop(input);
        child.wait_with_output().expect("the client ends")
    }

    fn facts(&self) -> Vec<SessionFact> {
        self.facts.lock().expect("no panic").clone()
    }
}

fn serve(mut stream: &TcpStream, persona: Arc<Persona>, facts: &Mutex<Vec<SessionFact>>) {
    let ambient = Ambient::system();
    let (local, peer) =
        (stream.local_addr().expect("an address"), stream.peer_addr().expect("a peer"));
    let mut session = SshSession::new(persona, ambient.bytes(), local, peer);
    let mut out = Output::new();
    let mut flow = session.open(ambient.now(), &mut out);
    let mut buffer = [0; 16_384];
    loop {
        facts.lock().expect("no panic").extend(out.take_facts());
        if stream.write_all(&out.take_wire()).is_err() || flow == Flow::Close {
            return;
        }
        let now = ambient.now();
        let wait = session.deadline().map(|at| at.since(now).max(Duration::from_millis(1)));
        stream.set_read_timeout(wait).expect("a timeout");
        flow = match stream.read(&mut buffer) {
            Ok(0) => session.finished(ambient.now(), &mut out),
            Ok(count) => session.receive(ambient.now(), &buffer[..count], &mut out),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                session.expire(ambient.now(), &mut out)
            }
            Err(_) => return,
        };
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether the client, with these options, runs a command and sees its status and both streams.
#[track_caller]
fn check(decoy: &Decoy, options: &[&str]) {
    let ran = decoy.ssh(options, &["ls", "/nonexistent"], "");
    assert_eq!(ran.status.code(), Some(2), "{options:?}: {}", text(&ran.stderr));
    assert_eq!(text(&ran.stdout), "");
    assert!(text(&ran.stderr).contains("No such file"), "{options:?}: {}", text(&ran.stderr));
}

#[test]
fn the_real_client_works_with_every_algorithm() {
    let decoy = Decoy::start();
    for kex in [
        "sntrup761x25519-sha512@openssh.com",
        "sntrup761x25519-sha512",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group14-sha256",
    ] {
        check(&decoy, &["-o", &format!("KexAlgorithms={kex}")]);
    }
    for cipher in [
        "chacha20-poly1305@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
    ] {
        check(&decoy, &["-c", cipher]);
    }
    for mac in [
        "umac-64-etm@openssh.com",
        "umac-128-etm@openssh.com",
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha1-etm@openssh.com",
        "umac-64@openssh.com",
        "umac-128@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
        "hmac-sha1",
    ] {
        check(&decoy, &["-c", "aes128-ctr", "-m", mac]);
    }
    for host_key in ["rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256", "ssh-ed25519"] {
        check(&decoy, &["-o", &format!("HostKeyAlgorithms={host_key}")]);
    }
    check(&decoy, &["-C"]);
}

#[test]
fn an_upload_survives_compression_and_new_keys() {
    let decoy = Decoy::start();
    let file: String = (0..150_000).map(|n| format!("{}\n", n * 7919 % 1_000_003)).collect();
    let options = ["-C", "-o", "RekeyLimit=100K"];
    let ran = decoy.ssh(&options, &["cat > /tmp/x; wc -c < /tmp/x"], &file);
    assert_eq!(text(&ran.stdout).trim(), file.len().to_string(), "{}", text(&ran.stderr));
    let uploaded = decoy.facts().into_iter().find_map(|fact| match fact {
        SessionFact::Upload { name, bytes, .. } => Some((name, bytes)),
        _ => None,
    });
    assert_eq!(uploaded, Some(("/tmp/x".to_owned(), file.len() as u64)));
}

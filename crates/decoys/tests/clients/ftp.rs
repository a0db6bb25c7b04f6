//! The FTP decoy behind the real driver, against the real clients: tnftp and curl.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    process::{Command, Stdio},
    sync::Arc,
};

use model::{
    Ambient, Archetype, InstallationSecret, Name, Persona, Service, SessionEvent, SessionFact,
    Transport,
};
use morgana_decoys::{Driver, Entry, Interface, LazyPersona, Limits, Place};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Runs a client while the driver serves one decoy at a free port of the loopback; gives what
/// the client printed and what the driver recorded.
async fn serve(
    client: impl FnOnce(u16, &Persona) -> Command + Send,
    input: impl FnOnce(&Persona) -> String,
) -> (String, bool, Vec<SessionFact>) {
    let ambient = Ambient::system();
    let name: Name = "files".parse().expect("a name");
    let secret = InstallationSecret::new([3; 32]);
    let (decky_id, lan_id) = (ambient.id(), ambient.id());
    let persona = Arc::new(Persona::derive(&secret, decky_id, &name, Archetype::LinuxServer));
    let (facts, mut recorded) = mpsc::channel::<SessionEvent>(4_096);
    let (driver, handle) = Driver::new(Limits::default(), ambient.clone(), facts);
    let stop = CancellationToken::new();
    let running = tokio::spawn(driver.run(stop.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("its address");
    let interface = Interface {
        decky_id,
        topology_id: ambient.id(),
        lan_id,
        address: at.ip(),
        persona: LazyPersona::new(Box::new({
            let persona = Arc::clone(&persona);
            move || persona
        })),
    };
    let (interface, service) = (Arc::new(interface), Service::Ftp);
    let entry = Entry { interface, service, port: at.port() };
    handle.bind(Place { lan: lan_id, transport: Transport::Tcp, at }, entry);
    handle.listen(lan_id, listener).await.expect("the driver listens");
    let mut command = client(at.port(), &persona);
    let input = input(&persona);
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client is installed");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("the client reads");
        drop(stdin);
        child.wait_with_output().expect("the client ends")
    })
    .await
    .expect("the client ran");
    stop.cancel();
    running.await.expect("the driver ends");
    let mut facts = Vec::new();
    while let Some(event) = recorded.recv().await {
        facts.push(event.fact);
    }
    let shown = [ran.stdout, ran.stderr].concat();
    (String::from_utf8_lossy(&shown).into_owned(), ran.status.success(), facts)
}

fn uploads(facts: &[SessionFact]) -> Vec<(String, u64)> {
    let upload = |fact: &SessionFact| match fact {
        SessionFact::Upload { name, bytes, .. } => Some((name.clone(), *bytes)),
        _ => None,
    };
    facts.iter().filter_map(upload).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tnftp_lists_stores_and_fetches() {
    let scratch = std::env::temp_dir().join(format!("ftp-clients-{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("a directory");
    let (sent, fetched) = (scratch.join("sent"), scratch.join("fetched"));
    fs::write(&sent, "payload\n".repeat(5_000)).expect("a file");
    let (from, to) = (sent.display().to_string(), fetched.display().to_string());
    let (shown, _, facts) = serve(
        |port, _| {
            let mut ftp = Command::new("tnftp");
            ftp.args(["-n", "-v", "127.0.0.1", &port.to_string()]);
            ftp
        },
        |persona| {
            // Root is kept out, as on Debian.
            let account = &persona.accounts[1];
            let (user, password) = (&account.user, &account.password);
            format!(
                "user {user} {password}\nbinary\npwd\nls -a\nput {from} x.bin\nget x.bin {to}\n\
                 rename x.bin y.bin\nsize y.bin\ndelete y.bin\nepsv4\nls\nquit\n"
            )
        },
    )
    .await;
    for reply in [
        "220 (vsFTPd 3.0.3)",
        "230 Login successful.",
        "Remote directory: /home/",
        ".bashrc",
        "226 Directory send OK.",
        "226 Transfer complete.",
        "250 Rename successful.",
        "40000",
        "250 Delete operation successful.",
        "227 Entering Passive Mode (127,0,0,1,",
        "221 Goodbye.",
    ] {
        assert!(shown.contains(reply), "{reply} is missing in\n{shown}");
    }
    assert_eq!(fs::read(&sent).expect("sent"), fs::read(&fetched).expect("fetched"));
    assert_one_upload(&facts, "/x.bin", 40_000);
    fs::remove_dir_all(&scratch).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_lists_and_stores() {
    // Passwords may hold what a URL must not.
    let curl = |port: u16, persona: &Persona, path: &str| {
        let account = &persona.accounts[1];
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--user"]);
        curl.arg(format!("{}:{}", account.user, account.password));
        curl.arg(format!("ftp://127.0.0.1:{port}/{path}"));
        curl
    };
    let (shown, fine, facts) =
        serve(|port, persona| curl(port, persona, "%2F/"), |_| String::new()).await;
    assert!(fine && shown.contains(" bin -> usr/bin"), "{shown}");
    assert!(facts.iter().any(|f| matches!(f, SessionFact::Login { accepted: true, .. })));
    let (shown, fine, facts) = serve(
        |port, persona| {
            let mut curl = curl(port, persona, "drop.sh");
            curl.args(["-T", "-"]);
            curl
        },
        |_| "#!/bin/sh\nid\n".to_owned(),
    )
    .await;
    assert!(fine, "{shown}");
    assert_one_upload(&facts, "/drop.sh", 13);
}

/// One upload into a home directory.
fn assert_one_upload(facts: &[SessionFact], file: &str, bytes: u64) {
    match uploads(facts).as_slice() {
        [(path, size)] => {
            assert!(path.starts_with("/home/") && path.ends_with(file), "{path}");
            assert_eq!(*size, bytes);
        }
        other => panic!("not one upload: {other:?}"),
    }
}

//! Command lines, and servers from their first line to their last.

use std::path::PathBuf;

use expect_test::{Expect, expect};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    compat::{Command, Launch, read},
    *,
};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn launch(line: &str) -> Launch {
    match read(words(line)) {
        Ok(Command::Serve(launch)) => *launch,
        other => panic!("{line}: {other:?}"),
    }
}

fn check(line: &str, expected: &Expect) {
    let said = match read(words(line)) {
        Ok(Command::Print(text)) => text,
        Ok(Command::Signal { signal, pid }) => {
            format!("{} to {}", signal.as_raw(), pid.as_raw_nonzero())
        }
        Ok(Command::Serve(_)) => "serves".into(),
        Err(faults) => faults.join("\n"),
    };
    expected.assert_eq(&said);
}

#[test]
fn what_a_command_line_asks_for() {
    check("-v", &expect!["nats-server: v2.9.25"]);
    check("--signal ldm=77", &expect!["12 to 77"]);
    check("--signal=reload=77", &expect!["1 to 77"]);
    check(
        "--signal ldm=/no/such/file",
        &expect![[r#""/no/such/file" is neither a process id nor its file"#]],
    );
    check("--signal ldm=-1", &expect![[r#""-1" is neither a process id nor its file"#]]);
    check("--signal kill=1", &expect![[r#"unknown signal "kill""#]]);
    check(
        "-p 99999 --routes x --user a",
        &expect![[r#"
        -p: "99999" is no port
        -routes is not supported"#]],
    );
    check("--user a", &expect!["--user and --pass need one another"]);
    check("--help --colour", &expect!["flag provided but not defined: -colour"]);
    check(
        "-c /no/such/file",
        &expect!["/no/such/file:0: cannot be read: No such file or directory (os error 2)"],
    );
}

#[test]
fn flags_become_options() {
    let Launch { options, log_time, debug, .. } =
        launch("-p -1 -m 8222 -a 127.0.0.2 --user u --pass p -js -sd=/s -DV -T=false -n x -P /p");
    assert_eq!(options.tcp, Some(([127, 0, 0, 2], 0).into()));
    assert_eq!(options.monitor, Some(([127, 0, 0, 2], 8222).into()));
    assert_eq!(options.store_dir, Some(PathBuf::from("/s/jetstream")));
    assert_eq!((options.name.as_deref(), log_time, debug), (Some("x"), false, true));
    assert!(
        matches!(&options.access, Access::Rules { rules, reload: None } if rules.users.len() == 1)
    );

    let usual = launch("").options;
    assert_eq!(usual.tcp, Some(([127, 0, 0, 1], 4222).into()));
    assert!(matches!(usual.access, Access::Open) && usual.monitor.is_none());
    assert!(launch("--store_dir /s").options.store_dir.is_none(), "it needs -js too");
    assert_eq!(launch("-sd /s -js").options.store_dir, Some("/s/jetstream".into()));
    let token = launch("--auth t").options.access;
    assert!(matches!(&token, Access::Rules { rules, .. } if rules.users[0].name == "token"));
}

#[cfg(feature = "tls")]
#[test]
fn tls_by_flags() {
    let files = launch("--tls --tlscert c --tlskey k --tlsverify --tlscacert a").options.tls;
    let files = files.expect("TLS is on");
    assert_eq!((files.certificates, files.key), (PathBuf::from("c"), PathBuf::from("k")));
    assert_eq!(files.client_roots, Some(PathBuf::from("a")));
    assert!(launch("--tlscert c").options.tls.is_none(), "it needs --tls too");
    check("--tls", &expect!["TLS needs a certificate and a key"]);
    check("--tlsverify --tlscert c --tlskey k", &expect!["clients' certificates need a CA file"]);
}

#[test]
fn flags_come_on_top_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.conf");
    let conf = "listen: localhost:5000, http: 5001, max_payload: 1024, authorization { token: t }";
    std::fs::write(&path, conf).unwrap();
    let path = path.display();
    let options = launch(&format!("-c {path} -p 6000")).options;
    assert_eq!(options.tcp, Some(([127, 0, 0, 1], 6000).into()));
    assert_eq!(options.monitor, Some(([127, 0, 0, 1], 5001).into()));
    assert_eq!(options.limits.max_payload, 1024);
    assert!(matches!(options.access, Access::Rules { reload: Some(_), .. }));
    let Ok(Command::Print(text)) = read(words(&format!("-t -c {path}"))) else { panic!() };
    assert!(text.ends_with("is valid"), "{text}");
}

/// A server of a test: its way in, its orders and its end.
struct Running {
    clients: std::net::SocketAddr,
    orders: mpsc::Sender<Order>,
    log: PathBuf,
    ended: JoinHandle<()>,
}

async fn start(options: Options, log: PathBuf) -> Running {
    let server = Server::start(options, Log::file(&log, true, false).unwrap()).await.unwrap();
    let (orders, inbox) = mpsc::channel(4);
    let clients = server.clients().unwrap();
    let serving = server.serve(Signals::channel(inbox), CancellationToken::new());
    Running { clients, orders, log, ended: tokio::spawn(serving) }
}

impl Running {
    async fn order(&self, order: Order) {
        self.orders.send(order).await.unwrap();
    }

    /// Waits until the log has `text`.
    async fn logged(&self, text: &str) {
        let look = async {
            while !std::fs::read_to_string(&self.log).unwrap().contains(text) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, look).await.unwrap_or_else(|_| panic!("{text:?} is not in the log"));
    }
}

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// What the server answers to a CONNECT with `options` and a PING, before and after.
async fn greet(addr: std::net::SocketAddr, options: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("CONNECT {{\"verbose\":false{options}}}\r\nPING\r\n");
    let mut lines = BufReader::new(&mut stream);
    let (mut info, mut answer) = (String::new(), String::new());
    lines.read_line(&mut info).await.unwrap();
    assert!(info.starts_with("INFO {"), "{info}");
    lines.get_mut().write_all(request.as_bytes()).await.unwrap();
    timeout(DEADLINE, lines.read_line(&mut answer)).await.unwrap().unwrap();
    drop(lines);
    (stream, answer)
}

#[tokio::test]
async fn users_are_reloaded_and_the_server_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("server.conf");
    let with = |pass: &str| {
        let text = format!("authorization {{ users: [{{user: a, password: {pass}}}] }}");
        std::fs::write(&conf, text).unwrap();
    };
    with("first");
    let pid = dir.path().join("pid");
    let line = format!("-p -1 -c {} -P {}", conf.display(), pid.display());
    let server = start(launch(&line).options, dir.path().join("log")).await;
    assert_eq!(std::fs::read_to_string(&pid).unwrap(), std::process::id().to_string());
    server.logged(&format!("[INF] Listening for client connections on {}", server.clients)).await;
    server.logged("Server is ready").await;

    let first = ",\"user\":\"a\",\"pass\":\"first\"";
    let (_, answer) = greet(server.clients, "").await;
    assert_eq!(answer, "-ERR 'Authorization Violation'\r\n");
    let (mut old, answer) = greet(server.clients, first).await;
    assert_eq!(answer, "PONG\r\n");

    std::fs::write(&conf, "authorization {").unwrap();
    server.order(Order::Reload).await;
    server.logged("Failed to reload server configuration").await;
    assert_eq!(greet(server.clients, first).await.1, "PONG\r\n");

    with("second");
    server.order(Order::Reload).await;
    server.logged("Reloaded server configuration").await;
    let second = ",\"user\":\"a\",\"pass\":\"second\"";
    assert_eq!(greet(server.clients, second).await.1, "PONG\r\n");
    let mut last = String::new();
    timeout(DEADLINE, BufReader::new(&mut old).read_line(&mut last)).await.unwrap().unwrap();
    assert!(last.starts_with("-ERR '"), "the old user is closed: {last:?}");

    server.order(Order::Stop).await;
    timeout(DEADLINE, server.ended).await.unwrap().unwrap();
    assert!(!pid.exists());
}

#[tokio::test]
async fn a_lame_duck_ends_when_its_clients_went() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(launch("-p -1").options, dir.path().join("log")).await;
    let (client, _) = greet(server.clients, ",\"protocol\":1").await;
    server.order(Order::LameDuck).await;
    let mut told = String::new();
    let mut lines = BufReader::new(client);
    timeout(DEADLINE, lines.read_line(&mut told)).await.unwrap().unwrap();
    assert!(told.contains("\"ldm\":true"), "{told}");
    drop(lines);
    timeout(DEADLINE, server.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_keeps_a_server_from_starting_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let pid = dir.path().join("none/pid");
    for line in
        [format!("-p {port}"), format!("-p -1 -m {port}"), format!("-p -1 -P {}", pid.display())]
    {
        let started = Server::start(launch(&line).options, Log::nowhere()).await;
        let text = started.err().map(|err| err.to_string()).unwrap_or_default();
        assert!(text.starts_with("the broker does not") || text.starts_with("cannot "), "{text}");
    }
}

#[tokio::test]
async fn streams_are_served_where_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("-p -1 -js -sd {}", dir.path().display());
    let server = start(launch(&line).options, dir.path().join("log")).await;
    server.logged(&format!("Store Directory: \"{}/jetstream\"", dir.path().display())).await;
    let (mut client, _) = greet(server.clients, "").await;
    client.write_all(b"SUB r 1\r\nPUB $JS.API.INFO r 0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, BufReader::new(&mut client).read_line(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("MSG r 1 "), "{answer}");
    server.order(Order::Stop).await;
    timeout(DEADLINE, server.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_users_file_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    let with = |token: &str| {
        std::fs::write(&path, format!("[[user]]\nname = \"bot\"\ntoken = \"{token}\"\n")).unwrap();
    };
    with("first");
    let access = Access::File { path: path.clone(), unix: Default::default() };
    let tcp = Some(([127, 0, 0, 1], 0).into());
    let options = Options { tcp, access, ..Options::default() };
    let server = start(options, dir.path().join("log")).await;
    assert_eq!(greet(server.clients, ",\"auth_token\":\"first\"").await.1, "PONG\r\n");
    with("the second");
    server.order(Order::Reload).await;
    let clients = server.clients;
    let taken = async move {
        while greet(clients, ",\"auth_token\":\"the second\"").await.1 != "PONG\r\n" {}
    };
    timeout(DEADLINE, taken).await.unwrap();
    server.order(Order::Stop).await;
    timeout(DEADLINE, server.ended).await.unwrap().unwrap();
}

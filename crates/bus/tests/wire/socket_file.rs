//! The socket file: its rights, and whose it is.

use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, net::UnixListener, net::UnixStream},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket},
};

use morgana_bus::broker::{Broker, BrokerConfig, StartError, UnixListenAt};

fn config(path: &Path) -> BrokerConfig {
    let mut config = BrokerConfig::new("socket");
    config.unix = Some(UnixListenAt::new(path));
    config
}

fn greeting(path: &Path) -> String {
    let mut line = String::new();
    BufReader::new(UnixStream::connect(path).unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_second_broker_learns_who_holds_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let first = Broker::start(config(&path)).unwrap();
    match Broker::start(config(&path)) {
        Err(StartError::Held { pid, .. }) => assert_eq!(pid.cast_unsigned(), std::process::id()),
        other => panic!("{other:?}"),
    }
    assert!(greeting(&path).starts_with("INFO {"), "the first one still serves");
    super::block_on(first.stop());
    assert!(!path.exists(), "it takes its file along");
    Broker::start(config(&path)).unwrap();
}

#[test]
fn a_stale_file_is_replaced_and_has_its_rights() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    drop(UnixListener::bind(&path).unwrap());
    let broker = Broker::start(config(&path)).unwrap();
    assert!(greeting(&path).starts_with("INFO {"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let stats = super::wait_for(&broker, |stats| stats.total_connections == 1);
    assert!(stats.clients.iter().all(|client| client.addr.starts_with("unix:pid=")));
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Broker::start(config(&path)), Err(StartError::Unix { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_file_that_became_anothers_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let broker = Broker::start(config(&path)).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    super::block_on(broker.stop());
    assert!(path.exists());
}

#[test]
fn nobody_else_can_hold_up_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let anybody = std::fs::File::open(directory.path()).unwrap();
    flock(&anybody, FlockOperation::LockExclusive).unwrap();
    let broker = Broker::start(config(&path)).unwrap();
    assert!(greeting(&path).starts_with("INFO {"));
    super::block_on(broker.stop());
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn who_cannot_have_the_socket_is_told_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let lock = directory.path().join("bus.sock.lock");
    let starting = std::fs::File::create(&lock).unwrap();
    flock(&starting, FlockOperation::LockExclusive).unwrap();
    let refused = Broker::start(config(&path)).unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert!(source.contains("bus.sock.lock"), "{source}");
    std::fs::remove_file(&lock).unwrap();
    // somebody listens and accepts nobody
    let deaf = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&deaf, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&deaf, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert!(matches!(Broker::start(config(&path)), Err(StartError::Unix { .. })));
    assert!(path.exists());
}

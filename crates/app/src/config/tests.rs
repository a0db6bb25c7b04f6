//! What is accepted, what is refused, and how it is said.

use super::*;

fn load(
    file: Option<&str>,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("m.toml");
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
    let sources = Sources {
        file: file.map(|text| {
            std::fs::write(&path, text).expect("a file in it");
            path.clone()
        }),
        environment: pairs(environment),
        flags: pairs(flags),
    };
    let place = format!("{}", path.display());
    Config::load(false, &sources).map_err(|e| e.to_string().replace(&place, "FILE"))
}

#[test]
fn later_sources_win() {
    let file =
        "listen = '127.0.0.1:1'\nbus = 'off'\n[fleet]\ndriver = 'fake'\nport_offset = 3000\n";
    let config = load(Some(file), &[("MORGANA_LISTEN", "127.0.0.1:2")], &[("bus", "embedded")]);
    let config = config.expect("all of it is right");
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.bus.mode, BusMode::Embedded);
    assert_eq!(config.driver, DriverChoice::Fake);
    assert_eq!(config.port_offset, 3000);
}

#[test]
fn every_error_names_its_key() {
    let file = "lisen = 'x'\n[fleet]\ndriver = 'docker'\nloopback_prefix = '10.1'\n\
                [events]\nformat = 'xml'\n";
    let error = load(Some(file), &[("MORGANA_MUTATOR_POLL_SECONDS", "0")], &[("log.level", "[")])
        .expect_err("wrong");
    for part in [
        "configuration has 6 errors",
        "FILE: lisen: unknown key",
        "FILE: fleet.driver: `docker` is not loopback or netns or fake",
        "FILE: fleet.loopback_prefix: `10.1` is not a prefix",
        "FILE: events.format: `xml` is not structured or binary or older-envelope",
        "MORGANA_MUTATOR_POLL_SECONDS: `0` is not a whole number from 1 to 3600",
        "--set log.level: `[` is no log filter",
    ] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_one_error() {
    let error = load(Some("listen = "), &[], &[]).expect_err("wrong");
    assert!(error.starts_with("configuration: FILE: "), "{error}");
}

#[test]
fn every_default_is_accepted_as_a_value() {
    let defaults = Config::default_for(false, &[]);
    for key in KEYS {
        let mut config = defaults.clone();
        (key.set)(&mut config, &key.value(&defaults)).expect(key.name);
    }
}

#[test]
fn data_goes_where_the_user_keeps_data() {
    let home = [("HOME".to_owned(), "/home/a".to_owned())];
    assert_eq!(Config::default_for(true, &home).data_dir, Path::new("/var/lib/morgana"));
    assert_eq!(
        Config::default_for(false, &home).data_dir,
        Path::new("/home/a/.local/share/morgana")
    );
}

fn bus(file: &str) -> Result<BusConfig, String> {
    load(Some(file), &[], &[]).map(|config| config.bus)
}

#[test]
fn the_bus_is_a_word_a_section_or_a_variable() {
    for (file, environment, expected) in [
        ("", None, "embedded"),
        ("bus = 'off'", None, "off"),
        ("[bus]\nmode = 'off'", None, "off"),
        ("[bus]\nmode = 'off'", Some(("MORGANA_BUS", "embedded")), "embedded"),
        ("", Some(("MORGANA_BUS", "nats://10.0.0.1:4222")), "nats://10.0.0.1:4222"),
        ("", Some(("MORGANA_BUS_MODE", "nats://eve:pw@nats.lan")), "nats://***@nats.lan"),
    ] {
        let config = load(Some(file), environment.as_slice(), &[]).expect(file);
        assert_eq!(config.bus.mode.to_string(), expected, "{file} {environment:?}");
    }
}

#[test]
fn the_socket_of_the_bus_is_somewhere_or_nowhere() {
    for (file, expected) in [
        ("data_dir = '/d'", Some("/d/bus.sock")),
        ("data_dir = '/d'\n[bus]\nsocket = '/run/m.sock'", Some("/run/m.sock")),
        ("[bus]\nsocket = false", None),
        ("[bus]\nsocket = 'off'", None),
    ] {
        let config = load(Some(file), &[], &[]).expect(file);
        assert_eq!(config.bus_socket_path().as_deref(), expected.map(Path::new), "{file}");
    }
}

#[test]
fn a_bus_that_contradicts_itself_is_refused_by_its_key() {
    let long = format!("[bus]\nsocket = '/{}'", "x".repeat(200));
    for (file, key) in [
        (
            "[bus]\nlisten = '127.0.0.1:4222'",
            "bus.listen: the bus is reached by TCP only with users",
        ),
        (
            "[bus]\nlisten = '0.0.0.0:4222'\nusers_file = '/u'",
            "bus.listen: other machines reach the bus only with TLS",
        ),
        ("[bus]\nsocket_group = 'sensors'", "bus.socket_group: its members cannot enter the data"),
        ("[bus]\ntls_key = '/k'", "bus.tls_certificate: it and bus.tls_key go together"),
        ("[bus]\nlisten = 'x'", "FILE: bus.listen: `x` is not an address with a port"),
        (
            "[bus]\nmonitor = '1.2.3.4:8222'",
            "FILE: bus.monitor: `1.2.3.4:8222` is no loopback address",
        ),
        (
            "[bus]\nmode = 'nats://'",
            "FILE: bus.mode: `nats://` is not embedded, off or nats://host:port",
        ),
        ("bus = 'redis://u:secret@h'", "FILE: bus: `redis://***@h` is not embedded"),
        ("bus = 'u:secret@h:4222'", "FILE: bus: `***@h:4222` is not embedded"),
        ("[bus]\nsocket_group = 'a b'", "FILE: bus.socket_group: `a b` is not a name"),
        (
            "[bus]\npending_bytes = 65536",
            "bus.pending_bytes: less than bus.pending_bytes_per_client",
        ),
        (
            "[bus]\npayload_bytes = 1",
            "FILE: bus.payload_bytes: `1` is not a whole number from 1024",
        ),
        (&long, "bus.socket: `/xxx"),
    ] {
        let error = bus(file).expect_err(file);
        assert!(error.contains(key), "{file}: {error}");
    }
    assert!(bus("[bus]\nlisten = '127.0.0.1:4222'\nusers_file = '/u'").is_ok());
}

#[test]
fn deckies_share_the_address_of_an_interface_that_is_named() {
    let error = load(None, &[], &[("fleet.uplink_mac", "host")]).expect_err("there is none");
    assert!(error.contains("fleet.uplink_mac") && error.contains("set fleet.uplink"), "{error}");
    let error = load(None, &[], &[("fleet.uplink_mac", "foreign")]).expect_err("not a choice");
    assert!(error.contains("`foreign` is not own or host"), "{error}");
    let flags = [("fleet.uplink_mac", "host"), ("fleet.uplink", "eth1")];
    let config = load(None, &[], &flags).expect("both");
    assert_eq!(config.netns.uplink_mac, fleet::MacChoice::Host);
}

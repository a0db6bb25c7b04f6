//! Streams behind the broker, asked by lines on a socket.

use model::Ambient;
use morgana_bus::{
    broker::Broker,
    stream::{AccountLimits, Streams, StreamsConfig},
};

use super::{block_on, config, script::Talker};

/// Publishes with a reply subject and returns the answer's body.
fn ask(talker: &mut Talker, subject: &str, body: &str) -> String {
    talker.send(format!("PUB {subject} r {}\r\n{body}\r\n", body.len()).as_bytes());
    let head = talker.line().unwrap();
    assert!(head.starts_with("MSG r 1 "), "{head}");
    talker.line().unwrap()
}

#[test]
fn the_api_answers_by_its_domain_and_a_full_account_stores_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let account = AccountLimits { max_storage: Some(100), ..AccountLimits::default() };
    let limits = StreamsConfig { account, domain: Some("hub".into()), ..StreamsConfig::default() };
    let streams = Streams::open(dir.path(), limits, Ambient::system()).unwrap();
    let broker = Broker::start(config()).unwrap();
    streams.attach(&broker);
    block_on(streams.ready()).unwrap();

    let mut talker = Talker::new(&broker);
    talker.send(b"CONNECT {\"verbose\":false}\r\nSUB r 1\r\n");
    for api in ["$JS.API", "$JS.hub.API"] {
        let made = ask(&mut talker, &format!("{api}.STREAM.CREATE.S"), r#"{"name":"S"}"#);
        assert!(made.contains(r#""did_create":true"#), "{made}");
    }
    let full = "x".repeat(100);
    assert_eq!(ask(&mut talker, "S", &full), r#"{"stream":"S", "seq":1}"#);
    let refused = ask(&mut talker, "S", "y");
    assert!(refused.contains(r#""err_code":10002"#), "{refused}");
    let info = ask(&mut talker, "$JS.hub.API.INFO", "");
    assert!(info.contains(r#""domain":"hub""#), "{info}");
    block_on(streams.close());
}

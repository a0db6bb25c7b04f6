//! Requests and answers, the answers cut to what matters; nats-server 2.9.10 gave the same.

use std::sync::Arc;

use model::Ambient;

use super::answer;
use crate::stream::{AccountLimits, Registry, StreamsConfig, catalogue::Catalogue, engine::Engine};

fn ask(engine: &mut Engine, request: &str) -> String {
    let (call, body) = request.split_once(' ').unwrap_or((request, ""));
    let subject = format!("$JS.API.{call}");
    match answer(engine, subject.as_bytes(), body.as_bytes()) {
        Some(answer) if answer.headers.is_empty() => String::from_utf8(answer.body).expect("JSON"),
        Some(answer) => String::from_utf8(answer.headers).expect("ASCII"),
        None => "silence".to_owned(),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    check_with(StreamsConfig::default(), cases);
}

#[track_caller]
fn check_with(config: StreamsConfig, cases: &[(&str, &str)]) {
    let dir = tempfile::tempdir().expect("a directory");
    let registry = Registry::open(dir.path(), config.log.clone()).expect("the directory is ours");
    let catalogue = Catalogue::open(registry, config, Ambient::system()).expect("an empty one");
    let mut engine = Engine::new(catalogue, Arc::default());
    for (request, expected) in cases {
        let got = ask(&mut engine, request);
        assert!(got.contains(expected), "{request}\n got {got}\nlacks {expected}");
    }
}

#[test]
fn streams_are_made_changed_and_removed() {
    check(&[
        ("INFO", r#""type":"io.nats.jetstream.api.v1.account_info_response""#),
        ("STREAM.NAMES", r#""total":0,"offset":0,"limit":1024,"streams":null"#),
        (
            "STREAM.INFO.X",
            r#""error":{"code":404,"err_code":10059,"description":"stream not found"}"#,
        ),
        (
            r#"STREAM.CREATE.X {"name":"X","subjects":["x.>"],"max_age":null}"#,
            r#""config":{"name":"X","subjects":["x.>"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old","storage":"file","num_replicas":1,"duplicate_window":120000000000,"allow_direct":false,"mirror_direct":false,"sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false}"#,
        ),
        (r#"STREAM.CREATE.X {"name":"X","subjects":["x.>"]}"#, r#""did_create":true"#),
        (r#"STREAM.CREATE.X {"name":"X","subjects":["x.y"]}"#, r#""err_code":10058"#),
        (r#"STREAM.CREATE.Y {"name":"Y","subjects":["x.y"]}"#, r#""err_code":10065"#),
        (r#"STREAM.CREATE.Y {"name":"Z"}"#, r#""err_code":10056"#),
        ("STREAM.CREATE.Y nonsense", r#""err_code":10025"#),
        (r#"STREAM.CREATE.Y {"name":"Y","num_replicas":3}"#, r#""err_code":10074"#),
        (r#"STREAM.CREATE.Y {"name":"Y","subjects":["y","y"]}"#, "duplicate subjects detected"),
        (
            r#"STREAM.CREATE.Y {"name":"Y","mirror_direct":true}"#,
            "stream has no mirror but does have mirror direct",
        ),
        (r#"STREAM.NAMES {"subject":"x.1"}"#, r#""streams":["X"]"#),
        (
            r#"STREAM.UPDATE.X {"name":"X","subjects":["x.>"],"storage":"memory"}"#,
            r#""err_code":10052"#,
        ),
        (r#"STREAM.UPDATE.X {"name":"X","subjects":["z"],"max_msgs":9}"#, r#""max_msgs":9"#),
        ("STREAM.MSG.GET.X {\"seq\":1}", r#""err_code":10037"#),
        ("STREAM.MSG.GET.X {}", r#""err_code":10003"#),
        ("DIRECT.GET.X {\"seq\":1}", "silence"),
        ("STREAM.PURGE.X", r#""success":true,"purged":0"#),
        ("STREAM.PURGE.X null", r#""success":true,"purged":0"#),
        ("STREAM.INFO.X null", r#""config":{"name":"X""#),
        ("STREAM.DELETE.X", r#""success":true"#),
        ("STREAM.DELETE.X", r#""err_code":10059"#),
        ("BOGUS", "silence"),
    ]);
}

#[test]
fn what_all_streams_together_take_is_limited() {
    let account = AccountLimits {
        max_storage: Some(5000),
        max_streams: Some(2),
        max_consumers: Some(1),
        max_ack_pending: Some(100),
        storage_max_stream_bytes: Some(4096),
        max_bytes_required: true,
        ..AccountLimits::default()
    };
    let consumer = |name: &str| {
        let config = format!(r#"{{"durable_name":"{name}","ack_policy":"explicit"}}"#);
        format!(r#"CONSUMER.DURABLE.CREATE.A.{name} {{"stream_name":"A","config":{config}}}"#)
    };
    check_with(
        StreamsConfig { account, domain: Some("hub".into()), ..StreamsConfig::default() },
        &[
            (r#"STREAM.CREATE.A {"name":"A"}"#, r#""code":400,"err_code":10113"#),
            (r#"STREAM.CREATE.A {"name":"A","max_bytes":65536}"#, r#""code":400,"err_code":10122"#),
            (r#"STREAM.CREATE.A {"name":"A","max_bytes":4000}"#, r#""max_bytes":4000"#),
            (r#"STREAM.UPDATE.A {"name":"A","max_bytes":4096}"#, r#""max_bytes":4096"#),
            (r#"STREAM.CREATE.B {"name":"B","max_bytes":1000}"#, r#""code":500,"err_code":10047"#),
            (r#"STREAM.CREATE.B {"name":"B","max_bytes":900}"#, r#""did_create":true"#),
            (r#"STREAM.CREATE.C {"name":"C","max_bytes":1}"#, r#""err_code":10027"#),
            (&consumer("c"), r#""max_ack_pending":100"#),
            (&consumer("c"), r#""max_ack_pending":100"#),
            (&consumer("d"), r#""err_code":10026"#),
            ("INFO", r#""reserved_memory":0,"reserved_storage":4996"#),
            ("INFO", r#""limits":{"max_memory":-1,"max_storage":5000,"max_streams":2"#),
            ("INFO", r#""max_bytes_required":true},"domain":"hub","api""#),
        ],
    );
}

#[test]
fn a_sealed_stream_stays_as_it_is() {
    check(&[
        (
            r#"STREAM.CREATE.S {"name":"S","sealed":true}"#,
            "stream configuration for create can not be sealed",
        ),
        (r#"STREAM.CREATE.S {"name":"S","max_age":3600000000000}"#, r#""sealed":false"#),
        (
            r#"STREAM.UPDATE.S {"name":"S","max_age":3600000000000,"sealed":true}"#,
            r#""max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"new""#,
        ),
        ("STREAM.INFO.S", r#""sealed":true,"deny_delete":true,"deny_purge":true"#),
        ("STREAM.PURGE.S", r#""err_code":10109"#),
        (r#"STREAM.MSG.DELETE.S {"seq":1}"#, r#""err_code":10109"#),
        (r#"STREAM.UPDATE.S {"name":"S"}"#, r#""err_code":10052"#),
    ]);
}

#[test]
fn discarding_what_is_new_of_a_subject_needs_its_limit() {
    check(&[
        (
            r#"STREAM.CREATE.S {"name":"S","max_msgs_per_subject":1,"discard_new_per_subject":true}"#,
            "discard new per subject requires discard new policy to be set",
        ),
        (
            r#"STREAM.CREATE.S {"name":"S","discard":"new","discard_new_per_subject":true}"#,
            "discard new per subject requires max msgs per subject > 0",
        ),
        (
            r#"STREAM.CREATE.S {"name":"S","discard":"new","max_msgs_per_subject":1,"discard_new_per_subject":true}"#,
            r#""discard_new_per_subject":true"#,
        ),
    ]);
}

#[test]
fn consumers_are_made_in_three_shapes() {
    check(&[
        (r#"STREAM.CREATE.S {"name":"S","subjects":["s.>"],"allow_direct":true}"#, "did_create"),
        ("DIRECT.GET.S.s.1", "NATS/1.0 404 Message Not Found\r\n\r\n"),
        ("DIRECT.GET.S", "NATS/1.0 408 Empty Request\r\n\r\n"),
        (
            r#"CONSUMER.DURABLE.CREATE.S.d {"stream_name":"S","config":{"durable_name":"d","ack_policy":"explicit"}}"#,
            r#""deliver_policy":"all","ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"replay_policy":"instant","max_waiting":512,"max_ack_pending":1000,"num_replicas":0},"delivered":{"consumer_seq":0,"stream_seq":0},"ack_floor":{"consumer_seq":0,"stream_seq":0},"num_ack_pending":0,"num_redelivered":0,"num_waiting":0,"num_pending":0}"#,
        ),
        (
            r#"CONSUMER.DURABLE.CREATE.S.e {"stream_name":"S","config":{"durable_name":"d"}}"#,
            r#""err_code":10017"#,
        ),
        (r#"CONSUMER.DURABLE.CREATE.S.e {"stream_name":"S","config":{}}"#, r#""err_code":10018"#),
        (
            r#"CONSUMER.CREATE.S {"stream_name":"S","config":{"durable_name":"x"}}"#,
            r#""err_code":10020"#,
        ),
        (
            r#"CONSUMER.CREATE.S {"stream_name":"S","config":{"ack_policy":"explicit"}}"#,
            r#""inactive_threshold":5000000000"#,
        ),
        (
            r#"CONSUMER.CREATE.S.f.s.1 {"stream_name":"S","config":{"name":"f","filter_subject":"s.1"}}"#,
            r#""filter_subject":"s.1""#,
        ),
        (
            r#"CONSUMER.CREATE.S.g.s.1 {"stream_name":"S","config":{"filter_subject":"s.2"}}"#,
            r#""err_code":10131"#,
        ),
        (
            r#"CONSUMER.CREATE.S.g {"stream_name":"S","config":{"filter_subject":"zz"}}"#,
            r#""err_code":10093"#,
        ),
        (
            r#"CONSUMER.CREATE.S {"stream_name":"S","config":{"deliver_policy":"by_start_sequence"}}"#,
            "consumer delivery policy is deliver by start sequence, but optional start sequence is not set",
        ),
        (
            r#"CONSUMER.CREATE.S {"stream_name":"S","config":{"deliver_subject":"s.1"}}"#,
            r#""err_code":10081"#,
        ),
        (
            r#"CONSUMER.CREATE.S {"stream_name":"S","config":{"idle_heartbeat":1000000000}}"#,
            r#""err_code":10088"#,
        ),
        (
            r#"CONSUMER.DURABLE.CREATE.S.w {"stream_name":"S","config":{"durable_name":"w","ack_policy":"explicit","max_waiting":2000000000}}"#,
            r#""max_waiting":16384"#,
        ),
        ("CONSUMER.INFO.S.zz", r#""err_code":10014"#),
        (
            r#"CONSUMER.CREATE.S.f {"stream_name":"S","action":"create","config":{"name":"f"}}"#,
            r#""err_code":10148,"description":"consumer already exists""#,
        ),
        (
            r#"CONSUMER.CREATE.S.h {"stream_name":"S","action":"update","config":{"name":"h"}}"#,
            r#""err_code":10149,"description":"consumer does not exist""#,
        ),
        (
            r#"CONSUMER.CREATE.S.h {"stream_name":"S","action":"create","config":{"name":"h"}}"#,
            r#""name":"h""#,
        ),
        (
            r#"CONSUMER.CREATE.S.h {"stream_name":"S","action":"create","config":{"name":"h"}}"#,
            r#""name":"h""#,
        ),
        ("CONSUMER.DELETE.S.d", r#""success":true"#),
        ("CONSUMER.NAMES.T", r#""err_code":10059"#),
    ]);
}

#[test]
fn a_stream_has_a_limited_number_of_subjects() {
    let with = |subjects: usize| {
        let subjects: Vec<String> = (0..subjects).map(|n| format!("s.{n}")).collect();
        format!(r#"STREAM.CREATE.X {}"#, serde_json::json!({"name": "X", "subjects": subjects}))
    };
    check(&[
        (with(1025).as_str(), "a stream can have 1024 subjects"),
        (with(1024).as_str(), "did_create"),
    ]);
}

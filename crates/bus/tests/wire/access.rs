//! Who may come in, and what they may do.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use morgana_bus::{
    auth::{Account, AllowResponses, Auth, AuthRules, Login, Permissions, SubjectRules, UserRule},
    broker::{Broker, BrokerConfig},
};

use super::script::{Talker, check, play};

fn user(name: &str, permissions: Option<Permissions>) -> UserRule {
    let login = Login::Password(format!("{name}-pass"));
    UserRule { name: name.into(), login, permissions, account: Account::MAIN }
}

fn guest() -> Permissions {
    let publish = SubjectRules::all().allow(&["open.>"]).unwrap();
    let subscribe = SubjectRules::all().deny(&["open.secret", "closed.>"]).unwrap();
    Permissions::new(publish, subscribe, None).unwrap()
}

fn servant() -> Permissions {
    let all = SubjectRules::all;
    Permissions::new(all(), all(), Some(AllowResponses::default())).unwrap()
}

fn auth(names: &[&str]) -> Arc<Auth> {
    let known =
        [user("root", None), user("guest", Some(guest())), user("servant", Some(servant()))];
    let users = known.into_iter().filter(|user| names.contains(&user.name.as_str())).collect();
    Arc::new(Auth::new(AuthRules { users, ..AuthRules::default() }).unwrap())
}

fn config() -> BrokerConfig {
    BrokerConfig { auth: auth(&["root", "guest", "servant"]), ..super::config() }
}

#[test]
fn strangers_are_turned_away() {
    for sent in [
        "CONNECT {}",
        "CONNECT {\"user\":\"root\",\"pass\":\"wrong\"}",
        "CONNECT {\"user\":\"nobody\",\"pass\":\"root-pass\"}",
        "PING",
        "SUB > 1",
        "PUB a 1000",
    ] {
        let script = format!(
            "a> {sent}
             a< -ERR 'Authorization Violation'
             a closed"
        );
        check(config(), &script);
    }
}

#[test]
fn accounts_hear_nothing_of_each_other() {
    let guest =
        |name: &str, place| UserRule { account: Account::at(place).unwrap(), ..user(name, None) };
    let users = vec![guest("root", 0), guest("guest", 1), guest("servant", 1)];
    let rules = AuthRules { users, no_auth_user: Some("guest".into()), ..AuthRules::default() };
    let config = BrokerConfig { auth: Arc::new(Auth::new(rules).unwrap()), ..super::config() };
    check(
        config,
        r#"a> CONNECT {"verbose":false,"user":"root","pass":"root-pass"}
           a> SUB > 1
           a> PING
           a< PONG
           b> CONNECT {"verbose":false,"user":"servant","pass":"servant-pass"}
           b> SUB > 1
           b> PING
           b< PONG
           c> CONNECT {"verbose":false,"headers":true,"no_responders":true}
           c> SUB inbox 9
           c> PUB x inbox 2\r\nhi
           b< MSG x 1 inbox 2
           b< hi
           a> PUB y 2\r\nho
           a< MSG y 1 2
           a< ho
           b> UNSUB 1
           b> PING
           b< PONG
           c> PUB x inbox 0\r\n
           c< HMSG inbox 9 16 16
           c< NATS/1.0 503
           c<
           c<
           a> CONNECT {"verbose":false,"user":"guest","pass":"guest-pass"}
           a< -ERR 'Authorization Violation'
           a closed"#,
    );
}

#[test]
fn a_stranger_that_says_nothing_is_closed() {
    let mut config = config();
    config.limits.auth_timeout = Duration::from_millis(20);
    check(
        config,
        "a< -ERR 'Authentication Timeout'
         a closed",
    );
}

#[test]
fn users_do_what_they_may() {
    check(
        config(),
        "root> CONNECT {\"user\":\"root\",\"pass\":\"root-pass\",\"verbose\":false}
         root> SUB > 1
         root> PING
         root< PONG
         guest> CONNECT {\"user\":\"guest\",\"pass\":\"guest-pass\",\"verbose\":false}
         guest> PUB closed.door 1\\r\\nx
         guest< -ERR 'Permissions Violation for Publish to \"closed.door\"'
         guest> SUB closed.> 1
         guest< -ERR 'Permissions Violation for Subscription to \"closed.>\"'
         guest> SUB closed.> group 1
         guest< -ERR 'Permissions Violation for Subscription to \"closed.>\" using queue \"group\"'
         guest> SUB open.* 1
         guest> PUB open.door 1\\r\\ny
         guest< MSG open.door 1 1
         guest< y
         root< MSG open.door 1 1
         root< y
         root> PUB open.secret 1\\r\\ns
         root> PUB open.rest 1\\r\\nr
         guest< MSG open.rest 1 1
         guest< r",
    );
}

#[test]
fn who_may_only_answer_may_answer_once() {
    check(
        config(),
        "servant> CONNECT {\"user\":\"servant\",\"pass\":\"servant-pass\",\"verbose\":false}
         servant> SUB ask 1
         servant> PUB inbox 1\\r\\n0
         servant< -ERR 'Permissions Violation for Publish to \"inbox\"'
         root> CONNECT {\"user\":\"root\",\"pass\":\"root-pass\",\"verbose\":false}
         root> SUB inbox 1
         root> PUB ask inbox 1\\r\\nq
         servant< MSG ask 1 inbox 1
         servant< q
         servant> PUB inbox 1\\r\\n1
         root< MSG inbox 1 1
         root< 1
         servant> PUB inbox 1\\r\\n2
         servant< -ERR 'Permissions Violation for Publish to \"inbox\"'",
    );
}

#[test]
fn who_needs_no_credentials_may_sign_in_with_a_key_all_the_same() {
    let pair = nkeys::KeyPair::new_user();
    let key = pair.public_key();
    let keyed = UserRule {
        name: "keyed".into(),
        login: Login::Nkey(key.clone()),
        permissions: None,
        account: Account::MAIN,
    };
    let users = vec![user("guest", Some(guest())), keyed];
    let rules = AuthRules { users, no_auth_user: Some("guest".into()), ..AuthRules::default() };
    let auth = Arc::new(Auth::new(rules).unwrap());
    let broker = Broker::start(BrokerConfig { auth, ..super::config() }).unwrap();
    let talker = Talker::new(&broker);
    assert!(!talker.info.contains("auth_required"), "{}", talker.info);
    let (_, nonce) = talker.info.split_once("\"nonce\":\"").expect("a nonce to sign");
    let nonce = nonce.split('"').next().unwrap();
    let signature = pair.sign(nonce.as_bytes()).unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
    let options = format!("{{\"nkey\":\"{key}\",\"sig\":\"{signature}\",\"verbose\":false}}");
    let mut talkers = HashMap::from([("keyed".to_owned(), talker)]);
    play(
        &broker,
        &mut talkers,
        &format!(
            "keyed> CONNECT {options}
             keyed> SUB closed.> 1
             keyed> PUB closed.door 1\\r\\nx
             keyed< MSG closed.door 1 1
             keyed< x
             other> CONNECT {{\"verbose\":false}}
             other> SUB closed.> 1
             other< -ERR 'Permissions Violation for Subscription to \"closed.>\"'"
        ),
    );
}

#[test]
fn whoever_is_no_user_any_more_is_closed() {
    let broker = Broker::start(config()).unwrap();
    let mut talkers: HashMap<String, Talker> = HashMap::new();
    play(
        &broker,
        &mut talkers,
        "root> CONNECT {\"user\":\"root\",\"pass\":\"root-pass\",\"verbose\":false}
         root> PING
         root< PONG
         guest> CONNECT {\"user\":\"guest\",\"pass\":\"guest-pass\",\"verbose\":false}
         guest> PING
         guest< PONG",
    );
    broker.set_auth(auth(&["root"]));
    play(
        &broker,
        &mut talkers,
        "guest< -ERR 'Authorization Violation'
         guest closed
         root> PING
         root< PONG",
    );
}

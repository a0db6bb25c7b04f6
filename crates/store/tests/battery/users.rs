//! Users, sessions, tokens and the one-time set-up.

use std::time::Duration;

use model::Role;
use store::{
    NewApiToken, NewUser, NewWebSession, SetupError, SetupState, Store, TokenHash, UserError,
    UserRecord,
};

use crate::bench::Bench;

const MINUTE: Duration = Duration::from_secs(60);

fn user(name: &str, role: Role) -> NewUser {
    NewUser { name: name.into(), role, password_hash: "$argon2id$…".into() }
}

async fn create(store: &Store, name: &str, role: Role) -> UserRecord {
    store.create_user(user(name, role)).await.unwrap()
}

pub(crate) async fn setup_is_consumed_once(bench: Bench) {
    let store = bench.open();
    let secret = TokenHash([1; 32]);
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Fresh);
    let early = store.consume_setup(secret, user("root", Role::Admin)).await;
    assert!(matches!(early, Err(SetupError::Wrong)), "{early:?}");
    let expires_at = bench.ambient.now().plus(MINUTE);
    store.put_setup_secret(TokenHash([9; 32]), expires_at).await.unwrap();
    store.put_setup_secret(secret, expires_at).await.unwrap();
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Offered { expires_at });
    let replaced = store.consume_setup(TokenHash([9; 32]), user("root", Role::Admin)).await;
    assert!(matches!(replaced, Err(SetupError::Wrong)), "{replaced:?}");

    let mut attempts = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        attempts.spawn(async move {
            store.consume_setup(secret, user(&format!("admin{n}"), Role::Admin)).await
        });
    }
    let outcomes = attempts.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let closed = |outcome: &Result<_, _>| matches!(outcome, Err(SetupError::Closed));
    assert_eq!(outcomes.iter().filter(|outcome| closed(outcome)).count(), 7);
    assert_eq!(store.users().await.unwrap().len(), 1);
    assert_eq!(store.setup_state().await.unwrap(), SetupState::Closed);
    let again = store.put_setup_secret(secret, expires_at).await;
    assert!(matches!(again, Err(SetupError::Closed)), "{again:?}");
}

pub(crate) async fn setup_secret_expires(bench: Bench) {
    let store = bench.open();
    let secret = TokenHash([1; 32]);
    store.put_setup_secret(secret, bench.ambient.now().plus(MINUTE)).await.unwrap();
    bench.ambient.advance(MINUTE);
    let late = store.consume_setup(secret, user("root", Role::Admin)).await;
    assert!(matches!(late, Err(SetupError::Expired)), "{late:?}");
    store.put_setup_secret(secret, bench.ambient.now().plus(MINUTE)).await.unwrap();
    store.consume_setup(secret, user("root", Role::Admin)).await.unwrap();
}

pub(crate) async fn last_administrator_stays(bench: Bench) {
    let store = bench.open();
    let admin = create(&store, "ada", Role::Admin).await;
    let other = create(&store, "bob", Role::Viewer).await;
    let taken = store.create_user(user("bob", Role::Admin)).await;
    assert!(matches!(taken, Err(UserError::NameTaken { .. })), "{taken:?}");
    for refused in [
        store.set_user_disabled(admin.id, true).await,
        store.set_user_role(admin.id, Role::Operator).await,
        store.delete_user(admin.id).await,
    ] {
        assert!(matches!(refused, Err(UserError::LastAdmin)), "{refused:?}");
    }
    store.set_user_role(other.id, Role::Admin).await.unwrap();
    store.set_user_password(admin.id, "new").await.unwrap();
    let kept = store.user_by_name("ada").await.unwrap().unwrap();
    assert_eq!((kept.id, kept.password_hash.as_str()), (admin.id, "new"));
    store.delete_user(admin.id).await.unwrap();
    assert!(store.user(admin.id).await.unwrap().is_none());
    let gone = store.set_user_password(admin.id, "x").await;
    assert!(matches!(gone, Err(UserError::Unknown { .. })), "{gone:?}");
}

fn session(bench: &Bench, hash: u8, user: &UserRecord) -> NewWebSession {
    let now = bench.ambient.now();
    NewWebSession {
        hash: TokenHash([hash; 32]),
        user_id: user.id,
        idle_until: now.plus(MINUTE),
        absolute_until: now.plus(3 * MINUTE),
    }
}

pub(crate) async fn disabling_ends_browser_sessions(bench: Bench) {
    let store = bench.open();
    let ada = create(&store, "ada", Role::Operator).await;
    store.put_web_session(session(&bench, 1, &ada)).await.unwrap();
    store.put_web_session(session(&bench, 2, &ada)).await.unwrap();
    let there = async |hash| store.web_session(TokenHash([hash; 32])).await.unwrap();
    assert_eq!(there(1).await.unwrap().user, ada);
    assert!(store.delete_web_session(TokenHash([1; 32])).await.unwrap());
    assert!(there(1).await.is_none() && there(2).await.is_some());
    store.set_user_disabled(ada.id, true).await.unwrap();
    assert!(there(2).await.is_none());
    assert!(store.put_web_session(session(&bench, 3, &ada)).await.is_err());
    store.set_user_disabled(ada.id, false).await.unwrap();
    assert!(there(2).await.is_none(), "ended for good");
    store.put_web_session(session(&bench, 3, &ada)).await.unwrap();
    assert_eq!(store.delete_web_sessions_of(ada.id).await.unwrap(), 1);
}

pub(crate) async fn browser_sessions_end_in_time(bench: Bench) {
    let store = bench.open();
    let ada = create(&store, "ada", Role::Viewer).await;
    let new = session(&bench, 1, &ada);
    store.put_web_session(new.clone()).await.unwrap();
    for _ in 0..4 {
        bench.ambient.advance(MINUTE * 2 / 3);
        let idle_until = bench.ambient.now().plus(MINUTE);
        assert!(store.touch_web_session(new.hash, idle_until).await.unwrap());
    }
    let kept = store.web_session(new.hash).await.unwrap().unwrap();
    assert_eq!(kept.idle_until, new.absolute_until, "never beyond the absolute end");
    bench.ambient.advance(MINUTE / 3);
    assert!(store.web_session(new.hash).await.unwrap().is_none());
    let late = store.touch_web_session(new.hash, bench.ambient.now().plus(MINUTE)).await;
    assert!(!late.unwrap());
}

pub(crate) async fn api_tokens_are_kept_and_revoked(bench: Bench) {
    let store = bench.open();
    let ada = create(&store, "ada", Role::Operator).await;
    let new = |hash, name: &str, expires_at| NewApiToken {
        hash: TokenHash([hash; 32]),
        name: name.into(),
        user_id: ada.id,
        role: Role::Viewer,
        expires_at,
    };
    let ci = store.put_api_token(new(1, "ci", None)).await.unwrap();
    let until = bench.ambient.now().plus(MINUTE);
    store.put_api_token(new(2, "brief", Some(until))).await.unwrap();
    let taken = store.put_api_token(new(3, "ci", None)).await;
    assert!(matches!(taken, Err(UserError::NameTaken { .. })), "{taken:?}");
    let holds = async |hash| store.api_token(TokenHash([hash; 32])).await.unwrap();
    assert_eq!(holds(1).await, Some((ci.clone(), ada.clone())));
    assert!(holds(2).await.is_some());
    bench.ambient.advance(MINUTE);
    assert!(holds(2).await.is_none());
    assert_eq!(store.api_tokens(Some(ada.id)).await.unwrap().len(), 2);
    store.set_user_disabled(ada.id, true).await.unwrap();
    assert!(holds(1).await.is_none());
    store.set_user_disabled(ada.id, false).await.unwrap();
    assert!(store.revoke_api_token(ci.id).await.unwrap());
    assert!(!store.revoke_api_token(ci.id).await.unwrap());
    assert!(holds(1).await.is_none());
}

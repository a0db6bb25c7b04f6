//! Personas: what visitors see must not change with a refactoring.

use std::{collections::BTreeSet, time::Duration};

use expect_test::expect;
use model::{Ambient, Archetype, DeckyId, InstallationSecret, Name, Persona, Timestamp, TypedId};
use morgana_model as model;

fn secret() -> InstallationSecret {
    InstallationSecret::new([42; 32])
}

fn born() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

fn persona(n: u8) -> Persona {
    let name: Name = "web-01".parse().unwrap();
    Persona::derive(&secret(), DeckyId::from_parts(born(), [n; 10]), &name, Archetype::WebServer)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(p: &Persona) -> String {
    let accounts: Vec<String> =
        p.accounts.iter().map(|a| format!("{}:{}:{}", a.user, a.password, a.uid)).collect();
    format!(
        "{}.{} {:?} {} booted {} installed {} cpus {} memory {} {} {} {} seed {} draw {}",
        p.host_name,
        p.domain,
        p.os,
        p.archetype,
        p.booted_at,
        p.installed_at,
        p.cpus,
        p.memory_mib,
        p.kernel_release,
        p.kernel_version,
        accounts.join(" "),
        hex(&p.seed("ssh.ed25519")),
        p.draw("anything", 1000),
    )
}

#[test]
fn a_persona_never_changes() {
    expect!["web-01.prod.internal Debian12 web-server booted 2023-07-09T10:12:34.179655Z installed 2022-07-01T10:12:34.179655Z cpus 1 memory 7941 6.1.0-25-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26) root:123456:0 carlos:admin:1000 gitlab-runner:qwerty:1001 seed 94894d39c3ddcdb77193b701a7994a7ba1fc0007d9c33a2c65dcfe9fa24eac25 draw 546"].assert_eq(&shown(&persona(1)));
    expect!["web-01.intra.lan Debian12 web-server booted 2023-09-06T09:24:43.213284Z installed 2023-07-30T09:24:43.213284Z cpus 1 memory 1977 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01) root:changeme:0 paul:changeme:1000 ansible:letmein:1001 seed 327efa9205b2912d03039da4b336ff141426310b46fe31ca84cd5188769db713 draw 97"].assert_eq(&shown(&persona(2)));
    assert_eq!(persona(1), persona(1));
}

#[test]
fn keyed_hashes_never_change_and_parts_do_not_run_together() {
    let mac = |parts: &[&[u8]]| hex(&secret().mac(parts));
    expect!["c8b00e46712760c2734f4f5ec5933c5e0d87fe6c9dc57f6db3f9cb6e43d098d4"].assert_eq(&mac(&[
        b"credential",
        b"root",
        b"toor",
    ]));
    assert_ne!(mac(&[b"ab", b"c"]), mac(&[b"a", b"bc"]));
    assert_ne!(mac(&[b"ab"]), mac(&[b"ab", b""]));
    assert_ne!(mac(&[]), hex(&InstallationSecret::new([43; 32]).mac(&[])));
    assert!(!format!("{:?}", secret()).contains("42"), "a secret is not printed");
}

#[test]
fn every_installation_has_its_own() {
    let name: Name = "web-01".parse().unwrap();
    let id = DeckyId::from_parts(born(), [1; 10]);
    let other = InstallationSecret::new([43; 32]);
    let there = Persona::derive(&other, id, &name, Archetype::WebServer);
    assert_ne!(there.seed("ssh.ed25519"), persona(1).seed("ssh.ed25519"));
}

#[test]
fn ten_thousand_deckies_are_all_different() {
    let ambient = Ambient::seeded(3, born());
    let name: Name = "web-01".parse().unwrap();
    let (mut keys, mut boots, mut looks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..10_000 {
        let p = Persona::derive(&secret(), ambient.id(), &name, Archetype::LinuxServer);
        keys.insert(p.seed("ssh.ed25519"));
        keys.insert(p.seed("ssh.rsa"));
        boots.insert(p.booted_at);
        looks.insert((p.domain.clone(), p.cpus, p.memory_mib, p.kernel_release));
        assert!(p.installed_at < p.booted_at && p.booted_at < born());
        assert_eq!(p.accounts.iter().map(|a| a.uid).collect::<Vec<_>>(), [0, 1000, 1001]);
        assert!(p.booted_at >= born().minus(Duration::from_secs(183 * 86_400)));
    }
    assert_eq!(keys.len(), 20_000);
    assert_eq!(boots.len(), 10_000);
    assert!(looks.len() > 200, "only {} looks", looks.len());
}

#[test]
fn uptime_goes_on_with_the_clock() {
    let p = persona(1);
    let first = p.uptime(born());
    assert!(first >= Duration::from_secs(2 * 86_400));
    let hour = Duration::from_secs(3600);
    assert_eq!(p.uptime(born().plus(hour)), first + hour);
    assert_eq!(p.uptime(p.booted_at.minus(hour)), Duration::ZERO, "never before it booted");
}

#[test]
fn the_same_words_always_give_the_same_answer() {
    let p = persona(1);
    for account in &p.accounts {
        assert_eq!(p.login(&account.user, &account.password), Some(account));
        assert_eq!(p.login(&account.user, "not this one"), None);
    }
    assert_eq!(p.login("", ""), None);
    assert_eq!(p.login("Root", &p.accounts[0].password), None);
}

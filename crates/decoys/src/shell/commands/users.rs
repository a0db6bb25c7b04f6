//! Commands about accounts: who is here, and who may become whom.

use std::time::Duration;

use model::SessionFact;

use super::{
    super::{Frame, Question, Shell, accounts::GROUPS, calendar::Date, fs, limits, run::Io},
    Options, Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "id" => id,
        "whoami" | "logname" => whoami,
        "groups" => groups,
        "w" => w,
        "who" | "users" => who,
        "last" => last,
        "lastlog" => lastlog,
        "tty" => tty,
        "su" => su,
        "sudo" => sudo,
        "passwd" | "chpasswd" => passwd,
        "useradd" | "adduser" | "usermod" | "userdel" | "deluser" | "groupadd" => useradd,
        "crontab" => crontab,
        "getent" => getent,
        _ => return None,
    })
}

impl Shell {
    fn group_ids(&self, user: &str, gid: u32) -> Vec<u32> {
        let person = user == self.machine.person();
        let more = GROUPS.iter().filter(|(name, _)| {
            person
                && [
                    "cdrom", "floppy", "sudo", "audio", "dip", "video", "plugdev", "users",
                    "netdev",
                ]
                .contains(name)
        });
        std::iter::once(gid).chain(more.map(|(_, gid)| *gid)).collect()
    }

    /// The answer to a password question of `su` or `sudo`.
    pub(in crate::shell) fn answer(&mut self, question: Question, line: &str, io: Io) {
        self.say(io, "\n");
        let sudo = question.then[0] == "sudo";
        let accepted = line == question.expected;
        let principal = if sudo { self.frame.user.clone() } else { question.then[1].clone() };
        self.record(SessionFact::Login {
            principal,
            secret: model::escape_text(line.as_bytes()),
            method: question.then[0].clone(),
            accepted,
        });
        if !accepted {
            if !sudo {
                self.warn(io, "su: Authentication failure");
                self.status = 1;
            } else if question.tries_left <= 1 {
                self.warn(io, "sudo: 3 incorrect password attempts");
                self.status = 1;
            } else {
                self.warn(io, "Sorry, try again.");
                let tries_left = question.tries_left - 1;
                self.question = Some(Question { tries_left, ..question });
            }
            return;
        }
        self.status = if sudo {
            as_root(self, &question.then[1..], io)
        } else {
            become_user(self, &question.then[1].clone(), true)
        };
    }
}

fn id(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let name = options.operands.first().cloned().unwrap_or_else(|| shell.frame.user.clone());
    let Some(uid) = shell.machine.uid(&name) else {
        shell.warn(io, format!("id: ‘{name}’: no such user"));
        return 1;
    };
    let groups = shell.group_ids(&name, uid);
    let text = if options.has('u') {
        if options.has('n') { name } else { uid.to_string() }
    } else if options.has('g') {
        if options.has('n') { shell.machine.group_name(uid) } else { uid.to_string() }
    } else if options.has('G') {
        groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
    } else {
        let named: Vec<String> =
            groups.iter().map(|gid| format!("{gid}({})", shell.machine.group_name(*gid))).collect();
        format!(
            "uid={uid}({name}) gid={uid}({}) groups={}",
            shell.machine.group_name(uid),
            named.join(",")
        )
    };
    shell.say(io, format!("{text}\n"));
    0
}

fn whoami(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    shell.say(io, format!("{}\n", shell.frame.user));
    0
}

fn groups(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let ids = shell.group_ids(&shell.frame.user, shell.frame.who.gid);
    let names: Vec<String> = ids.iter().map(|gid| shell.machine.group_name(*gid)).collect();
    shell.say(io, format!("{}\n", names.join(" ")));
    0
}

fn w(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let line = shell.uptime_line();
    shell.say(
        io,
        format!(" {line}\nUSER     TTY      FROM             LOGIN@   IDLE   JCPU   PCPU WHAT\n"),
    );
    if shell.tty {
        let at = Date::of(shell.machine.login_at).format("%H:%M");
        let user: String = shell.machine.login_user.chars().take(8).collect();
        shell.say(
            io,
            format!(
                "{user:<8} pts/0    {:<16} {at}    0.00s  0.01s  0.00s w\n",
                shell.machine.peer.to_string()
            ),
        );
    }
    0
}

fn who(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if !shell.tty {
        return 0;
    }
    let user = shell.machine.login_user.clone();
    if args[0].ends_with("users") {
        shell.say(io, format!("{user}\n"));
        return 0;
    }
    let at = Date::of(shell.machine.login_at).format("%F %H:%M");
    shell.say(io, format!("{user:<8} pts/0        {at} ({})\n", shell.machine.peer));
    0
}

fn last(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let machine = shell.machine.clone();
    let row = |user: &str, tty: &str, from: &str, at, end: &str| {
        format!("{user:<8} {tty:<12} {from:<16} {} {end}\n", Date::of(at).format("%a %b %e %H:%M"))
    };
    let mut text = String::new();
    if shell.tty {
        text.push_str(&row(
            &machine.login_user,
            "pts/0",
            &machine.peer.to_string(),
            machine.login_at,
            "  still logged in",
        ));
    }
    let (before, from) = shell.last_login();
    let minutes = 4 + machine.draw("last.minutes") % 55;
    let end = before.plus(Duration::from_secs(minutes * 60));
    text.push_str(&row(
        &machine.login_user,
        "pts/0",
        &from,
        before,
        &format!("- {}  (00:{minutes:02})", Date::of(end).format("%H:%M")),
    ));
    let release: String = machine.persona.kernel_release.chars().take(16).collect();
    text.push_str(&row(
        "reboot",
        "system boot",
        &release,
        machine.persona.booted_at,
        "  still running",
    ));
    text.push_str(&format!(
        "\nwtmp begins {}\n",
        Date::of(machine.persona.installed_at).format("%a %b %e %H:%M:%S %Y")
    ));
    shell.say(io, text);
    0
}

fn lastlog(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let mut text =
        "Username         Port     From                                       Latest\n".to_owned();
    let login = shell.machine.login_user.clone();
    for account in &shell.machine.persona.accounts {
        if account.user == login {
            let at = Date::of(shell.machine.login_at).format("%a %b %e %H:%M:%S +0000 %Y");
            text.push_str(&format!(
                "{login:<16} pts/0    {:<40} {at}\n",
                shell.machine.peer.to_string()
            ));
        } else {
            text.push_str(&format!("{:<16} {:<49} **Never logged in**\n", account.user, ""));
        }
    }
    shell.say(io, text);
    0
}

fn tty(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    shell.say(io, if shell.tty { "/dev/pts/0\n" } else { "not a tty\n" });
    u8::from(!shell.tty)
}

/// Puts another user's shell on top.
fn become_user(shell: &mut Shell, user: &str, login: bool) -> u8 {
    let Some(uid) = shell.machine.account(user).map(|account| account.uid) else { return 1 };
    if shell.outer.len() >= limits::MAX_SHELLS || !shell.tty {
        return 1;
    }
    let mut frame = Frame::login(&shell.machine, user, uid);
    if !login {
        frame.cwd.clone_from(&shell.frame.cwd);
    }
    frame.login = login;
    shell.outer.push(std::mem::replace(&mut shell.frame, frame));
    0
}

fn su(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "cs");
    let login = args.iter().any(|arg| matches!(arg.as_str(), "-" | "-l" | "--login"));
    let user = options.operands.iter().find(|name| *name != "-").cloned();
    let user = user.unwrap_or_else(|| "root".into());
    let Some(account) = shell.machine.account(&user).cloned() else {
        shell.warn(
            io,
            format!(
                "su: user {user} does not exist or the user \
             entry does not contain all the required fields"
            ),
        );
        return 1;
    };
    if shell.frame.who.uid == 0 {
        if let Some(command) = options.value('c') {
            let frame = Frame::login(&shell.machine, &user, account.uid);
            let outer = std::mem::replace(&mut shell.frame, frame);
            let status = shell.run_script(command, vec!["bash".into()], false, io);
            shell.frame = outer;
            return status;
        }
        return become_user(shell, &user, login);
    }
    if !shell.tty {
        shell.warn(io, "Password: su: Authentication failure");
        return 1;
    }
    shell.question = Some(Question {
        prompt: "Password: ".into(),
        expected: account.password,
        tries_left: 1,
        then: vec!["su".into(), user],
    });
    0
}

fn sudo(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if args.len() < 2 {
        shell.warn(
            io,
            "usage: sudo -h | -K | -k | -V\n\
             usage: sudo -v [-ABkNnS] [-g group] [-h host] [-p prompt] [-u user]\n\
             usage: sudo -l [-ABkNnS] [-g group] [-h host] [-p prompt] [-U user] [-u user] \
             [command [arg ...]]",
        );
        return 1;
    }
    let rest = args[1..].to_vec();
    if shell.frame.who.uid == 0 {
        return as_root(shell, &rest, io);
    }
    if !shell.tty || rest.iter().any(|arg| arg == "-n") {
        if rest.iter().any(|arg| arg == "-n") {
            shell.warn(io, "sudo: a password is required");
        } else {
            shell.warn(
                io,
                "sudo: a terminal is required to read the password; either use the -S option to \
                 read from \
             standard input or configure an askpass helper\n\
             sudo: a password is required",
            );
        }
        return 1;
    }
    let user = shell.frame.user.clone();
    let expected = shell.machine.account(&user).map(|account| account.password.clone());
    let mut then = vec!["sudo".to_owned()];
    then.extend(rest);
    shell.question = Some(Question {
        prompt: format!("[sudo] password for {user}: "),
        expected: expected.unwrap_or_default(),
        tries_left: 3,
        then,
    });
    0
}

/// What `sudo` does once it knows who asks.
fn as_root(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let user = shell.frame.user.clone();
    let host = shell.machine.persona.host_name.clone();
    if shell.frame.who.uid != 0 && user != shell.machine.person() {
        shell.warn(io, format!("{user} is not in the sudoers file."));
        return 1;
    }
    match args.first().map(String::as_str) {
        Some("-l") => {
            shell.say(
                io,
                format!(
                    "Matching Defaults entries for {user} on {host}:\n    \
             env_reset, mail_badpass,\n    \
             secure_path=/usr/local/sbin\\:/usr/local/bin\\:/usr/sbin\\:/usr/bin\\:/sbin\\:/bin, \
             use_pty\n\n\
             User {user} may run the following commands on {host}:\n    \
             (ALL : ALL) ALL\n"
                ),
            );
            0
        }
        Some("-i" | "-s") if args.len() == 1 => become_user(shell, "root", args[0] == "-i"),
        Some("su" | "bash" | "sh") if args.len() == 1 || args[1] == "-" => {
            become_user(shell, "root", args.len() > 1)
        }
        Some("-V") => {
            shell.say(io, "Sudo version 1.9.13p3\n");
            0
        }
        _ => {
            let command: Vec<String> = args
                .iter()
                .skip_while(|arg| arg.starts_with('-') || arg.contains('='))
                .cloned()
                .collect();
            let Some(name) = command.first().cloned() else { return 0 };
            let frame = Frame {
                cwd: shell.frame.cwd.clone(),
                login: false,
                ..Frame::login(&shell.machine, "root", 0)
            };
            let outer = std::mem::replace(&mut shell.frame, frame);
            let status = if name.contains('/') || shell.which(&name).is_some() {
                shell.call(command, io)
            } else {
                shell.warn(io, format!("sudo: {name}: command not found"));
                1
            };
            shell.frame = outer;
            status
        }
    }
}

fn passwd(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let input = String::from_utf8_lossy(&shell.read_all(io)).into_owned();
    if args[0].ends_with("chpasswd") {
        if shell.frame.who.uid != 0 {
            shell.warn(io, "chpasswd: cannot lock /etc/passwd; try again later.");
            return 1;
        }
        for (user, secret) in input.lines().take(8).filter_map(|line| line.split_once(':')) {
            record_change(shell, user, secret);
        }
        return 0;
    }
    let own = shell.frame.user.clone();
    let user = args[1..].iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or(own);
    if shell.machine.uid(&user).is_none() {
        shell.warn(io, format!("passwd: user '{user}' does not exist"));
        return 1;
    }
    if shell.frame.who.uid != 0 && user != shell.frame.user {
        shell.warn(
            io,
            format!("passwd: You may not view or modify password information for {user}."),
        );
        return 1;
    }
    let lines: Vec<&str> = input.lines().collect();
    match lines.as_slice() {
        [first, second, ..] if shell.frame.who.uid == 0 && first == second => {
            record_change(shell, &user, first);
            shell.warn(
                io,
                "New password: Retype new password: passwd: password updated successfully",
            );
            0
        }
        _ => {
            shell.warn(
                io,
                "New password: \n\
             Password change has been aborted.\nNew password: \n\
             Password change has been aborted.\nNew password: \n\
             Password change has been aborted.\n\
             passwd: Authentication token manipulation error\n\
             passwd: password unchanged",
            );
            10
        }
    }
}

fn record_change(shell: &mut Shell, user: &str, secret: &str) {
    shell.record(SessionFact::Login {
        principal: model::escape_text(user.as_bytes()),
        secret: model::escape_text(secret.as_bytes()),
        method: "passwd".into(),
        accepted: false,
    });
}

fn useradd(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let program = fs::base_name(&args[0]).to_owned();
    let name = args.last().cloned().unwrap_or_default();
    if shell.frame.who.uid != 0 {
        let text = if program.ends_with("user") {
            format!("{program}: Only root may add a user or group to the system.")
        } else {
            format!(
                "{program}: Permission denied.\n\
             {program}: cannot lock /etc/passwd; try again later."
            )
        };
        shell.warn(io, text);
        return 1;
    }
    if program != "useradd" {
        return 0;
    }
    let (who, now) = (shell.frame.who, shell.now);
    if shell.machine.uid(&name).is_some() {
        shell.warn(io, format!("useradd: user '{name}' already exists"));
        return 9;
    }
    let clean: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let line = format!("{clean}:x:1002:1002::/home/{clean}:/bin/sh\n");
    let _ = shell.fs.write(who, "/", "/etc/passwd", line.as_bytes(), true, now);
    if args.iter().any(|arg| arg == "-m") {
        let _ = shell.fs.mkdir(who, "/", &format!("/home/{clean}"), now);
    }
    0
}

fn crontab(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let user = shell.frame.user.clone();
    let path = format!("/var/spool/cron/crontabs/{user}");
    let root = super::super::Who { uid: 0, gid: 0 };
    let now = shell.now;
    match args.get(1).map(String::as_str) {
        Some("-l") => match shell.fs.read(root, "/", &path, now, 0) {
            Ok(bytes) => {
                shell.say(io, bytes);
                0
            }
            Err(_) => {
                shell.warn(io, format!("no crontab for {user}"));
                1
            }
        },
        Some("-r") => match shell.fs.unlink(root, "/", &path) {
            Ok(()) => 0,
            Err(_) => {
                shell.warn(io, format!("no crontab for {user}"));
                1
            }
        },
        Some("-e") => {
            shell.warn(
                io,
                format!("no crontab for {user} - using an empty one\nNo modification made"),
            );
            0
        }
        file => {
            let names: Vec<String> =
                file.filter(|file| *file != "-").map(str::to_owned).into_iter().collect();
            let (inputs, well) = shell.inputs(args, &names, io);
            for (_, bytes) in inputs {
                if let Ok(Some(path)) = shell.fs.write(root, "/", &path, &bytes, false, now) {
                    shell.wrote(path);
                }
            }
            u8::from(!well)
        }
    }
}

fn getent(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let file = match args.get(1).map(String::as_str) {
        Some(name @ ("passwd" | "group" | "hosts")) => format!("/etc/{name}"),
        _ => return 1,
    };
    let bytes = shell.fs.read(shell.frame.who, "/", &file, shell.now, 0).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines = text
        .lines()
        .filter(|line| args.get(2).is_none_or(|key| line.split(':').next() == Some(key)));
    let lines: Vec<&str> = lines.collect();
    shell.say(io, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    if lines.is_empty() { 2 } else { 0 }
}

//! Bash's builtins.

use super::{
    super::{
        Shell,
        fs::{self, EXECUTE},
        limits,
        run::{Control, Io},
        text,
    },
    Run, launch,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "exit" | "logout" => exit,
        "cd" => cd,
        "pwd" => pwd,
        "echo" => echo,
        "printf" => printf,
        "true" | ":" => |_, _, _| 0,
        "false" => |_, _, _| 1,
        "test" | "[" | "[[" => super::conditions::test,
        "export" | "declare" | "typeset" | "local" | "readonly" => export,
        "unset" => unset,
        "set" => set,
        "read" => read,
        "break" | "continue" => jump,
        "return" => return_,
        "shift" => shift,
        "eval" => eval,
        "exec" => exec,
        "source" | "." => source,
        "type" | "command" => type_,
        "history" => history,
        "let" => let_,
        "ulimit" => |shell, args, io| {
            let text =
                if args.get(1).is_some_and(|a| a == "-n") { "1024\n" } else { "unlimited\n" };
            shell.say(io, text);
            0
        },
        "umask" => |shell, args, io| {
            if args.len() < 2 {
                shell.say(io, "0022\n");
            }
            0
        },
        "kill" => kill,
        "wait" | "trap" | "shopt" | "alias" | "unalias" | "hash" | "jobs" | "disown" | "bg"
        | "enable" | "complete" => super::unremarkable,
        _ => return None,
    })
}

/// Programs that do what the builtin of their name does.
pub(super) fn program(name: &str) -> Option<Run> {
    Some(match name {
        "echo" | "printf" | "pwd" | "true" | "false" | "test" | "[" | "kill" => return find(name),
        "bash" | "sh" | "dash" | "rbash" => launch::shell,
        "env" | "printenv" => launch::env,
        "which" => which,
        "nohup" | "nice" | "setsid" | "timeout" | "stdbuf" | "time" | "ionice" => launch::wrapped,
        "xargs" => launch::xargs,
        "sleep" => launch::sleep,
        _ => return None,
    })
}

fn exit(shell: &mut Shell, args: &[String], _: Io) -> u8 {
    let status = args.get(1).and_then(|text| text.parse::<i64>().ok());
    let status = status.map_or(shell.status, |status| status as u8);
    shell.control = Control::Exit(status);
    status
}

fn cd(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let old = shell.variable("OLDPWD");
    let target = match args.get(1).map(String::as_str) {
        None | Some("~" | "--") => shell.variable("HOME").unwrap_or_else(|| "/".into()),
        Some("-") => match old {
            Some(old) => {
                shell.say(io, format!("{old}\n"));
                old
            }
            None => {
                shell.grumble(io, "cd: OLDPWD not set");
                return 1;
            }
        },
        Some(_) if args.len() > 2 => {
            shell.grumble(io, "cd: too many arguments");
            return 1;
        }
        Some(target) => target.to_owned(),
    };
    let found = shell.fs.find(shell.frame.who, &shell.frame.cwd, &target);
    let error = match found {
        Ok((_, node)) if !node.is_dir() => fs::FsError::NotDir,
        Ok((path, _)) if !shell.fs.may(shell.frame.who, &path, EXECUTE) => fs::FsError::Denied,
        Ok((path, _)) => {
            let old = std::mem::replace(&mut shell.frame.cwd, path.clone());
            shell.set("OLDPWD", old);
            shell.set("PWD", path);
            return 0;
        }
        Err(error) => error,
    };
    shell.grumble(io, format!("cd: {target}: {}", error.message()));
    1
}

fn pwd(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    shell.say(io, format!("{}\n", shell.frame.cwd));
    0
}

fn echo(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let (mut line_end, mut escapes) = (true, false);
    let mut words = &args[1..];
    while let Some((first, rest)) = words.split_first() {
        let letters = first.strip_prefix('-').unwrap_or_default();
        if letters.is_empty() || letters.contains(|c| !"neE".contains(c)) {
            break;
        }
        line_end &= !letters.contains('n');
        escapes = letters.contains('e') || escapes && !letters.contains('E');
        words = rest;
    }
    let text = words.join(" ");
    let (mut bytes, stopped) =
        if escapes { text::unescape(&text, true) } else { (text.into_bytes(), false) };
    if line_end && !stopped {
        bytes.push(b'\n');
    }
    shell.say(io, bytes);
    0
}

fn printf(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(format) = args.get(1) else {
        shell.grumble(io, "printf: usage: printf [-v var] format [arguments]");
        return 2;
    };
    let mut rest = args[2..].iter();
    loop {
        let before = rest.len();
        let bytes = printf_once(format, &mut rest);
        shell.say(io, bytes);
        if rest.len() == 0 || rest.len() == before || !shell.step() {
            return 0;
        }
    }
}

fn printf_once(format: &str, args: &mut std::slice::Iter<'_, String>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.extend(text::unescape(&rest[..at], false).0);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !"-+ #0123456789.".contains(c)).unwrap_or(rest.len());
        let (flags, after) = rest.split_at(end);
        let conversion = after.chars().next().unwrap_or('%');
        rest = &after[conversion.len_utf8().min(after.len())..];
        let mut next = || args.next().map_or("", String::as_str);
        let value = match conversion {
            '%' => "%".into(),
            's' => next().to_owned(),
            'b' => {
                out.extend(text::unescape(next(), true).0);
                continue;
            }
            'd' | 'i' | 'u' => next().trim().parse::<i64>().unwrap_or(0).to_string(),
            'x' => format!("{:x}", next().trim().parse::<i64>().unwrap_or(0)),
            'X' => format!("{:X}", next().trim().parse::<i64>().unwrap_or(0)),
            'o' => format!("{:o}", next().trim().parse::<i64>().unwrap_or(0)),
            'c' => next().chars().take(1).collect(),
            other => format!("%{other}"),
        };
        let (left, zero) = (flags.contains('-'), flags.starts_with('0'));
        let width = flags.trim_start_matches(['-', '+', '#', ' ']).split('.').next();
        let width = width.and_then(|w| w.parse::<usize>().ok()).unwrap_or(0).min(1024);
        let padded = match (left, zero) {
            (true, _) => format!("{value:<width$}"),
            (false, true) if conversion != 's' => format!("{value:0>width$}"),
            (false, _) => format!("{value:>width$}"),
        };
        out.extend(padded.into_bytes());
    }
    out.extend(text::unescape(rest, false).0);
    out
}

fn export(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let exported = matches!(args[0].as_str(), "export") || args.iter().any(|arg| arg == "-x");
    let words: Vec<&String> = args[1..].iter().filter(|arg| !arg.starts_with('-')).collect();
    if words.is_empty() {
        let list: Vec<String> = (shell.frame.variables.iter())
            .filter(|(_, variable)| variable.exported)
            .map(|(name, variable)| format!("declare -x {name}=\"{}\"\n", variable.value))
            .collect();
        shell.say(io, list.concat());
        return 0;
    }
    let mut status = 0;
    for word in words {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), shell.variable(word)),
        };
        let valid = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty();
        if !valid {
            shell.grumble(io, format!("{}: `{word}': not a valid identifier", args[0]));
            status = 1;
        } else if exported {
            shell.export(name, &value.unwrap_or_default());
        } else if let Some(value) = value {
            shell.set(name, value);
        }
    }
    status
}

fn unset(shell: &mut Shell, args: &[String], _: Io) -> u8 {
    for name in &args[1..] {
        shell.frame.variables.remove(name);
        shell.functions.remove(name);
    }
    0
}

fn set(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if args.len() > 1 {
        return 0;
    }
    let list: Vec<String> = (shell.frame.variables.iter())
        .map(|(name, variable)| format!("{name}={}\n", variable.value))
        .collect();
    shell.say(io, list.concat());
    0
}

fn read(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let names: Vec<String> =
        args[1..].iter().filter(|arg| !arg.starts_with('-')).cloned().collect();
    let Some(line) = shell.read_line(io) else { return 1 };
    let line = String::from_utf8_lossy(&line).into_owned();
    let mut rest = line.trim();
    let last = names.len().saturating_sub(1);
    for (index, name) in names.iter().enumerate() {
        let end =
            if index == last { rest.len() } else { rest.find([' ', '\t']).unwrap_or(rest.len()) };
        shell.set(name, rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    if names.is_empty() {
        shell.set("REPLY", line);
    }
    0
}

fn jump(shell: &mut Shell, args: &[String], _: Io) -> u8 {
    let levels = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
    shell.control =
        if args[0] == "break" { Control::Break(levels) } else { Control::Continue(levels) };
    0
}

fn return_(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if shell.depth < 2 && shell.args.is_empty() {
        shell.grumble(io, "return: can only `return' from a function or sourced script");
        return 2;
    }
    shell.control = Control::Return;
    args.get(1).and_then(|n| n.parse::<i64>().ok()).map_or(shell.status, |n| n as u8)
}

fn shift(shell: &mut Shell, args: &[String], _: Io) -> u8 {
    let by = args.get(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(1);
    if shell.args.len() <= by {
        return 1;
    }
    shell.args.drain(1..=by);
    0
}

fn eval(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let text = args[1..].join(" ");
    shell.status = 0;
    shell.run_text(&text, io);
    shell.status
}

fn exec(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if args.len() < 2 {
        return 0;
    }
    let status = shell.call(args[1..].to_vec(), io);
    if shell.outer.len() < limits::MAX_SHELLS && status != 127 {
        shell.control = Control::Exit(status);
    }
    status
}

fn source(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(name) = args.get(1) else {
        shell.grumble(io, format!("{}: filename argument required", args[0]));
        return 2;
    };
    match shell.fs.read(shell.frame.who, &shell.frame.cwd, name, shell.now, 0) {
        Ok(bytes) => {
            shell.status = 0;
            shell.run_text(&String::from_utf8_lossy(&bytes), io);
            if shell.control == Control::Return {
                shell.control = Control::None;
            }
            shell.status
        }
        Err(error) => {
            let name = name.clone();
            shell.grumble(io, format!("{name}: {}", error.message()));
            1
        }
    }
}

fn type_(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let command = args[0] == "command";
    let short = command && args.get(1).is_some_and(|flag| flag == "-v");
    if command && !short && args.get(1).is_none_or(|flag| flag != "-V") {
        return if args.len() > 1 { shell.call(args[1..].to_vec(), io) } else { 0 };
    }
    let mut status = 0;
    for name in args[1..].iter().filter(|arg| !arg.starts_with('-')) {
        let text = if find(name).is_some() {
            if short { format!("{name}\n") } else { format!("{name} is a shell builtin\n") }
        } else if let Some(path) = shell.which(name) {
            if short { format!("{path}\n") } else { format!("{name} is {path}\n") }
        } else {
            status = 1;
            if !short {
                shell.grumble(io, format!("{}: {name}: not found", args[0]));
            }
            continue;
        };
        shell.say(io, text);
    }
    status
}

fn which(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let mut status = 0;
    for name in &args[1..] {
        match shell.which(name) {
            Some(path) => shell.say(io, format!("{path}\n")),
            None => status = 1,
        }
    }
    status
}

fn history(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if args.get(1).is_some_and(|arg| arg.starts_with("-c")) {
        shell.history.clear();
        let file = shell.variable("HISTFILE").unwrap_or_default();
        let _ = shell.fs.unlink(shell.frame.who, "/", &file);
        return 0;
    }
    let file = shell.variable("HISTFILE").unwrap_or_default();
    let old = shell.fs.read(shell.frame.who, "/", &file, shell.now, 0).unwrap_or_default();
    let old = String::from_utf8_lossy(&old).into_owned();
    let lines: Vec<String> = (old.lines().chain(shell.history.iter().map(String::as_str)))
        .enumerate()
        .map(|(index, line)| format!("{:>5}  {line}\n", index + 1))
        .collect();
    shell.say(io, lines.concat());
    0
}

fn let_(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let mut value = 0;
    for text in &args[1..] {
        value = shell.arithmetic(text, io);
    }
    u8::from(value == 0)
}

fn kill(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let targets: Vec<&String> = args[1..].iter().filter(|arg| !arg.starts_with('-')).collect();
    if args.iter().any(|arg| arg == "-l") {
        shell.say(io, " 1) SIGHUP\t 2) SIGINT\t 3) SIGQUIT\t 9) SIGKILL\t15) SIGTERM\n");
        return 0;
    }
    if targets.is_empty() {
        shell.grumble(
            io,
            "kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec \
            ... or kill -l [sigspec]",
        );
        return 2;
    }
    let mine = shell.machine.shell_pid();
    let user = shell.frame.user.clone();
    let running = shell.machine.processes(shell.tty, mine, &user);
    let mut status = 0;
    for target in targets.into_iter().cloned().collect::<Vec<_>>() {
        let Ok(pid) = target.parse::<u32>() else {
            shell.grumble(io, format!("kill: {target}: arguments must be process or job IDs"));
            status = 1;
            continue;
        };
        if pid == mine && args.iter().any(|arg| matches!(arg.as_str(), "-9" | "-KILL" | "-SIGKILL"))
        {
            shell.control = Control::Exit(137);
        } else if let Some(process) = running.iter().find(|process| process.pid == pid) {
            if shell.frame.who.uid != 0 && process.user != user {
                shell.grumble(io, format!("kill: ({pid}) - Operation not permitted"));
                status = 1;
            }
        } else {
            shell.grumble(io, format!("kill: ({pid}) - No such process"));
            status = 1;
        }
    }
    status
}

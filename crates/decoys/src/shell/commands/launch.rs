//! Programs that start others: shells, `env`, `xargs` and wrappers such as `nohup`.

use super::super::{Frame, Shell, fs, limits, run::Io};

/// `sh -c`, `sh file`, `… | sh`, or a shell within the shell.
pub(super) fn shell(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let dash = matches!(fs::base_name(&args[0]), "sh" | "dash");
    if args.iter().any(|arg| arg == "--version") && !dash {
        shell.say(
            io,
            "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)\n\
            Copyright (C) 2022 Free Software Foundation, Inc.\n\
            License GPLv3+: GNU GPL version 3 or later <http://gnu.org/licenses/gpl.html>\n\n\
            This is free software; you are free to change and redistribute it.\n\
            There is NO WARRANTY, to the extent permitted by law.\n",
        );
        return 0;
    }
    let mut rest = args[1..].iter();
    while let Some(arg) = rest.next() {
        if arg.starts_with('-') && arg.ends_with('c') && !arg.starts_with("--") {
            let Some(text) = rest.next() else {
                let name = args[0].clone();
                shell.warn(io, format!("{name}: -c: option requires an argument"));
                return 2;
            };
            let mut inner = vec![args[0].clone()];
            inner.extend(rest.skip(1).cloned());
            let text = text.clone();
            return shell.run_script(&text, inner, dash, io);
        }
        if !arg.starts_with('-') {
            let inner: Vec<String> = std::iter::once(arg).chain(rest).cloned().collect();
            let read = shell.fs.read(shell.frame.who, &shell.frame.cwd, arg, shell.now, 0);
            return match read {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    shell.run_script(&text, inner, dash, io)
                }
                Err(error) => {
                    let (name, file) = (args[0].clone(), arg.clone());
                    let why = error.message();
                    let text = if dash {
                        format!("{name}: 0: cannot open {file}: No such file")
                    } else {
                        format!("{name}: {file}: {why}")
                    };
                    shell.warn(io, text);
                    if dash { 2 } else { 127 }
                }
            };
        }
    }
    let input = shell.read_all(io);
    if !input.is_empty() {
        let text = String::from_utf8_lossy(&input).into_owned();
        return shell.run_script(&text, vec![args[0].clone()], dash, io);
    }
    if shell.tty && io.stdin == 0 && shell.outer.len() < limits::MAX_SHELLS {
        let frame = Frame { login: false, ..shell.frame.clone() };
        shell.outer.push(std::mem::replace(&mut shell.frame, frame));
    }
    0
}

pub(super) fn env(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let rest: Vec<String> = args[1..]
        .iter()
        .skip_while(|arg| arg.starts_with('-') || arg.contains('='))
        .cloned()
        .collect();
    if let Some(name) = rest.first() {
        if fs::base_name(&args[0]) == "printenv" {
            return match shell.variable(name) {
                Some(value) => {
                    shell.say(io, format!("{value}\n"));
                    0
                }
                None => 1,
            };
        }
        return shell.call(rest, io);
    }
    let list: Vec<String> = (shell.frame.variables.iter())
        .filter(|(_, variable)| variable.exported)
        .map(|(name, variable)| format!("{name}={}\n", variable.value))
        .collect();
    shell.say(io, list.concat());
    shell.say(io, format!("_=/usr/bin/{}\n", fs::base_name(&args[0])));
    0
}

/// `nohup cmd`, `timeout 5 cmd`: the command itself.
pub(super) fn wrapped(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let inner: Vec<String> = args[1..]
        .iter()
        .skip_while(|arg| arg.starts_with('-') || arg.starts_with(|c: char| c.is_ascii_digit()))
        .cloned()
        .collect();
    if inner.is_empty() {
        let name = fs::base_name(&args[0]).to_owned();
        shell.warn(io, format!("{name}: missing operand"));
        shell.warn(io, format!("Try '{name} --help' for more information."));
        return 125;
    }
    if args[0].ends_with("nohup") && shell.tty {
        shell.warn(io, "nohup: ignoring input and appending output to 'nohup.out'");
        return shell.call(inner, Io { out: io.err, ..io });
    }
    shell.call(inner, io)
}

pub(super) fn xargs(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = super::Options::parse(args, "nILPd");
    let input = String::from_utf8_lossy(&shell.read_all(io)).into_owned();
    let words: Vec<String> =
        input.split_whitespace().take(limits::MAX_WORDS).map(str::to_owned).collect();
    let command = if options.operands.is_empty() {
        vec!["echo".to_owned()]
    } else {
        options.operands.clone()
    };
    if let Some(mark) = options.value('I') {
        for word in &words {
            if !shell.step() {
                break;
            }
            let args = command.iter().map(|arg| arg.replace(mark, word)).collect();
            shell.call(args, io);
        }
        return 0;
    }
    let most = options.value('n').and_then(|n| n.parse().ok()).unwrap_or(usize::MAX).max(1);
    for chunk in words.chunks(most.min(limits::MAX_WORDS)) {
        if !shell.step() {
            break;
        }
        let args = command.iter().chain(chunk).cloned().collect();
        shell.call(args, io);
    }
    0
}

/// Returns at once: a visitor must not be able to hold a session by naming a number.
pub(super) fn sleep(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    match args.get(1) {
        None => {
            shell.warn(io, "sleep: missing operand\nTry 'sleep --help' for more information.");
            1
        }
        Some(text) if text.trim_end_matches(['s', 'm', 'h', 'd']).parse::<f64>().is_err() => {
            shell.warn(
                io,
                format!(
                    "sleep: invalid time interval ‘{text}’\n\
                Try 'sleep --help' for more information."
                ),
            );
            1
        }
        Some(_) => 0,
    }
}

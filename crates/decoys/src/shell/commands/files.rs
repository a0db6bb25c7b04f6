//! Commands that change the file system.

use super::{
    super::{
        Shell,
        fs::{self, FsError, Kind},
        run::Io,
    },
    Options, Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "mkdir" => mkdir,
        "rmdir" => rmdir,
        "rm" | "unlink" => rm,
        "cp" => cp,
        "mv" => mv,
        "touch" => touch,
        "chmod" => chmod,
        "chown" | "chgrp" => chown,
        "chattr" | "lsattr" => chattr,
        "ln" => ln,
        "dd" => super::dd::dd,
        "tee" => tee,
        "mktemp" => mktemp,
        "truncate" | "sync" | "mknod" | "mkfifo" => super::unremarkable,
        _ => return None,
    })
}

impl Shell {
    /// Says why a command could not do something with a path; gives status 1.
    pub(super) fn failed(&mut self, io: Io, what: &str, error: FsError) -> u8 {
        self.warn(io, format!("{what}: {}", error.message()));
        1
    }

    fn missing(&mut self, args: &[String], what: &str, io: Io) -> u8 {
        let name = fs::base_name(&args[0]).to_owned();
        self.warn(io, format!("{name}: missing {what}"));
        self.warn(io, format!("Try '{name} --help' for more information."));
        1
    }

    fn is_dir(&self, path: &str) -> bool {
        let found = self.fs.find(self.frame.who, &self.frame.cwd, path);
        found.is_ok_and(|(_, node)| node.is_dir())
    }
}

fn mkdir(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "m");
    if let Some(flag) = options.unknown("pvm") {
        return shell.usage(args, flag, io);
    }
    if options.operands.is_empty() {
        return shell.missing(args, "operand", io);
    }
    let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
    let mut status = 0;
    for path in &options.operands {
        if options.has('p') {
            let slashes = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
            for at in slashes.take(64) {
                let _ = shell.fs.mkdir(who, &cwd, &path[..at], now);
            }
        }
        match shell.fs.mkdir(who, &cwd, path, now) {
            Ok(_) => {}
            Err(FsError::Exists) if options.has('p') && shell.is_dir(path) => {}
            Err(error) => {
                status =
                    shell.failed(io, &format!("mkdir: cannot create directory ‘{path}’"), error);
            }
        }
    }
    status
}

fn rmdir(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    if options.operands.is_empty() {
        return shell.missing(args, "operand", io);
    }
    let cwd = shell.frame.cwd.clone();
    let mut status = 0;
    for path in &options.operands {
        if let Err(error) = shell.fs.rmdir(shell.frame.who, &cwd, path) {
            status = shell.failed(io, &format!("rmdir: failed to remove '{path}'"), error);
        }
    }
    status
}

fn rm(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    if let Some(flag) = options.unknown("rRfivdI") {
        return shell.usage(args, flag, io);
    }
    let force = options.has('f');
    let deep = options.has('r') || options.has('R') || options.long("recursive");
    if options.operands.is_empty() {
        return if force { 0 } else { shell.missing(args, "operand", io) };
    }
    let (who, cwd) = (shell.frame.who, shell.frame.cwd.clone());
    let mut status = 0;
    for name in &options.operands {
        if matches!(fs::base_name(name), "." | "..") && deep {
            shell.warn(
                io,
                format!("rm: refusing to remove '.' or '..' directory: skipping '{name}'"),
            );
            status = 1;
            continue;
        }
        let found = shell.fs.find_link(who, &cwd, name).map(|(path, node)| (path, node.is_dir()));
        let what = format!("rm: cannot remove '{name}'");
        match found {
            Err(FsError::NotFound) if force => {}
            Err(error) => status = shell.failed(io, &what, error),
            Ok((path, true)) if path == "/" => {
                shell.warn(io, "rm: it is dangerous to operate recursively on '/'");
                shell.warn(io, "rm: use --no-preserve-root to override this failsafe");
                status = 1;
            }
            Ok((_, true)) if !deep => status = shell.failed(io, &what, FsError::IsDir),
            Ok((path, _)) => {
                for (below, node) in shell.fs.below(&path).into_iter().rev() {
                    let gone = if node.is_dir() {
                        shell.fs.rmdir(who, "/", &below)
                    } else {
                        shell.fs.unlink(who, "/", &below)
                    };
                    if let Err(error) = gone {
                        let shown = format!("{name}{}", &below[path.len()..]);
                        let what = format!("rm: cannot remove '{shown}'");
                        status = shell.failed(io, &what, error);
                    }
                    if !shell.step() {
                        return 1;
                    }
                }
            }
        }
    }
    status
}

/// Splits operands into sources and a target; gives none, with the message said, where there are
/// too few.
fn sources<'a>(
    shell: &mut Shell,
    args: &[String],
    options: &'a Options,
    io: Io,
) -> Option<(&'a [String], &'a str)> {
    let name = fs::base_name(&args[0]).to_owned();
    match options.operands.as_slice() {
        [] => shell.missing(args, "file operand", io),
        [only] => shell.missing(args, &format!("destination file operand after '{only}'"), io),
        [sources @ .., target] => {
            if sources.len() > 1 && !shell.is_dir(target) {
                shell.warn(io, format!("{name}: target '{target}': No such file or directory"));
                return None;
            }
            return Some((sources, target));
        }
    };
    None
}

fn cp(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let Some((sources, target)) = sources(shell, args, &options, io) else { return 1 };
    let deep = options.has('r') || options.has('R') || options.has('a');
    let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
    let into = shell.is_dir(target);
    let mut status = 0;
    for name in sources {
        let goal = if into { fs::join(target, fs::base_name(name)) } else { target.to_owned() };
        let found = shell.fs.find(who, &cwd, name).map(|(path, node)| (path, node.is_dir()));
        let goal_path = shell.fs.resolve(who, &cwd, &goal, true);
        let (from, to) = match (found, goal_path) {
            (Err(error), _) => {
                status = shell.failed(io, &format!("cp: cannot stat '{name}'"), error);
                continue;
            }
            (Ok((_, true)), _) if !deep => {
                shell.warn(io, format!("cp: -r not specified; omitting directory '{name}'"));
                status = 1;
                continue;
            }
            (_, Err(error)) => {
                status =
                    shell.failed(io, &format!("cp: cannot create regular file '{goal}'"), error);
                continue;
            }
            (Ok((from, _)), Ok(to)) => (from, to),
        };
        if from == to {
            shell.warn(io, format!("cp: '{name}' and '{goal}' are the same file"));
            status = 1;
            continue;
        }
        for (path, node) in shell.fs.below(&from) {
            let to = format!("{to}{}", &path[from.len()..]);
            let copied = match &node.kind {
                Kind::Dir => shell.fs.mkdir(who, "/", &to, now).map(|_| None),
                Kind::Link(link) => shell.fs.link(who, "/", &to, link, now).map(|()| None),
                Kind::File(_) | Kind::Device(..) => shell.fs.copy(who, &path, &to, now),
            };
            if let Err(error) = copied {
                let verb = if error == FsError::Denied && !shell.fs.may(who, &path, fs::READ) {
                    format!("cp: cannot open '{name}' for reading")
                } else {
                    format!("cp: cannot create regular file '{goal}'")
                };
                status = shell.failed(io, &verb, error);
            }
            if !shell.step() {
                return 1;
            }
        }
    }
    status
}

fn mv(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let Some((sources, target)) = sources(shell, args, &options, io) else { return 1 };
    let (who, cwd) = (shell.frame.who, shell.frame.cwd.clone());
    let into = shell.is_dir(target);
    let mut status = 0;
    for name in sources {
        let goal = if into { fs::join(target, fs::base_name(name)) } else { target.to_owned() };
        if let Err(error) = shell.fs.find_link(who, &cwd, name) {
            status = shell.failed(io, &format!("mv: cannot stat '{name}'"), error);
        } else if let Err(error) = shell.fs.rename(who, &cwd, name, &goal) {
            status = shell.failed(io, &format!("mv: cannot move '{name}' to '{goal}'"), error);
        }
    }
    status
}

fn touch(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "rtd");
    if options.operands.is_empty() {
        return shell.missing(args, "file operand", io);
    }
    let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
    let at = options.value('r').and_then(|like| {
        let (path, node) = shell.fs.find(who, &cwd, like).ok()?;
        Some(shell.fs.modified(&path, node, now))
    });
    let mut status = 0;
    for name in &options.operands {
        let path = shell.fs.find(who, &cwd, name).map(|(path, _)| path);
        let done = match path {
            Ok(path) => shell.fs.set_time(who, &path, at.unwrap_or(now)),
            Err(FsError::NotFound) if options.has('c') => Ok(()),
            Err(_) => shell.fs.write(who, &cwd, name, b"", true, now).map(|_| ()),
        };
        if let Err(error) = done {
            status = shell.failed(io, &format!("touch: cannot touch '{name}'"), error);
        }
    }
    status
}

fn chmod(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let flags =
        |arg: &&String| arg.starts_with('-') && arg[1..].chars().all(|c| "Rvfc".contains(c));
    let deep = args[1..].iter().filter(flags).any(|arg| arg.contains('R'));
    let operands: Vec<&String> = args[1..].iter().filter(|arg| !flags(arg)).collect();
    let (spec, names) = match operands.as_slice() {
        [] => return shell.missing(args, "operand", io),
        [only] => {
            let what = format!("operand after ‘{only}’");
            return shell.missing(args, &what, io);
        }
        [spec, names @ ..] => (*spec, names),
    };
    if new_mode(spec, 0, false).is_none() {
        shell.warn(
            io,
            format!("chmod: invalid mode: ‘{spec}’\nTry 'chmod --help' for more information."),
        );
        return 1;
    }
    let (who, cwd) = (shell.frame.who, shell.frame.cwd.clone());
    let mut status = 0;
    for name in names {
        let path = match shell.fs.find(who, &cwd, name) {
            Ok((path, _)) => path,
            Err(error) => {
                status = shell.failed(io, &format!("chmod: cannot access '{name}'"), error);
                continue;
            }
        };
        let below = if deep { shell.fs.below(&path) } else { Vec::new() };
        let paths = if deep { below.into_iter().map(|(p, _)| p).collect() } else { vec![path] };
        for path in paths {
            let Some(node) = shell.fs.node(&path) else { continue };
            let mode = new_mode(spec, node.mode, node.is_dir()).unwrap_or(node.mode);
            if let Err(error) = shell.fs.chmod(who, &path, mode) {
                status =
                    shell.failed(io, &format!("chmod: changing permissions of '{name}'"), error);
            }
        }
    }
    status
}

/// The mode that `755`, `+x`, `u+rwx,go-w` make of another.
pub(crate) fn new_mode(spec: &str, old: u32, dir: bool) -> Option<u32> {
    if spec.starts_with(|c: char| c.is_ascii_digit()) {
        return u32::from_str_radix(spec, 8).ok().filter(|mode| *mode <= 0o7777);
    }
    let mut mode = old;
    for clause in spec.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let who = &clause[..at];
        let mut mask = 0;
        for c in who.chars() {
            mask |= match c {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        if who.is_empty() {
            mask = 0o7755;
        }
        let mut bits = 0;
        for c in clause[at + 1..].chars() {
            bits |= match c {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if dir || old & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                _ => return None,
            };
        }
        match clause.as_bytes()[at] {
            b'+' => mode |= bits & mask,
            b'-' => mode &= !(bits & mask),
            _ => mode = mode & !(mask & 0o777) | bits & mask,
        }
    }
    Some(mode)
}

fn chown(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let program = fs::base_name(&args[0]).to_owned();
    let options = Options::parse(args, "");
    let [spec, names @ ..] = options.operands.as_slice() else {
        return shell.missing(args, "operand", io);
    };
    let (user, group) = if program == "chgrp" {
        ("", spec.as_str())
    } else {
        spec.split_once([':', '.']).unwrap_or((spec, ""))
    };
    let uid = shell.machine.uid(user).or_else(|| user.parse().ok());
    let gid = shell.machine.gid(group).or_else(|| group.parse().ok());
    if !user.is_empty() && uid.is_none() || !group.is_empty() && gid.is_none() {
        let kind = if uid.is_none() && !user.is_empty() { "user" } else { "group" };
        shell.warn(io, format!("{program}: invalid {kind}: ‘{spec}’"));
        return 1;
    }
    let (who, cwd) = (shell.frame.who, shell.frame.cwd.clone());
    let mut status = 0;
    for name in names {
        let path = shell.fs.find(who, &cwd, name).map(|(path, _)| path);
        let (what, done) = match path {
            Err(error) => (format!("{program}: cannot access '{name}'"), Err(error)),
            Ok(path) => (
                format!("{program}: changing ownership of '{name}'"),
                shell.fs.chown(who, &path, uid, gid),
            ),
        };
        if let Err(error) = done {
            status = shell.failed(io, &what, error);
        }
    }
    status
}

fn chattr(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let program = fs::base_name(&args[0]).to_owned();
    let names = args[1..].iter().filter(|arg| !arg.starts_with(['-', '+', '=']));
    let names: Vec<String> = names.cloned().collect();
    let mut status = 0;
    for name in names {
        match shell.fs.find(shell.frame.who, &shell.frame.cwd, &name) {
            Err(error) => {
                shell.warn(
                    io,
                    format!("{program}: {} while trying to stat {name}", error.message()),
                );
                status = 1;
            }
            Ok(_) if program == "lsattr" => {
                shell.say(io, format!("--------------e------- {name}\n"));
            }
            Ok((_, node)) if shell.frame.who.uid != 0 => {
                let why = if node.uid == shell.frame.who.uid {
                    "Operation not permitted while setting flags on"
                } else {
                    "Permission denied while reading flags on"
                };
                shell.warn(io, format!("chattr: {why} {name}"));
                status = 1;
            }
            Ok(_) => {}
        }
    }
    status
}

fn ln(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let Some((sources, target)) = sources(shell, args, &options, io) else { return 1 };
    let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
    let into = shell.is_dir(target);
    let mut status = 0;
    for name in sources {
        let goal = if into { fs::join(target, fs::base_name(name)) } else { target.to_owned() };
        if options.has('f') {
            let _ = shell.fs.unlink(who, &cwd, &goal);
        }
        let (kind, done) = if options.has('s') {
            ("symbolic ", shell.fs.link(who, &cwd, &goal, name, now))
        } else {
            let from = shell.fs.resolve(who, &cwd, name, true);
            let to = shell.fs.resolve(who, &cwd, &goal, true);
            let both = from.and_then(|from| to.map(|to| (from, to)));
            ("hard ", both.and_then(|(from, to)| shell.fs.copy(who, &from, &to, now)).map(|_| ()))
        };
        if let Err(error) = done {
            status = shell.failed(io, &format!("ln: failed to create {kind}link '{goal}'"), error);
        }
    }
    status
}

fn tee(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let bytes = shell.read_all(io);
    shell.say(io, &bytes);
    let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
    let mut status = 0;
    for name in &options.operands {
        match shell.fs.write(who, &cwd, name, &bytes, options.has('a'), now) {
            Ok(Some(path)) => shell.wrote(path),
            Ok(None) => {}
            Err(error) => status = shell.failed(io, &format!("tee: {name}"), error),
        }
    }
    status
}

fn mktemp(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let name: String = (0..10)
        .map(|_| char::from(LETTERS[(shell.draw() % LETTERS.len() as u64) as usize]))
        .collect();
    let path = format!("/tmp/tmp.{name}");
    let (who, now) = (shell.frame.who, shell.now);
    let _ = if args.iter().any(|arg| arg == "-d") {
        shell.fs.mkdir(who, "/", &path, now).map(|_| ())
    } else {
        shell.fs.write(who, "/", &path, b"", false, now).map(|_| ())
    };
    shell.say(io, format!("{path}\n"));
    0
}

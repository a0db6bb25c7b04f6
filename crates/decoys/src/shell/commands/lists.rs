//! Commands that show what is in the file system.

use std::time::Duration;

use super::{
    super::{
        Shell,
        calendar::Date,
        fs::{self, FsError, Kind, Node},
        run::Io,
        text,
    },
    Options, Run,
};
use model::Timestamp;

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "ls" | "dir" | "vdir" => ls,
        "find" => find_,
        "stat" => stat,
        "readlink" | "realpath" => readlink,
        "du" => du,
        "basename" | "dirname" => names,
        _ => return None,
    })
}

/// `drwxr-xr-x`.
pub(crate) fn mode_text(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Dir => 'd',
        Kind::File(_) => '-',
        Kind::Link(_) => 'l',
        Kind::Device(fs::Device::Disk, ..) => 'b',
        Kind::Device(..) => 'c',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = node.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (node.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// The date column of `ls -l`: with the time for the last half year, else with the year.
pub(crate) fn date_text(at: Timestamp, now: Timestamp) -> String {
    let recent = now.since(at) < Duration::from_secs(15_778_476) && at <= now;
    Date::of(at).format(if recent { "%b %e %H:%M" } else { "%b %e  %Y" })
}

struct Row {
    name: String,
    path: String,
    node: Node,
}

fn ls(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "Iw");
    if let Some(flag) = options.unknown("alAhRtrSidFG1CpsnogqbcukxmTZLHX") {
        shell.usage(args, flag, io);
        return 2;
    }
    let operands =
        if options.operands.is_empty() { vec![".".to_owned()] } else { options.operands.clone() };
    let (who, cwd) = (shell.frame.who, shell.frame.cwd.clone());
    let (mut files, mut dirs, mut status) = (Vec::new(), Vec::new(), 0);
    for name in operands {
        let long = options.has('l') || options.has('d');
        let found = if long && !name.ends_with('/') {
            shell.fs.find_link(who, &cwd, &name)
        } else {
            shell.fs.find(who, &cwd, &name).or_else(|_| shell.fs.find_link(who, &cwd, &name))
        };
        match found {
            Err(error) => {
                shell.warn(io, format!("ls: cannot access '{name}': {}", error.message()));
                status = 2;
            }
            Ok((path, node)) if node.is_dir() && !options.has('d') => dirs.push((name, path)),
            Ok((path, node)) => files.push(Row { name, node: node.clone(), path }),
        }
    }
    let headings = dirs.len() + files.len() > 1 || options.has('R') || status != 0;
    let mut first = files.is_empty();
    show(shell, &options, &files, false, io);
    let mut todo: Vec<(String, String)> = dirs.into_iter().rev().collect();
    while let Some((name, path)) = todo.pop() {
        if !shell.step() {
            break;
        }
        if !shell.fs.may(who, &path, fs::READ) {
            shell.warn(io, format!("ls: cannot open directory '{name}': Permission denied"));
            status = 2;
            continue;
        }
        if !std::mem::replace(&mut first, false) {
            shell.say(io, "\n");
        }
        if headings {
            shell.say(io, format!("{name}:\n"));
        }
        let rows = rows(shell, &path, &options);
        if options.has('R') {
            let deeper = rows.iter().filter(|row| row.node.is_dir() && !row.name.starts_with('.'));
            let deeper: Vec<_> =
                deeper.map(|row| (fs::join(&name, &row.name), row.path.clone())).collect();
            todo.extend(deeper.into_iter().rev());
        }
        show(shell, &options, &rows, true, io);
    }
    status
}

fn rows(shell: &Shell, path: &str, options: &Options) -> Vec<Row> {
    let mut names = shell.fs.names(path);
    let all = options.has('a');
    if !all && !options.has('A') {
        names.retain(|name| !name.starts_with('.'));
    }
    let row = |name: String, path: String| {
        let node = shell.fs.node(&path)?.clone();
        Some(Row { name, path, node })
    };
    let mut rows = Vec::new();
    if all {
        rows.extend(row(".".into(), path.to_owned()));
        rows.extend(row("..".into(), fs::parent(path).to_owned()));
    }
    rows.extend(names.into_iter().filter_map(|name| {
        let path = fs::join(path, &name);
        row(name, path)
    }));
    if options.has('t') {
        rows.sort_by_key(|row| {
            std::cmp::Reverse(shell.fs.modified(&row.path, &row.node, shell.now))
        });
    }
    if options.has('S') {
        rows.sort_by_key(|row| std::cmp::Reverse(shell.fs.size(&row.path, &row.node, shell.now)));
    }
    if options.has('r') {
        rows.reverse();
    }
    rows
}

fn show(shell: &mut Shell, options: &Options, rows: &[Row], total: bool, io: Io) {
    let suffix = |row: &Row| match row.node.kind {
        Kind::Dir if options.has('F') || options.has('p') => "/",
        Kind::Link(_) if options.has('F') && !options.has('l') => "@",
        Kind::File(_) if options.has('F') && row.node.mode & 0o111 != 0 => "*",
        _ => "",
    };
    if !options.has('l') {
        let names: Vec<String> =
            rows.iter().map(|row| format!("{}{}", row.name, suffix(row))).collect();
        let columns = shell.tty && io.out == 0 && !options.has('1');
        let text = if columns {
            in_columns(&names)
        } else {
            names.iter().map(|n| format!("{n}\n")).collect()
        };
        shell.say(io, text);
        return;
    }
    let text = long(shell, options, rows, total, &suffix);
    shell.say(io, text);
}

/// What `ls -l` prints for one directory; also the body of an FTP listing.
fn long(
    shell: &Shell,
    options: &Options,
    rows: &[Row],
    total: bool,
    suffix: &dyn Fn(&Row) -> &'static str,
) -> String {
    let now = shell.now;
    let numeric = options.has('n');
    let mut blocks = 0;
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let size = shell.fs.size(&row.path, &row.node, now);
            blocks += size.div_ceil(4096) * 4;
            let size = match row.node.kind {
                Kind::Device(_, major, minor) => format!("{major}, {minor:>3}"),
                _ if options.has('h') && size >= 1024 => text::human(size / 1024),
                _ => size.to_string(),
            };
            let (user, group) = if numeric {
                (row.node.uid.to_string(), row.node.gid.to_string())
            } else {
                (shell.machine.user_name(row.node.uid), shell.machine.group_name(row.node.gid))
            };
            [links(shell, row).to_string(), user, group, size]
        })
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = if total {
        let shown = if options.has('h') { text::human(blocks) } else { blocks.to_string() };
        format!("total {shown}\n")
    } else {
        String::new()
    };
    for (row, [links, user, group, size]) in rows.iter().zip(&cells) {
        let inode = if options.has('i') {
            format!("{:>7} ", shell.fs.inode(&row.path))
        } else {
            String::new()
        };
        let date = date_text(shell.fs.modified(&row.path, &row.node, now), now);
        let target = match &row.node.kind {
            Kind::Link(target) => format!(" -> {target}"),
            _ => String::new(),
        };
        let [a, b, c, d] = widths;
        text.push_str(&format!(
            "{inode}{} {links:>a$} {user:<b$} {group:<c$} {size:>d$} {date} {}{target}{}\n",
            mode_text(&row.node),
            row.name,
            suffix(row)
        ));
    }
    text
}

fn links(shell: &Shell, row: &Row) -> usize {
    if !row.node.is_dir() {
        return 1;
    }
    let names = shell.fs.names(&row.path);
    let is_dir =
        |name: &String| shell.fs.node(&fs::join(&row.path, name)).is_some_and(Node::is_dir);
    2 + names.iter().take(256).filter(|name| is_dir(name)).count()
}

/// Names in columns on a terminal of 80 characters, sorted downwards.
fn in_columns(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let lengths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
    let layout = |rows: usize| -> Vec<usize> {
        lengths.chunks(rows).map(|column| column.iter().max().copied().unwrap_or(0) + 2).collect()
    };
    let fits = |rows: &usize| {
        let widths = layout(*rows);
        widths.iter().sum::<usize>() - 2 < 80
    };
    let rows = (1..=names.len()).find(fits).unwrap_or(names.len());
    let widths = layout(rows);
    let mut text = String::new();
    for row in 0..rows {
        let mut gap = 0;
        for (column, width) in widths.iter().enumerate() {
            let Some(name) = names.get(column * rows + row) else { break };
            text.extend(std::iter::repeat_n(' ', gap));
            text.push_str(name);
            gap = width - lengths[column * rows + row];
        }
        text.push('\n');
    }
    text
}

fn find_(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned()
    };
    let mut roots: Vec<String> =
        args[1..].iter().take_while(|arg| !arg.starts_with('-')).cloned().collect();
    if roots.is_empty() {
        roots.push(".".into());
    }
    let (name, kind) = (value("-name").or_else(|| value("-iname")), value("-type"));
    let perm =
        value("-perm").and_then(|p| u32::from_str_radix(p.trim_start_matches(['-', '/']), 8).ok());
    let depth: usize = value("-maxdepth").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let writable = args.iter().any(|arg| arg == "-writable");
    let (who, cwd) = (shell.frame.who, shell.frame.cwd.clone());
    let mut status = 0;
    for root in roots {
        let base = match shell.fs.find_link(who, &cwd, &root) {
            Ok((path, _)) => path,
            Err(error) => {
                shell.warn(io, format!("find: ‘{root}’: {}", error.message()));
                status = 1;
                continue;
            }
        };
        for (path, node) in shell.fs.below(&base) {
            let rest = path[base.len()..].trim_start_matches('/');
            let level = if rest.is_empty() { 0 } else { rest.matches('/').count() + 1 };
            let right_kind = match kind.as_deref() {
                Some("f") => matches!(node.kind, Kind::File(_)),
                Some("d") => node.is_dir(),
                Some("l") => matches!(node.kind, Kind::Link(_)),
                _ => true,
            };
            let right_name =
                name.as_ref().is_none_or(|name| text::matches(name, fs::base_name(&path)));
            let right_mode = perm.is_none_or(|perm| node.mode & perm == perm);
            let may = !writable || shell.fs.may(who, &path, fs::WRITE);
            if level <= depth && right_kind && right_name && right_mode && may {
                let shown = if rest.is_empty() { root.clone() } else { fs::join(&root, rest) };
                shell.say(io, format!("{shown}\n"));
            }
        }
    }
    status
}

fn stat(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "c");
    let mut status = 0;
    for name in &options.operands {
        let found = shell.fs.find_link(shell.frame.who, &shell.frame.cwd, name);
        let (path, node) = match found {
            Ok((path, node)) => (path, node.clone()),
            Err(error) => {
                shell.warn(io, format!("stat: cannot statx '{name}': {}", error.message()));
                status = 1;
                continue;
            }
        };
        let size = shell.fs.size(&path, &node, shell.now);
        let date = Date::of(shell.fs.modified(&path, &node, shell.now)).format("%F %T.%N +0000");
        let kind = match node.kind {
            Kind::Dir => "directory",
            Kind::File(_) if size == 0 => "regular empty file",
            Kind::File(_) => "regular file",
            Kind::Link(_) => "symbolic link",
            Kind::Device(..) => "character special file",
        };
        let (user, group) = (shell.machine.user_name(node.uid), shell.machine.group_name(node.gid));
        if let Some(format) = options.value('c') {
            let text = format
                .replace("%s", &size.to_string())
                .replace("%a", &format!("{:o}", node.mode))
                .replace("%A", &mode_text(&node))
                .replace("%n", name)
                .replace("%U", &user)
                .replace("%G", &group)
                .replace("%F", kind);
            shell.say(io, format!("{text}\n"));
            continue;
        }
        let text = format!(
            "  File: {name}\n  Size: {size:<10}\tBlocks: {:<10} IO Block: 4096   {kind}\nDevice: \
             8,1\tInode: {:<11} Links: 1\nAccess: ({:04o}/{})  Uid: ({:>5}/{user:>8})   Gid: \
             ({:>5}/{group:>8})\nAccess: {date}\nModify: {date}\nChange: {date}\n Birth: {date}\n",
            size.div_ceil(4096) * 8,
            shell.fs.inode(&path),
            node.mode,
            mode_text(&node),
            node.uid,
            node.gid,
        );
        shell.say(io, text);
    }
    status
}

fn readlink(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let full = options.has('f') || options.has('e') || args[0].ends_with("realpath");
    let mut status = 0;
    for name in &options.operands {
        let (who, cwd) = (shell.frame.who, &shell.frame.cwd);
        let found: Result<String, FsError> = if full {
            shell.fs.resolve(who, cwd, name, true)
        } else {
            shell.fs.find_link(who, cwd, name).and_then(|(_, node)| match &node.kind {
                Kind::Link(target) => Ok(target.to_string()),
                _ => Err(FsError::Invalid),
            })
        };
        match found {
            Ok(path) => shell.say(io, format!("{path}\n")),
            Err(_) => status = 1,
        }
    }
    status
}

fn du(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "d");
    let roots =
        if options.operands.is_empty() { vec![".".into()] } else { options.operands.clone() };
    let mut status = 0;
    for root in roots {
        let Ok((path, _)) = shell.fs.find_link(shell.frame.who, &shell.frame.cwd, &root) else {
            shell.warn(io, format!("du: cannot access '{root}': No such file or directory"));
            status = 1;
            continue;
        };
        let below = shell.fs.below(&path);
        let sizes = below.iter().map(|(path, node)| shell.fs.size(path, node, shell.now));
        let kib: u64 = sizes.map(|size| size.div_ceil(4096) * 4).sum();
        let shown = if options.has('h') { text::human(kib) } else { kib.to_string() };
        shell.say(io, format!("{shown}\t{root}\n"));
    }
    status
}

fn names(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(path) = args.get(1) else { return 1 };
    let text = if args[0].ends_with("basename") {
        let name = fs::base_name(path);
        let suffix = args.get(2).map_or("", String::as_str);
        name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name).to_owned()
    } else if path.contains('/') {
        fs::parent(path.trim_end_matches('/')).to_owned()
    } else {
        ".".to_owned()
    };
    shell.say(io, format!("{text}\n"));
    0
}

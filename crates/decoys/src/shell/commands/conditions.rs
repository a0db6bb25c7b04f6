//! `test` and its brackets.

use super::super::{
    Shell,
    fs::{EXECUTE, Kind, READ, WRITE},
    run::Io,
    text,
};

pub(super) fn test(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let mut words: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    if let Some(close) = match args[0].as_str() {
        "[" => Some("]"),
        "[[" => Some("]]"),
        _ => None,
    } && words.pop() != Some(close)
    {
        shell.grumble(io, format!("{}: missing `{close}'", args[0]));
        return 2;
    }
    match any(shell, &words) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(word) => {
            shell.grumble(io, format!("{}: {word}", args[0]));
            2
        }
    }
}

fn any(shell: &Shell, words: &[&str]) -> Result<bool, String> {
    for part in words.split(|word| matches!(*word, "-o" | "||")) {
        let mut all = true;
        for part in part.split(|word| matches!(*word, "-a" | "&&")) {
            all &= primary(shell, part)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn primary(shell: &Shell, words: &[&str]) -> Result<bool, String> {
    let number = |text: &str| {
        text.trim().parse::<i64>().map_err(|_| format!("{text}: integer expression expected"))
    };
    Ok(match words {
        [] => false,
        ["!", rest @ ..] => !primary(shell, rest)?,
        [word] => !word.is_empty(),
        ["-n", word] => !word.is_empty(),
        ["-z", word] => word.is_empty(),
        ["-t", _] => shell.tty,
        [flag, path] if flag.len() == 2 && flag.starts_with('-') => file_test(shell, flag, path),
        [left, "=" | "==", right] => text::matches(right, left) || left == right,
        [left, "!=", right] => left != right,
        [left, "=~", right] => left.contains(right.trim_matches(['^', '$'])),
        [left, "<", right] => left < right,
        [left, ">", right] => left > right,
        [left, "-eq", right] => number(left)? == number(right)?,
        [left, "-ne", right] => number(left)? != number(right)?,
        [left, "-lt", right] => number(left)? < number(right)?,
        [left, "-le", right] => number(left)? <= number(right)?,
        [left, "-gt", right] => number(left)? > number(right)?,
        [left, "-ge", right] => number(left)? >= number(right)?,
        [first, _] => return Err(format!("{first}: unary operator expected")),
        [_, operator, _] => return Err(format!("{operator}: binary operator expected")),
        _ => return Err("too many arguments".into()),
    })
}

fn file_test(shell: &Shell, flag: &str, path: &str) -> bool {
    let (who, cwd) = (shell.frame.who, &shell.frame.cwd);
    if matches!(flag, "-L" | "-h") {
        return shell
            .fs
            .find_link(who, cwd, path)
            .is_ok_and(|(_, n)| matches!(n.kind, Kind::Link(_)));
    }
    let Ok((path, node)) = shell.fs.find(who, cwd, path) else { return false };
    match flag {
        "-e" | "-a" => true,
        "-f" => matches!(node.kind, Kind::File(_)),
        "-d" => node.is_dir(),
        "-c" => matches!(node.kind, Kind::Device(..)),
        "-r" => shell.fs.may(who, &path, READ),
        "-w" => shell.fs.may(who, &path, WRITE),
        "-x" => shell.fs.may(who, &path, EXECUTE),
        "-s" => shell.fs.size(&path, node, shell.now) > 0,
        "-O" => node.uid == who.uid,
        _ => false,
    }
}

//! The little languages for lines: `awk` and `sed`, as far as one-liners use them.

use super::{
    super::{Shell, limits, run::Io, text},
    Options,
    texts::holds,
};

/// `awk '{print $1,$NF}'`, with an optional `/pattern/` before it; other programs print nothing.
pub(super) fn awk(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let mut options = Options::parse(args, "Fv");
    if options.operands.is_empty() {
        shell.warn(io, "usage: awk [-F fs][-v var=value][prog | -f progfile][file ...]");
        return 2;
    }
    let program = options.operands.remove(0);
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let (condition, body) = program.split_once('{').unwrap_or((&program, "print}"));
    let condition = condition.trim().trim_matches('/');
    let body = body.trim().trim_end_matches('}').trim();
    let Some(printed) = body.strip_prefix("print") else { return 0 };
    let separator = options.value('F').map(str::to_owned);
    for (_, bytes) in inputs {
        for (index, line) in text::lines(&bytes).enumerate() {
            let line = String::from_utf8_lossy(line).into_owned();
            let numbered =
                condition.strip_prefix("NR==").is_some_and(|n| n.parse() == Ok(index + 1));
            if !condition.is_empty()
                && !numbered
                && (condition.starts_with("NR") || !holds(condition, &line, false))
            {
                continue;
            }
            let fields: Vec<&str> = match &separator {
                Some(separator) => line.split(separator.as_str()).collect(),
                None => line.split_whitespace().collect(),
            };
            let words: Vec<String> = printed
                .split(',')
                .map(|term| match term.trim() {
                    "" | "$0" => line.clone(),
                    "NR" => (index + 1).to_string(),
                    "NF" => fields.len().to_string(),
                    "$NF" => fields.last().copied().unwrap_or_default().to_owned(),
                    term => match term.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
                        Some(n) => {
                            fields.get(n.wrapping_sub(1)).copied().unwrap_or_default().to_owned()
                        }
                        None => term.trim_matches('"').to_owned(),
                    },
                })
                .collect();
            shell.say(io, format!("{}\n", words.join(" ")));
        }
    }
    u8::from(!well)
}

/// `s/a/b/`, `Np`, `Nd` and patterns of them; other programs leave the text as it is.
pub(super) fn sed(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let mut options = Options::parse(args, "e");
    let program = match options.value('e') {
        Some(program) => program.to_owned(),
        None if options.operands.is_empty() => {
            shell.warn(
                io,
                "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...",
            );
            return 1;
        }
        None => options.operands.remove(0),
    };
    let in_place = options.has('i');
    let names = options.operands.clone();
    let (inputs, well) = shell.inputs(args, &names, io);
    for (name, bytes) in inputs {
        let mut out = String::new();
        for (index, line) in text::lines(&bytes).enumerate() {
            let line = String::from_utf8_lossy(line);
            edit(&program, index + 1, &line, options.has('n'), &mut out);
            if out.len() > limits::MAX_FILE_BYTES {
                break;
            }
        }
        if in_place {
            let (who, cwd, now) = (shell.frame.who, shell.frame.cwd.clone(), shell.now);
            if let Ok(Some(path)) = shell.fs.write(who, &cwd, &name, out.as_bytes(), false, now) {
                shell.wrote(path);
            }
        } else {
            shell.say(io, out);
        }
    }
    u8::from(!well)
}

fn edit(program: &str, number: usize, line: &str, quiet: bool, out: &mut String) {
    if let Some(rest) = program.strip_prefix('s')
        && let Some(mark) = rest.chars().next()
    {
        let mut parts = rest[mark.len_utf8()..].split(mark);
        let (from, to) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let all = parts.next().is_some_and(|flags| flags.contains('g'));
        let to = super::super::cut(to, 1024);
        let new = if from.is_empty() {
            line.to_owned()
        } else if all {
            line.replace(from, to)
        } else {
            line.replacen(from, to, 1)
        };
        out.push_str(&new);
        out.push('\n');
        return;
    }
    let action = program.chars().last();
    let range = program.trim_end_matches(['p', 'd', 'q']);
    let (from, to) = range.split_once(',').unwrap_or((range, range));
    let hit = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => (from..=to).contains(&number),
        (Ok(from), Err(_)) => to == "$" && number >= from,
        _ => from.len() > 1 && holds(from.trim_matches('/'), line, false),
    };
    let shown = match action {
        Some('p') if quiet => hit,
        Some('d') => !hit,
        _ => !quiet,
    };
    if shown {
        out.push_str(line);
        out.push('\n');
    }
}

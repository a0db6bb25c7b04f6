//! Commands that turn bytes into other bytes.

use super::{
    super::{Shell, limits, run::Io, text},
    Options, Run, awk, digest,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "cat" | "more" | "less" => cat,
        "tac" | "rev" => reversed,
        "head" | "tail" => ends,
        "wc" => wc,
        "grep" | "egrep" | "fgrep" => grep,
        "cut" => cut,
        "sort" => sort,
        "uniq" => uniq,
        "tr" => tr,
        "base64" => digest::base64_,
        "md5sum" | "sha1sum" | "sha256sum" | "sha512sum" => digest::sum,
        "yes" => yes,
        "seq" => seq,
        "od" | "hexdump" => dump,
        "strings" => strings,
        "awk" | "mawk" | "nawk" => awk::awk,
        "sed" => awk::sed,
        _ => return None,
    })
}

fn cat(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    if let Some(flag) = options.unknown("nbAETsvetu") {
        return shell.usage(args, flag, io);
    }
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let mut number = 0;
    for (_, bytes) in inputs {
        if options.has('n') {
            for line in text::lines(&bytes) {
                number += 1;
                shell.say(io, format!("{number:>6}\t"));
                shell.say(io, line);
                shell.say(io, "\n");
            }
        } else {
            shell.say(io, bytes);
        }
    }
    u8::from(!well)
}

fn reversed(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    for (_, bytes) in inputs {
        let lines: Vec<&[u8]> = text::lines(&bytes).collect();
        if args[0].ends_with("tac") {
            for line in lines.iter().rev() {
                shell.say(io, [line, b"\n".as_slice()].concat());
            }
        } else {
            for line in lines {
                let text: String = String::from_utf8_lossy(line).chars().rev().collect();
                shell.say(io, format!("{text}\n"));
            }
        }
    }
    u8::from(!well)
}

fn ends(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let args: Vec<String> = args
        .iter()
        .map(|arg| match arg.strip_prefix('-') {
            Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => format!("-n{n}"),
            _ => arg.clone(),
        })
        .collect();
    let options = Options::parse(&args, "nc");
    let head = args[0].ends_with("head");
    let (inputs, well) = shell.inputs(&args, &options.operands, io);
    let many = inputs.len() > 1;
    for (index, (name, bytes)) in inputs.iter().enumerate() {
        if many {
            let gap = if index > 0 { "\n" } else { "" };
            shell.say(io, format!("{gap}==> {name} <==\n"));
        }
        let part = match options.value('c') {
            Some(count) => {
                let count = text::size(count.trim_start_matches('+')).unwrap_or(0);
                let count = (count as usize).min(bytes.len());
                if head { &bytes[..count] } else { &bytes[bytes.len() - count..] }
            }
            None => by_lines(bytes, options.value('n').unwrap_or("10"), head),
        };
        shell.say(io, part);
    }
    u8::from(!well)
}

fn by_lines<'a>(bytes: &'a [u8], count: &str, head: bool) -> &'a [u8] {
    let number = count.trim_start_matches(['+', '-']).parse::<usize>().unwrap_or(10);
    let mut starts: Vec<usize> = vec![0];
    starts.extend(bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1));
    if starts.last() == Some(&bytes.len()) {
        starts.pop();
    }
    let at = |line: usize| starts.get(line).copied().unwrap_or(bytes.len());
    match (head, count.as_bytes().first()) {
        (true, Some(b'-')) => &bytes[..at(starts.len().saturating_sub(number))],
        (true, _) => &bytes[..at(number)],
        (false, Some(b'+')) => &bytes[at(number.saturating_sub(1))..],
        (false, _) => &bytes[at(starts.len().saturating_sub(number))..],
    }
}

fn wc(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let all =
        !["l", "w", "c", "m"].iter().any(|flag| options.has(flag.chars().next().unwrap_or('l')));
    for (name, bytes) in inputs {
        let lines = bytes.iter().filter(|b| **b == b'\n').count();
        let words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        let mut counts = Vec::new();
        for (flag, count) in [('l', lines), ('w', words), ('c', bytes.len()), ('m', bytes.len())] {
            if options.has(flag) || all && flag != 'm' {
                counts.push(count);
            }
        }
        let width = if counts.len() == 1 {
            0
        } else if name == "-" {
            7
        } else {
            bytes.len().to_string().len()
        };
        let shown: Vec<String> = counts.iter().map(|count| format!("{count:>width$}")).collect();
        let name = if options.operands.is_empty() { String::new() } else { format!(" {name}") };
        shell.say(io, format!("{}{name}\n", shown.join(" ")));
    }
    u8::from(!well)
}

/// Whether a line holds a basic pattern: alternatives of literals with `^`, `$`, `.` and `.*`.
pub(super) fn holds(pattern: &str, line: &str, fixed: bool) -> bool {
    if fixed {
        return line.contains(pattern);
    }
    pattern.replace("\\|", "|").split('|').take(32).any(|alternative| {
        let (begin, rest) = match alternative.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, alternative),
        };
        let (end, rest) = match rest.strip_suffix('$') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let mut glob = String::new();
        if !begin {
            glob.push('*');
        }
        glob.push_str(
            &rest
                .replace("\\.", "\u{1}")
                .replace(".*", "*")
                .replace(".+", "?*")
                .replace('.', "?")
                .replace('\u{1}', "."),
        );
        if !end {
            glob.push('*');
        }
        text::matches(&glob, line)
    })
}

fn grep(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let mut options = Options::parse(args, "emABC");
    let pattern = match options.value('e') {
        Some(pattern) => pattern.to_owned(),
        None if options.operands.is_empty() => {
            shell.warn(
                io,
                "Usage: grep [OPTION]... PATTERNS [FILE]...\n\
                Try 'grep --help' for more information.",
            );
            return 2;
        }
        None => options.operands.remove(0),
    };
    let fixed = options.has('F') || args[0].ends_with("fgrep");
    let fold = |text: &str| if options.has('i') { text.to_lowercase() } else { text.to_owned() };
    let pattern = fold(&pattern);
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let many = inputs.len() > 1 && !options.has('h') || options.has('H');
    let mut any = false;
    for (name, bytes) in inputs {
        let mut count = 0;
        for (index, line) in text::lines(&bytes).enumerate() {
            let shown = String::from_utf8_lossy(super::super::cut_bytes(line, 4096));
            let mut hit = holds(&pattern, &fold(&shown), fixed);
            if options.has('w') {
                let word = |c: char| !c.is_alphanumeric() && c != '_';
                hit = fold(&shown).split(word).any(|word| word == pattern);
            }
            if hit == options.has('v') {
                continue;
            }
            (any, count) = (true, count + 1);
            if options.has('q') || options.has('c') || options.has('l') {
                continue;
            }
            let prefix = if many { format!("{name}:") } else { String::new() };
            let number = if options.has('n') { format!("{}:", index + 1) } else { String::new() };
            let shown = if options.has('o') { pattern.clone() } else { shown.into_owned() };
            shell.say(io, format!("{prefix}{number}{shown}\n"));
        }
        if options.has('c') {
            let prefix = if many { format!("{name}:") } else { String::new() };
            shell.say(io, format!("{prefix}{count}\n"));
        } else if options.has('l') && count > 0 {
            shell.say(io, format!("{name}\n"));
        }
    }
    if !well { 2 } else { u8::from(!any) }
}

fn cut(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "dfcb");
    let list = options.value('f').or(options.value('c')).or(options.value('b'));
    let Some(list) = list.map(str::to_owned) else {
        shell.warn(
            io,
            "cut: you must specify a list of bytes, characters, or fields\n\
            Try 'cut --help' for more information.",
        );
        return 1;
    };
    let ranges: Vec<(usize, usize)> = list
        .split(',')
        .take(64)
        .map(|range| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            (from.parse().unwrap_or(1), to.parse().unwrap_or(usize::MAX))
        })
        .collect();
    let wanted = |n: usize| ranges.iter().any(|(from, to)| (*from..=*to).contains(&n));
    let delimiter = options.value('d').unwrap_or("\t").chars().next().unwrap_or('\t');
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    for (_, bytes) in inputs {
        for line in text::lines(&bytes) {
            let line = String::from_utf8_lossy(line);
            let shown = if !options.has('f') {
                line.chars().enumerate().filter(|(n, _)| wanted(n + 1)).map(|(_, c)| c).collect()
            } else if line.contains(delimiter) {
                let fields = line.split(delimiter).enumerate().filter(|(n, _)| wanted(n + 1));
                let fields: Vec<&str> = fields.map(|(_, field)| field).collect();
                fields.join(&delimiter.to_string())
            } else {
                line.into_owned()
            };
            shell.say(io, format!("{shown}\n"));
        }
    }
    u8::from(!well)
}

fn sort(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "kt");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let whole: Vec<Vec<u8>> =
        inputs.iter().flat_map(|(_, bytes)| text::lines(bytes)).map(<[u8]>::to_vec).collect();
    let field =
        options.value('k').and_then(|k| k.split([',', 'n', 'r']).next()?.parse::<usize>().ok());
    let key = |line: &[u8]| -> String {
        let line = String::from_utf8_lossy(line).into_owned();
        match field {
            Some(n) => {
                line.split_whitespace().skip(n.saturating_sub(1)).collect::<Vec<_>>().join(" ")
            }
            None => line,
        }
    };
    let mut keyed: Vec<(String, Vec<u8>)> =
        whole.into_iter().map(|line| (key(&line), line)).collect();
    if options.has('n') || options.has('h') {
        let number = |text: &str| -> i64 {
            let digits: String =
                text.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
            digits.parse().unwrap_or(0)
        };
        keyed.sort_by_key(|(key, _)| number(key));
    } else {
        keyed.sort();
    }
    if options.has('r') {
        keyed.reverse();
    }
    if options.has('u') {
        keyed.dedup();
    }
    for (_, mut line) in keyed {
        line.push(b'\n');
        shell.say(io, line);
    }
    u8::from(!well)
}

fn uniq(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    for (_, bytes) in inputs {
        let lines: Vec<&[u8]> = text::lines(&bytes).collect();
        for run in lines.chunk_by(|a, b| a == b) {
            if options.has('d') && run.len() < 2 || options.has('u') && run.len() > 1 {
                continue;
            }
            if options.has('c') {
                shell.say(io, format!("{:>7} ", run.len()));
            }
            shell.say(io, [run[0], b"\n"].concat());
        }
    }
    u8::from(!well)
}

/// The characters that a set of `tr` stands for.
fn set(spec: &str) -> Vec<u8> {
    let spec = spec
        .replace("[:lower:]", "a-z")
        .replace("[:upper:]", "A-Z")
        .replace("[:digit:]", "0-9")
        .replace("[:alpha:]", "A-Za-z")
        .replace("[:alnum:]", "0-9A-Za-z")
        .replace("[:space:]", "\\t\\n\\v\\f\\r ");
    let (bytes, _) = text::unescape(&spec, false);
    let mut set = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if at + 2 < bytes.len() && bytes[at + 1] == b'-' && bytes[at] <= bytes[at + 2] {
            set.extend(bytes[at]..=bytes[at + 2]);
            at += 3;
        } else {
            set.push(bytes[at]);
            at += 1;
        }
    }
    set
}

fn tr(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let Some(first) = options.operands.first() else {
        shell.warn(io, "tr: missing operand\nTry 'tr --help' for more information.");
        return 1;
    };
    let mut from = set(first);
    if options.has('c') || options.has('C') {
        from = (0..=255).filter(|byte| !from.contains(byte)).collect();
    }
    let to = options.operands.get(1).map(|spec| set(spec)).unwrap_or_default();
    let mut out = Vec::new();
    for byte in shell.read_all(io) {
        let at = from.iter().position(|b| *b == byte);
        let new = match at {
            Some(_) if options.has('d') => continue,
            Some(at) => to.get(at).or(to.last()).copied().unwrap_or(byte),
            None => byte,
        };
        if options.has('s') && at.is_some() && out.last() == Some(&new) {
            continue;
        }
        out.push(new);
    }
    shell.say(io, out);
    0
}

/// Ends where a pipe or the terminal has had enough.
fn yes(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let word = if args.len() > 1 { args[1..].join(" ") } else { "y".into() };
    let line = format!("{}\n", super::super::cut(&word, 4096));
    let text = line.repeat(limits::MAX_SHOWN_BYTES / line.len());
    shell.say(io, text);
    0
}

fn seq(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let numbers: Vec<i64> = args[1..].iter().filter_map(|arg| arg.parse().ok()).collect();
    let (from, step, to) = match numbers.as_slice() {
        [to] => (1, 1, *to),
        [from, to] => (*from, 1, *to),
        [from, step, to] => (*from, *step, *to),
        _ => {
            shell.warn(io, "seq: missing operand\nTry 'seq --help' for more information.");
            return 1;
        }
    };
    let mut text = String::new();
    let mut value = from;
    while step != 0 && (step > 0 && value <= to || step < 0 && value >= to) {
        text.push_str(&format!("{value}\n"));
        if text.len() > limits::MAX_SHOWN_BYTES {
            break;
        }
        value = value.saturating_add(step);
        if value == i64::MAX {
            break;
        }
    }
    shell.say(io, text);
    0
}

fn dump(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "tNnjAs");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    let bytes = inputs.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>().concat();
    let most = options.value('N').or(options.value('n')).and_then(text::size);
    let bytes = &bytes[..bytes.len().min(most.unwrap_or(65_536) as usize)];
    let canonical = options.has('C');
    for (index, chunk) in bytes.chunks(16).enumerate() {
        let at = index * 16;
        let line = if canonical {
            let mut left = String::new();
            for (n, byte) in chunk.iter().enumerate() {
                left.push_str(&format!("{}{byte:02x} ", if n == 8 { " " } else { "" }));
            }
            let right: String = chunk
                .iter()
                .map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' })
                .collect();
            format!("{at:08x}  {left:<49} |{right}|\n")
        } else {
            let words: Vec<String> = chunk
                .chunks(2)
                .map(|pair| format!("{:02x}{:02x}", pair.get(1).unwrap_or(&0), pair[0]))
                .collect();
            format!("{at:07x} {}\n", words.join(" "))
        };
        shell.say(io, line);
    }
    let end =
        if canonical { format!("{:08x}\n", bytes.len()) } else { format!("{:07x}\n", bytes.len()) };
    shell.say(io, end);
    u8::from(!well)
}

fn strings(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "n");
    let (inputs, well) = shell.inputs(args, &options.operands, io);
    for (_, bytes) in inputs {
        for run in bytes.split(|b| !b.is_ascii_graphic() && *b != b' ').filter(|run| run.len() >= 4)
        {
            shell.say(io, [run, b"\n"].concat());
        }
    }
    u8::from(!well)
}

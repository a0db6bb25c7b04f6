//! Listings as vsftpd's own `ls` prints them: options, filters, columns.

use std::time::Duration;

use model::Timestamp;

use super::files::{Files, Row, bytes_of};
use crate::shell::calendar::Date;

/// Entries older than this show their year instead of the time of day.
const RECENT: Duration = Duration::from_secs(182 * 86_400);

/// Steps that matching all names of a listing against a filter may take.
const MAX_STEPS: u32 = 1_000_000;

/// Which entries to list, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// `LIST`: a line per entry with everything.
    Long,
    /// `NLST`: names, with the directory that was asked for in front.
    Names,
    /// `STAT`: like `Long`, hidden entries included.
    Status,
}

struct Options {
    all: bool,
    reverse: bool,
    by_time: bool,
    classify: bool,
    long: bool,
}

/// The listing of what `argument` names; what is not there gives nothing.
pub(super) fn list(files: &Files, style: Style, argument: &str, now: Timestamp) -> Vec<u8> {
    let (flags, path) = match argument.strip_prefix('-') {
        Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        None => ("", argument),
    };
    let options = Options {
        all: flags.contains('a') || style == Style::Status,
        reverse: flags.contains('r'),
        by_time: flags.contains('t'),
        classify: flags.contains('F'),
        long: style != Style::Names || flags.contains('l'),
    };
    let (rows, filter, prefix) = select(files, path, now);
    let mut steps = MAX_STEPS;
    let mut rows: Vec<Row> = rows
        .into_iter()
        .filter(|row| options.all || !row.name.starts_with('.'))
        .filter(|row| {
            // vsftpd holds a link's target against the filter, not its name.
            let name = row.target.as_ref().unwrap_or(&row.name);
            filter.is_empty() || matches(filter.as_bytes(), name.as_bytes(), &mut steps)
        })
        .collect();
    if options.by_time {
        rows.sort_by_key(|row| std::cmp::Reverse(row.modified.as_micros() / 1_000_000));
    }
    if options.reverse {
        rows.reverse();
    }
    let mut text = String::new();
    for row in &rows {
        if options.long {
            columns(row, now, &mut text);
        } else {
            text.push_str(&prefix);
        }
        text.push_str(&row.name);
        if let (true, Some(target)) = (options.long, &row.target) {
            text.push_str(" -> ");
            text.push_str(target);
        }
        if options.classify {
            match row.letter {
                'd' => text.push('/'),
                'l' => text.push('@'),
                _ => {}
            }
        }
        text.push_str("\r\n");
    }
    bytes_of(&text)
}

/// The entries of the directory that `path` names; else those of the directory before its last
/// slash, with the rest as a filter.
fn select<'a>(files: &Files, path: &'a str, now: Timestamp) -> (Vec<Row>, &'a str, String) {
    if path.is_empty() {
        return (files.rows(".", now).unwrap_or_default(), "", String::new());
    }
    if let Ok(rows) = files.rows(path, now) {
        let slash = if path.ends_with('/') { "" } else { "/" };
        return (rows, "", format!("{path}{slash}"));
    }
    let (dir, filter) = path.rfind('/').map_or(("", path), |at| path.split_at(at + 1));
    let rows = files.rows(if dir.is_empty() { "." } else { dir }, now);
    (rows.unwrap_or_default(), filter, dir.to_owned())
}

/// Everything before the name.
fn columns(row: &Row, now: Timestamp, text: &mut String) {
    let Row { links, uid, gid, size, .. } = row;
    let date = Date::of(row.modified);
    let year = row.modified > now || now.since(row.modified) > RECENT;
    let when = date.format(if year { "%b %d  %Y" } else { "%b %d %H:%M" });
    text.push(row.letter);
    for shift in [6, 3, 0] {
        let bits = row.mode >> shift;
        let special = row.mode >> (9 + shift / 3) & 1 != 0;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (special, bits & 1 != 0, shift) {
            (false, true, _) => 'x',
            (false, false, _) => '-',
            (true, true, 0) => 't',
            (true, false, 0) => 'T',
            (true, true, _) => 's',
            (true, false, _) => 'S',
        });
    }
    text.push_str(&format!(" {links:>4} {uid:<8} {gid:<8} {size:>8} {when} "));
}

/// vsftpd's filters: `*`, `?` and `{a,b}`; everything else stands for itself. Gives up, without
/// a match, where `steps` run out.
fn matches(filter: &[u8], name: &[u8], steps: &mut u32) -> bool {
    if *steps == 0 {
        return false;
    }
    *steps -= 1;
    match filter {
        [] => name.is_empty(),
        [b'*', rest @ ..] => {
            let rest = &rest[rest.iter().take_while(|b| **b == b'*').count()..];
            rest.is_empty() || (0..=name.len()).any(|at| matches(rest, &name[at..], steps))
        }
        [b'?', rest @ ..] => !name.is_empty() && matches(rest, &name[1..], steps),
        [b'{', rest @ ..] => match rest.iter().position(|b| *b == b'}') {
            Some(end) => rest[..end].split(|b| *b == b',').any(|option| {
                name.strip_prefix(option).is_some_and(|left| matches(&rest[end + 1..], left, steps))
            }),
            None => false,
        },
        [byte, rest @ ..] => name.first() == Some(byte) && matches(rest, &name[1..], steps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, listed: &[&str], hidden: &[&str]) {
        let mut matches = |name: &&str| matches(filter.as_bytes(), name.as_bytes(), &mut 10_000);
        assert!(listed.iter().all(&mut matches), "{filter} lists {listed:?}");
        assert!(!hidden.iter().any(&mut matches), "{filter} hides {hidden:?}");
    }

    #[test]
    fn filters_are_those_of_vsftpd() {
        check("o*", &["o180", "old"], &["noread"]);
        check("ead", &[], &["noread"]);
        check("?b", &["ab"], &["b", "aab"]);
        check("{ab,b}", &["ab", "b"], &["aab"]);
        check("[ab]b", &["[ab]b"], &["ab"]);
        check("*b", &["aab", "ab", "b"], &["ba"]);
        check("a*b", &["aab", "ab"], &["b"]);
    }

    #[test]
    fn a_filter_cannot_take_long() {
        let mut steps = MAX_STEPS;
        let name = [b'a'; 255];
        assert!(!matches("*a".repeat(60).as_bytes(), &[&name[..], b"b"].concat(), &mut steps));
    }
}

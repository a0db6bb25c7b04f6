//! Subjects and filters against a second opinion on what they are and on who matches whom.

use model::{Subject, SubjectFilter};

use super::Target;
use crate::Trace;

/// A filter, a line feed, a subject.
pub(super) const TARGET: Target = Target {
    name: "subjects",
    about: "subjects and filters: who is one, and who matches whom, as an oracle says",
    words: &[
        "*",
        ">",
        ".",
        ".*",
        ".>",
        "*.",
        "topology",
        "decky.",
        "system.bus.health",
        "\u{2003}",
    ],
    mutation: None,
    run,
};

const LONGEST: usize = 255;

fn run(input: &[u8], trace: &mut Trace) {
    let text = String::from_utf8_lossy(input);
    let (left, right) = text.split_once('\n').unwrap_or((&text, ""));
    let texts = [left, right, left.trim(), right.trim()];
    for pattern in texts {
        let filter = pattern.parse::<SubjectFilter>();
        assert_eq!(filter.is_ok(), is_filter(pattern), "{pattern:?} as a filter: {filter:?}");
        trace.note(filter.as_ref().err().map(ToString::to_string));
        for text in texts {
            let subject = text.parse::<Subject>();
            assert_eq!(subject.is_ok(), is_subject(text), "{text:?} as a subject: {subject:?}");
            let (Ok(filter), Ok(subject)) = (&filter, &subject) else { continue };
            let matches = filter.matches(subject);
            assert_eq!(matches, fits(&tokens(pattern), &tokens(text)), "{pattern:?} on {text:?}");
            assert!(SubjectFilter::all().matches(subject));
            assert!(SubjectFilter::from(subject.clone()).matches(subject));
            assert_eq!(subject.as_str(), text);
            trace.note((matches, tokens(pattern).len(), tokens(text).len()));
        }
    }
}

fn tokens(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

fn is_clean(text: &str) -> bool {
    text.len() <= LONGEST && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_word(token: &str) -> bool {
    !token.is_empty() && !token.contains(['*', '>'])
}

fn is_subject(text: &str) -> bool {
    is_clean(text) && tokens(text).into_iter().all(is_word)
}

fn is_filter(text: &str) -> bool {
    let tokens = tokens(text);
    let (last, others) = tokens.split_last().expect("a split gives at least one part");
    let is_part = |token: &str| token == "*" || is_word(token);
    is_clean(text) && others.iter().all(|t| is_part(t)) && (*last == ">" || is_part(last))
}

/// By recursion on both ends.
fn fits(pattern: &[&str], subject: &[&str]) -> bool {
    match (pattern, subject) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        ([wanted, pattern @ ..], [token, subject @ ..]) => {
            (*wanted == "*" || wanted == token) && fits(pattern, subject)
        }
        _ => false,
    }
}

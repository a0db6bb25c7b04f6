//! What a fact says in words: what is published and shown. Secrets are masked here; texts of
//! visitors come in escaped already and are only cut.

use model::{MAX_TEXT_BYTES, SessionFact};

/// What stands in place of a secret; its length tells nothing.
const MASK: &str = "******";

/// Longest name of a user, a method or a file within a sentence, in bytes.
const MAX_WORD_BYTES: usize = 256;

/// Commands that fetch something from elsewhere.
const DOWNLOADERS: &[&str] = &["wget", "curl", "tftp", "ftpget", "lwp-download", "aria2c"];

/// A login try, without its secret: `login root with password ******: refused`.
pub(crate) fn login(principal: &str, method: &str, accepted: bool) -> String {
    let principal = cut(principal, MAX_WORD_BYTES);
    let method = cut(method, MAX_WORD_BYTES);
    let outcome = if accepted { "accepted" } else { "refused" };
    let space = if principal.is_empty() { "" } else { " " };
    format!("login{space}{principal} with {method} {MASK}: {outcome}")
}

/// An upload: `upload x.sh, 12 bytes, sha256 9f86…`.
pub(crate) fn upload(name: &str, bytes: u64, sha256: &str) -> String {
    let name = cut(name, MAX_WORD_BYTES);
    format!("upload {name}, {bytes} bytes, sha256 {}", cut(sha256, MAX_WORD_BYTES))
}

/// A visitor's text, cut to what is kept of one fact.
pub(crate) fn line(text: &str) -> String {
    cut(text, MAX_TEXT_BYTES)
}

/// A fingerprint as an attacker's row keeps it: `hassh=0604…`.
pub(crate) fn fingerprint(name: &str, value: &str) -> String {
    format!("{}={}", cut(name, MAX_WORD_BYTES), cut(value, MAX_WORD_BYTES))
}

/// Whether a command line runs something that fetches: `cd /tmp; /usr/bin/wget http://…`.
pub(crate) fn downloads(fact: &SessionFact) -> bool {
    let SessionFact::Command { text } = fact else { return false };
    let separates = |c: char| c.is_whitespace() || ";|&()`$\"'{}".contains(c);
    text.split(separates)
        .map(|word| word.rsplit('/').next().unwrap_or(word))
        .any(|program| DOWNLOADERS.contains(&program))
}

/// At most `most` bytes, with `…` where something is missing.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let most = most - '…'.len_utf8();
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_outcome_survives_a_long_name() {
        assert_eq!(login("root", "password", true), "login root with password ******: accepted");
        assert_eq!(login("", "password", false), "login with password ******: refused");
        let long = login(&"ü".repeat(9000), "password", false);
        assert!(
            long.len() < 400
                && long.ends_with("…  with password ******: refused".trim_start_matches("…  "))
        );
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let cut = line(&"€".repeat(3000));
        assert!(cut.len() <= MAX_TEXT_BYTES && cut.ends_with("€…"));
        assert_eq!(line("ls -la"), "ls -la");
    }

    #[test]
    fn commands_that_fetch_are_known_by_the_program() {
        let fetches = |text: &str| downloads(&SessionFact::Command { text: text.into() });
        for text in ["wget http://x/y", "cd /tmp; /usr/bin/curl -O x", "$(curl x)", "a|wget -"] {
            assert!(fetches(text), "{text}");
        }
        for text in ["ls wgetrc", "echo wget.txt", "cat curls", ""] {
            assert!(!fetches(text), "{text}");
        }
    }
}

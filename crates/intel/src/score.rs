//! How dangerous an attacker looks: a number from 0 to 100 and the reasons for it.
//!
//! A weighted sum of what the attacker's row counts. Every term only grows while its count grows,
//! so a score never falls. The weights are a first judgement, not the result of a calibration.

use model::Attacker;

/// Any touch: nobody has business with a decky.
const TOUCHED: u32 = 5;
/// The first login that was tried.
const FIRST_LOGIN: u32 = 5;
/// Each doubling of the logins tried …
const LOGINS_DOUBLED: u32 = 3;
/// … up to this much for logins in all.
const LOGINS_MOST: u32 = 25;
/// A login that got in.
const ACCEPTED: u32 = 20;
/// The first command.
const FIRST_COMMAND: u32 = 10;
/// Each doubling of the commands …
const COMMANDS_DOUBLED: u32 = 2;
/// … up to this much for commands in all.
const COMMANDS_MOST: u32 = 20;
/// The first request.
const FIRST_REQUEST: u32 = 1;
/// Each doubling of the requests …
const REQUESTS_DOUBLED: u32 = 1;
/// … up to this much for requests in all.
const REQUESTS_MOST: u32 = 8;
/// The first command that fetches something.
const FIRST_DOWNLOAD: u32 = 15;
/// Each doubling of the downloads …
const DOWNLOADS_DOUBLED: u32 = 3;
/// … up to this much for downloads in all.
const DOWNLOADS_MOST: u32 = 24;
/// The first upload.
const FIRST_UPLOAD: u32 = 15;
/// Each doubling of the uploads …
const UPLOADS_DOUBLED: u32 = 3;
/// … up to this much for uploads in all.
const UPLOADS_MOST: u32 = 24;
/// Each service after the first …
const FURTHER_SERVICE: u32 = 5;
/// … up to this much.
const SERVICES_MOST: u32 = 10;
/// Each decky after the first …
const FURTHER_DECKY: u32 = 5;
/// … up to this much.
const DECKIES_MOST: u32 = 15;
/// Each LAN after the first: movement through the maze …
const FURTHER_LAN: u32 = 10;
/// … up to this much.
const LANS_MOST: u32 = 20;

/// A score with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// 0 to 100.
    pub value: u8,
    /// What adds up to it, a sentence each, the order fixed.
    pub reasons: Vec<String>,
}

/// The score of what `attacker` has done so far; its own `score` and `reasons` are not looked at.
pub fn score(attacker: &Attacker) -> Score {
    let a = attacker;
    let terms = [
        (if a.sessions > 0 { TOUCHED } else { 0 }, counted(a.sessions, "opened", "session")),
        (
            growing(a.logins, FIRST_LOGIN, LOGINS_DOUBLED, LOGINS_MOST),
            counted(a.logins, "tried", "login"),
        ),
        (
            if a.logins_accepted > 0 { ACCEPTED } else { 0 },
            counted(a.logins_accepted, "got in with", "login"),
        ),
        (
            growing(a.commands, FIRST_COMMAND, COMMANDS_DOUBLED, COMMANDS_MOST),
            counted(a.commands, "gave", "command"),
        ),
        (
            growing(a.downloads, FIRST_DOWNLOAD, DOWNLOADS_DOUBLED, DOWNLOADS_MOST),
            counted(a.downloads, "tried", "download"),
        ),
        (
            growing(a.uploads, FIRST_UPLOAD, UPLOADS_DOUBLED, UPLOADS_MOST),
            counted(a.uploads, "left", "upload"),
        ),
        (
            growing(a.requests, FIRST_REQUEST, REQUESTS_DOUBLED, REQUESTS_MOST),
            counted(a.requests, "made", "request"),
        ),
        spread(a.services.len(), FURTHER_SERVICE, SERVICES_MOST, "service"),
        spread(a.deckies.len(), FURTHER_DECKY, DECKIES_MOST, "decky"),
        spread(a.lans.len(), FURTHER_LAN, LANS_MOST, "LAN"),
    ];
    let sum: u32 = terms.iter().map(|(weight, _)| weight).sum();
    let reasons = terms.into_iter().filter(|(weight, _)| *weight > 0).map(|(_, words)| words);
    Score { value: u8::try_from(sum.min(100)).unwrap_or(100), reasons: reasons.collect() }
}

/// `first` for the first, `doubled` for each doubling after it, at most `most`.
fn growing(count: u64, first: u32, doubled: u32, most: u32) -> u32 {
    count.checked_ilog2().map_or(0, |doublings| (first + doubled * doublings).min(most))
}

/// `further` for each of several after the first, at most `most`.
fn spread(distinct: usize, further: u32, most: u32, noun: &str) -> (u32, String) {
    let beyond = u32::try_from(distinct.saturating_sub(1)).unwrap_or(u32::MAX);
    (beyond.saturating_mul(further).min(most), counted(distinct as u64, "touched", noun))
}

fn counted(count: u64, verb: &str, noun: &str) -> String {
    match (count, noun) {
        (1, _) => format!("{verb} 1 {noun}"),
        (_, "decky") => format!("{verb} {count} deckies"),
        _ => format!("{verb} {count} {noun}s"),
    }
}

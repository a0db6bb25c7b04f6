//! Authentication (RFC 4252) as Debian 12's sshd is configured: public keys, which nobody has,
//! and passwords through PAM.
//!
//! Owns the count of attempts. It must not know channels. Delays are those of the daemon and of
//! PAM; they are given as durations, nothing sleeps here.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use model::{Persona, PersonaAccount, SessionFact, escape_text};
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

use super::{
    fatal::Fatal,
    message,
    packet::Opened,
    wire::{Reader, Writer},
};

/// `LoginGraceTime`.
pub(super) const GRACE: Duration = Duration::from_secs(120);
/// `MaxAuthTries`.
const MAX_TRIES: u32 = 6;
/// What can continue, as long as nobody is in.
const METHODS: &str = "publickey,password";
/// A public key together with our host key, as agents ask for it.
const HOST_BOUND: &str = "publickey-hostbound-v00@openssh.com";
/// Least time of a refusal (`MIN_FAIL_DELAY_SECONDS`), to which a share by user name is added.
const MIN_REFUSAL: Duration = Duration::from_millis(5);
/// What pam_unix asks for after a wrong password.
const PAM_DELAY_MICROS: u64 = 2_000_000;
/// What checking a yescrypt hash takes on the machines that personas claim.
const HASH_MICROS: std::ops::Range<u64> = 42_000..66_000;

/// What comes of a message.
pub(super) enum Answer {
    /// Send this.
    Send(Vec<u8>),
    /// The message is unknown here.
    Unimplemented,
    /// After the delay, act on the verdict; until then nothing else is read.
    Decide { delay: Duration, verdict: Verdict },
}

/// How a request for authentication ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It gets in.
    Accepted(PersonaAccount),
    /// It does not, and that counts.
    Refused,
    /// It does not, but was only a question.
    Asked,
}

/// The state of authentication.
#[derive(Default)]
pub(super) struct Auth {
    serving: bool,
    /// User and service of the first request: they may not change.
    subject: Option<(String, String)>,
    failures: u32,
}

/// What a request is decided on.
pub(super) struct Judge<'a, R> {
    pub(super) persona: &'a Persona,
    pub(super) random: &'a mut R,
    pub(super) facts: &'a mut Vec<SessionFact>,
}

impl Auth {
    /// Handles a message before anybody is in.
    pub(super) fn receive(
        &mut self,
        packet: &Opened,
        judge: &mut Judge<'_, impl Rng>,
    ) -> Result<Answer, Fatal> {
        let body = Reader::new(&packet.payload[1..]);
        match packet.number {
            message::SERVICE_REQUEST => self.service(body),
            message::USERAUTH_REQUEST if self.serving => self.request(body, judge),
            _ => Ok(Answer::Unimplemented),
        }
    }

    /// The answer to a refusal; the last one is a goodbye.
    pub(super) fn refuse(&mut self, verdict: &Verdict) -> Result<Vec<u8>, Fatal> {
        self.failures += u32::from(*verdict == Verdict::Refused);
        if self.failures >= MAX_TRIES {
            return Err(Fatal::disconnect("Too many authentication failures"));
        }
        Ok(Writer::message(message::USERAUTH_FAILURE).text(METHODS).bool(false).done())
    }

    fn service(&mut self, mut body: Reader<'_>) -> Result<Answer, Fatal> {
        let service = body.text()?;
        body.end()?;
        if service != "ssh-userauth" {
            return Err(Fatal::disconnect(format!("bad service request {service}")));
        }
        self.serving = true;
        Ok(Answer::Send(Writer::message(message::SERVICE_ACCEPT).text(&service).done()))
    }

    fn request(
        &mut self,
        mut body: Reader<'_>,
        judge: &mut Judge<'_, impl Rng>,
    ) -> Result<Answer, Fatal> {
        let (user, service, method) = (body.text()?, body.text()?, body.text()?);
        let first = self.subject.is_none();
        let subject = self.subject.get_or_insert_with(|| (user.clone(), service.clone()));
        if *subject != (user.clone(), service.clone()) {
            return Err(Fatal::disconnect(format!(
                "Change of username or service not allowed: ({},{}) -> ({user},{service})",
                subject.0, subject.1
            )));
        }
        let (delay, verdict) = match method.as_str() {
            "none" if first => (Duration::ZERO, Verdict::Asked),
            "none" => (Duration::ZERO, Verdict::Refused),
            "password" => password(&user, &service, body, judge)?,
            "publickey" | HOST_BOUND => {
                public_key(&user, method == HOST_BOUND, body, judge)?;
                (refusal_delay(&user, judge.persona), Verdict::Refused)
            }
            _ => (refusal_delay(&user, judge.persona), Verdict::Refused),
        };
        Ok(Answer::Decide { delay, verdict })
    }
}

/// Known and unknown users get the same answer in the same time.
fn password(
    user: &str,
    service: &str,
    mut body: Reader<'_>,
    judge: &mut Judge<'_, impl Rng>,
) -> Result<(Duration, Verdict), Fatal> {
    let change = body.bool()?;
    let secret = body.string()?;
    if change {
        body.string()?;
    }
    body.end()?;
    if secret.contains(&0) {
        return Err(Fatal::Close);
    }
    let account = std::str::from_utf8(secret)
        .ok()
        .filter(|_| !change && service == "ssh-connection")
        .and_then(|secret| judge.persona.login(user, secret));
    judge.facts.push(SessionFact::Login {
        principal: escape_text(user.as_bytes()),
        secret: escape_text(secret),
        method: "password".into(),
        accepted: account.is_some(),
    });
    let hashing = judge.random.random_range(HASH_MICROS);
    Ok(match account {
        Some(account) => (Duration::from_micros(hashing), Verdict::Accepted(account.clone())),
        None => {
            let micros = hashing + pam_delay(judge.random);
            (Duration::from_micros(micros), Verdict::Refused)
        }
    })
}

/// Nobody's key is known here; what was offered is recorded.
fn public_key(
    user: &str,
    host_bound: bool,
    mut body: Reader<'_>,
    judge: &mut Judge<'_, impl Rng>,
) -> Result<(), Fatal> {
    let signed = body.bool()?;
    let _algorithm = body.text()?;
    let key = body.string()?;
    if host_bound {
        body.string()?;
    }
    if signed {
        body.string()?;
    }
    body.end()?;
    judge.facts.push(SessionFact::Login {
        principal: escape_text(user.as_bytes()),
        secret: format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key))),
        method: "publickey".into(),
        accepted: false,
    });
    Ok(())
}

/// PAM's delay is the mean of three draws around what the module asked for.
fn pam_delay(random: &mut impl Rng) -> u64 {
    let sum: u64 = (0..3).map(|_| random.random_range(0..PAM_DELAY_MICROS)).sum();
    PAM_DELAY_MICROS / 2 + sum / 3
}

/// Fixed for a user name on one host, so that repeating does not average it away.
fn refusal_delay(user: &str, persona: &Persona) -> Duration {
    MIN_REFUSAL + Duration::from_micros(persona.draw(&format!("ssh.delay.{user}"), 4295))
}

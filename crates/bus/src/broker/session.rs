//! What a client's frames do: the conversation of one connection, as nats-server holds it.
//!
//! Bytes come from [`io`](super::io); what is published goes to [`router`](super::router). The
//! texts and whether they close are `ErrText`'s business.

use std::sync::{Arc, atomic::AtomicBool};

use super::{
    connection::{Blame, Close, Memo, Phase},
    limits::Limits,
    router::Router,
    sign_in::SignIn,
    table::{Owner, Subscription},
    turns::WORK,
};
use crate::{
    auth::{AuthError, User},
    matcher::{token_count, valid_filter, valid_literal},
    proto::{
        ClientFrame, ConnectOptions, ErrText, Parsed, ProtoError, ProtoLimits, is_blank,
        parse_client,
    },
};

impl Router {
    /// Does what the whole frames at the beginning of `input` say, until the client had its turn;
    /// returns how many bytes they are.
    pub(super) fn receive(&mut self, index: u32, input: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(index) else { return input.len() };
        let mut memo = std::mem::take(&mut connection.memo);
        let mut at = 0;
        self.work = 0;
        while at < input.len() && self.work < WORK {
            let Some(limits) = self.listens(index) else { break };
            match parse_client(&input[at..], limits) {
                Ok(Parsed::Frame { frame, used }) => {
                    let bytes = &input[at..at + used];
                    at += used;
                    self.work += 1;
                    self.frame(index, &mut memo, &frame, bytes);
                }
                Ok(Parsed::Incomplete { need }) => {
                    self.expect(index, need);
                    break;
                }
                Err(error) => {
                    if error == ProtoError::PayloadEnd {
                        self.doubt(index, &input[at..]);
                    }
                    self.reject(index, error);
                    break;
                }
            }
        }
        if let Some(connection) = self.connections.get_mut(index) {
            connection.memo = memo;
        }
        if self.work >= WORK {
            self.end_turn(index);
        }
        at
    }

    /// Whether the client's input is looked at now, and what it may send: who did not say who it
    /// is may not make us wait for a payload.
    #[inline]
    fn listens(&self, index: u32) -> Option<&ProtoLimits> {
        match self.connections.get(index)?.phase {
            Phase::Open => Some(&self.frame_limits),
            Phase::Strange => Some(&self.stranger_limits),
            Phase::SigningIn(_) | Phase::Closing(_) => None,
        }
    }

    fn expect(&mut self, index: u32, need: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.need = need;
        }
    }

    #[inline]
    fn frame(&mut self, index: u32, memo: &mut Memo, frame: &ClientFrame<'_>, bytes: &[u8]) {
        let Some(connection) = self.connections.get(index) else { return };
        let plain = matches!(frame, ClientFrame::Pub { hpub: false, .. });
        if plain && !connection.checked {
            return self.publish(index, memo, bytes, frame);
        }
        if matches!(connection.phase, Phase::Strange) && !matches!(frame, ClientFrame::Connect(_)) {
            return self.close(index, Close::told(Blame::Auth, &ErrText::AuthorizationViolation));
        }
        match *frame {
            ClientFrame::Connect(json) => self.connect(index, json),
            ClientFrame::Ping => self.say(index, b"PONG\r\n"),
            ClientFrame::Pong => self.pong(index),
            ClientFrame::Info | ClientFrame::Ok_ => {}
            ClientFrame::Err(_) => self.close(index, Close::Silent),
            ClientFrame::Pub { subject, hpub, .. } => {
                if self.may_publish(index, subject, hpub) {
                    self.publish(index, memo, bytes, frame);
                }
            }
            ClientFrame::Sub { subject, queue, sid } => self.subscribe(index, subject, queue, sid),
            ClientFrame::Unsub { sid, max } => self.unsubscribe_sid(index, sid, max),
        }
    }

    #[cold]
    fn reject(&mut self, index: u32, error: ProtoError) {
        let strange =
            self.connections.get(index).is_some_and(|c| matches!(c.phase, Phase::Strange));
        let why = match error.text() {
            Some(ErrText::MaximumPayload) if strange => {
                Close::told(Blame::Auth, &ErrText::AuthorizationViolation)
            }
            Some(text) => Close::told(Blame::Protocol, &text),
            None => Close::Silent,
        };
        self.close(index, why);
    }

    /// What a pedantic client hears about the subject of a publish whose payload is wrong: it is
    /// looked at as soon as the control line is there.
    #[cold]
    fn doubt(&mut self, index: u32, publish: &[u8]) {
        let Some(connection) = self.connections.get(index) else { return };
        let mut words = publish.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
        let hpub = words.next().is_some_and(|verb| verb.eq_ignore_ascii_case(b"HPUB"));
        let heard = matches!(connection.phase, Phase::Open)
            && connection.options.pedantic
            && (!hpub || connection.options.headers);
        if heard && words.next().is_some_and(|subject| !valid_literal(subject)) {
            self.complain(index, &ErrText::InvalidPublishSubject);
        }
    }

    /// The checks of a publish, and what the client hears about them.
    fn may_publish(&mut self, index: u32, subject: &[u8], hpub: bool) -> bool {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(index) else { return false };
        if hpub && !connection.options.headers {
            self.close(index, Close::Silent);
            return false;
        }
        let (pedantic, verbose) = (connection.options.pedantic, connection.options.verbose);
        let allowed = connection.may_publish(subject, now);
        if pedantic && !valid_literal(subject) {
            self.complain(index, &ErrText::InvalidPublishSubject);
        }
        if !allowed {
            self.complain(index, &ErrText::PublishPermission { subject });
        } else if verbose {
            self.say(index, b"+OK\r\n");
        }
        allowed
    }

    fn ok(&mut self, index: u32) {
        if self.connections.get(index).is_some_and(|c| c.options.verbose) {
            self.say(index, b"+OK\r\n");
        }
    }

    fn pong(&mut self, index: u32) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.clock.pings_out = 0;
        if let Some(sent) = connection.clock.ping_sent.take() {
            connection.clock.rtt = Some(now.saturating_duration_since(sent));
        }
    }

    fn connect(&mut self, index: u32, json: &[u8]) {
        let Some(connection) = self.connections.get(index) else { return };
        let Ok(options) = connection.options.parse_again(json) else {
            return self.close(index, Close::Silent);
        };
        if let Some(text) = refused(&options) {
            return self.close(index, Close::told(Blame::Protocol, &text));
        }
        let Some(connection) = self.connections.get(index) else { return };
        let peer = connection.peer;
        if self.auth.required(&peer) || has_credentials(&options) {
            self.sign_in(index, options);
        } else {
            // Nothing to check, so nothing slow.
            let outcome = self.auth.authenticate(&options, b"", &peer);
            self.signed_in(index, options, outcome);
        }
    }

    /// Has the authenticating threads look at what the client said; it is deaf meanwhile.
    fn sign_in(&mut self, index: u32, options: ConnectOptions) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let abandoned = Arc::new(AtomicBool::new(false));
        connection.phase = Phase::SigningIn(Arc::clone(&abandoned));
        let (cid, peer, nonce) = (connection.cid, connection.peer, connection.nonce.clone());
        let auth = Arc::clone(&self.auth);
        let job = SignIn { index, cid, auth, options, nonce, peer, abandoned };
        self.sign_in.submit(job);
        self.watch(index);
    }

    /// The client is, or is not, who it says.
    pub(super) fn signed_in(
        &mut self,
        index: u32,
        options: ConnectOptions,
        outcome: Result<Arc<User>, AuthError>,
    ) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        match outcome {
            Ok(user) if connection.account() != user.account && !connection.sids.is_empty() => {
                // Its subscriptions are of another account.
                self.close(index, Close::told(Blame::Auth, &ErrText::AuthorizationViolation));
            }
            Ok(user) => {
                connection.options = strip_secrets(options);
                connection.admit(user);
                self.ok(index);
                self.watch(index);
            }
            Err(error) => {
                let id = connection.cid;
                tracing::debug!(
                    connection.id = id,
                    error = &error as &dyn std::error::Error,
                    "sign-in refused"
                );
                self.close(index, Close::told(Blame::Auth, &ErrText::AuthorizationViolation));
            }
        }
    }

    fn subscribe(&mut self, index: u32, filter: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        let Some(connection) = self.connections.get(index) else { return };
        let Limits { max_subscriptions_per_client: most, max_filter_tokens, .. } = self.limits;
        let tokens = token_count(filter);
        let long = max_filter_tokens > 0 && tokens > max_filter_tokens;
        self.work += 4 * tokens;
        let refusal = if !connection.may_subscribe(filter, queue) {
            Some(ErrText::SubscribePermission { subject: filter, queue })
        } else if most > 0 && connection.sids.len() >= most {
            Some(ErrText::MaximumSubscriptions)
        } else if (long || !valid_filter(filter)) && !connection.sids.contains_key(sid) {
            // of a sid that is taken nothing is looked at
            Some(ErrText::InvalidSubject)
        } else {
            None
        };
        match refusal {
            Some(text) => self.complain(index, &text),
            None if self.insert(index, filter, queue, sid) => self.ok(index),
            None => self.complain(index, &ErrText::MaximumSubscriptions),
        }
    }

    /// A sid that is taken keeps its first subscription; false where there is no memory for it.
    fn insert(&mut self, index: u32, filter: &[u8], queue: Option<&[u8]>, sid: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return true };
        if connection.is_closing() || connection.sids.contains_key(sid) {
            return true;
        }
        let subscription = Subscription {
            owner: Owner::Connection(index),
            account: connection.account(),
            sid: [sid, b" "].concat().into(),
            filter: filter.into(),
            group: queue.map(Into::into),
            delivered: 0,
            max: 0,
            checked: connection.checks_delivery(filter),
        };
        let cost = subscription.cost();
        if connection.subscribed + cost > self.limits.max_subscription_bytes_per_client
            || self.table.bytes() + cost > self.limits.max_subscription_bytes_total
        {
            return false;
        }
        connection.subscribed += cost;
        connection.sids.insert(sid.into(), self.table.insert(subscription));
        self.count_remote_subscriptions(1);
        true
    }

    /// `max` counts from the beginning of the subscription; what was reached already ends it now.
    fn unsubscribe_sid(&mut self, index: u32, sid: &[u8], max: Option<u64>) {
        let Some(connection) = self.connections.get(index) else { return };
        if let Some(&id) = connection.sids.get(sid) {
            self.unsubscribe_after(id, max);
        }
        self.ok(index);
    }

    /// Ends a subscription after `max` messages in all, or now.
    pub(super) fn unsubscribe_after(&mut self, id: u32, max: Option<u64>) {
        let Some(subscription) = self.table.get_mut(id) else { return };
        match max {
            Some(max) if max > subscription.delivered => subscription.max = max,
            _ => self.unsubscribe(id),
        }
    }
}

/// What is wrong with a CONNECT that can be read.
fn refused(options: &ConnectOptions) -> Option<ErrText<'static>> {
    if !(0..=1).contains(&options.protocol) {
        return Some(ErrText::InvalidClientProtocol);
    }
    (options.no_responders && !options.headers).then_some(ErrText::NoRespondersRequiresHeaders)
}

fn has_credentials(options: &ConnectOptions) -> bool {
    let ConnectOptions { user, pass, auth_token, nkey, sig, jwt, .. } = options;
    [user, pass, auth_token, nkey, sig, jwt].into_iter().flatten().any(|said| !said.is_empty())
}

/// Nobody needs them again, and statistics must not show them.
fn strip_secrets(options: ConnectOptions) -> ConnectOptions {
    ConnectOptions { pass: None, auth_token: None, sig: None, jwt: None, ..options }
}

//! The transport layer (RFC 4253): identification, key exchange and rekeying, strict as in
//! `kex-strict-*-v00@openssh.com`. Bytes go in, messages of the upper layers come out.
//!
//! Owns both directions and the session identifier. It must not know authentication or
//! channels. States: see [`State`]; OpenSSH names are those of kex.c and packet.c.

use model::{Persona, SessionFact, escape_text};
use rand::{Rng, rngs::ChaCha20Rng};

use super::{
    algorithms::{Agreement, ClientProposal, KexMethod, SERVER_SIG_ALGS, our_kexinit},
    fatal::Fatal,
    hostkey::HostKeys,
    kex::{self, Exchanged, dh, moduli},
    message,
    packet::{Inbox, Keys, Opened, Opener, Sealer},
    version::{self, Identified, LineReader},
    wire::{Reader, Writer},
};

/// Received bytes that wait: one whole packet and what a visitor sends ahead while a login is
/// being delayed. Beyond this the connection closes.
const MAX_INBOX_BYTES: usize = 1 << 20;
/// Payloads that wait for the end of a key exchange, in bytes.
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// New keys are asked for after this many bytes in one direction, as RFC 4253 section 9 advises.
const REKEY_BYTES: u64 = 1 << 30;
/// New keys are asked for after this many packets in one direction (`MAX_PACKETS`).
const REKEY_PACKETS: u64 = 1 << 31;

/// What the transport waits for.
enum State {
    /// The visitor's identification string.
    Identification(LineReader),
    /// Nothing: messages flow.
    Open,
    /// The visitor's KEXINIT; ours is sent.
    Proposal { ours: Vec<u8> },
    /// Its first message of the method agreed on.
    Exchange(Exchange),
    /// `SSH_MSG_KEX_DH_GEX_INIT` for the group that was sent.
    GroupInit { exchange: Exchange, group: dh::Group, wish: Vec<u8> },
    /// Its NEWKEYS; ours is sent.
    NewKeys { inbound: Keys },
}

/// A key exchange on its way.
struct Exchange {
    agreement: Agreement,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    skip: bool,
}

/// The transport of one connection.
pub(super) struct Transport {
    identification: String,
    client: Vec<u8>,
    host_keys: HostKeys,
    random: ChaCha20Rng,
    state: State,
    inbox: Inbox,
    opener: Opener,
    sealer: Sealer,
    wire: Vec<u8>,
    queue: Vec<Vec<u8>>,
    queued_bytes: usize,
    facts: Vec<SessionFact>,
    session_id: Vec<u8>,
    authenticated: bool,
    strict: bool,
    ext_info: bool,
    rekey_bytes: u64,
}

impl Transport {
    pub(super) fn new(persona: &Persona, random: ChaCha20Rng) -> Self {
        Self {
            identification: version::identification(persona),
            client: Vec::new(),
            host_keys: HostKeys::derive(persona),
            random,
            state: State::Identification(LineReader::default()),
            inbox: Inbox::default(),
            opener: Opener::default(),
            sealer: Sealer::default(),
            wire: Vec::new(),
            queue: Vec::new(),
            queued_bytes: 0,
            facts: Vec::new(),
            session_id: Vec::new(),
            authenticated: false,
            strict: false,
            ext_info: false,
            rekey_bytes: REKEY_BYTES,
        }
    }

    /// Sends our identification.
    pub(super) fn open(&mut self) {
        self.wire.extend_from_slice(self.identification.as_bytes());
        self.wire.extend_from_slice(b"\r\n");
    }

    /// Takes bytes of the visitor.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        if self.inbox.len() + bytes.len() > MAX_INBOX_BYTES {
            return Err(Fatal::Close);
        }
        self.inbox.push(bytes);
        Ok(())
    }

    /// The next message for the upper layers, where one is complete.
    pub(super) fn next(&mut self) -> Result<Option<Opened>, Fatal> {
        loop {
            if !self.identify()? {
                return Ok(None);
            }
            self.rekey_if_due()?;
            let Some(packet) = self.opener.open(&mut self.inbox)? else { return Ok(None) };
            if let Some(packet) = self.receive(packet)? {
                return Ok(Some(packet));
            }
        }
    }

    /// Sends a message of the upper layers; while keys are exchanged it waits.
    pub(super) fn send(&mut self, payload: Vec<u8>) -> Result<(), Fatal> {
        match self.state {
            State::Open | State::NewKeys { .. } => self.seal(&payload),
            _ => {
                self.queued_bytes += payload.len();
                self.queue.push(payload);
                if self.queued_bytes > MAX_QUEUED_BYTES {
                    return Err(Fatal::Close);
                }
            }
        }
        Ok(())
    }

    /// Says goodbye where the way to end asks for it.
    pub(super) fn end(&mut self, fatal: &Fatal) {
        let identifying = matches!(self.state, State::Identification(_));
        if let (Fatal::Disconnect(text), false) = (fatal, identifying) {
            let goodbye = Writer::message(message::DISCONNECT).u32(message::PROTOCOL_ERROR);
            self.seal(&goodbye.text(text).text("").done());
        }
    }

    /// Authentication is over: delayed compression begins.
    pub(super) fn authenticated(&mut self) {
        self.authenticated = true;
        self.opener.authenticated();
        self.sealer.authenticated();
    }

    /// Takes what must go to the visitor.
    pub(super) fn take_wire(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }

    /// Takes what was learned about the client.
    pub(super) fn take_facts(&mut self) -> Vec<SessionFact> {
        std::mem::take(&mut self.facts)
    }

    /// The exchange hash of the first exchange; empty before its end.
    pub(super) fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    pub(super) fn host_keys(&self) -> &HostKeys {
        &self.host_keys
    }

    pub(super) fn random(&mut self) -> &mut ChaCha20Rng {
        &mut self.random
    }

    /// Whether the client calls itself OpenSSH: such clients are told `eow@openssh.com`.
    pub(super) fn client_is_openssh(&self) -> bool {
        self.client.windows(8).any(|window| window == b"OpenSSH_")
    }

    #[cfg(test)]
    pub(super) fn rekey_after(&mut self, bytes: u64) {
        self.rekey_bytes = bytes;
    }

    fn seal(&mut self, payload: &[u8]) {
        self.sealer.seal(payload, &mut self.random, &mut self.wire);
    }

    /// Reads the identification; whether it is complete.
    fn identify(&mut self) -> Result<bool, Fatal> {
        let State::Identification(reader) = &mut self.state else { return Ok(true) };
        let (read, identified) = reader.read(self.inbox.bytes());
        self.inbox.consume(read);
        match identified {
            Identified::Partial => Ok(false),
            Identified::Ignored => Err(Fatal::Close),
            Identified::Refused(answer) => {
                self.wire.extend_from_slice(answer.as_bytes());
                Err(Fatal::Close)
            }
            Identified::Client(line) => {
                self.learn("ssh.banner", escape_text(&line));
                self.client = line;
                self.propose();
                Ok(true)
            }
        }
    }

    fn learn(&mut self, name: &str, value: String) {
        self.facts.push(SessionFact::Fingerprint { name: name.into(), value });
    }

    fn propose(&mut self) {
        let mut cookie = [0; 16];
        self.random.fill_bytes(&mut cookie);
        let ours = our_kexinit(cookie);
        self.seal(&ours);
        self.state = State::Proposal { ours };
    }

    fn rekey_if_due(&mut self) -> Result<(), Fatal> {
        let due =
            |(packets, bytes): (u64, u64)| packets >= REKEY_PACKETS || bytes >= self.rekey_bytes;
        let due = due(self.opener.used()) || due(self.sealer.used());
        if let (State::Open, true, true) = (&self.state, self.authenticated, due) {
            self.propose();
        }
        Ok(())
    }

    /// Whether the first exchange is not over (`KEX_INITIAL`).
    fn first_exchange(&self) -> bool {
        !self.opener.has_keys()
    }

    /// Handles what belongs to this layer; gives back the rest.
    fn receive(&mut self, packet: Opened) -> Result<Option<Opened>, Fatal> {
        if packet.number == message::DISCONNECT {
            return Err(Fatal::Close);
        }
        let strict = self.strict && self.first_exchange();
        match packet.number {
            message::IGNORE | message::DEBUG | message::UNIMPLEMENTED if !strict => Ok(None),
            number if number > message::TRANSPORT_LAST => self.upper(packet),
            _ => self.transport(packet, strict),
        }
    }

    fn upper(&self, packet: Opened) -> Result<Option<Opened>, Fatal> {
        match self.first_exchange() {
            true => Err(Fatal::Close),
            false => Ok(Some(packet)),
        }
    }

    fn transport(&mut self, packet: Opened, strict: bool) -> Result<Option<Opened>, Fatal> {
        match (std::mem::replace(&mut self.state, State::Open), packet.number) {
            (State::Proposal { ours }, message::KEXINIT) => self.agree(ours, packet)?,
            (State::Open, message::KEXINIT) => {
                self.propose();
                if let State::Proposal { ours } = std::mem::replace(&mut self.state, State::Open) {
                    self.agree(ours, packet)?;
                }
            }
            (State::Exchange(exchange), number) if exchange.takes(number) => {
                self.exchange(exchange, &packet)?;
            }
            (State::GroupInit { exchange, group, wish }, message::GEX_INIT) => {
                let mut body = Reader::new(&packet.payload[1..]);
                let client = body.string()?;
                body.end()?;
                let done = dh::respond(&group, client, &mut self.random)?;
                let middle = Writer::blob()
                    .raw(&wish)
                    .mpint(&group.prime_bytes())
                    .mpint(&group.generator.to_be_bytes())
                    .done();
                self.reply(&exchange, message::GEX_REPLY, &middle, client, &done);
            }
            (State::NewKeys { inbound }, message::NEWKEYS) => {
                Reader::new(&packet.payload[1..]).end()?;
                self.opener.renew(inbound, self.strict, self.authenticated);
            }
            (State::Open, message::SERVICE_REQUEST) if !strict => return Ok(Some(packet)),
            (state, number) => {
                self.state = state;
                self.unexpected(number, packet.seq, strict)?;
            }
        }
        Ok(None)
    }

    fn unexpected(&mut self, number: u8, seq: u32, strict: bool) -> Result<(), Fatal> {
        if strict {
            return Err(Fatal::disconnect(format!(
                "strict KEX violation: unexpected packet type {number} (seqnr {seq})"
            )));
        }
        self.seal(&Writer::message(message::UNIMPLEMENTED).u32(seq).done());
        Ok(())
    }

    /// The visitor's KEXINIT has come.
    fn agree(&mut self, ours: Vec<u8>, packet: Opened) -> Result<(), Fatal> {
        let proposal = ClientProposal::parse(&packet.payload)?;
        if self.session_id.is_empty() {
            self.learn("hassh", proposal.hassh());
            self.ext_info = proposal.ext_info();
            self.strict = proposal.strict();
            if self.strict && packet.seq != 0 {
                return Err(Fatal::disconnect(
                    "strict KEX violation: KEXINIT was not the first packet",
                ));
            }
        }
        let agreement = proposal.agree().ok_or(Fatal::Close)?;
        let skip = agreement.skip_guess;
        self.state = State::Exchange(Exchange { agreement, ours, theirs: packet.payload, skip });
        Ok(())
    }

    /// The visitor's first message of the method has come.
    fn exchange(&mut self, mut exchange: Exchange, packet: &Opened) -> Result<(), Fatal> {
        if std::mem::take(&mut exchange.skip) {
            self.state = State::Exchange(exchange);
            return Ok(());
        }
        let body = &packet.payload[1..];
        if exchange.agreement.kex == KexMethod::GroupExchange {
            return self.choose_group(exchange, body);
        }
        let mut reader = Reader::new(body);
        let client = reader.string()?;
        reader.end()?;
        let done = kex::respond(exchange.agreement.kex, client, &mut self.random)?;
        self.reply(&exchange, message::KEXDH_REPLY, &[], client, &done);
        Ok(())
    }

    fn choose_group(&mut self, exchange: Exchange, wish: &[u8]) -> Result<(), Fatal> {
        let mut reader = Reader::new(wish);
        let (min, wanted, max) = (reader.u32()?, reader.u32()?, reader.u32()?);
        reader.end()?;
        if max < min || wanted < min || max < wanted || max < 2048 {
            return Err(Fatal::Close);
        }
        let group = moduli::choose(min, wanted, max, &mut self.random);
        let offer = Writer::message(message::GEX_GROUP)
            .mpint(&group.prime_bytes())
            .mpint(&group.generator.to_be_bytes());
        self.seal(&offer.done());
        self.state = State::GroupInit { exchange, group, wish: wish.to_vec() };
        Ok(())
    }

    /// Signs the exchange, replies, and changes to the new keys.
    fn reply(
        &mut self,
        exchange: &Exchange,
        number: u8,
        middle: &[u8],
        client: &[u8],
        done: &Exchanged,
    ) {
        let Agreement { kex, host_key, inbound, outbound, .. } = exchange.agreement;
        let hash = kex.hash();
        let public = self.host_keys.public(host_key.kind());
        let transcript = Writer::blob()
            .string(&self.client)
            .text(&self.identification)
            .string(&exchange.theirs)
            .string(&exchange.ours)
            .string(&public)
            .raw(middle)
            .string(client)
            .string(&done.public)
            .raw(&done.secret);
        let digest = hash.digest(&[&transcript.done()]);
        let signature = self.host_keys.sign(host_key, &digest);
        let reply = Writer::message(number).string(&public).string(&done.public).string(&signature);
        self.seal(&reply.done());
        let first = self.session_id.is_empty();
        if first {
            self.session_id = digest.clone();
        }
        let material = |letter: u8, count: usize| {
            let mut key =
                hash.digest(&[&done.secret, &digest, &[letter], self.session_id.as_slice()]);
            while key.len() < count {
                let more = hash.digest(&[&done.secret, &digest, &key]);
                key.extend(more);
            }
            key.truncate(count);
            key
        };
        let outbound = Keys::derive(outbound, *b"BDF", material);
        let inbound = Keys::derive(inbound, *b"ACE", material);
        self.change_keys(inbound, outbound, first);
    }

    fn change_keys(&mut self, inbound: Keys, outbound: Keys, first: bool) {
        self.seal(&[message::NEWKEYS]);
        self.sealer.renew(outbound, self.strict, self.authenticated);
        if first && self.ext_info {
            let info = Writer::message(message::EXT_INFO)
                .u32(2)
                .text("server-sig-algs")
                .text(SERVER_SIG_ALGS)
                .text("publickey-hostbound@openssh.com")
                .text("0");
            self.seal(&info.done());
        }
        self.state = State::NewKeys { inbound };
        self.queued_bytes = 0;
        for payload in std::mem::take(&mut self.queue) {
            self.seal(&payload);
        }
    }
}

impl Exchange {
    /// Whether this message begins the method agreed on, or is the guess to be skipped.
    fn takes(&self, number: u8) -> bool {
        if self.skip {
            return true;
        }
        match self.agreement.kex {
            KexMethod::GroupExchange => number == message::GEX_REQUEST,
            _ => number == message::KEXDH_INIT,
        }
    }
}

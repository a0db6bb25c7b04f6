//! A small client without I/O that talks to a session in virtual time, and checks what a real
//! client would check: the exchange hash and the signature over it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ed25519_dalek::Verifier;
use model::{Ambient, Archetype, InstallationSecret, Persona, SessionFact, Timestamp};
use p256::elliptic_curve::{
    CurveArithmetic, FieldBytesSize, Generate, PublicKey, SecretKey,
    point::AffinePoint,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use rand::{SeedableRng, rngs::ChaCha20Rng};
use rsa::{BoxedUint, RsaPublicKey, pkcs1v15};
use sha2::{Digest, Sha256, Sha512};
use sntrup761::{Ciphertext, DecapsulationKey};
use x25519_dalek::{PublicKey as X25519Public, StaticSecret};

use super::super::{
    SshSession,
    algorithms::{CipherName, Compression, HostKeyAlgorithm, KexMethod, MacName, Protection},
    kex::{dh, moduli},
    message,
    packet::{Inbox, Keys, Opened, Opener, Sealer},
    wire::{Reader, Writer},
};
use crate::{Flow, Output, Session};

pub(super) const IDENTIFICATION: &str = "SSH-2.0-OpenSSH_9.2 test";

/// What the client asks for: one algorithm of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) kex: KexMethod,
    pub(super) host_key: HostKeyAlgorithm,
    pub(super) cipher: CipherName,
    pub(super) mac: MacName,
    pub(super) compression: Compression,
    pub(super) strict: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            kex: KexMethod::Curve25519,
            host_key: HostKeyAlgorithm::Ed25519,
            cipher: CipherName::ChaChaPoly,
            mac: MacName::Sha256Etm,
            compression: Compression::None,
            strict: true,
        }
    }
}

impl Wish {
    pub(super) fn kexinit(self) -> Vec<u8> {
        let strict = if self.strict { ",kex-strict-c-v00@openssh.com" } else { "" };
        Writer::message(message::KEXINIT)
            .raw(&[7; 16])
            .text(&format!("{},ext-info-c{strict}", self.kex.name()))
            .text(self.host_key.name())
            .text(self.cipher.name())
            .text(self.cipher.name())
            .text(self.mac.name())
            .text(self.mac.name())
            .text(self.compression.name())
            .text(self.compression.name())
            .text("")
            .text("")
            .bool(false)
            .u32(0)
            .done()
    }

    fn protection(self) -> Protection {
        let mac = (!self.cipher.is_aead()).then_some(self.mac);
        Protection { cipher: self.cipher, mac, compression: self.compression }
    }
}

/// One thing that was done to a session, to be done again.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Receive(Vec<u8>),
    Expire,
}

pub(super) fn persona() -> Arc<Persona> {
    let ambient = Ambient::seeded(1, start());
    let name = "web1".parse().unwrap();
    let secret = InstallationSecret::new([3; 32]);
    Arc::new(Persona::derive(&secret, ambient.id(), &name, Archetype::LinuxServer))
}

pub(super) fn start() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub(super) fn session(persona: &Arc<Persona>) -> SshSession {
    let address: SocketAddr = "10.66.1.5:22".parse().unwrap();
    SshSession::new(persona.clone(), [5; 32], address, "10.66.1.9:40000".parse().unwrap())
}

/// A client with its session.
pub(super) struct Pair {
    pub(super) session: SshSession,
    pub(super) now: Timestamp,
    pub(super) flow: Flow,
    pub(super) facts: Vec<SessionFact>,
    pub(super) steps: Vec<(Timestamp, Step)>,
    pub(super) wire: Vec<u8>,
    pub(super) session_id: Vec<u8>,
    pub(super) identification: String,
    inbox: Inbox,
    opener: Opener,
    sealer: Sealer,
    random: ChaCha20Rng,
    authenticated: bool,
}

impl Pair {
    /// Identifications are exchanged.
    pub(super) fn new(persona: &Arc<Persona>) -> Self {
        let mut pair = Self {
            session: session(persona),
            now: start(),
            flow: Flow::Continue,
            facts: Vec::new(),
            steps: Vec::new(),
            wire: Vec::new(),
            session_id: Vec::new(),
            identification: String::new(),
            inbox: Inbox::default(),
            opener: Opener::default(),
            sealer: Sealer::default(),
            random: ChaCha20Rng::from_seed([8; 32]),
            authenticated: false,
        };
        let mut out = Output::new();
        pair.flow = pair.session.open(pair.now, &mut out);
        pair.take(&mut out);
        let end = pair.inbox.bytes().iter().position(|&b| b == b'\n').unwrap() + 1;
        let line = pair.inbox.bytes()[..end].to_vec();
        pair.inbox.consume(end);
        pair.identification = String::from_utf8(line).unwrap().trim_end().to_owned();
        pair.raw(format!("{IDENTIFICATION}\r\n").as_bytes());
        pair
    }

    fn take(&mut self, out: &mut Output) {
        let wire = out.take_wire();
        self.wire.extend_from_slice(&wire);
        self.inbox.push(&wire);
        self.facts.extend(out.take_facts());
    }

    /// Sends bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let mut out = Output::new();
        self.steps.push((self.now, Step::Receive(bytes.to_vec())));
        self.flow = self.session.receive(self.now, bytes, &mut out);
        self.take(&mut out);
    }

    /// Lets time pass until the session's next deadline; says how much.
    pub(super) fn wait(&mut self) -> Duration {
        let at = self.session.deadline().expect("the session waits for something");
        let passed = at.since(self.now);
        self.now = at;
        let mut out = Output::new();
        self.steps.push((self.now, Step::Expire));
        self.flow = self.session.expire(self.now, &mut out);
        self.take(&mut out);
        passed
    }

    pub(super) fn send(&mut self, message: Writer) {
        let mut wire = Vec::new();
        self.sealer.seal(&message.done(), &mut self.random, &mut wire);
        self.raw(&wire);
    }

    /// The next message of the server, if there is one.
    pub(super) fn next(&mut self) -> Option<Opened> {
        self.opener.open(&mut self.inbox).expect("the server's packets are good")
    }

    /// The next message, which must have this number; without the number.
    #[track_caller]
    pub(super) fn expect(&mut self, number: u8) -> Vec<u8> {
        let packet = self.next().expect("the server sent something");
        assert_eq!(packet.number, number, "{:?}", String::from_utf8_lossy(&packet.payload));
        packet.payload[1..].to_vec()
    }

    /// The text of the server's goodbye.
    #[track_caller]
    pub(super) fn goodbye(&mut self) -> String {
        assert_eq!(self.flow, Flow::Close);
        let body = self.expect(message::DISCONNECT);
        let mut reader = Reader::new(&body);
        assert_eq!(reader.u32(), Ok(2));
        reader.text().unwrap()
    }

    /// Exchanges keys; the server must have offered already, or does so now.
    pub(super) fn exchange(&mut self, wish: Wish, host_keys: &mut Vec<Vec<u8>>) {
        let theirs = match self.next() {
            Some(offer) => offer.payload,
            None => Vec::new(),
        };
        let ours = wish.kexinit();
        self.send(Writer::blob().raw(&ours));
        let theirs = match theirs.is_empty() {
            true => self.next().unwrap().payload,
            false => theirs,
        };
        assert_eq!(theirs[0], message::KEXINIT);
        let (host_key, middle, client, server, secret, signature) = self.method(wish);
        let hash = wish.kex.hash();
        let transcript = Writer::blob()
            .text(IDENTIFICATION)
            .text(&self.identification)
            .string(&ours)
            .string(&theirs)
            .string(&host_key)
            .raw(&middle)
            .string(&client)
            .string(&server)
            .raw(&secret)
            .done();
        let digest = hash.digest(&[&transcript]);
        verify(wish.host_key, &host_key, &digest, &signature);
        host_keys.push(host_key);
        self.expect(message::NEWKEYS);
        let first = self.session_id.is_empty();
        if first {
            self.session_id = digest.clone();
        }
        let session_id = self.session_id.clone();
        let material = |letter: u8, count: usize| {
            let mut key = hash.digest(&[&secret, &digest, &[letter], session_id.as_slice()]);
            while key.len() < count {
                let more = hash.digest(&[&secret, &digest, &key]);
                key.extend(more);
            }
            key.truncate(count);
            key
        };
        let protection = wish.protection();
        let inbound = Keys::derive(protection, *b"BDF", material);
        self.opener.renew(inbound, wish.strict, self.authenticated);
        self.send(Writer::message(message::NEWKEYS));
        let outbound = Keys::derive(protection, *b"ACE", material);
        self.sealer.renew(outbound, wish.strict, self.authenticated);
        if first {
            let info = self.expect(message::EXT_INFO);
            assert!(String::from_utf8_lossy(&info).contains("server-sig-algs"));
        }
    }

    /// Host key, what a group exchange adds, both public values, secret, signature.
    #[allow(clippy::type_complexity)]
    fn method(&mut self, wish: Wish) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
        let mut middle = Vec::new();
        let (mut init, mut reply) = (message::KEXDH_INIT, message::KEXDH_REPLY);
        let group = match wish.kex {
            KexMethod::GroupExchange => {
                let request = [2048u32, 3072, 8192].map(u32::to_be_bytes).concat();
                self.send(Writer::message(message::GEX_REQUEST).raw(&request));
                let offer = self.expect(message::GEX_GROUP);
                middle = [request, offer.clone()].concat();
                (init, reply) = (message::GEX_INIT, message::GEX_REPLY);
                let mut reader = Reader::new(&offer);
                let prime = reader.string().unwrap();
                assert_eq!(prime.len(), 3072 / 8 + 1);
                let generator = u32::from(reader.string().unwrap()[0]);
                Some((prime[1..].to_vec(), generator))
            }
            KexMethod::Group14 => Some((moduli::fixed("group14").prime_bytes(), 2)),
            KexMethod::Group16 => Some((moduli::fixed("group16").prime_bytes(), 2)),
            KexMethod::Group18 => Some((moduli::fixed("group18").prime_bytes(), 2)),
            _ => None,
        };
        let (public, finish) = begin(wish.kex, group, &mut self.random);
        self.send(Writer::message(init).string(&public));
        let body = self.expect(reply);
        let mut reader = Reader::new(&body);
        let mut field = || reader.string().unwrap().to_vec();
        let (host_key, server, signature) = (field(), field(), field());
        let secret = finish(&server);
        (host_key, middle, public, server, secret, signature)
    }

    /// Logs in as root.
    pub(super) fn log_in(&mut self, password: &str) {
        self.send(Writer::message(message::SERVICE_REQUEST).text("ssh-userauth"));
        self.expect(message::SERVICE_ACCEPT);
        self.password("root", password);
        self.wait();
        self.expect(message::USERAUTH_SUCCESS);
        self.authenticated = true;
        self.opener.authenticated();
        self.sealer.authenticated();
        let announced = self.expect(message::GLOBAL_REQUEST);
        assert!(announced.windows(11).any(|w| w == b"hostkeys-00"));
    }

    pub(super) fn password(&mut self, user: &str, password: &str) {
        self.send(
            Writer::message(message::USERAUTH_REQUEST)
                .text(user)
                .text("ssh-connection")
                .text("password")
                .bool(false)
                .text(password),
        );
    }

    /// Opens a session channel with this window.
    pub(super) fn open_channel(&mut self, window: u32) {
        self.send(
            Writer::message(message::CHANNEL_OPEN).text("session").u32(3).u32(window).u32(32_768),
        );
        let body = self.expect(message::CHANNEL_OPEN_CONFIRMATION);
        assert_eq!(body, [3u32, 0, 0, 32_768].map(u32::to_be_bytes).concat());
    }

    pub(super) fn request(&mut self, name: &str, more: Writer) {
        let request = Writer::message(message::CHANNEL_REQUEST).u32(0).text(name).bool(true);
        self.send(request.raw(&more.done()));
    }
}

type Finish = Box<dyn FnOnce(&[u8]) -> Vec<u8>>;

/// The client's public value, and how it gets to the encoded secret.
fn begin(
    kex: KexMethod,
    group: Option<(Vec<u8>, u32)>,
    random: &mut ChaCha20Rng,
) -> (Vec<u8>, Finish) {
    match kex {
        KexMethod::Curve25519 | KexMethod::Curve25519Libssh => {
            let secret = StaticSecret::random_from_rng(random);
            let public = X25519Public::from(&secret).to_bytes().to_vec();
            (public, Box::new(move |server| Writer::blob().mpint(&point(&secret, server)).done()))
        }
        KexMethod::Sntrup | KexMethod::SntrupOpenssh => {
            let (kem, key): (_, DecapsulationKey) =
                sntrup761::generate_key(ChaCha20Rng::from_seed([4; 32]));
            let secret = StaticSecret::random_from_rng(random);
            let public = [kem.as_ref(), X25519Public::from(&secret).as_bytes().as_slice()].concat();
            let finish = move |server: &[u8]| {
                let (sealed, server) = server.split_at(sntrup761::CIPHERTEXT_SIZE);
                let kem = key.decapsulate(&Ciphertext::try_from(sealed).unwrap());
                let digest = Sha512::new()
                    .chain_update(kem.as_ref())
                    .chain_update(point(&secret, server))
                    .finalize();
                Writer::blob().string(&digest).done()
            };
            (public, Box::new(finish))
        }
        KexMethod::P256 => nist::<p256::NistP256>(random),
        KexMethod::P384 => nist::<p384::NistP384>(random),
        KexMethod::P521 => nist::<p521::NistP521>(random),
        _ => {
            let (prime, generator) = group.unwrap();
            let hex: String = prime.iter().map(|b| format!("{b:02x}")).collect();
            let group = dh::Group { generator, prime: String::leak(hex) };
            let exponent = [0x55; 64];
            let (public, _) = dh::exchange(&group, &exponent, &[0x7f]).unwrap();
            let public = Writer::blob().mpint(&public).done().split_off(4);
            let finish = move |server: &[u8]| {
                let (_, secret) = dh::exchange(&group, &exponent, server).unwrap();
                Writer::blob().mpint(&secret).done()
            };
            (public, Box::new(finish))
        }
    }
}

fn point(secret: &StaticSecret, server: &[u8]) -> [u8; 32] {
    let server: [u8; 32] = server.try_into().unwrap();
    secret.diffie_hellman(&X25519Public::from(server)).to_bytes()
}

fn nist<C>(random: &mut ChaCha20Rng) -> (Vec<u8>, Finish)
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let secret = SecretKey::<C>::generate_from_rng(random);
    let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
    let finish = move |server: &[u8]| {
        let server = PublicKey::<C>::from_sec1_bytes(server).unwrap();
        let shared = secret.diffie_hellman(&server);
        Writer::blob().mpint(shared.raw_secret_bytes()).done()
    };
    (public, Box::new(finish))
}

#[track_caller]
fn verify(algorithm: HostKeyAlgorithm, key: &[u8], data: &[u8], signature: &[u8]) {
    let mut signature = Reader::new(signature);
    assert_eq!(signature.text().unwrap(), algorithm.name());
    let signature = signature.string().unwrap();
    let mut key = Reader::new(key);
    let kind = key.text().unwrap();
    match algorithm {
        HostKeyAlgorithm::Ed25519 => {
            let key: [u8; 32] = key.string().unwrap().try_into().unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
            key.verify(data, &signature.try_into().unwrap()).unwrap();
        }
        HostKeyAlgorithm::EcdsaP256 => {
            assert_eq!(key.text().unwrap(), "nistp256");
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.string().unwrap()).unwrap();
            let mut parts = Reader::new(signature);
            let mut part = || {
                let digits = parts.string().unwrap();
                let digits = &digits[digits.len().saturating_sub(32)..];
                let mut padded = [0; 32];
                padded[32 - digits.len()..].copy_from_slice(digits);
                padded
            };
            let (r, s) = (part(), part());
            let signature = p256::ecdsa::Signature::from_scalars(r, s).unwrap();
            key.verify(data, &signature).unwrap();
        }
        HostKeyAlgorithm::RsaSha256 | HostKeyAlgorithm::RsaSha512 => {
            assert_eq!(kind, "ssh-rsa");
            let e = BoxedUint::from_be_slice_vartime(key.string().unwrap());
            let n = BoxedUint::from_be_slice_vartime(&key.string().unwrap()[1..]);
            let key = RsaPublicKey::new(n, e).unwrap();
            let signature = pkcs1v15::Signature::try_from(signature).unwrap();
            match algorithm {
                HostKeyAlgorithm::RsaSha256 => {
                    pkcs1v15::VerifyingKey::<Sha256>::new(key).verify(data, &signature).unwrap();
                }
                _ => pkcs1v15::VerifyingKey::<Sha512>::new(key).verify(data, &signature).unwrap(),
            }
        }
    }
}

//! SSH: an input is a list of things that a client does, so that mutation reaches what lies
//! behind a key exchange and under its encryption.
//!
//! A record is a tag, a length in two bytes and a body; what is cut off counts as far as it
//! goes. The client runs once against a session to learn the keys. All that it sent is then one
//! stream of bytes that other sessions get in pieces: theirs are the same keys.

use model::Service;
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::{
    Target,
    ssh_client::{Client, VERSION, Wish, kexinit_of, string},
    visit::{self, Visit},
};
use crate::{Trace, mutate};

/// Records.
pub(super) const TARGET: Target = Target {
    name: "ssh",
    about: "SSH, plain and encrypted: every cut of the same input gives the same output",
    words: WORDS,
    mutation: Some(mutation),
    run,
};

const WORDS: &[&str] = &[
    "SSH-2.0-",
    "SSH-1.99-",
    "\r\n",
    "ssh-userauth",
    "ssh-connection",
    "none",
    "password",
    "publickey",
    "keyboard-interactive",
    "root",
    "session",
    "direct-tcpip",
    "forwarded-tcpip",
    "shell",
    "exec",
    "pty-req",
    "env",
    "subsystem",
    "sftp",
    "window-change",
    "signal",
    "x11-req",
    "exit-status",
    "auth-agent-req@openssh.com",
    "tcpip-forward",
    "cancel-tcpip-forward",
    "keepalive@openssh.com",
    "hostkeys-prove-00@openssh.com",
    "no-more-sessions@openssh.com",
    "xterm",
    "cat > /tmp/x",
    "\u{1}",
    "\u{3}",
    "\u{4}",
    "\u{7f}",
    "\u{1b}[A",
    "\t",
    "ls\r",
    "exit\r",
    "scp -t /tmp",
    "\0\0\0\u{1}",
    "\0\0\0\0",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
];

/// What a client does.
const RAW: u8 = 0;
const MESSAGE: u8 = 1;
const PROPOSAL: u8 = 2;
const HANDSHAKE: u8 = 3;
const LOGIN: u8 = 4;
const EXEC: u8 = 5;
const TERMINAL: u8 = 6;
const FORGED: u8 = 7;
const TAGS: u8 = 8;

/// Most records of one input.
const MAX_RECORDS: usize = 128;

const USERAUTH_REQUEST: u8 = 50;
const SERVICE_REQUEST: u8 = 5;
const CHANNEL_OPEN: u8 = 90;
const CHANNEL_DATA: u8 = 94;
const CHANNEL_REQUEST: u8 = 98;

/// Names for the ten lists of a KEXINIT, each with one that nobody knows.
const NAMES: [&[&str]; 4] = [
    &[
        "curve25519-sha256",
        "sntrup761x25519-sha512@openssh.com",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha256",
        "kex-strict-c-v00@openssh.com",
        "diffie-hellman-group-exchange-sha256",
        "ext-info-c",
        "",
        "diffie-hellman-group1-sha1",
    ],
    &["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-dss", ""],
    &["aes128-ctr", "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "3des-cbc"],
    &["hmac-sha2-256", "umac-64-etm@openssh.com", "hmac-sha1", "hmac-md5"],
];
const COMPRESSIONS: &[&str] = &["none", "zlib@openssh.com", "zlib", ""];

fn run(input: &[u8], trace: &mut Trace) {
    let stream = recorded(input);
    visit::check(Service::Ssh, &visit::persona(0), &stream, trace);
}

/// All that the client sends, in the end.
fn recorded(input: &[u8]) -> Vec<u8> {
    let mut talk = Talk {
        client: Client::default(),
        visit: Visit::begin(Service::Ssh, visit::persona(0)),
        stream: Vec::new(),
    };
    let hello = talk.visit.greeting();
    talk.client.receive(&hello);
    for (tag, body) in records(input).into_iter().take(MAX_RECORDS) {
        if talk.visit.is_closed() {
            break;
        }
        talk.act(tag, &body);
    }
    talk.stream
}

struct Talk {
    client: Client,
    visit: Visit,
    stream: Vec<u8>,
}

impl Talk {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.extend_from_slice(bytes);
        let answer = self.visit.send(bytes);
        self.client.receive(&answer);
        let later = self.visit.wait();
        self.client.receive(&later);
    }

    fn message(&mut self, payload: &[u8]) {
        let packet = self.client.message(payload, true);
        self.send(&packet);
    }

    fn act(&mut self, tag: u8, body: &[u8]) {
        match tag % TAGS {
            RAW => {
                let bytes = self.client.raw(body);
                self.send(&bytes);
            }
            MESSAGE => self.message(body),
            PROPOSAL => self.message(&proposal(body)),
            HANDSHAKE => self.handshake(body.first().copied().unwrap_or(0)),
            LOGIN => self.login(body),
            EXEC => {
                self.open_channel();
                self.request("exec", &string(body));
            }
            TERMINAL => {
                self.open_channel();
                let size = [0, 0, 0, 80, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0];
                self.request("pty-req", &[&string(b"xterm")[..], &size, &string(b"")].concat());
                self.request("shell", b"");
                self.message(&[&[CHANNEL_DATA, 0, 0, 0, 0][..], &string(body)].concat());
            }
            FORGED.. => self.forged(body),
        }
    }

    fn handshake(&mut self, bits: u8) {
        let wish = Wish { compression: bits & 1 != 0, strict: bits & 2 != 0 };
        let first = self.client.propose(wish);
        self.send(&first);
        let point = self.client.point();
        self.send(&point);
        if let Some(last) = self.client.new_keys(wish) {
            self.send(&last);
        }
    }

    /// With the right words where the body is empty.
    fn login(&mut self, secret: &[u8]) {
        let persona = visit::persona(0);
        let right = persona.accounts[0].password.as_bytes();
        let secret = if secret.is_empty() { right } else { secret };
        self.message(&[&[SERVICE_REQUEST][..], &string(b"ssh-userauth")].concat());
        let request = [
            &[USERAUTH_REQUEST][..],
            &string(b"root"),
            &string(b"ssh-connection"),
            &string(b"password"),
            &[0],
            &string(secret),
        ];
        self.message(&request.concat());
    }

    /// The client's number of the channel is 1, the server's first is 0.
    fn open_channel(&mut self) {
        let numbers = [0, 0, 0, 1, 0, 32, 0, 0, 0, 0, 128, 0];
        self.message(&[&[CHANNEL_OPEN][..], &string(b"session"), &numbers].concat());
    }

    fn request(&mut self, name: &str, body: &[u8]) {
        let head = [CHANNEL_REQUEST, 0, 0, 0, 0];
        self.message(&[&head[..], &string(name.as_bytes()), &[1], body].concat());
    }

    /// A message with one byte of its packet changed: the first of the body says which.
    fn forged(&mut self, body: &[u8]) {
        let Some((at, payload)) = body.split_first() else { return };
        let mut packet = self.client.message(payload, false);
        let at = usize::from(*at) % packet.len();
        packet[at] ^= 0x41;
        self.send(&packet);
    }
}

/// A KEXINIT whose lists the body picks, two bytes a name.
fn proposal(body: &[u8]) -> Vec<u8> {
    let byte = |at: usize| body.get(at).copied().unwrap_or(0);
    let list = |index: usize| {
        let names = match index {
            0 => NAMES[0],
            1 => NAMES[1],
            2 | 3 => NAMES[2],
            4 | 5 => NAMES[3],
            6 | 7 => COMPRESSIONS,
            _ => &[""],
        };
        let name = |turn: usize| names[usize::from(byte(index * 2 + turn)) % names.len()];
        format!("{},{}", name(0), name(1))
    };
    let lists: Vec<String> = (0..10).map(list).collect();
    kexinit_of(&lists, byte(20) & 1 != 0)
}

fn records(input: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    let mut rest = input;
    while let [tag, high, low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (body, after) = more.split_at(length);
        records.push((*tag, body.to_vec()));
        rest = after;
    }
    records
}

fn written(records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, body) in records {
        let length = body.len().min(0xffff);
        bytes.push(*tag);
        bytes.extend((length as u16).to_be_bytes());
        bytes.extend_from_slice(&body[..length]);
    }
    bytes
}

/// Changes whole records, or the body of one.
fn mutation(input: &mut Vec<u8>, other: &[u8], dice: &mut StdRng) {
    let mut all = records(input);
    let others = records(other);
    for _ in 0..dice.random_range(1..=3) {
        let at = dice.random_range(0..=all.len());
        match dice.random_range(0..10) {
            0 => all.insert(at, (dice.random_range(0..TAGS), noise(dice))),
            1 if at < all.len() => drop(all.remove(at)),
            2 if at < all.len() => all[at].0 = dice.random_range(0..TAGS),
            3 if at < all.len() => all.insert(at, all[at].clone()),
            4 => all.extend(others.choose(dice).cloned()),
            5 => all.extend_from_slice(&others[..dice.random_range(0..=others.len())]),
            _ if at < all.len() => {
                let from = others.choose(dice).map_or(VERSION, |(_, body)| body);
                mutate::mutate(&mut all[at].1, from, WORDS, dice);
            }
            _ => {}
        }
    }
    *input = written(&all);
    input.truncate(mutate::MAX_INPUT_BYTES);
}

fn noise(dice: &mut StdRng) -> Vec<u8> {
    let mut noise = vec![0; dice.random_range(0..=24)];
    dice.fill(&mut noise[..]);
    noise
}

//! Sessions: which connection sends what, in which pieces.

use std::fmt;

use crate::dice::Dice;

/// What connections do, one after the other.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) connections: usize,
    pub(crate) steps: Vec<Step>,
}

/// Frames of one connection.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) connection: usize,
    pub(crate) frames: Vec<Vec<u8>>,
    /// Where the bytes of all frames are cut for writing, ascending.
    pub(crate) cuts: Vec<usize>,
}

impl Step {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.frames.concat()
    }
}

const SUBJECTS: &[&[u8]] = &[
    b"a",
    b"a",
    b"b",
    b"a.b",
    b"a.b",
    b"a.c",
    b"a.b.c",
    b"foo*",
    b">x",
    b"a.b*",
    b"\xff\xfe",
    b"a.\x01",
];
const FILTERS: &[&[u8]] = &[b"*", b">", b"a.*", b"a.>", b"*.b", b"*.*", b"a.*.c", b"*.>", b"a.b.>"];
const WRONG_FILTERS: &[&[u8]] = &[b"a..b", b".a", b"a.", b">.a", b"a.>.b", b"."];
const REPLIES: &[&[u8]] = &[b"r", b"r.1", b"a", b"r.*", b"a..b", b"nobody.there"];
const SIDS: &[&[u8]] = &[b"1", b"2", b"3", b"4", b"x\xff"];
const HEADERS: &[&[u8]] = &[
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0\r\nA: b\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"no headers at all",
    b"",
];
const ODD: &[&[u8]] = &[
    b"+OK\r\n",
    b"+okay\n",
    b"INFO {}\r\n",
    b"PING with more\r\n",
    b"pong\n",
    b"SUB \na 9\r\n",
    b"UNSUB 1 x\r\n",
    b"UNSUB 1 99999999999\r\n",
    b"sub\ta\t 8\t\r\n",
    b"pUb\ta  1 \nx\r\n",
    b"UNSUB unknown\r\n",
    b"UNSUB 1 0\r\n",
    b"HPUB a 0 1\r\nx\r\n",
    b"connect{}\n",
];
const WRONG: &[&[u8]] = &[
    b"PUB\r\n",
    b"PUB a\r\n",
    b"PUB a b c 1\r\n",
    b"PUB a x\r\n",
    b"PUB a -1\r\n",
    b"PUB a +1\r\n",
    b"PUB a 1048577\r\n",
    b"PUB a 999999999\r\n",
    b"PUB a 9999999999\r\n",
    b"PUB a 1\r\nxy\r\n",
    b"PUB a 1\r\nx\n",
    b"PUB a 0\n\n",
    b"HPUB a 1\r\n",
    b"HPUB a 2 1\r\nx\r\n",
    b"HPUB a x 1\r\n",
    b"CONNECT {\"headers\":true}\r\nHPUB a 1 1048577\r\n",
    b"SUB\r\n",
    b"SUB a\r\n",
    b"SUB a b c d\r\n",
    b"SUB \r\n",
    b"UNSUB\r\n",
    b"UNSUB 1 2 3\r\n",
    b"\r\n",
    b" PING\r\n",
    b"MSG a 1 0\r\n\r\n",
    b"-ERR 'enough'\r\n",
    b"-ERR\r\n",
    b"CONNECT {\r\n",
    b"CONNECT []\r\n",
    b"CONNECT \r\n",
    b"CONNECT {\"verbose\":1}\r\n",
    b"CONNECT {\"protocol\":2}\r\n",
    b"CONNECT {\"protocol\":-1}\r\n",
    b"PUBLISH a 0\r\n\r\n",
    b"CONNECT {\"no_responders\":true}\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
];

impl Session {
    pub(crate) fn random(seed: u64) -> Session {
        let mut dice = Dice::new(seed);
        let connections = 1 + dice.below(3);
        let mut maker = Maker { dice, groups: 0 };
        let greetings = (0..connections).map(|connection| maker.greeting(connection));
        let mut steps: Vec<Step> = greetings.collect();
        for _ in 0..2 + maker.dice.below(8) {
            steps.push(maker.step(connections));
        }
        Session { connections, steps }
    }

    /// Without the frame of this number, counted over all steps; none where there is no such one.
    pub(crate) fn without(&self, mut at: usize) -> Option<Session> {
        let mut session = self.clone();
        for step in &mut session.steps {
            if at < step.frames.len() {
                step.frames.remove(at);
                step.cuts.clear();
                return Some(session);
            }
            at -= step.frames.len();
        }
        None
    }
}

struct Maker {
    dice: Dice,
    /// Queue groups so far: each has one member, so that who gets a message is no chance.
    groups: usize,
}

impl Maker {
    /// What a connection says first: most have a CONNECT.
    fn greeting(&mut self, connection: usize) -> Step {
        let frames = if self.dice.chance(90) { vec![self.connect()] } else { Vec::new() };
        Step { connection, frames, cuts: Vec::new() }
    }

    fn step(&mut self, connections: usize) -> Step {
        let connection = self.dice.below(connections);
        let mut frames: Vec<_> = (0..1 + self.dice.below(6)).map(|_| self.frame()).collect();
        let unhappy = frames.iter().position(|frame| frame.starts_with(b"-ERR"));
        frames.truncate(unhappy.map_or(frames.len(), |at| at + 1));
        let length = frames.iter().map(Vec::len).sum();
        let count = if self.dice.chance(50) { 0 } else { self.dice.below(5) };
        let mut cuts: Vec<usize> = (0..count).map(|_| self.dice.below(length)).collect();
        cuts.sort_unstable();
        Step { connection, frames, cuts }
    }

    fn frame(&mut self) -> Vec<u8> {
        match self.dice.below(100) {
            0..30 => self.sub(),
            30..42 => self.unsub(),
            42..72 => self.publish(),
            72..84 => self.publish_with_headers(),
            84..88 => b"PING\r\n".to_vec(),
            88..91 => self.connect(),
            91..96 => self.dice.pick(ODD).to_vec(),
            96..98 => self.dice.pick(WRONG).to_vec(),
            98 => self.garbage(),
            _ => self.changed(),
        }
    }

    fn connect(&mut self) -> Vec<u8> {
        let mut json = String::from("CONNECT {");
        for key in ["verbose", "pedantic", "echo"] {
            match self.dice.below(4) {
                0 => json += &format!("\"{key}\":true,"),
                1 | 2 => json += &format!("\"{key}\":false,"),
                _ => {}
            }
        }
        if self.dice.chance(70) {
            let no_responders = self.dice.chance(70);
            json += &format!("\"headers\":true,\"no_responders\":{no_responders},");
        }
        json += &format!("\"protocol\":{},\"name\":null,\"extra\":[]}}\r\n", self.dice.below(2));
        json.into_bytes()
    }

    fn filter(&mut self) -> &'static [u8] {
        match self.dice.below(100) {
            0..60 => self.dice.pick(SUBJECTS),
            60..92 => self.dice.pick(FILTERS),
            92..96 => self.dice.pick(REPLIES),
            _ => self.dice.pick(WRONG_FILTERS),
        }
    }

    fn sub(&mut self) -> Vec<u8> {
        let (filter, sid) = (self.filter(), self.dice.pick(SIDS));
        let mut group = String::new();
        if self.dice.chance(25) {
            self.groups += 1;
            group = format!("q{} ", self.groups);
        }
        [b"SUB ", filter, b" ", group.as_bytes(), sid, b"\r\n"].concat()
    }

    fn unsub(&mut self) -> Vec<u8> {
        let sid = self.dice.pick(SIDS);
        let mut max = String::new();
        if self.dice.chance(60) {
            max = format!(" {}", self.dice.below(4));
        }
        [b"UNSUB ", sid, max.as_bytes(), b"\r\n"].concat()
    }

    /// Where a publish goes, and its reply with a blank, or nothing.
    fn route(&mut self) -> Vec<u8> {
        let wild = self.dice.chance(10);
        let subject = if wild { self.filter() } else { self.dice.pick(SUBJECTS) };
        let reply = if self.dice.chance(40) { self.dice.pick(REPLIES) } else { b"" };
        [subject, b" ", reply, if reply.is_empty() { b"" } else { b" " }].concat()
    }

    fn body(&mut self) -> Vec<u8> {
        match self.dice.below(20) {
            // larger ones may be lost where a server closes with something unread: that is TCP's doing
            0 => vec![b'x'; 5000],
            1 => b"\r\nPING\r\n".to_vec(),
            2..8 => Vec::new(),
            _ => format!("body {}", self.dice.below(1000)).into_bytes(),
        }
    }

    fn publish(&mut self) -> Vec<u8> {
        let (route, body) = (self.route(), self.body());
        let size = format!("{}\r\n", body.len());
        [b"PUB ", &route[..], size.as_bytes(), &body, b"\r\n"].concat()
    }

    fn publish_with_headers(&mut self) -> Vec<u8> {
        let (route, headers, body) = (self.route(), self.dice.pick(HEADERS), self.body());
        let sizes = format!("{} {}\r\n", headers.len(), headers.len() + body.len());
        [b"HPUB ", &route[..], sizes.as_bytes(), headers, &body, b"\r\n"].concat()
    }

    fn garbage(&mut self) -> Vec<u8> {
        if self.dice.chance(30) {
            return [b"SUB ", &[b'a'; 5000][..], b" 1\r\n"].concat();
        }
        let length = 1 + self.dice.below(20);
        (0..length).map(|_| self.byte(b"\0\x7fabPUBSN 12\n{.>*")).collect()
    }

    fn byte(&mut self, from: &[u8]) -> u8 {
        from[self.dice.below(from.len())]
    }

    /// A right frame with a byte in it that is not.
    fn changed(&mut self) -> Vec<u8> {
        let mut frame = match self.dice.below(3) {
            0 => self.sub(),
            1 => self.unsub(),
            _ => self.publish(),
        };
        let at = self.dice.below(frame.len());
        // a carriage return that is left within a line is one of the differences that are wanted
        if frame[at] != b'\n' {
            frame[at] = self.byte(b"\0 \tx0.>*-+");
        }
        frame
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let frames: Vec<_> = step.frames.iter().map(|frame| shown(frame)).collect();
            let cuts =
                if step.cuts.is_empty() { String::new() } else { format!(" cut {:?}", step.cuts) };
            writeln!(f, "#{} {}{cuts}", step.connection, frames.join(" | "))?;
        }
        Ok(())
    }
}

/// Bytes as text, long ones only in their beginning and their length.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match bytes {
        [head @ .., _] if head.len() > 200 => {
            format!("{}… {} bytes", bytes[..100].escape_ascii(), bytes.len())
        }
        _ => bytes.escape_ascii().to_string(),
    }
}

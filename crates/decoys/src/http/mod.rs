//! HTTP/1.1 decoy: nginx or Apache of Debian 12 with a small site behind a login.
//!
//! States of a connection: head (bytes are collected until a request head is whole), body, and
//! back. `parse` turns bytes into heads, `route` heads into answers, `respond` answers into
//! bytes, `site` is the content. Nothing is remembered between connections: a login is a cookie
//! that proves itself.

mod body;
mod date;
mod parse;
mod respond;
mod route;
mod site;
mod target;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use model::{Persona, SessionFact, Timestamp, escape_text};

pub(crate) use self::site::Product;
use self::{
    body::Body,
    parse::{BodyLength, MAX_LINE_BYTES, Malformed, Parsed, Request, Version, parse_head},
    respond::{Answer, Wire},
    route::Router,
    site::Site,
};
use crate::{Flow, Output, Session};

/// Requests that Apache takes on one connection (`MaxKeepAliveRequests`).
const APACHE_KEEP_ALIVE: u32 = 100;

/// Requests that nginx takes on one connection (`keepalive_requests`).
const NGINX_KEEP_ALIVE: u32 = 1000;

/// One connection of a web client.
pub struct HttpSession {
    router: Router,
    state: State,
    buffer: Vec<u8>,
    /// Bytes of the buffer's last line, which is not whole yet.
    tail: usize,
    requests: u32,
    deadline: Option<Timestamp>,
    fingerprinted: bool,
}

enum State {
    Head,
    Body(Box<(Request, Body)>),
    Closed,
}

impl HttpSession {
    /// A session of `persona`'s web server.
    pub fn new(
        persona: &Arc<Persona>,
        seed: [u8; 32],
        local: SocketAddr,
        _peer: SocketAddr,
    ) -> Self {
        Self::with_site(Site::of(persona, local.port()), seed)
    }

    fn with_site(site: Site, seed: [u8; 32]) -> Self {
        Self {
            router: Router::new(site, seed),
            state: State::Head,
            buffer: Vec::new(),
            tail: 0,
            requests: 0,
            deadline: None,
            fingerprinted: false,
        }
    }

    fn product(&self) -> Product {
        self.router.site().product
    }

    /// Takes in bytes; tells whether there may be something new to parse, so that a visitor who
    /// sends byte by byte does not make us parse everything again and again.
    fn collect(&mut self, bytes: &[u8]) -> bool {
        let first = self.buffer.is_empty();
        self.buffer.extend_from_slice(bytes);
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => self.tail = bytes.len() - at - 1,
            None => self.tail += bytes.len(),
        }
        first || bytes.contains(&b'\n') || self.tail >= MAX_LINE_BYTES + 2
    }

    /// Goes on as far as the buffer allows.
    fn advance(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        let buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        let flow = loop {
            let rest = &buffer[at..];
            let step = match std::mem::replace(&mut self.state, State::Head) {
                State::Head => self.head(now, rest, out),
                State::Body(both) => self.body(now, *both, rest, out),
                State::Closed => Step::Close,
            };
            match step {
                Step::Taken(bytes) => at += bytes,
                Step::Wait(bytes) => {
                    self.buffer = buffer[at + bytes..].to_vec();
                    break Flow::Continue;
                }
                Step::Close => {
                    self.state = State::Closed;
                    break Flow::Linger;
                }
            }
        };
        if flow == Flow::Continue && at > 0 {
            self.wait(now);
        }
        flow
    }

    fn head(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Step {
        match parse_head(self.product(), bytes) {
            Parsed::Incomplete => {
                // Empty lines before a request mean nothing; keep none of them.
                Step::Wait(if parse::has_begun(bytes) { 0 } else { bytes.len() })
            }
            Parsed::Malformed(why, request, line) => {
                out.record(SessionFact::Request { text: escape_text(&line) });
                if let Some(request) = &request {
                    self.fingerprint(request, out);
                }
                let answer = self.router.refuse(why, request.as_ref());
                let wire = Wire {
                    version: Version::Http11,
                    head_only: false,
                    close: true,
                    keep_alive: None,
                };
                out.send(&respond::write(self.product(), &answer, wire, now));
                Step::Close
            }
            Parsed::Head(request, taken) => {
                out.record(SessionFact::Request { text: escape_text(&request.line) });
                self.fingerprint(&request, out);
                let has_body = request.body != BodyLength::Exactly(0);
                let expects = request.has_token("expect", "100-continue");
                if has_body && expects && self.router.wants_body(&request) {
                    out.send(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                let body = Body::new(request.body);
                self.state = State::Body(Box::new((request, body)));
                Step::Taken(taken)
            }
        }
    }

    fn body(
        &mut self,
        now: Timestamp,
        (mut request, mut body): (Request, Body),
        bytes: &[u8],
        out: &mut Output,
    ) -> Step {
        let taken = match body.take(bytes) {
            Ok(taken) if body.is_done() => taken,
            Ok(taken) => {
                self.state = State::Body(Box::new((request, body)));
                return Step::Wait(taken);
            }
            Err(body::BadChunk) => {
                request.close = true;
                let answer = match self.product() {
                    Product::Nginx => self.router.answer(&request, &body, now, out),
                    Product::Apache => self.router.refuse_chunk(&request),
                };
                self.send(&request, &answer, now, out);
                return Step::Close;
            }
        };
        let answer = self.router.answer(&request, &body, now, out);
        if self.send(&request, &answer, now, out) { Step::Close } else { Step::Taken(taken) }
    }

    /// Sends an answer; tells whether the connection ends with it.
    fn send(
        &mut self,
        request: &Request,
        answer: &Answer,
        now: Timestamp,
        out: &mut Output,
    ) -> bool {
        self.requests += 1;
        let most = match self.product() {
            Product::Nginx => NGINX_KEEP_ALIVE,
            Product::Apache => APACHE_KEEP_ALIVE + 1,
        };
        let close = request.close || self.requests >= most || answer.ends_connection();
        let asked = request.has_token("connection", "keep-alive");
        let wire = Wire {
            version: request.version,
            head_only: request.method == b"HEAD",
            close,
            keep_alive: asked.then(|| (APACHE_KEEP_ALIVE + 1).saturating_sub(self.requests)),
        };
        out.send(&respond::write(self.product(), answer, wire, now));
        close || answer.status.starts_with("417")
    }

    fn fingerprint(&mut self, request: &Request, out: &mut Output) {
        if std::mem::replace(&mut self.fingerprinted, true) {
            return;
        }
        if let Some(agent) = request.field("user-agent") {
            let value = escape_text(agent);
            out.record(SessionFact::Fingerprint { name: "http.user_agent".into(), value });
        }
        if !request.fields.is_empty() {
            let names = request.fields.iter().map(|(name, _)| name.as_slice());
            let value = respond::field_order_hash(names);
            out.record(SessionFact::Fingerprint { name: "http.headers".into(), value });
        }
    }

    /// Sets the time by which the real server would have lost its patience.
    fn wait(&mut self, now: Timestamp) {
        let seconds = match (self.product(), &self.state, self.requests) {
            (Product::Nginx, State::Head, 0) => 60,
            (Product::Nginx, State::Head, _) if self.buffer.is_empty() => 75,
            (Product::Nginx, _, _) => 60,
            (Product::Apache, State::Body(_), _) => 10,
            (Product::Apache, _, 0) if self.buffer.is_empty() => 50,
            (Product::Apache, _, _) if self.buffer.is_empty() => 5,
            (Product::Apache, _, _) => 20,
        };
        self.deadline = Some(now.plus(Duration::from_secs(seconds)));
    }
}

/// What one step did with the buffer.
enum Step {
    /// This many bytes belong to something that is done.
    Taken(usize),
    /// More is needed; this many bytes are not needed any more.
    Wait(usize),
    /// The connection is over.
    Close,
}

impl Session for HttpSession {
    fn open(&mut self, now: Timestamp, _out: &mut Output) -> Flow {
        self.wait(now);
        Flow::Continue
    }

    fn receive(&mut self, now: Timestamp, bytes: &[u8], out: &mut Output) -> Flow {
        let begins = self.buffer.is_empty() && matches!(self.state, State::Head);
        let worth_it = self.collect(bytes);
        let flow = match self.state {
            State::Head if !worth_it => Flow::Continue,
            State::Head | State::Body(_) | State::Closed => self.advance(now, out),
        };
        if flow == Flow::Continue && begins {
            self.wait(now);
        }
        flow
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    fn expire(&mut self, now: Timestamp, out: &mut Output) -> Flow {
        let state = std::mem::replace(&mut self.state, State::Closed);
        if let (State::Body(both), Product::Apache) = (state, self.product()) {
            let mut request = both.0;
            request.close = true;
            let answer = self.router.time_out(&request);
            self.send(&request, &answer, now, out);
        }
        Flow::Close
    }
}

impl Router {
    /// The answer to a head that is none.
    fn refuse(&self, why: Malformed, request: Option<&Request>) -> Answer {
        let host = self.host(request);
        let site = self.site();
        let nginx = site.product == Product::Nginx;
        match why {
            Malformed::Version => respond::page(site, "505 HTTP Version Not Supported", &host, ""),
            Malformed::Encoding => respond::page(site, "501 Not Implemented", &host, ""),
            Malformed::LineTooLong if nginx => {
                respond::page(site, "414 Request-URI Too Large", &host, "")
            }
            Malformed::LineTooLong => {
                let detail = "<p>The requested URL's length exceeds the capacity\n\
                              limit for this server.<br />\n</p>\n";
                respond::page(site, "414 Request-URI Too Long", &host, detail)
            }
            Malformed::FieldTooLong if nginx => respond::nginx_page(
                "400 Bad Request",
                "400 Request Header Or Cookie Too Large",
                "<center>Request Header Or Cookie Too Large</center>\r\n",
            ),
            Malformed::FieldTooLong => {
                self.bad(&host, "Size of a request header field exceeds server limit.")
            }
            Malformed::TooManyFields => {
                self.bad(&host, "The number of request header fields exceeds this server's limit.")
            }
            Malformed::BodyTooLarge => {
                let method = request.map_or(&b"POST"[..], |request| &request.method);
                let detail = format!(
                    "The requested resource does not allow request data with {} requests, or \
                     the amount of data provided in\nthe request exceeds the capacity limit.\n",
                    String::from_utf8_lossy(method),
                );
                let page = respond::page(site, "413 Request Entity Too Large", &host, &detail);
                if nginx { page } else { page.without_length() }
            }
            Malformed::Bad => self.bad(&host, ""),
        }
    }
}

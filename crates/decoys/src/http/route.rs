//! From a request to the answer of the site, and what is recorded about it.

use model::{SessionFact, Timestamp, escape_text};
use sha2::{Digest, Sha256};

use super::{
    body::Body,
    date::http_date,
    parse::{Request, Version},
    respond::{self, Answer, Host, Length},
    site::{File, Portal, Product, Site},
    target::{Target, authority, basic_credentials, form_fields, has_tag, single_range, target},
};
use crate::Output;

/// Longest path segment that a file system takes; Apache refuses longer ones by name.
const MAX_SEGMENT_BYTES: usize = 255;

const APACHE_METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "VERSION-CONTROL",
    "CHECKOUT",
    "UNCHECKOUT",
    "CHECKIN",
    "UPDATE",
    "LABEL",
    "REPORT",
    "MKWORKSPACE",
    "MKACTIVITY",
    "BASELINE-CONTROL",
    "MERGE",
];
const ALLOWED: &str = "POST,OPTIONS,HEAD,GET";
const DENIED: &str = "<p>You don't have permission to access this resource.</p>\n";
const MISSING: &str = "<p>The requested URL was not found on this server.</p>\n";
const UNVERIFIED: &str = "<p>This server could not verify that you\n\
    are authorized to access the document\nrequested.  Either you supplied the wrong\n\
    credentials (e.g., bad password), or your\nbrowser doesn't understand how to supply\n\
    the credentials required.</p>\n";
const INVALID_CREDENTIALS: &str = "Invalid user name or password.";

/// Answers requests for one session.
pub(super) struct Router {
    site: Site,
    seed: [u8; 32],
    logins: u32,
}

impl Router {
    pub(super) fn new(site: Site, seed: [u8; 32]) -> Self {
        Self { site, seed, logins: 0 }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    /// Whether the server reads a body before it knows the answer: it is then that it says
    /// `100 Continue`.
    pub(super) fn wants_body(&self, request: &Request) -> bool {
        match (self.site.product, target(self.site.product, &request.target)) {
            (Product::Apache, _) => true,
            (Product::Nginx, Target::Path(path)) => {
                let read = matches!(request.method.as_slice(), b"GET" | b"HEAD");
                read && self.site.file(&path).is_some() || self.is_portal(&path)
            }
            (Product::Nginx, Target::Server | Target::Bad | Target::Nowhere) => false,
        }
    }

    /// Answers a whole request and records what it did.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        body: &Body,
        now: Timestamp,
        out: &mut Output,
    ) -> Answer {
        let host = self.host(Some(request));
        if self.site.product == Product::Apache
            && let Some(answer) = self.unmet_expectation(request, &host)
        {
            return answer;
        }
        let path = match target(self.site.product, &request.target) {
            Target::Server => return Answer { status: "200 OK", ..Answer::default() },
            Target::Bad => return self.bad(&host, ""),
            Target::Nowhere => return self.missing(&host),
            Target::Path(path) => path,
        };
        let is_login = path == "/login" && request.method == b"POST";
        if body.bytes > 0 && !is_login {
            out.record(SessionFact::Upload {
                name: escape_text(path.as_bytes()),
                sha256: body.sha256(),
                bytes: body.bytes,
            });
        }
        let is_admin = path == "/admin" || path.starts_with("/admin/");
        let by_method = self.by_method(request, &host, &path);
        // Apache asks for the password before it looks at the method.
        if let Some(answer) = by_method.filter(|_| !is_admin || self.site.product == Product::Nginx)
        {
            return answer;
        }
        if is_admin {
            return self.admin(request, &host, &path, out);
        }
        if let Some(portal) = self.site.portal.clone().filter(|_| self.is_portal(&path)) {
            return self.portal(&portal, request, &host, &path, body, now, out);
        }
        self.resource(request, &host, &path)
    }

    /// What the method alone decides.
    fn by_method(&self, request: &Request, host: &Host, path: &str) -> Option<Answer> {
        let method = String::from_utf8_lossy(&request.method);
        let site = &self.site;
        match (site.product, method.as_ref()) {
            (_, "GET" | "HEAD" | "POST") => None,
            (Product::Nginx, "TRACE" | "CONNECT") => Some(self.not_allowed(host, "", "").closing()),
            // nginx asks for the password first; the file comes after.
            (Product::Nginx, _) => None,
            (Product::Apache, "OPTIONS") => {
                let media = site.file(path).map(|file| file.media);
                let allow = vec![("Allow", ALLOWED.to_owned())];
                Some(Answer { status: "200 OK", fields: allow, media, ..Answer::default() })
            }
            (Product::Apache, "TRACE") => Some(self.not_allowed(host, "TRACE", "")),
            (Product::Apache, known) if APACHE_METHODS.contains(&known) => {
                Some(self.not_allowed(host, known, ALLOWED))
            }
            (Product::Apache, unknown) => {
                let detail = format!("<p>{unknown} not supported for current URL.<br />\n</p>\n");
                let mut answer = respond::page(site, "501 Not Implemented", host, &detail);
                answer.fields.push(("Allow", ALLOWED.into()));
                Some(answer.closing())
            }
        }
    }

    /// Files and directories.
    fn resource(&self, request: &Request, host: &Host, path: &str) -> Answer {
        let site = &self.site;
        if site.product == Product::Apache {
            let name = path.rsplit('/').next().unwrap_or_default();
            let too_long = path.split('/').any(|segment| segment.len() > MAX_SEGMENT_BYTES);
            let hidden = name.starts_with(".ht");
            let kept = matches!(path, "/server-status" | "/icons/" | "/icons/small/");
            if too_long || hidden || kept {
                return respond::page(site, "403 Forbidden", host, DENIED);
            }
        }
        if let Some(file) = site.file(path) {
            let reads = matches!(request.method.as_slice(), b"GET" | b"HEAD");
            return match site.product {
                Product::Nginx if !reads => self.not_allowed(host, "", ""),
                Product::Nginx | Product::Apache => self.file(request, host, file),
            };
        }
        if site.directories.contains(&path) {
            return self.moved(host, &format!("{path}/"));
        }
        if path.strip_suffix('/').is_some_and(|path| site.directories.contains(&path)) {
            return respond::page(site, "403 Forbidden", host, DENIED);
        }
        self.missing(host)
    }

    fn file(&self, request: &Request, host: &Host, file: &File) -> Answer {
        let mut answer = respond::file(self.site.product, file);
        let Some((modified, tag)) = &answer.file else { return answer };
        let none_match = request.field("if-none-match");
        let fresh = match none_match {
            Some(value) => value == b"*" || has_tag(value, tag),
            None => request
                .field("if-modified-since")
                .is_some_and(|since| since == http_date(*modified).as_bytes()),
        };
        if fresh {
            answer.status = respond::NOT_MODIFIED;
            answer.media = None;
            answer.vary = false;
            answer.ranges = false;
            answer.body.clear();
            return answer;
        }
        let range = request.field("range").filter(|_| request.version >= Version::Http11);
        match range.and_then(|range| single_range(range, answer.body.len())) {
            None => answer,
            Some(Some((first, last))) => {
                let total = answer.body.len();
                answer.status = "206 Partial Content";
                answer.body = answer.body[first..=last].to_vec();
                answer.ranges = false;
                let shown = format!("bytes {first}-{last}/{total}");
                answer.fields.push(("Content-Range", shown));
                answer
            }
            Some(None) => self.out_of_range(host, answer.body.len()),
        }
    }

    fn out_of_range(&self, host: &Host, total: usize) -> Answer {
        let detail = "<p>None of the range-specifier values in the Range\n\
                      request-header field overlap the current extent\n\
                      of the selected resource.</p>\n";
        let status = "416 Requested Range Not Satisfiable";
        let mut answer = respond::page(&self.site, status, host, detail);
        match self.site.product {
            Product::Nginx => answer.fields.push(("Content-Range", format!("bytes */{total}"))),
            Product::Apache => answer.length = Length::Chunked,
        }
        answer
    }

    /// The area behind the server's own password.
    fn admin(&self, request: &Request, host: &Host, path: &str, out: &mut Output) -> Answer {
        let given = request.field("authorization").and_then(basic_credentials);
        let portal = self.site.portal.as_ref();
        let accepted = given.as_ref().zip(portal).is_some_and(|((user, password), portal)| {
            portal
                .login(&String::from_utf8_lossy(user), &String::from_utf8_lossy(password))
                .is_some()
        });
        if let Some((user, password)) = given {
            out.record(SessionFact::Login {
                principal: escape_text(&user),
                secret: escape_text(&password),
                method: "basic".into(),
                accepted,
            });
        }
        match portal.filter(|_| accepted) {
            Some(portal) if matches!(path, "/admin" | "/admin/") => {
                respond::app("200 OK", portal.admin())
            }
            Some(_) => self.missing(host),
            None => {
                let mut answer = respond::page(&self.site, "401 Unauthorized", host, UNVERIFIED);
                let realm = format!("Basic realm=\"{}\"", self.site.realm);
                answer.fields.push(("WWW-Authenticate", realm));
                answer
            }
        }
    }

    fn is_portal(&self, path: &str) -> bool {
        self.site.portal.is_some() && matches!(path, "/login" | "/logout" | "/home")
    }

    #[expect(clippy::too_many_arguments, reason = "one request with everything around it")]
    fn portal(
        &mut self,
        portal: &Portal,
        request: &Request,
        host: &Host,
        path: &str,
        body: &Body,
        now: Timestamp,
        out: &mut Output,
    ) -> Answer {
        let cookie = request.field("cookie").map(String::from_utf8_lossy);
        let user = cookie.as_deref().and_then(|cookie| portal.signed_in(cookie));
        match (path, request.method.as_slice(), user) {
            ("/login", b"POST", _) => self.sign_in(portal, body, out),
            ("/login", b"GET" | b"HEAD", _) => respond::app("200 OK", portal.form(None)),
            ("/logout", b"GET" | b"HEAD", _) => redirect("/login", Some(portal.no_cookie())),
            ("/home", b"GET" | b"HEAD", Some(account)) => {
                respond::app("200 OK", portal.home(account, now))
            }
            ("/home", b"GET" | b"HEAD", None) => redirect("/login", None),
            _ => self.not_allowed(host, &String::from_utf8_lossy(&request.method), "GET,HEAD"),
        }
    }

    fn sign_in(&mut self, portal: &Portal, body: &Body, out: &mut Output) -> Answer {
        let form = form_fields(&body.kept);
        let of = |names: &[&str]| {
            let found = form.iter().find(|(name, _)| names.iter().any(|n| n.as_bytes() == name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let user = of(&["username", "user", "login", "email", "name"]);
        let password = of(&["password", "pass", "passwd", "pwd"]);
        let account =
            portal.login(&String::from_utf8_lossy(&user), &String::from_utf8_lossy(&password));
        if !user.is_empty() || !password.is_empty() {
            out.record(SessionFact::Login {
                principal: escape_text(&user),
                secret: escape_text(&password),
                method: "form".into(),
                accepted: account.is_some(),
            });
        }
        let Some(account) = account else {
            return respond::app("200 OK", portal.form(Some(INVALID_CREDENTIALS)));
        };
        self.logins += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.logins.to_be_bytes());
        let cookie = portal.cookie(account, &hash.finalize()[..8]);
        redirect("/home", Some(cookie))
    }

    fn unmet_expectation(&self, request: &Request, host: &Host) -> Option<Answer> {
        let expect = request.field("expect")?;
        if expect.eq_ignore_ascii_case(b"100-continue") {
            return None;
        }
        let detail = format!(
            "<p>The expectation given in the Expect request-header\n\
             field could not be met by this server.\nThe client sent<pre>\n    Expect: {}\n</pre>\n\
             </p><p>Only the 100-continue expectation is supported.</p>\n",
            escape_html(&String::from_utf8_lossy(expect)),
        );
        Some(respond::page(&self.site, "417 Expectation Failed", host, &detail))
    }

    fn moved(&self, host: &Host, to: &str) -> Answer {
        let port = match host.port {
            80 => String::new(),
            port => format!(":{port}"),
        };
        let to = format!("http://{}{port}{to}", host.name);
        let detail = format!("<p>The document has moved <a href=\"{to}\">here</a>.</p>\n");
        let mut answer = respond::page(&self.site, "301 Moved Permanently", host, &detail);
        answer.fields.push(("Location", to));
        answer
    }

    fn missing(&self, host: &Host) -> Answer {
        respond::page(&self.site, "404 Not Found", host, MISSING)
    }

    fn not_allowed(&self, host: &Host, method: &str, allow: &str) -> Answer {
        match self.site.product {
            Product::Nginx => respond::page(&self.site, "405 Not Allowed", host, ""),
            Product::Apache => {
                let detail = format!(
                    "<p>The requested method {} is not allowed for this URL.</p>\n",
                    escape_html(method),
                );
                let status = "405 Method Not Allowed";
                let mut answer = respond::page(&self.site, status, host, &detail);
                answer.fields.push(("Allow", allow.into()));
                answer
            }
        }
    }

    /// `400 Bad Request`, with Apache's reason where it gives one.
    pub(super) fn bad(&self, host: &Host, reason: &str) -> Answer {
        let detail = format!(
            "<p>Your browser sent a request that this server could not understand.<br />\n\
             {reason}</p>\n"
        );
        respond::page(&self.site, "400 Bad Request", host, &detail).closing()
    }

    /// Apache's answer to a body that is not chunked as it should be.
    pub(super) fn refuse_chunk(&self, request: &Request) -> Answer {
        self.bad(&self.host(Some(request)), "").without_length()
    }

    /// Apache's answer to a body that does not come.
    pub(super) fn time_out(&self, request: &Request) -> Answer {
        let detail = "<p>Server timeout waiting for the HTTP request from the client.</p>\n";
        respond::page(&self.site, "408 Request Timeout", &self.host(Some(request)), detail)
    }

    /// Whom the visitor asked for: by the target, else by the Host field, else by nothing.
    pub(super) fn host(&self, request: Option<&Request>) -> Host {
        let mine = || Host { name: self.site.server_name.clone(), port: self.site.port };
        let Some(request) = request else { return mine() };
        let from_target = authority(&request.target);
        let Some(text) = from_target.or_else(|| request.field("host")) else { return mine() };
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name.to_owned(), port.parse().ok()),
            _ => (text, None),
        };
        // nginx redirects to the port that it listens on.
        let named = port.filter(|_| self.site.product == Product::Apache);
        Host { name: escape_html(&name), port: named.unwrap_or(self.site.port) }
    }
}

impl Answer {
    /// The same, after which the server closes.
    fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The same, with a length that the visitor learns from the close.
    pub(super) fn without_length(mut self) -> Self {
        self.length = Length::Untold;
        self
    }

    /// Whether the server closes after it.
    pub(super) fn ends_connection(&self) -> bool {
        self.close
    }
}

fn redirect(to: &str, cookie: Option<String>) -> Answer {
    let mut answer = respond::app("302 Found", String::new());
    answer.fields.push(("Location", to.into()));
    if let Some(cookie) = cookie {
        answer.fields.push(("Set-Cookie", format!("{cookie}; HttpOnly; Path=/")));
    }
    answer
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

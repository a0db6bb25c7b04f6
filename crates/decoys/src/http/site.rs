//! What a persona's web server serves: derived once per session, the same every time.
//!
//! Owns content; it knows nothing of the wire. Nothing here is shared between deckies: titles,
//! colours, dates and therefore entity tags follow from the persona.

use std::{fmt::Write, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use model::{Persona, PersonaAccount, Timestamp};
use sha2::Sha256;

use super::body::hex;

/// Which server it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Product {
    /// nginx 1.22.1 of Debian 12.
    Nginx,
    /// Apache 2.4.71 of Debian 12.
    Apache,
}

impl Product {
    /// The server that `persona` runs; all its decoys describe the same one.
    pub(crate) fn of(persona: &Persona) -> Self {
        match persona.draw("http.product", 2) {
            0 => Self::Nginx,
            _ => Self::Apache,
        }
    }
}

/// A static file.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) media: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) modified: Timestamp,
}

/// A site.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) product: Product,
    /// What Apache signs its pages with when the visitor names no host.
    pub(super) server_name: String,
    pub(super) port: u16,
    pub(super) files: Vec<File>,
    /// Directories without an index, without their final slash.
    pub(super) directories: Vec<&'static str>,
    pub(super) realm: &'static str,
    pub(super) portal: Option<Portal>,
}

/// The small application behind the login form.
#[derive(Clone, Debug)]
pub(super) struct Portal {
    title: String,
    organisation: String,
    cookie: &'static str,
    key: [u8; 32],
    persona: Arc<Persona>,
}

const TITLES: &[&str] = &[
    "Intranet",
    "Service Portal",
    "Operations Console",
    "File Exchange",
    "Maintenance Desk",
    "Asset Register",
    "Backup Console",
];
const REALMS: &[&str] =
    &["Restricted", "Administration", "Restricted Area", "Authorized users only"];
const COOKIES: &[&str] = &["session", "sid", "portal_session", "auth"];

impl Site {
    /// The site of `persona`, on `port`.
    pub(super) fn of(persona: &Arc<Persona>, port: u16) -> Self {
        let pick = |label: &str, list: &[&'static str]| {
            list[persona.draw(label, list.len() as u64) as usize]
        };
        let product = Product::of(persona);
        let portal = Portal {
            title: pick("http.title", TITLES).into(),
            organisation: organisation(persona),
            cookie: pick("http.cookie", COOKIES),
            key: persona.seed("http.session"),
            persona: Arc::clone(persona),
        };
        let mut files = vec![
            file(persona, "/index.html", "text/html", portal.front().into_bytes()),
            file(persona, "/assets/site.css", "text/css", portal.style().into_bytes()),
        ];
        if persona.draw("http.robots", 2) == 0 {
            let robots = b"User-agent: *\nDisallow: /admin\nDisallow: /login\n".to_vec();
            files.push(file(persona, "/robots.txt", "text/plain", robots));
        }
        Self {
            product,
            server_name: format!("{}.{}", persona.host_name, persona.domain),
            port,
            files,
            directories: vec!["/assets"],
            realm: pick("http.realm", REALMS),
            portal: Some(portal),
        }
    }

    /// The file at a normalised path.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        let path = if path == "/" { "/index.html" } else { path };
        self.files.iter().find(|file| file.path == path)
    }
}

fn file(persona: &Persona, path: &str, media: &'static str, body: Vec<u8>) -> File {
    let span = persona.booted_at.since(persona.installed_at).as_secs().max(1);
    let offset = persona.draw(&format!("http.modified{path}"), span);
    let offset = std::time::Duration::from_secs(offset);
    let seconds = persona.installed_at.plus(offset).as_micros() / 1_000_000;
    let modified = Timestamp::from_micros(seconds * 1_000_000);
    File { path: path.into(), media, body, modified }
}

fn organisation(persona: &Persona) -> String {
    let first = persona.domain.split('.').next().unwrap_or_default();
    let number = persona.draw("http.site", 90) + 10;
    format!("{} site {number}", first.to_uppercase())
}

impl Portal {
    fn page(&self, heading: &str, content: &str) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{heading} - {title}</title>\n\
             <link rel=\"stylesheet\" href=\"/assets/site.css\">\n</head>\n<body>\n\
             <header><strong>{title}</strong> <span>{organisation}</span></header>\n<main>\n\
             <h1>{heading}</h1>\n{content}</main>\n<footer>{host}</footer>\n</body>\n</html>\n",
            title = self.title,
            organisation = self.organisation,
            host = self.persona.host_name,
        )
    }

    fn front(&self) -> String {
        self.page(
            "Welcome",
            "<p>This system is for staff. Use of it is logged.</p>\n\
             <p><a href=\"/login\">Sign in</a></p>\n",
        )
    }

    fn style(&self) -> String {
        let hue = self.persona.draw("http.hue", 360);
        let width = 36 + self.persona.draw("http.width", 20);
        format!(
            "body {{ font-family: sans-serif; margin: 0; color: #222; }}\n\
             header {{ background: hsl({hue}, 45%, 32%); color: #fff; padding: 0.8em 1.2em; }}\n\
             main {{ max-width: {width}em; margin: 1.5em auto; padding: 0 1em; }}\n\
             label {{ display: block; margin: 0.6em 0; }}\n\
             .error {{ color: #a00; }}\nfooter {{ color: #888; margin: 2em 1.2em; }}\n"
        )
    }

    /// The login form, with a message where a try failed.
    pub(super) fn form(&self, message: Option<&str>) -> String {
        let message =
            message.map(|text| format!("<p class=\"error\">{text}</p>\n")).unwrap_or_default();
        self.page(
            "Sign in",
            &format!(
                "{message}<form method=\"post\" action=\"/login\">\n\
                 <label>User name <input name=\"username\" autocomplete=\"username\" \
                 autofocus></label>\n\
                 <label>Password <input type=\"password\" name=\"password\" \
                 autocomplete=\"current-password\"></label>\n\
                 <button type=\"submit\">Sign in</button>\n</form>\n"
            ),
        )
    }

    /// What a user sees inside.
    pub(super) fn home(&self, account: &PersonaAccount, now: Timestamp) -> String {
        let days = self.persona.uptime(now).as_secs() / 86_400;
        let jobs = self.persona.draw("http.jobs", 9);
        let mut content = format!(
            "<p>Signed in as {user}. <a href=\"/logout\">Sign out</a></p>\n<table>\n\
             <tr><th>Host</th><td>{host}.{domain}</td></tr>\n\
             <tr><th>Kernel</th><td>{kernel}</td></tr>\n\
             <tr><th>Up</th><td>{days} days</td></tr>\n\
             <tr><th>Memory</th><td>{memory} MiB</td></tr>\n\
             <tr><th>Open jobs</th><td>{jobs}</td></tr>\n</table>\n",
            user = account.user,
            host = self.persona.host_name,
            domain = self.persona.domain,
            kernel = self.persona.kernel_release,
            memory = self.persona.memory_mib,
        );
        if account.uid == 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(content, "<p><a href=\"/admin\">Administration</a></p>");
        }
        self.page("Overview", &content)
    }

    /// What is behind the password of the server itself.
    pub(super) fn admin(&self) -> String {
        let mut rows = String::new();
        for account in &self.persona.accounts {
            // Writing to a String cannot fail.
            let _ = writeln!(rows, "<tr><td>{}</td><td>{}</td></tr>", account.user, account.uid);
        }
        self.page(
            "Accounts",
            &format!("<table>\n<tr><th>Name</th><th>Id</th></tr>\n{rows}</table>\n"),
        )
    }

    /// The account that these words log in to.
    pub(super) fn login(&self, user: &str, password: &str) -> Option<&PersonaAccount> {
        self.persona.login(user, password)
    }

    /// The cookie of a fresh login. It carries its own proof, so that it holds on every
    /// connection without anything being remembered.
    pub(super) fn cookie(&self, account: &PersonaAccount, nonce: &[u8]) -> String {
        format!("{}={}{}", self.cookie, hex(nonce), self.proof(account, nonce))
    }

    /// A cookie that ends a login.
    pub(super) fn no_cookie(&self) -> String {
        format!("{}=; Max-Age=0", self.cookie)
    }

    /// Whose login a `Cookie` field carries.
    pub(super) fn signed_in(&self, field: &str) -> Option<&PersonaAccount> {
        let value = field
            .split(';')
            .find_map(|pair| pair.trim().strip_prefix(self.cookie)?.strip_prefix('='))?;
        let (nonce, proof) = value.split_at_checked(16)?;
        let nonce: Vec<u8> = (0..8)
            .map(|at| u8::from_str_radix(nonce.get(2 * at..2 * at + 2)?, 16).ok())
            .collect::<Option<_>>()?;
        self.persona.accounts.iter().find(|account| self.proof(account, &nonce) == proof)
    }

    fn proof(&self, account: &PersonaAccount, nonce: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(nonce);
        mac.update(account.user.as_bytes());
        hex(&mac.finalize().into_bytes()[..12])
    }
}

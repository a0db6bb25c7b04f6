//! Requests that a browser sends for another site are refused, and so are host names that are
//! not ours: cross-site request forgery and DNS rebinding.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, Method, header, request::Parts};

use crate::{peer::Peer, problem::Problem};

/// The hosts that are served.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    listen: Option<SocketAddr>,
    /// Authority of the public URL, without its port.
    public: Option<String>,
    /// Whether browsers come by TLS.
    pub(crate) secure: bool,
}

impl Hosts {
    pub(crate) fn new(listen: Option<SocketAddr>, public_url: Option<&str>) -> Self {
        let split = public_url.and_then(|url| url.split_once("://"));
        let public = split.map(|(_, rest)| {
            host_of(rest.split('/').next().unwrap_or_default()).to_ascii_lowercase()
        });
        let secure = split.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"));
        Self { listen, public, secure }
    }

    /// Whether requests for `host` (of a `Host` header) are meant for us. Where the listener is
    /// not on loopback and no public URL is set, any host is.
    fn serves(&self, host: &str) -> bool {
        let name = host_of(host).to_ascii_lowercase();
        if self.public.as_deref() == Some(&*name) {
            return true;
        }
        let address: Option<IpAddr> =
            name.trim_start_matches('[').trim_end_matches(']').parse().ok();
        match self.listen.map(|listen| listen.ip()) {
            Some(ip) if ip.is_loopback() => {
                name == "localhost" || address.is_some_and(|address| address.is_loopback())
            }
            _ => self.public.is_none() || address.is_some(),
        }
    }
}

/// A host without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses requests for other hosts and from other sites.
pub(crate) fn guard_site(hosts: &Hosts, parts: &Parts) -> Result<(), Problem> {
    if matches!(parts.extensions.get::<Peer>(), Some(Peer::Unix { .. })) {
        return Ok(());
    }
    let host = text(&parts.headers, &header::HOST).or(parts.uri.authority().map(|a| a.as_str()));
    let Some(host) = host.filter(|host| hosts.serves(host)) else {
        return Err(Problem::misdirected("the host of the request is not one of this service"));
    };
    if !parts.uri.path().starts_with("/api/") {
        return Ok(());
    }
    let foreign = Problem::cross_site("the request comes from another site");
    match text(&parts.headers, &SEC_FETCH_SITE) {
        None | Some("same-origin") => {}
        // Typed into the address bar: may look, not change.
        Some("none") if parts.method == Method::GET || parts.method == Method::HEAD => {}
        Some(_) => return Err(foreign),
    }
    match text(&parts.headers, &header::ORIGIN) {
        Some(origin) if !is_own_origin(hosts, origin, host) => Err(foreign),
        _ => Ok(()),
    }
}

fn is_own_origin(hosts: &Hosts, origin: &str, host: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    authority.eq_ignore_ascii_case(host)
        || hosts.public.as_deref().is_some_and(|p| host_of(authority).eq_ignore_ascii_case(p))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // What is no text fits nothing, and must not look like an absent header.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_other_sites_and_for_other_hosts_are_refused() {
        let hosts = Hosts::new("127.0.0.1:7077".parse().ok(), None);
        let check = |method: &str, headers: &[(&str, &str)], accepted: bool| {
            let mut request = axum::http::Request::builder().method(method).uri("/api/v1/status");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(guard_site(&hosts, &parts).is_ok(), accepted, "{method} {headers:?}");
        };
        let host = ("host", "127.0.0.1:7077");
        check("GET", &[host], true);
        check("GET", &[("host", "localhost:7077")], true);
        check("GET", &[("host", "[::1]:7077")], true);
        check("GET", &[], false);
        check("GET", &[("host", "evil.example:7077")], false);
        check("GET", &[("host", "127.0.0.1.evil.example")], false);
        check("POST", &[host, ("origin", "http://127.0.0.1:7077")], true);
        check("POST", &[host, ("origin", "http://127.0.0.1:8000")], false);
        check("POST", &[host, ("origin", "https://evil.example")], false);
        check("POST", &[host, ("origin", "null")], false);
        check("GET", &[host, ("sec-fetch-site", "cross-site")], false);
        check("GET", &[host, ("sec-fetch-site", "same-site")], false);
        check("GET", &[host, ("sec-fetch-site", "none")], true);
        check("POST", &[host, ("sec-fetch-site", "none")], false);
        check("POST", &[host, ("sec-fetch-site", "same-origin")], true);
    }

    #[test]
    fn a_public_url_names_the_host_and_whether_cookies_are_secure() {
        let hosts = Hosts::new("127.0.0.1:1".parse().ok(), Some("https://maze.example/console"));
        assert!(hosts.secure && hosts.serves("maze.example") && hosts.serves("localhost:1"));
        assert!(!hosts.serves("other.example"));
    }
}

//! Answers as bytes, header by header in the order of the server that is imitated.
//!
//! Every text here is the product's own, as captured from the Debian 12 packages (`golden/`).

use model::Timestamp;

use super::{
    body::hex,
    date::http_date,
    site::{File, Product, Site},
};

/// Whom the visitor asked for: what Apache signs its pages with.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

/// An answer before it becomes bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: &'static str,
    /// Fields of this answer; where they stand depends on the product.
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) media: Option<&'static str>,
    pub(super) body: Vec<u8>,
    pub(super) length: Length,
    /// Apache's `mod_deflate` marks what it could have compressed.
    pub(super) vary: bool,
    /// A static file: date and entity tag.
    pub(super) file: Option<(Timestamp, String)>,
    /// Whether ranges are offered.
    pub(super) ranges: bool,
    /// Whether the server closes after it.
    pub(super) close: bool,
}

/// How the length of a body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Length {
    #[default]
    Told,
    Chunked,
    Untold,
}

/// How the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wire {
    pub(super) version: super::parse::Version,
    pub(super) head_only: bool,
    pub(super) close: bool,
    /// The visitor asked to keep it: how many more requests Apache allows.
    pub(super) keep_alive: Option<u32>,
}

/// Writes an answer.
pub(super) fn write(product: Product, answer: &Answer, wire: Wire, now: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(answer.body.len() + 512);
    if wire.version > super::parse::Version::Http09 {
        let head = match product {
            Product::Nginx => nginx_head(answer, wire, now),
            Product::Apache => apache_head(answer, wire, now),
        };
        bytes.extend_from_slice(head.as_bytes());
    }
    if !wire.head_only {
        match answer.length {
            Length::Chunked => {
                bytes.extend_from_slice(format!("{:x}\r\n", answer.body.len()).as_bytes());
                bytes.extend_from_slice(&answer.body);
                bytes.extend_from_slice(b"\r\n0\r\n\r\n");
            }
            Length::Told | Length::Untold => bytes.extend_from_slice(&answer.body),
        }
    }
    bytes
}

fn line(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.push_str(value);
    head.push_str("\r\n");
}

fn nginx_head(answer: &Answer, wire: Wire, now: Timestamp) -> String {
    let mut head = format!("HTTP/1.1 {}\r\nServer: nginx/1.22.1\r\n", answer.status);
    line(&mut head, "Date", &http_date(now));
    if let Some(media) = answer.media {
        line(&mut head, "Content-Type", media);
    }
    if answer.length == Length::Told && answer.media.is_some() {
        line(&mut head, "Content-Length", &answer.body.len().to_string());
    }
    let (early, late): (Vec<_>, Vec<_>) =
        answer.fields.iter().partition(|(name, _)| *name == "Location");
    for (name, value) in early {
        line(&mut head, name, value);
    }
    if let Some((modified, _)) = &answer.file {
        line(&mut head, "Last-Modified", &http_date(*modified));
    }
    line(&mut head, "Connection", if wire.close { "close" } else { "keep-alive" });
    if let Some((_, tag)) = &answer.file {
        line(&mut head, "ETag", tag);
    }
    for (name, value) in late {
        line(&mut head, name, value);
    }
    if answer.ranges {
        line(&mut head, "Accept-Ranges", "bytes");
    }
    head + "\r\n"
}

fn apache_head(answer: &Answer, wire: Wire, now: Timestamp) -> String {
    let mut head = format!("HTTP/1.1 {}\r\n", answer.status);
    line(&mut head, "Date", &http_date(now));
    line(&mut head, "Server", "Apache/2.4.71 (Debian)");
    let (late, early): (Vec<_>, Vec<_>) =
        answer.fields.iter().partition(|(name, _)| *name == "Content-Range");
    for (name, value) in early {
        line(&mut head, name, value);
    }
    if let Some((modified, tag)) = &answer.file {
        line(&mut head, "Last-Modified", &http_date(*modified));
        line(&mut head, "ETag", tag);
        line(&mut head, "Accept-Ranges", "bytes");
    }
    // Apache does not work out the length of an error page that it will not send.
    let page = answer.file.is_none() && answer.media == Some(PAGE_MEDIA);
    let not_modified = answer.status == NOT_MODIFIED;
    if answer.length == Length::Told && !not_modified && !(page && wire.head_only) {
        line(&mut head, "Content-Length", &answer.body.len().to_string());
    }
    if answer.vary {
        line(&mut head, "Vary", "Accept-Encoding");
    }
    for (name, value) in late {
        line(&mut head, name, value);
    }
    if wire.close {
        line(&mut head, "Connection", "close");
    } else if let Some(left) = wire.keep_alive {
        line(&mut head, "Keep-Alive", &format!("timeout=5, max={left}"));
        line(&mut head, "Connection", "Keep-Alive");
    }
    if answer.length == Length::Chunked {
        line(&mut head, "Transfer-Encoding", "chunked");
    }
    if let Some(media) = answer.media {
        line(&mut head, "Content-Type", media);
    }
    head + "\r\n"
}

const PAGE_MEDIA: &str = "text/html; charset=iso-8859-1";
pub(super) const NOT_MODIFIED: &str = "304 Not Modified";

/// A page of the server itself, such as an error. `detail` is Apache's paragraph.
pub(super) fn page(site: &Site, status: &'static str, host: &Host, detail: &str) -> Answer {
    match site.product {
        Product::Nginx => nginx_page(status, status, ""),
        Product::Apache => {
            let reason = status.split_once(' ').map_or(status, |(_, reason)| reason);
            let body = format!(
                "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \
                 \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n\
                 <title>{status}</title>\n</head><body>\n<h1>{reason}</h1>\n{detail}<hr>\n\
                 <address>Apache/2.4.71 (Debian) Server at {} Port {}</address>\n\
                 </body></html>\n",
                host.name, host.port,
            );
            Answer { status, media: Some(PAGE_MEDIA), body: body.into_bytes(), ..Answer::default() }
        }
    }
}

/// nginx's pages: the title may differ from the heading, and a line may follow it.
pub(super) fn nginx_page(status: &'static str, title: &str, more: &str) -> Answer {
    // The status line says Unauthorized, the page says Authorization Required.
    let heading = if status == "401 Unauthorized" { "401 Authorization Required" } else { status };
    let title = if title == status { heading } else { title };
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
         <center><h1>{heading}</h1></center>\r\n{more}<hr><center>nginx/1.22.1</center>\r\n\
         </body>\r\n</html>\r\n"
    );
    Answer { status, media: Some("text/html"), body: body.into_bytes(), ..Answer::default() }
}

/// A static file.
pub(super) fn file(product: Product, file: &File) -> Answer {
    Answer {
        status: "200 OK",
        media: Some(file.media),
        body: file.body.clone(),
        vary: is_compressible(file.media),
        file: Some((file.modified, entity_tag(product, file))),
        ranges: true,
        ..Answer::default()
    }
}

/// A page of the portal.
pub(super) fn app(status: &'static str, body: String) -> Answer {
    Answer {
        status,
        media: Some("text/html; charset=utf-8"),
        body: body.into_bytes(),
        vary: true,
        ..Answer::default()
    }
}

fn is_compressible(media: &str) -> bool {
    matches!(media, "text/html" | "text/css")
}

/// nginx: date and size; Apache: size and date in microseconds.
fn entity_tag(product: Product, file: &File) -> String {
    let (micros, size) = (file.modified.as_micros(), file.body.len());
    match product {
        Product::Nginx => format!("\"{:x}-{size:x}\"", micros / 1_000_000),
        Product::Apache => format!("\"{size:x}-{micros:x}\""),
    }
}

/// The hash of field names in their order: a mark of the visitor's software.
pub(super) fn field_order_hash<'a>(names: impl Iterator<Item = &'a [u8]>) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name);
        hash.update(b",");
    }
    hex(&hash.finalize()[..16])
}

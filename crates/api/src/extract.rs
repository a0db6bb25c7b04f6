//! What handlers take from a request: who asks and with which role, the body, the query.
//!
//! Refusals come in one order: 401, 403, then what is wrong with the request, then 404. The
//! extractor of the role stands first in each handler.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, header, request::Parts},
};
use bytes::Bytes;
use model::Role;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{
    auth::{Principal, Proof, authenticate},
    peer::Peer,
    problem::Problem,
    state::{App, Audit},
};

/// Largest body of a request.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;
/// Largest document of a topology: 16,384 deckies at some 400 bytes.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;
/// Time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Every role there is.
pub(crate) const ANYONE: &[Role] = &[Role::Viewer, Role::Operator, Role::Admin, Role::Auditor];

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $allowed:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(#[allow(dead_code, reason = "some need the proof only")] pub(crate) Principal);

        impl FromRequestParts<Arc<App>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(
                parts: &mut Parts,
                app: &Arc<App>,
            ) -> Result<Self, Problem> {
                Ok(Self(caller(parts, app, $allowed).await?))
            }
        }
    )*};
}

roles! {
    /// Anyone who is logged in.
    Viewer = ANYONE;
    /// Who may change topologies.
    Operator = &[Role::Operator, Role::Admin];
    /// Who may do everything.
    Admin = &[Role::Admin];
    /// Who may read the audit log.
    Auditor = &[Role::Auditor, Role::Admin];
}

async fn caller(parts: &Parts, app: &App, allowed: &[Role]) -> Result<Principal, Problem> {
    if query_of(parts).contains_key("token") {
        return Err(Problem::token_in_query("a ticket opens a live stream and nothing else"));
    }
    let principal = authenticate(app, parts).await?;
    admit(parts, app, principal, allowed).await
}

/// Checks what a known caller may do here, and writes a denial down.
pub(crate) async fn admit(
    parts: &Parts,
    app: &App,
    principal: Principal,
    allowed: &[Role],
) -> Result<Principal, Problem> {
    if let Err(problem) = principal.require(allowed) {
        let denied = Audit {
            actor: &principal.name,
            action: "request.denied",
            object: format!("{} {}", parts.method, parts.uri.path()),
            peer: parts.extensions.get().copied(),
            outcome: "denied",
            detail: None,
        };
        app.audit(denied).await;
        return Err(problem);
    }
    let by_browser = matches!(principal.proof, Proof::Login(_));
    let changes = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if by_browser && changes && !is_json(&parts.headers) {
        return Err(Problem::media_type("requests of a browser carry application/json"));
    }
    Ok(principal)
}

/// The other end of the connection.
impl FromRequestParts<Arc<App>> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Problem> {
        let peer = parts.extensions.get().copied();
        peer.ok_or_else(|| Problem::internal("the peer of the connection is not known"))
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &Arc<App>) -> Result<Self, Problem> {
        let declared = is_json(request.headers());
        parse(declared, &read(request, MAX_BODY_BYTES).await?).map(Self)
    }
}

/// A JSON body as large as a document of a topology may be.
pub(crate) struct LargeJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for LargeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &Arc<App>) -> Result<Self, Problem> {
        let declared = is_json(request.headers());
        parse(declared, &read(request, MAX_DOCUMENT_BYTES).await?).map(Self)
    }
}

/// A JSON body that may be left out.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &Arc<App>) -> Result<Self, Problem> {
        let declared = is_json(request.headers());
        let bytes = read(request, MAX_BODY_BYTES).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(declared, &bytes).map(Self) }
    }
}

/// The whole body, of so many bytes at most.
pub(crate) async fn read(request: Request, most: usize) -> Result<Bytes, Problem> {
    let read = to_bytes(request.into_body(), most);
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Err(_) => Err(Problem::malformed("the body did not arrive in time")),
        Ok(read) => read.map_err(|error| body_problem(&error, most)),
    }
}

/// What a body says that is declared as JSON, or is not.
pub(crate) fn parse<T: DeserializeOwned>(declared: bool, bytes: &[u8]) -> Result<T, Problem> {
    if !declared {
        return Err(Problem::media_type("send the body as application/json"));
    }
    read_json(bytes)
}

/// One JSON object and nothing after it.
///
/// The syntax is looked at first: what is no JSON is told so, whatever its first bytes would have
/// meant. An array is refused, which serde would take for the fields in the order of the code.
fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::invalid("the body is not an object of the expected fields"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        json_problem(&path, error.inner())
    })
}

fn body_problem(error: &axum::Error, most: usize) -> Problem {
    if cause::<http_body_util::LengthLimitError>(error).is_some() {
        return Problem::too_large(format!("this body has at most {most} bytes"));
    }
    Problem::malformed("the body broke off")
}

/// The error itself or what caused it, where that is of this type.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether the body is declared as JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Tells what is wrong with a JSON value, and at which path (`payload.services[1]`; empty or `.`
/// where that is the whole of it).
pub(crate) fn json_problem(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    // The line and column of a body that no person has laid out help nobody.
    let text = text.split(" at line ").next().unwrap_or(&text);
    field_problem(path, text)
        .unwrap_or_else(|| Problem::invalid("the body is not an object of the expected fields"))
}

/// Tells what serde finds wrong with the field at `path`; `None` where it names no field.
fn field_problem(path: &str, text: &str) -> Option<Problem> {
    let path = if path == "." { "" } else { path };
    let quoted = text.split('`').nth(1).unwrap_or_default();
    let (code, field) = match () {
        () if text.starts_with("unknown field") => ("UNKNOWN_FIELD", joined(path, quoted)),
        () if text.starts_with("missing field") => ("MISSING_FIELD", joined(path, quoted)),
        () if text.starts_with("duplicate field") => ("DUPLICATE_FIELD", joined(path, quoted)),
        () if text.starts_with("unknown variant") => ("UNKNOWN_VALUE", path.to_owned()),
        () => ("INVALID_VALUE", path.to_owned()),
    };
    (!field.is_empty()).then(|| Problem::field(&field, code, text))
}

/// The path of a field within `path`, which may name it already.
fn joined(path: &str, field: &str) -> String {
    match path.rsplit('.').next() {
        _ if path.is_empty() => field.to_owned(),
        Some(last) if last == field => path.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

/// The parameters of the query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Problem> {
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|query| Self(query.0)).map_err(|error| {
            query_problem(&error).unwrap_or_else(|| Problem::invalid(error.body_text()))
        })
    }
}

/// What is wrong with which parameter.
fn query_problem(error: &(dyn Error + 'static)) -> Option<Problem> {
    /// What the extractor of axum has for a cause.
    type Located = serde_path_to_error::Error<serde::de::value::Error>;
    let located = cause::<Located>(error)?;
    field_problem(&located.path().to_string(), &located.inner().to_string())
}

/// A parameter of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let parsed = axum::extract::Path::<T>::from_request_parts(parts, app).await;
        parsed
            .map(|path| Self(path.0))
            .map_err(|_| Problem::not_found("the path names nothing that exists"))
    }
}

/// All parameters of the query by name; of repeated ones the last.
pub(crate) fn query_of(parts: &Parts) -> HashMap<String, String> {
    pairs_of(parts).into_iter().collect()
}

/// All parameters of the query, in order.
pub(crate) fn pairs_of(parts: &Parts) -> Vec<(String, String)> {
    axum::extract::Query::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::topologies::CreateTopology;

    #[test]
    fn wrong_fields_are_named() {
        let check = |body: &str, expected: &str| {
            let problem = read_json::<CreateTopology>(body.as_bytes()).err().unwrap();
            let shown = format!("{problem:?}");
            assert!(shown.contains(expected), "{body}: {shown}");
        };
        check(r#"{"name":"a","colour":1}"#, r#"code: "UNKNOWN_FIELD", field: "colour""#);
        check("{}", r#"code: "MISSING_FIELD", field: "name""#);
        check("{", "MALFORMED_REQUEST");
        check(r#"{"name":"a"} {"#, "MALFORMED_REQUEST");
        check("[[[[", "MALFORMED_REQUEST");
        check(r#"["a"]"#, "not an object of the expected fields");
        check("7", "not an object of the expected fields");
        check(r#"{"name":"a.b"}"#, r#"code: "INVALID_VALUE", field: "name""#);
        check(r#"{"name":"UPPER"}"#, "lower-case");
    }
}

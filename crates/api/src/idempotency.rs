//! Requests that may be repeated: by their key, the same request gets the same answer.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use store::RequestKey;

use crate::{
    auth::Principal,
    extract::{MAX_BODY_BYTES, is_json, parse, read},
    problem::Problem,
    state::App,
};

/// Longest idempotency key, in characters.
const MAX_KEY: usize = 200;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The idempotency key of a request.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(key.into())),
        _ => Err(Problem::malformed(format!("an idempotency key has 1 to {MAX_KEY} characters"))),
    }
}

/// An answer, marked where an earlier request had it already.
pub(crate) fn marked(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A JSON body that asks for something to be made, and what the request is known by.
pub(crate) struct Keyed<T> {
    pub(crate) wanted: T,
    key: Option<String>,
    /// Of path and body.
    digest: String,
}

impl<T> Keyed<T> {
    /// What is wanted, and the key of the request where it has one.
    pub(crate) fn of(self, caller: &Principal) -> (T, Option<RequestKey>) {
        let requested_by = caller.name.clone();
        let digest = self.digest;
        (self.wanted, self.key.map(|key| RequestKey { requested_by, key, digest }))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Keyed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &Arc<App>) -> Result<Self, Problem> {
        let (declared, key) = (is_json(request.headers()), key(request.headers())?);
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let body = read(request, MAX_BODY_BYTES).await?;
        let wanted = parse(declared, &body)?;
        let digest = Sha256::new().chain_update(path).chain_update([0]).chain_update(&body);
        let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { wanted, key, digest })
    }
}

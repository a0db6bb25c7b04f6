//! What every answer has in common, whatever the route: a request id, the site check before,
//! problems as JSON, and the security headers.

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, header},
};
use tower::ServiceExt;

use crate::{auth::guard_site, problem::Problem, state::App};

/// Scripts, styles and connections from here only; nobody frames it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                   font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
                   form-action 'self'; frame-ancestors 'none'";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Answers one request.
pub(crate) async fn answer(app: &App, router: Router, request: Request<Body>) -> Response<Body> {
    let request_id = hex(app.ambient.bytes::<8>());
    let (parts, body) = request.into_parts();
    let is_api = parts.uri.path().starts_with("/api/");
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let mut response = match guard_site(&app.hosts, &parts) {
        Err(problem) => problem.render(&request_id),
        Ok(()) => match router.oneshot(Request::from_parts(parts, body)).await {
            Ok(response) => response,
        },
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers().get(header::ALLOW).cloned();
        response = problem.render(&request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    log(&request_id, &method, &path, response.status());
    dress(&mut response, &request_id, is_api);
    response
}

fn log(request_id: &str, method: &axum::http::Method, path: &str, status: StatusCode) {
    tracing::debug!(
        request.id = request_id,
        http.method = %method,
        http.path = %model::escape_text(path.as_bytes()),
        http.status = status.as_u16(),
        "request answered"
    );
}

fn dress(response: &mut Response<Body>, request_id: &str, is_api: bool) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

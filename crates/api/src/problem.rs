//! Errors as RFC 9457 problem details. Each has a stable code and a public message; what caused
//! it is logged once, here, and never sent.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What a field has wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Stable.
    pub(crate) code: String,
    /// Which field, such as `payload.subnet`.
    pub(crate) field: String,
    /// For people.
    pub(crate) message: String,
}

/// Why a request was refused; travels in the response's extensions until the request's id is
/// known.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
}

/// Problem details (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The kind as a word; stable.
    code: &'a str,
    /// What is wrong with this request.
    detail: &'a str,
    /// Fields that are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// Names this request in the log.
    request_id: &'a str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])* pub(crate) fn $name(detail: impl Into<String>) -> Self {
                Self {
                    status: StatusCode::$status,
                    code: $code,
                    title: $title,
                    detail: detail.into(),
                    errors: Vec::new(),
                    retry_after: None,
                }
            })*
        }
    };
}

kinds! {
    malformed = BAD_REQUEST, "MALFORMED_REQUEST", "The request cannot be read";
    unauthenticated = UNAUTHORIZED, "UNAUTHENTICATED", "Log in first";
    wrong_login = UNAUTHORIZED, "WRONG_CREDENTIALS", "Name or password is wrong";
    forbidden = FORBIDDEN, "FORBIDDEN", "Not allowed to this role";
    cross_site = FORBIDDEN, "CROSS_SITE", "Requests from other sites are refused";
    token_in_query = BAD_REQUEST, "TOKEN_IN_QUERY", "Only tickets may stand in a query";
    misdirected = MISDIRECTED_REQUEST, "UNKNOWN_HOST", "This host is not served here";
    not_found = NOT_FOUND, "NOT_FOUND", "There is no such thing";
    no_route = NOT_FOUND, "NO_ROUTE", "There is no such resource";
    method = METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "The resource has no such method";
    ambiguous = CONFLICT, "AMBIGUOUS_NAME", "The name fits several things";
    conflict = CONFLICT, "CONFLICT", "The present state does not allow this";
    undo = CONFLICT, "UNDO_UNSAFE", "That cannot be taken back safely";
    name_taken = CONFLICT, "NAME_TAKEN", "The name is taken";
    slug_taken = CONFLICT, "SLUG_TAKEN", "The slug is taken";
    version_conflict = CONFLICT, "VERSION_CONFLICT", "The resource has changed";
    illegal_move = CONFLICT, "ILLEGAL_TRANSITION", "There is no such move between states";
    workstream_closed = CONFLICT, "WORKSTREAM_CLOSED", "The workstream is over";
    goal_already_active = CONFLICT, "GOAL_ALREADY_ACTIVE", "The domain has an active goal";
    in_use = CONFLICT, "IN_USE", "Others refer to it";
    last_admin = CONFLICT, "LAST_ADMIN", "Nobody would be left who can administer";
    setup_closed = CONFLICT, "SETUP_CLOSED", "The set-up is done";
    setup_secret = FORBIDDEN, "SETUP_SECRET", "The set-up secret is wrong or has expired";
    stale = PRECONDITION_FAILED, "VERSION_CONFLICT", "The resource has changed";
    too_large = PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "The body is too large";
    media_type = UNSUPPORTED_MEDIA_TYPE, "JSON_REQUIRED", "The body must be application/json";
    invalid = UNPROCESSABLE_ENTITY, "INVALID", "Some fields are wrong";
    key_reused = UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", "The key stands for another request";
    queue_full = TOO_MANY_REQUESTS, "QUEUE_FULL", "Too many mutations are pending";
    too_many_streams = TOO_MANY_REQUESTS, "TOO_MANY_STREAMS", "Too many live streams are open";
    throttled = TOO_MANY_REQUESTS, "THROTTLED", "Too many failed logins";
    internal = INTERNAL_SERVER_ERROR, "INTERNAL", "Something failed here";
    unavailable = SERVICE_UNAVAILABLE, "UNAVAILABLE", "The store cannot answer now";
}

impl Problem {
    /// Names the fields that are wrong.
    pub(crate) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// One field that is wrong.
    pub(crate) fn field(field: &str, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let error = FieldError { code: code.into(), field: field.into(), message: message.clone() };
        Self::invalid(format!("`{field}`: {message}")).with_errors(vec![error])
    }

    /// Names the field that it is about.
    pub(crate) fn about(mut self, field: &str, code: impl Into<String>) -> Self {
        let (field, message) = (field.into(), self.detail.clone());
        self.errors.push(FieldError { code: code.into(), field, message });
        self
    }

    /// Rules of topologies that are broken.
    pub(crate) fn violations(violations: Vec<maze::Violation>) -> Self {
        let errors = violations.into_iter().map(|violation| FieldError {
            code: violation.code.to_string(),
            field: violation.field,
            message: violation.message,
        });
        let errors: Vec<FieldError> = errors.collect();
        let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        Self::invalid(first).with_errors(errors)
    }

    /// Says when to try again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// As an answer to the request of this id.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let body = ProblemBody {
            kind: format!("urn:morgana:problem:{}", self.code.to_lowercase().replace('_', "-")),
            title: self.title,
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
            request_id,
        };
        let text = serde_json::to_vec(&body).expect("a problem serialises: its keys are strings");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::StoreError> for Problem {
    fn from(error: store::StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the store did not answer");
        match error {
            store::StoreError::Closed { .. } => Self::unavailable("the service is stopping"),
            store::StoreError::Statement { .. } => {
                Self::internal("the request failed; see the log")
            }
            store::StoreError::Commit { source, .. } => {
                let detail =
                    format!("the change was not made, the database cannot keep it: {source}");
                Self::unavailable(detail).retry_after(5)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        let source = std::sync::Arc::new(std::io::Error::other("database or disk is full"));
        let problem = Problem::from(store::StoreError::Commit { operation: "test", source });
        assert!(format!("{problem:?}").contains("disk is full"), "{problem:?}");
    }
}

//! The service itself: health, status, the audit log, the OpenAPI document.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use model::Timestamp;
use serde::Serialize;
use store::{AuditEntry, AuditError};
use utoipa::ToSchema;

use crate::{
    extract::{Auditor, OptionalJson, Query, Viewer},
    openapi::openapi_json,
    page::{Page, PageQuery},
    problem::{Problem, ProblemBody},
    state::App,
    words::Moment,
};

/// Whether the service answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// `ok`, or `failing`.
    status: &'static str,
}

/// How the bus fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BusView {
    name: String,
    /// `off`, `embedded`, `idle`, `connecting`, `connected`, `waiting` or `closed`.
    #[schema(value_type = String)]
    state: bus::BusState,
    published: u64,
    delivered: u64,
    dropped: u64,
    skipped: u64,
    subscribers: u64,
    reconnects: u64,
}

/// How the service fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusView {
    /// Version of the program.
    version: &'static str,
    #[schema(value_type = Moment)]
    started_at: Timestamp,
    #[schema(value_type = Moment)]
    now: Timestamp,
    /// Names this life of the journal: the first part of a stream's event ids.
    epoch: String,
    journal_head: u64,
    journal_oldest: u64,
    pending_mutations: u64,
    /// When the oldest claim of the mutator began.
    #[schema(value_type = Moment, nullable, required)]
    oldest_claim_at: Option<Timestamp>,
    store_queue: usize,
    store_bytes: u64,
    live_streams: usize,
    bus: BusView,
}

/// A record of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditView {
    seq: u64,
    #[schema(value_type = Moment)]
    at: Timestamp,
    actor: String,
    action: String,
    object: String,
    #[schema(required)]
    address: Option<String>,
    outcome: String,
    #[schema(required)]
    detail: Option<String>,
    /// SHA-256 over the hash before and this record.
    hash: String,
}

impl From<&AuditEntry> for AuditView {
    fn from(entry: &AuditEntry) -> Self {
        let record = &entry.record;
        Self {
            seq: entry.seq,
            at: entry.at,
            actor: record.actor.clone(),
            action: record.action.clone(),
            object: record.object.clone(),
            address: record.address.map(|address| address.to_string()),
            outcome: record.outcome.clone(),
            detail: record.detail.clone(),
            hash: entry.hash.clone(),
        }
    }
}

/// Whether the audit log is whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditCheck {
    intact: bool,
    /// How many records fit.
    entries: u64,
    /// The first record that does not fit.
    #[schema(required)]
    broken_at: Option<u64>,
}

/// Nothing to say.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Whether the service answers; for load balancers, without a login.
#[utoipa::path(get, path = "/healthz", tag = "service", security(()), responses(
    (status = 200, description = "It does", body = HealthView),
    (status = 503, description = "The store does not", body = HealthView),
))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, word) = match app.store.health().await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    (status, axum::Json(HealthView { status: word })).into_response()
}

/// How the service fares.
#[utoipa::path(get, path = "/api/v1/status", tag = "service", responses(
    (status = 200, description = "How it fares", body = StatusView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn status(
    _: Viewer,
    State(app): State<Arc<App>>,
) -> Result<axum::Json<StatusView>, Problem> {
    let (store, bus) = (app.store.health().await?, app.bus.health());
    let bus = BusView {
        name: bus.name,
        state: bus.state,
        published: bus.published,
        delivered: bus.delivered,
        dropped: bus.dropped,
        skipped: bus.skipped,
        subscribers: bus.subscribers,
        reconnects: bus.reconnects,
    };
    Ok(axum::Json(StatusView {
        version: env!("CARGO_PKG_VERSION"),
        started_at: app.started_at,
        now: app.ambient.now(),
        epoch: app.store.installation().epoch.clone(),
        journal_head: store.journal_head,
        journal_oldest: store.journal_oldest,
        pending_mutations: store.pending_mutations,
        oldest_claim_at: store.oldest_lease.map(|lease| lease.claimed_at),
        store_queue: store.queue_depth,
        store_bytes: store.file_bytes,
        live_streams: app.permits.open(),
        bus,
    }))
}

/// The audit log, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "service", params(PageQuery), responses(
    (status = 200, description = "A page of records", body = Page<AuditView>),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn audit_log(
    _: Auditor,
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<AuditView>>, Problem> {
    let (after, limit) = query.parse()?;
    let page = app.store.audit_log(after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| row.into())))
}

/// Checks the chain of the audit log.
#[utoipa::path(post, path = "/api/v1/audit/verify", tag = "service", responses(
    (status = 200, description = "Whether it is whole", body = AuditCheck),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn verify_audit(
    _: Auditor,
    State(app): State<Arc<App>>,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<axum::Json<AuditCheck>, Problem> {
    let check = match app.store.verify_audit().await {
        Ok(entries) => AuditCheck { intact: true, entries, broken_at: None },
        Err(AuditError::Broken { seq }) => {
            AuditCheck { intact: false, entries: seq.saturating_sub(1), broken_at: Some(seq) }
        }
        Err(AuditError::Store(error)) => return Err(error.into()),
    };
    Ok(axum::Json(check))
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "service", security(()), responses(
    (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
))]
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}

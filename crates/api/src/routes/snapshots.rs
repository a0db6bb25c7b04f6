//! The states that live streams begin with, each with the journal position at which it was true.

use std::sync::Arc;

use model::{ENVELOPE_VERSION, SubjectFilter, Timestamp, TopologyId, TopologyStatus};
use serde::Serialize;
use serde_json::value::to_raw_value;
use utoipa::ToSchema;

use crate::{
    live::{Snapshot, StreamFault, Unread},
    page::cursor_of,
    state::App,
    views::{AttackerView, DeckyView, IdentityView, LanView, MutationView},
    words::{Id, Moment, TopologyStatusWord},
};

/// `snapshot` of a topology's stream.
#[derive(Serialize, ToSchema)]
pub(crate) struct TopologySnapshot {
    v: u32,
    /// Journal position at which this was true.
    seq: u64,
    #[schema(value_type = Id)]
    topology_id: TopologyId,
    name: String,
    #[schema(value_type = TopologyStatusWord)]
    status: TopologyStatus,
    #[schema(required)]
    reason: Option<String>,
    version: u64,
    /// Pending and applying mutations, oldest first.
    in_flight: Vec<MutationView>,
    lans: Vec<LanView>,
    deckies: Vec<DeckyView>,
}

/// `snapshot` of the identities' stream.
#[derive(Serialize, ToSchema)]
pub(crate) struct IdentitiesSnapshot {
    v: u32,
    /// Journal position at which this was true.
    seq: u64,
    /// The newest 50.
    identities: Vec<IdentityView>,
    total: u64,
    /// Where `/identities` goes on.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// `snapshot` of the attackers' stream.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttackersSnapshot {
    v: u32,
    /// Journal position at which this was true.
    seq: u64,
    /// The newest 50.
    attackers: Vec<AttackerView>,
    total: u64,
    /// Where `/attackers` goes on.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// `snapshot` of the stream by filter, which has no state of its own.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventsSnapshot {
    v: u32,
    /// Journal position after which the events begin.
    seq: u64,
    filter: Vec<String>,
    head: u64,
}

/// A live frame: one event.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "shown in the OpenAPI document; frames are written by `live`")]
pub(crate) struct LiveFrame {
    v: u32,
    /// Journal position; null on events that are not journalled.
    #[schema(required)]
    seq: Option<u64>,
    #[schema(value_type = Id)]
    id: model::EventId,
    /// The subject.
    topic: String,
    /// The kind of payload, such as `topology.mutation.applied`.
    #[serde(rename = "type")]
    kind: String,
    #[schema(value_type = Moment)]
    ts: Timestamp,
    payload: serde_json::Map<String, serde_json::Value>,
}

/// `reset`: what was known is to be thrown away; a snapshot follows.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "shown in the OpenAPI document; frames are written by `live`")]
pub(crate) struct ResetFrame {
    v: u32,
    seq: u64,
    /// `epoch_unknown`, `position_expired` or `lagged`.
    reason: String,
}

/// `degraded`: whether events that are not journalled may be missing.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "shown in the OpenAPI document; frames are written by `live`")]
pub(crate) struct DegradedFrame {
    v: u32,
    seq: u64,
    degraded: bool,
    reason: String,
}

/// `stream-error` and `auth-revoked`: the stream ends.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "shown in the OpenAPI document; frames are written by `live`")]
pub(crate) struct EndFrame {
    v: u32,
    seq: u64,
    code: String,
    message: String,
    /// Whether connecting again may help.
    retryable: bool,
}

/// The topology is gone.
const GONE: StreamFault =
    StreamFault { code: "NOT_FOUND", message: "there is no such topology", retryable: false };

fn stamped(head: u64, state: &impl Serialize) -> Result<Snapshot, StreamFault> {
    let data = to_raw_value(state).map_err(|_| StreamFault::unread(Unread::State))?;
    Ok(Snapshot { head, data })
}

fn unread(error: &store::StoreError) -> StreamFault {
    tracing::error!(error = error as &dyn std::error::Error, "a snapshot cannot be read");
    StreamFault::unread(Unread::State)
}

pub(crate) async fn topology(app: Arc<App>, id: TopologyId) -> Result<Snapshot, StreamFault> {
    let found =
        app.store.topology_snapshot(id).await.map_err(|error| unread(&error))?.ok_or(GONE)?;
    let (record, topology) = (&found.record, &found.record.topology);
    let state = TopologySnapshot {
        v: ENVELOPE_VERSION,
        seq: found.head,
        topology_id: id,
        name: topology.name.to_string(),
        status: record.status,
        reason: record.reason.clone(),
        version: topology.version,
        in_flight: found.in_flight.iter().map(Into::into).collect(),
        lans: topology.lans.values().map(|lan| (&**lan).into()).collect(),
        deckies: DeckyView::all(record, &*app.network),
    };
    stamped(found.head, &state)
}

pub(crate) async fn identities(app: Arc<App>) -> Result<Snapshot, StreamFault> {
    let found = app.store.identities_snapshot().await.map_err(|error| unread(&error))?;
    let state = IdentitiesSnapshot {
        v: ENVELOPE_VERSION,
        seq: found.head,
        identities: found.page.items.iter().map(Into::into).collect(),
        total: found.page.total.unwrap_or_default(),
        next_cursor: found.page.next.as_ref().map(cursor_of),
    };
    stamped(found.head, &state)
}

pub(crate) async fn attackers(app: Arc<App>) -> Result<Snapshot, StreamFault> {
    let found = app.store.attackers_snapshot().await.map_err(|error| unread(&error))?;
    let state = AttackersSnapshot {
        v: ENVELOPE_VERSION,
        seq: found.head,
        attackers: found.page.items.iter().map(Into::into).collect(),
        total: found.page.total.unwrap_or_default(),
        next_cursor: found.page.next.as_ref().map(cursor_of),
    };
    stamped(found.head, &state)
}

pub(crate) async fn events(
    app: Arc<App>,
    filters: Vec<SubjectFilter>,
) -> Result<Snapshot, StreamFault> {
    let head = app.store.journal_head();
    let filter = filters.iter().map(ToString::to_string).collect();
    stamped(head, &EventsSnapshot { v: ENVELOPE_VERSION, seq: head, filter, head })
}

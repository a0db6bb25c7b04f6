//! What answers look like: the rows of the store as JSON, with what only the process knows.

pub(crate) mod hub;
mod observed;

use std::net::SocketAddr;

use model::{
    Archetype, Decky, DeckyId, DeckyState, Lan, LanId, MutationId, MutationState, Position, Role,
    Service, Timestamp, TopologyId, TopologyStatus, Trigger,
};
use serde::Serialize;
use store::{MutationRecord, TopologyRecord};
use utoipa::ToSchema;

pub(crate) use observed::{AttackerView, CredentialView, IdentityView, SessionDetail, SessionView};

use crate::{
    NetworkView,
    words::{
        ArchetypeWord, DeckyStateWord, Id, Moment, MutationStateWord, RoleWord, ServiceWord,
        TopologyStatusWord, TriggerWord,
    },
};

/// Where the console draws something.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Position)]
pub(crate) struct PositionView {
    x: i32,
    y: i32,
}

impl From<Position> for PositionView {
    fn from(position: Position) -> Self {
        Self { x: position.x, y: position.y }
    }
}

/// A LAN.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Lan)]
pub(crate) struct LanView {
    #[schema(value_type = Id)]
    lan_id: LanId,
    name: String,
    /// CIDR.
    subnet: String,
    is_dmz: bool,
    #[schema(required)]
    position: Option<PositionView>,
}

impl From<&Lan> for LanView {
    fn from(lan: &Lan) -> Self {
        Self {
            lan_id: lan.id,
            name: lan.name.to_string(),
            subnet: lan.subnet.to_string(),
            is_dmz: lan.is_dmz,
            position: lan.position.map(Into::into),
        }
    }
}

/// A service of a decky.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ServiceConfig)]
pub(crate) struct ServiceView {
    #[schema(value_type = ServiceWord)]
    service: Service,
    port: u16,
}

/// An interface of a decky.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Interface)]
pub(crate) struct InterfaceView {
    #[schema(value_type = Id)]
    lan_id: LanId,
    /// Name of the LAN.
    lan: String,
    address: String,
    /// Whether the decky routes between this LAN and its home.
    forwards_l3: bool,
}

/// Where a service really answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(crate) struct EndpointBody {
    #[schema(value_type = Id)]
    lan_id: LanId,
    #[schema(value_type = ServiceWord)]
    service: Service,
    /// The port that the persona shows.
    port: u16,
    /// Address and port where it really answers.
    #[schema(value_type = String)]
    listening: SocketAddr,
}

/// A decky.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Decky)]
pub(crate) struct DeckyView {
    #[schema(value_type = Id)]
    pub(crate) decky_id: DeckyId,
    #[schema(value_type = Id)]
    topology_id: TopologyId,
    /// Name of the topology.
    topology: String,
    name: String,
    #[schema(value_type = ArchetypeWord)]
    archetype: Archetype,
    #[schema(value_type = DeckyStateWord)]
    state: DeckyState,
    /// The first is on its home LAN.
    interfaces: Vec<InterfaceView>,
    /// Whether it is a gateway: routes between all of its LANs.
    forwards_l3: bool,
    /// Whether it is taken off the network for now.
    is_stopped: bool,
    services: Vec<ServiceView>,
    /// Open services; empty where it is not deployed.
    endpoints: Vec<EndpointBody>,
    #[schema(required)]
    rotate_every_seconds: Option<u64>,
    #[schema(value_type = Moment)]
    rotated_at: Timestamp,
    #[schema(value_type = Moment, nullable, required)]
    next_rotation_at: Option<Timestamp>,
    #[schema(required)]
    position: Option<PositionView>,
}

impl DeckyView {
    pub(crate) fn new(record: &TopologyRecord, decky: &Decky, network: &dyn NetworkView) -> Self {
        let topology = &record.topology;
        let interface = |edge: &model::Edge| InterfaceView {
            lan_id: edge.lan,
            lan: topology.lans.get(&edge.lan).map(|lan| lan.name.to_string()).unwrap_or_default(),
            address: edge.address.to_string(),
            forwards_l3: edge.forwards_l3,
        };
        let endpoints = network.endpoints(decky.id).into_iter().map(|endpoint| EndpointBody {
            lan_id: endpoint.lan,
            service: endpoint.service,
            port: endpoint.port,
            listening: endpoint.listening,
        });
        Self {
            decky_id: decky.id,
            topology_id: topology.id,
            topology: topology.name.to_string(),
            name: decky.name.to_string(),
            archetype: decky.archetype,
            state: record.decky_states.get(&decky.id).copied().unwrap_or(DeckyState::Planned),
            interfaces: decky.edges.iter().map(interface).collect(),
            forwards_l3: decky.forwards_l3,
            is_stopped: decky.is_stopped,
            services: decky
                .services
                .iter()
                .map(|config| ServiceView { service: config.service, port: config.port })
                .collect(),
            endpoints: endpoints.collect(),
            rotate_every_seconds: decky.rotate_every.map(|every| every.as_secs()),
            rotated_at: decky.rotated_at,
            next_rotation_at: topology.due_at(decky),
            position: decky.position.map(Into::into),
        }
    }

    /// All deckies of a topology, by id.
    pub(crate) fn all(record: &TopologyRecord, network: &dyn NetworkView) -> Vec<Self> {
        record.topology.deckies.values().map(|decky| Self::new(record, decky, network)).collect()
    }
}

/// A topology in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TopologySummary {
    #[schema(value_type = Id)]
    pub(crate) topology_id: TopologyId,
    name: String,
    #[schema(value_type = TopologyStatusWord)]
    status: TopologyStatus,
    /// Why it has this status.
    #[schema(required)]
    reason: Option<String>,
    /// Counts changes; also the ETag.
    version: u64,
    /// Between scheduled rotations of deckies without an interval of their own.
    #[schema(required)]
    rotate_every_seconds: Option<u64>,
    lan_count: usize,
    decky_count: usize,
    #[schema(value_type = Moment)]
    created_at: Timestamp,
    created_by: String,
    #[schema(value_type = Moment)]
    status_changed_at: Timestamp,
}

impl From<&TopologyRecord> for TopologySummary {
    fn from(record: &TopologyRecord) -> Self {
        Self {
            topology_id: record.topology.id,
            name: record.topology.name.to_string(),
            status: record.status,
            reason: record.reason.clone(),
            version: record.topology.version,
            rotate_every_seconds: record.topology.rotate_every.map(|every| every.as_secs()),
            lan_count: record.topology.lans.len(),
            decky_count: record.topology.deckies.len(),
            created_at: record.created_at,
            created_by: record.created_by.clone(),
            status_changed_at: record.status_changed_at,
        }
    }
}

/// A topology.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Topology)]
pub(crate) struct TopologyView {
    #[serde(flatten)]
    summary: TopologySummary,
    lans: Vec<LanView>,
    deckies: Vec<DeckyView>,
}

impl TopologyView {
    pub(crate) fn new(record: &TopologyRecord, network: &dyn NetworkView) -> Self {
        Self {
            summary: record.into(),
            lans: record.topology.lans.values().map(|lan| (&**lan).into()).collect(),
            deckies: DeckyView::all(record, network),
        }
    }
}

/// A queued change.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Mutation)]
pub(crate) struct MutationView {
    #[schema(value_type = Id)]
    pub(crate) mutation_id: MutationId,
    #[schema(value_type = Id)]
    topology_id: TopologyId,
    /// What it does, such as `add_decky`.
    op: String,
    /// The fields of the op.
    #[schema(value_type = Object, additional_properties = true)]
    payload: serde_json::Value,
    #[schema(value_type = MutationStateWord)]
    state: MutationState,
    /// The topology's version when it was queued; once applied, the one that it made.
    version: u64,
    /// Journal position of its `enqueued` event.
    position: u64,
    requested_by: String,
    #[schema(value_type = TriggerWord)]
    trigger: Trigger,
    #[schema(value_type = Moment)]
    requested_at: Timestamp,
    #[schema(value_type = Moment, nullable, required)]
    ended_at: Option<Timestamp>,
    /// Why it failed.
    #[schema(required)]
    reason: Option<String>,
    /// How often it was claimed.
    attempt: u32,
    /// The undo that took it back.
    #[schema(value_type = Id, nullable, required)]
    undone_by: Option<MutationId>,
}

impl From<&MutationRecord> for MutationView {
    fn from(mutation: &MutationRecord) -> Self {
        Self {
            mutation_id: mutation.id,
            topology_id: mutation.topology_id,
            op: mutation.op.word().into(),
            payload: mutation.op.payload(),
            state: mutation.state,
            version: mutation.version,
            position: mutation.position,
            requested_by: mutation.requested_by.clone(),
            trigger: mutation.trigger,
            requested_at: mutation.requested_at,
            ended_at: mutation.ended_at,
            reason: mutation.reason.clone(),
            attempt: mutation.attempt,
            undone_by: mutation.undone_by,
        }
    }
}

/// A user of the control surface.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView {
    #[schema(value_type = Id)]
    user_id: model::UserId,
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    disabled: bool,
    #[schema(value_type = Moment)]
    created_at: Timestamp,
}

impl From<&store::UserRecord> for UserView {
    fn from(user: &store::UserRecord) -> Self {
        Self {
            user_id: user.id,
            name: user.name.clone(),
            role: user.role,
            disabled: user.disabled,
            created_at: user.created_at,
        }
    }
}

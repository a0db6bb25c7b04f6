//! Whole topologies: made from a seed, written down, read back, judged.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maze::{Blueprint, Document};
use model::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{op::Place, plans::DryRun, topologies::keep};
use crate::{
    extract::{Json, LargeJson, Operator, Path, Query, Viewer},
    peer::Peer,
    problem::{FieldError, Problem, ProblemBody},
    resolve,
    state::App,
    views::TopologyView,
};

/// A maze to make from a seed: the same seed makes the same maze on any machine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerateTopology {
    /// A lower-case DNS label that no other topology has.
    #[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    name: Name,
    /// Decides everything that the rest leaves open; 0 where absent.
    #[serde(default)]
    seed: u64,
    /// Levels of LANs, the DMZ included; 3 where absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 16)]
    depth: Option<u32>,
    /// LANs behind each LAN; 2 where absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 8)]
    branching: Option<u32>,
    /// Fewest deckies of a LAN; 2 where absent. There is always one.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 32)]
    deckies_min: Option<u32>,
    /// Most deckies of a LAN; 6 where absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 32)]
    deckies_max: Option<u32>,
    /// How often the decky between two LANs routes, in percent; 50 where absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    bridge_forward_percent: Option<u32>,
    /// How often a LAN has a second way, in percent; 10 where absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    cross_edge_percent: Option<u32>,
}

impl GenerateTopology {
    fn blueprint(&self) -> Blueprint {
        let usual = Blueprint::default();
        Blueprint {
            seed: self.seed,
            depth: self.depth.unwrap_or(usual.depth),
            branching: self.branching.unwrap_or(usual.branching),
            deckies_min: self.deckies_min.unwrap_or(usual.deckies_min),
            deckies_max: self.deckies_max.unwrap_or(usual.deckies_max),
            bridge_forward_percent: self
                .bridge_forward_percent
                .unwrap_or(usual.bridge_forward_percent),
            cross_edge_percent: self.cross_edge_percent.unwrap_or(usual.cross_edge_percent),
        }
    }
}

/// A topology by names, without ids: what `export` writes and `import` reads.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TopologyDocument)]
pub(crate) struct DocumentBody {
    /// 1.
    format: u32,
    name: String,
    /// Of deckies without an interval of their own.
    rotate_every_seconds: Option<u64>,
    lans: Vec<LanBody>,
    deckies: Vec<DeckyBody>,
}

/// A LAN of a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LanDocument)]
pub(crate) struct LanBody {
    name: String,
    /// CIDR; allocated where absent.
    subnet: Option<String>,
    #[serde(default)]
    is_dmz: bool,
    position: Option<Place>,
}

/// A decky of a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeckyDocument)]
pub(crate) struct DeckyBody {
    name: String,
    /// `linux-server` where absent.
    archetype: Option<String>,
    /// The first is on its home LAN.
    interfaces: Vec<InterfaceBody>,
    /// The first of the archetype's pool where absent.
    services: Option<Vec<ServiceBody>>,
    #[serde(default)]
    forwards_l3: bool,
    #[serde(default)]
    is_stopped: bool,
    rotate_every_seconds: Option<u64>,
    position: Option<Place>,
}

/// An interface of a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InterfaceDocument)]
pub(crate) struct InterfaceBody {
    /// Name of the LAN.
    lan: String,
    /// IPv4; allocated where absent.
    address: Option<String>,
    #[serde(default)]
    forwards_l3: bool,
}

/// A service of a document: its name, or its name with its port.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ServiceDocument)]
pub(crate) enum ServiceBody {
    /// At its own port.
    Name(String),
    /// With settings.
    Settings {
        service: String,
        /// Its own where absent.
        port: Option<u16>,
    },
}

/// What a topology is worth.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validation {
    /// Whether it keeps every rule.
    valid: bool,
    /// Whether it can be deployed: it is valid, and something of it faces the outside.
    deployable: bool,
    /// Rules that are broken.
    errors: Vec<FieldError>,
    /// What is allowed, but perhaps not meant.
    warnings: Vec<String>,
}

/// Makes a topology from a seed; nothing is deployed yet.
#[utoipa::path(post, path = "/api/v1/generator", tag = "topologies", request_body = GenerateTopology, responses(
    (status = 201, description = "Created", body = TopologyView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn generate(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Json(wanted): Json<GenerateTopology>,
) -> Result<Response, Problem> {
    let made = maze::generate(wanted.name.clone(), &wanted.blueprint(), &app.ambient);
    let topology = made.map_err(Problem::violations)?;
    keep(&app, &caller, peer, &topology, "topology.generate").await
}

/// Makes a topology from a document; nothing is deployed yet.
#[utoipa::path(post, path = "/api/v1/import", tag = "topologies", params(DryRun), request_body = DocumentBody, responses(
    (status = 200, description = "What it is worth (`dry_run`)", body = Validation),
    (status = 201, description = "Created", body = TopologyView),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn import(
    Operator(caller): Operator,
    State(app): State<Arc<App>>,
    peer: Peer,
    Query(DryRun { dry_run }): Query<DryRun>,
    LargeJson(document): LargeJson<Document>,
) -> Result<Response, Problem> {
    let read = document.read(&app.ambient);
    if dry_run {
        return Ok(axum::Json(judge(read)).into_response());
    }
    let topology = read.map_err(Problem::violations)?;
    keep(&app, &caller, peer, &topology, "topology.import").await
}

/// A topology as a document.
#[utoipa::path(get, path = "/api/v1/topologies/{id}/export", tag = "topologies",
    params(("id" = String, Path, description = "Id, beginning of an id, or name")), responses(
    (status = 200, description = "The document", body = DocumentBody),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn export(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = resolve::topology(&app.store, &id).await?;
    let file = format!("attachment; filename=\"{}.json\"", record.topology.name);
    let document = axum::Json(Document::from(&record.topology));
    Ok((StatusCode::OK, [(header::CONTENT_DISPOSITION, file)], document).into_response())
}

/// Whether a topology keeps the rules, and whether it can be deployed.
#[utoipa::path(get, path = "/api/v1/topologies/{id}/validation", tag = "topologies",
    params(("id" = String, Path, description = "Id, beginning of an id, or name")), responses(
    (status = 200, description = "What it is worth", body = Validation),
    (status = "default", description = "Refused", body = ProblemBody<'static>, content_type = "application/problem+json"),
))]
pub(crate) async fn validation(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<axum::Json<Validation>, Problem> {
    let topology = resolve::topology(&app.store, &id).await?.topology;
    let violations = maze::validate(&topology);
    let read = if violations.is_empty() { Ok(topology) } else { Err(violations) };
    Ok(axum::Json(judge(read)))
}

fn judge(read: Result<model::Topology, Vec<maze::Violation>>) -> Validation {
    let errors = |violations: Vec<maze::Violation>| {
        let error = |violation: maze::Violation| FieldError {
            code: violation.code.to_string(),
            field: violation.field,
            message: violation.message,
        };
        violations.into_iter().map(error).collect::<Vec<_>>()
    };
    match read {
        Err(violations) => Validation {
            valid: false,
            deployable: false,
            errors: errors(violations),
            warnings: Vec::new(),
        },
        Ok(topology) => {
            let open = maze::deployable(&topology);
            let cut_off = maze::unreachable(&topology);
            let warn =
                |lan: &Arc<model::Lan>| format!("no decky connects LAN {} with the DMZ", lan.name);
            Validation {
                valid: true,
                deployable: open.is_empty(),
                errors: errors(open),
                warnings: cut_off.iter().map(warn).collect(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_shows_what_is_read() {
        let text = r#"{"format":1,"name":"m","rotate_every_seconds":60,
            "lans":[{"name":"a","subnet":"10.1.0.0/24","is_dmz":true,"position":{"x":1,"y":2}}],
            "deckies":[{"name":"d","archetype":"web-server","interfaces":[
                {"lan":"a","address":"10.1.0.5","forwards_l3":true}],
                "services":["http",{"service":"ssh","port":2222}],"forwards_l3":true,
                "is_stopped":true,"rotate_every_seconds":60,"position":{"x":1,"y":2}}]}"#;
        let read: Document = serde_json::from_str(text).unwrap();
        let shown: DocumentBody = serde_json::from_str(text).unwrap();
        let (read, shown) = (serde_json::to_value(read), serde_json::to_value(shown));
        assert_eq!(read.unwrap(), shown.unwrap());
    }
}

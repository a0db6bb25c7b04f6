//! The ops as the OpenAPI document shows them. They are read as [`model::Op`]; a test holds the
//! two together.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::{ArchetypeWord, ServiceWord};

/// Where the console draws something.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    x: i32,
    y: i32,
}

/// A change to a topology.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", content = "payload", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = Op)]
pub(crate) enum OpBody {
    /// A new network.
    AddLan {
        /// Free in the topology.
        name: String,
        /// CIDR; allocated where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subnet: Option<String>,
        /// Whether it faces the outside.
        #[serde(default)]
        is_dmz: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Place>,
    },
    /// Removes a network that is nobody's home.
    RemoveLan {
        /// Which.
        name: String,
    },
    /// A new machine.
    AddDecky {
        /// Free in the topology.
        name: String,
        /// Its home LAN.
        lan: String,
        /// The first of the archetype's pool where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Vec<ServiceWord>>)]
        services: Option<Vec<String>>,
        /// `linux-server` where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<ArchetypeWord>)]
        archetype: Option<String>,
        /// Allocated where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<String>,
        /// Never rotated by schedule where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Place>,
    },
    /// Takes a machine away.
    RemoveDecky {
        /// Which.
        decky: String,
    },
    /// Changes a machine; what is absent stays.
    UpdateDecky {
        /// Which.
        decky: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Vec<ServiceWord>>)]
        services: Option<Vec<String>>,
        /// 0 means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Place>,
    },
    /// Gives a machine other services of its archetype's pool.
    RotateDecky {
        /// Which.
        decky: String,
        /// Picked where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Vec<ServiceWord>>)]
        services: Option<Vec<String>>,
    },
}

/// A change to queue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = MutationRequest)]
pub(crate) struct MutationRequestBody {
    #[serde(flatten)]
    op: OpBody,
    /// Refuse where the topology has another version; the same as `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_version: Option<u64>,
}

#[cfg(test)]
mod tests {
    use model::Op;

    use super::*;

    #[test]
    fn the_document_shows_the_ops_that_are_read() {
        for text in [
            r#"{"op":"add_lan","payload":{"name":"a","subnet":"10.1.0.0/24","is_dmz":true,"position":{"x":1,"y":2}}}"#,
            r#"{"op":"remove_lan","payload":{"name":"a"}}"#,
            r#"{"op":"add_decky","payload":{"name":"d","lan":"a","services":["ssh"],"archetype":"web-server","ip":"10.1.0.5","rotate_every_seconds":60,"position":{"x":1,"y":2}}}"#,
            r#"{"op":"remove_decky","payload":{"decky":"d"}}"#,
            r#"{"op":"update_decky","payload":{"decky":"d","services":["ssh"],"rotate_every_seconds":0,"position":{"x":1,"y":2}}}"#,
            r#"{"op":"rotate_decky","payload":{"decky":"d","services":["ftp"]}}"#,
        ] {
            let read: Op = serde_json::from_str(text).unwrap();
            let shown: OpBody = serde_json::from_str(text).unwrap();
            let (read, shown) = (serde_json::to_value(read), serde_json::to_value(shown));
            assert_eq!(read.unwrap(), shown.unwrap());
        }
    }

    #[test]
    fn ops_with_unknown_fields_are_refused() {
        let text = r#"{"op":"remove_lan","payload":{"name":"a","force":true}}"#;
        let error = serde_json::from_str::<Op>(text).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `force`"), "{error}");
    }
}

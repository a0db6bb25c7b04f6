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

/// What changes about a network; what is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LanPatch)]
pub(crate) struct LanPatchBody {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// CIDR; its deckies keep their places in it. Not of a live topology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    /// Whether it faces the outside. Not of a live topology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_dmz: Option<bool>,
    /// Null means nowhere in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<Place>,
}

/// What makes a machine the one that it is; what is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeckyPatch)]
pub(crate) struct DeckyPatchBody {
    /// Its services must fit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ArchetypeWord>)]
    archetype: Option<String>,
    /// Whether it is a gateway: routes between all of its LANs. Its home is the DMZ then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forwards_l3: Option<bool>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
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
    /// Changes a network; what is absent stays.
    UpdateLan {
        /// Which.
        name: String,
        /// What changes.
        patch: LanPatchBody,
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
        /// Whether it is a gateway: routes between all of its LANs. Its home is the DMZ then.
        #[serde(default, skip_serializing_if = "is_false")]
        forwards_l3: bool,
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
    /// One more interface.
    AttachDecky {
        /// Which machine.
        decky: String,
        /// On which network.
        lan: String,
        /// Allocated where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<String>,
        /// Whether the machine routes between this network and its home.
        #[serde(default, skip_serializing_if = "is_false")]
        forwards_l3: bool,
    },
    /// One interface fewer.
    DetachDecky {
        /// Which machine.
        decky: String,
        /// From which network; not its home.
        lan: String,
    },
    /// Changes a machine; what is absent stays.
    UpdateDecky {
        /// Which.
        decky: String,
        /// What makes it the machine that it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patch: Option<DeckyPatchBody>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Vec<ServiceWord>>)]
        services: Option<Vec<String>>,
        /// 0 means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
        /// Null means nowhere in particular.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Place>,
        /// Whether visitors may notice: needed for `patch` where the topology is live.
        #[serde(default, skip_serializing_if = "is_false")]
        force: bool,
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
    /// Brings a stopped machine back.
    StartDecky {
        /// Which.
        decky: String,
    },
    /// Takes a machine off the network and keeps it in the topology.
    StopDecky {
        /// Which.
        decky: String,
    },
    /// Changes what holds for the whole topology.
    UpdateTopology {
        /// Of deckies without an interval of their own; 0 means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
    },
    /// Several changes that come to pass together or not at all.
    Batch {
        /// In this order; none of them a batch. At most 1,000.
        #[schema(no_recursion)]
        ops: Vec<OpBody>,
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
            r#"{"op":"update_decky","payload":{"decky":"d","patch":{"archetype":"web-server","forwards_l3":true},"force":true}}"#,
            r#"{"op":"update_lan","payload":{"name":"a","patch":{"name":"b","subnet":"10.1.0.0/24","is_dmz":true,"position":{"x":1,"y":2}}}}"#,
            r#"{"op":"attach_decky","payload":{"decky":"d","lan":"a","ip":"10.1.0.5","forwards_l3":true}}"#,
            r#"{"op":"detach_decky","payload":{"decky":"d","lan":"a"}}"#,
            r#"{"op":"start_decky","payload":{"decky":"d"}}"#,
            r#"{"op":"stop_decky","payload":{"decky":"d"}}"#,
            r#"{"op":"update_topology","payload":{"rotate_every_seconds":60}}"#,
            r#"{"op":"batch","payload":{"ops":[{"op":"remove_lan","payload":{"name":"a"}}]}}"#,
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

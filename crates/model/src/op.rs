//! The operations that change a topology, as they stand in a request, in the queue and on the
//! bus: `{"op": "add_decky", "payload": {…}}`.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Archetype, Decky, Lan, MutationId, Name, Service};

/// Where the console draws something, in its own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// To the right.
    pub x: i32,
    /// Down.
    pub y: i32,
}

/// A change to a topology. Things are named, as operators name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "payload", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// A new network.
    #[serde(rename_all = "snake_case")]
    AddLan {
        /// Free in the topology.
        name: Name,
        /// Free in the topology; allocated where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subnet: Option<Ipv4Net>,
        /// Whether it faces the outside.
        #[serde(default)]
        is_dmz: bool,
        /// Where the console draws it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
    },
    /// Removes a network that is nobody's home.
    RemoveLan {
        /// Which.
        name: Name,
    },
    /// Changes a network; what is absent stays.
    UpdateLan {
        /// Which.
        name: Name,
        /// What changes.
        patch: LanPatch,
    },
    /// A new machine.
    AddDecky {
        /// Free in the topology.
        name: Name,
        /// Its home LAN.
        lan: Name,
        /// Its services; the first of the archetype's pool where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Vec<Service>>,
        /// What it pretends to be; `linux-server` where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        archetype: Option<Archetype>,
        /// Whether it is a gateway: routes between all of its LANs. Its home is the DMZ then.
        #[serde(default, skip_serializing_if = "is_false")]
        forwards_l3: bool,
        /// Free in the LAN's subnet; allocated where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<Ipv4Addr>,
        /// Seconds between scheduled rotations; absent means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
        /// Where the console draws it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
    },
    /// Takes a machine away.
    RemoveDecky {
        /// Which.
        decky: Name,
    },
    /// One more interface.
    AttachDecky {
        /// Which machine.
        decky: Name,
        /// On which network; it has no interface there yet.
        lan: Name,
        /// Free in the LAN's subnet; allocated where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<Ipv4Addr>,
        /// Whether the machine routes between this network and its home.
        #[serde(default, skip_serializing_if = "is_false")]
        forwards_l3: bool,
    },
    /// One interface fewer.
    DetachDecky {
        /// Which machine.
        decky: Name,
        /// From which network; not its home.
        lan: Name,
    },
    /// Changes a machine; what is absent stays.
    UpdateDecky {
        /// Which.
        decky: Name,
        /// What makes it the machine that it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patch: Option<DeckyPatch>,
        /// The services it shall have; added and removed one by one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Vec<Service>>,
        /// Seconds between scheduled rotations; 0 means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
        /// Where the console draws it; null means nowhere in particular.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
        position: Option<Option<Position>>,
        /// Whether visitors may notice: a machine of a live topology whose archetype or
        /// forwarding changes is no longer the one that they know.
        #[serde(default, skip_serializing_if = "is_false")]
        force: bool,
    },
    /// Gives a machine other services of its archetype's pool.
    RotateDecky {
        /// Which.
        decky: Name,
        /// The services it shall have; picked by the mutator where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Vec<Service>>,
    },
    /// Brings a stopped machine back.
    StartDecky {
        /// Which.
        decky: Name,
    },
    /// Takes a machine off the network and keeps it in the topology.
    StopDecky {
        /// Which.
        decky: Name,
    },
    /// Changes what holds for the whole topology; what is absent stays.
    UpdateTopology {
        /// Seconds between scheduled rotations of each decky without an interval of its own;
        /// 0 means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
    },
    /// Several changes that come to pass together or not at all.
    Batch {
        /// In this order; none of them a batch.
        ops: Vec<Op>,
    },
    /// Takes applied mutations back. Made by the service, never by a request.
    Undo {
        /// Which, newest first.
        mutations: Vec<MutationId>,
        /// What takes them back, in order.
        ops: Vec<Op>,
    },
    /// Brings a removed network back as it was. Part of an undo only.
    RestoreLan {
        /// Its row.
        lan: Lan,
    },
    /// Makes a machine what it was. Part of an undo only.
    RestoreDecky {
        /// Its row.
        decky: Decky,
    },
}

/// What changes about a network; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanPatch {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Another subnet; its deckies keep their places in it. Not of a live topology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Ipv4Net>,
    /// Whether it faces the outside. Not of a live topology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_dmz: Option<bool>,
    /// Where the console draws it; null means nowhere in particular.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub position: Option<Option<Position>>,
}

/// What makes a machine the one that it is; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeckyPatch {
    /// Another kind of machine; its services must fit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archetype: Option<Archetype>,
    /// Whether it is a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwards_l3: Option<bool>,
}

/// Tells a field that is null from one that is absent.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<Position>>, D::Error> {
    Option::deserialize(field).map(Some)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Op {
    /// The word that stands in `op`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::AddLan { .. } => "add_lan",
            Self::RemoveLan { .. } => "remove_lan",
            Self::UpdateLan { .. } => "update_lan",
            Self::AddDecky { .. } => "add_decky",
            Self::RemoveDecky { .. } => "remove_decky",
            Self::AttachDecky { .. } => "attach_decky",
            Self::DetachDecky { .. } => "detach_decky",
            Self::UpdateDecky { .. } => "update_decky",
            Self::RotateDecky { .. } => "rotate_decky",
            Self::StartDecky { .. } => "start_decky",
            Self::StopDecky { .. } => "stop_decky",
            Self::UpdateTopology { .. } => "update_topology",
            Self::Batch { .. } => "batch",
            Self::Undo { .. } => "undo",
            Self::RestoreLan { .. } => "restore_lan",
            Self::RestoreDecky { .. } => "restore_decky",
        }
    }

    /// Whether only the service itself makes such an op; a request may not.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Undo { .. } | Self::RestoreLan { .. } | Self::RestoreDecky { .. } => true,
            Self::Batch { ops } => ops.iter().any(Self::is_internal),
            Self::AddLan { .. }
            | Self::RemoveLan { .. }
            | Self::UpdateLan { .. }
            | Self::AddDecky { .. }
            | Self::RemoveDecky { .. }
            | Self::AttachDecky { .. }
            | Self::DetachDecky { .. }
            | Self::UpdateDecky { .. }
            | Self::RotateDecky { .. }
            | Self::StartDecky { .. }
            | Self::StopDecky { .. }
            | Self::UpdateTopology { .. } => false,
        }
    }

    /// The names of the LANs and deckies that it is about.
    pub fn subjects(&self) -> Vec<&Name> {
        match self {
            Self::AddLan { name, .. } | Self::RemoveLan { name } => vec![name],
            Self::UpdateLan { name, patch } => std::iter::once(name).chain(&patch.name).collect(),
            Self::AddDecky { name, lan, .. } => vec![name, lan],
            Self::AttachDecky { decky, lan, .. } | Self::DetachDecky { decky, lan } => {
                vec![decky, lan]
            }
            Self::RemoveDecky { decky }
            | Self::UpdateDecky { decky, .. }
            | Self::RotateDecky { decky, .. }
            | Self::StartDecky { decky }
            | Self::StopDecky { decky } => vec![decky],
            Self::UpdateTopology { .. } => Vec::new(),
            Self::Batch { ops } | Self::Undo { ops, .. } => {
                ops.iter().flat_map(Self::subjects).collect()
            }
            Self::RestoreLan { lan } => vec![&lan.name],
            Self::RestoreDecky { decky } => vec![&decky.name],
        }
    }

    /// What stands in `payload`.
    pub fn payload(&self) -> serde_json::Value {
        let whole = serde_json::to_value(self).expect("an op serialises: its keys are strings");
        whole.get("payload").cloned().unwrap_or_default()
    }
}

//! The operations that change a topology, as they stand in a request, in the queue and on the
//! bus: `{"op": "add_decky", "payload": {…}}`.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{Archetype, Name, Service};

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
    /// Changes a machine; what is absent stays.
    UpdateDecky {
        /// Which.
        decky: Name,
        /// The services it shall have; added and removed one by one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Vec<Service>>,
        /// Seconds between scheduled rotations; 0 means never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rotate_every_seconds: Option<u64>,
        /// Where the console draws it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
    },
    /// Gives a machine other services of its archetype's pool.
    RotateDecky {
        /// Which.
        decky: Name,
        /// The services it shall have; picked by the mutator where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Vec<Service>>,
    },
}

impl Op {
    /// The word that stands in `op`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::AddLan { .. } => "add_lan",
            Self::RemoveLan { .. } => "remove_lan",
            Self::AddDecky { .. } => "add_decky",
            Self::RemoveDecky { .. } => "remove_decky",
            Self::UpdateDecky { .. } => "update_decky",
            Self::RotateDecky { .. } => "rotate_decky",
        }
    }

    /// What stands in `payload`.
    pub fn payload(&self) -> serde_json::Value {
        let whole = serde_json::to_value(self).expect("an op serialises: its keys are strings");
        whole.get("payload").cloned().unwrap_or_default()
    }
}

//! The states of topologies, deckies and mutations, and the moves between them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::catalogue::{UnknownWord, words};

words! {
    /// Status of a topology.
    TopologyStatus, "topology status" {
        /// Created, never deployed.
        Pending = "pending",
        /// Being built.
        Deploying = "deploying",
        /// Desired and observed agree.
        Active = "active",
        /// Deployed, but observed differs from desired; heals by itself.
        Degraded = "degraded",
        /// Could not be deployed.
        Failed = "failed",
        /// Being taken down.
        TearingDown = "tearing_down",
        /// Taken down; final.
        TornDown = "torn_down",
    }
}

impl TopologyStatus {
    /// Whether the move is one that a topology can make. Back to `pending` is the kill switch:
    /// everything of it is off the network and stays off until it is deployed again.
    pub fn may_become(self, next: Self) -> bool {
        use TopologyStatus as S;
        match self {
            S::Pending => matches!(next, S::Deploying),
            S::Deploying => {
                matches!(next, S::Active | S::Failed | S::Degraded | S::TearingDown | S::Pending)
            }
            S::Active => matches!(next, S::Degraded | S::TearingDown | S::Pending),
            S::Degraded => matches!(next, S::Active | S::TearingDown | S::Pending),
            S::Failed => matches!(next, S::TearingDown),
            S::TearingDown => matches!(next, S::TornDown | S::Degraded),
            S::TornDown => false,
        }
    }

    /// Whether the fleet holds, or should hold, something of it.
    pub fn is_deployed(self) -> bool {
        match self {
            Self::Deploying | Self::Active | Self::Degraded => true,
            Self::Pending | Self::Failed | Self::TearingDown | Self::TornDown => false,
        }
    }
}

words! {
    /// State of a decky.
    DeckyState, "decky state" {
        /// Wanted, not there yet.
        Planned = "planned",
        /// Being brought up.
        Starting = "starting",
        /// Answers on all of its services.
        Running = "running",
        /// Answers on some.
        Degraded = "degraded",
        /// Taken off the network, kept in the topology.
        Stopped = "stopped",
        /// Could not be brought up.
        Failed = "failed",
        /// Removed from the topology; final.
        Retired = "retired",
    }
}

words! {
    /// State of a queued change.
    MutationState, "mutation state" {
        /// Queued.
        Pending = "pending",
        /// Claimed by a mutator under a lease.
        Applying = "applying",
        /// The network is really so; final.
        Applied = "applied",
        /// Refused or impossible, the previous state stands; final.
        Failed = "failed",
    }
}

impl MutationState {
    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        match self {
            Self::Applied | Self::Failed => true,
            Self::Pending | Self::Applying => false,
        }
    }
}

//! What a user of the control surface may do, as a closed set.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::catalogue::{UnknownWord, words};

words! {
    /// Role of a user or of an API token.
    Role, "role" {
        /// Looks.
        Viewer = "viewer",
        /// Looks, and changes topologies.
        Operator = "operator",
        /// Does everything, users and captured secrets included.
        Admin = "admin",
        /// Looks, and reads the audit log.
        Auditor = "auditor",
    }
}

//! Rules that [`crate::apply`] and [`crate::validate`] share, one function each.

use std::time::Duration;

/// The most LANs that a topology has.
pub const MAX_LANS: usize = 256;
/// The most deckies that a topology has.
pub const MAX_DECKIES: usize = 16_384;
/// The longest prefix of a subnet: 8 addresses, 5 of them for deckies.
pub const PREFIX_LONGEST: u8 = 29;
/// The shortest prefix of a subnet: 65,536 addresses.
pub const PREFIX_SHORTEST: u8 = 16;
/// The shortest time between two scheduled rotations of a decky.
pub const MIN_ROTATION: Duration = Duration::from_secs(30);
/// The longest time between two scheduled rotations of a decky.
pub const MAX_ROTATION: Duration = Duration::from_secs(366 * 24 * 3600);

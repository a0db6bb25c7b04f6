//! The maze that a first visitor meets.

use model::{Ambient, Name, Topology};

/// Three LANs (dmz, office, servers) and six deckies, which together speak every service.
pub fn demo(name: Name, ambient: &Ambient) -> Topology {
    let _ = (name, ambient);
    unimplemented!()
}

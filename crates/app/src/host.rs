//! The seam between fleet and decoys: what a driver opens, a decoy answers.

use std::{net::SocketAddr, sync::Arc};

use decoys::{DriverHandle, Entry, Place};
use fleet::{DecoyHost, Opened};
use model::{DeckyId, InstallationSecret, LanId, Persona, Truncation};
use tokio::runtime::Handle;

use crate::flow::mutate::Occupancy;

/// Hands listeners to the decoys and keeps their directory. Called from threads that may block.
pub(crate) struct Host {
    decoys: DriverHandle,
    secret: InstallationSecret,
    runtime: Handle,
}

impl Host {
    /// For the decoys behind this handle; must be made within the runtime that they run on.
    pub(crate) fn new(decoys: DriverHandle, secret: InstallationSecret) -> Self {
        Self { decoys, secret, runtime: Handle::current() }
    }
}

impl DecoyHost for Host {
    fn open(&self, opened: Opened) -> Result<(), String> {
        let decky = &opened.decky;
        let at = opened.listener.local_addr().map_err(|error| error.to_string())?;
        let edge = decky.edges.iter().find(|edge| edge.lan == opened.lan);
        let address = edge.ok_or("the decky has no interface on this LAN")?.address;
        let persona = Persona::derive(&self.secret, decky.id, &decky.name, decky.archetype);
        let entry = Entry {
            topology_id: opened.topology,
            lan_id: opened.lan,
            decky_id: decky.id,
            service: opened.service.service,
            persona: Arc::new(persona),
            local: SocketAddr::new(address.into(), opened.service.port),
        };
        let place = Place { lan: opened.lan, at };
        self.decoys.bind(place, &entry);
        let listening = self.runtime.block_on(self.decoys.listen(opened.lan, opened.listener));
        listening.map(drop).map_err(|error| {
            self.decoys.unbind(place);
            error.to_string()
        })
    }

    fn close(&self, _decky: DeckyId, lan: LanId, at: SocketAddr) {
        self.runtime.block_on(self.decoys.unlisten(lan, at));
        self.decoys.unbind(Place { lan, at });
    }

    fn decky_gone(&self, decky: DeckyId) {
        self.decoys.end_sessions(decky, Truncation::Mutation);
    }
}

/// The decoys know who has a visitor.
pub(crate) struct Visitors(pub(crate) DriverHandle);

impl Occupancy for Visitors {
    fn live_sessions(&self, decky: DeckyId) -> usize {
        self.0.live_sessions(decky)
    }
}

//! The seam between fleet and decoys: what a driver opens, a decoy answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use decoys::{DriverHandle, Entry, Place};
use fleet::{DecoyHost, Opened};
use model::{DeckyId, InstallationSecret, LanId, Persona, Service, Truncation};
use tokio::runtime::Handle;

use crate::flow::mutate::Occupancy;

/// Personas whose keys wait to be made; beyond it, a key is made when a visitor asks for it.
const KEY_QUEUE: usize = 256;

/// Hands listeners to the decoys and keeps their directory. Called from threads that may block.
pub(crate) struct Host {
    decoys: DriverHandle,
    secret: InstallationSecret,
    runtime: Handle,
    keys: SyncSender<Arc<Persona>>,
}

impl Host {
    /// For the decoys behind this handle; must be made within the runtime that they run on.
    pub(crate) fn new(decoys: DriverHandle, secret: InstallationSecret) -> Self {
        Self { decoys, secret, runtime: Handle::current(), keys: key_maker() }
    }
}

/// A thread that makes host keys ahead of the first visitor: RSA takes a good part of a second,
/// and nobody else should wait for it. It ends with the host.
fn key_maker() -> SyncSender<Arc<Persona>> {
    let (sender, personas) = sync_channel::<Arc<Persona>>(KEY_QUEUE);
    let make = move || personas.iter().for_each(|persona| decoys::ssh::prepare(&persona));
    // Without the thread keys are made later, at the first handshake that needs one.
    if let Err(error) = thread::Builder::new().name("host-keys".into()).spawn(make) {
        tracing::warn!(error = &error as &dyn std::error::Error, "no thread for host keys");
    }
    sender
}

impl DecoyHost for Host {
    fn open(&self, opened: Opened) -> Result<(), String> {
        let decky = &opened.decky;
        let at = opened.listener.local_addr().map_err(|error| error.to_string())?;
        let edge = decky.edges.iter().find(|edge| edge.lan == opened.lan);
        let address = edge.ok_or("the decky has no interface on this LAN")?.address;
        let persona = Persona::derive(&self.secret, decky.id, &decky.name, decky.archetype);
        let persona = Arc::new(persona);
        if opened.service.service == Service::Ssh {
            // Full means later, not never.
            let _ = self.keys.try_send(persona.clone());
        }
        let entry = Entry {
            topology_id: opened.topology,
            lan_id: opened.lan,
            decky_id: decky.id,
            service: opened.service.service,
            persona,
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

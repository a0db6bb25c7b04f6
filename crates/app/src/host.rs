//! The seam between fleet and decoys: what a driver opens, a decoy answers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use decoys::{Admission, DriverHandle, Entry, Interface, LazyPersona, ListenError, Place};
use fleet::{Bound, DataPorts, DecoyHost, Gate, Listener, Opened, switch::Mac};
use model::{
    Decky, DeckyId, InstallationSecret, LanId, Persona, Service, ServiceConfig, TopologyId,
    Transport, Truncation,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::flow::mutate::Occupancy;

/// Deckies whose keys wait to be made; beyond it, a key is made when a visitor asks for it.
const KEY_QUEUE: usize = 256;

/// Hands listeners to the decoys and keeps their directory. Called from threads that may block.
pub(crate) struct Host {
    decoys: DriverHandle,
    secret: Arc<InstallationSecret>,
    runtime: Handle,
    keys: SyncSender<Arc<Decky>>,
    failed: CancellationToken,
    /// The decky that was bound last: its services come one after the other.
    last: Mutex<Option<Last>>,
}

/// A decky with its interfaces.
struct Last {
    decky: Arc<Decky>,
    interfaces: Vec<Arc<Interface>>,
}

impl Host {
    /// For the decoys behind this handle; must be made within the runtime that they run on.
    pub(crate) fn new(decoys: DriverHandle, secret: InstallationSecret) -> Self {
        let keys = key_maker(secret.clone());
        let (secret, runtime) = (Arc::new(secret), Handle::current());
        let (failed, last) = (CancellationToken::new(), Mutex::default());
        Self { decoys, secret, runtime, keys, failed, last }
    }

    /// Is cancelled once the network does not work any more.
    pub(crate) fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }
}

/// A thread that makes host keys ahead of the first visitor: RSA takes a good part of a second,
/// and nobody else should wait for it. It ends with the host.
fn key_maker(secret: InstallationSecret) -> SyncSender<Arc<Decky>> {
    let (sender, deckies) = sync_channel::<Arc<Decky>>(KEY_QUEUE);
    let prepare = move |decky: Arc<Decky>| decoys::ssh::prepare(&persona(&secret, &decky));
    let make = move || deckies.iter().for_each(prepare);
    // Without the thread keys are made later, at the first handshake that needs one.
    if let Err(error) = thread::Builder::new().name("host-keys".into()).spawn(make) {
        tracing::warn!(error = &error as &dyn std::error::Error, "no thread for host keys");
    }
    sender
}

fn persona(secret: &InstallationSecret, decky: &Decky) -> Arc<Persona> {
    Arc::new(Persona::derive(secret, decky.id, &decky.name, decky.archetype))
}

impl Host {
    /// Who answers for a service of a decky on one of its LANs.
    fn entry(
        &self,
        topology: TopologyId,
        lan: LanId,
        decky: &Arc<Decky>,
        service: ServiceConfig,
    ) -> Result<Entry, String> {
        let interface = self.interface(topology, lan, decky)?;
        if service.service == Service::Ssh {
            // Full means later, not never.
            let _ = self.keys.try_send(decky.clone());
        }
        Ok(Entry { interface, service: service.service, port: service.port })
    }

    /// The decky on this LAN; the same for one service after the other.
    fn interface(
        &self,
        topology_id: TopologyId,
        lan_id: LanId,
        decky: &Arc<Decky>,
    ) -> Result<Arc<Interface>, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &mut *last {
            Some(last) if Arc::ptr_eq(&last.decky, decky) => &mut last.interfaces,
            other => {
                &mut other.insert(Last { decky: decky.clone(), interfaces: Vec::new() }).interfaces
            }
        };
        if let Some(interface) = known.iter().find(|interface| interface.lan_id == lan_id) {
            return Ok(interface.clone());
        }
        let edge = decky.edges.iter().find(|edge| edge.lan == lan_id);
        let address = edge.ok_or("the decky has no interface on this LAN")?.address.into();
        let (secret, row) = (self.secret.clone(), decky.clone());
        let persona = LazyPersona::new(Box::new(move || persona(&secret, &row)));
        let decky_id = decky.id;
        let interface = Arc::new(Interface { topology_id, lan_id, decky_id, address, persona });
        known.push(interface.clone());
        Ok(interface)
    }

    fn forget_last(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn listen(&self, lan: LanId, listener: Listener) -> Result<(), ListenError> {
        self.runtime.block_on(async {
            match listener {
                Listener::Connections(listener) => self.decoys.listen(lan, listener).await,
                Listener::Datagrams(socket) => self.decoys.listen_datagrams(lan, socket).await,
            }
        })
    }
}

impl DecoyHost for Host {
    fn open_gate(&self, Gate { tag, listener }: Gate) -> Result<(), String> {
        self.listen(tag, listener).map_err(|error| error.to_string())
    }

    fn close_gate(&self, tag: LanId, transport: Transport, port: u16) {
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        self.runtime.block_on(self.decoys.unlisten(tag, transport, at));
    }

    fn data_ports(&self, tag: LanId, ports: DataPorts) {
        let range = ports.range();
        let admit =
            move |at, peer| ports.expect(at, peer).map(|guest| Box::new(guest) as Admission);
        self.decoys.set_data_ports(tag, decoys::DataPorts { range, admit: Arc::new(admit) });
    }

    fn bind(&self, bound: Bound) -> Result<(), String> {
        let entry = self.entry(bound.topology, bound.lan, &bound.decky, bound.service)?;
        let transport = bound.service.service.transport();
        self.decoys.bind(Place { lan: bound.tag, transport, at: bound.at }, entry);
        Ok(())
    }

    fn unbind(&self, tag: LanId, transport: Transport, at: SocketAddr) {
        self.forget_last();
        self.decoys.unbind(Place { lan: tag, transport, at });
    }

    fn open(&self, opened: Opened) -> Result<(), String> {
        let at = opened.listener.local_addr().map_err(|error| error.to_string())?;
        let entry = self.entry(opened.topology, opened.lan, &opened.decky, opened.service)?;
        let place = Place { lan: opened.lan, transport: opened.listener.transport(), at };
        self.decoys.bind(place, entry);
        self.listen(place.lan, opened.listener).map_err(|error| {
            self.decoys.unbind(place);
            error.to_string()
        })
    }

    fn close(&self, _decky: DeckyId, lan: LanId, transport: Transport, at: SocketAddr) {
        self.forget_last();
        self.runtime.block_on(self.decoys.unlisten(lan, transport, at));
        self.decoys.unbind(Place { lan, transport, at });
    }

    fn uplink_changed(&self, is_there: bool) {
        match is_there {
            true => tracing::info!("the uplink is back: deckies are in reach again"),
            false => tracing::warn!("the uplink is gone: no decky is in reach until it is back"),
        }
    }

    fn network_failed(&self, why: &str) {
        tracing::error!(why, "no decky is in reach any more");
        self.failed.cancel();
    }

    fn address_contested(&self, address: Ipv4Addr, by: Mac, is_over: bool) {
        match is_over {
            false => tracing::warn!(
                %address, peer.mac = %by,
                "a real host has the address of a decky, which does not answer for it any more"
            ),
            true => tracing::info!(
                %address, peer.mac = %by,
                "no real host has the address of a decky any more"
            ),
        }
    }

    fn decky_gone(&self, decky: DeckyId) {
        self.forget_last();
        self.decoys.end_sessions(decky, Truncation::Mutation);
    }

    fn interface_gone(&self, decky: DeckyId, lan: LanId) {
        self.forget_last();
        self.decoys.end_sessions_by(decky, lan, Truncation::Mutation);
    }
}

/// The decoys know who has a visitor.
pub(crate) struct Visitors(pub(crate) DriverHandle);

impl Occupancy for Visitors {
    fn live_sessions(&self, decky: DeckyId) -> usize {
        self.0.live_sessions(decky)
    }
}

//! How others speak to the driver.

use std::{net::SocketAddr, sync::Arc};

use model::{DeckyId, LanId, Transport, Truncation};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use super::{
    Command, ListenError, Listener,
    expected::{DataPorts, Expected},
    plain,
    registry::{Registry, Those},
    udp::Datagrams,
};
use crate::directory::{Directory, Entry, Place};

/// Speaks to the driver; cheap to clone.
#[derive(Clone, Debug)]
pub struct DriverHandle {
    pub(super) directory: Arc<Directory>,
    pub(super) registry: Arc<Registry>,
    pub(super) datagrams: Arc<Registry>,
    pub(super) expected: Arc<Expected>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl DriverHandle {
    /// Who answers where.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Adds or replaces one entry. Live sessions go on.
    pub fn bind(&self, place: Place, entry: Entry) {
        self.directory.bind(place, entry);
    }

    /// Has sessions behind the listeners of `lan` ask for second connections at these ports, which
    /// listen already, instead of opening ports of their own.
    pub fn set_data_ports(&self, lan: LanId, ports: DataPorts) {
        self.expected.set_ports(lan, ports);
    }

    /// Removes one entry. Live sessions go on until [`DriverHandle::end_sessions`].
    pub fn unbind(&self, place: Place) {
        self.directory.unbind(place);
    }

    /// Hands over a listener; done once the driver accepts from it.
    ///
    /// # Errors
    /// Where the socket is unusable, its address already listens, or the driver has stopped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn listen(
        &self,
        lan: LanId,
        listener: std::net::TcpListener,
    ) -> Result<(), ListenError> {
        listener.set_nonblocking(true).map_err(ListenError::Socket)?;
        let at = listener.local_addr().map_err(ListenError::Socket)?;
        let listener = TcpListener::from_std(listener).map_err(ListenError::Socket)?;
        self.take_over(lan, Transport::Tcp, at, Listener::Connections(listener)).await
    }

    /// Hands over a bound UDP socket; done once the driver reads from it. It may be bound to one
    /// address or to all: for each datagram the local address says which decky was meant, and
    /// the answer goes out from there.
    ///
    /// # Errors
    /// Where the socket is unusable or not IPv4, its address already listens, or the driver has
    /// stopped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn listen_datagrams(
        &self,
        lan: LanId,
        socket: std::net::UdpSocket,
    ) -> Result<(), ListenError> {
        let socket = Datagrams::new(socket).map_err(ListenError::Socket)?;
        let at = socket.local_addr().map_err(ListenError::Socket)?;
        self.take_over(lan, Transport::Udp, at, Listener::Datagrams(socket)).await
    }

    async fn take_over(
        &self,
        lan: LanId,
        transport: Transport,
        at: SocketAddr,
        listener: Listener,
    ) -> Result<(), ListenError> {
        let (done, answer) = oneshot::channel();
        let command = Command::Listen { place: place(lan, transport, at), listener, done };
        self.commands.send(command).await.map_err(|_| ListenError::Stopped)?;
        answer.await.unwrap_or(Err(ListenError::Stopped))
    }

    /// Closes a listener; done once it is closed. Unknown addresses are no error. Live sessions
    /// over connections go on; those over datagrams end with their socket.
    pub async fn unlisten(&self, lan: LanId, transport: Transport, at: SocketAddr) {
        let (done, answer) = oneshot::channel();
        let command = Command::Unlisten { place: place(lan, transport, at), done };
        if self.commands.send(command).await.is_ok() {
            // A driver that stops meanwhile closes all listeners.
            let _ = answer.await;
        }
    }

    /// Ends all sessions with a decky; does not wait for them.
    pub fn end_sessions(&self, decky: DeckyId, why: Truncation) {
        self.end(Those::With(decky), why);
    }

    /// Ends the sessions with a decky that came by its interface on this LAN; does not wait for
    /// them.
    pub fn end_sessions_by(&self, decky: DeckyId, lan: LanId, why: Truncation) {
        self.end(Those::By(decky, lan), why);
    }

    fn end(&self, those: Those, why: Truncation) {
        self.registry.end(those, why);
        self.datagrams.end(those, why);
    }

    /// How many sessions with a decky are live.
    pub fn live_sessions(&self, decky: DeckyId) -> usize {
        self.live(Those::With(decky))
    }

    /// How many sessions are live in all.
    pub fn all_live_sessions(&self) -> usize {
        self.live(Those::All)
    }

    fn live(&self, those: Those) -> usize {
        self.registry.live(those) + self.datagrams.live(those)
    }

    /// How many connections were closed at once because of a limit.
    pub fn refused_connections(&self) -> u64 {
        self.registry.refused()
    }

    /// How many datagrams were dropped because a limit did not allow their session.
    pub fn refused_datagrams(&self) -> u64 {
        self.datagrams.refused()
    }
}

fn place(lan: LanId, transport: Transport, at: SocketAddr) -> Place {
    Place { lan, transport, at: plain(at) }
}

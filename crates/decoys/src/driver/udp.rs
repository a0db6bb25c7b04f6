//! A UDP socket that knows, for each datagram, the local address that was meant, and answers
//! from there: one socket can serve every decky of a LAN.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
        sockopt,
    },
};
use tokio::io::Interest;

/// A bound IPv4 socket.
pub(super) struct Datagrams {
    socket: tokio::net::UdpSocket,
    port: u16,
}

/// A datagram that came; its bytes are in the buffer.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub(super) bytes: usize,
    pub(super) peer: SocketAddrV4,
    /// The address that it was sent to.
    pub(super) local: SocketAddrV4,
}

impl Datagrams {
    /// Takes over a bound socket.
    ///
    /// # Errors
    /// Where it is no IPv4 socket.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let SocketAddr::V4(at) = socket.local_addr()? else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "datagrams are IPv4 only"));
        };
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        Ok(Self { socket: tokio::net::UdpSocket::from_std(socket)?, port: at.port() })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for a datagram. `None` for one that does not fit into the buffer. Cancel-safe: a
    /// datagram is taken only when this completes.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let receive = || self.receive_now(buffer);
        self.socket.async_io(Interest::READABLE, receive).await
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = cmsg_space!(libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
        let meant = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_addr.s_addr),
            _ => None,
        });
        let is_whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
        let ends = message.address.zip(meant).filter(|_| is_whole);
        Ok(ends.map(|(peer, meant)| Received {
            bytes: message.bytes,
            peer: SocketAddrV4::new(peer.ip(), peer.port()),
            local: SocketAddrV4::new(Ipv4Addr::from_bits(u32::from_be(meant)), self.port),
        }))
    }

    /// Sends a datagram from `local`. Does not wait: what the kernel has no room for is lost, as
    /// it would be on the way.
    pub(super) fn send(
        &self,
        datagram: &[u8],
        local: Ipv4Addr,
        peer: SocketAddrV4,
    ) -> io::Result<()> {
        let info = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: local.to_bits().to_be() },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let parts = [IoSlice::new(datagram)];
        let to = SockaddrIn::from(peer);
        let fd = self.socket.as_raw_fd();
        sendmsg(fd, &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }
}

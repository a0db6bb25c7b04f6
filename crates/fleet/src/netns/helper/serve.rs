//! The answering end: the helper's whole life.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    io::retry_on_intr,
    net::{
        RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, recv, sendmsg,
        sockopt::socket_type,
    },
};

use super::{Ledger, MAX_REQUEST, Request, wire::Reply};
use crate::{
    netns::powers::{Own, Reach},
    privilege::{self, DropError},
};

/// Why the helper did not begin.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody typed its name.
    #[error("the root helper is started by `morgana up`, not by hand")]
    ByHand,
    /// It could not give up what it does not need.
    #[error("the root helper cannot give up what it does not need")]
    Drop(#[from] DropError),
    /// The socket failed.
    #[error("the root helper cannot hear its master")]
    Socket(#[from] io::Error),
}

/// Is the helper, with what [`Reach::to_words`] says, until standard input closes.
///
/// # Errors
/// Where it was not started by [`super::Helper::start`], or could not lock itself in.
pub fn run<S: AsRef<str>>(words: &[S]) -> Result<(), LockError> {
    let reach = Reach::from_words(words).ok_or(LockError::ByHand)?;
    let socket = io::stdin();
    if socket_type(&socket).ok() != Some(SocketType::SEQPACKET) {
        return Err(LockError::ByHand);
    }
    privilege::confine_helper()?;
    match serve(socket.as_fd(), reach) {
        // Its master died in the middle of a question.
        Err(error) if is_over(&error) => Ok(()),
        other => Ok(other?),
    }
}

fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Answers requests until the other end is gone.
pub(super) fn serve(socket: BorrowedFd<'_>, reach: Reach) -> io::Result<()> {
    let mut desk = Desk { own: Own::new(reach), ledger: Ledger::default() };
    // One byte more than the longest, so that what is too long shows.
    let mut bytes = [0; MAX_REQUEST + 1];
    loop {
        let (length, _) = retry_on_intr(|| recv(socket, &mut bytes, RecvFlags::empty()))?;
        if length == 0 {
            return Ok(());
        }
        let (reply, descriptor) = match desk.answer(&bytes[..length.min(bytes.len())]) {
            Ok((number, descriptor)) => (Reply::Done(number), Some(descriptor)),
            Err(error) => (Reply::Failed(error), None),
        };
        answer(socket, &reply, descriptor.as_ref())?;
    }
}

struct Desk {
    own: Own,
    ledger: Ledger,
}

impl Desk {
    fn answer(&mut self, bytes: &[u8]) -> io::Result<(u8, OwnedFd)> {
        let request = Request::decode(bytes).map_err(io::Error::other)?;
        self.ledger.check(&request).map_err(io::Error::other)?;
        let granted = match request {
            Request::Uplink => (0, self.own.uplink()?),
            Request::Class(kernel) => self.own.make_class(kernel)?,
            Request::Open { class, transport, port } => {
                (0, self.own.open(class, transport, port.get())?)
            }
        };
        self.ledger.granted(&request);
        Ok(granted)
    }
}

fn answer(socket: BorrowedFd<'_>, reply: &Reply, descriptor: Option<&OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|descriptor| [descriptor.as_fd()]);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let bytes = reply.encode();
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        thread,
    };

    use model::Transport;
    use rustix::net::{SendFlags, send};

    use super::*;
    use crate::{
        Uplink,
        netns::helper::{Helper, client::pair},
        switch::Kernel,
    };

    const KERNEL: Kernel = Kernel {
        tcp_timestamps: 1,
        tcp_rmem_max: 1 << 20,
        tcp_sack: 1,
        tcp_window_scaling: 1,
        tcp_ecn: 2,
    };

    /// Asks a helper on a thread of this process; it has to end when `ask` returns.
    fn with_helper(ask: impl FnOnce(&Helper, BorrowedFd<'_>)) {
        let (ours, theirs) = pair().unwrap();
        let uplink = Uplink::Interface("no-such-link".into());
        let reach = Reach { uplink, offloads: true };
        let serving = thread::spawn(move || serve(theirs.as_fd(), reach));
        let raw = ours.try_clone().unwrap();
        let helper = Helper::over(ours).unwrap();
        ask(&helper, raw.as_fd());
        drop(helper);
        serving.join().unwrap().unwrap();
    }

    #[test]
    fn refusals_arrive_with_their_reason_and_the_helper_goes_on() {
        with_helper(|helper, _| {
            let refused = helper.open(0, Transport::Tcp, 22).unwrap_err().to_string();
            assert_eq!(refused, "the helper has no such namespace");
            let beyond = Kernel { tcp_rmem_max: 1, ..KERNEL };
            let refused = helper.make_class(beyond).unwrap_err().to_string();
            assert!(refused.starts_with("not a request: `kernel.tcp_rmem_max`"), "{refused}");
            for _ in 0..2 {
                assert!(helper.uplink().is_err(), "what failed may be tried again");
            }
        });
    }

    #[test]
    fn bytes_that_are_no_request_get_a_reason_and_nothing_else() {
        with_helper(|helper, raw| {
            for hostile in [&[0][..], &[2; 9], &[3, 0, 0], &[4, 0, 0, 0], &[1, 0], &[255; 4096]] {
                send(raw, hostile, SendFlags::NOSIGNAL).unwrap();
                let mut bytes = [0; 512];
                let (length, _) = recv(raw, &mut bytes, RecvFlags::empty()).unwrap();
                let reply = Reply::decode(&bytes[..length]);
                assert!(matches!(reply, Some(Reply::Failed(_))), "{hostile:?}: {reply:?}");
            }
            assert_eq!(
                helper.open(0, Transport::Udp, 161).unwrap_err().to_string(),
                "the helper has no such namespace"
            );
        });
    }

    #[test]
    fn descriptors_arrive_and_work() {
        if !privilege::is_root() || !std::path::Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: namespaces need root and /dev/net/tun");
            return;
        }
        with_helper(|helper, _| {
            let (first, _tap) = helper.make_class(KERNEL).unwrap();
            let (second, _other_tap) = helper.make_class(KERNEL).unwrap();
            assert_eq!((first, second), (0, 1));
            for class in [first, second] {
                let tcp = |port| helper.open(class, Transport::Tcp, port);
                let listener = TcpListener::from(tcp(22).unwrap());
                assert_eq!(listener.local_addr().unwrap().port(), 22);
                assert!(tcp(22).is_err(), "it is in use");
                drop(listener);
                tcp(22).expect("nobody else holds it");
                let udp = |port| helper.open(class, Transport::Udp, port);
                let socket = UdpSocket::from(udp(22).unwrap());
                assert_eq!(socket.local_addr().unwrap().port(), 22);
                assert!(udp(22).is_err(), "it is in use");
                drop(socket);
                udp(22).expect("nobody else holds it");
            }
        });
    }
}

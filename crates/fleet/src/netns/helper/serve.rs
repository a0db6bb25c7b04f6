//! The answering end: the helper's whole life.

use std::{
    collections::BTreeMap,
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
    switch::Kernel,
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
    let mut desk =
        Desk { own: Own::new(reach), ledger: Ledger::default(), untaken: BTreeMap::new() };
    // One byte more than the longest, so that what is too long shows.
    let mut bytes = [0; MAX_REQUEST + 1];
    loop {
        let (length, _) = retry_on_intr(|| recv(socket, &mut bytes, RecvFlags::empty()))?;
        if length == 0 {
            return Ok(());
        }
        let (reply, descriptor) = match desk.answer(&bytes[..length.min(bytes.len())]) {
            Ok((number, descriptor)) => (Reply::Done(number), descriptor),
            Err(error) => (Reply::Failed(error), None),
        };
        answer(socket, &reply, descriptor.as_ref())?;
    }
}

struct Desk {
    own: Own,
    ledger: Ledger,
    /// By its number each namespace without a listener yet, with its TAP: the master may have had
    /// no descriptor left to take it with, and then asks for the same again.
    untaken: BTreeMap<u8, (Kernel, OwnedFd)>,
}

impl Desk {
    fn answer(&mut self, bytes: &[u8]) -> io::Result<(u8, Option<OwnedFd>)> {
        let request = Request::decode(bytes).map_err(io::Error::other)?;
        if let Request::Class(kernel) = request
            && let Some((class, (_, tap))) = self.untaken.iter().find(|(_, (k, _))| *k == kernel)
        {
            return Ok((*class, Some(tap.try_clone()?)));
        }
        self.ledger.check(&request).map_err(io::Error::other)?;
        let granted = match request {
            Request::Uplink => (0, Some(self.own.uplink()?)),
            Request::Class(kernel) => {
                let (class, tap) = self.own.make_class(kernel)?;
                let for_it = tap.try_clone();
                self.untaken.insert(class, (kernel, tap));
                self.ledger.granted(&request);
                return Ok((class, Some(for_it?)));
            }
            Request::Open { class, transport, port } => {
                // Who knows its number took it.
                self.untaken.remove(&class);
                (0, Some(self.own.open(class, transport, port.get())?))
            }
            Request::Release => {
                self.untaken.clear();
                self.own.release();
                (0, None)
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
        netns::helper::{Helper, MAX_CLASSES, client::pair},
    };

    const KERNEL: Kernel = Kernel {
        tcp_timestamps: 1,
        tcp_rmem_max: 1 << 20,
        tcp_sack: 1,
        tcp_window_scaling: 1,
        tcp_ecn: 2,
    };

    /// Asks a helper on a thread of this process; it has to end when `ask` returns.
    fn with_helper(ask: impl FnOnce(&mut Helper, BorrowedFd<'_>)) {
        let (ours, theirs) = pair().unwrap();
        let uplink = Uplink::Interface("no-such-link".into());
        let reach = Reach { uplink, offloads: true };
        let serving = thread::spawn(move || serve(theirs.as_fd(), reach));
        let raw = ours.try_clone().unwrap();
        let mut helper = Helper::over(ours).unwrap();
        ask(&mut helper, raw.as_fd());
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
            let other = Kernel { tcp_timestamps: 0, ..KERNEL };
            let (first, _tap) = helper.make_class(KERNEL).unwrap();
            let (second, _other_tap) = helper.make_class(other).unwrap();
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
            helper.release().unwrap();
            let gone = helper.open(first, Transport::Tcp, 22).unwrap_err().to_string();
            assert_eq!(gone, "the helper has no such namespace");
            assert_eq!(helper.make_class(KERNEL).unwrap().0, 0, "it begins anew");
        });
    }

    /// Asks as a process does that has no descriptor left: the kernel closes what came.
    fn ask_in_vain(raw: BorrowedFd<'_>, kernel: Kernel) -> Reply {
        send(raw, &Request::Class(kernel).encode(), SendFlags::NOSIGNAL).unwrap();
        let mut bytes = [0; 512];
        let (length, _) = recv(raw, &mut bytes, RecvFlags::empty()).unwrap();
        Reply::decode(&bytes[..length]).unwrap()
    }

    #[test]
    fn a_namespace_that_could_not_be_taken_is_had_later_and_no_other_made() {
        if !privilege::is_root() || !std::path::Path::new("/dev/net/tun").exists() {
            eprintln!("skipped: namespaces need root and /dev/net/tun");
            return;
        }
        with_helper(|helper, raw| {
            let other = Kernel { tcp_timestamps: 0, ..KERNEL };
            for _ in 0..=MAX_CLASSES {
                assert!(matches!(ask_in_vain(raw, KERNEL), Reply::Done(0)));
                assert!(matches!(ask_in_vain(raw, other), Reply::Done(1)));
            }
            for (number, kernel) in [(1, other), (0, KERNEL)] {
                let (class, tap) = helper.make_class(kernel).unwrap();
                assert_eq!(class, number);
                let mut frame = [0; 2048];
                let read = rustix::io::read(&tap, &mut frame).unwrap_err();
                assert_eq!(read, rustix::io::Errno::AGAIN, "a link that is up and silent");
                helper.open(class, Transport::Tcp, 22).unwrap();
            }
            let (third, _tap) = helper.make_class(KERNEL).unwrap();
            assert_eq!(third, 2, "what was taken is not given out twice");
        });
    }
}

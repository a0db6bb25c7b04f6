//! The asking end: starts the helper, and notices when it is gone.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    num::NonZeroU16,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use model::Transport;
use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown,
        SocketFlags, SocketType, recvmsg, send, shutdown, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use super::{
    Request,
    wire::{MAX_REPLY, Reply},
};
use crate::{netns::powers::Reach, switch::Kernel};

/// Longest that the helper may take for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for its end, once the socket is closed.
const FAREWELL: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// The same binary, whatever stands at its path now.
const PROGRAM: &str = "/proc/self/exe";
/// The subcommand that nobody types.
pub(super) const COMMAND: &str = "root-helper";

/// The root helper, as the unprivileged process has it. It ends when this is dropped.
#[derive(Debug)]
pub struct Helper {
    socket: OwnedFd,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Closes with the helper; nothing is ever written.
    life: UnixStream,
}

impl Helper {
    /// Starts the helper with the privilege that this process has now. It gets no descriptor
    /// but its end of the socket and standard error.
    ///
    /// # Errors
    /// Where the program cannot be started again.
    pub fn start(reach: &Reach) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        let (life, its_end) = UnixStream::pair()?;
        let child = Command::new(PROGRAM)
            .arg0("morgana-root-helper")
            .arg(COMMAND)
            .args(reach.to_words())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(OwnedFd::from(its_end))
            .spawn()?;
        let mut helper = Self::over(ours)?;
        helper.process = Some(Process { child, life });
        Ok(helper)
    }

    /// Asks whoever is at the other end.
    pub(super) fn over(socket: OwnedFd) -> io::Result<Self> {
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, process: None })
    }

    /// A stream that ends with the helper.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn watch(&self) -> io::Result<Option<UnixStream>> {
        self.process.as_ref().map(|process| process.life.try_clone()).transpose()
    }

    pub(in crate::netns) fn uplink(&self) -> io::Result<OwnedFd> {
        self.ask(Request::Uplink).map(|(_, uplink)| uplink)
    }

    pub(in crate::netns) fn make_class(&self, kernel: Kernel) -> io::Result<(u8, OwnedFd)> {
        self.ask(Request::Class(kernel))
    }

    pub(in crate::netns) fn open(
        &self,
        class: u8,
        transport: Transport,
        port: u16,
    ) -> io::Result<OwnedFd> {
        let port = NonZeroU16::new(port).ok_or(io::ErrorKind::InvalidInput)?;
        self.ask(Request::Open { class, transport, port }).map(|(_, socket)| socket)
    }

    /// Has it let go of every namespace. Where it does not, it has to end; an error where it does
    /// not do that either.
    pub(in crate::netns) fn release(&mut self) -> io::Result<()> {
        match self.exchange(&Request::Release) {
            Ok((Reply::Done(_), _)) => Ok(()),
            Ok((Reply::Failed(error), _)) | Err(error) => {
                if self.end() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Has it end; whether it is gone, which takes seconds only where something holds it.
    fn end(&mut self) -> bool {
        // Closed already where the helper went first.
        let _ = shutdown(&self.socket, Shutdown::Both);
        let Some(Process { child, life }) = &mut self.process else { return true };
        let mut fds = [PollFd::new(life, PollFlags::IN)];
        let is_gone = retry_on_intr(|| poll(&mut fds, Some(&FAREWELL))).is_ok_and(|n| n > 0);
        if is_gone {
            let _ = child.wait();
            self.process = None;
        }
        is_gone
    }

    /// One request and its answer. A helper that takes too long is not asked again: its answer
    /// would be taken for the next one's.
    fn ask(&self, request: Request) -> io::Result<(u8, OwnedFd)> {
        let Ok((reply, descriptor)) = self.exchange(&request) else {
            let _ = shutdown(&self.socket, Shutdown::Both);
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        match (reply, descriptor) {
            (Reply::Failed(error), _) => Err(error),
            (Reply::Done(number), Some(descriptor)) => Ok((number, descriptor)),
            // The kernel leaves it out where this process may have no more. A listener is closed
            // by that, and a namespace is there when it is asked for again.
            (Reply::Done(_), None) => Err(io::Error::from_raw_os_error(libc::EMFILE)),
        }
    }

    fn exchange(&self, request: &Request) -> io::Result<(Reply, Option<OwnedFd>)> {
        send(&self.socket, &request.encode(), SendFlags::NOSIGNAL)?;
        let mut bytes = [0; MAX_REPLY];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            recvmsg(&self.socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        let reply = Reply::decode(&bytes[..received.bytes]).ok_or(io::ErrorKind::InvalidData)?;
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok((reply, descriptor))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // One that does not end now ends with this process.
        let _ = self.end();
    }
}

/// A socket pair on which messages stay whole.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

//! The seam between the driver and privilege: the way to the network, namespaces, sockets in
//! them. This process does it itself, or asks the root helper; nothing else of the driver needs
//! more than an ordinary user.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::Ipv4Net;
use model::Transport;

use super::{
    Uplink,
    class::Class,
    config::{NetnsConfig, open_uplink},
    helper::Helper,
};
use crate::{Listener, switch::Kernel};

/// What of the network is touched at all: said once, at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where deckies meet the real network.
    pub uplink: Uplink,
    /// Whether the kernel may leave checksums and segmentation to the switch and back.
    pub offloads: bool,
}

/// Who does what needs privilege; one request at a time, whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Powers(Arc<Mutex<Holder>>);

#[derive(Debug)]
enum Holder {
    /// This process.
    Own(Own),
    /// The root helper.
    Helped(Helper),
}

/// Does what needs privilege, in this process.
#[derive(Debug)]
pub(super) struct Own {
    reach: Reach,
    classes: Vec<Class>,
}

impl NetnsConfig {
    /// What of the network the driver will touch.
    pub fn reach(&self) -> Reach {
        Reach { uplink: self.uplink.clone(), offloads: self.offloads }
    }
}

impl Powers {
    /// Done by this process.
    pub(super) fn own(reach: Reach) -> Self {
        Self(Arc::new(Mutex::new(Holder::Own(Own::new(reach)))))
    }

    /// Done by the root helper.
    pub(super) fn helped(helper: Helper) -> Self {
        Self(Arc::new(Mutex::new(Holder::Helped(helper))))
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the real network; anew where it was lost.
    pub(super) fn uplink(&self) -> io::Result<OwnedFd> {
        match &*self.holder() {
            Holder::Own(own) => own.uplink(),
            Holder::Helped(helper) => helper.uplink(),
        }
    }

    /// A namespace with these settings: its number, and its TAP.
    pub(super) fn make_class(&self, kernel: Kernel) -> io::Result<(u8, OwnedFd)> {
        match &mut *self.holder() {
            Holder::Own(own) => own.make_class(kernel),
            Holder::Helped(helper) => helper.make_class(kernel),
        }
    }

    /// A socket for this port of every decky in the class of this number.
    pub(super) fn open(&self, class: u8, transport: Transport, port: u16) -> io::Result<Listener> {
        let socket = match &mut *self.holder() {
            Holder::Own(own) => own.open(class, transport, port),
            Holder::Helped(helper) => helper.open(class, transport, port),
        }?;
        Ok(match transport {
            Transport::Tcp => Listener::Connections(socket.into()),
            Transport::Udp => Listener::Datagrams(socket.into()),
        })
    }

    /// The namespaces, to look into them; a helper keeps them to itself.
    pub(super) fn namespaces(&self) -> io::Result<Vec<OwnedFd>> {
        match &*self.holder() {
            Holder::Own(own) => own.classes.iter().map(Class::namespace).collect(),
            Holder::Helped(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Lets go of every namespace. An error where a helper may have some still.
    pub(super) fn release(&self) -> io::Result<()> {
        match &mut *self.holder() {
            Holder::Own(own) => {
                own.release();
                Ok(())
            }
            Holder::Helped(helper) => helper.release(),
        }
    }
}

impl Own {
    pub(super) fn new(reach: Reach) -> Self {
        Self { reach, classes: Vec::new() }
    }

    pub(super) fn uplink(&self) -> io::Result<OwnedFd> {
        open_uplink(&self.reach.uplink, self.reach.offloads)
    }

    pub(super) fn make_class(&mut self, kernel: Kernel) -> io::Result<(u8, OwnedFd)> {
        let number = u8::try_from(self.classes.len()).map_err(io::Error::other)?;
        let (class, tap) = Class::new(kernel, self.reach.offloads, self.reach.uplink.mtu())?;
        self.classes.push(class);
        Ok((number, tap))
    }

    pub(super) fn release(&mut self) {
        self.classes.clear();
    }

    pub(super) fn open(
        &mut self,
        class: u8,
        transport: Transport,
        port: u16,
    ) -> io::Result<OwnedFd> {
        let class = self.classes.get_mut(usize::from(class)).ok_or(io::ErrorKind::NotFound)?;
        class.open(transport, port)
    }
}

impl Reach {
    /// As arguments of a command line; [`Self::from_words`] reads them.
    pub fn to_words(&self) -> Vec<String> {
        let offloads = if self.offloads { "offloads" } else { "plain" };
        let mut words = vec![offloads.to_owned()];
        words.extend(match &self.uplink {
            Uplink::Interface(name) => vec!["interface".into(), name.clone()],
            Uplink::InterfaceWithin { netns, name } => {
                vec!["within".into(), netns.display().to_string(), name.clone()]
            }
            Uplink::Demo { name, address } => {
                vec!["demo".into(), name.clone(), address.to_string()]
            }
        });
        words
    }

    /// What [`Self::to_words`] wrote.
    pub fn from_words<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let (offloads, uplink) = words.split_first()?;
        let offloads = match *offloads {
            "offloads" => true,
            "plain" => false,
            _ => return None,
        };
        let uplink = match *uplink {
            ["interface", name] => Uplink::Interface(interface(name)?),
            ["within", netns, name] => {
                Uplink::InterfaceWithin { netns: netns.into(), name: interface(name)? }
            }
            ["demo", name, address] => {
                let address = address.parse::<Ipv4Net>().ok()?;
                Uplink::Demo { name: interface(name)?, address }
            }
            _ => return None,
        };
        Some(Self { uplink, offloads })
    }
}

/// A name that the kernel takes for an interface.
fn interface(name: &str) -> Option<String> {
    let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
    let is_sound = |c: char| c.is_ascii_graphic() && !"/:%".contains(c);
    (fits && name.chars().all(is_sound)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_survives_a_command_line() {
        for (line, expected) in [
            ("offloads interface eth1", true),
            ("plain within /run/netns/lab u0", true),
            ("offloads demo morgana0 10.66.1.254/24", true),
            ("offloads", false),
            ("interface eth1", false),
            ("plain interface", false),
            ("plain interface eth1 eth2", false),
            ("plain interface ../../x", false),
            ("plain interface a-name-of-16-chars", false),
            ("plain demo morgana0 10.66.1.254/33", false),
            ("plain demo morgana%d 10.66.1.254/24", false),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let reach = Reach::from_words(&words);
            assert_eq!(reach.is_some(), expected, "{line}");
            if let Some(reach) = reach {
                assert_eq!(reach.to_words(), words);
            }
        }
    }
}

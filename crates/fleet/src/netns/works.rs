//! What the kernel and the switch have of us, and the turn to change it.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    ops::{Deref, DerefMut},
    os::fd::OwnedFd,
    sync::MutexGuard,
};

use model::DeckyId;

use super::{
    UPLINK,
    config::Card,
    helper,
    powers::Powers,
    rows::{GateId, Machine},
    runner::{Link, Loan, Runner, Stopped, class_id},
};
use crate::{
    Listener, StepError,
    switch::{ClassId, Kernel, Mac, Refusal, Side, Switch, Update},
};

/// The switch's thread and the namespaces.
pub(super) struct Works {
    /// `None` while everything is switched off.
    runner: Option<Runner>,
    /// What this machine itself is on the uplink.
    card: Option<Card>,
    /// What all deckies show there, where they have no hardware address of their own.
    shared_mac: Option<Mac>,
    /// This machine's own addresses, as they were last seen; `None` where the kernel did not say.
    own_addresses: Option<BTreeSet<Ipv4Addr>>,
    /// Of the switch, from the first change of a turn to its end.
    loan: Option<Loan>,
    powers: Powers,
    /// What is to be announced on the uplink when the turn is over.
    coming: Vec<Ipv4Addr>,
    /// Deckies whose sessions are to end.
    gone: Vec<DeckyId>,
    /// Each class with its number among the powers.
    classes: Vec<(Kernel, u8)>,
}

/// One at a time has the works. When the turn is over the switch is back and frames move.
pub(super) struct Turn<'a>(pub(super) MutexGuard<'a, Works>);

impl Deref for Turn<'_> {
    type Target = Works;

    fn deref(&self) -> &Works {
        &self.0
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Works {
        &mut self.0
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.give_back();
        self.announce();
    }
}

impl Works {
    /// Switched off.
    pub(super) fn new(powers: Powers) -> Self {
        Self {
            runner: None,
            card: None,
            shared_mac: None,
            own_addresses: None,
            loan: None,
            powers,
            coming: Vec::new(),
            gone: Vec::new(),
            classes: Vec::new(),
        }
    }

    pub(super) fn powers(&self) -> &Powers {
        &self.powers
    }

    pub(super) fn runner(&self) -> Result<&Runner, StepError> {
        self.runner.as_ref().ok_or(StepError::Off)
    }

    pub(super) fn shared_mac(&self) -> Option<Mac> {
        self.shared_mac
    }

    /// Looks which addresses this machine has.
    pub(super) fn look_at_card(&mut self) {
        self.own_addresses = self.card.as_ref().and_then(|card| card.addresses().ok());
    }

    /// Whether an address on the uplink is none of this machine's own.
    pub(super) fn check_own(&self, address: Ipv4Addr) -> Result<(), StepError> {
        match &self.own_addresses {
            Some(own) if own.contains(&address) => Err(StepError::OwnAddress { address }),
            Some(_) => Ok(()),
            None => Err(StepError::Unasked { address }),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.runner.is_none()
    }

    /// From now on there is a switch, with no class behind it. Where there is a `shared_mac`, all
    /// deckies show it.
    pub(super) fn switch_on(&mut self, runner: Runner, card: Card, shared_mac: Option<Mac>) {
        self.runner = Some(runner);
        self.card = Some(card);
        self.shared_mac = shared_mac;
    }

    /// Ends the thread and closes every namespace; an error where the root helper may have some
    /// still.
    pub(super) fn switch_off(&mut self) -> Result<(), StepError> {
        self.give_back();
        self.runner = None;
        self.card = None;
        self.classes.clear();
        self.powers.release().map_err(StepError::NotReleased)
    }

    /// The switch; no frame moves until [`Works::give_back`].
    pub(super) fn switch(&mut self) -> Result<&mut Switch, StepError> {
        if self.loan.is_none() {
            self.loan = Some(self.runner()?.borrow()?);
        }
        let loan = self.loan.as_mut().ok_or(StepError::Off)?;
        Ok(loan.switch()?)
    }

    /// Frames move again.
    pub(super) fn give_back(&mut self) {
        self.loan = None;
    }

    /// Deckies have these addresses on the uplink now: hosts are to know when the turn is over, or
    /// they keep the hardware address of who had it before.
    pub(super) fn came(&mut self, addresses: impl IntoIterator<Item = Ipv4Addr>) {
        self.coming.extend(addresses);
    }

    /// The decky is gone from the switch; the host is told when frames move again.
    pub(super) fn went(&mut self, decky: DeckyId) {
        self.gone.push(decky);
    }

    /// Whom to tell the host of; frames move.
    pub(super) fn take_gone(&mut self) -> Vec<DeckyId> {
        self.give_back();
        std::mem::take(&mut self.gone)
    }

    fn announce(&mut self) {
        let coming = std::mem::take(&mut self.coming);
        if let Some(runner) = self.runner.as_ref().filter(|_| !coming.is_empty()) {
            // A switch that stopped has nobody on the segment.
            let _ = runner.announce(UPLINK, coming);
        }
    }

    pub(super) fn apply(&mut self, update: Update) -> Result<(), StepError> {
        Ok(self.switch()?.apply(update)?)
    }

    pub(super) fn set_interfaces(&mut self, of: &Machine) -> Result<(), StepError> {
        let interfaces = of.switch_interfaces();
        self.apply(Update::SetInterfaces { machine: of.id, interfaces })
    }

    /// The class of this behaviour; it is made when nobody had it before.
    pub(super) fn class(&mut self, kernel: Kernel) -> Result<ClassId, StepError> {
        let known = self.classes.iter().position(|(known, _)| *known == kernel);
        let index = known.unwrap_or(self.classes.len());
        let id = class_id(index).ok_or(Refusal::Beyond { what: "the number of classes" })?;
        if known.is_none() {
            self.give_back();
            let what = "make a namespace".into();
            let failed = helper::or_gone(|source| StepError::Kernel { what, source });
            let (class, tap) = self.powers.make_class(kernel).map_err(failed)?;
            self.runner()?.attach(Side::Class(id), Link::Tap(tap), None)?;
            self.classes.push((kernel, class));
        }
        Ok(id)
    }

    /// A socket for this port of every decky in the class.
    pub(super) fn listen(&self, (class, transport, port): GateId) -> io::Result<Listener> {
        let class = self.classes.get(usize::from(class.0));
        self.powers.open(class.ok_or(io::ErrorKind::NotFound)?.1, transport, port)
    }

    pub(super) fn namespaces(&self) -> io::Result<Vec<OwnedFd>> {
        self.powers.namespaces()
    }
}

impl From<Stopped> for StepError {
    fn from(Stopped: Stopped) -> Self {
        Self::Off
    }
}

//! What the kernel and the switch have of us, and the turn to change it.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    ops::{Deref, DerefMut},
    os::fd::OwnedFd,
    sync::MutexGuard,
};

use model::DeckyId;

use super::{
    UPLINK, helper,
    powers::Powers,
    rows::Machine,
    runner::{Link, Loan, Runner, Stopped, class_id},
};
use crate::{
    StepError,
    switch::{ClassId, Kernel, Refusal, Side, Switch, Update},
};

/// The switch's thread and the namespaces.
pub(super) struct Works {
    /// `None` once everything was switched off.
    runner: Option<Runner>,
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
    pub(super) fn new(runner: Runner, powers: Powers) -> Self {
        Self {
            runner: Some(runner),
            loan: None,
            powers,
            coming: Vec::new(),
            gone: Vec::new(),
            classes: Vec::new(),
        }
    }

    pub(super) fn runner(&self) -> Result<&Runner, StepError> {
        self.runner.as_ref().ok_or(StepError::Off)
    }

    /// Ends the thread and closes every namespace.
    pub(super) fn switch_off(&mut self) {
        self.give_back();
        self.runner = None;
        self.classes.clear();
        self.powers.end();
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

    /// A listener for this port of every decky in the class.
    pub(super) fn listen(&self, class: ClassId, port: u16) -> io::Result<TcpListener> {
        let class = self.classes.get(usize::from(class.0));
        self.powers.listen(class.ok_or(io::ErrorKind::NotFound)?.1, port)
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

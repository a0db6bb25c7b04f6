//! One op, applied to a topology: the topology afterwards and the ops that undo it, or all that
//! is wrong with it.
//!
//! Nothing is changed in place, so an op that turns out wrong has no effect, and a batch of which
//! one is wrong has none either. An undo brings back everything but the time of the last
//! rotation, which starts anew; removed LANs and deckies come back under their own ids, so that
//! visitors meet the machines that they know.

mod deckies;
mod edges;
mod lans;
mod services;

pub use edges::MAX_EDGES;
pub(crate) use edges::in_order;

use std::{sync::Arc, time::Duration};

use model::{Ambient, Decky, Lan, Name, Op, Topology};

use crate::{
    Violation, ViolationCode, rules, validate,
    validate::deployable,
    violation::{Findings, listed},
};

/// The most ops of one batch.
pub const MAX_BATCH: usize = 1000;

/// An op that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The topology afterwards, its version one higher.
    pub topology: Topology,
    /// The ops that undo it, in order.
    pub inverse: Vec<Op>,
}

/// Whether visitors may see the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is a plan: everything about it can change.
    Drawn,
    /// It is deployed: what cannot change under the eyes of a visitor does not, or needs force.
    Live,
}

/// What came of one op: the ops that undo it.
type Undo = Result<Vec<Op>, Vec<Violation>>;

/// Applies `op` to a `topology` that is not deployed, or says everything that is wrong with it.
/// Ids, the time of a rotation and random picks come from `ambient`.
///
/// ```
/// # use morgana_maze as maze;
/// use model::{Ambient, Op, Timestamp};
/// let ambient = Ambient::seeded(1, Timestamp::from_micros(0));
/// let topology = maze::demo("demo".parse()?, &ambient);
/// let op = Op::RemoveLan { name: "office".parse()? };
/// let violations = maze::apply(&topology, &op, &ambient).expect_err("deckies live there");
/// assert_eq!(violations[0].code.as_str(), "LAN_IN_USE");
/// assert_eq!(violations[0].field, "payload.name");
/// # Ok::<(), model::NameError>(())
/// ```
pub fn apply(topology: &Topology, op: &Op, ambient: &Ambient) -> Result<Applied, Vec<Violation>> {
    apply_on(Stage::Drawn, topology, op, ambient)
}

/// As [`apply`], for a topology at this stage. One that is live stays one that could be deployed:
/// an op that takes its DMZ, or the last decky there, is refused.
pub fn apply_on(
    stage: Stage,
    topology: &Topology,
    op: &Op,
    ambient: &Ambient,
) -> Result<Applied, Vec<Violation>> {
    let mut next = topology.clone();
    let inverse = Work { topology: &mut next, stage, ambient }.run(op)?;
    if stage == Stage::Live && deployable(topology).is_empty() {
        let mut broken = deployable(&next);
        if !broken.is_empty() {
            broken.iter_mut().for_each(|violation| violation.field = "payload".into());
            return Err(broken);
        }
    }
    next.version = next.version.saturating_add(1);
    Ok(Applied { topology: next, inverse })
}

/// The copy of the topology that an op changes. After a refusal it is thrown away.
struct Work<'a> {
    topology: &'a mut Topology,
    stage: Stage,
    ambient: &'a Ambient,
}

impl Work<'_> {
    fn run(&mut self, op: &Op) -> Undo {
        match op {
            Op::AddLan { name, subnet, is_dmz, position } => self.add_lan(&lans::NewLan {
                name,
                subnet: *subnet,
                is_dmz: *is_dmz,
                position: *position,
            }),
            Op::RemoveLan { name } => self.remove_lan(name),
            Op::UpdateLan { name, patch } => self.update_lan(name, patch),
            Op::AddDecky {
                name,
                lan,
                services,
                archetype,
                forwards_l3,
                ip,
                rotate_every_seconds,
                position,
            } => self.add_decky(&deckies::NewDecky {
                name,
                lan,
                services: services.as_deref(),
                archetype: archetype.unwrap_or(model::Archetype::LinuxServer),
                forwards_l3: *forwards_l3,
                ip: *ip,
                rotate_every: rotate_every_seconds.and_then(interval),
                position: *position,
            }),
            Op::RemoveDecky { decky } => self.remove_decky(decky),
            Op::AttachDecky { decky, lan, ip, forwards_l3 } => {
                self.attach_decky(decky, lan, *ip, *forwards_l3)
            }
            Op::DetachDecky { decky, lan } => self.detach_decky(decky, lan),
            Op::UpdateDecky { decky, patch, services, rotate_every_seconds, position, force } => {
                let nothing = model::DeckyPatch::default();
                let patch = deckies::Patch {
                    machine: patch.as_ref().unwrap_or(&nothing),
                    services: services.as_deref(),
                    rotate_every: rotate_every_seconds.map(interval),
                    position: *position,
                    force: *force,
                };
                self.update_decky(decky, &patch)
            }
            Op::RotateDecky { decky, services } => self.rotate_decky(decky, services.as_deref()),
            Op::StartDecky { decky } => self.switch_decky(decky, false),
            Op::StopDecky { decky } => self.switch_decky(decky, true),
            Op::UpdateTopology { rotate_every_seconds } => {
                self.update_topology(*rotate_every_seconds)
            }
            Op::Batch { ops } | Op::Undo { ops, .. } => self.batch(ops),
            Op::RestoreLan { lan } => self.restore_lan(lan),
            Op::RestoreDecky { decky } => self.restore_decky(decky),
        }
    }

    /// All of `ops`, or the first that is wrong, with its place in the field.
    fn batch(&mut self, ops: &[Op]) -> Undo {
        let refused = |code, field: &str, message: String| {
            Err(vec![Violation { code, field: field.into(), message }])
        };
        if ops.is_empty() {
            let message = "name at least one op".into();
            return refused(ViolationCode::BatchEmpty, "payload.ops", message);
        }
        if ops.len() > MAX_BATCH {
            let message = format!("a batch has at most {MAX_BATCH} ops, not {}", ops.len());
            return refused(ViolationCode::BatchTooLarge, "payload.ops", message);
        }
        let mut undo = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            if matches!(op, Op::Batch { .. } | Op::Undo { .. }) {
                let message = format!("a batch has no {} in it", op.word());
                let field = format!("payload.ops[{index}]");
                return refused(ViolationCode::BatchNested, &field, message);
            }
            match self.run(op) {
                // Undone from the last to the first.
                Ok(inverse) => undo.splice(..0, inverse).for_each(drop),
                Err(mut violations) => {
                    for violation in &mut violations {
                        violation.field = format!("payload.ops[{index}].{}", violation.field);
                    }
                    return Err(violations);
                }
            }
        }
        Ok(undo)
    }

    fn update_topology(&mut self, rotate_every_seconds: Option<u64>) -> Undo {
        let mut findings = Findings::default();
        let Some(seconds) = rotate_every_seconds else {
            let message = "name what to change: rotate_every_seconds";
            findings.add(ViolationCode::UpdateEmpty, "payload", message);
            return Err(findings.into_vec());
        };
        let every = interval(seconds);
        if let Some(every) = every {
            rules::check_rotation(every, "payload.rotate_every_seconds", &mut findings);
        }
        findings.or_ok()?;
        let before = std::mem::replace(&mut self.topology.rotate_every, every);
        Ok(vec![Op::UpdateTopology { rotate_every_seconds: Some(seconds_of(before)) }])
    }

    fn lan(&self, name: &Name, field: &str) -> Result<Arc<Lan>, Vec<Violation>> {
        self.topology.lan_named(name).cloned().ok_or_else(|| {
            let names: Vec<&Name> = self.topology.lans.values().map(|lan| &lan.name).collect();
            vec![Violation {
                code: ViolationCode::LanUnknown,
                field: field.into(),
                message: format!("there is no LAN {name}; there is {}", some_of(&names)),
            }]
        })
    }

    fn decky(&self, name: &Name) -> Result<Arc<Decky>, Vec<Violation>> {
        self.topology.decky_named(name).cloned().ok_or_else(|| {
            vec![Violation {
                code: ViolationCode::DeckyUnknown,
                field: "payload.decky".into(),
                message: format!("topology {} has no decky {name}", self.topology.name),
            }]
        })
    }

    fn put_decky(&mut self, decky: Decky) {
        self.topology.deckies.insert(decky.id, Arc::new(decky));
    }

    /// Whether a row that comes back fits what has become of the topology.
    fn check_whole(&self) -> Result<(), Vec<Violation>> {
        let violations = validate(self.topology);
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }
}

/// Zero means never.
fn interval(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// As [`interval`], backwards.
fn seconds_of(every: Option<Duration>) -> u64 {
    every.map_or(0, |every| every.as_secs())
}

/// The most names that one message lists.
const NAMES_LISTED: usize = 8;

fn some_of(names: &[&Name]) -> String {
    match names.len().checked_sub(NAMES_LISTED) {
        None | Some(0) => listed(names, "and"),
        Some(more) => {
            let mut shown: Vec<String> =
                names[..NAMES_LISTED].iter().map(ToString::to_string).collect();
            shown.push(format!("{more} more"));
            listed(&shown, "and")
        }
    }
}

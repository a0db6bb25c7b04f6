//! The rules of topologies, pure: apply, validate, plan.
//!
//! Owns what a topology may look like and how it changes: [`apply()`] turns an op into a new
//! topology and the ops that undo it, or into everything that is wrong with it; [`validate()`]
//! judges a whole topology and [`deployable()`] whether it can face visitors; [`generate()`] makes
//! one from a seed, [`Document`] is one on paper; [`preview()`] says what an op would do and
//! [`plan()`] which steps lead from what a driver observes to what is desired; a [`Change`] is the
//! part of a topology that has to be planned anew. It must not know sockets, databases, clocks or
//! async: time, ids and random picks come in through [`model::Ambient`].

mod allocate;
mod apply;
mod change;
mod demo;
mod document;
mod generate;
mod observed;
mod plan;
mod preview;
mod rotate;
mod rules;
mod validate;
mod violation;

pub use apply::{Applied, MAX_BATCH, MAX_EDGES, Stage, apply, apply_on};
pub use change::Change;
pub use demo::demo;
pub use document::{
    DeckyDocument, Document, FORMAT, InterfaceDocument, LanDocument, ServiceDocument,
};
pub use generate::{Blueprint, generate};
pub use observed::{Observed, ObservedDecky, ObservedLan};
pub use plan::{Step, StepKind, plan};
pub use preview::{Preview, changes, preview};
pub use rotate::{due_rotations, next_due, pick_services};
pub use rules::{
    MAX_DECKIES, MAX_LANS, MAX_ROTATION, MIN_ROTATION, PREFIX_LONGEST, PREFIX_SHORTEST,
};
pub use validate::{deployable, unreachable, validate};
pub use violation::{Violation, ViolationCode};

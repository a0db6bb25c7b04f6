//! The rules of topologies, pure: apply, validate, plan.
//!
//! Owns what a topology may look like and how it changes: [`apply()`] turns an op into a new
//! topology and the ops that undo it, or into everything that is wrong with it; [`validate()`]
//! judges a whole topology; [`plan()`] says which steps lead from what a driver observes to what
//! is desired. It must not know sockets, databases, clocks or async: time, ids and random picks
//! come in through [`model::Ambient`].

mod allocate;
mod apply;
mod demo;
mod observed;
mod plan;
mod rotate;
mod rules;
mod validate;
mod violation;

pub use apply::{Applied, apply};
pub use demo::demo;
pub use observed::{Observed, ObservedDecky, ObservedLan};
pub use plan::{Step, StepKind, plan};
pub use rotate::{due_rotations, next_due, pick_services};
pub use rules::{
    MAX_DECKIES, MAX_LANS, MAX_ROTATION, MIN_ROTATION, PREFIX_LONGEST, PREFIX_SHORTEST,
};
pub use validate::validate;
pub use violation::{Violation, ViolationCode};

//! The rules of topologies, pure: apply, validate, plan.

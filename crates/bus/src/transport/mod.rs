//! Ways from the [`crate::Bus`] handle to a bus elsewhere.

//! The event bus: one handle, in process or off.

//! Random operations against a list.

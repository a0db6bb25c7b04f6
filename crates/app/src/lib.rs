//! Morgana, a deception network: the library and the binary.

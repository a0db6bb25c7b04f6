//! Subjects by the rules of NATS, as bytes: validity, matching, and the match table.

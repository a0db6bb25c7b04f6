//! Torn tails at every byte, flipped bytes everywhere.

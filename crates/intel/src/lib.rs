//! Sessions, scores and identities, pure.

//! Real clients against the decoys: OpenSSH, tnftp, curl.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod ftp;
mod openssh;

//! How many files and sockets the process may hold, and how many of them are for clients.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that clients leave to the rest of the process: a quarter, and not less than this.
const RESERVE: u64 = 64;

/// Raises the limit on open files to the most that the process may have, and returns it: a segment
/// of a stream, a consumer and a client take one each, and the usual limit of 1024 is meant for
/// programs that know only `select`. For the start of a program.
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(descriptor_limit())
}

/// How many the process may hold now.
pub(crate) fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many clients of `each` descriptors a process with `limit` may have.
pub(crate) fn clients_within(limit: u64, each: u64) -> usize {
    let reserve = (limit / 4).max(RESERVE);
    let clients = limit.saturating_sub(reserve) / each.max(1);
    usize::try_from(clients).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_descriptors_to_others() {
        for (limit, each, expected) in [
            (0, 1, 1),
            (64, 1, 1),
            (128, 1, 64),
            (1024, 1, 768),
            (1024, 3, 256),
            (524_288, 1, 393_216),
        ] {
            assert_eq!(clients_within(limit, each), expected, "of {limit}");
        }
        assert!(clients_within(u64::MAX, 1) > 1 << 32);
    }

    #[test]
    fn the_limit_is_raised_to_the_most() {
        let raised = raise_descriptor_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX), raised);
    }
}

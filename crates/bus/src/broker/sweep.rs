//! What time does to connections: pings, stale clients, deadlines, lame duck.
//!
//! One pass over all connections now and then instead of a timer each: the pass costs
//! nanoseconds per connection, and no deadline here is finer than a quarter of the shortest
//! configured one.

use std::time::{Duration, Instant};

use super::{
    connection::{Blame, Close, Connection, Phase},
    limits::Limits,
    router::Router,
};
use crate::proto::ErrText;

/// How far apart passes may be.
const LONGEST: Duration = Duration::from_millis(500);
const SHORTEST: Duration = Duration::from_millis(5);

/// How often to pass.
pub(super) fn interval(limits: &Limits) -> Duration {
    let Limits { write_deadline, ping_interval, first_ping, auth_timeout, .. } = *limits;
    let shortest = write_deadline.min(ping_interval).min(first_ping).min(auth_timeout);
    (shortest / 4).clamp(SHORTEST, LONGEST)
}

/// What a connection is due for.
enum Due {
    Nothing,
    Ping,
    Close(Close),
}

impl Router {
    /// Does what is due now.
    pub(super) fn sweep(&mut self) {
        let all: Vec<(u32, Due)> =
            self.connections.iter().map(|(index, c)| (index, self.due(c))).collect();
        for (index, due) in all {
            match due {
                Due::Nothing => {}
                Due::Ping => self.ping(index),
                Due::Close(why) => self.close(index, why),
            }
        }
        self.bound_input();
    }

    /// Incomplete frames are bounded one by one; here they are in all, as output is.
    fn bound_input(&mut self) {
        let held = self.connections.iter().map(|(index, c)| (c.partial.capacity(), index));
        let mut all: Vec<_> = held.filter(|(bytes, _)| *bytes > 0).collect();
        let mut total: usize = all.iter().map(|(bytes, _)| bytes).sum();
        all.sort_unstable();
        while total > self.limits.max_pending_total {
            let Some((bytes, index)) = all.pop() else { break };
            total -= bytes;
            self.close(index, Close::Silent);
        }
    }

    fn due(&self, connection: &Connection) -> Due {
        let Limits { write_deadline, ping_interval, auth_timeout, max_pings_out, .. } = self.limits;
        let past = |since: Instant, limit| self.now.saturating_duration_since(since) >= limit;
        if connection.blocked.is_some_and(|since| past(since, write_deadline)) {
            return Due::Close(Close::Slow);
        }
        match connection.phase {
            // Who signs in does not count: what takes long then is not his doing.
            Phase::Strange if past(connection.clock.since, auth_timeout) => {
                Due::Close(Close::told(Blame::Auth, &ErrText::AuthenticationTimeout))
            }
            Phase::Open if self.now >= connection.clock.next_ping => {
                // Whoever spoke within the interval lives; but the first round trip is measured.
                let spoke = !past(connection.clock.last_input, ping_interval);
                if spoke && connection.clock.rtt.is_some() {
                    Due::Nothing
                } else if connection.clock.pings_out >= max_pings_out {
                    Due::Close(Close::told(Blame::Stale, &ErrText::StaleConnection))
                } else {
                    Due::Ping
                }
            }
            _ => Due::Nothing,
        }
    }

    fn ping(&mut self, index: u32) {
        let (now, interval) = (self.now, self.limits.ping_interval);
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.clock.pings_out += 1;
        connection.clock.ping_sent = Some(now);
        connection.clock.next_ping = now + interval;
        self.say(index, b"PING\r\n");
    }
}

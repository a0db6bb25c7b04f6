//! Time and randomness, handed in: the only place where the process reads a clock for a
//! timestamp or draws random bytes for an id.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::TypedId;

/// A moment in UTC, in whole microseconds since the Unix epoch. Written as RFC 3339 with six
/// fractional digits, so that texts sort like moments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// 0001-01-01T00:00:00Z, before which years would need a sign.
const FIRST_SHOWN: i64 = -62_135_596_800_000_000;

/// 9999-12-30T22:00:00Z, the last whole second that jiff knows.
const LAST_SHOWN: i64 = 253_402_207_200_000_000;

/// A text that is no RFC 3339 timestamp.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 timestamp")]
pub struct TimestampError(String);

impl Timestamp {
    /// From microseconds since the Unix epoch; clamped to the years 1 to 9999 when shown.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, never negative: the time field of a UUIDv7.
    pub const fn as_millis(self) -> u64 {
        if self.0 < 0 { 0 } else { (self.0 / 1000) as u64 }
    }

    /// This moment later by `by`; saturates at the end of time.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This moment earlier by `by`.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this moment; zero where `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.clamp(FIRST_SHOWN, LAST_SHOWN);
        let shown = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{shown:.6}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_microsecond()))
            .map_err(|_| TimestampError(text.chars().take(64).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a component gets the time and its random bytes from. Cheap to clone; clones share one
/// generator.
#[derive(Clone)]
pub struct Ambient {
    clock: Clock,
    random: Arc<Mutex<StdRng>>,
}

#[derive(Clone)]
enum Clock {
    System,
    Manual(Arc<AtomicI64>),
}

impl Ambient {
    /// The system clock and a generator seeded by the operating system.
    pub fn system() -> Self {
        let random = StdRng::try_from_rng(&mut rand::rngs::SysRng)
            .expect("the operating system hands out random bytes");
        Self { clock: Clock::System, random: Arc::new(Mutex::new(random)) }
    }

    /// For tests: a clock that stands at `start` until [`Ambient::advance`], and a generator
    /// that repeats.
    pub fn seeded(seed: u64, start: Timestamp) -> Self {
        Self {
            clock: Clock::Manual(Arc::new(AtomicI64::new(start.0))),
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::System => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Clock::Manual(at) => Timestamp(at.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock; the system clock moves by itself and ignores this.
    pub fn advance(&self, by: Duration) {
        if let Clock::Manual(at) = &self.clock {
            at.fetch_add(i64::try_from(by.as_micros()).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Fresh random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }

    /// A fresh UUIDv7 of the wanted kind (RFC 9562 section 5.7), stamped with [`Ambient::now`].
    pub fn id<I: TypedId>(&self) -> I {
        I::from_parts(self.now(), self.bytes())
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ambient").field("now", &self.now()).finish_non_exhaustive()
    }
}

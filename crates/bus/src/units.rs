//! Sizes and durations as people write them in configuration.

use std::time::Duration;

/// `250ms`, `2s`, `1m30s`, `1.5h`: numbers with units, as Go writes durations. `None` where it is
/// something else or longer than a century.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        seconds += number.parse::<f64>().ok()? * seconds_of(unit)?;
        rest = tail;
    }
    (seconds <= CENTURY).then(|| Duration::from_secs_f64(seconds))
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// `4096`, `64k`, `64KB`, `1MB`, `2GiB`: bytes. As in nats-server's configuration, `k` is 1,000
/// and `kb` and `kib` are 1,024; letters of either case. `None` where it is something else.
pub(crate) fn size(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = (digits.parse::<i64>().ok()?, &text[digits.len()..]);
    number.checked_mul(bytes_of(&unit.to_ascii_lowercase())?)
}

fn bytes_of(unit: &str) -> Option<i64> {
    Some(match unit {
        "" => 1,
        "k" => 1_000,
        "kb" | "ki" | "kib" => 1 << 10,
        "m" => 1_000_000,
        "mb" | "mi" | "mib" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" | "gi" | "gib" => 1 << 30,
        "t" => 1_000_000_000_000,
        "tb" | "ti" | "tib" => 1 << 40,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("2s", Some(2_000)),
            ("250ms", Some(250)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("2", None),
            ("s", None),
            ("-1s", None),
            ("2 s", None),
            ("1.1.1s", None),
            ("99999999h", None),
            ("2parsecs", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_in_nats_conf() {
        for (text, bytes) in [
            ("4096", Some(4096)),
            ("64k", Some(64_000)),
            ("64KB", Some(65_536)),
            ("1MB", Some(1 << 20)),
            ("1mib", Some(1 << 20)),
            ("2G", Some(2_000_000_000)),
            ("-1", Some(-1)),
            ("", None),
            ("MB", None),
            ("1xb", None),
            ("99999999999TB", None),
        ] {
            assert_eq!(size(text), bytes, "{text:?}");
        }
    }
}

//! Dates in UTC, as the commands of a server without a local time zone print them.

use model::Timestamp;

/// A moment split into fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// 0 is Sunday.
    pub(crate) weekday: u32,
    /// 1 is the first of January.
    pub(crate) yearday: u32,
    pub(crate) micros: u32,
    pub(crate) epoch: i64,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LONG_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const LONG_DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Date {
    /// The fields of `at` (Howard Hinnant's `civil_from_days`).
    pub(crate) fn of(at: Timestamp) -> Self {
        let epoch = at.as_micros().div_euclid(1_000_000);
        let days = epoch.div_euclid(86_400);
        let second = epoch.rem_euclid(86_400) as u32;
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let doe = shifted.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
        let month = (if mp < 10 { mp + 3 } else { mp - 9 }) as u32;
        let year = yoe + era * 400 + i64::from(month <= 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
        Self {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            weekday: (days + 4).rem_euclid(7) as u32,
            yearday: before + day + u32::from(leap && month > 2),
            micros: at.as_micros().rem_euclid(1_000_000) as u32,
            epoch,
        }
    }

    /// `Jan` to `Dec`.
    pub(crate) fn month_name(&self) -> &'static str {
        MONTHS[self.month as usize - 1]
    }

    /// What `date` prints: `Sat Nov 21 10:47:28 UTC 2026`.
    pub(crate) fn unix(&self) -> String {
        self.format("%a %b %e %H:%M:%S UTC %Y")
    }

    /// `strftime` in the C locale; unknown conversions stay as they are.
    pub(crate) fn format(&self, pattern: &str) -> String {
        let mut text = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some(c) => self.convert(c, &mut text),
                None => text.push('%'),
            }
        }
        text
    }

    fn convert(&self, conversion: char, text: &mut String) {
        let hour12 = (self.hour + 11) % 12 + 1;
        text.push_str(&match conversion {
            'Y' => self.year.to_string(),
            'C' => format!("{:02}", self.year / 100),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'H' => format!("{:02}", self.hour),
            'k' => format!("{:2}", self.hour),
            'I' => format!("{hour12:02}"),
            'l' => format!("{hour12:2}"),
            'M' => format!("{:02}", self.minute),
            'S' => format!("{:02}", self.second),
            'N' => format!("{:06}123", self.micros),
            's' => self.epoch.to_string(),
            'j' => format!("{:03}", self.yearday),
            'u' => (if self.weekday == 0 { 7 } else { self.weekday }).to_string(),
            'w' => self.weekday.to_string(),
            'a' => DAYS[self.weekday as usize].into(),
            'A' => LONG_DAYS[self.weekday as usize].into(),
            'b' | 'h' => self.month_name().into(),
            'B' => LONG_MONTHS[self.month as usize - 1].into(),
            'p' => (if self.hour < 12 { "AM" } else { "PM" }).into(),
            'Z' => "UTC".into(),
            'z' => "+0000".into(),
            'F' => self.format("%Y-%m-%d"),
            'T' => self.format("%H:%M:%S"),
            'R' => self.format("%H:%M"),
            'D' | 'x' => self.format("%m/%d/%y"),
            'X' => self.format("%H:%M:%S"),
            'c' => self.format("%a %b %e %H:%M:%S %Y"),
            'n' => "\n".into(),
            't' => "\t".into(),
            '%' => "%".into(),
            other => format!("%{other}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rfc3339: &str, pattern: &str, shown: &str) {
        let at: Timestamp = rfc3339.parse().expect("a timestamp");
        assert_eq!(Date::of(at).format(pattern), shown);
    }

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        check("2026-11-21T10:47:28Z", "%a %b %e %H:%M:%S %Y %j", "Sat Nov 21 10:47:28 2026 325");
        check("2024-02-29T00:00:00Z", "%F %A %j", "2024-02-29 Thursday 060");
        check("2000-12-31T23:59:59Z", "%c %p %I %j", "Sun Dec 31 23:59:59 2000 PM 11 366");
        check("1969-12-31T23:59:59Z", "%F %T %s", "1969-12-31 23:59:59 -1");
    }
}

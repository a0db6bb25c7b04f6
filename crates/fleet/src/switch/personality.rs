//! Personalities: how one operating system differs from another on the wire.
//!
//! One TOML file each; those of `crates/fleet/personalities` are built in, an operator's
//! directory adds to them or replaces them by name. What the kernel can do by itself is under
//! `[kernel]` (deckies with the same values share a namespace); the rest the switch does.

use std::{fmt, io, path::PathBuf, sync::Arc};

use model::Archetype;
use serde::Deserialize;

use super::frame::Mac;

/// Largest personality file.
const MAX_FILE: u64 = 64 * 1024;
/// Most files of an operator's directory.
const MAX_FILES: usize = 256;

const BUILT_IN: &[(&str, &str)] = &[
    ("debian-12.toml", include_str!("../../personalities/debian-12.toml")),
    ("linux-4.15.toml", include_str!("../../personalities/linux-4.15.toml")),
    ("windows-10.toml", include_str!("../../personalities/windows-10.toml")),
    ("network-printer.toml", include_str!("../../personalities/network-printer.toml")),
];

/// How an operating system behaves on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personality {
    /// Its name: lower-case letters, digits, `.` and `-`.
    pub name: String,
    /// What it claims to be, for people.
    pub title: String,
    /// Which archetypes may get it; the first personality of an archetype is its usual one.
    #[serde(deserialize_with = "archetypes")]
    pub archetypes: Vec<Archetype>,
    /// The first three bytes of the hardware addresses that fit.
    #[serde(deserialize_with = "vendors")]
    pub vendors: Vec<[u8; 3]>,
    /// What the kernel is told.
    pub kernel: Kernel,
    /// The internet layer.
    pub ip: IpStyle,
    /// TCP.
    pub tcp: TcpStyle,
    /// ICMP.
    pub icmp: IcmpStyle,
}

/// Settings of a namespace; equal ones make a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// `net.ipv4.tcp_timestamps`: 0 is none, 2 is one clock that the switch moves per decky.
    pub tcp_timestamps: u8,
    /// Third value of `net.ipv4.tcp_rmem`: the window scale follows from it.
    pub tcp_rmem_max: u32,
    /// `net.ipv4.tcp_sack`.
    #[serde(default = "one")]
    pub tcp_sack: u8,
    /// `net.ipv4.tcp_window_scaling`.
    #[serde(default = "one")]
    pub tcp_window_scaling: u8,
    /// `net.ipv4.tcp_ecn`: 2 answers to those who ask, 0 never.
    #[serde(default = "two")]
    pub tcp_ecn: u8,
}

impl Kernel {
    /// Whether every setting is one that a personality may have; the error says which is not.
    ///
    /// # Errors
    /// Where one is out of its bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.tcp_timestamps > 2 || self.tcp_ecn > 2 {
            return Err("`kernel.tcp_timestamps` and `kernel.tcp_ecn` are 0, 1 or 2");
        }
        if self.tcp_sack > 1 || self.tcp_window_scaling > 1 {
            return Err("`kernel.tcp_sack` and `kernel.tcp_window_scaling` are 0 or 1");
        }
        if !(65_536..=1 << 26).contains(&self.tcp_rmem_max) {
            return Err("`kernel.tcp_rmem_max` is 65536 to 67108864");
        }
        Ok(())
    }
}

/// The internet layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpStyle {
    /// Time to live of what it sends.
    pub ttl: u8,
    /// How packets are numbered.
    pub id: IpId,
}

/// How packets are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpId {
    /// As the kernel does it: zero where nothing may be fragmented.
    Kernel,
    /// One counter for everything that the machine sends.
    Counter,
}

/// TCP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpStyle {
    /// The window of a SYN-ACK; the kernel's where it is missing.
    pub window: Option<u16>,
    /// The same, where the visitor asked for no window scale.
    pub window_unscaled: Option<u16>,
    /// Whether timestamps show a clock of the machine's own.
    pub clock: bool,
    /// The acknowledgement number of a RST without ACK.
    pub reset_ack: ResetAck,
    /// What an open port does with segments that are neither SYN nor of a connection.
    pub stray: Stray,
    /// How initial sequence numbers are drawn; by the kernel where it is missing.
    pub isn: Option<IsnStyle>,
    /// Orders of options that differ from Linux.
    #[serde(default)]
    pub options: Vec<Reorder>,
}

/// The acknowledgement number of a RST without ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetAck {
    /// Zero.
    Zero,
    /// Something else.
    Other,
}

/// What becomes of segments that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stray {
    /// Nothing.
    Ignore,
    /// They get a RST.
    Reset,
}

/// Initial sequence numbers: each is the last one plus the next step plus noise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsnStyle {
    /// The steps, in turn.
    pub steps: Vec<u32>,
    /// Noise of up to half of this to either side.
    pub noise: u32,
}

/// One order of options that becomes another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// As Linux has it.
    #[serde(deserialize_with = "layout")]
    pub from: Vec<u8>,
    /// As it shall be: the same options, so that the header keeps its length.
    #[serde(deserialize_with = "layout")]
    pub to: Vec<u8>,
}

/// ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IcmpStyle {
    /// The code of an echo reply.
    pub echo_code: Echoed,
    /// The type of service of an echo reply.
    pub echo_tos: Echoed,
    /// The type of service of unreachables and the like.
    pub error_tos: u8,
    /// Milliseconds between two unreachables once the burst is used up; 0 is no limit.
    pub unreachable_every_ms: u32,
    /// How many unreachables may follow each other at once.
    pub unreachable_burst: u8,
}

/// What becomes of a field in an echo reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Echoed {
    /// As it came.
    Kept,
    /// Zero.
    Zero,
}

/// Why personalities cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PersonalityError {
    /// The directory or a file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// From the system.
        #[source]
        source: io::Error,
    },
    /// More or larger files than there may be.
    #[error("`{path}` is too much: at most {MAX_FILES} files of {MAX_FILE} bytes")]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A file says something that it cannot.
    #[error("personality `{file}`: {problem}")]
    Invalid {
        /// Which.
        file: String,
        /// In words.
        problem: String,
    },
}

/// All personalities, by index.
#[derive(Clone, Debug)]
pub struct Personalities(Vec<Arc<Personality>>);

/// Which personality: an index that stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PersonalityId(pub(super) u16);

impl Personalities {
    /// Those that come with Morgana.
    ///
    /// # Panics
    /// Never: a test reads them all.
    pub fn built_in() -> Self {
        let parse = |(file, text): &(&str, &str)| {
            Arc::new(Personality::parse(file, text).expect("the files are tested"))
        };
        Self(BUILT_IN.iter().map(parse).collect())
    }

    /// Adds the `*.toml` files of a directory, in order of their names; a known name replaces.
    ///
    /// # Errors
    /// Where one cannot be read or says something that it cannot.
    pub fn extend_from(&mut self, directory: &std::path::Path) -> Result<(), PersonalityError> {
        let read = |path: &std::path::Path, source| PersonalityError::Read {
            path: path.to_owned(),
            source,
        };
        let entries = std::fs::read_dir(directory).map_err(|e| read(directory, e))?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let mut paths = paths.map_err(|e| read(directory, e))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        if paths.len() > MAX_FILES {
            return Err(PersonalityError::TooLarge { path: directory.to_owned() });
        }
        for path in paths {
            let size = std::fs::metadata(&path).map_err(|e| read(&path, e))?.len();
            if size > MAX_FILE {
                return Err(PersonalityError::TooLarge { path });
            }
            let text = std::fs::read_to_string(&path).map_err(|e| read(&path, e))?;
            self.put(Personality::parse(&path.display().to_string(), &text)?);
        }
        Ok(())
    }

    /// Adds one; a known name is replaced and keeps its index.
    pub fn put(&mut self, personality: Personality) {
        let known = self.0.iter_mut().find(|known| known.name == personality.name);
        match known {
            Some(known) => *known = Arc::new(personality),
            None => self.0.push(Arc::new(personality)),
        }
    }

    /// The personality of this name.
    pub fn named(&self, name: &str) -> Option<PersonalityId> {
        self.find(|personality| personality.name == name)
    }

    /// One for the archetype: the same for the same `draw`. Any at all where none fits.
    pub fn for_archetype(&self, archetype: Archetype, draw: u64) -> PersonalityId {
        let fits = |(_, p): &(usize, &Arc<Personality>)| p.archetypes.contains(&archetype);
        let fitting = self.0.iter().enumerate().filter(fits);
        let count = fitting.clone().count().max(1) as u64;
        let chosen = fitting.map(|(index, _)| index).nth((draw % count) as usize);
        PersonalityId(chosen.unwrap_or(0) as u16)
    }

    /// The personality itself.
    pub fn get(&self, id: PersonalityId) -> &Personality {
        let index = usize::from(id.0).min(self.0.len() - 1);
        &self.0[index]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (PersonalityId, &Personality)> {
        self.0.iter().enumerate().map(|(index, p)| (PersonalityId(index as u16), &**p))
    }

    fn find(&self, wanted: impl Fn(&Personality) -> bool) -> Option<PersonalityId> {
        self.iter().find(|(_, personality)| wanted(personality)).map(|(id, _)| id)
    }
}

impl Personality {
    /// From the text of a file.
    ///
    /// # Errors
    /// Where it is no personality; the problem names the key.
    pub fn parse(file: &str, text: &str) -> Result<Self, PersonalityError> {
        let invalid =
            |problem: String| PersonalityError::Invalid { file: file.to_owned(), problem };
        let personality: Self = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        personality.check().map_err(|problem| invalid(problem.into()))?;
        Ok(personality)
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(is_word) {
            return Err("`name` is one to 64 lower-case letters, digits, `.` or `-`");
        }
        if self.vendors.is_empty() || self.vendors.iter().any(|vendor| vendor[0] & 1 == 1) {
            return Err("`vendors` needs one prefix or more, none of a group address");
        }
        if self.ip.ttl < 32 {
            return Err("`ip.ttl` is at least 32");
        }
        self.kernel.check()?;
        if self.tcp.isn.as_ref().is_some_and(|isn| isn.steps.is_empty() || isn.steps.len() > 16) {
            return Err("`tcp.isn.steps` has 1 to 16 steps");
        }
        let sorted = |layout: &[u8]| {
            let mut kinds = layout.to_vec();
            kinds.sort_unstable();
            kinds
        };
        if self.tcp.options.iter().any(|order| sorted(&order.from) != sorted(&order.to)) {
            return Err("`tcp.options`: `from` and `to` hold the same options");
        }
        Ok(())
    }

    /// A hardware address of a fitting vendor: the same for the same `draw`.
    pub fn mac(&self, draw: u64) -> Mac {
        let bytes = draw.to_le_bytes();
        let vendor = self.vendors[usize::from(bytes[7]) % self.vendors.len()];
        Mac([vendor[0], vendor[1], vendor[2], bytes[0], bytes[1], bytes[2]])
    }
}

impl fmt::Display for Personality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

const fn one() -> u8 {
    1
}

const fn two() -> u8 {
    2
}

/// TCP options by the words that files use; lengths as Linux writes them.
const OPTIONS: &[(&str, u8)] =
    &[("end", 0), ("nop", 1), ("mss", 2), ("scale", 3), ("sack", 4), ("time", 8)];
/// Most options of a header: each takes a byte at least.
const MAX_OPTIONS: usize = 40;

fn layout<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    use serde::de::Error;
    let text = String::deserialize(from)?;
    let kind = |word: &str| {
        let known = OPTIONS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
        known.ok_or_else(|| D::Error::custom(format!("`{word}` is not a known TCP option")))
    };
    let kinds = text.split_whitespace().map(kind).collect::<Result<Vec<_>, _>>()?;
    match kinds.len() {
        0..=MAX_OPTIONS => Ok(kinds),
        _ => Err(D::Error::custom("more options than a header holds")),
    }
}

fn archetypes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Archetype>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    words.iter().map(|word| word.parse().map_err(serde::de::Error::custom)).collect()
}

fn vendors<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<[u8; 3]>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    let parse = |word: &String| {
        let bytes = word.split(':').map(|part| u8::from_str_radix(part, 16).ok());
        let bytes = bytes.collect::<Option<Vec<u8>>>();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
            serde::de::Error::custom(format!("`{word}` is not three bytes such as 00:15:5d"))
        })
    };
    words.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl Fn(&str) -> String) -> String {
        Personality::parse("test", &change(BUILT_IN[2].1)).unwrap_err().to_string()
    }

    #[test]
    fn the_built_in_ones_are_sound_and_named_as_their_files() {
        for (file, text) in BUILT_IN {
            let personality = Personality::parse(file, text).unwrap();
            assert_eq!(format!("{}.toml", personality.name), *file);
        }
        let all = Personalities::built_in();
        for archetype in Archetype::ALL {
            let chosen = all.for_archetype(*archetype, 7);
            assert!(all.get(chosen).archetypes.contains(archetype), "{archetype}");
        }
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        let ttl = problem(|text| text.replace("ttl = 128", "ttl = 3"));
        assert_eq!(ttl, "personality `test`: `ip.ttl` is at least 32");
        assert!(problem(|text| format!("{text}\nspeed = 3")).contains("unknown field `speed`"));
        assert!(problem(|text| text.replace("nop scale\"", "nop\"")).contains("the same options"));
        assert!(problem(|text| text.replace("00:15:5d", "00:15")).contains("three bytes"));
        assert!(problem(|text| text.replace("00:15:5d", "01:15:5d")).contains("group address"));
    }

    #[test]
    fn an_operators_files_add_and_replace() {
        let directory = tempfile::tempdir().unwrap();
        let own = BUILT_IN[2].1.replace("windows-10\"", "ours\"");
        std::fs::write(directory.path().join("ours.toml"), own).unwrap();
        let other = BUILT_IN[0].1.replace("ttl = 64", "ttl = 99");
        std::fs::write(directory.path().join("debian.toml"), other).unwrap();
        let mut all = Personalities::built_in();
        let before = all.named("debian-12").unwrap();
        all.extend_from(directory.path()).unwrap();
        assert_eq!(all.named("debian-12"), Some(before));
        assert_eq!(all.get(before).ip.ttl, 99);
        assert_eq!(all.get(all.named("ours").unwrap()).ip.ttl, 128);
    }

    #[test]
    fn hardware_addresses_fit_the_vendor() {
        let all = Personalities::built_in();
        for (_, personality) in all.iter() {
            for draw in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
                let Mac([a, b, c, ..]) = personality.mac(draw);
                assert!(personality.vendors.contains(&[a, b, c]));
            }
        }
    }
}

//! Personas: what a decky pretends to be, derived from one installation secret and its id, so
//! that it is unlike any other and the same after every restart.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Archetype, DeckyId, Name, Timestamp, TypedId};

/// The secret of an installation, made once at its first start and kept in its database.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationSecret([u8; 32]);

impl InstallationSecret {
    /// Wraps 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one table that keeps them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 (RFC 2104) of `parts` under this secret: seeds and keyed hashes. Each part is
    /// preceded by its length, so that no two lists of parts share an input.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationSecret(…)")
    }
}

/// The operating system release that a persona claims; every banner follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OsRelease {
    /// Debian 12 with the package revisions of one real archive state.
    Debian12,
}

/// An account on a decky.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonaAccount {
    /// Login name.
    pub user: String,
    /// The password that gets in: weak on purpose, the same on every try.
    pub password: String,
    /// Numeric user id.
    pub uid: u32,
}

/// What a decky pretends to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Persona {
    /// The decky.
    pub decky: DeckyId,
    /// Its host name, the decky's name.
    pub host_name: String,
    /// Its DNS domain.
    pub domain: String,
    /// What kind of machine it is.
    pub archetype: Archetype,
    /// Its operating system.
    pub os: OsRelease,
    /// When it last booted: some days before it was added to the maze.
    pub booted_at: Timestamp,
    /// When its operating system was installed, before that.
    pub installed_at: Timestamp,
    /// Who can log in: root, a person and a service account.
    pub accounts: Vec<PersonaAccount>,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Kernel release, as `uname -r` prints it.
    pub kernel_release: &'static str,
    /// Kernel version, as `uname -v` prints it.
    pub kernel_version: &'static str,
    root: [u8; 32],
}

const DOMAINS: &[&str] = &["corp.lan", "office.lan", "intra.lan", "hq.local", "prod.internal"];
const PEOPLE: &[&str] = &[
    "alice", "anna", "ben", "carlos", "daniel", "elena", "frank", "jan", "julia", "karim", "lukas",
    "maria", "mehmet", "nina", "oliver", "paul", "sara", "simon", "thomas", "vera",
];
const DAEMONS: &[&str] = &["deploy", "backup", "ansible", "svc-app", "jenkins", "gitlab-runner"];
const WEAK: &[&str] = &[
    "123456",
    "password",
    "admin",
    "root",
    "toor",
    "changeme",
    "welcome1",
    "qwerty",
    "letmein",
    "P@ssw0rd",
    "12345678",
    "summer2024",
    "admin123",
    "1q2w3e4r",
    "server",
];
const MEMORY_MIB: &[u32] = &[1977, 3929, 7941, 15990];
const KERNELS: &[(&str, &str)] = &[
    ("6.1.0-18-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)"),
    ("6.1.0-21-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.90-1 (2024-05-03)"),
    ("6.1.0-25-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)"),
    ("6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)"),
];
const DAY: Duration = Duration::from_secs(86_400);

impl Persona {
    /// The persona of a decky. Depends on nothing but its arguments; the id carries the moment of
    /// creation, from which the uptime counts.
    pub fn derive(
        secret: &InstallationSecret,
        decky: DeckyId,
        name: &Name,
        archetype: Archetype,
    ) -> Self {
        let root = root(secret, decky);
        let draw = |label: &str, below: u64| draw_below(&root, label, below);
        let pick =
            |label: &str, list: &[&'static str]| list[draw(label, list.len() as u64) as usize];
        let booted_at = boot(&root, decky);
        let installed_at = booted_at.minus(DAY * (20 + draw("age.days", 500) as u32));
        let kernel = KERNELS[draw("kernel", KERNELS.len() as u64) as usize];
        let account = |label: &str, user: &str, uid| PersonaAccount {
            user: user.into(),
            password: pick(label, WEAK).into(),
            uid,
        };
        Self {
            decky,
            host_name: name.to_string(),
            domain: pick("domain", DOMAINS).into(),
            archetype,
            os: OsRelease::Debian12,
            booted_at,
            installed_at,
            accounts: vec![
                account("password.root", "root", 0),
                account("password.person", pick("person", PEOPLE), 1000),
                account("password.daemon", pick("daemon", DAEMONS), 1001),
            ],
            cpus: 1 << draw("cpus", 4),
            memory_mib: MEMORY_MIB[draw("memory", MEMORY_MIB.len() as u64) as usize],
            kernel_release: kernel.0,
            kernel_version: kernel.1,
            root,
        }
    }

    /// When the decky's persona last booted, without the rest of it.
    pub fn booted_at(secret: &InstallationSecret, decky: DeckyId) -> Timestamp {
        boot(&root(secret, decky), decky)
    }

    /// 32 bytes for one purpose, such as `ssh.ed25519`: equal on every call, unlike those of any
    /// other purpose or decky.
    pub fn seed(&self, purpose: &str) -> [u8; 32] {
        InstallationSecret(self.root).mac(&[b"seed", purpose.as_bytes()])
    }

    /// A number below `below`, fixed for this decky and purpose.
    ///
    /// # Panics
    /// Where `below` is 0.
    pub fn draw(&self, purpose: &str, below: u64) -> u64 {
        draw_below(&self.root, purpose, below)
    }

    /// The account that these words log in to. The same words always give the same answer.
    pub fn login(&self, user: &str, password: &str) -> Option<&PersonaAccount> {
        self.accounts.iter().find(|a| a.user == user && a.password == password)
    }

    /// How long it has been up at `now`.
    pub fn uptime(&self, now: Timestamp) -> Duration {
        now.since(self.booted_at)
    }
}

fn root(secret: &InstallationSecret, decky: DeckyId) -> [u8; 32] {
    secret.mac(&[b"persona", decky.uuid().as_bytes()])
}

fn boot(root: &[u8; 32], decky: DeckyId) -> Timestamp {
    let days = draw_below(root, "uptime.days", 180) as u32;
    let micros = draw_below(root, "uptime.micros", 86_400_000_000);
    decky.created_at().minus(DAY * (2 + days)).minus(Duration::from_micros(micros))
}

fn draw_below(root: &[u8; 32], purpose: &str, below: u64) -> u64 {
    let bytes = InstallationSecret(*root).mac(&[b"draw", purpose.as_bytes()]);
    let word = u64::from_be_bytes(bytes[..8].try_into().expect("32 bytes hold 8"));
    word % below
}

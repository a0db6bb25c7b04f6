//! The machine behind the shell: every figure that two commands or files could contradict each
//! other about, worked out in one place from the persona.

use std::{net::IpAddr, sync::Arc, time::Duration};

use model::{Persona, PersonaAccount, Timestamp};
use sha2::{Digest, Sha256};

use super::calendar::Date;

/// A processor that cloud and rack servers have.
pub(crate) struct Cpu {
    pub(crate) name: &'static str,
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) stepping: u32,
    pub(crate) mhz: &'static str,
    pub(crate) cache_kib: u32,
    pub(crate) microcode: &'static str,
}

const CPUS: &[Cpu] = &[
    Cpu {
        name: "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
        family: 6,
        model: 79,
        stepping: 1,
        mhz: "2399.996",
        cache_kib: 35_840,
        microcode: "0xb000040",
    },
    Cpu {
        name: "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
        family: 6,
        model: 85,
        stepping: 4,
        mhz: "2095.078",
        cache_kib: 22_528,
        microcode: "0x2007006",
    },
    Cpu {
        name: "Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz",
        family: 6,
        model: 85,
        stepping: 7,
        mhz: "2194.843",
        cache_kib: 14_080,
        microcode: "0x5003604",
    },
];

/// Processor flags, common to the processors above.
pub(crate) const CPU_FLAGS: &str = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov \
pat pse36 clflush mmx fxsr sse sse2 ss ht syscall nx pdpe1gb rdtscp lm constant_tsc arch_perfmon \
rep_good nopl xtopology cpuid tsc_known_freq pni pclmulqdq vmx ssse3 fma cx16 pcid sse4_1 sse4_2 \
x2apic movbe popcnt tsc_deadline_timer aes xsave avx f16c rdrand hypervisor lahf_lm abm \
3dnowprefetch cpuid_fault invpcid_single pti ssbd ibrs ibpb tpr_shadow vnmi flexpriority ept vpid \
ept_ad fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap xsaveopt arat umip \
md_clear arch_capabilities";

/// Memory as `free` splits it, in KiB.
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) free: u64,
    pub(crate) shared: u64,
    pub(crate) cached: u64,
    pub(crate) buffers: u64,
    pub(crate) available: u64,
    pub(crate) swap: u64,
}

/// What went through a network interface.
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) packets_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) packets_out: u64,
}

/// The root file system, in KiB.
pub(crate) struct Disk {
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) available: u64,
}

/// One decky as its commands and files describe it.
pub(crate) struct Machine {
    pub(crate) persona: Arc<Persona>,
    pub(crate) address: IpAddr,
    pub(crate) peer: IpAddr,
    pub(crate) login_at: Timestamp,
    pub(crate) login_user: String,
    salt: u64,
}

impl Machine {
    pub(crate) fn new(
        persona: Arc<Persona>,
        address: IpAddr,
        peer: IpAddr,
        login_user: String,
        login_at: Timestamp,
    ) -> Self {
        let seed = persona.seed("shell");
        let salt = u64::from_le_bytes(seed[..8].try_into().expect("32 bytes hold 8"));
        Self { persona, address, peer, login_at, login_user, salt }
    }

    /// A number that belongs to this machine and `label`: cheap, for things like inode numbers.
    pub(crate) fn draw(&self, label: &str) -> u64 {
        let hash = label.bytes().fold(self.salt ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    }

    /// A UUID-shaped text for one purpose.
    pub(crate) fn uuid(&self, label: &str) -> String {
        let hex = self.hex(label);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
        format!("{a}-{b}-4{c}-a{d}-{e}")
    }

    /// 64 hexadecimal digits for one purpose.
    pub(crate) fn hex(&self, label: &str) -> String {
        let digest = Sha256::new().chain_update(self.salt.to_le_bytes()).chain_update(label);
        hex(&digest.finalize())
    }

    pub(crate) fn cpu(&self) -> &'static Cpu {
        &CPUS[(self.draw("cpu") % CPUS.len() as u64) as usize]
    }

    /// Twice the clock, as the kernel calibrates it.
    pub(crate) fn bogomips(&self) -> String {
        let mhz: f64 = self.cpu().mhz.parse().unwrap_or(2400.0);
        format!("{:.2}", mhz * 2.0)
    }

    /// Seconds since boot.
    pub(crate) fn uptime(&self, now: Timestamp) -> Duration {
        self.persona.uptime(now)
    }

    pub(crate) fn memory(&self, now: Timestamp) -> Memory {
        let pages = |kib: u64| kib & !3;
        let total = u64::from(self.persona.memory_mib) * 1024;
        let total = pages(total - total / 50 - self.draw("memory.odd") % 9000);
        let tick = (now.as_micros() / 3_000_000) as u64;
        let wobble = (tick.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 6000;
        let used = pages(total / 100 * (11 + self.draw("memory.used") % 18) + wobble);
        let buffers = pages(24_000 + self.draw("memory.buffers") % 60_000);
        let cached = pages(total / 100 * (25 + self.draw("memory.cached") % 25));
        let free = total - used - buffers - cached;
        Memory {
            total,
            used,
            free,
            shared: pages(620 + self.draw("memory.shared") % 5000),
            cached,
            buffers,
            available: total - used,
            swap: 999_420,
        }
    }

    pub(crate) fn disk(&self) -> Disk {
        const SIZES: &[u64] = &[19_946_096, 30_268_912, 50_610_032, 102_687_672];
        let total = SIZES[(self.draw("disk.size") % SIZES.len() as u64) as usize];
        let used = 1_900_000 + self.draw("disk.used") % (total / 3);
        Disk { total, used, available: total - used - total / 20 }
    }

    /// One, five and fifteen minutes; they move slowly.
    pub(crate) fn load(&self, now: Timestamp) -> [String; 3] {
        let figure = |minutes: i64, most: u64| {
            let tick = now.as_micros() / (minutes * 60_000_000);
            let draw = self.draw(&format!("load.{minutes}.{tick}")) % most;
            format!("0.{draw:02}")
        };
        [figure(1, 19), figure(5, 11), figure(15, 6)]
    }

    /// The interface that is not the loopback.
    pub(crate) fn interface(&self) -> &'static str {
        ["ens18", "ens192", "enp1s0", "eth0"][(self.draw("interface") % 4) as usize]
    }

    /// A hardware address with a vendor that fits a virtual machine of that interface name.
    pub(crate) fn mac(&self) -> String {
        let vendor = match self.interface() {
            "ens192" => "00:50:56",
            "ens18" => "bc:24:11",
            _ => "52:54:00",
        };
        let hex = self.hex("mac");
        format!("{vendor}:{}:{}:{}", &hex[..2], &hex[2..4], &hex[4..6])
    }

    /// What went through the interface since boot.
    pub(crate) fn traffic(&self, now: Timestamp) -> Traffic {
        let up = self.uptime(now).as_secs();
        let (bytes_in, packets_in) = (up * 413, up / 2);
        Traffic { bytes_in, packets_in, bytes_out: bytes_in / 3, packets_out: packets_in / 2 }
    }

    /// Bytes and packets that went through the loopback interface.
    pub(crate) fn loopback_traffic(&self) -> (u32, u32) {
        (84_316, 912)
    }

    /// What the boot loader told the kernel.
    pub(crate) fn boot_parameters(&self) -> String {
        let release = self.persona.kernel_release;
        format!("BOOT_IMAGE=/boot/vmlinuz-{release} root=UUID={} ro quiet", self.uuid("root"))
    }

    /// Of that address: the first host of its network.
    pub(crate) fn gateway(&self) -> String {
        match self.address {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.1")
            }
            IpAddr::V6(_) => "fe80::1".into(),
        }
    }

    /// The process id of the visitor's shell.
    pub(crate) fn shell_pid(&self) -> u32 {
        let spread = self.login_at.as_micros() as u64 / 1_000_000;
        1_400 + ((spread ^ self.draw("shell.pid")) % 28_000) as u32
    }

    /// The port from which the visitor came, as far as logs and the environment say.
    pub(crate) fn peer_port(&self) -> u16 {
        32_768 + ((self.login_at.as_micros() as u64 ^ self.draw("peer.port")) % 28_000) as u16
    }

    /// The full name.
    pub(crate) fn fqdn(&self) -> String {
        format!("{}.{}", self.persona.host_name, self.persona.domain)
    }

    /// The account with this name.
    pub(crate) fn account(&self, user: &str) -> Option<&PersonaAccount> {
        self.persona.accounts.iter().find(|account| account.user == user)
    }

    /// The person whose home directory shows that somebody works here.
    pub(crate) fn person(&self) -> &str {
        self.persona.accounts.get(1).map_or("user", |account| &account.user)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// How `uptime` says how long: `12 days,  3:04`.
pub(crate) fn uptime_text(up: Duration) -> String {
    let minutes = up.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let rest = if hours > 0 { format!("{hours:2}:{minutes:02}") } else { format!("{minutes} min") };
    match days {
        0 => rest,
        1 => format!("1 day, {rest}"),
        _ => format!("{days} days, {rest}"),
    }
}

/// When a process started, as `ps` says it.
pub(crate) fn started_text(at: Timestamp, now: Timestamp) -> String {
    let date = Date::of(at);
    let day = Duration::from_secs(86_400);
    if now.since(at) < day {
        date.format("%H:%M")
    } else if date.year == Date::of(now).year {
        date.format("%b%d")
    } else {
        date.year.to_string()
    }
}

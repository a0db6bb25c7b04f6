//! Commands that describe the machine.

use super::{
    super::{
        Shell,
        calendar::Date,
        fs,
        machine::{CPU_FLAGS, uptime_text},
        run::Io,
        text,
    },
    Options, Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "uname" | "arch" => uname,
        "hostname" => hostname,
        "uptime" => uptime,
        "free" => free,
        "nproc" => nproc,
        "lscpu" => lscpu,
        "df" => df,
        "mount" => mount,
        "date" => date,
        "dmesg" => dmesg,
        "lsblk" => lsblk,
        "hostnamectl" => hostnamectl,
        "reboot" | "shutdown" | "poweroff" | "halt" | "init" => shutdown,
        "lspci" | "lsmod" | "clear" | "reset" | "stty" | "tput" => super::unremarkable,
        _ => return None,
    })
}

fn uname(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let persona = shell.machine.persona.clone();
    if args[0].ends_with("arch") {
        shell.say(io, "x86_64\n");
        return 0;
    }
    if let Some(flag) = options.unknown("asnrvmpio") {
        return shell.usage(args, flag, io);
    }
    let all = options.has('a') || options.long("all");
    let none = !all && args.len() < 2;
    let fields = [
        ('s', "Linux"),
        ('n', persona.host_name.as_str()),
        ('r', persona.kernel_release),
        ('v', persona.kernel_version),
        ('m', "x86_64"),
        ('o', "GNU/Linux"),
    ];
    let mut words: Vec<&str> = Vec::new();
    for (flag, word) in fields {
        if all || options.has(flag) || none && flag == 's' {
            words.push(word);
        }
        if flag == 'm' && !all && (options.has('p') || options.has('i')) {
            words.push("unknown");
        }
    }
    shell.say(io, format!("{}\n", words.join(" ")));
    0
}

fn hostname(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let machine = shell.machine.clone();
    let text = match args.get(1).map(String::as_str) {
        None | Some("-s") => machine.persona.host_name.clone(),
        Some("-f" | "--fqdn") => machine.fqdn(),
        Some("-d") => machine.persona.domain.clone(),
        Some("-i") => "127.0.1.1".into(),
        Some("-I") => format!("{} ", machine.address),
        Some(_) => {
            shell.warn(io, "hostname: you must be root to change the host name");
            return 1;
        }
    };
    shell.say(io, format!("{text}\n"));
    0
}

impl Shell {
    /// The first line of `uptime`, `w` and `top`.
    pub(super) fn uptime_line(&self) -> String {
        let [one, five, fifteen] = self.machine.load(self.now);
        let users = if self.tty { "1 user" } else { "0 user" };
        format!(
            "{} up {},  {users},  load average: {one}, {five}, {fifteen}",
            Date::of(self.now).format("%H:%M:%S"),
            uptime_text(self.machine.uptime(self.now)),
        )
    }
}

fn uptime(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let since = Date::of(shell.machine.persona.booted_at).format("%F %T");
    let text = match args.get(1).map(String::as_str) {
        Some("-s") => since,
        Some("-p") => {
            let minutes = shell.machine.uptime(shell.now).as_secs() / 60;
            let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
            let (weeks, days) = (days / 7, days % 7);
            let part = |n: u64, unit: &str| match n {
                0 => None,
                1 => Some(format!("1 {unit}")),
                n => Some(format!("{n} {unit}s")),
            };
            let parts = [
                part(weeks, "week"),
                part(days, "day"),
                part(hours, "hour"),
                part(minutes, "minute"),
            ];
            format!("up {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
        _ => format!(" {}", shell.uptime_line()),
    };
    shell.say(io, format!("{text}\n"));
    0
}

fn free(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "sc");
    let memory = shell.machine.memory(shell.now);
    let show = |kib: u64| {
        if options.has('h') {
            let text = text::human(kib);
            if kib == 0 { "0B".into() } else { format!("{text}i") }
        } else if options.has('m') {
            (kib / 1024).to_string()
        } else if options.has('g') {
            (kib / 1_048_576).to_string()
        } else if options.has('b') {
            (kib * 1024).to_string()
        } else {
            kib.to_string()
        }
    };
    let row = |name: &str, cells: &[u64]| {
        let cells: Vec<String> = cells.iter().map(|kib| format!("{:>11}", show(*kib))).collect();
        format!("{name:<8}{}\n", cells.join(" "))
    };
    let head = "               total        used        free      shared  buff/cache   available\n";
    let mem = [
        memory.total,
        memory.used,
        memory.free,
        memory.shared,
        memory.buffers + memory.cached,
        memory.available,
    ];
    let text = format!("{head}{} {}", row("Mem:", &mem), "");
    let swap = row("Swap:", &[memory.swap, 0, memory.swap]);
    shell.say(io, format!("{}{swap}", text.trim_end_matches(' ')));
    0
}

fn nproc(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    shell.say(io, format!("{}\n", shell.machine.persona.cpus));
    0
}

fn lscpu(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let (cpu, cpus) = (shell.machine.cpu(), shell.machine.persona.cpus);
    let list = if cpus == 1 { "0".into() } else { format!("0-{}", cpus - 1) };
    let instances = |n: u32| if n == 1 { "1 instance".into() } else { format!("{n} instances") };
    let l3 = f64::from(cpu.cache_kib) / 1024.0;
    let rows: Vec<(&str, String)> = vec![
        ("Architecture:", "x86_64".into()),
        ("CPU op-mode(s):", "32-bit, 64-bit".into()),
        ("Address sizes:", "46 bits physical, 48 bits virtual".into()),
        ("Byte Order:", "Little Endian".into()),
        ("CPU(s):", cpus.to_string()),
        ("On-line CPU(s) list:", list.clone()),
        ("Vendor ID:", "GenuineIntel".into()),
        ("Model name:", cpu.name.into()),
        ("CPU family:", cpu.family.to_string()),
        ("Model:", cpu.model.to_string()),
        ("Thread(s) per core:", "1".into()),
        ("Core(s) per socket:", cpus.to_string()),
        ("Socket(s):", "1".into()),
        ("Stepping:", cpu.stepping.to_string()),
        ("BogoMIPS:", shell.machine.bogomips()),
        ("Flags:", CPU_FLAGS.into()),
        ("Virtualization:", "VT-x".into()),
        ("Hypervisor vendor:", "KVM".into()),
        ("Virtualization type:", "full".into()),
        ("L1d cache:", format!("{} KiB ({})", 32 * cpus, instances(cpus))),
        ("L1i cache:", format!("{} KiB ({})", 32 * cpus, instances(cpus))),
        ("L3 cache:", format!("{l3:.1} MiB (1 instance)").replace(".0 ", " ")),
        ("NUMA node(s):", "1".into()),
        ("NUMA node0 CPU(s):", list.replace("0-1", "0,1")),
    ];
    let text: String = rows.iter().map(|(name, value)| format!("{name:<41}{value}\n")).collect();
    shell.say(io, text);
    0
}

fn df(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let (disk, total) = (shell.machine.disk(), shell.machine.memory(shell.now).total);
    let rows = [
        ("udev", total / 2 - 20_000, 0, total / 2 - 20_000, "/dev"),
        ("tmpfs", total / 10, 600, total / 10 - 600, "/run"),
        ("/dev/sda1", disk.total, disk.used, disk.available, "/"),
        ("tmpfs", total / 2, 0, total / 2, "/dev/shm"),
        ("tmpfs", 5120, 0, 5120, "/run/lock"),
        ("tmpfs", total / 10, 0, total / 10, "/run/user/0"),
    ];
    let human = options.has('h');
    let mut text = if human {
        "Filesystem      Size  Used Avail Use% Mounted on\n".to_owned()
    } else {
        "Filesystem     1K-blocks    Used Available Use% Mounted on\n".to_owned()
    };
    for (name, size, used, available, on) in rows {
        let all = options.operands.is_empty() || on == "/";
        if !all {
            continue;
        }
        let percent = (used * 100).div_ceil(used + available);
        text.push_str(&if human {
            format!(
                "{name:<14} {:>5} {:>5} {:>5} {percent:>3}% {on}\n",
                text::human(size),
                text::human(used),
                text::human(available)
            )
        } else {
            format!("{name:<14} {size:>9} {used:>7} {available:>9} {percent:>3}% {on}\n")
        });
    }
    shell.say(io, text);
    0
}

fn mount(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    if args.len() > 1 {
        if shell.frame.who.uid != 0 {
            shell.warn(io, "mount: only root can do that");
            return 1;
        }
        let target = args[args.len() - 1].clone();
        shell.warn(
            io,
            format!(
                "mount: {target}: permission denied.\n       dmesg(1) may have \
            more information after failed mount system call."
            ),
        );
        return 32;
    }
    let text: String = fs::mounts(&shell.machine, shell.now)
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{} on {} type {} ({})\n", words[0], words[1], words[2], words[3])
        })
        .collect();
    shell.say(io, text);
    0
}

fn date(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let date = Date::of(shell.now);
    let text = match args.iter().skip(1).find(|arg| arg.starts_with('+')) {
        Some(format) => date.format(&format[1..]),
        None => match args.get(1).map(String::as_str) {
            Some("-R") => date.format("%a, %d %b %Y %H:%M:%S +0000"),
            Some("-I") => date.format("%F"),
            Some("-s") => {
                shell.warn(io, "date: cannot set date: Operation not permitted");
                date.unix()
            }
            _ => date.unix(),
        },
    };
    shell.say(io, format!("{text}\n"));
    0
}

fn dmesg(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    if shell.frame.who.uid != 0 {
        shell.warn(io, "dmesg: read kernel buffer failed: Operation not permitted");
        return 1;
    }
    let persona = shell.machine.persona.clone();
    let text = format!(
        "[    0.000000] Linux version {} (debian-kernel@lists.debian.org) (gcc-12 (Debian \
         12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) {}\n\
         [    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz-{} root=UUID={} ro quiet\n\
         [    0.000000] BIOS-provided physical RAM map:\n\
         [    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n",
        persona.kernel_release,
        persona.kernel_version,
        persona.kernel_release,
        shell.machine.uuid("root")
    );
    shell.say(io, text);
    0
}

fn lsblk(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let root = shell.machine.disk().total + 400_000;
    let all = root + 1_001_472;
    shell.say(
        io,
        format!(
            "NAME   MAJ:MIN RM  SIZE RO TYPE MOUNTPOINTS\n\
        sda      8:0    0 {:>5} {}\n├─sda1   8:1    0 {:>5} {}\n├─sda2   8:2    0    1K {}\n\
        └─sda5   8:5    0  976M \
        {}\n",
            text::human(all),
            " 0 disk ",
            text::human(root),
            " 0 part /",
            " 0 part ",
            " 0 part [SWAP]"
        ),
    );
    0
}

fn hostnamectl(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let machine = shell.machine.clone();
    shell.say(
        io,
        format!(
            " Static hostname: {}\n       Icon name: computer-vm\n         \
        Chassis: vm 🖴\n      Machine ID: {}\n         Boot ID: {}\n  Virtualization: kvm\n\
        Operating System: Debian GNU/Linux 12 (bookworm)\n          Kernel: Linux {}\n    \
        Architecture: \
        x86-64\n",
            machine.persona.host_name,
            &machine.hex("machine-id")[..32],
            &machine.hex("boot-id")[..32],
            machine.persona.kernel_release
        ),
    );
    0
}

fn shutdown(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let name = fs::base_name(&args[0]).to_owned();
    if shell.frame.who.uid != 0 {
        shell.warn(
            io,
            format!(
                "Call to {} failed: Interactive authentication required.",
                if name == "reboot" { "Reboot" } else { "PowerOff" }
            ),
        );
        return 1;
    }
    shell.warn(
        io,
        "Failed to set wall message, ignoring: Connection timed out\n\
        Call to Reboot failed: Connection timed out",
    );
    1
}

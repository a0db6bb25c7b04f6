//! Commands that describe the machine.

use super::{
    super::{
        Shell,
        calendar::Date,
        fs,
        machine::{CPU_FLAGS, started_text, uptime_text},
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
        "ps" => ps,
        "top" => top,
        "date" => date,
        "dmesg" => dmesg,
        "systemctl" => systemctl,
        "service" => service,
        "lsblk" => lsblk,
        "hostnamectl" => hostnamectl,
        "apt" | "apt-get" => apt,
        "dpkg" => dpkg,
        "reboot" | "shutdown" | "poweroff" | "halt" | "init" => shutdown,
        "lspci" | "lsmod" | "clear" | "reset" | "stty" | "tput" => super::unremarkable,
        "pgrep" | "pidof" => pgrep,
        "pkill" | "killall" => killall,
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
        shell.warn(io, format!("mount: {target}: permission denied.\n       dmesg(1) may have more information after failed mount system call."));
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

fn ps(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let flags: String = args[1..].concat();
    let (machine, user, now) = (shell.machine.clone(), shell.frame.user.clone(), shell.now);
    let pid = machine.shell_pid();
    let list = machine.processes(shell.tty, pid, &user);
    let own = format!("ps {}", args[1..].join(" ")).trim_end().to_owned();
    let tty = if shell.tty { "pts/0" } else { "?" };
    let total = machine.memory(now).total;
    let mut text = String::new();
    if flags.contains('u') && flags.contains(['a', 'x']) {
        text.push_str(
            "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n",
        );
        for p in &list {
            let memory = f64::from(p.rss) * 100.0 / total as f64;
            text.push_str(&format!(
                "{:<8} {:>7}  0.0 {memory:>4.1} {:>6} {:>5} {:<8} {:<4} {:>5}   0:00 {}\n",
                p.user,
                p.pid,
                p.vsz,
                p.rss,
                p.tty,
                p.state,
                started_text(p.started, now),
                p.command
            ));
        }
        text.push_str(&format!(
            "{user:<8} {:>7}  0.0  0.1  11084  4312 {tty:<8} R+   {}   0:00 {own}\n",
            pid + 8,
            Date::of(now).format("%H:%M")
        ));
    } else if flags.contains('e') || flags.contains('A') {
        let full = flags.contains('f');
        text.push_str(if full {
            "UID          PID    PPID  C STIME TTY          TIME CMD\n"
        } else {
            "    PID TTY          TIME CMD\n"
        });
        for p in &list {
            text.push_str(&if full {
                let parent = if p.pid < 3 {
                    0
                } else if p.command.starts_with('[') {
                    2
                } else {
                    1
                };
                format!(
                    "{:<8} {:>7} {parent:>7}  0 {} {:<8} 00:00:00 {}\n",
                    p.user,
                    p.pid,
                    started_text(p.started, now),
                    p.tty,
                    p.command
                )
            } else {
                let name =
                    p.command.trim_matches(['[', ']']).split([' ', ':']).next().unwrap_or_default();
                format!(
                    "{:>7} {:<8} 00:00:00 {}\n",
                    p.pid,
                    p.tty,
                    fs::base_name(name).trim_start_matches('-')
                )
            });
        }
    } else {
        text.push_str("    PID TTY          TIME CMD\n");
        text.push_str(&format!(
            "{pid:>7} {tty:<8} 00:00:00 bash\n{:>7} {tty:<8} 00:00:00 ps\n",
            pid + 8
        ));
    }
    shell.say(io, text);
    0
}

fn top(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let memory = shell.machine.memory(shell.now);
    let user = shell.frame.user.clone();
    let list = shell.machine.processes(shell.tty, shell.machine.shell_pid(), &user);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let mut text = format!(
        "top - {}\nTasks: {:>3} total,   1 running, {:>3} sleeping,   0 stopped,   0 zombie\n%Cpu(s):  0.0 us,  0.3 sy,  0.0 ni, 99.7 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \nMiB Mem : {:>8.1} total, {:>8.1} free, {:>8.1} used, {:>8.1} buff/cache     \nMiB Swap: {:>8.1} total, {:>8.1} free,      0.0 used. {:>8.1} avail Mem \n\n    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n",
        shell.uptime_line(),
        list.len(),
        list.len() - 1,
        mib(memory.total),
        mib(memory.free),
        mib(memory.used),
        mib(memory.buffers + memory.cached),
        mib(memory.swap),
        mib(memory.swap),
        mib(memory.available),
    );
    for p in list.iter().take(17) {
        let name: String =
            fs::base_name(p.command.trim_matches(['[', ']']).split(' ').next().unwrap_or_default())
                .chars()
                .take(15)
                .collect();
        let share = p.rss / 2;
        text.push_str(&format!(
            "{:>7} {:<8}  20   0 {:>7} {:>6} {share:>6} {}   0.0 {:>5.1}   0:00.00 {name}\n",
            p.pid,
            p.user,
            p.vsz,
            p.rss,
            &p.state[..1],
            f64::from(p.rss) * 100.0 / memory.total as f64
        ));
    }
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
        "[    0.000000] Linux version {} (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) {}\n[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz-{} root=UUID={} ro quiet\n[    0.000000] BIOS-provided physical RAM map:\n[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n",
        persona.kernel_release,
        persona.kernel_version,
        persona.kernel_release,
        shell.machine.uuid("root")
    );
    shell.say(io, text);
    0
}

/// The units that `systemctl` knows here, with what they say of themselves.
fn unit(shell: &Shell, name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.trim_end_matches(".service");
    let known = match name {
        "ssh" | "sshd" => ("ssh", "OpenBSD Secure Shell server"),
        "cron" => ("cron", "Regular background program processing daemon"),
        "systemd-journald" => ("systemd-journald", "Journal Service"),
        "dbus" => ("dbus", "D-Bus System Message Bus"),
        other => {
            let server = shell.machine.servers().into_iter().find(|server| server.unit == other)?;
            (server.unit, server.describe)
        }
    };
    Some(known)
}

fn systemctl(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let (verb, name) = match options.operands.as_slice() {
        [verb, name, ..] => (verb.clone(), name.clone()),
        [verb] => (verb.clone(), String::new()),
        [] => return 0,
    };
    if name.is_empty() {
        return 0;
    }
    let full = if name.contains('.') { name.clone() } else { format!("{name}.service") };
    let known = unit(shell, &name);
    match (verb.as_str(), known) {
        ("is-active", known) => {
            shell.say(io, if known.is_some() { "active\n" } else { "inactive\n" });
            if known.is_some() { 0 } else { 3 }
        }
        ("is-enabled", Some(_)) => {
            shell.say(io, "enabled\n");
            0
        }
        ("status", Some((unit, describe))) => {
            let since = Date::of(shell.machine.persona.booted_at).format("%a %F %T UTC");
            let ago = uptime_text(shell.machine.uptime(shell.now));
            let ago = ago.split(',').next().unwrap_or_default().to_owned();
            shell.say(io, format!("● {unit}.service - {describe}\n     Loaded: loaded (/lib/systemd/system/{unit}.service; enabled; preset: enabled)\n     Active: active (running) since {since}; {ago} ago\n      Tasks: 1\n     CGroup: /system.slice/{unit}.service\n"));
            0
        }
        ("status", None) => {
            shell.warn(io, format!("Unit {full} could not be found."));
            4
        }
        ("start" | "stop" | "restart" | "reload" | "enable" | "disable" | "mask", _)
            if shell.frame.who.uid != 0 =>
        {
            shell.warn(io, format!("Failed to {verb} {full}: Access denied"));
            shell.warn(io, format!("See system logs and 'systemctl status {full}' for details."));
            1
        }
        ("start" | "restart" | "reload", None) => {
            shell.warn(io, format!("Failed to {verb} {full}: Unit {full} not found."));
            5
        }
        ("stop", None) => {
            shell.warn(io, format!("Failed to stop {full}: Unit {full} not loaded."));
            5
        }
        ("enable" | "disable" | "mask" | "is-enabled", None) => {
            shell.warn(io, format!("Failed to {verb} unit: Unit file {full} does not exist."));
            1
        }
        (_, _) => 0,
    }
}

fn service(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    match (args.get(1), args.get(2)) {
        (Some(name), Some(verb)) => {
            let args = ["systemctl".to_owned(), verb.clone(), name.clone()];
            systemctl(shell, &args, io)
        }
        _ => {
            shell.warn(io, "Usage: service < option > | --status-all | [ service_name [ command | --full-restart ] ]");
            1
        }
    }
}

fn lsblk(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let root = shell.machine.disk().total + 400_000;
    let all = root + 1_001_472;
    shell.say(io, format!("NAME   MAJ:MIN RM  SIZE RO TYPE MOUNTPOINTS\nsda      8:0    0 {:>5} {}\n├─sda1   8:1    0 {:>5} {}\n├─sda2   8:2    0    1K {}\n└─sda5   8:5    0  976M {}\n", text::human(all), " 0 disk ", text::human(root), " 0 part /", " 0 part ", " 0 part [SWAP]"));
    0
}

fn hostnamectl(shell: &mut Shell, _: &[String], io: Io) -> u8 {
    let machine = shell.machine.clone();
    shell.say(io, format!(" Static hostname: {}\n       Icon name: computer-vm\n         Chassis: vm 🖴\n      Machine ID: {}\n         Boot ID: {}\n  Virtualization: kvm\nOperating System: Debian GNU/Linux 12 (bookworm)\n          Kernel: Linux {}\n    Architecture: x86-64\n", machine.persona.host_name, &machine.hex("machine-id")[..32], &machine.hex("boot-id")[..32], machine.persona.kernel_release));
    0
}

fn apt(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "oq");
    let verb = options.operands.first().cloned().unwrap_or_default();
    let changes = matches!(
        verb.as_str(),
        "install" | "update" | "upgrade" | "remove" | "purge" | "dist-upgrade"
    );
    if !changes {
        shell.say(io, "apt 2.6.1 (amd64)\n");
        return 0;
    }
    if shell.frame.who.uid != 0 {
        if verb == "update" {
            shell.say(io, "Reading package lists... Done\n");
            shell.warn(io, "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)\nE: Unable to lock directory /var/lib/apt/lists/");
        } else {
            shell.warn(io, "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?");
        }
        return 100;
    }
    if verb == "update" {
        let failure = |url: &str, host: &str| {
            format!("W: Failed to fetch {url}/InRelease  Temporary failure resolving '{host}'")
        };
        shell.say(io, "Ign:1 http://deb.debian.org/debian bookworm InRelease\nIgn:2 http://security.debian.org/debian-security bookworm-security InRelease\nErr:1 http://deb.debian.org/debian bookworm InRelease\n  Temporary failure resolving 'deb.debian.org'\nErr:2 http://security.debian.org/debian-security bookworm-security InRelease\n  Temporary failure resolving 'security.debian.org'\nReading package lists... Done\n");
        shell.warn(io, failure("http://deb.debian.org/debian/dists/bookworm", "deb.debian.org"));
        shell.warn(
            io,
            failure(
                "http://security.debian.org/debian-security/dists/bookworm-security",
                "security.debian.org",
            ),
        );
        shell.warn(io, "W: Some index files failed to download. They have been ignored, or old ones used instead.");
        return 0;
    }
    shell.say(io, "Reading package lists... Done\nBuilding dependency tree... Done\nReading state information... Done\n");
    let names: Vec<String> = options.operands.iter().skip(1).cloned().collect();
    for name in &names {
        shell.reached_for(&format!("apt {verb} {name}"));
        shell.warn(io, format!("E: Unable to locate package {name}"));
    }
    if names.is_empty() {
        shell.say(io, "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n");
        return 0;
    }
    100
}

fn dpkg(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    match args.get(1).map(String::as_str) {
        Some("--print-architecture") => shell.say(io, "amd64\n"),
        Some("-i" | "-r" | "-P" | "--install") if shell.frame.who.uid != 0 => {
            shell.warn(io, "dpkg: error: requested operation requires superuser privilege");
            return 2;
        }
        Some("-i" | "--install") => {
            shell.warn(io, "dpkg: error: cannot access archive: No such file or directory");
            return 2;
        }
        Some("-l") => shell.say(io, "Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ Name           Version             Architecture Description\n+++-==============-===================-============-=================================\nii  base-files     12.4+deb12u5        amd64        Debian base system miscellaneous files\nii  bash           5.2.15-2+b2         amd64        GNU Bourne Again SHell\nii  coreutils      9.1-1               amd64        GNU core utilities\n"),
        Some(_) => {}
        None => {
            shell.warn(io, "dpkg: error: need an action option");
            return 2;
        }
    }
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
    shell.warn(io, "Failed to set wall message, ignoring: Connection timed out\nCall to Reboot failed: Connection timed out");
    1
}

fn pgrep(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(name) = args[1..].iter().rfind(|arg| !arg.starts_with('-')) else { return 2 };
    let user = shell.frame.user.clone();
    let list = shell.machine.processes(shell.tty, shell.machine.shell_pid(), &user);
    let hits: Vec<String> = list
        .iter()
        .filter(|p| p.command.contains(name.as_str()))
        .map(|p| p.pid.to_string())
        .collect();
    if hits.is_empty() {
        return 1;
    }
    let gap = if args[0].ends_with("pidof") { " " } else { "\n" };
    shell.say(io, format!("{}\n", hits.join(gap)));
    0
}

fn killall(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let Some(name) = args[1..].iter().rfind(|arg| !arg.starts_with('-')).cloned() else { return 1 };
    let user = shell.frame.user.clone();
    let list = shell.machine.processes(shell.tty, shell.machine.shell_pid(), &user);
    let found = list.iter().any(|p| p.command.contains(name.as_str()));
    if !found && args[0].ends_with("killall") {
        shell.warn(io, format!("{name}: no process found"));
    }
    u8::from(!found)
}

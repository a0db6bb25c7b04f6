//! What `/proc` says, from [`Machine`] like every other text.

use model::{Timestamp, Transport};

use crate::shell::machine::{CPU_FLAGS, Machine, Traffic};

pub(super) fn cpuinfo(machine: &Machine, _: Timestamp) -> String {
    let (cpu, cpus) = (machine.cpu(), machine.persona.cpus);
    let mut text = String::new();
    for index in 0..cpus {
        text.push_str(&format!(
            "processor\t: {index}\nvendor_id\t: GenuineIntel\ncpu family\t: {}\nmodel\t\t: \
             {}\nmodel name\t: {}\nstepping\t: {}\nmicrocode\t: {}\ncpu MHz\t\t: {}\ncache \
             size\t: {} KB\nphysical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {index}\ncpu \
             cores\t: {cpus}\napicid\t\t: {index}\ninitial apicid\t: {index}\nfpu\t\t: \
             yes\nfpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: \
             {CPU_FLAGS}\nbugs\t\t: cpu_meltdown spectre_v1 spectre_v2 spec_store_bypass l1tf mds \
             swapgs taa itlb_multihit mmio_stale_data\nbogomips\t: {}\nclflush size\t: \
             64\ncache_alignment\t: 64\naddress sizes\t: 46 bits physical, 48 bits \
             virtual\npower management:\n\n",
            cpu.family,
            cpu.model,
            cpu.name,
            cpu.stepping,
            cpu.microcode,
            cpu.mhz,
            cpu.cache_kib,
            machine.bogomips(),
        ));
    }
    text
}

pub(super) fn meminfo(machine: &Machine, now: Timestamp) -> String {
    let memory = machine.memory(now);
    let half = memory.cached / 2;
    let rows = [
        ("MemTotal", memory.total),
        ("MemFree", memory.free),
        ("MemAvailable", memory.available),
        ("Buffers", memory.buffers),
        ("Cached", memory.cached - 40_000),
        ("SwapCached", 0),
        ("Active", half),
        ("Inactive", half / 2),
        ("Active(anon)", half / 90),
        ("Inactive(anon)", half / 5),
        ("Active(file)", half - half / 90),
        ("Inactive(file)", half / 2 - half / 5),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", memory.swap),
        ("SwapFree", memory.swap),
        ("Zswap", 0),
        ("Zswapped", 0),
        ("Dirty", 44),
        ("Writeback", 0),
        ("AnonPages", half / 4),
        ("Mapped", half / 6),
        ("Shmem", memory.shared),
        ("KReclaimable", 40_000),
        ("Slab", 66_112),
        ("SReclaimable", 40_000),
        ("SUnreclaim", 26_112),
        ("KernelStack", 2_160),
        ("PageTables", 2_452),
        ("SecPageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", memory.total / 2 + memory.swap),
        ("Committed_AS", memory.used + half / 4),
        ("VmallocTotal", 34_359_738_367),
        ("VmallocUsed", 20_948),
        ("VmallocChunk", 0),
        ("Percpu", 1_104 * u64::from(machine.persona.cpus)),
        ("HardwareCorrupted", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        text.push_str(&format!("{:<16}{value:>8} kB\n", format!("{name}:")));
    }
    text.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        \
         0\nHugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n",
    );
    text
}

pub(super) fn uptime(machine: &Machine, now: Timestamp) -> String {
    let up = machine.uptime(now).as_millis() / 10;
    let idle = up * u128::from(machine.persona.cpus) / 1000 * 987;
    format!("{}.{:02} {}.{:02}\n", up / 100, up % 100, idle / 100, idle % 100)
}

pub(super) fn version(machine: &Machine, _: Timestamp) -> String {
    format!(
        "Linux version {} (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU \
         ld (GNU Binutils for Debian) 2.40) {}\n",
        machine.persona.kernel_release, machine.persona.kernel_version
    )
}

pub(super) fn loadavg(machine: &Machine, now: Timestamp) -> String {
    let [one, five, fifteen] = machine.load(now);
    let last = machine.shell_pid() + 9;
    format!("{one} {five} {fifteen} 1/{} {last}\n", 88 + machine.persona.cpus * 12)
}

pub(super) fn stat(machine: &Machine, now: Timestamp) -> String {
    let up = machine.uptime(now).as_secs() * 100;
    let (user, system) = (up / 400, up / 600);
    let mut text = String::new();
    let cpus = u64::from(machine.persona.cpus);
    text.push_str(&format!(
        "cpu  {} 0 {} {} 812 0 91 0 0 0\n",
        user * cpus,
        system * cpus,
        (up - user - system) * cpus
    ));
    for index in 0..cpus {
        text.push_str(&format!(
            "cpu{index} {user} 0 {system} {} 406 0 45 0 0 0\n",
            up - user - system
        ));
    }
    text.push_str(&format!(
        "ctxt {}\nbtime {}\nprocesses {}\nprocs_running 1\nprocs_blocked 0\n",
        up * 3,
        machine.persona.booted_at.as_micros() / 1_000_000,
        machine.shell_pid() + 9
    ));
    text
}

pub(super) fn cmdline(machine: &Machine, _: Timestamp) -> String {
    machine.boot_parameters() + "\n"
}

pub(super) fn filesystems(_: &Machine, _: Timestamp) -> String {
    "nodev\tsysfs\nnodev\ttmpfs\nnodev\tbdev\nnodev\tproc\nnodev\tcgroup\nnodev\tcgroup2\nnodev\t\
     cpuset\nnodev\tdevtmpfs\nnodev\tdebugfs\nnodev\ttracefs\nnodev\tsecurityfs\nnodev\tsockfs\n\
     nodev\tbpf\nnodev\tpipefs\nnodev\tramfs\nnodev\thugetlbfs\nnodev\tdevpts\nnodev\tmqueue\n\
     nodev\tpstore\n\text3\n\text2\n\text4\nnodev\tautofs\nnodev\tconfigfs\n"
        .into()
}

pub(super) fn partitions(machine: &Machine, _: Timestamp) -> String {
    let root = machine.disk().total + 400_000;
    format!(
        "major minor  #blocks  name\n\n   8        0 {:>10} sda\n   8        1 {root:>10} sda1\n   \
         8        2          1 sda2\n   8        5     999424 sda5\n",
        root + 1_001_472
    )
}

pub(crate) fn mounts(machine: &Machine, _: Timestamp) -> String {
    let total = u64::from(machine.persona.memory_mib) * 1024;
    format!(
        "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\nproc /proc proc \
         rw,nosuid,nodev,noexec,relatime 0 0\nudev /dev devtmpfs \
         rw,nosuid,relatime,size={}k,nr_inodes={},mode=755,inode64 0 0\ndevpts /dev/pts devpts \
         rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=000 0 0\ntmpfs /run tmpfs \
         rw,nosuid,nodev,noexec,relatime,size={}k,mode=755,inode64 0 0\n/dev/sda1 / ext4 \
         rw,relatime,errors=remount-ro 0 0\nsecurityfs /sys/kernel/security securityfs \
         rw,nosuid,nodev,noexec,relatime 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev,inode64 0 \
         0\ntmpfs /run/lock tmpfs rw,nosuid,nodev,noexec,relatime,size=5120k,inode64 0 0\ncgroup2 \
         /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 \
         0\npstore /sys/fs/pstore pstore rw,nosuid,nodev,noexec,relatime 0 0\n",
        total / 2 - 20_000,
        total / 8 - 5_000,
        total / 10,
    )
}

pub(super) fn self_cmdline(_: &Machine, _: Timestamp) -> String {
    "cat\0/proc/self/cmdline\0".into()
}

pub(super) fn self_status(machine: &Machine, _: Timestamp) -> String {
    let pid = machine.shell_pid();
    format!(
        "Name:\tcat\nUmask:\t0022\nState:\tR (running)\nTgid:\t{0}\nNgid:\t0\nPid:\t{0}\n\
         PPid:\t{pid}\nTracerPid:\t0\n",
        pid + 8
    )
}

pub(super) fn init_cmdline(_: &Machine, _: Timestamp) -> String {
    "/sbin/init\0".into()
}

pub(super) fn init_comm(_: &Machine, _: Timestamp) -> String {
    "systemd\n".into()
}

pub(super) fn net_dev(machine: &Machine, now: Timestamp) -> String {
    let Traffic { bytes_in, packets_in, bytes_out, packets_out } = machine.traffic(now);
    let (bytes, packets) = machine.loopback_traffic();
    format!(
        "Inter-|   Receive                                                |  Transmit\n face \
         |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop \
         fifo colls carrier compressed\n    lo:   {bytes}     {packets}    0    0    0     0          \
         0         0    {bytes}     {packets}    0    0    0     0       0          0\n{:>6}: \
         {bytes_in} {packets_in}    0    0    0     0          0         0 {bytes_out} \
         {packets_out}    0    0    0     0       0          0\n",
        machine.interface(),
    )
}

pub(super) fn net_tcp(machine: &Machine, _: Timestamp) -> String {
    let mut text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                    uid  timeout inode\n"
        .to_owned();
    let servers = machine.servers_over(Transport::Tcp);
    let ports = std::iter::once(22).chain(servers.iter().map(|server| server.port));
    for (index, port) in ports.enumerate() {
        text.push_str(&format!(
            "{index:>4}: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 \
             00000000     0        0 {} 1 0000000000000000 100 0 0 10 0\n",
            14_200 + machine.draw("socket") % 3000 + index as u64 * 37
        ));
    }
    text
}

pub(super) fn net_route(machine: &Machine, _: Timestamp) -> String {
    let octets = match machine.address {
        std::net::IpAddr::V4(address) => address.octets(),
        std::net::IpAddr::V6(_) => [10, 0, 0, 2],
    };
    let [a, b, c, _] = octets;
    let interface = machine.interface();
    format!(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
         {interface}\t00000000\t01{c:02X}{b:02X}{a:02X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
         {interface}\t00{c:02X}{b:02X}{a:02X}\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
}

pub(super) fn osrelease(machine: &Machine, _: Timestamp) -> String {
    format!("{}\n", machine.persona.kernel_release)
}

pub(super) fn ostype(_: &Machine, _: Timestamp) -> String {
    "Linux\n".into()
}

pub(super) fn kernel_version(machine: &Machine, _: Timestamp) -> String {
    format!("{}\n", machine.persona.kernel_version)
}

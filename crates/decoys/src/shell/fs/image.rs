//! The base image: which entries a fresh Debian 12 server has. One copy for the process; what
//! differs between deckies is made by [`super::texts`] at the moment of reading.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use super::{Content, Device, Kind, Node, Stamp, proc, servers, texts};
use crate::shell::machine::Machine;

/// Programs in `/usr/bin`, by name; also what `command -v` and the path search find.
const USR_BIN: &str = "[ apt apt-cache apt-config apt-get apt-key apt-mark arch awk base32 base64 \
basename basenc bash bashbug bunzip2 busctl bzcat bzip2 captoinfo cat chage chattr chcon chfn \
chgrp chmod choom chown chrt chsh cksum clear cmp comm cp crontab csplit curl cut dash date dd \
deb-systemd-helper debconf df diff dircolors dirname dmesg dnsdomainname domainname dpkg dpkg-deb \
dpkg-query du echo egrep env expand expiry expr factor faillog fallocate false fgrep find findmnt \
flock fmt fold free fuser getconf getent getopt gpasswd gpgv grep groups gunzip gzip head hexdump \
hostid hostname hostnamectl iconv id infocmp install ionice ip ipcs join journalctl kill killall \
kmod last lastb lastlog less ln locale localectl logger login loginctl logname ls lsattr lsblk \
lscpu lsmem lsmod lspci man mawk md5sum mesg mkdir mkfifo mknod mktemp more mount mountpoint mv \
namei nano nawk newgrp nice nl nohup nproc nsenter numfmt od openssl paste passwd pathchk perl \
pgrep pidof ping pinky pkill pmap pr printenv printf prlimit ps pstree ptx pwd pwdx rbash readlink \
realpath renice reset rev rgrep rm rmdir run-parts savelog scp script sed seq setpriv setsid \
setterm sftp sg sh sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf skill slabtop sleep \
sort split ss ssh ssh-add ssh-agent ssh-copy-id ssh-keygen ssh-keyscan stat stdbuf strings stty su \
sudo sudoedit sum sync systemctl systemd-analyze systemd-detect-virt tabs tac tail tar taskset tee \
telnet tempfile test tic timedatectl timeout tload toe top touch tput tr true truncate tset tsort \
tty tzselect umount uname unexpand uniq unlink unshare unxz unzip update-alternatives uptime users \
vdir vi vim.tiny vmstat w wall watch wc wdctl wget whereis which who whoami xargs xz xzcat yes \
zcat zgrep zless";

/// Programs in `/usr/sbin`.
const USR_SBIN: &str = "adduser addgroup agetty arp arptables blkid blockdev bridge chgpasswd \
chpasswd chroot cron ctrlaltdel debugfs delgroup deluser depmod dhclient dmsetup e2fsck fdisk \
fsck fstrim getty groupadd groupdel groupmod grub-install halt hwclock ifdown ifup init insmod \
ip iptables iptables-save iptables-restore ip6tables kexec ldconfig logrotate losetup mkfs \
mkfs.ext4 mkswap modinfo modprobe nft nologin pam_getenv poweroff pwck pwconv reboot resize2fs \
rmmod rtcwake runlevel service shutdown sshd sulogin swapoff swapon switch_root sysctl telinit \
tune2fs tzconfig update-grub update-initramfs useradd userdel usermod visudo vipw zic";

/// Programs that run as root whoever starts them.
const SETUID: &[&str] =
    &["su", "sudo", "passwd", "mount", "umount", "chsh", "chfn", "gpasswd", "newgrp"];

const DIRS: &str = "/boot /boot/grub /dev /dev/pts /dev/shm:1777 /etc /etc/apt /etc/apt/apt.conf.d \
/etc/apt/sources.list.d /etc/apt/trusted.gpg.d /etc/cron.d /etc/cron.daily /etc/cron.hourly \
/etc/cron.monthly /etc/cron.weekly /etc/default /etc/init.d /etc/ld.so.conf.d /etc/logrotate.d \
/etc/modprobe.d /etc/network /etc/network/interfaces.d /etc/pam.d /etc/profile.d /etc/rc0.d \
/etc/rc3.d /etc/security /etc/skel /etc/ssh /etc/ssh/ssh_config.d /etc/ssh/sshd_config.d /etc/ssl \
/etc/ssl/certs /etc/sudoers.d:750 /etc/systemd /etc/systemd/network /etc/systemd/system \
/etc/systemd/user /etc/udev /etc/vim /home /media /mnt /opt /proc:555 /proc/1:555 /proc/net:555 \
/proc/self:555 /proc/sys:555 /proc/sys/fs:555 /proc/sys/kernel:555 /proc/sys/net:555 \
/proc/sys/vm:555 /root:700 /run /run/lock:1777 /run/sshd /run/systemd /run/user /srv /sys:555 \
/sys/block:555 /sys/class:555 /sys/class/net:555 /sys/devices:555 /sys/fs:555 /sys/kernel:555 \
/tmp:1777 /usr /usr/bin /usr/games /usr/include /usr/lib /usr/lib/apt /usr/lib/dbus-1.0 \
    /usr/lib/openssh \
/usr/lib/systemd /usr/lib/x86_64-linux-gnu /usr/lib32 /usr/lib64 /usr/libx32 /usr/local \
/usr/local/bin /usr/local/etc /usr/local/games /usr/local/include /usr/local/lib /usr/local/sbin \
/usr/local/share /usr/local/src /usr/sbin /usr/share /usr/share/doc /usr/share/man /usr/src /var \
/var/backups /var/cache /var/cache/apt /var/lib /var/lib/apt /var/lib/dpkg /var/local /var/log \
/var/log/apt /var/log/journal /var/mail /var/opt /var/spool /var/spool/cron \
/var/spool/cron/crontabs:1730 /var/spool/mail /var/tmp:1777 /var/www /var/www/html /lost+found:700 \
/etc/alternatives /etc/dpkg /etc/kernel /etc/python3 /etc/grub.d";

const LINKS: &[(&str, &str)] = &[
    ("/bin", "usr/bin"),
    ("/sbin", "usr/sbin"),
    ("/lib", "usr/lib"),
    ("/lib32", "usr/lib32"),
    ("/lib64", "usr/lib64"),
    ("/libx32", "usr/libx32"),
    ("/initrd.img", "boot/initrd.img"),
    ("/vmlinuz", "boot/vmlinuz"),
    ("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
    ("/etc/mtab", "../proc/self/mounts"),
    ("/etc/os-release", "../usr/lib/os-release"),
    ("/proc/mounts", "self/mounts"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/var/lock", "/run/lock"),
    ("/var/run", "/run"),
    ("/usr/bin/vi", "/etc/alternatives/vi"),
    ("/etc/alternatives/vi", "/usr/bin/vim.tiny"),
    ("/etc/alternatives/awk", "/usr/bin/mawk"),
    ("/usr/bin/awk", "/etc/alternatives/awk"),
    ("/usr/bin/sh", "dash"),
];

type Made = fn(&Machine, model::Timestamp) -> String;

const MADE: &[(&str, u32, Made)] = &[
    ("/etc/passwd", 0o644, texts::passwd),
    ("/etc/passwd-", 0o644, texts::passwd),
    ("/etc/shadow", 0o640, texts::shadow),
    ("/etc/group", 0o644, texts::group),
    ("/etc/hostname", 0o644, texts::hostname),
    ("/etc/hosts", 0o644, texts::hosts),
    ("/etc/fstab", 0o644, texts::fstab),
    ("/etc/machine-id", 0o444, texts::machine_id),
    ("/etc/mailname", 0o644, texts::mailname),
    ("/etc/resolv.conf", 0o644, texts::resolv_conf),
    ("/etc/network/interfaces", 0o644, texts::interfaces),
    ("/var/log/auth.log", 0o640, texts::auth_log),
    ("/var/log/dpkg.log", 0o644, texts::dpkg_log),
];

const PROC: &[(&str, u32, Made)] = &[
    ("/proc/cpuinfo", 0o444, proc::cpuinfo),
    ("/proc/meminfo", 0o444, proc::meminfo),
    ("/proc/uptime", 0o444, proc::uptime),
    ("/proc/version", 0o444, proc::version),
    ("/proc/loadavg", 0o444, proc::loadavg),
    ("/proc/stat", 0o444, proc::stat),
    ("/proc/cmdline", 0o444, proc::cmdline),
    ("/proc/filesystems", 0o444, proc::filesystems),
    ("/proc/partitions", 0o444, proc::partitions),
    ("/proc/self/mounts", 0o444, proc::mounts),
    ("/proc/self/cmdline", 0o444, proc::self_cmdline),
    ("/proc/self/status", 0o444, proc::self_status),
    ("/proc/1/cmdline", 0o444, proc::init_cmdline),
    ("/proc/1/comm", 0o644, proc::init_comm),
    ("/proc/net/dev", 0o444, proc::net_dev),
    ("/proc/net/tcp", 0o444, proc::net_tcp),
    ("/proc/net/route", 0o444, proc::net_route),
    ("/proc/sys/kernel/hostname", 0o644, texts::hostname),
    ("/proc/sys/kernel/osrelease", 0o444, proc::osrelease),
    ("/proc/sys/kernel/ostype", 0o444, proc::ostype),
    ("/proc/sys/kernel/version", 0o444, proc::kernel_version),
];

const FIXED: &[(&str, u32, &str)] = &[
    ("/etc/debian_version", 0o644, "12.5\n"),
    ("/usr/lib/os-release", 0o644, texts::OS_RELEASE),
    ("/etc/issue", 0o644, "Debian GNU/Linux 12 \\n \\l\n\n"),
    ("/etc/issue.net", 0o644, "Debian GNU/Linux 12\n"),
    ("/etc/motd", 0o644, texts::MOTD),
    ("/etc/shells", 0o644, texts::SHELLS),
    ("/etc/crontab", 0o644, texts::CRONTAB),
    ("/etc/profile", 0o644, texts::PROFILE),
    ("/etc/environment", 0o644, ""),
    ("/etc/nsswitch.conf", 0o644, texts::NSSWITCH),
    ("/etc/apt/sources.list", 0o644, texts::SOURCES),
    ("/etc/ssh/sshd_config", 0o644, texts::SSHD_CONFIG),
    ("/etc/sudoers", 0o440, texts::SUDOERS),
    ("/etc/default/locale", 0o644, "LANG=C.UTF-8\n"),
    ("/etc/timezone", 0o644, "Etc/UTC\n"),
    ("/etc/ld.so.preload", 0o644, ""),
    ("/etc/skel/.bash_logout", 0o644, texts::BASH_LOGOUT),
    ("/etc/skel/.bashrc", 0o644, texts::BASHRC),
    ("/etc/skel/.profile", 0o644, texts::HOME_PROFILE),
    ("/root/.bashrc", 0o644, texts::ROOT_BASHRC),
    ("/root/.profile", 0o644, texts::ROOT_PROFILE),
    ("/proc/sys/vm/swappiness", 0o644, "60\n"),
    ("/proc/sys/vm/drop_caches", 0o200, "0\n"),
    ("/proc/sys/kernel/randomize_va_space", 0o644, "2\n"),
    ("/proc/sys/vm/nr_hugepages", 0o644, "0\n"),
    ("/var/log/lastlog", 0o664, ""),
    ("/var/log/faillog", 0o644, ""),
    ("/var/www/html/index.html", 0o644, "<html><body><h1>It works!</h1></body></html>\n"),
];

const DEVICES: &[(&str, u32, Device, u32, u32)] = &[
    ("/dev/null", 0o666, Device::Null, 1, 3),
    ("/dev/zero", 0o666, Device::Zero, 1, 5),
    ("/dev/full", 0o666, Device::Full, 1, 7),
    ("/dev/random", 0o666, Device::Random, 1, 8),
    ("/dev/urandom", 0o666, Device::Random, 1, 9),
    ("/dev/tty", 0o666, Device::Terminal, 5, 0),
    ("/dev/pts/0", 0o620, Device::Terminal, 136, 0),
    ("/dev/console", 0o600, Device::Terminal, 5, 1),
    ("/dev/mem", 0o640, Device::Memory, 1, 1),
    ("/dev/sda", 0o660, Device::Disk, 8, 0),
    ("/dev/sda1", 0o660, Device::Disk, 8, 1),
    ("/dev/sda2", 0o660, Device::Disk, 8, 2),
    ("/dev/sda5", 0o660, Device::Disk, 8, 5),
];

/// Path, group and size.
const SETUID_HELPERS: &[(&str, u32, u32)] = &[
    ("/usr/lib/dbus-1.0/dbus-daemon-launch-helper", 107, 51_272),
    ("/usr/lib/openssh/ssh-keysign", 0, 653_888),
];

/// The image that all sessions share.
pub(super) fn base() -> &'static BTreeMap<&'static str, Node> {
    static BASE: LazyLock<BTreeMap<&'static str, Node>> = LazyLock::new(build);
    &BASE
}

/// Directories on which a file system is mounted.
pub(super) fn is_mount(path: &str) -> bool {
    matches!(path, "/proc" | "/sys" | "/dev" | "/run" | "/dev/pts" | "/dev/shm" | "/run/lock")
}

fn build() -> BTreeMap<&'static str, Node> {
    let mut base = BTreeMap::new();
    base.insert("/", root_owned(Kind::Dir, 0o755, Stamp::Installed(60)));
    for word in DIRS.split_whitespace() {
        let (path, mode) = word.split_once(':').unwrap_or((word, "755"));
        let mode = u32::from_str_radix(mode, 8).unwrap_or(0o755);
        base.insert(path, root_owned(Kind::Dir, mode, stamp_of(path)));
    }
    for (dir, names) in [("/usr/bin", USR_BIN), ("/usr/sbin", USR_SBIN)] {
        for name in names.split_whitespace() {
            let path: &'static str = Box::leak(format!("{dir}/{name}").into_boxed_str());
            let mode = if SETUID.contains(&name) { 0o4755 } else { 0o755 };
            let hash = name.bytes().fold(7, |n: u32, b| n.wrapping_mul(31).wrapping_add(b.into()));
            let size = 14_640 + hash % 137_000;
            let program = Kind::File(Content::Program(size & !7));
            base.insert(path, root_owned(program, mode, Stamp::Installed(0)));
        }
    }
    for (path, target) in LINKS {
        let link = Kind::Link(Cow::Borrowed(target));
        base.insert(path, root_owned(link, 0o777, stamp_of(path)));
    }
    for (path, mode, make) in MADE.iter().chain(PROC) {
        let file = Kind::File(Content::Made(*make));
        base.insert(path, root_owned(file, *mode, stamp_of(path)));
    }
    for (path, mode, text) in FIXED {
        let file = Kind::File(Content::Fixed(text));
        base.insert(path, root_owned(file, *mode, stamp_of(path)));
    }
    for (path, gid, size) in SETUID_HELPERS {
        let program = Kind::File(Content::Program(*size));
        base.insert(path, Node { gid: *gid, ..root_owned(program, 0o4755, Stamp::Installed(0)) });
    }
    for (path, mode, device, major, minor) in DEVICES {
        let device = Kind::Device(*device, *major, *minor);
        base.insert(path, root_owned(device, *mode, stamp_of(path)));
    }
    for (path, gid) in [("/etc/shadow", 42), ("/var/log/auth.log", 4), ("/var/mail", 8)] {
        if let Some(node) = base.get_mut(path) {
            node.gid = gid;
        }
    }
    base
}

fn root_owned(kind: Kind, mode: u32, stamp: Stamp) -> Node {
    Node { kind, mode, uid: 0, gid: 0, stamp }
}

fn stamp_of(path: &str) -> Stamp {
    if path.starts_with("/proc") || path == "/dev/pts/0" || path == "/var/log/auth.log" {
        Stamp::Now
    } else if ["/dev", "/run", "/sys", "/tmp"].iter().any(|root| path.starts_with(root)) {
        Stamp::Booted(2)
    } else {
        Stamp::Installed(120)
    }
}

/// What differs from decky to decky: home directories, the kernel, the installed servers.
pub(super) fn own(machine: &Machine) -> BTreeMap<String, Option<Node>> {
    let mut homes = BTreeMap::new();
    for account in &machine.persona.accounts {
        let (home, uid) = (home_of(&account.user), account.uid);
        let mut add = |name: &str, kind, mode, stamp| {
            let node = Node { kind, mode, uid, gid: uid, stamp };
            homes.insert(format!("{home}{name}"), Some(node));
        };
        let history: Made = if uid == 0 { texts::root_history } else { texts::user_history };
        let history = Kind::File(Content::Made(history));
        add("/.bash_history", history, 0o600, Stamp::Booted(86_400));
        add("/.ssh", Kind::Dir, 0o700, Stamp::Installed(3_000));
        if uid != 0 {
            add("", Kind::Dir, 0o755, Stamp::Booted(90_000));
            for (name, text) in [
                ("/.bash_logout", texts::BASH_LOGOUT),
                ("/.bashrc", texts::BASHRC),
                ("/.profile", texts::HOME_PROFILE),
            ] {
                let file = Kind::File(Content::Fixed(text));
                add(name, file, 0o644, Stamp::Installed(600));
            }
        }
        if uid == 1000 {
            let notes = Kind::File(Content::Made(texts::notes));
            add("/notes.txt", notes, 0o644, Stamp::Booted(43_000));
            let keys = Kind::File(Content::Made(texts::authorized_keys));
            add("/.ssh/authorized_keys", keys, 0o600, Stamp::Installed(3_000));
        }
    }
    let release = machine.persona.kernel_release;
    for (name, size) in [("vmlinuz", 8_190), ("initrd.img", 29_000), ("System.map", 83)] {
        let program = Kind::File(Content::Program(size));
        let node = root_owned(program, 0o644, Stamp::Installed(300));
        homes.insert(format!("/boot/{name}-{release}"), Some(node));
    }
    homes.extend(servers::entries(machine).into_iter().map(|(path, node)| (path, Some(node))));
    homes
}

/// Where a login name lives.
pub(crate) fn home_of(user: &str) -> String {
    if user == "root" { "/root".into() } else { format!("/home/{user}") }
}

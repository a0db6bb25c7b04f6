//! The text of the unit file. Pure.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, bail};
use clap::ValueEnum;

/// How a unit of ours begins.
pub(super) const MARK: &str = "# Written by `morgana service install`.";

/// What makes the network.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Driver {
    Loopback,
    Netns,
}

/// What the unit depends on.
pub(super) struct Unit<'a> {
    pub(super) program: &'a Path,
    pub(super) driver: Driver,
    pub(super) uplink: Option<&'a str>,
    pub(super) state_directory: &'a str,
}

/// The same for every driver: nothing of the machine but what stands here.
const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
PrivateTmp=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
UMask=0077
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
";

/// True port numbers, and no other right.
const LOOPBACK: &str = "\
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
PrivateDevices=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallFilter=@system-service
";

/// Namespaces with their own settings below /proc/sys/net, TAPs, and packet sockets: for the root
/// helper. The service that it starts from gives all of it up, with a filter of its own on top.
const NETNS: &str = "\
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_NET_BIND_SERVICE
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
ProtectKernelTunables=no
RestrictNamespaces=net
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
SystemCallFilter=@system-service unshare setns seccomp
";

impl Unit<'_> {
    /// The whole file.
    ///
    /// # Errors
    /// Where the program's path cannot stand in it.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let state = self.state_directory;
        let mut command = format!("{} up --data-dir /var/lib/{state}", quoted(self.program)?);
        let rights = match self.driver {
            Driver::Loopback => LOOPBACK,
            Driver::Netns => {
                command += " --driver netns";
                NETNS
            }
        };
        if let Some(uplink) = self.uplink {
            write!(command, " --uplink {uplink}").expect("a String takes it");
        }
        Ok(format!(
            "{MARK}\n\
             [Unit]\n\
             Description=Morgana, a deception network\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart={command}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             Restart=on-failure\n\
             RestartSec=2\n\
             TimeoutStopSec=10\n\
             LimitNOFILE=1048576\n\
             DynamicUser=yes\n\
             User=morgana\n\
             StateDirectory={state}\n\
             StateDirectoryMode=0700\n\
             {HARDENING}{rights}\
             \n\
             [Install]\n\
             WantedBy=multi-user.target\n"
        ))
    }
}

/// A path as a word of `ExecStart=`.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("the program's path is no text")?;
    if !path.is_absolute() || text.chars().any(char::is_control) {
        bail!("the program's path has to be absolute, without control characters: {text:?}");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{}\"", escaped.replace('%', "%%").replace('$', "$$")))
}

/// A name of an interface, as the kernel has them.
pub(super) fn interface(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    if text.is_empty() || text.len() > 15 || !text.chars().all(fits) {
        return Err("an interface's name has 1 to 15 letters, digits, or one of . _ - : @".into());
    }
    Ok(text.to_owned())
}

/// A name of a directory.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 32 || text.starts_with('-') || !text.chars().all(fits) {
        return Err("1 to 32 lower-case letters, digits and hyphens".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(driver: Driver, uplink: Option<&str>) -> String {
        let program = Path::new("/usr/bin/morgana");
        Unit { program, driver, uplink, state_directory: "morgana" }.text().unwrap()
    }

    #[test]
    fn each_driver_has_its_rights_and_no_other() {
        let (loopback, netns) = (unit(Driver::Loopback, None), unit(Driver::Netns, Some("eth1")));
        assert!(loopback.contains("CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"));
        assert!(!loopback.contains("CAP_SYS_ADMIN") && loopback.contains("PrivateDevices=yes"));
        assert!(netns.contains("CAP_NET_RAW") && netns.contains("DeviceAllow=/dev/net/tun rw"));
        assert!(netns.contains("--driver netns --uplink eth1\n"), "{netns}");
        assert!(netns.contains("setns seccomp\n"), "both processes filter themselves further");
        for text in [&loopback, &netns] {
            assert!(text.starts_with(MARK));
            for line in ["NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes"] {
                assert!(text.contains(line), "{line}");
            }
        }
    }

    #[test]
    fn nothing_can_be_smuggled_into_the_unit() {
        assert!(quoted(Path::new("bin/morgana")).is_err());
        assert!(quoted(Path::new("/bin/x\nUser=root")).is_err());
        let odd = quoted(Path::new("/opt/my $x%i \"y\"/morgana")).unwrap();
        assert_eq!(odd, r#""/opt/my $$x%%i \"y\"/morgana""#);
        assert_eq!(quoted(Path::new("/usr/bin/morgana")).unwrap(), "/usr/bin/morgana");
        for bad in ["", "eth 0", "eth0\nUser=root", "a-name-that-is-too-long", "e%i"] {
            assert!(interface(bad).is_err(), "{bad:?}");
        }
        assert!(interface("enp0s31f6").is_ok() && name("morgana-2").is_ok());
        assert!(name("../etc").is_err() && name("").is_err());
    }
}

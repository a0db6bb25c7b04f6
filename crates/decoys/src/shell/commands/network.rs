//! Commands about the network. None reaches it: what would go out is recorded and fails as on a
//! host whose resolver does not answer and whose gateway drops packets.

use std::net::IpAddr;

use super::{
    super::{Shell, calendar::Date, fs, run::Io},
    Options, Run,
};

pub(super) fn find(name: &str) -> Option<Run> {
    Some(match name {
        "wget" => wget,
        "curl" => curl,
        "ssh" | "scp" | "sftp" | "telnet" => ssh,
        "ping" => ping,
        "ip" => ip,
        "ss" => super::sockets::ss,
        "iptables" | "nft" => iptables,
        _ => return None,
    })
}

/// Host and port of a URL.
fn host_of(url: &str) -> (String, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let default = match scheme {
        "https" => 443,
        "ftp" => 21,
        _ => 80,
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host.into(), port.parse().unwrap_or(default)),
        _ => (authority.into(), default),
    }
}

fn wget(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "OoPtTUeaiQw");
    if options.operands.is_empty() {
        shell.warn(
            io,
            "wget: missing URL\nUsage: wget [OPTION]... [URL]...\n\n\
            Try `wget --help' for more options.",
        );
        return 1;
    }
    for url in &options.operands {
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let url = if url.matches('/').count() < 3 { format!("{url}/") } else { url };
        shell.reached_for(&format!("GET {url}"));
        if options.has('q') {
            continue;
        }
        let (host, port) = host_of(&url);
        let at = Date::of(shell.now).format("%F %T");
        shell.warn(io, format!("--{at}--  {url}"));
        if host.parse::<IpAddr>().is_ok() {
            shell.warn(
                io,
                format!(
                    "Connecting to {host}:{port}... failed: Connection timed out.\nRetrying.\n"
                ),
            );
        } else {
            shell.warn(
                io,
                format!(
                    "Resolving {host} ({host})... failed: Temporary failure in \
                name resolution.\nwget: unable to resolve host address ‘{host}’"
                ),
            );
        }
    }
    4
}

fn curl(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "oXHdAemubcTxwrFUKECyYzt");
    let Some(url) = options.operands.first().cloned() else {
        shell.warn(io, "curl: try 'curl --help' or 'curl --manual' for more information");
        return 2;
    };
    let verb = options.value('X').unwrap_or("GET").to_owned();
    shell.reached_for(&format!("{verb} {url}"));
    let (host, port) = host_of(&url);
    let silent = options.has('s') || options.long("silent");
    let saved = options.has('o') || options.has('O') || io.out != 0 || !shell.tty;
    if saved && !silent {
        shell.write(
            io.err,
            b"  % Total    % Received % Xferd  Average Speed   Time    Time     \
            Time  Current\n                                 Dload  Upload   Total   Spent    \
            Left  Speed\n\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- \
            --:--:--     0",
        );
    }
    let address = host.parse::<IpAddr>().is_ok();
    let (text, status) = if address {
        let wait = 129_000 + shell.draw() % 2_000;
        (
            format!(
                "curl: (28) Failed to connect to {host} port {port} after {wait} ms: Couldn't \
                 connect to server"
            ),
            28,
        )
    } else {
        (format!("curl: (6) Could not resolve host: {host}"), 6)
    };
    if !silent || options.has('S') {
        shell.warn(io, text);
    }
    status
}

fn ssh(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let program = fs::base_name(&args[0]).to_owned();
    let options = Options::parse(args, "pPiloFbcDeIJLmOQRSWw");
    let target = match program.as_str() {
        "scp" => options.operands.iter().find(|arg| arg.contains(':')).cloned(),
        _ => options.operands.first().cloned(),
    };
    let Some(target) = target else {
        shell.warn(io, format!("usage: {program} destination"));
        return 255;
    };
    shell.reached_for(&format!("{program} {target}"));
    let host = target.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let port = options.value('p').or(options.value('P')).unwrap_or("22").to_owned();
    let address = host.parse::<IpAddr>().is_ok();
    let text = match (program.as_str(), address) {
        ("telnet", true) => {
            shell.say(io, format!("Trying {host}...\n"));
            "telnet: Unable to connect to remote host: Connection timed out".into()
        }
        ("telnet", false) => {
            format!("telnet: could not resolve {host}/telnet: Temporary failure in name resolution")
        }
        (_, true) => format!("ssh: connect to host {host} port {port}: Connection timed out"),
        (_, false) => {
            format!("ssh: Could not resolve hostname {host}: Temporary failure in name resolution")
        }
    };
    shell.warn(io, text);
    if program != "ssh" && program != "telnet" {
        shell.warn(io, "lost connection");
    }
    if program == "ssh" { 255 } else { 1 }
}

fn ping(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "ciswWtI");
    let Some(host) = options.operands.first().cloned() else {
        shell.warn(io, "ping: usage error: Destination address required");
        return 1;
    };
    shell.reached_for(&format!("ping {host}"));
    if host.parse::<IpAddr>().is_err() && host != "localhost" {
        shell.warn(io, format!("ping: {host}: Temporary failure in name resolution"));
        return 2;
    }
    let count: u32 = options.value('c').and_then(|n| n.parse().ok()).unwrap_or(4).clamp(1, 16);
    shell.say(
        io,
        format!(
            "PING {host} ({host}) 56(84) bytes of data.\n\n\
        --- {host} ping statistics ---\n\
        {count} packets transmitted, 0 received, 100% packet loss, time \
        {}ms\n\n",
            (count - 1) * 1021
        ),
    );
    1
}

fn ip(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let options = Options::parse(args, "");
    let machine = shell.machine.clone();
    let (name, mac, address) = (machine.interface(), machine.mac(), machine.address);
    let gateway = machine.gateway();
    let what = options.operands.first().map_or("", String::as_str);
    let net = gateway.strip_suffix(".1").map_or_else(|| gateway.clone(), |net| format!("{net}.0"));
    let link = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group \
        default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n";
    let card = format!(
        "2: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP group \
         default qlen 1000\n    link/ether {mac} brd ff:ff:ff:ff:ff:ff\n"
    );
    let text = if what.is_empty() {
        shell.warn(io, "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }");
        return 255;
    } else if "address".starts_with(what) {
        let broadcast =
            gateway.strip_suffix(".1").map_or_else(String::new, |net| format!(" brd {net}.255"));
        let local = link_local(&mac);
        format!(
            "{link}    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft \
             forever\n    inet6 ::1/128 scope host noprefixroute \n       valid_lft forever \
             preferred_lft forever\n\
             {card}    inet {address}/24{broadcast} scope global {name}\n       valid_lft \
             forever preferred_lft forever\n    inet6 {local}/64 scope link \n       valid_lft \
             forever preferred_lft forever\n"
        )
    } else if "link".starts_with(what) {
        format!("{link}{card}")
    } else if "route".starts_with(what) {
        format!(
            "default via {gateway} dev {name} onlink \n\
             {net}/24 dev {name} proto kernel scope link src {address} \n"
        )
    } else if "neighbour".starts_with(what) {
        format!("{gateway} dev {name} lladdr {} REACHABLE\n", mac.replace(&mac[9..], "1a:2b:01"))
    } else {
        shell.warn(io, format!("Object \"{what}\" is unknown, try \"ip help\"."));
        return 1;
    };
    shell.say(io, text);
    0
}

/// The link-local address that a hardware address leads to (RFC 4291, appendix A).
fn link_local(mac: &str) -> String {
    let bytes: Vec<u8> =
        mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    match bytes.as_slice() {
        [a, b, c, d, e, f] => {
            let word = |high: u8, low: u8| u16::from(high) << 8 | u16::from(low);
            let words =
                [0xfe80, 0, 0, 0, word(a ^ 2, *b), word(*c, 0xff), word(0xfe, *d), word(*e, *f)];
            std::net::Ipv6Addr::from(words).to_string()
        }
        _ => "fe80::1".into(),
    }
}

fn iptables(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let program = fs::base_name(&args[0]).to_owned();
    if shell.frame.who.uid != 0 {
        shell.warn(
            io,
            if program == "nft" {
                "Operation not permitted (you must be \
            root)"
                    .into()
            } else {
                format!(
                    "{program} v1.8.9 (nf_tables): Could not fetch rule \
                set generation id: Permission denied (you must be root)"
                )
            },
        );
        return if program == "nft" { 1 } else { 4 };
    }
    if program == "iptables" && args.iter().any(|arg| arg.contains('L')) {
        let chain = |name: &str| {
            format!(
                "Chain {name} (policy ACCEPT)\n\
                 target     prot opt source               destination         \n"
            )
        };
        shell.say(io, format!("{}\n{}\n{}", chain("INPUT"), chain("FORWARD"), chain("OUTPUT")));
    }
    0
}

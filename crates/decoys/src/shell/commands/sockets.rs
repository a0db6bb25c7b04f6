//! `ss`: which sockets there are, in the columns of iproute2 6.1.

use model::Transport;

use super::super::{Shell, run::Io};

/// A line of the table.
struct Socket {
    protocol: &'static str,
    state: &'static str,
    send_queue: u16,
    local: (String, String),
    peer: (String, String),
    process: String,
}

pub(super) fn ss(shell: &mut Shell, args: &[String], io: Io) -> u8 {
    let flags: String = args[1..].iter().filter(|arg| arg.starts_with('-')).cloned().collect();
    let has = |flag| flags.contains(flag);
    let tcp = has('t') || !has('u') && !has('x');
    let udp = has('u') || !has('t') && !has('x');
    let mut sockets = Vec::new();
    if udp && (has('l') || has('a')) {
        sockets.extend(datagrams(shell, has('n')));
    }
    if tcp && (has('l') || has('a')) {
        sockets.extend(listening(shell, has('n')));
    }
    if tcp && !has('l') {
        sockets.push(established(shell, has('n')));
    }
    if !has('p') || shell.frame.who.uid != 0 {
        sockets.iter_mut().for_each(|socket| socket.process.clear());
    }
    let protocol = !has('t') || has('u');
    let text = table(&sockets, protocol, has('p'));
    shell.say(io, text);
    0
}

fn listening(shell: &Shell, numeric: bool) -> Vec<Socket> {
    let machine = &shell.machine;
    let mut list = Vec::new();
    let mut add = |address: &str, port: u16, name: &str, send_queue, process: String| {
        let port = if numeric { port.to_string() } else { name.to_owned() };
        let local = (address.to_owned(), port);
        let peer = (if address == "[::]" { "[::]" } else { address }.to_owned(), "*".to_owned());
        let protocol = "tcp";
        list.push(Socket { protocol, state: "LISTEN", send_queue, local, peer, process });
    };
    for (fd, address) in [(3, "0.0.0.0"), (4, "[::]")] {
        add(address, 22, "ssh", 128, users("sshd", &[machine.sshd_pid()], fd));
    }
    for server in machine.servers_over(Transport::Tcp) {
        let mut pids = machine.server_pids(server);
        pids.reverse();
        for (fd, address) in (server.descriptor..).zip(server.binds) {
            let process = users(server.unit, &pids, fd);
            add(address, server.port, server.port_name, server.backlog, process);
        }
    }
    list.sort_by_key(|socket| socket.local.0 != "0.0.0.0");
    list
}

fn datagrams(shell: &Shell, numeric: bool) -> Vec<Socket> {
    let machine = &shell.machine;
    let servers = machine.servers_over(Transport::Udp).into_iter();
    servers
        .flat_map(|server| {
            (server.descriptor..).zip(server.binds).map(move |bound| (server, bound))
        })
        .map(|(server, (fd, address))| {
            let name = server.port_name.to_owned();
            let port = if numeric { server.port.to_string() } else { name };
            Socket {
                protocol: "udp",
                state: "UNCONN",
                send_queue: 0,
                local: ((*address).to_owned(), port),
                peer: ((*address).to_owned(), "*".to_owned()),
                process: users(server.unit, &machine.server_pids(server), fd),
            }
        })
        .collect()
}

fn established(shell: &Shell, numeric: bool) -> Socket {
    let machine = &shell.machine;
    let port = if numeric { "22" } else { "ssh" };
    let pid = machine.shell_pid();
    let pids = if machine.login_user == "root" { vec![pid - 7] } else { vec![pid - 7, pid - 14] };
    Socket {
        protocol: "tcp",
        state: "ESTAB",
        send_queue: 0,
        local: (machine.address.to_string(), port.into()),
        peer: (machine.peer.to_string(), machine.peer_port().to_string()),
        process: users("sshd", &pids, 4),
    }
}

fn users(name: &str, pids: &[u32], fd: u16) -> String {
    let name = &name[..name.len().min(15)];
    let list: Vec<String> =
        pids.iter().map(|pid| format!("(\"{name}\",pid={pid},fd={fd})")).collect();
    format!(" users:({})", list.join(","))
}

fn table(sockets: &[Socket], protocol: bool, process: bool) -> String {
    let width = |least: usize, cell: fn(&Socket) -> &str| {
        sockets.iter().map(|socket| cell(socket).len()).max().unwrap_or(0).max(least)
    };
    let state = width(5, |socket| socket.state);
    let local = width(13, |socket| &socket.local.0);
    let local_port = width(4, |socket| &socket.local.1);
    let peer = width(12, |socket| &socket.peer.0);
    let peer_port = width(4, |socket| &socket.peer.1);
    let processes = width(7, |socket| &socket.process);
    let mut text = String::new();
    let mut line = |netid: &str, cells: [&str; 8]| {
        if protocol {
            text.push_str(&format!("{netid:<6}"));
        }
        let [s, recv, send, from, from_port, to, to_port, users] = cells;
        text.push_str(&format!("{s:<state$} {recv:<6} {send:<6} {from:>local$}:"));
        text.push_str(&format!("{from_port:<local_port$} {to:>peer$}:{to_port:<peer_port$}"));
        text.push_str(&format!("{users:<processes$}\n"));
    };
    let last = if process { "Process" } else { "" };
    line(
        "Netid",
        ["State", "Recv-Q", "Send-Q", "Local Address", "Port", "Peer Address", "Port", last],
    );
    for socket in sockets {
        let (local, peer) = (&socket.local, &socket.peer);
        let queue = socket.send_queue.to_string();
        let cells =
            [socket.state, "0", &queue, &local.0, &local.1, &peer.0, &peer.1, &socket.process];
        line(socket.protocol, cells);
    }
    text
}

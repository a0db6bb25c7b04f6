//! The connection layer (RFC 4254) after authentication, in the manner of serverloop.c: global
//! requests and session channels. Forwarding is recorded and leads nowhere.
//!
//! Owns the channels of one visitor and its one shell, so that what one channel writes the next
//! one finds.

use std::net::IpAddr;

use model::{SessionFact, Timestamp, escape_text};
use rand::RngExt;

use super::{
    algorithms::HostKeyAlgorithm,
    channel::{Channel, LOCAL_PACKET},
    fatal::Fatal,
    hostkey::KeyKind,
    message,
    packet::Opened,
    session::{Machine, Program, SessionChannel},
    transport::Transport,
    tty::Terminal,
    wire::{Reader, Writer},
};
use crate::shell::Shell;

/// `MaxSessions`.
const MAX_SESSIONS: usize = 10;
/// `SSH_OPEN_CONNECT_FAILED`.
const CONNECT_FAILED: u32 = 2;
/// Where Linux picks ports from.
const EPHEMERAL_PORTS: std::ops::Range<u32> = 32_768..61_000;

/// The connection of somebody who is in.
pub(super) struct Connection {
    shell: Shell,
    root: bool,
    channels: Vec<Option<SessionChannel>>,
    no_more_sessions: bool,
    forwards: usize,
}

/// Remote forwards that one connection may ask for.
const MAX_FORWARDS: usize = 64;

/// What a message is handled with.
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) transport: &'a mut Transport,
    pub(super) facts: &'a mut Vec<SessionFact>,
}

impl Context<'_> {
    fn send(&mut self, message: Writer) -> Result<(), Fatal> {
        self.transport.send(message.done())
    }

    fn request(&mut self, text: &str) {
        self.facts.push(SessionFact::Request { text: escape_text(text.as_bytes()) });
    }
}

/// What comes of a channel request.
type Granted = bool;

impl Connection {
    pub(super) fn new(shell: Shell, root: bool) -> Self {
        Self { shell, root, channels: Vec::new(), no_more_sessions: false, forwards: 0 }
    }

    /// Tells the client all host keys, as sshd does at once.
    pub(super) fn announce(&self, context: &mut Context<'_>) -> Result<(), Fatal> {
        let mut request =
            Writer::message(message::GLOBAL_REQUEST).text("hostkeys-00@openssh.com").bool(false);
        for kind in KeyKind::ALL {
            request = request.string(&context.transport.host_keys().public(kind));
        }
        context.send(request)
    }

    /// Handles a message.
    pub(super) fn receive(
        &mut self,
        packet: &Opened,
        context: &mut Context<'_>,
    ) -> Result<(), Fatal> {
        let body = Reader::new(&packet.payload[1..]);
        match packet.number {
            message::GLOBAL_REQUEST => self.global_request(body, context),
            message::REQUEST_SUCCESS | message::REQUEST_FAILURE => Ok(()),
            message::CHANNEL_OPEN => self.open(body, context),
            message::CHANNEL_REQUEST => self.channel_request(body, context),
            message::CHANNEL_DATA => self.data(body, context),
            message::CHANNEL_EXTENDED_DATA => self.extended_data(body),
            message::CHANNEL_WINDOW_ADJUST => self.window_adjust(body, context),
            message::CHANNEL_EOF => self.eof(body, context),
            message::CHANNEL_CLOSE => self.close(body, context),
            _ => context.send(Writer::message(message::UNIMPLEMENTED).u32(packet.seq)),
        }
    }

    /// The visitor is gone: commands that still waited for input run on what came.
    pub(super) fn gone(&mut self, now: Timestamp, facts: &mut Vec<SessionFact>) {
        for session in self.channels.iter_mut().flatten() {
            let root = self.root;
            session.end_of_input(&mut Machine { now, shell: &mut self.shell, root, facts });
        }
        self.shell.finish();
        facts.extend(self.shell.take_facts());
    }

    fn global_request(
        &mut self,
        mut body: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fatal> {
        let (name, wants_reply) = (body.text()?, body.bool()?);
        let answer = match name.as_str() {
            "tcpip-forward" => self.remote_forward(body, wants_reply, context)?,
            "cancel-tcpip-forward" => {
                let held = self.forwards > 0;
                self.forwards = self.forwards.saturating_sub(1);
                held.then(Vec::new)
            }
            "no-more-sessions@openssh.com" => {
                self.no_more_sessions = true;
                Some(Vec::new())
            }
            "hostkeys-prove-00@openssh.com" => prove(body, context)?,
            _ => None,
        };
        match (wants_reply, answer) {
            (false, _) => Ok(()),
            (true, Some(answer)) => {
                context.send(Writer::message(message::REQUEST_SUCCESS).raw(&answer))
            }
            (true, None) => context.send(Writer::message(message::REQUEST_FAILURE)),
        }
    }

    /// Seems to listen; nobody will ever connect.
    fn remote_forward(
        &mut self,
        mut body: Reader<'_>,
        wants_reply: bool,
        context: &mut Context<'_>,
    ) -> Result<Option<Vec<u8>>, Fatal> {
        let (host, port) = (body.text()?, body.u32()?);
        context.request(&format!("tcpip-forward {host}:{port}"));
        let permitted = port == 0 && wants_reply
            || (1024..=65_535).contains(&port)
            || (1..1024).contains(&port) && self.root;
        if !permitted {
            let debug = Writer::message(message::DEBUG).bool(true);
            context.send(debug.text("Server has disabled port forwarding.").text(""))?;
            return Ok(None);
        }
        if self.forwards == MAX_FORWARDS {
            return Ok(None);
        }
        self.forwards += 1;
        let picked = context.transport.random().random_range(EPHEMERAL_PORTS);
        Ok(Some(if port == 0 { picked.to_be_bytes().to_vec() } else { Vec::new() }))
    }

    fn open(&mut self, mut body: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fatal> {
        let (kind, remote) = (body.text()?, body.u32()?);
        let (window, packet) = (body.u32()?, body.u32()?);
        let failure = match kind.as_str() {
            "session" => match self.open_session(remote, window, packet, context)? {
                true => return Ok(()),
                false => "open failed",
            },
            "direct-tcpip" => {
                let (host, port) = (body.text()?, body.u32()?);
                context.request(&format!("direct-tcpip {host}:{port}"));
                unreachable_reason(&host)
            }
            "direct-streamlocal@openssh.com" => {
                let path = body.text()?;
                context.request(&format!("direct-streamlocal {path}"));
                "open failed"
            }
            _ => "open failed",
        };
        context.send(
            Writer::message(message::CHANNEL_OPEN_FAILURE)
                .u32(remote)
                .u32(CONNECT_FAILED)
                .text(failure)
                .text(""),
        )
    }

    fn open_session(
        &mut self,
        remote: u32,
        window: u32,
        packet: u32,
        context: &mut Context<'_>,
    ) -> Result<bool, Fatal> {
        if self.no_more_sessions {
            return Err(Fatal::disconnect(
                "Possible attack: attempt to open a session after additional sessions disabled",
            ));
        }
        if self.channels.iter().flatten().count() == MAX_SESSIONS {
            return Ok(false);
        }
        let openssh = context.transport.client_is_openssh();
        let session = SessionChannel::new(Channel::new(remote, window, packet, openssh));
        let confirmation = session.channel.message(message::CHANNEL_OPEN_CONFIRMATION);
        let free = self.channels.iter().position(Option::is_none);
        let id = free.unwrap_or_else(|| {
            self.channels.push(None);
            self.channels.len() - 1
        });
        self.channels[id] = Some(session);
        context.send(confirmation.u32(id as u32).u32(0).u32(LOCAL_PACKET))?;
        Ok(true)
    }

    fn slot(&mut self, id: u32) -> Option<&mut SessionChannel> {
        self.channels.get_mut(id as usize)?.as_mut()
    }

    fn session(&mut self, id: u32, place: &str) -> Result<&mut SessionChannel, Fatal> {
        self.slot(id).ok_or_else(|| {
            Fatal::disconnect(format!("{place} packet referred to nonexistent channel {id}"))
        })
    }

    fn channel_request(
        &mut self,
        mut body: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fatal> {
        let (id, name, wants_reply) = (body.u32()?, body.text()?, body.bool()?);
        if self.slot(id).is_none() {
            return Err(Fatal::disconnect(format!(
                "server_input_channel_req: unknown channel {id}"
            )));
        }
        let granted = self.grant(id, &name, body, context)?;
        let session = self.session(id, "server_input_channel_req")?;
        if wants_reply && !session.channel.is_closed() {
            let number = if granted { message::CHANNEL_SUCCESS } else { message::CHANNEL_FAILURE };
            context.send(session.channel.message(number))?;
        }
        self.run(id, context)
    }

    fn grant(
        &mut self,
        id: u32,
        name: &str,
        mut body: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<Granted, Fatal> {
        let root = self.root;
        let Some(session) = self.channels.get_mut(id as usize).and_then(Option::as_mut) else {
            return Ok(false);
        };
        let (now, shell) = (context.now, &mut self.shell);
        let larval = matches!(session.program, Program::None);
        match name {
            "shell" if larval => {
                session.channel.start(context.transport)?;
                session.shell(&mut Machine { now, shell, root, facts: context.facts });
                Ok(true)
            }
            "exec" if larval => {
                let command = body.string()?;
                session.channel.start(context.transport)?;
                session.exec(command, &mut Machine { now, shell, root, facts: context.facts });
                Ok(true)
            }
            "pty-req" if larval => {
                let name = body.text()?;
                if session.terminal.is_some() {
                    return Err(Fatal::disconnect("Protocol error: you already have a pty."));
                }
                session.terminal = Some(Terminal { name });
                Ok(true)
            }
            "env" if larval => {
                let variable = body.text()?;
                Ok(variable == "LANG" || variable.starts_with("LC_"))
            }
            "subsystem" if larval => {
                let subsystem = body.text()?;
                context.request(&format!("subsystem {subsystem}"));
                Ok(false)
            }
            "x11-req" if larval => {
                let debug = Writer::message(message::DEBUG).bool(true);
                context.send(debug.text("No xauth program; cannot forward X11.").text(""))?;
                Ok(false)
            }
            "auth-agent-req@openssh.com" if larval => Ok(true),
            "window-change" => Ok(true),
            "signal" => Ok(!larval),
            "break" => Ok(session.terminal.is_some()),
            _ => Ok(false),
        }
    }

    fn data(&mut self, mut body: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fatal> {
        let id = body.u32()?;
        let session = self.session(id, "channel_input_data")?;
        let bytes = body.string()?;
        body.end()?;
        let ready = !matches!(session.program, Program::None) && !session.channel.eof_received;
        if !ready || !session.channel.admit(bytes.len()) {
            return Ok(());
        }
        session.input(bytes);
        self.run(id, context)
    }

    fn extended_data(&mut self, mut body: Reader<'_>) -> Result<(), Fatal> {
        let id = body.u32()?;
        self.session(id, "channel_input_extended_data").map(|_| ())
    }

    fn window_adjust(
        &mut self,
        mut body: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fatal> {
        let (id, bytes) = (body.u32()?, body.u32()?);
        let Some(session) = self.slot(id) else { return Ok(()) };
        session.channel.widen(bytes)?;
        self.run(id, context)
    }

    fn eof(&mut self, mut body: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fatal> {
        let id = body.u32()?;
        body.end()?;
        let session = self.session(id, "channel_input_ieof")?;
        session.channel.eof_received = true;
        self.run(id, context)
    }

    fn close(&mut self, mut body: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fatal> {
        let id = body.u32()?;
        let (now, root) = (context.now, self.root);
        let Some(Some(session)) = self.channels.get_mut(id as usize) else {
            return self.session(id, "channel_input_oclose").map(|_| ());
        };
        let shell = &mut self.shell;
        session.end_of_input(&mut Machine { now, shell, root, facts: context.facts });
        session.channel.close(context.transport)?;
        self.channels[id as usize] = None;
        Ok(())
    }

    /// Lets the program of a channel go on, as far as input and window allow.
    fn run(&mut self, id: u32, context: &mut Context<'_>) -> Result<(), Fatal> {
        let (now, root) = (context.now, self.root);
        let Some(Some(session)) = self.channels.get_mut(id as usize) else { return Ok(()) };
        loop {
            let shell = &mut self.shell;
            let used = session.run(&mut Machine { now, shell, root, facts: context.facts });
            session.channel.flush(context.transport)?;
            if used == 0 {
                return Ok(());
            }
            session.channel.consume(used, context.transport)?;
        }
    }
}

/// Signs the session identifier with each key that the client asks about (PROTOCOL section 2.5).
fn prove(mut body: Reader<'_>, context: &mut Context<'_>) -> Result<Option<Vec<u8>>, Fatal> {
    let mut proofs = Writer::blob();
    while !body.is_empty() {
        let asked = body.string()?;
        let keys = context.transport.host_keys();
        let Some(kind) = KeyKind::ALL.into_iter().find(|kind| keys.public(*kind) == asked) else {
            return Ok(None);
        };
        let algorithm = match kind {
            KeyKind::Rsa => HostKeyAlgorithm::RsaSha512,
            KeyKind::Ecdsa => HostKeyAlgorithm::EcdsaP256,
            KeyKind::Ed25519 => HostKeyAlgorithm::Ed25519,
        };
        let signed = Writer::blob()
            .text("hostkeys-prove-00@openssh.com")
            .string(context.transport.session_id())
            .string(asked);
        proofs = proofs.string(&keys.sign(algorithm, &signed.done()));
    }
    Ok(Some(proofs.done()))
}

/// What a connect from here says: nothing listens on the host itself, nothing else is reached,
/// and names stay unresolved.
fn unreachable_reason(host: &str) -> &'static str {
    match host.parse::<IpAddr>() {
        Ok(address) if !address.is_loopback() => "Connection timed out",
        Ok(_) => "Connection refused",
        Err(_) if host == "localhost" => "Connection refused",
        Err(_) => "Temporary failure in name resolution",
    }
}

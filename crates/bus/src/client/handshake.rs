//! The first words on a connection: INFO, then CONNECT and PING, then PONG.

use std::io;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Buf, BytesMut};

use super::{ConnectError, Credentials, Options, Scheme, socket::Socket};
use crate::proto::{
    ConnectOptions, Parsed, ProtoLimits, ServerFrame, ServerInfo, parse_server, write,
};

/// A socket whose server has let us in.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) socket: Socket,
    pub(super) info: ServerInfo,
    /// Read behind the PONG already.
    pub(super) unread: BytesMut,
}

/// What the server said, as far as the handshake cares.
enum Said {
    Info(Box<ServerInfo>),
    Pong,
    Error(String),
    Other,
}

/// Connects and signs in. No time limit of its own.
pub(super) async fn connect(options: &Options) -> Result<Greeted, ConnectError> {
    let address = &options.server.address;
    let failed = |source| ConnectError::Connect { address: address.clone(), source };
    let socket = Socket::connect(address).await.map_err(failed)?;
    let mut handshake = Handshake { options, socket, unread: BytesMut::new() };
    let info = handshake.greeting().await?;
    let demanded = options.server.scheme == Scheme::Tls;
    if info.tls_required || (demanded && info.tls_available) {
        handshake = handshake.upgraded().await?;
    } else if demanded {
        let what = "has no TLS; use a nats:// address where clear text is all right";
        return Err(ConnectError::NoTls { address: address.clone(), what });
    }
    handshake.sign_in(&info).await?;
    let Handshake { socket, unread, .. } = handshake;
    Ok(Greeted { socket, info, unread })
}

struct Handshake<'a> {
    options: &'a Options,
    socket: Socket,
    unread: BytesMut,
}

impl Handshake<'_> {
    #[cfg(feature = "tls")]
    async fn upgraded(self) -> Result<Self, ConnectError> {
        let Self { options, socket, unread } = self;
        let address = &options.server.address;
        // Whoever is on the way could have put words in the server's mouth.
        if !unread.is_empty() {
            let what = "it speaks before the TLS handshake";
            return Err(ConnectError::Protocol { address: address.clone(), what });
        }
        let roots = options.tls_roots.as_deref();
        let socket = socket.encrypted(address, roots).await;
        let socket =
            socket.map_err(|source| ConnectError::Tls { address: address.clone(), source })?;
        Ok(Self { options, socket, unread })
    }

    #[cfg(not(feature = "tls"))]
    async fn upgraded(self) -> Result<Self, ConnectError> {
        let what = "demands TLS, which this build does not have";
        Err(ConnectError::NoTls { address: self.options.server.address.clone(), what })
    }

    async fn greeting(&mut self) -> Result<ServerInfo, ConnectError> {
        match self.next().await? {
            Said::Info(info) => Ok(*info),
            Said::Error(text) => Err(self.refused(text)),
            Said::Pong | Said::Other => Err(self.wrong("it does not begin with INFO")),
        }
    }

    async fn sign_in(&mut self, info: &ServerInfo) -> Result<(), ConnectError> {
        let mut words = Vec::new();
        write::connect(&mut words, &connect_options(self.options, info)?.to_json());
        write::ping(&mut words);
        self.send(&words).await?;
        loop {
            match self.next().await? {
                Said::Pong => return Ok(()),
                Said::Error(text) => return Err(self.refused(text)),
                Said::Info(_) | Said::Other => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Said, ConnectError> {
        loop {
            match parse_server(&self.unread, &ProtoLimits::default()) {
                Ok(Parsed::Frame { frame, used }) => {
                    let said = said(frame);
                    self.unread.advance(used);
                    return said.ok_or_else(|| self.wrong("its INFO cannot be read"));
                }
                Ok(Parsed::Incomplete { .. }) => self.read().await?,
                Err(_) => return Err(self.wrong("that is no frame of a server")),
            }
        }
    }

    async fn read(&mut self) -> Result<(), ConnectError> {
        loop {
            self.socket.ready(false).await.map_err(|error| self.broke(error))?;
            match self.socket.read(&mut self.unread).map_err(|error| self.broke(error))? {
                Some(0) => return Err(self.broke(io::ErrorKind::UnexpectedEof.into())),
                Some(_) => return Ok(()),
                None => {}
            }
        }
    }

    async fn send(&mut self, mut words: &[u8]) -> Result<(), ConnectError> {
        while !words.is_empty() {
            self.socket.ready(true).await.map_err(|error| self.broke(error))?;
            let written = self.socket.write(words).map_err(|error| self.broke(error))?;
            words = &words[written.unwrap_or(0)..];
        }
        Ok(())
    }

    fn broke(&self, source: io::Error) -> ConnectError {
        ConnectError::Connect { address: self.options.server.address.clone(), source }
    }

    fn wrong(&self, what: &'static str) -> ConnectError {
        ConnectError::Protocol { address: self.options.server.address.clone(), what }
    }

    fn refused(&self, text: String) -> ConnectError {
        ConnectError::Refused { address: self.options.server.address.clone(), text }
    }
}

fn said(frame: ServerFrame<'_>) -> Option<Said> {
    Some(match frame {
        ServerFrame::Info(json) => Said::Info(Box::new(ServerInfo::parse(json).ok()?)),
        ServerFrame::Pong => Said::Pong,
        ServerFrame::Err(text) => Said::Error(String::from_utf8_lossy(text).into_owned()),
        ServerFrame::Ping | ServerFrame::Ok | ServerFrame::Msg { .. } => Said::Other,
    })
}

fn connect_options(options: &Options, info: &ServerInfo) -> Result<ConnectOptions, ConnectError> {
    let mut connect = ConnectOptions {
        verbose: false,
        pedantic: false,
        echo: options.echo,
        headers: true,
        no_responders: info.headers,
        protocol: 1,
        name: options.name.clone(),
        lang: "rust-morgana".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..ConnectOptions::default()
    };
    match &options.server.credentials {
        Credentials::None => {}
        Credentials::Password { user, password } => {
            (connect.user, connect.pass) = (Some(user.clone()), Some(password.clone()));
        }
        Credentials::Token(token) => connect.auth_token = Some(token.clone()),
        Credentials::Nkey(seed) => {
            let (key, signature) = signed(seed, info.nonce.as_deref())?;
            (connect.nkey, connect.sig) = (Some(key), Some(signature));
        }
    }
    Ok(connect)
}

/// The public key of a seed, and its signature of the nonce.
fn signed(seed: &str, nonce: Option<&str>) -> Result<(String, String), ConnectError> {
    let nonce = nonce.ok_or(ConnectError::Nkey { what: "the server asks for none" })?;
    let pair = nkeys::KeyPair::from_seed(seed.trim())
        .map_err(|_| ConnectError::Nkey { what: "it is no seed (SU…)" })?;
    let signature =
        pair.sign(nonce.as_bytes()).map_err(|_| ConnectError::Nkey { what: "it cannot sign" })?;
    Ok((pair.public_key(), URL_SAFE_NO_PAD.encode(signature)))
}

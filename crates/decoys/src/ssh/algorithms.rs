//! The algorithms that OpenSSH 9.2p1 of Debian 12 offers, in its order, and the choice among
//! them (RFC 4253 section 7.1). Every name here is implemented.
//!
//! Knows names and sizes; the work is done by `kex`, `cipher`, `mac` and `hostkey`.

use md5::{Digest, Md5};

use super::{
    message,
    wire::{Malformed, Reader, Writer},
};

/// Longest KEXINIT that is looked at; what clients send stays below 4 KiB. The packet limit
/// binds first for all that is not hostile.
const MAX_KEXINIT_BYTES: usize = 64 * 1024;

/// Declares the algorithms of one kind with their names.
macro_rules! algorithms {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// All of them, in the daemon's order.
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name on the wire.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|a| a.name() == name)
            }
        }
    };
}

algorithms! {
    /// A key exchange.
    KexMethod {
        Sntrup = "sntrup761x25519-sha512",
        SntrupOpenssh = "sntrup761x25519-sha512@openssh.com",
        Curve25519 = "curve25519-sha256",
        Curve25519Libssh = "curve25519-sha256@libssh.org",
        P256 = "ecdh-sha2-nistp256",
        P384 = "ecdh-sha2-nistp384",
        P521 = "ecdh-sha2-nistp521",
        GroupExchange = "diffie-hellman-group-exchange-sha256",
        Group16 = "diffie-hellman-group16-sha512",
        Group18 = "diffie-hellman-group18-sha512",
        Group14 = "diffie-hellman-group14-sha256",
    }
}

algorithms! {
    /// A signature algorithm of a host key.
    HostKeyAlgorithm {
        RsaSha512 = "rsa-sha2-512",
        RsaSha256 = "rsa-sha2-256",
        EcdsaP256 = "ecdsa-sha2-nistp256",
        Ed25519 = "ssh-ed25519",
    }
}

algorithms! {
    /// A cipher.
    CipherName {
        ChaChaPoly = "chacha20-poly1305@openssh.com",
        Aes128Ctr = "aes128-ctr",
        Aes192Ctr = "aes192-ctr",
        Aes256Ctr = "aes256-ctr",
        Aes128Gcm = "aes128-gcm@openssh.com",
        Aes256Gcm = "aes256-gcm@openssh.com",
    }
}

algorithms! {
    /// A message authentication code.
    MacName {
        Umac64Etm = "umac-64-etm@openssh.com",
        Umac128Etm = "umac-128-etm@openssh.com",
        Sha256Etm = "hmac-sha2-256-etm@openssh.com",
        Sha512Etm = "hmac-sha2-512-etm@openssh.com",
        Sha1Etm = "hmac-sha1-etm@openssh.com",
        Umac64 = "umac-64@openssh.com",
        Umac128 = "umac-128@openssh.com",
        Sha256 = "hmac-sha2-256",
        Sha512 = "hmac-sha2-512",
        Sha1 = "hmac-sha1",
    }
}

algorithms! {
    /// A compression.
    Compression {
        None = "none",
        /// From the moment of authentication on.
        Delayed = "zlib@openssh.com",
    }
}

/// The marker of strict key exchange, last in the server's list.
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
/// The same in the client's.
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
/// In the client's list: it takes `SSH_MSG_EXT_INFO`.
const EXT_INFO_CLIENT: &str = "ext-info-c";
/// What sshd calls the signatures that it understands (RFC 8308).
pub(super) const SERVER_SIG_ALGS: &str = "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,ssh-dss,ssh-rsa,rsa-sha2-256,rsa-sha2-512";

/// Our KEXINIT.
pub(super) fn our_kexinit(cookie: [u8; 16]) -> Vec<u8> {
    let join = |names: Vec<&str>| names.join(",");
    let ciphers = join(CipherName::ALL.iter().map(|a| a.name()).collect());
    let macs = join(MacName::ALL.iter().map(|a| a.name()).collect());
    let compressions = join(Compression::ALL.iter().map(|a| a.name()).collect());
    let kex = KexMethod::ALL.iter().map(|a| a.name()).chain([STRICT_SERVER]);
    Writer::message(message::KEXINIT)
        .raw(&cookie)
        .text(&join(kex.collect()))
        .text(&join(HostKeyAlgorithm::ALL.iter().map(|a| a.name()).collect()))
        .text(&ciphers)
        .text(&ciphers)
        .text(&macs)
        .text(&macs)
        .text(&compressions)
        .text(&compressions)
        .text("")
        .text("")
        .bool(false)
        .u32(0)
        .done()
}

/// A client's KEXINIT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ClientProposal {
    lists: [String; 10],
    guessed: bool,
}

/// What both sides agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Agreement {
    pub(super) kex: KexMethod,
    pub(super) host_key: HostKeyAlgorithm,
    /// Client to server.
    pub(super) inbound: Protection,
    /// Server to client.
    pub(super) outbound: Protection,
    /// The client sent a first packet for another method: it must be skipped.
    pub(super) skip_guess: bool,
}

/// The protection of one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Protection {
    pub(super) cipher: CipherName,
    /// None where the cipher authenticates.
    pub(super) mac: Option<MacName>,
    pub(super) compression: Compression,
}

impl ClientProposal {
    /// Reads a KEXINIT, message number included.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        if payload.len() > MAX_KEXINIT_BYTES {
            return Err(Malformed);
        }
        let mut reader = Reader::new(payload);
        reader.take(17)?;
        let mut lists: [String; 10] = Default::default();
        for list in &mut lists {
            *list = reader.text()?;
        }
        let guessed = reader.bool()?;
        reader.u32()?;
        reader.end()?;
        Ok(Self { lists, guessed })
    }

    /// Whether it knows strict key exchange.
    pub(super) fn strict(&self) -> bool {
        self.offers_kex(STRICT_CLIENT)
    }

    /// Whether it takes extension information.
    pub(super) fn ext_info(&self) -> bool {
        self.offers_kex(EXT_INFO_CLIENT)
    }

    fn offers_kex(&self, name: &str) -> bool {
        self.lists[0].split(',').any(|n| n == name)
    }

    /// HASSH of the client: MD5 over its key exchanges, ciphers, MACs and compressions.
    pub(super) fn hassh(&self) -> String {
        let text =
            [&self.lists[0], &self.lists[2], &self.lists[4], &self.lists[6]].map(String::as_str);
        hex(&Md5::digest(text.join(";")))
    }

    /// The first of the client's wishes that we have, for each kind; none where there is none.
    pub(super) fn agree(&self) -> Option<Agreement> {
        let kex = choose(&self.lists[0], KexMethod::named)?;
        let host_key = choose(&self.lists[1], HostKeyAlgorithm::named)?;
        let first = |list: &str| list.split(',').next().unwrap_or_default().to_owned();
        let right = first(&self.lists[0]) == KexMethod::ALL[0].name()
            && first(&self.lists[1]) == HostKeyAlgorithm::ALL[0].name();
        Some(Agreement {
            kex,
            host_key,
            inbound: self.protection(0)?,
            outbound: self.protection(1)?,
            skip_guess: self.guessed && !right,
        })
    }

    fn protection(&self, direction: usize) -> Option<Protection> {
        let cipher = choose(&self.lists[2 + direction], CipherName::named)?;
        let mac = match cipher.is_aead() {
            true => None,
            false => Some(choose(&self.lists[4 + direction], MacName::named)?),
        };
        let compression = choose(&self.lists[6 + direction], Compression::named)?;
        Some(Protection { cipher, mac, compression })
    }
}

fn choose<A>(wishes: &str, named: impl Fn(&str) -> Option<A>) -> Option<A> {
    wishes.split(',').find_map(named)
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CipherName {
    /// Whether it authenticates by itself.
    pub(super) const fn is_aead(self) -> bool {
        matches!(self, Self::ChaChaPoly | Self::Aes128Gcm | Self::Aes256Gcm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HASSHServer and size of openssh-server 1:9.2p1-2+deb12u10 as measured.
    #[test]
    fn the_offer_is_that_of_openssh_9_2() {
        let offer = our_kexinit([0; 16]);
        let proposal = ClientProposal::parse(&offer).unwrap();
        let lists = &proposal.lists;
        let server = [&lists[0], &lists[3], &lists[5], &lists[7]].map(String::as_str).join(";");
        assert_eq!(hex(&Md5::digest(server)), "425d29fe50d8e4f5e37efb6e24bcf660");
        assert_eq!(offer.len(), 1132 - 1 - 11);
    }
}

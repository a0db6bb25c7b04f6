//! The exchange of identification strings (RFC 4253 section 4.2), with the answers that
//! OpenSSH 9.2 gives to whoever is no SSH client.
//!
//! Owns the visitor's first line only. It must not know packets.

use model::Persona;

/// Longest identification line that sshd reads (`SSH_MAX_BANNER_LEN`).
const MAX_LINE_BYTES: usize = 8192;

/// Revisions of Debian 12's openssh-server. All of them carry the answer to Terrapin, hence
/// the same KEXINIT; see `algorithms`.
const REVISIONS: &[&str] = &["deb12u2", "deb12u3", "deb12u5", "deb12u6", "deb12u7"];

/// The identification string of a persona, without line end.
pub fn identification(persona: &Persona) -> String {
    let revision = REVISIONS[persona.draw("ssh.revision", REVISIONS.len() as u64) as usize];
    format!("SSH-2.0-OpenSSH_9.2p1 Debian-2+{revision}")
}

/// What the visitor's line turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Identified {
    /// The line goes on.
    Partial,
    /// An SSH 2 client.
    Client(Vec<u8>),
    /// None; this line answers it, then the connection closes.
    Refused(&'static str),
    /// A scanner that sshd hangs up on without a word.
    Ignored,
}

/// Collects the visitor's first line.
#[derive(Default, Debug)]
pub(super) struct LineReader {
    line: Vec<u8>,
    carriage_return: bool,
}

impl LineReader {
    /// Reads up to the end of the line; says how many bytes that took.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Identified) {
        for (index, &byte) in bytes.iter().enumerate() {
            match self.push(byte) {
                Identified::Partial => {}
                other => return (index + 1, other),
            }
        }
        (bytes.len(), Identified::Partial)
    }

    fn push(&mut self, byte: u8) -> Identified {
        match byte {
            b'\r' => {
                self.carriage_return = true;
                return Identified::Partial;
            }
            b'\n' => return judge(std::mem::take(&mut self.line)),
            0 => return INVALID,
            _ if self.carriage_return => return INVALID,
            _ => self.line.push(byte),
        }
        match self.line.len() > MAX_LINE_BYTES {
            true => INVALID,
            false => Identified::Partial,
        }
    }
}

const INVALID: Identified = Identified::Refused("Invalid SSH identification string.\r\n");
const MISMATCH: Identified = Identified::Refused("Protocol major versions differ.\r\n");

/// As `sscanf("SSH-%d.%d-%[^\n]\n")` sees the line.
fn judge(line: Vec<u8>) -> Identified {
    let Some(rest) = line.strip_prefix(b"SSH-") else { return INVALID };
    let Some((major, rest)) = number(rest) else { return INVALID };
    let Some((minor, rest)) = rest.strip_prefix(b".").and_then(number) else { return INVALID };
    let Some(software) = rest.strip_prefix(b"-").filter(|s| !s.is_empty()) else { return INVALID };
    match (major, minor) {
        (2, _) | (1, 99) => {}
        _ => return MISMATCH,
    }
    if software.starts_with(b"Probe-")
        || software.windows(SCANNER.len()).any(|window| window == SCANNER)
    {
        return Identified::Ignored;
    }
    Identified::Client(line)
}

const SCANNER: &[u8] = b"SSH_Version_Mapper";

/// A `%d` of scanf: white space, a sign, digits. What does not fit is no version that matters.
fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | 0x0b | 0x0c);
    let text = &text[text.iter().take_while(|b| blank(b)).count()..];
    let (sign, text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let value = text[..digits]
        .iter()
        .fold(0i64, |value, d| value.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    Some((sign * value, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Identified {
        LineReader::default().read(bytes).1
    }

    #[test]
    fn clients_are_told_from_strangers_as_sshd_does() {
        assert_eq!(read(b"SSH-2.0-Go\r\n"), Identified::Client(b"SSH-2.0-Go".to_vec()));
        assert_eq!(read(b"SSH-1.99-x\n"), Identified::Client(b"SSH-1.99-x".to_vec()));
        assert_eq!(read(b"SSH-2.0-x"), Identified::Partial);
        assert_eq!(read(b"SSH-1.5-x\r\n"), MISMATCH);
        assert_eq!(read(b"SSH-9.0-x\r\n"), MISMATCH);
        for garbage in [
            &b"GET / HTTP/1.0\r\n"[..],
            b"SSH-1337\r\n",
            b"SSH-2.0\r\n",
            b"SSH-2.0-\r\n",
            b"\r\n",
            b"SSH-2.0-a\rb",
            b"SSH-2\0",
        ] {
            assert_eq!(read(garbage), INVALID, "{garbage:?}");
        }
        assert_eq!(read(&[b'a'; MAX_LINE_BYTES + 1]), INVALID);
        assert_eq!(read(b"SSH-2.0-Probe-1\n"), Identified::Ignored);
    }
}

//! Replies and how they are written in RESP2 and RESP3.

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`.
    Simple(String),
    /// `-ERR …`; the text begins with its code.
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    /// Text for people: verbatim in RESP3.
    Text(String),
    Nil,
    NilArray,
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// Out of band in RESP3.
    Push(Vec<Reply>),
    /// Several replies to one command.
    Many(Vec<Reply>),
}

impl Reply {
    pub(super) fn ok() -> Self {
        Self::Simple("OK".into())
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(format!("ERR {}", text.into()))
    }

    pub(super) fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    pub(super) fn bulks<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Vec<Self> {
        items.into_iter().map(Self::bulk).collect()
    }

    /// Appends the reply as bytes.
    pub(super) fn write(&self, resp3: bool, out: &mut Vec<u8>) {
        let mut items = |mark: char, items: &[Self], count: usize| {
            out.extend_from_slice(format!("{mark}{count}\r\n").as_bytes());
            for item in items {
                item.write(resp3, out);
            }
        };
        match self {
            Self::Array(list) => items('*', list, list.len()),
            Self::Set(list) => items(if resp3 { '~' } else { '*' }, list, list.len()),
            Self::Push(list) => items(if resp3 { '>' } else { '*' }, list, list.len()),
            Self::Map(pairs) => {
                let list: Vec<Self> =
                    pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
                if resp3 { items('%', &list, pairs.len()) } else { items('*', &list, list.len()) }
            }
            Self::Many(list) => list.iter().for_each(|reply| reply.write(resp3, out)),
            Self::Simple(text) => line(out, '+', text),
            Self::Error(text) => line(out, '-', &text.replace(['\r', '\n'], " ")),
            Self::Int(number) => line(out, ':', &number.to_string()),
            Self::Nil | Self::NilArray if resp3 => out.extend_from_slice(b"_\r\n"),
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::NilArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Text(text) if resp3 => {
                line(out, '=', &(text.len() + 4).to_string());
                out.extend_from_slice(format!("txt:{text}\r\n").as_bytes());
            }
            Self::Text(text) => bulk(out, text.as_bytes()),
        }
    }
}

fn line(out: &mut Vec<u8>, mark: char, text: &str) {
    // Redis writes the visitor's bytes back as they are; a reply keeps them as Latin-1.
    out.push(mark as u8);
    out.extend(text.chars().flat_map(latin1));
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn latin1(c: char) -> Option<u8> {
    u8::try_from(u32::from(c)).ok()
}

/// Bytes as text that [`Reply::Error`] and [`Reply::Simple`] write back unchanged.
pub(super) fn raw(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

//! Messages of SNMP v1 (RFC 1157) and v2c (RFC 1901, 3416): what is asked, and how an answer is
//! written. What is refused, and what is let through, is what Net-SNMP 5.9.3 does.

use super::{
    ber::{self, INTEGER, NULL, OBJECT_ID, OCTETS, Reader, SEQUENCE},
    oid::Oid,
};

/// Most variables that one message may name.
const MAX_BINDINGS: usize = 128;

const GET_REQUEST: u8 = 0xa0;
const GET_NEXT_REQUEST: u8 = 0xa1;
const RESPONSE: u8 = 0xa2;
const SET_REQUEST: u8 = 0xa3;
const GET_BULK_REQUEST: u8 = 0xa5;

const V1: i64 = 0;
const V2C: i64 = 1;
const V3: i64 = 3;

/// Which protocol is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    V1,
    V2c,
}

impl Version {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2c => "v2c",
        }
    }
}

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Get,
    GetNext,
    /// The first so many variables once, the others so often.
    GetBulk {
        once: usize,
        repeat: usize,
    },
    Set,
}

/// A variable of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Binding<'a> {
    pub(super) oid: Oid,
    /// The tag and the contents of the value that came along.
    pub(super) value: (u8, &'a [u8]),
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request<'a> {
    pub(super) version: Version,
    pub(super) community: &'a [u8],
    pub(super) kind: Kind,
    pub(super) id: i64,
    pub(super) bindings: Vec<Binding<'a>>,
    /// The variables as they came.
    pub(super) as_it_came: &'a [u8],
}

/// A datagram that no agent answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// It is no message.
    Malformed,
    /// It is one of SNMPv3.
    V3,
}

/// How an answer went (RFC 3416, section 3). The rest never occurs here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    NoError = 0,
    TooBig = 1,
    NoSuchName = 2,
    NoAccess = 6,
}

/// A value of a variable, or why there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Integer(i32),
    Octets(Vec<u8>),
    Oid(Oid),
    Address([u8; 4]),
    Counter(u32),
    Gauge(u32),
    Ticks(u32),
    NoSuchObject,
    NoSuchInstance,
    EndOfMibView,
}

impl Value {
    /// Whether v1 has no word for it.
    pub(super) fn is_exception(&self) -> bool {
        matches!(self, Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView)
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => ber::put_integer(out, INTEGER, i64::from(*number)),
            Self::Octets(octets) => ber::put(out, OCTETS, octets),
            Self::Oid(oid) => ber::put(out, OBJECT_ID, &oid.write()),
            Self::Address(address) => ber::put(out, 0x40, address),
            Self::Counter(number) => ber::put_integer(out, 0x41, i64::from(*number)),
            Self::Gauge(number) => ber::put_integer(out, 0x42, i64::from(*number)),
            Self::Ticks(number) => ber::put_integer(out, 0x43, i64::from(*number)),
            Self::NoSuchObject => ber::put(out, 0x80, &[]),
            Self::NoSuchInstance => ber::put(out, 0x81, &[]),
            Self::EndOfMibView => ber::put(out, 0x82, &[]),
        }
    }
}

impl<'a> Request<'a> {
    /// Reads a datagram. Bytes behind a message, and behind the parts of a PDU, do not matter.
    pub(super) fn read(datagram: &'a [u8]) -> Result<Self, Refused> {
        let message = Reader::new(datagram).body(SEQUENCE).ok_or(Refused::Malformed)?;
        let mut message = Reader::new(message);
        let version = match message.integer() {
            Some(V1) => Version::V1,
            Some(V2C) => Version::V2c,
            Some(V3) => return Err(Refused::V3),
            _ => return Err(Refused::Malformed),
        };
        Self::behind(version, &mut message).ok_or(Refused::Malformed)
    }

    fn behind(version: Version, message: &mut Reader<'a>) -> Option<Self> {
        let community = message.body(OCTETS)?;
        let pdu = message.element()?;
        let mut parts = Reader::new(pdu.body);
        let id = parts.integer()?;
        let (first, second) = (parts.integer()?, parts.integer()?);
        let count = |number: i64| usize::try_from(number).unwrap_or(0);
        let kind = match pdu.tag {
            GET_REQUEST => Kind::Get,
            GET_NEXT_REQUEST => Kind::GetNext,
            GET_BULK_REQUEST => Kind::GetBulk { once: count(first), repeat: count(second) },
            SET_REQUEST => Kind::Set,
            _ => return None,
        };
        let as_it_came = parts.body(SEQUENCE)?;
        let mut list = Reader::new(as_it_came);
        let mut bindings = Vec::new();
        while !list.is_empty() {
            if bindings.len() == MAX_BINDINGS {
                return None;
            }
            bindings.push(Binding::read(list.body(SEQUENCE)?)?);
        }
        Some(Self { version, community, kind, id, bindings, as_it_came })
    }
}

impl<'a> Binding<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut parts = Reader::new(body);
        let oid = Oid::read(parts.body(OBJECT_ID)?)?;
        let value = parts.element().filter(|value| is_value(value.tag))?;
        parts.is_empty().then_some(Self { oid, value: (value.tag, value.body) })
    }
}

/// Whether a value may have this tag: those of the SMI, with Opaque and the old NsapAddress, and
/// the exceptions.
const fn is_value(tag: u8) -> bool {
    matches!(tag, INTEGER | 0x03 | OCTETS | NULL | OBJECT_ID | 0x40..=0x47 | 0x80..=0x82)
}

/// A variable of an answer.
pub(super) fn binding(oid: &Oid, value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    ber::put(&mut body, OBJECT_ID, &oid.write());
    value.put(&mut body);
    let mut binding = Vec::new();
    ber::put(&mut binding, SEQUENCE, &body);
    binding
}

/// The answer to a request, with these variables. `index` counts from 1; 0 means none.
pub(super) fn response(
    request: &Request<'_>,
    status: Status,
    index: usize,
    bindings: &[u8],
) -> Vec<u8> {
    let mut pdu = Vec::with_capacity(bindings.len() + 24);
    ber::put_integer(&mut pdu, INTEGER, request.id);
    ber::put_integer(&mut pdu, INTEGER, status as i64);
    ber::put_integer(&mut pdu, INTEGER, index as i64);
    ber::put(&mut pdu, SEQUENCE, bindings);
    let mut body = Vec::with_capacity(pdu.len() + request.community.len() + 16);
    let version = match request.version {
        Version::V1 => V1,
        Version::V2c => V2C,
    };
    ber::put_integer(&mut body, INTEGER, version);
    ber::put(&mut body, OCTETS, request.community);
    ber::put(&mut body, RESPONSE, &pdu);
    let mut message = Vec::with_capacity(body.len() + 4);
    ber::put(&mut message, SEQUENCE, &body);
    message
}

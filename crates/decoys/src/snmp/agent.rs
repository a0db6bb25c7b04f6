//! What an agent answers. Nothing of it can be changed from outside: its communities only read.

use super::{
    message::{self, Kind, Request, Status, Value, Version},
    oid::Oid,
    tree::Tree,
};

/// Longest answer to a short request: what every agent must be able to send and every manager to
/// receive (RFC 3417, section 3.2.1). Real agents go further; this one must not, for the address
/// that an answer goes to may be forged. A request that is longer may have an answer as long as
/// itself.
pub(super) const MAX_ANSWER_BYTES: usize = 484;

/// The answer to a request that took `asked` bytes.
pub(super) fn answer(request: &Request<'_>, asked: usize, tree: &Tree) -> Vec<u8> {
    let most = MAX_ANSWER_BYTES.max(asked);
    let asked_for = request.bindings.iter().map(|binding| &binding.oid);
    let found: Vec<(Oid, Value)> = match request.kind {
        Kind::Set => return refuse_to_set(request),
        Kind::Get => asked_for.map(|oid| (oid.clone(), tree.get(oid))).collect(),
        Kind::GetNext => asked_for.map(|oid| tree.next(oid)).collect(),
        Kind::GetBulk { once, repeat } => bulk(request, (once, repeat), most, tree),
    };
    if request.version == Version::V1 {
        let missing = found.iter().position(|(_, value)| value.is_exception());
        if let Some(at) = missing {
            let index = at + 1;
            return message::response(request, Status::NoSuchName, index, request.as_it_came);
        }
    }
    let bindings: Vec<u8> =
        found.iter().flat_map(|(oid, value)| message::binding(oid, value)).collect();
    let whole = message::response(request, Status::NoError, 0, &bindings);
    if whole.len() <= most { whole } else { too_big(request) }
}

/// Version 1 repeats the question, version 2c leaves the variables out (RFC 3416, section 4.2.1).
fn too_big(request: &Request<'_>) -> Vec<u8> {
    let bindings = match request.version {
        Version::V1 => request.as_it_came,
        Version::V2c => &[],
    };
    message::response(request, Status::TooBig, 0, bindings)
}

fn refuse_to_set(request: &Request<'_>) -> Vec<u8> {
    let (status, index) = match request.version {
        _ if request.bindings.is_empty() => (Status::NoError, 0),
        Version::V1 => (Status::NoSuchName, 1),
        Version::V2c => (Status::NoAccess, 1),
    };
    message::response(request, status, index, request.as_it_came)
}

/// What follows the variables: the first `once` of them one time, the others `repeat` times, row
/// by row, up to what fits into the answer. As with Net-SNMP, the row in which one of them
/// reaches the end is the last.
fn bulk(
    request: &Request<'_>,
    (once, repeat): (usize, usize),
    most: usize,
    tree: &Tree,
) -> Vec<(Oid, Value)> {
    let oids: Vec<Oid> = request.bindings.iter().map(|binding| binding.oid.clone()).collect();
    let (single, repeated) = oids.split_at(once.min(oids.len()));
    let mut room = Room {
        left: most
            .saturating_sub(message::response(request, Status::NoError, 0, &[]).len() + LENGTHS),
    };
    let mut found = Vec::new();
    for oid in single {
        let next = tree.next(oid);
        if !room.take(&next) {
            return found;
        }
        found.push(next);
    }
    let mut row = repeated.to_vec();
    for _ in 0..repeat {
        let mut is_last = row.is_empty();
        for place in &mut row {
            let next = tree.next(place);
            if !room.take(&next) {
                return found;
            }
            is_last |= next.1 == Value::EndOfMibView;
            *place = next.0.clone();
            found.push(next);
        }
        if is_last {
            break;
        }
    }
    found
}

/// By how much the lengths around the variables may grow with them.
const LENGTHS: usize = 6;

/// What still fits into an answer.
struct Room {
    left: usize,
}

impl Room {
    fn take(&mut self, (oid, value): &(Oid, Value)) -> bool {
        let left = self.left.checked_sub(message::binding(oid, value).len());
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

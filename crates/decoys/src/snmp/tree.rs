//! The variables of an agent at one moment, in order.

use std::collections::BTreeMap;

use super::{message::Value, oid::Oid};

/// Objects with their instances.
#[derive(Debug, Default)]
pub(super) struct Tree {
    rows: BTreeMap<Oid, Value>,
    objects: Vec<Oid>,
}

impl Tree {
    /// Adds an object that there is once.
    pub(super) fn scalar(&mut self, object: &Oid, value: Value) {
        self.column(object, [(vec![0], value)]);
    }

    /// Adds a column of a table: index and value of each row.
    pub(super) fn column(
        &mut self,
        object: &Oid,
        rows: impl IntoIterator<Item = (Vec<u32>, Value)>,
    ) {
        self.rows.extend(rows.into_iter().map(|(index, value)| (object.with(&index), value)));
        self.objects.push(object.clone());
    }

    /// The value of exactly this variable, or why there is none.
    pub(super) fn get(&self, oid: &Oid) -> Value {
        let absent = || match self.objects.iter().any(|object| object.holds(oid)) {
            true => Value::NoSuchInstance,
            false => Value::NoSuchObject,
        };
        self.rows.get(oid).cloned().unwrap_or_else(absent)
    }

    /// The first variable after this one; at the end this one, with the exception that says so.
    pub(super) fn next(&self, oid: &Oid) -> (Oid, Value) {
        let after = (std::ops::Bound::Excluded(oid), std::ops::Bound::Unbounded);
        let found = self.rows.range::<Oid, _>(after).next();
        found.map_or_else(
            || (oid.clone(), Value::EndOfMibView),
            |(oid, value)| (oid.clone(), value.clone()),
        )
    }
}

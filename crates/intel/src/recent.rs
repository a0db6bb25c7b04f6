//! A map that keeps what was used last: the bound on the analyst's memory.

use std::{collections::HashMap, hash::Hash};

/// Rows by key, with the moment of their last use on a clock that counts uses.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    rows: HashMap<K, (u64, V)>,
    uses: u64,
    most: usize,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    /// Keeps at most `most` rows after each [`Recent::trim`].
    pub(crate) fn new(most: usize) -> Self {
        Self { rows: HashMap::new(), uses: 0, most: most.max(1) }
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|(_, row)| row)
    }

    /// The row, marked as used.
    pub(crate) fn touch(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let (used, row) = self.rows.get_mut(key)?;
        *used = self.uses;
        Some(row)
    }

    pub(crate) fn put(&mut self, key: K, row: V) {
        self.uses += 1;
        self.rows.insert(key, (self.uses, row));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.rows.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.values().map(|(_, row)| row)
    }

    /// Lets go of the rows that were used longest ago, down to seven eighths of the limit, so
    /// that not every batch pays for it. Says whether it did.
    pub(crate) fn trim(&mut self) -> bool {
        if self.rows.len() <= self.most {
            return false;
        }
        let keep = self.most - self.most / 8;
        let mut uses: Vec<u64> = self.rows.values().map(|(used, _)| *used).collect();
        let (_, oldest_kept, _) = {
            let at = uses.len() - keep;
            uses.select_nth_unstable(at)
        };
        let oldest_kept = *oldest_kept;
        self.rows.retain(|_, (used, _)| *used >= oldest_kept);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_go_first() {
        let mut recent = Recent::new(8);
        (0..8).for_each(|n| recent.put(n, n));
        assert!(!recent.trim());
        recent.touch(&0);
        recent.put(8, 8);
        assert!(recent.trim());
        let mut left: Vec<_> = recent.values().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 3, 4, 5, 6, 7, 8]);
    }
}

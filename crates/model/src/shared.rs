//! A value that clones share until one of them is changed.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// Cloning costs nothing, however large the value is; the first change of a clone copies it.
#[derive(Default)]
pub struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: FromIterator<I>, I> FromIterator<I> for Shared<T> {
    fn from_iter<F: IntoIterator<Item = I>>(items: F) -> Self {
        Self(Arc::new(T::from_iter(items)))
    }
}

impl<'a, T> IntoIterator for &'a Shared<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_until_one_changes() {
        let mut one: Shared<Vec<u8>> = (0..3).collect();
        let other = one.clone();
        assert!(Arc::ptr_eq(&one.0, &other.0) && one == other);
        one.push(3);
        assert_eq!((one.len(), other.len()), (4, 3));
        assert_ne!(one, other);
        one.pop();
        assert_eq!(one, other);
        assert_eq!((&one).into_iter().copied().collect::<Vec<_>>(), [0, 1, 2]);
    }
}

//! Lists of subject filters, made for many questions.

/// Subject filters, some for one queue group only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {}

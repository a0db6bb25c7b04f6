//! Pages, and how values of the model stand in columns: ids and words as text, moments as
//! microseconds, counters as 64-bit integers, lists as JSON.

/// Most rows that one page of a list holds; larger limits are cut to it.
pub const MAX_PAGE: usize = 1000;

/// Rows of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins: the id of the last row here. `None` at the end.
    pub next: Option<C>,
    /// Rows of the whole list, where the list counts them (attackers and identities).
    pub total: Option<u64>,
}

/// The first page of a list together with the journal position at which it was true: both from
/// one read transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<T, C> {
    /// The journal's head.
    pub head: u64,
    /// The page.
    pub page: Page<T, C>,
}

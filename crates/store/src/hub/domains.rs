//! Domains: fields of work.

use model::{
    DomainId,
    hub::{Domain, Prose, Slug, Stamps, Title},
};

use super::{
    HubError, Made, Named, RequestKey, Table,
    table::{self, Condition, Outcome},
};
use crate::{
    Store,
    rows::{Binder, Columns},
    writer::Tx,
};

/// A domain to keep.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// Its short name, free among domains.
    pub slug: Slug,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
}

/// What to change about a domain; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// Its short name.
    pub slug: Option<Slug>,
    /// It in a few words.
    pub title: Option<Title>,
    /// It in more words.
    pub description: Option<Prose>,
}

/// Which domains: all.
#[derive(Clone, Copy, Debug, Default)]
pub struct DomainFilter;

impl DomainFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        Vec::new()
    }
}

impl Store {
    /// Keeps a new domain.
    ///
    /// # Errors
    /// Where its slug is taken or the database fails.
    pub async fn create_domain(
        &self,
        new: NewDomain,
        request: Option<RequestKey>,
    ) -> Result<Made<Domain>, HubError> {
        self.make("create a domain", request, move |tx| create(tx, new)).await
    }

    /// Changes a domain.
    ///
    /// # Errors
    /// Where it is not there or of another version, the slug is taken, or the database fails.
    pub async fn change_domain(
        &self,
        id: DomainId,
        change: DomainChange,
    ) -> Result<Domain, HubError> {
        self.write("change a domain", move |tx| {
            let before = table::expect::<Domain>(tx, id, change.version)?;
            let mut after = before.clone();
            if let Some(slug) = change.slug {
                table::free::<Domain>(tx, &slug, Some(id))?;
                after.slug = slug;
            }
            table::set(&mut after.title, change.title);
            table::set(&mut after.description, change.description);
            Ok(table::keep(tx, &before, after)?)
        })
        .await
    }
}

fn create(tx: &mut Tx<'_>, new: NewDomain) -> Outcome<Domain> {
    table::free::<Domain>(tx, &new.slug, None)?;
    let NewDomain { slug, title, description } = new;
    let id = tx.ambient().id();
    let domain = Domain { id, slug, title, description, stamps: table::fresh(tx) };
    table::put(tx, &domain)?;
    Ok(domain)
}

impl Table for Domain {
    type Id = DomainId;
    const NOUN: &'static str = "domain";
    const SELECT: &'static str = "SELECT r.id, r.slug, r.title, r.description, r.version,
        r.created_at, r.updated_at FROM domains r";
    const INTO: &'static str =
        "domains (id, slug, title, description, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] = &[
        ("domain_goals", "domain_id", "goals"),
        ("repos", "domain_id", "repos"),
        ("topics", "domain_id", "topics"),
    ];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            slug: columns.text()?,
            title: columns.text()?,
            description: columns.text()?,
            stamps: table::read_stamps(columns)?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.slug.as_str())?
            .put(self.title.as_str())?
            .put(self.description.as_str())?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> DomainId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}

impl Named for Domain {}

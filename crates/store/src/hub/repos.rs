//! Registered repositories.

use model::{
    DomainId, EventContext, Payload, RepoId,
    hub::{Domain, Location, Prose, Repo, RepoRegistered, Slug, Stamps},
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

/// A repository to register.
#[derive(Clone, Debug)]
pub struct NewRepo {
    /// Its short name, free among repositories.
    pub slug: Slug,
    /// Its domain.
    pub domain_id: DomainId,
    /// What it is for.
    pub description: Prose,
    /// Where it is fetched from.
    pub remote_url: Option<Location>,
    /// Where it is checked out.
    pub local_path: Option<Location>,
}

/// What to change about a repository; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct RepoChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// Its short name.
    pub slug: Option<Slug>,
    /// Its domain.
    pub domain_id: Option<DomainId>,
    /// What it is for.
    pub description: Option<Prose>,
    /// Where it is fetched from; `Some(None)` means nowhere.
    pub remote_url: Option<Option<Location>>,
    /// Where it is checked out; `Some(None)` means nowhere.
    pub local_path: Option<Option<Location>>,
}

/// Which repositories.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepoFilter {
    /// Those of this domain.
    pub domain_id: Option<DomainId>,
}

impl RepoFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([table::equal("r.domain_id = ?", self.domain_id)])
    }
}

impl Store {
    /// Registers a repository, and publishes that.
    ///
    /// # Errors
    /// Where its slug is taken, its domain is not there, or the database fails.
    pub async fn register_repo(
        &self,
        new: NewRepo,
        context: EventContext,
        request: Option<RequestKey>,
    ) -> Result<Made<Repo>, HubError> {
        self.make("register a repository", request, move |tx| register(tx, new, &context)).await
    }

    /// Changes a repository.
    ///
    /// # Errors
    /// Where it is not there or of another version, the slug is taken, the domain is not there,
    /// or the database fails.
    pub async fn change_repo(&self, id: RepoId, change: RepoChange) -> Result<Repo, HubError> {
        self.write("change a repository", move |tx| alter(tx, id, change)).await
    }
}

fn register(tx: &mut Tx<'_>, new: NewRepo, context: &EventContext) -> Outcome<Repo> {
    table::free::<Repo>(tx, &new.slug, None)?;
    let domain = table::referred::<Domain>(tx, "domain", new.domain_id)?;
    let repo = Repo {
        id: tx.ambient().id(),
        slug: new.slug,
        domain_id: domain.id,
        domain_slug: domain.slug,
        description: new.description,
        remote_url: new.remote_url,
        local_path: new.local_path,
        stamps: table::fresh(tx),
    };
    table::put(tx, &repo)?;
    let registered = RepoRegistered {
        repo_id: repo.id,
        repo_slug: repo.slug.clone(),
        domain_slug: repo.domain_slug.clone(),
        remote_url: repo.remote_url.clone(),
        local_path: repo.local_path.clone(),
    };
    tx.say_within(Payload::RepoRegistered(registered), context);
    Ok(repo)
}

fn alter(tx: &mut Tx<'_>, id: RepoId, change: RepoChange) -> Outcome<Repo> {
    let before = table::expect::<Repo>(tx, id, change.version)?;
    let mut after = before.clone();
    if let Some(slug) = change.slug {
        table::free::<Repo>(tx, &slug, Some(id))?;
        after.slug = slug;
    }
    if let Some(domain_id) = change.domain_id {
        let domain = table::referred::<Domain>(tx, "domain", domain_id)?;
        (after.domain_id, after.domain_slug) = (domain.id, domain.slug);
    }
    table::set(&mut after.description, change.description);
    table::set(&mut after.remote_url, change.remote_url);
    table::set(&mut after.local_path, change.local_path);
    Ok(table::keep(tx, &before, after)?)
}

impl Table for Repo {
    type Id = RepoId;
    const NOUN: &'static str = "repo";
    const SELECT: &'static str = "SELECT r.id, r.slug, r.domain_id, d.slug, r.description,
        r.remote_url, r.local_path, r.version, r.created_at, r.updated_at
        FROM repos r JOIN domains d ON d.id = r.domain_id";
    const INTO: &'static str = "repos (id, slug, domain_id, description, remote_url, local_path, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] =
        &[("workstreams", "repo_id", "workstreams")];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            slug: columns.text()?,
            domain_id: columns.text()?,
            domain_slug: columns.text()?,
            description: columns.text()?,
            remote_url: columns.maybe(Columns::text)?,
            local_path: columns.maybe(Columns::text)?,
            stamps: table::read_stamps(columns)?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.slug.as_str())?
            .put(self.domain_id.to_string())?
            .put(self.description.as_str())?
            .put(self.remote_url.as_ref().map(Location::as_str))?
            .put(self.local_path.as_ref().map(Location::as_str))?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> RepoId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}

impl Named for Repo {}

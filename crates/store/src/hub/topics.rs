//! Topics: subjects of work within a domain.

use model::{
    DomainId, TopicId,
    hub::{Domain, Prose, Slug, Stamps, Title, Topic},
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

/// A topic to keep.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its short name, free among topics.
    pub slug: Slug,
    /// Its domain.
    pub domain_id: DomainId,
    /// It in a few words.
    pub title: Title,
    /// It in more words.
    pub description: Prose,
}

/// What to change about a topic; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct TopicChange {
    /// The version that it must have.
    pub version: Option<u64>,
    /// Its short name.
    pub slug: Option<Slug>,
    /// Its domain.
    pub domain_id: Option<DomainId>,
    /// It in a few words.
    pub title: Option<Title>,
    /// It in more words.
    pub description: Option<Prose>,
}

/// Which topics.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopicFilter {
    /// Those of this domain.
    pub domain_id: Option<DomainId>,
}

impl TopicFilter {
    pub(super) fn conditions(self) -> Vec<Condition> {
        table::conditions([table::equal("r.domain_id = ?", self.domain_id)])
    }
}

impl Store {
    /// Keeps a new topic.
    ///
    /// # Errors
    /// Where its slug is taken, its domain is not there, or the database fails.
    pub async fn create_topic(
        &self,
        new: NewTopic,
        request: Option<RequestKey>,
    ) -> Result<Made<Topic>, HubError> {
        self.make("create a topic", request, move |tx| create(tx, new)).await
    }

    /// Changes a topic.
    ///
    /// # Errors
    /// Where it is not there or of another version, the slug is taken, the domain is not there,
    /// or the database fails.
    pub async fn change_topic(&self, id: TopicId, change: TopicChange) -> Result<Topic, HubError> {
        self.write("change a topic", move |tx| alter(tx, id, change)).await
    }
}

fn create(tx: &mut Tx<'_>, new: NewTopic) -> Outcome<Topic> {
    table::free::<Topic>(tx, &new.slug, None)?;
    let domain = table::referred::<Domain>(tx, "domain", new.domain_id)?;
    let topic = Topic {
        id: tx.ambient().id(),
        slug: new.slug,
        domain_id: domain.id,
        domain_slug: domain.slug,
        title: new.title,
        description: new.description,
        stamps: table::fresh(tx),
    };
    table::put(tx, &topic)?;
    Ok(topic)
}

fn alter(tx: &mut Tx<'_>, id: TopicId, change: TopicChange) -> Outcome<Topic> {
    let before = table::expect::<Topic>(tx, id, change.version)?;
    let mut after = before.clone();
    if let Some(slug) = change.slug {
        table::free::<Topic>(tx, &slug, Some(id))?;
        after.slug = slug;
    }
    if let Some(domain_id) = change.domain_id {
        let domain = table::referred::<Domain>(tx, "domain", domain_id)?;
        (after.domain_id, after.domain_slug) = (domain.id, domain.slug);
    }
    table::set(&mut after.title, change.title);
    table::set(&mut after.description, change.description);
    Ok(table::keep(tx, &before, after)?)
}

impl Table for Topic {
    type Id = TopicId;
    const NOUN: &'static str = "topic";
    const SELECT: &'static str = "SELECT r.id, r.slug, r.domain_id, d.slug, r.title,
        r.description, r.version, r.created_at, r.updated_at
        FROM topics r JOIN domains d ON d.id = r.domain_id";
    const INTO: &'static str =
        "topics (id, slug, domain_id, title, description, version, created_at, updated_at)";
    const REFERRERS: &'static [(&'static str, &'static str, &'static str)] =
        &[("workstreams", "topic_id", "workstreams"), ("decisions", "topic_id", "decisions")];

    fn read(columns: &mut Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: columns.text()?,
            slug: columns.text()?,
            domain_id: columns.text()?,
            domain_slug: columns.text()?,
            title: columns.text()?,
            description: columns.text()?,
            stamps: table::read_stamps(columns)?,
        })
    }

    fn bind(&self, row: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        row.put(self.id.to_string())?
            .put(self.slug.as_str())?
            .put(self.domain_id.to_string())?
            .put(self.title.as_str())?
            .put(self.description.as_str())?;
        table::bind_stamps(row, &self.stamps)
    }

    fn id(&self) -> TopicId {
        self.id
    }

    fn stamps(&mut self) -> Option<&mut Stamps> {
        Some(&mut self.stamps)
    }
}

impl Named for Topic {}

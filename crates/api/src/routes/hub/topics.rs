//! Topics: subjects of work within a domain.

use model::{
    EventContext, TopicId,
    hub::{Domain, Prose, Slug, Title, Topic},
};
use serde::Deserialize;
use store::{HubError, Made, NewTopic, TopicChange, TopicFilter};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, present, problem,
    resource::{AtVersion, Resource, filtered, handlers, listing, reference, references, stored},
};
use crate::{problem::Problem, state::App, views::hub::TopicView};

/// Which topics.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TopicQuery {
    /// Those of this domain: id, beginning of an id, or slug.
    domain: Option<String>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A topic to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTopic {
    /// A short name that no other topic has.
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Slug,
    /// Id, beginning of an id, or slug.
    domain: String,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
}

/// What to change about a topic; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeTopic {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Option<Slug>,
    /// Id, beginning of an id, or slug.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    domain: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Option<Title>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    description: Option<Prose>,
}

listing!(TopicQuery);

impl Resource for Topic {
    type View = TopicView;
    type Query = TopicQuery;
    type Create = CreateTopic;
    type Change = ChangeTopic;
    const NOUN: &'static str = "topic";
    const PATH: &'static str = "/api/v1/topics";
    stored!(TopicId, topic, topics, remove_topic, topic_named);

    fn view(&self, _app: &App) -> TopicView {
        self.into()
    }

    async fn page(
        app: &App,
        query: TopicQuery,
        after: Option<TopicId>,
        limit: usize,
    ) -> Result<store::Page<Self, TopicId>, Problem> {
        let domain_id = filtered::<Domain>(app, "domain", query.domain.as_deref()).await?;
        Ok(app.store.topics(TopicFilter { domain_id }, after, limit).await?)
    }

    async fn create(app: &App, wanted: CreateTopic, asked: Asked) -> Result<Made<Self>, Problem> {
        let domain_id = reference::<Domain>(app, "domain", &wanted.domain).await?;
        let CreateTopic { slug, title, description, .. } = wanted;
        let description = description.unwrap_or_default();
        let new = NewTopic { slug, domain_id, title, description };
        app.store.create_topic(new, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeTopic,
        _context: EventContext,
    ) -> Result<Self, Problem> {
        let domain_id = references::<Domain>(app, "domain", wanted.domain.as_deref()).await?;
        let ChangeTopic { version, slug, title, description, .. } = wanted;
        let change = TopicChange { version, slug, domain_id, title, description };
        app.store.change_topic(self.id, change).await.map_err(problem)
    }
}

handlers! {
    Topic, TopicView, TopicQuery, CreateTopic, ChangeTopic,
    "/api/v1/topics", "/api/v1/topics/{id}", "Id, beginning of an id, or slug",
    list "Topics.",
    create "Creates a topic.",
    show "A topic.",
    change "Changes a topic.",
    remove "Removes a topic that nothing refers to."
}

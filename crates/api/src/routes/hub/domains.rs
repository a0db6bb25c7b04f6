//! Domains: fields of work.

use model::{
    DomainId, EventContext,
    hub::{Domain, Prose, Slug, Title},
};
use serde::Deserialize;
use store::{DomainChange, DomainFilter, HubError, Made, NewDomain};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, present, problem,
    resource::{AtVersion, Resource, handlers, listing, stored},
};
use crate::{problem::Problem, state::App, views::hub::DomainView};

/// Which domains.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DomainQuery {
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A domain to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDomain {
    /// A short name that no other domain has.
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Slug,
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Title,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
}

/// What to change about a domain; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeDomain {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    version: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Option<Slug>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    title: Option<Title>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    description: Option<Prose>,
}

listing!(DomainQuery);

impl Resource for Domain {
    type View = DomainView;
    type Query = DomainQuery;
    type Create = CreateDomain;
    type Change = ChangeDomain;
    const NOUN: &'static str = "domain";
    const PATH: &'static str = "/api/v1/domains";
    stored!(DomainId, domain, domains, remove_domain, domain_named);

    fn view(&self, _app: &App) -> DomainView {
        self.into()
    }

    async fn page(
        app: &App,
        _query: DomainQuery,
        after: Option<DomainId>,
        limit: usize,
    ) -> Result<store::Page<Self, DomainId>, Problem> {
        Ok(app.store.domains(DomainFilter, after, limit).await?)
    }

    async fn create(app: &App, wanted: CreateDomain, asked: Asked) -> Result<Made<Self>, Problem> {
        let CreateDomain { slug, title, description } = wanted;
        let new = NewDomain { slug, title, description: description.unwrap_or_default() };
        app.store.create_domain(new, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeDomain,
        _context: EventContext,
    ) -> Result<Self, Problem> {
        let ChangeDomain { version, slug, title, description } = wanted;
        let change = DomainChange { version, slug, title, description };
        app.store.change_domain(self.id, change).await.map_err(problem)
    }
}

handlers! {
    Domain, DomainView, DomainQuery, CreateDomain, ChangeDomain,
    "/api/v1/domains", "/api/v1/domains/{id}", "Id, beginning of an id, or slug",
    list "Domains.",
    create "Creates a domain.",
    show "A domain.",
    change "Changes a domain.",
    remove "Removes a domain that nothing refers to."
}

//! Registered repositories.

use model::{
    EventContext, RepoId,
    hub::{Domain, Location, Prose, Repo, Slug},
};
use serde::Deserialize;
use store::{HubError, Made, NewRepo, RepoChange, RepoFilter};
use utoipa::{IntoParams, ToSchema};

use super::{
    Asked, nullable, present, problem,
    resource::{AtVersion, Resource, filtered, handlers, listing, reference, references, stored},
};
use crate::{problem::Problem, state::App, views::hub::RepoView};

/// Which repositories.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RepoQuery {
    /// Those of this domain: id, beginning of an id, or slug.
    domain: Option<String>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most rows, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A repository to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRepo {
    /// A short name that no other repository has.
    #[schema(value_type = String, max_length = 64, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")]
    slug: Slug,
    /// Id, beginning of an id, or slug.
    domain: String,
    /// At most 16 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<Prose>,
    /// Where it is fetched from; without a password, since it is published.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    remote_url: Option<Location>,
    /// Where it is checked out.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    local_path: Option<Location>,
}

/// What to change about a repository; what is absent stays, `null` takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRepo {
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
    #[schema(value_type = String)]
    description: Option<Prose>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    remote_url: Option<Option<Location>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    local_path: Option<Option<Location>>,
}

listing!(RepoQuery);

impl Resource for Repo {
    type View = RepoView;
    type Query = RepoQuery;
    type Create = CreateRepo;
    type Change = ChangeRepo;
    const NOUN: &'static str = "repo";
    const PATH: &'static str = "/api/v1/repos";
    stored!(RepoId, repo, repos, remove_repo, repo_named);

    fn view(&self, _app: &App) -> RepoView {
        self.into()
    }

    async fn page(
        app: &App,
        query: RepoQuery,
        after: Option<RepoId>,
        limit: usize,
    ) -> Result<store::Page<Self, RepoId>, Problem> {
        let domain_id = filtered::<Domain>(app, "domain", query.domain.as_deref()).await?;
        Ok(app.store.repos(RepoFilter { domain_id }, after, limit).await?)
    }

    async fn create(app: &App, wanted: CreateRepo, asked: Asked) -> Result<Made<Self>, Problem> {
        let domain_id = reference::<Domain>(app, "domain", &wanted.domain).await?;
        let new = NewRepo {
            slug: wanted.slug,
            domain_id,
            description: wanted.description.unwrap_or_default(),
            remote_url: wanted.remote_url,
            local_path: wanted.local_path,
        };
        app.store.register_repo(new, asked.context, asked.key).await.map_err(problem)
    }

    async fn change(
        &self,
        app: &App,
        wanted: ChangeRepo,
        _context: EventContext,
    ) -> Result<Self, Problem> {
        let change = RepoChange {
            version: wanted.version,
            slug: wanted.slug,
            domain_id: references::<Domain>(app, "domain", wanted.domain.as_deref()).await?,
            description: wanted.description,
            remote_url: wanted.remote_url,
            local_path: wanted.local_path,
        };
        app.store.change_repo(self.id, change).await.map_err(problem)
    }
}

handlers! {
    Repo, RepoView, RepoQuery, CreateRepo, ChangeRepo,
    "/api/v1/repos", "/api/v1/repos/{id}", "Id, beginning of an id, or slug",
    list "Registered repositories.",
    create "Registers a repository; publishes `org.statehub.repo.registered`.",
    show "A repository.",
    change "Changes a repository.",
    remove "Removes a repository that nothing refers to."
}

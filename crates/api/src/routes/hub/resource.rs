//! What the resources of the hub have in common: found by id, slug or the beginning of an id;
//! listed, made, shown, changed, removed.

use std::{fmt::Display, str::FromStr};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{EventContext, hub::Slug};
use serde::{Deserialize, Serialize};
use store::{HubError, Made};
use utoipa::{IntoParams, ToSchema};

use super::{Asked, present, problem};
use crate::{
    auth::Principal,
    idempotency::{Keyed, marked},
    page::{Page, limit, place},
    peer::Peer,
    problem::Problem,
    resolve::{bound, one_of},
    state::App,
};

/// Which version a thing must have.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AtVersion {
    /// Refuse where it has another version.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = u64)]
    pub(super) version: Option<u64>,
}

/// A kind of thing with a list of its own.
pub(super) trait Resource: Sized {
    type Id: Copy + Display + FromStr;
    type View: Serialize;
    type Query: Listing;
    type Create;
    type Change;
    /// What one is called, in the audit log too.
    const NOUN: &'static str;
    /// Where they are: `/api/v1/…`.
    const PATH: &'static str;

    fn id(&self) -> Self::Id;
    fn view(&self, app: &App) -> Self::View;
    async fn load(app: &App, id: Self::Id) -> Result<Option<Self>, Problem>;
    /// What has no slugs is never found by one.
    async fn named(_app: &App, _slug: &Slug) -> Result<Option<Self>, Problem> {
        Ok(None)
    }
    /// The newest ones from there on, whatever they are.
    async fn newest(app: &App, from: Self::Id, limit: usize) -> Result<Vec<Self>, Problem>;
    async fn page(
        app: &App,
        query: Self::Query,
        after: Option<Self::Id>,
        limit: usize,
    ) -> Result<store::Page<Self, Self::Id>, Problem>;
    async fn create(app: &App, wanted: Self::Create, asked: Asked) -> Result<Made<Self>, Problem>;
    async fn change(
        &self,
        app: &App,
        wanted: Self::Change,
        context: EventContext,
    ) -> Result<Self, Problem>;
    async fn remove(app: &App, id: Self::Id, version: Option<u64>) -> Result<(), HubError>;
}

/// A query that asks for a page.
pub(super) trait Listing {
    fn cursor(&self) -> Option<&str>;
    fn limit(&self) -> Option<u32>;
}

/// How a query asks for a page.
macro_rules! listing {
    ($query:ty) => {
        impl $crate::routes::hub::resource::Listing for $query {
            fn cursor(&self) -> Option<&str> {
                self.cursor.as_deref()
            }

            fn limit(&self) -> Option<u32> {
                self.limit
            }
        }
    };
}
pub(super) use listing;

/// The one that `text` names: by id, by slug, or by the beginning of an id.
pub(super) async fn find<R: Resource>(app: &App, text: &str) -> Result<R, Problem> {
    let mut found = match text.parse::<R::Id>() {
        Ok(id) => R::load(app, id).await?,
        Err(_) => None,
    };
    if let (None, Ok(slug)) = (&found, text.parse::<Slug>()) {
        found = R::named(app, &slug).await?;
    }
    if let (None, Some(from)) = (&found, bound::<R::Id>(text)) {
        found = one_of(text, R::newest(app, from, 2).await?, |row| row.id().to_string())?;
    }
    found.ok_or_else(|| Problem::not_found(format!("there is no such {}", R::NOUN)))
}

/// The id of the one that a field of a body names.
pub(super) async fn reference<R: Resource>(
    app: &App,
    field: &'static str,
    text: &str,
) -> Result<R::Id, Problem> {
    let found = find::<R>(app, text).await.map(|row| row.id());
    found.map_err(|problem| match problem.status() {
        StatusCode::NOT_FOUND => {
            Problem::field(field, "UNKNOWN_REFERENCE", format!("there is no such {}", R::NOUN))
        }
        _ => about(field, problem),
    })
}

/// Says which field names nothing, or several things.
fn about(field: &'static str, problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::NOT_FOUND => problem.about(field, "UNKNOWN_REFERENCE"),
        StatusCode::CONFLICT => problem.about(field, "AMBIGUOUS_NAME"),
        _ => problem,
    }
}

/// The id of the one that a field of a body names, where it names one.
pub(super) async fn references<R: Resource>(
    app: &App,
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<R::Id>, Problem> {
    match text {
        Some(text) => reference::<R>(app, field, text).await.map(Some),
        None => Ok(None),
    }
}

/// The id of the one that a nullable field of a change names; `Some(None)` for `null`.
pub(super) async fn rereferences<R: Resource>(
    app: &App,
    field: &'static str,
    text: Option<Option<String>>,
) -> Result<Option<Option<R::Id>>, Problem> {
    match text {
        Some(text) => references::<R>(app, field, text.as_deref()).await.map(Some),
        None => Ok(None),
    }
}

/// The id of the one that a filter names, where it names one; 404 where there is no such thing.
pub(super) async fn filtered<R: Resource>(
    app: &App,
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<R::Id>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let found = find::<R>(app, text).await;
    found.map(|row| Some(row.id())).map_err(|problem| about(field, problem))
}

pub(super) async fn list<R: Resource>(
    app: &App,
    query: R::Query,
) -> Result<axum::Json<Page<R::View>>, Problem> {
    let (after, limit) = (place(query.cursor())?, limit(query.limit())?);
    let page = R::page(app, query, after, limit).await?;
    Ok(axum::Json(Page::of(&page, |row| row.view(app))))
}

pub(super) async fn create<R: Resource>(
    app: &App,
    caller: &Principal,
    peer: Peer,
    request: Keyed<R::Create>,
    context: EventContext,
) -> Result<Response, Problem> {
    let (wanted, key) = request.of(caller);
    let Made { row, replayed } = R::create(app, wanted, Asked { context, key }).await?;
    if !replayed {
        audit(app, caller, peer, "create", &row).await;
    }
    let location = [(header::LOCATION, format!("{}/{}", R::PATH, row.id()))];
    let response = (StatusCode::CREATED, location, axum::Json(row.view(app))).into_response();
    Ok(marked(response, replayed))
}

pub(super) async fn show<R: Resource>(
    app: &App,
    text: &str,
) -> Result<axum::Json<R::View>, Problem> {
    Ok(axum::Json(find::<R>(app, text).await?.view(app)))
}

pub(super) async fn change<R: Resource>(
    app: &App,
    caller: &Principal,
    peer: Peer,
    text: &str,
    wanted: R::Change,
    context: EventContext,
) -> Result<axum::Json<R::View>, Problem> {
    let found = find::<R>(app, text).await?;
    let changed = found.change(app, wanted, context).await?;
    done(app, caller, peer, "change", &changed).await
}

/// Writes down what was done to a thing, and shows what became of it.
pub(super) async fn done<R: Resource>(
    app: &App,
    caller: &Principal,
    peer: Peer,
    verb: &str,
    row: &R,
) -> Result<axum::Json<R::View>, Problem> {
    audit(app, caller, peer, verb, row).await;
    Ok(axum::Json(row.view(app)))
}

pub(super) async fn remove<R: Resource>(
    app: &App,
    caller: &Principal,
    peer: Peer,
    text: &str,
    version: Option<u64>,
) -> Result<StatusCode, Problem> {
    let found = find::<R>(app, text).await?;
    R::remove(app, found.id(), version).await.map_err(problem)?;
    audit(app, caller, peer, "remove", &found).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes down what was done to a thing.
async fn audit<R: Resource>(app: &App, caller: &Principal, peer: Peer, verb: &str, row: &R) {
    let action = format!("{}.{verb}", R::NOUN);
    app.audit_ok(caller, Some(peer), &action, format!("{}/{}", R::NOUN, row.id())).await;
}

/// The five handlers of a resource, as its module's `list`, `create`, `show`, `change`, `remove`.
macro_rules! handlers {
    (
        $row:ty, $view:ident, $query:ident, $create:ident, $change:ident,
        $collection:tt, $item:tt, $id:tt,
        list $list:tt, create $created:tt, show $shown:tt, change $changed:tt, remove $removed:tt
    ) => {
        #[utoipa::path(get, path = $collection, tag = "hub", summary = $list, params($query),
            responses(
            (status = 200, description = "A page, newest first", body = $crate::page::Page<$view>),
            (status = "default", description = "Refused", body = $crate::problem::ProblemBody<'static>, content_type = "application/problem+json"),
        ))]
        pub(crate) async fn list(
            _: $crate::extract::Viewer,
            axum::extract::State(app): axum::extract::State<std::sync::Arc<$crate::state::App>>,
            $crate::extract::Query(query): $crate::extract::Query<$query>,
        ) -> Result<axum::Json<$crate::page::Page<$view>>, $crate::problem::Problem> {
            $crate::routes::hub::resource::list::<$row>(&app, query).await
        }

        #[utoipa::path(post, path = $collection, tag = "hub", summary = $created,
            params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body, within a day, get the same thing")),
            request_body = $create, responses(
            (status = 201, description = "Created", body = $view),
            (status = "default", description = "Refused", body = $crate::problem::ProblemBody<'static>, content_type = "application/problem+json"),
        ))]
        pub(crate) async fn create(
            $crate::extract::Operator(caller): $crate::extract::Operator,
            axum::extract::State(app): axum::extract::State<std::sync::Arc<$crate::state::App>>,
            peer: $crate::peer::Peer,
            headers: axum::http::HeaderMap,
            request: $crate::idempotency::Keyed<$create>,
        ) -> Result<axum::response::Response, $crate::problem::Problem> {
            let context = $crate::routes::hub::context(&caller, &headers);
            $crate::routes::hub::resource::create::<$row>(&app, &caller, peer, request, context)
                .await
        }

        #[utoipa::path(get, path = $item, tag = "hub", summary = $shown,
            params(("id" = String, Path, description = $id)), responses(
            (status = 200, description = "As it is", body = $view),
            (status = "default", description = "Refused", body = $crate::problem::ProblemBody<'static>, content_type = "application/problem+json"),
        ))]
        pub(crate) async fn show(
            _: $crate::extract::Viewer,
            axum::extract::State(app): axum::extract::State<std::sync::Arc<$crate::state::App>>,
            $crate::extract::Path(id): $crate::extract::Path<String>,
        ) -> Result<axum::Json<$view>, $crate::problem::Problem> {
            $crate::routes::hub::resource::show::<$row>(&app, &id).await
        }

        #[utoipa::path(patch, path = $item, tag = "hub", summary = $changed,
            request_body = $change,
            params(("id" = String, Path, description = $id)), responses(
            (status = 200, description = "As it is now", body = $view),
            (status = "default", description = "Refused", body = $crate::problem::ProblemBody<'static>, content_type = "application/problem+json"),
        ))]
        pub(crate) async fn change(
            $crate::extract::Operator(caller): $crate::extract::Operator,
            axum::extract::State(app): axum::extract::State<std::sync::Arc<$crate::state::App>>,
            peer: $crate::peer::Peer,
            $crate::extract::Path(id): $crate::extract::Path<String>,
            headers: axum::http::HeaderMap,
            $crate::extract::Json(wanted): $crate::extract::Json<$change>,
        ) -> Result<axum::Json<$view>, $crate::problem::Problem> {
            let context = $crate::routes::hub::context(&caller, &headers);
            $crate::routes::hub::resource::change::<$row>(
                &app, &caller, peer, &id, wanted, context,
            )
            .await
        }

        #[utoipa::path(delete, path = $item, tag = "hub", summary = $removed,
            params(("id" = String, Path, description = $id), AtVersion), responses(
            (status = 204, description = "Removed"),
            (status = "default", description = "Refused", body = $crate::problem::ProblemBody<'static>, content_type = "application/problem+json"),
        ))]
        pub(crate) async fn remove(
            $crate::extract::Operator(caller): $crate::extract::Operator,
            axum::extract::State(app): axum::extract::State<std::sync::Arc<$crate::state::App>>,
            peer: $crate::peer::Peer,
            $crate::extract::Path(id): $crate::extract::Path<String>,
            $crate::extract::Query(query): $crate::extract::Query<AtVersion>,
        ) -> Result<axum::http::StatusCode, $crate::problem::Problem> {
            let version = query.version;
            $crate::routes::hub::resource::remove::<$row>(&app, &caller, peer, &id, version).await
        }
    };
}
pub(super) use handlers;

/// How a resource stands in the store: what of [`Resource`] is the same for each, and how it is
/// found by its slug, where it has one.
macro_rules! stored {
    ($id:ty, $one:ident, $many:ident, $remove:ident $(, $named:ident)?) => {
        type Id = $id;

        fn id(&self) -> $id {
            self.id
        }

        async fn load(app: &App, id: $id) -> Result<Option<Self>, Problem> {
            Ok(app.store.$one(id).await?)
        }

        $(async fn named(app: &App, slug: &Slug) -> Result<Option<Self>, Problem> {
            Ok(app.store.$named(slug).await?)
        })?

        async fn newest(app: &App, from: $id, limit: usize) -> Result<Vec<Self>, Problem> {
            Ok(app.store.$many(Default::default(), Some(from), limit).await?.items)
        }

        async fn remove(app: &App, id: $id, version: Option<u64>) -> Result<(), HubError> {
            app.store.$remove(id, version).await
        }
    };
}
pub(super) use stored;

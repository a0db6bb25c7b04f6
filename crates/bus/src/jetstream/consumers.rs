//! The calls `CONSUMER.*`, but for `MSG.NEXT`, which the engine takes itself.

use serde::{Deserialize, Serialize};

use super::{
    Answer, ApiError, Page, PageRequest,
    consumer_config::{ConsumerInfoJson, ConsumerJson},
    page, parse, parse_or_default, respond,
};
use crate::stream::{ConsumerConfig, engine::Engine};

const NAMES_PER_PAGE: usize = 1024;
const CONSUMERS_PER_PAGE: usize = 256;

/// What the subject of a request to make a consumer says.
enum Shape<'a> {
    /// `CREATE.S`: ephemeral, from before consumers had names.
    Ephemeral,
    /// `CREATE.S.NAME` and `CREATE.S.NAME.FILTER`.
    Named(&'a str, Option<String>),
    /// `DURABLE.CREATE.S.NAME`.
    Durable(&'a str),
}

pub(super) fn answer(engine: &mut Engine, call: &[&str], body: &[u8]) -> Option<Answer> {
    let create = |engine: &mut Engine, stream: &str, shape: &Shape<'_>| {
        respond("consumer_create", create(engine, stream, shape, body))
    };
    Some(match call {
        ["DURABLE", "CREATE", stream, name] => create(engine, stream, &Shape::Durable(name)),
        ["CREATE", stream] => create(engine, stream, &Shape::Ephemeral),
        ["CREATE", stream, name] => create(engine, stream, &Shape::Named(name, None)),
        ["CREATE", stream, name, filter @ ..] => {
            create(engine, stream, &Shape::Named(name, Some(filter.join("."))))
        }
        ["INFO", stream, name] => respond("consumer_info", info(engine, stream, name)),
        ["DELETE", stream, name] => respond("consumer_delete", delete(engine, stream, name)),
        ["NAMES", stream] => respond("consumer_names", names(engine, stream, body)),
        ["LIST", stream] => respond("consumer_list", list(engine, stream, body)),
        ["LEADER", "STEPDOWN", ..] => {
            respond::<()>("consumer_leader_stepdown", Err(ApiError::NO_CLUSTER))
        }
        _ => return None,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CreateRequest {
    stream_name: String,
    config: ConsumerJson,
    action: Action,
}

/// What a request to make a consumer wants; of servers newer than the rest.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
enum Action {
    /// Make it, or change the one of this name.
    #[default]
    #[serde(rename = "")]
    Either,
    /// Make it; one that is just like this may be there.
    #[serde(rename = "create")]
    Create,
    /// Change the one of this name.
    #[serde(rename = "update")]
    Update,
}

/// Whether a consumer may be made where there is one, or none.
fn check_action(
    action: Action,
    present: Option<&ConsumerConfig>,
    wanted: &ConsumerConfig,
) -> Result<(), ApiError> {
    match (action, present) {
        (Action::Create, Some(present)) if present != wanted => Err(ApiError::CONSUMER_EXISTS),
        (Action::Update, None) => Err(ApiError::NO_CONSUMER_TO_UPDATE),
        _ => Ok(()),
    }
}

fn create(
    engine: &mut Engine,
    stream: &str,
    shape: &Shape<'_>,
    body: &[u8],
) -> Result<ConsumerInfoJson, ApiError> {
    let mut request: CreateRequest = parse(body)?;
    if request.stream_name != stream {
        return Err(ApiError::STREAM_MISMATCH);
    }
    fit(&mut request.config, shape)?;
    engine.catalogue().get(stream)?;
    let config = request.config.into_config()?;
    let present = engine.catalogue().consumer_info(stream, &config.name).ok();
    let wanted = engine.catalogue().completed(config);
    check_action(request.action, present.as_ref().map(|info| &info.config), &wanted)?;
    let name = engine.catalogue().create_consumer(stream, wanted)?;
    engine.stir_consumer(stream, &name);
    Ok(engine.catalogue().consumer_info(stream, &name)?.into())
}

/// The names in subject and body must agree.
fn fit(config: &mut ConsumerJson, shape: &Shape<'_>) -> Result<(), ApiError> {
    let durable = &config.durable_name;
    match shape {
        Shape::Ephemeral if !durable.is_empty() => Err(ApiError::NOT_EPHEMERAL),
        Shape::Ephemeral => Ok(()),
        Shape::Durable(_) if durable.is_empty() => Err(ApiError::NOT_DURABLE),
        Shape::Durable(name) if durable != name => Err(ApiError::DURABLE_MISMATCH),
        Shape::Durable(_) => Ok(()),
        Shape::Named(name, _) if !durable.is_empty() && durable != name => {
            Err(ApiError::DURABLE_MISMATCH)
        }
        Shape::Named(_, Some(filter)) if *filter != config.filter_subject => {
            Err(ApiError::FILTER_MISMATCH)
        }
        Shape::Named(name, _) => {
            config.name = (*name).to_owned();
            Ok(())
        }
    }
}

fn info(engine: &mut Engine, stream: &str, name: &str) -> Result<ConsumerInfoJson, ApiError> {
    Ok(engine.catalogue().consumer_info(stream, name)?.into())
}

#[derive(Serialize)]
struct Done {
    success: bool,
}

fn delete(engine: &mut Engine, stream: &str, name: &str) -> Result<Done, ApiError> {
    engine.remove_consumer(stream, name)?;
    Ok(Done { success: true })
}

#[derive(Serialize)]
struct Names {
    #[serde(flatten)]
    page: Page,
    consumers: Vec<String>,
}

fn names(engine: &mut Engine, stream: &str, body: &[u8]) -> Result<Names, ApiError> {
    let request: PageRequest = parse_or_default(body)?;
    let names = engine.catalogue().get(stream)?.consumer_names();
    let names = names.into_iter().map(str::to_owned).collect();
    let (page, consumers) = page(names, request.offset, NAMES_PER_PAGE);
    Ok(Names { page, consumers })
}

#[derive(Serialize)]
struct List {
    #[serde(flatten)]
    page: Page,
    consumers: Vec<ConsumerInfoJson>,
}

fn list(engine: &mut Engine, stream: &str, body: &[u8]) -> Result<List, ApiError> {
    let request: PageRequest = parse_or_default(body)?;
    let infos = engine.catalogue().consumer_infos(stream)?;
    let (page, infos) = page(infos, request.offset, CONSUMERS_PER_PAGE);
    Ok(List { page, consumers: infos.into_iter().map(ConsumerInfoJson::from).collect() })
}

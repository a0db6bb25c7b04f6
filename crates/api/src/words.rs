//! Closed vocabularies of the model, as schemas of the OpenAPI document.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{KnownFormat, SchemaFormat, Type},
    },
};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $model:ty;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = <$model>::ALL.iter().map(|word| word.as_str());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).trim_end_matches("Word").into()
            }
        }
    )*};
}

words! {
    /// What a user may do.
    RoleWord = model::Role;
    /// A decoy protocol.
    ServiceWord = model::Service;
    /// What a decky pretends to be.
    ArchetypeWord = model::Archetype;
    /// Status of a topology.
    TopologyStatusWord = model::TopologyStatus;
    /// State of a decky.
    DeckyStateWord = model::DeckyState;
    /// State of a mutation.
    MutationStateWord = model::MutationState;
    /// Why something changed.
    TriggerWord = model::Trigger;
    /// How dangerous an attacker looks.
    ScoreLevelWord = model::ScoreLevel;
    /// What a visitor did.
    ActivityKindWord = model::ActivityKind;
    /// State of a workstream.
    WorkstreamStateWord = model::hub::WorkstreamState;
    /// What is derived from a workstream.
    WorkstreamSignWord = model::hub::WorkstreamSign;
    /// State of a task.
    TaskStateWord = model::hub::TaskState;
    /// Whether a decision is still to be made.
    DecisionTypeWord = model::hub::DecisionType;
    /// Status of a decision.
    DecisionStatusWord = model::hub::DecisionStatus;
    /// State of a goal.
    GoalStateWord = model::hub::GoalState;
    /// Why a session was cut short.
    TruncationWord = model::Truncation;
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $format:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).format(Some($format)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    /// An id: a UUIDv7.
    Id = SchemaFormat::Custom("uuid".into());
    /// A moment in UTC, RFC 3339 with microseconds.
    Moment = SchemaFormat::KnownFormat(KnownFormat::DateTime);
}

//! Sources, profiles, relationship definitions.

use granary_core::error::ErrorType::FailedPrecondition;
use serde_json::Value;

use super::described::{Profile, ProfileWrite, RelationshipDefinition, RelationshipDefinitionWrite};
use super::operation::{Operation, operation};
use super::{example, page};
use crate::page::{Page, PageQuery};
use crate::paths::{PROFILE, PROFILES, RELATIONSHIP_DEFINITION, RELATIONSHIP_DEFINITIONS, SOURCE, SOURCES};
use crate::sources::{Deleted, Source, SourceDeleteQuery, SourceWrite};

fn source() -> Value {
    example!({"key": "clinic", "type": "registry", "createdAt": "2026-01-31T08:15:30.250Z"})
}

fn profile_sent() -> Value {
    example!({"properties": {
        "name": {"type": "symbol", "rules": [{"required": true}]},
        "practiceNumber": {"type": "integer"},
        "specialities": {"type": "array", "items": {"type": "symbol"}},
    }, "contained": {"qualifications": {"types": ["qualification"], "cardinality": "0:*"}}})
}

fn definition_sent() -> Value {
    example!({
        "from": {"profileKey": "provider", "includeKey": "worksAt", "includeCardinality": "0:*"},
        "to": {"profileKey": "site", "includeKey": "staff", "includeCardinality": "0:*"},
        "properties": {"since": {"type": "date"}},
    })
}

fn stored(key: &str, mut sent: Value) -> Value {
    let beside = example!({
        "key": key, "revision": 1, "createdAt": "2026-01-31T08:15:30.250Z",
        "updatedAt": "2026-01-31T08:15:30.250Z",
    });
    if let (Some(sent), Value::Object(beside)) = (sent.as_object_mut(), beside) {
        sent.extend(beside);
    }
    sent
}

pub(super) fn operations() -> Vec<Operation> {
    let sources = [
        operation("GET", SOURCES, "listSources", "List sources")
            .says("In the order of their keys: those that the API key is for.")
            .query::<PageQuery>()
            .answers::<Page<Source>>(200, "A page of sources.", page(source()))
            .list(),
        operation("GET", SOURCE, "readSource", "Read a source")
            .bare()
            .answers::<Source>(200, "The source.", source()),
        operation("PUT", SOURCE, "putSource", "Create a source")
            .says("Where it exists already, nothing changes.")
            .bare()
            .body::<SourceWrite>(example!({"type": "registry"}))
            .answers::<Source>(201, "It was created.", source())
            .answers::<Source>(200, "It exists already.", source()),
        operation("DELETE", SOURCE, "deleteSource", "Delete a source")
            .says(
                "Refused while it holds data, unless it is to go with all it holds (`purge`): from then on it is gone for everyone, \
                 its key can be taken again at once, its tasks are stopped, and space is freed in the background.",
            )
            .query::<SourceDeleteQuery>()
            .answers::<Deleted>(200, "It is deleted.", example!({"key": "clinic"}))
            .answers::<Deleted>(
                202,
                "It is gone; what it held is freed in the background.",
                example!({"key": "clinic"}),
            )
            .fails(400, &[FailedPrecondition]),
    ];
    let profiles = [
        operation("GET", PROFILES, "listProfiles", "List profiles")
            .says("In the order of their keys.")
            .query::<PageQuery>()
            .answers::<Page<Profile>>(200, "A page of profiles.", page(stored("provider", profile_sent())))
            .list(),
        operation("GET", PROFILE, "readProfile", "Read a profile")
            .bare()
            .answers::<Profile>(200, "The profile.", stored("provider", profile_sent()))
            .conditional_read(),
        operation("PUT", PROFILE, "putProfile", "Create or replace a profile")
            .says(
                "A profile that is replaced gets a new revision, which counts for later writes: records that are stored stay as they \
                 are. One with a bad type, rule, pattern, path or reference is refused with every fault.",
            )
            .body::<ProfileWrite>(profile_sent())
            .answers::<Profile>(201, "It was created.", stored("provider", profile_sent()))
            .with("ETag")
            .answers::<Profile>(200, "It was replaced.", stored("provider", profile_sent()))
            .with("ETag")
            .fails(400, &[FailedPrecondition])
            .conditional(),
        operation("DELETE", PROFILE, "deleteProfile", "Delete a profile")
            .says(
                "Refused while it is in use: while there are records of it, definitions that name it, or tasks that have not ended.",
            )
            .answers::<Deleted>(200, "It is deleted.", example!({"key": "provider"}))
            .fails(400, &[FailedPrecondition])
            .conditional(),
    ];
    let definitions = [
        operation(
            "GET",
            RELATIONSHIP_DEFINITIONS,
            "listRelationshipDefinitions",
            "List relationship definitions",
        )
        .says("In the order of their keys.")
        .query::<PageQuery>()
        .answers::<Page<RelationshipDefinition>>(
            200,
            "A page of relationship definitions.",
            page(stored("worksAt", definition_sent())),
        )
        .list(),
        operation(
            "GET",
            RELATIONSHIP_DEFINITION,
            "readRelationshipDefinition",
            "Read a relationship definition",
        )
        .bare()
        .answers::<RelationshipDefinition>(
            200,
            "The relationship definition.",
            stored("worksAt", definition_sent()),
        )
        .conditional_read(),
        operation(
            "PUT",
            RELATIONSHIP_DEFINITION,
            "putRelationshipDefinition",
            "Create or replace a relationship definition",
        )
        .says("One that is replaced gets a new revision, which counts for later writes.")
        .body::<RelationshipDefinitionWrite>(definition_sent())
        .answers::<RelationshipDefinition>(201, "It was created.", stored("worksAt", definition_sent()))
        .with("ETag")
        .answers::<RelationshipDefinition>(200, "It was replaced.", stored("worksAt", definition_sent()))
        .with("ETag")
        .fails(400, &[FailedPrecondition])
        .conditional(),
        operation(
            "DELETE",
            RELATIONSHIP_DEFINITION,
            "deleteRelationshipDefinition",
            "Delete a relationship definition",
        )
        .says("Refused while it is in use.")
        .answers::<Deleted>(200, "It is deleted.", example!({"key": "worksAt"}))
        .fails(400, &[FailedPrecondition])
        .conditional(),
    ];
    let sources = sources.map(|operation| operation.tagged("Sources"));
    let profiles = profiles.map(|operation| operation.tagged("Profiles"));
    let definitions = definitions.map(|operation| operation.tagged("Relationship definitions"));
    sources.into_iter().chain(profiles).chain(definitions).collect()
}

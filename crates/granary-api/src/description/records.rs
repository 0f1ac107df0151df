//! Resources, contained resources, relationships: one at a time, and in lists.

use granary_core::error::ErrorType::{
    AlreadyExists, ContentTooLarge, FailedPrecondition, NotFound, ResourceExhausted,
};
use schemars::JsonSchema;
use serde_json::Value;

use super::described::{ContainedResource, ContainedWrite, JsonPatch, RelationshipWrite, ResourceWrite};
use super::operation::{Operation, operation};
use super::{example, page};
use crate::bulk::BulkValid;
use crate::page::Page;
use crate::paths::{CONTAINED, RELATIONSHIP, RELATIONSHIPS, RESOURCE, RESOURCES};
use crate::relationships::{Relationship, RelationshipsQuery};
use crate::resources::{Resource, ResourcesQuery, SingleWrite, WriteQuery};
use crate::{JSON, JSON_PATCH};

/// The query of `GET …/relationships/{type}/{id}`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described: it may be given again")]
struct IncludesQuery {
    /// The ends to answer beside the relationship, each by its type or its include key, with commas between several.
    includes: Option<String>,
}

fn meta() -> Value {
    example!({
        "createdAt": "2026-01-31T08:15:30.250Z", "updatedAt": "2026-01-31T08:15:30.250Z", "source": "clinic", "version": 1,
    })
}

fn resource() -> Value {
    example!({
        "id": "john-doe", "type": "provider", "data": {"name": "John Doe", "practiceNumber": 1020993}, "meta": meta(),
    })
}

fn relationship() -> Value {
    example!({
        "id": "john-doe.north", "type": "worksAt", "from": {"id": "john-doe", "type": "provider"},
        "to": {"id": "north", "type": "site"}, "data": {"since": "2019-04"}, "meta": meta(),
    })
}

fn written(member: &str, record: Value) -> Value {
    let mut written = deleted();
    written[member] = record;
    written
}

fn deleted() -> Value {
    example!({"taskId": "s_2eVocVVgjAWYJ74DifXluwVtSYs", "status": "PERSISTED"})
}

fn valid() -> Value {
    example!({"status": "VALID", "count": 1})
}

fn line(row: &Value) -> String {
    format!("{row}\n")
}

pub(super) fn operations() -> Vec<Operation> {
    let resources = resources().map(|operation| operation.tagged("Resources"));
    let contained = contained().into_iter();
    let contained = contained.map(|operation| operation.tagged("Contained resources"));
    let relationships = relationships().map(|operation| operation.tagged("Relationships"));
    resources
        .into_iter()
        .chain(contained)
        .chain(relationships)
        .collect()
}

fn resources() -> [Operation; 5] {
    [
        operation("GET", RESOURCES, "listResources", "List resources of a type")
            .beside_bulk()
            .says("In the order of their ids. With `Accept: application/x-ndjson` all of them, one a line.")
            .query::<ResourcesQuery>()
            .answers::<Page<Resource>>(200, "A page of resources, or a stream of them.", page(resource()))
            .or_stream::<Resource>(&line(&resource()))
            .list(),
        operation("POST", RESOURCES, "createResource", "Create a resource")
            .says("Without `id` the server makes one.")
            .query::<WriteQuery>()
            .body::<ResourceWrite>(example!({
                "id": "john-doe", "data": {"name": "John Doe", "practiceNumber": 1020993},
            }))
            .answers::<SingleWrite>(201, "It is stored.", written("resource", resource()))
            .with("LocationOfRecord")
            .with("ETagOfRecord")
            .answers::<BulkValid>(200, "It would be taken (`validateOnly`).", valid())
            .fails(409, &[AlreadyExists])
            .conditional()
            .once(),
        operation("GET", RESOURCE, "readResource", "Read a resource")
            .says("By its id, or by an identifier that no other of its type has.")
            .bare()
            .answers::<Resource>(200, "The resource.", resource())
            .fails(400, &[FailedPrecondition])
            .conditional_read(),
        operation("PUT", RESOURCE, "putResource", "Create or replace a resource")
            .beside_bulk()
            .says(
                "Replaces `data` and `contained` whole; an equal one writes nothing, and the version stays.",
            )
            .query::<WriteQuery>()
            .body::<ResourceWrite>(example!({"data": {"name": "John Q. Doe"}}))
            .answers::<SingleWrite>(201, "It was created.", written("resource", resource()))
            .with("ETagOfRecord")
            .answers_either::<SingleWrite, BulkValid>(
                200,
                "It was replaced, or would be taken (`validateOnly`).",
                written("resource", resource()),
            )
            .with("ETagOfRecord")
            .conditional(),
        operation(
            "DELETE",
            RESOURCE,
            "deleteResource",
            "Delete a resource with its relationships",
        )
        .beside_bulk()
        .answers::<SingleWrite>(200, "It is deleted.", deleted())
        .fails(429, &[ResourceExhausted])
        .conditional(),
    ]
}

/// Of the two depths that are described, the deeper ones go on in the same way.
fn contained() -> Vec<Operation> {
    let at =
        |all: &'static str, one: &'static str, ids: [&'static str; 5], deeper: &'static str, sent: Value| {
            let mut item = sent.clone();
            item["id"] = "q1".into();
            let [list, add, read, put, remove] = ids;
            [
                operation("GET", all, list, "List contained resources under a contain key")
                    .says(deeper)
                    .answers::<Page<ContainedResource>>(
                        200,
                        "All of them.",
                        example!({"data": [item], "meta": {}}),
                    )
                    .conditional_read(),
                operation("POST", all, add, "Add a contained resource")
                    .says("The root's version moves, and its tag is that of all that it contains.")
                    .body::<ContainedWrite>(sent.clone())
                    .answers::<SingleWrite>(
                        201,
                        "It is stored; the root is answered.",
                        written("resource", resource()),
                    )
                    .with("LocationOfRecord")
                    .with("ETagOfRecord")
                    .fails(400, &[FailedPrecondition])
                    .fails(409, &[AlreadyExists])
                    .conditional()
                    .once(),
                operation("GET", one, read, "Read a contained resource")
                    .answers::<ContainedResource>(200, "The contained resource.", item.clone())
                    .conditional_read(),
                operation("PUT", one, put, "Add or replace a contained resource")
                    .body::<ContainedWrite>(sent)
                    .answers::<SingleWrite>(
                        201,
                        "It was added; the root is answered.",
                        written("resource", resource()),
                    )
                    .with("ETagOfRecord")
                    .answers::<SingleWrite>(
                        200,
                        "It was replaced; the root is answered.",
                        written("resource", resource()),
                    )
                    .with("ETagOfRecord")
                    .fails(400, &[FailedPrecondition])
                    .fails(409, &[AlreadyExists])
                    .conditional(),
                operation("DELETE", one, remove, "Remove a contained resource")
                    .answers::<SingleWrite>(
                        200,
                        "It is removed; the root is answered.",
                        written("resource", resource()),
                    )
                    .with("ETagOfRecord")
                    .fails(400, &[FailedPrecondition])
                    .fails(413, &[ContentTooLarge])
                    .fails(429, &[ResourceExhausted])
                    .conditional(),
            ]
            .map(|operation| operation.routed(CONTAINED).bare())
        };
    let first = at(
        "/sources/{source}/v1/resources/{type}/{id}/{containKey}",
        "/sources/{source}/v1/resources/{type}/{id}/{containKey}/{containedId}",
        [
            "listContained",
            "addContained",
            "readContained",
            "putContained",
            "removeContained",
        ],
        "",
        example!({"type": "qualification", "data": {"title": "Pharmacist"}}),
    );
    let nested = at(
        "/sources/{source}/v1/resources/{type}/{id}/{containKey}/{containedId}/{nestedKey}",
        "/sources/{source}/v1/resources/{type}/{id}/{containKey}/{containedId}/{nestedKey}/{nestedId}",
        [
            "listNested",
            "addNested",
            "readNested",
            "putNested",
            "removeNested",
        ],
        "What is deeper has a path that goes on in the same way: a contain key, an id, and so on.",
        example!({"type": "note", "data": {"text": "Seen in the original."}}),
    );
    first.into_iter().chain(nested).collect()
}

fn relationships() -> [Operation; 5] {
    [
        operation("GET", RELATIONSHIPS, "listRelationships", "List relationships of a type")
            .beside_bulk()
            .says(
                "In the order of their ends, those of one end if it is named. With `Accept: application/x-ndjson` all of them, one a \
                 line.",
            )
            .query::<RelationshipsQuery>()
            .answers::<Page<Relationship>>(
                200,
                "A page of relationships, or a stream of them.",
                page(relationship()),
            )
            .or_stream::<Relationship>(&line(&relationship()))
            .list(),
        operation("POST", RELATIONSHIPS, "createRelationship", "Create a relationship")
            .says(
                "Both ends must exist. There is one of a type between two resources at most, and where the definition says so, one at \
                 an end.",
            )
            .query::<WriteQuery>()
            .body::<RelationshipWrite>(example!({
                "from": {"type": "provider", "id": "john-doe"}, "to": {"type": "site", "id": "north"},
                "data": {"since": "2019-04"},
            }))
            .answers::<SingleWrite>(201, "It is stored.", written("relationship", relationship()))
            .with("LocationOfRecord")
            .with("ETagOfRecord")
            .answers::<BulkValid>(200, "It would be taken (`validateOnly`).", valid())
            .fails(400, &[FailedPrecondition])
            .fails(409, &[AlreadyExists])
            .conditional()
            .once(),
        operation("GET", RELATIONSHIP, "readRelationship", "Read a relationship")
            .says("With `includes`, the resources at its ends come beside it, all of one moment; such an answer has no tag.")
            .query::<IncludesQuery>()
            .answers::<Relationship>(200, "The relationship.", relationship())
            .conditional_read_mostly(),
        operation("PATCH", RELATIONSHIP, "patchRelationship", "Change the data of a relationship in places")
            .beside_bulk()
            .says("A patch that does not fit, or whose test fails, changes nothing.")
            .bare()
            .body_as::<JsonPatch>(
                JSON_PATCH,
                example!([{"op": "replace", "path": "/since", "value": "2020"}]),
            )
            .body_as::<JsonPatch>(JSON, example!([{"op": "replace", "path": "/since", "value": "2020"}]))
            .answers::<SingleWrite>(200, "It is stored.", written("relationship", relationship()))
            .with("ETagOfRecord")
            .fails(400, &[FailedPrecondition])
            .conditional(),
        operation("DELETE", RELATIONSHIP, "deleteRelationship", "Delete a relationship")
            .beside_bulk()
            .answers::<SingleWrite>(200, "It is deleted.", deleted())
            .fails(404, &[NotFound])
            .fails(429, &[ResourceExhausted])
            .conditional(),
    ]
}

//! Bulk requests and bundles.

use granary_core::error::ErrorType::{AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted};
use schemars::JsonSchema;
use serde_json::Value;

use super::described::{
    RelationshipBulkRequest, RelationshipOperation, ResourceBulkRequest, ResourceOperation,
};
use super::example;
use super::operation::{Operation, operation};
use super::tasks::task;
use crate::CSV;
use crate::bulk::{BulkAccepted, BulkQuery, BulkRejected, BulkValid};
use crate::bundle::{BundleAnswer, BundleWrite};
use crate::paths::{
    BUNDLE, RELATIONSHIPS_BULK, RELATIONSHIPS_BULK_TASK, RESOURCES_BULK, RESOURCES_BULK_TASK,
};
use crate::resources::WriteQuery;
use crate::tasks::{Task, TaskQuery};

const CHECKED: &str = "The whole request is checked before the answer: well formed, and every operation against the definitions. \
    Accepted, it is on disk and its operations are applied in the order sent, each exactly once; a failed one does not stop the \
    rest. Rejected, nothing is stored, and there is a receipt for every operation.";

fn accepted() -> Value {
    example!({
        "status": "ACCEPTED", "bulkId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs", "taskId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs",
    })
}

/// A bulk request on one kind of record.
fn request<B: JsonSchema, O: JsonSchema>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    one: &Value,
    csv: &str,
) -> Operation {
    operation("POST", path, id, summary)
        .says(CHECKED)
        .query::<BulkQuery>()
        .body::<B>(example!({"operations": [one]}))
        .lines::<O>(&format!("{one}\n"))
        .body_as::<String>(CSV, csv.into())
        .answers::<BulkAccepted>(202, "Accepted: a task carries it out.", accepted())
        .with("Location")
        .answers_either::<BulkAccepted, BulkValid>(
            200,
            "Accepted, waited for and ended (`Prefer: wait`); or it would be accepted (`validateOnly`).",
            example!({"status": "VALID", "count": 1}),
        )
        .with("LocationOfTask")
        .failed_as::<BulkRejected>(&[400])
        .once()
        .waits()
}

fn ended(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    operation("GET", path, id, summary)
        .says(
            "With its receipts, unless `withReceipts=false`. Status, counts and receipts are of one moment.",
        )
        .query::<TaskQuery>()
        .answers::<Task>(200, "The task.", task())
        .fails(410, &[NotFound])
        .waits()
}

pub(super) fn operations() -> Vec<Operation> {
    let create = example!({
        "action": "CREATE",
        "create": {"id": "john-doe", "type": "provider", "data": {"name": "John Doe", "practiceNumber": 1020993}},
    });
    let edge = example!({
        "action": "UPSERT",
        "upsert": {
            "type": "worksAt", "from": {"type": "provider", "id": "john-doe"}, "to": {"type": "site", "id": "north"},
        },
    });
    let requests = [
        request::<ResourceBulkRequest, ResourceOperation>(
            RESOURCES_BULK,
            "bulkResources",
            "Send a bulk request on resources",
            &create,
            "id,name,practiceNumber\njohn-doe,John Doe,1020993\n",
        ),
        request::<RelationshipBulkRequest, RelationshipOperation>(
            RELATIONSHIPS_BULK,
            "bulkRelationships",
            "Send a bulk request on relationships",
            &edge,
            "from,to\njohn-doe,north\n",
        ),
        ended(
            RESOURCES_BULK_TASK,
            "readResourcesBulk",
            "Read the task of a bulk request on resources",
        ),
        ended(
            RELATIONSHIPS_BULK_TASK,
            "readRelationshipsBulk",
            "Read the task of a bulk request on relationships",
        ),
    ];
    let bundle = operation("POST", BUNDLE, "writeBundle", "Write a bundle")
        .says(
            "Operations on resources are carried out first, then those on relationships, in one transaction: a failure undoes all, \
             and the answer has its code. Tokens such as `@rootId1` stand for the ids of resources that the bundle creates.",
        )
        .query::<WriteQuery>()
        .body::<BundleWrite>(example!({
            "resourceOperations": [{
                "action": "CREATE",
                "create": {"id": "@rootId1", "type": "provider", "data": {"name": "Jane Doe"}},
            }],
            "relationshipOperations": [{
                "action": "CREATE",
                "create": {
                    "type": "worksAt", "from": {"type": "provider", "id": "@rootId1"}, "to": {"type": "site", "id": "north"},
                },
            }],
        }))
        .answers_either::<BundleAnswer, BulkValid>(
            200,
            "All of it is stored; or it would be taken (`validateOnly`).",
            example!({
                "status": "PERSISTED",
                "taskId": "bd_2eVocVVgjAWYJ74DifXluwVtSYs",
                "resourceReceipts": [{
                    "action": "CREATE", "type": "provider", "id": "2eVocVVgjAWYJ74DifXluwVtSYs", "status": "SUCCESS",
                }],
                "relationshipReceipts": [{
                    "action": "CREATE", "type": "worksAt", "id": "2eVocVVgjAWYJ74DifXluwVtSYs.north", "status": "SUCCESS",
                }],
            }),
        )
        .fails(400, &[FailedPrecondition])
        .fails(409, &[AlreadyExists])
        .fails(429, &[ResourceExhausted])
        .failed_as::<BundleAnswer>(&[400, 404, 409, 413])
        .once()
        .tagged("Bundles");
    let mut all: Vec<Operation> = requests.map(|operation| operation.tagged("Bulk requests")).into();
    all.push(bundle);
    all
}

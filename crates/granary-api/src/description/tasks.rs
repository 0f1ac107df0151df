//! Tasks, their receipts, operations and events; purges; exports and imports.

use granary_core::error::ErrorType::{AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted};
use granary_core::receipt::Receipt;
use serde_json::Value;

use super::described::TaskOperation;
use super::operation::{Operation, operation};
use super::{example, page};
use crate::NDJSON;
use crate::bulk::{BulkAccepted, BulkRejected, RetryQuery};
use crate::export::{ExportLine, ExportQuery, ImportQuery, Imported};
use crate::page::Page;
use crate::paths::{CANCEL, EVENTS, EXPORT, IMPORT, OPERATIONS, PURGE, PURGES, RECEIPTS, RETRY, TASK, TASKS};
use crate::tasks::{PurgeWrite, ReceiptsQuery, Task, TaskQuery, TasksQuery};

/// Of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";

/// `{}`, which says nothing.
#[derive(schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Empty {}

pub(super) fn task() -> Value {
    example!({
        "taskId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs", "bulkId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs", "kind": "BULK",
        "targetType": "RESOURCE", "status": "SUCCESS", "outcome": "PARTIAL",
        "counts": {"total": 2, "success": 1, "failure": 1, "pending": 0, "cancelled": 0},
        "createdAt": "2026-01-31T08:15:30.250Z", "startedAt": "2026-01-31T08:15:30.260Z",
        "completedAt": "2026-01-31T08:15:30.270Z",
    })
}

fn purge() -> Value {
    example!({
        "taskId": "pg_2eVocVVgjAWYJ74DifXluwVtSYs", "kind": "PURGE", "targetType": "RESOURCE", "status": "PENDING",
        "collectionKey": "provider", "deletedCount": 0, "deletedRelationshipCount": 0,
        "counts": {"total": 0, "success": 0, "failure": 0, "pending": 0, "cancelled": 0},
        "createdAt": "2026-01-31T08:15:30.250Z",
    })
}

fn receipt() -> Value {
    example!({
        "index": 1, "action": "CREATE", "targetType": "RESOURCE", "type": "provider", "id": "john-doe", "status": "FAILURE",
        "receivedAt": "2026-01-31T08:15:30.250Z", "completedAt": "2026-01-31T08:15:30.270Z",
        "error": {"code": 409, "type": "ALREADY_EXISTS", "message": "record with id 'john-doe' already exists"},
    })
}

fn sent() -> Value {
    example!({
        "index": 1, "status": "FAILURE",
        "operation": {
            "action": "CREATE", "create": {"type": "provider", "id": "john-doe", "data": {"name": "John Doe"}},
        },
    })
}

pub(super) fn operations() -> Vec<Operation> {
    let tasks = tasks().map(|operation| operation.tagged("Tasks"));
    let purges = purges().map(|operation| operation.tagged("Purges"));
    let exports = exports().map(|operation| operation.tagged("Export and import"));
    tasks.into_iter().chain(purges).chain(exports).collect()
}

fn tasks() -> [Operation; 7] {
    [
        operation("GET", TASKS, "listTasks", "List tasks")
            .says("The newest first. Those of single writes and bundles are shown where `kind` asks for them.")
            .query::<TasksQuery>()
            .answers::<Page<Task>>(200, "A page of tasks.", page(task()))
            .list(),
        operation("GET", TASK, "readTask", "Read a task")
            .says("Without its receipts, unless `withReceipts=true`.")
            .query::<TaskQuery>()
            .answers::<Task>(200, "The task.", task())
            .fails(410, &[NotFound])
            .waits(),
        operation(
            "GET",
            RECEIPTS,
            "listReceipts",
            "List the receipts of a task",
        )
        .says("In the order of its operations. With `Accept: application/x-ndjson` all of them, one a line.")
        .query::<ReceiptsQuery>()
        .answers::<Page<Receipt>>(200, "A page of receipts, or a stream of them.", page(receipt()))
        .or_stream::<Receipt>(&format!("{}\n", receipt()))
        .list()
        .fails(410, &[NotFound]),
        operation(
            "GET",
            OPERATIONS,
            "listOperations",
            "List the operations of a task as they were sent",
        )
        .says(
            "Those that failed or were cancelled are kept as long as their task; others may be gone before. With `Accept: \
             application/x-ndjson` all of them, one a line.",
        )
        .query::<ReceiptsQuery>()
        .answers::<Page<TaskOperation>>(200, "A page of operations, or a stream of them.", page(sent()))
        .or_stream::<TaskOperation>(&format!("{}\n", sent()))
        .list()
        .fails(410, &[NotFound]),
        operation(
            "GET",
            EVENTS,
            "watchTask",
            "Watch a task",
        )
        .says("Server-sent events `progress` and, last, `end`: the data of each is the task, its `id` the revision of it.")
        .bare()
        .header("LastEventId")
        .answers_lines::<Task>(
            200,
            "Events, until the task has ended.",
            EVENT_STREAM,
            &format!("retry: 1000\n\nevent: end\nid: 3\ndata: {}\n\n", task()),
        )
        .with("CacheControl")
        .answers_empty(204, "The end was seen already; there is nothing to come.")
        .fails(410, &[NotFound])
        .fails(429, &[ResourceExhausted]),
        operation(
            "POST",
            CANCEL,
            "cancelTask",
            "Cancel a task",
        )
        .says("What is not applied yet never will be. A task that has ended is not cancelled.")
        .bare()
        .answers::<Task>(200, "The task.", task())
        .fails(400, &[FailedPrecondition])
        .fails(410, &[NotFound]),
        operation(
            "POST",
            RETRY,
            "retryTask",
            "Try again what failed or was cancelled",
        )
        .says("A new task of those operations, in their order, with the ids that they were given, checked anew.")
        .query::<RetryQuery>()
        .body::<Empty>(example!({}))
        .body_is_optional()
        .answers::<BulkAccepted>(
            202,
            "Accepted: a task carries it out.",
            example!({
                "status": "ACCEPTED", "bulkId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs",
                "taskId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs",
            }),
        )
        .with("Location")
        .answers::<BulkAccepted>(
            200,
            "Accepted, waited for and ended (`Prefer: wait`).",
            example!({
                "status": "ACCEPTED", "bulkId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs",
                "taskId": "bk_2eVocVVgjAWYJ74DifXluwVtSYs", "task": task(),
            }),
        )
        .with("Location")
        .fails(400, &[FailedPrecondition])
        .fails(410, &[NotFound])
        .failed_as::<BulkRejected>(&[400])
        .once()
        .waits(),
    ]
}

fn purges() -> [Operation; 2] {
    [
        operation("POST", PURGES, "startPurge", "Delete every record of a type")
            .says(
                "As a task, which takes its place in the order of tasks: what is accepted after it is not touched. A purge of resources \
                 deletes their relationships too.",
            )
            .bare()
            .body::<PurgeWrite>(example!({"collectionType": "RESOURCE", "collectionKey": "provider"}))
            .answers::<Task>(202, "Accepted: a task carries it out.", purge())
            .with("Location")
            .once(),
        operation("GET", PURGE, "readPurge", "Read a purge")
            .query::<TaskQuery>()
            .answers::<Task>(200, "The task.", purge())
            .fails(410, &[NotFound])
            .waits(),
    ]
}

fn exports() -> [Operation; 2] {
    let export = concat!(
        r#"{"export":{"format":1,"source":"clinic","exportedAt":"2026-01-31T08:15:30.250Z"}}"#,
        "\n",
        r#"{"end":{"profiles":0,"relationshipDefinitions":0,"resources":0,"relationships":0}}"#,
        "\n",
    );
    [
        operation("GET", EXPORT, "exportSource", "Export a source")
            .says(
                "As it is at one moment: a header, the definitions, the resources, the relationships, and at the end how many there \
                 were. One that breaks off has no end.",
            )
            .query::<ExportQuery>()
            .answers_lines::<ExportLine>(200, "The lines of the export.", NDJSON, export)
            .fails(429, &[ResourceExhausted]),
        operation("POST", IMPORT, "importSource", "Import an export")
            .says("Into a source that holds nothing. It is stored as it comes.")
            .query::<ImportQuery>()
            .lines::<ExportLine>(export)
            .answers::<Imported>(
                200,
                "All of it is stored.",
                example!({
                    "source": "clinic", "profiles": 0, "relationshipDefinitions": 0, "resources": 0, "relationships": 0,
                }),
            )
            .fails(400, &[FailedPrecondition])
            .fails(409, &[AlreadyExists]),
    ]
}

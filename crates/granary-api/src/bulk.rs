//! Bulk requests: `…/resources/bulk`, `…/relationships/bulk` (founding text; contract, section 7). Their bodies are not
//! structs here: they have no bound, and are cut into operations as they arrive.

use granary_core::error::ErrorObject;
use granary_core::receipt::ReceiptStatus;
use granary_core::task::TaskId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tasks::Task;

/// The query of a bulk request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkQuery {
    /// True: check only, store nothing; answers [`BulkValid`] or [`BulkRejected`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validate_only: bool,
    /// Which receipts a rejection answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<ReceiptsShown>,
    /// Of CSV: the type of its rows.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_key: Option<String>,
    /// Of CSV: `create`, `upsert` or `delete`, in any case; `create` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Of CSV: what joins the elements of an array; `|` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
}

/// The query of `POST …/tasks/{taskId}/retry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryQuery {
    /// Which receipts a rejection answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<ReceiptsShown>,
}

/// Which receipts a rejection answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptsShown {
    /// One an operation, in their order.
    #[default]
    All,
    /// Only the failures, each with its `index`.
    Failures,
}

/// What a bulk request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum BulkStatus {
    /// It is on disk, and a task carries it out.
    Accepted,
    /// At least one operation is wrong; nothing of it is stored.
    Rejected,
    /// It would be accepted (`validateOnly`).
    Valid,
}

/// The answer to an accepted bulk request, 202; 200 where it was waited for and has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkAccepted {
    /// Always [`BulkStatus::Accepted`].
    pub status: BulkStatus,
    /// The task that carries it out.
    pub bulk_id: TaskId,
    /// The same id.
    pub task_id: TaskId,
    /// The task, where it was waited for and has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<Task>>,
}

impl BulkAccepted {
    /// The answer for a request that this task carries out.
    pub const fn new(id: TaskId) -> Self {
        Self {
            status: BulkStatus::Accepted,
            bulk_id: id,
            task_id: id,
            task: None,
        }
    }
}

/// The answer to a rejected bulk request, 400. The server writes it as it goes, and a client need not hold it whole:
/// `receipts` is the last member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkRejected {
    /// Always [`BulkStatus::Rejected`].
    pub status: BulkStatus,
    /// What is wrong with the body itself, where it breaks off or is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
    /// One an operation in their order; with `receipts=failures` the failures alone.
    pub receipts: Vec<RejectedReceipt>,
}

/// What a rejected request says of one operation: `FAILURE` or `CANCELLED`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedReceipt {
    /// Which operation of the request, counted from 0; there with `receipts=failures`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// `FAILURE` or `CANCELLED`.
    pub status: ReceiptStatus,
    /// What is wrong with it, every fault in its details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// The answer to a request that was only checked and is right, 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkValid {
    /// Always [`BulkStatus::Valid`].
    pub status: BulkStatus,
    /// How many operations it has.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_founding_texts_answers_are_read_and_written() {
        let wire = concat!(
            r#"{"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":"#,
            r#"{"code":400,"type":"INVALID_ARGUMENT","message":"Human readable error message"}}]}"#
        );
        let rejected: BulkRejected = serde_json::from_str(wire).unwrap();
        assert_eq!(serde_json::to_string(&rejected).unwrap(), wire);

        let id = TaskId::parse("bk_2eVocVVgjAWYJ74DifXluwVtSYs").unwrap();
        assert_eq!(
            serde_json::to_string(&BulkAccepted::new(id)).unwrap(),
            format!(r#"{{"status":"ACCEPTED","bulkId":"{id}","taskId":"{id}"}}"#)
        );
    }
}

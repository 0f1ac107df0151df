//! Tasks and their receipts: `…/tasks` (contract, sections 3 and 7).

use granary_core::keys::Key;
use granary_core::operation::TargetType;
use granary_core::receipt::{Receipt, ReceiptStatus};
use granary_core::task::{Counts, Outcome, TaskId, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A task at one moment. `receipts` is the last member, so a server may write the rest and let them follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub task_id: TaskId,
    /// The same id, for a bulk task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk_id: Option<TaskId>,
    /// What it is made of.
    pub kind: TaskKind,
    /// What its operations are on; absent for a bundle, which mixes both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_type: Option<TargetType>,
    /// How far it is.
    pub status: TaskStatus,
    /// How many of its operations succeeded, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The type that a purge deletes the records of: a profile or a relationship definition, as `targetType` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_key: Option<Key>,
    /// Records that a purge has deleted so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_count: Option<u64>,
    /// Edges that went with the resources that a purge has deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_relationship_count: Option<u64>,
    /// The task whose failed and cancelled operations it tries again, for a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TaskId>,
    /// What became of its operations so far.
    pub counts: Counts,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first operation was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// What became of each operation, in their order, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<Vec<Receipt>>,
}

/// The body of `POST …/purge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PurgeWrite {
    /// Whether the key is that of a profile or of a relationship definition.
    pub collection_type: TargetType,
    /// The key of the type.
    pub collection_key: String,
}

impl Task {
    /// A task, which for a purge is of this collection.
    pub fn new(task: granary_core::task::Task, collection_key: Option<&Key>) -> Self {
        Self {
            task_id: task.id,
            bulk_id: (task.id.kind == TaskKind::Bulk).then_some(task.id),
            kind: task.id.kind,
            target_type: task.target_type,
            status: task.status,
            outcome: task.outcome(),
            collection_key: collection_key.filter(|_| task.deleted.is_some()).cloned(),
            deleted_count: task.deleted.map(|deleted| deleted.records),
            deleted_relationship_count: task.deleted.map(|deleted| deleted.relationships),
            retry_of: task.retry_of,
            counts: task.counts,
            created_at: task.created_at,
            started_at: task.started_at,
            completed_at: task.completed_at,
            receipts: None,
        }
    }
}

/// The query of `GET …/tasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TasksQuery {
    /// Only tasks with this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// Only tasks with this outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Only tasks of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// Only tasks accepted after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_after: Option<Timestamp>,
    /// Only tasks accepted before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Timestamp>,
    /// How many to answer at most; 50 unless said, up to the limit `listLimit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The `cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The query of `GET …/tasks/{taskId}` and of `GET …/bulk/{bulkId}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskQuery {
    /// Whether the receipts are in the answer. Unless said: for `/tasks` no, for `/bulk` yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_receipts: Option<bool>,
}

/// The query of `GET …/tasks/{taskId}/receipts` and of `GET …/tasks/{taskId}/operations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsQuery {
    /// Only receipts with this status, or operations that have such a receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ReceiptStatus>,
    /// The index of the first operation to look at; past the end is an empty page. Beside a cursor the list goes on at the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// How many to answer at most; 50 unless said, up to the limit `listLimit`. A stream (NDJSON) without it answers all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The `cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use granary_core::ksuid::Ksuid;

    use super::*;

    #[test]
    fn a_bulk_task_has_a_bulk_id_and_others_have_none() {
        let mut task = granary_core::task::Task {
            id: TaskId {
                kind: TaskKind::Bulk,
                ksuid: Ksuid::from_bytes([7; 20]),
            },
            target_type: Some(TargetType::Resource),
            status: TaskStatus::Success,
            counts: Counts {
                total: 2,
                success: 1,
                failure: 1,
                pending: 0,
                cancelled: 0,
            },
            created_at: Timestamp::from_millis(0),
            started_at: Some(Timestamp::from_millis(1)),
            completed_at: Some(Timestamp::from_millis(2)),
            deleted: None,
            retry_of: None,
        };
        let wire = serde_json::to_value(Task::new(task.clone(), None)).unwrap();
        assert_eq!(wire["bulkId"], wire["taskId"]);
        assert_eq!(
            (&wire["outcome"], &wire["kind"]),
            (&"PARTIAL".into(), &"BULK".into())
        );
        assert!(wire.get("receipts").is_none());
        task.id.kind = TaskKind::Purge;
        assert_eq!(Task::new(task, None).bulk_id, None);
    }
}

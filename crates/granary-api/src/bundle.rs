//! Bundles: `POST …/bundle` (contract, section 8).

use granary_core::error::ErrorObject;
use granary_core::operation::Action;
use granary_core::receipt::ReceiptStatus;
use granary_core::task::TaskId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::description::described;

/// The body of `POST …/bundle`: operations as in bulk requests. Those on resources are carried out first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleWrite {
    /// Operations on resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<described::ResourceOperation>")]
    pub resource_operations: Vec<Box<RawValue>>,
    /// Operations on relationships.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<described::RelationshipOperation>")]
    pub relationship_operations: Vec<Box<RawValue>>,
}

/// The answer: 200 where it persisted, else the code of its first failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundleAnswer {
    /// Whether all of it took effect, or nothing.
    pub status: BundleStatus,
    /// Its task, where it persisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// One for each operation on a resource, in order.
    pub resource_receipts: Vec<BundleReceipt>,
    /// One for each operation on a relationship, in order.
    pub relationship_receipts: Vec<BundleReceipt>,
}

/// What became of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum BundleStatus {
    /// All of it is stored.
    Persisted,
    /// Nothing of it took effect.
    Rejected,
}

/// What became of one operation: `SUCCESS` where the bundle persisted; else `FAILURE`, or `CANCELLED` by that of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleReceipt {
    /// What it was to do, where it passed the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// The type of the record, where it passed the check.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_key: Option<String>,
    /// The id of the record, where it passed the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What became of it.
    pub status: ReceiptStatus,
    /// True where an upsert met an equal record and wrote nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

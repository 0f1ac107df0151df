//! Receipts: what became of one operation (contract, section 7).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ErrorObject;
use crate::keys::{RelationshipId, ResourceId};
use crate::operation::{Action, RecordId, TargetType};
use crate::time::Timestamp;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReceiptStatus {
    /// Applied.
    Success,
    /// Failed; nothing of it took effect.
    Failure,
    /// Not yet reached.
    Pending,
    /// Never to be applied.
    Cancelled,
}

/// The receipt of one operation of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Which operation of the task, counted from 0.
    pub index: u64,
    /// What it was to do.
    pub action: Action,
    /// What it was on.
    pub target_type: TargetType,
    /// The type of the record.
    #[serde(rename = "type")]
    pub type_key: String,
    /// The id of the record; that of a create is known from acceptance on.
    pub id: String,
    /// What became of it.
    pub status: ReceiptStatus,
    /// True where an upsert met an equal record and wrote nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// When the request was accepted.
    pub received_at: Timestamp,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

impl Receipt {
    /// The record that it is of; `None` where that is not spelled as ids are.
    pub fn record_id(&self) -> Option<RecordId> {
        match self.target_type {
            TargetType::Resource => ResourceId::parse(&self.id).ok().map(RecordId::Resource),
            TargetType::Relationship => {
                let RelationshipId { from, to } = RelationshipId::parse(&self.id).ok()?;
                Some(RecordId::Relationship { from, to })
            }
        }
    }
}

//! Vocabularies and concepts: `/terminology/v1/vocabularies` (contract, section 3). Bulk requests on them are answered
//! when they have been applied.

use std::collections::BTreeMap;

use granary_core::error::ErrorObject;
use granary_core::keys::{ConceptCode, Key};
use granary_core::operation::Action;
use granary_core::receipt::ReceiptStatus;
use granary_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bulk::ReceiptsShown;

/// A vocabulary, as read, listed and answered by its PUT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vocabulary {
    /// Its key.
    pub key: Key,
    /// What it is called.
    pub title: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many concepts it has.
    pub concept_count: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its title or description was last changed.
    pub updated_at: Timestamp,
}

/// A concept, as read, listed and answered by its PUT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concept {
    /// Its code.
    pub code: ConceptCode,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// What it is called, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub designation: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The answer of deleting a concept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedConcept {
    /// The code that is free again.
    pub code: ConceptCode,
}

/// The query of a bulk request on vocabularies or concepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminologyBulkQuery {
    /// Which receipts a rejection answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<ReceiptsShown>,
}

/// The answer to a bulk request on vocabularies or concepts that was applied, 200. One that is rejected answers
/// [`BulkRejected`](crate::bulk::BulkRejected).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminologyApplied {
    /// That it was applied; what became of each operation is in its receipt.
    pub status: AppliedStatus,
    /// One an operation in their order.
    pub receipts: Vec<TerminologyReceipt>,
}

/// That a request was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum AppliedStatus {
    /// It was.
    Success,
}

/// What became of one operation on a vocabulary or a concept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TerminologyReceipt {
    /// Which operation of the request, counted from 0.
    pub index: u64,
    /// What it was to do.
    pub action: Action,
    /// The key of the vocabulary or the code of the concept.
    pub id: String,
    /// `SUCCESS` or `FAILURE`.
    pub status: ReceiptStatus,
    /// True where an upsert met an equal one and wrote nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

//! Vocabularies and concepts.

use std::collections::BTreeMap;

use granary_core::keys::{ConceptCode, Key};
use schemars::JsonSchema;

/// A vocabulary as it is sent.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabularyWrite {
    /// What it is called.
    #[schemars(length(min = 1))]
    title: String,
    /// What it is for.
    description: Option<String>,
}

/// A vocabulary in an operation.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabularyNamed {
    /// Its key.
    key: Key,
    /// What it is called.
    #[schemars(length(min = 1))]
    title: String,
    /// What it is for.
    description: Option<String>,
}

/// A vocabulary to be deleted.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VocabularyDelete {
    /// Its key.
    key: Key,
}

/// A concept as it is sent.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConceptWrite {
    /// What it means.
    definition: Option<String>,
    /// What it is called, by language (BCP 47).
    designation: Option<BTreeMap<String, String>>,
}

/// A concept in an operation.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConceptNamed {
    /// Its code.
    code: ConceptCode,
    /// What it means.
    definition: Option<String>,
    /// What it is called, by language (BCP 47).
    designation: Option<BTreeMap<String, String>>,
}

/// A concept to be deleted.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConceptDelete {
    /// Its code.
    code: ConceptCode,
}

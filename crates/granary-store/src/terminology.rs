//! Vocabularies and concepts in a store. They belong to no source.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use granary_core::error::ErrorObject;
use granary_core::keys::{ConceptCode, Key};
use granary_core::schema::AcceptedDefinition;
use granary_core::terminology::{Concept, ConceptChange, Kept, Outcome, Vocabulary, VocabularyChange};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Codes;

use crate::record::Weighed;
use crate::{Definitions, Result, StoreError};

/// What is known of a vocabulary without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VocabularyHead {
    /// Its number, which is never given twice.
    pub number: u32,
    /// Grows with every change of its concepts.
    pub revision: u64,
    /// How many concepts it has.
    pub concepts: u64,
    /// What their codes count for the limit `conceptCodeBytes`.
    pub code_bytes: u64,
}

/// What is known of every vocabulary.
pub type VocabularyHeads = BTreeMap<Key, VocabularyHead>;

/// A vocabulary as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVocabulary {
    /// Its key.
    pub key: Key,
    /// Its number, revision and counts.
    pub head: VocabularyHead,
    /// Title and description, with their times.
    pub kept: Kept<Vocabulary>,
}

/// A concept as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConcept {
    /// Its code.
    pub code: ConceptCode,
    /// Definition and designation, with their times.
    pub kept: Kept<Concept>,
}

impl Weighed for StoredVocabulary {
    fn bytes(&self) -> usize {
        let content = &self.kept.content;
        content.title.len() + content.description.as_ref().map_or(0, |text| text.len())
    }
}

impl Weighed for StoredConcept {
    fn bytes(&self) -> usize {
        let content = &self.kept.content;
        let terms = content.designation.values().map(|term| term.len()).sum::<usize>();
        terms + content.definition.as_ref().map_or(0, |text| text.len())
    }
}

/// The vocabularies and concepts of a store. Like [`Store`](crate::Store): each change is atomic and durable when it has
/// returned, and reads show only what is durable.
#[async_trait]
pub trait Terminology: Send + Sync {
    /// Every vocabulary, without reading any.
    async fn vocabulary_heads(&self) -> Result<Arc<VocabularyHeads>>;

    /// One vocabulary.
    async fn vocabulary(&self, key: &Key) -> Result<Option<StoredVocabulary>>;

    /// Vocabularies in key order after `after`: at most `limit`, and fewer where they reach
    /// [`PAGE_BYTES_MAX`](crate::PAGE_BYTES_MAX); see [`may_go_on`](crate::may_go_on).
    async fn vocabularies(&self, after: Option<&Key>, limit: usize) -> Result<Vec<StoredVocabulary>>;

    /// Changes vocabularies, in order and in one transaction, each judged on its own. A vocabulary goes with its
    /// concepts, and does not while a definition of any source is bound to it.
    async fn change_vocabularies(
        &self,
        changes: Vec<VocabularyChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>>;

    /// One concept; `NOT_FOUND` without its vocabulary.
    async fn concept(&self, vocabulary: &Key, code: &ConceptCode) -> Result<Option<StoredConcept>>;

    /// Concepts in the byte order of their codes after `after`: as many as [`vocabularies`](Self::vocabularies) gives.
    /// `NOT_FOUND` without their vocabulary.
    async fn concepts(
        &self,
        vocabulary: &Key,
        after: Option<&ConceptCode>,
        limit: usize,
    ) -> Result<Vec<StoredConcept>>;

    /// Every code of a vocabulary, with its head at that moment; `None` without the vocabulary.
    async fn codes(&self, vocabulary: &Key) -> Result<Option<(VocabularyHead, Codes)>>;

    /// Changes concepts of a vocabulary, in order and in one transaction, each judged on its own; `NOT_FOUND` without
    /// the vocabulary.
    async fn change_concepts(
        &self,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>>;
}

/// The definition of a source that is bound to a vocabulary, if one is.
pub fn bound_to(vocabulary: &Key, source: &Key, definitions: &Definitions) -> Option<String> {
    // Reading them all would take long. A text without escapes that does not hold the key does not name it.
    let may_name = |json: &str| json.contains('\\') || json.contains(vocabulary.as_str());
    let bound = definitions
        .list
        .iter()
        .find(|stored| may_name(&stored.json) && stored.vocabularies().contains(vocabulary))?;
    let (noun, key) = (bound.kind.noun(), &bound.key);
    Some(format!("{noun} '{key}' of source '{source}'"))
}

/// Sees that the vocabularies that a definition names are there; where not, it was accepted beside others.
pub fn names_known(definition: &AcceptedDefinition, heads: &VocabularyHeads) -> Result<()> {
    match definition
        .vocabularies()
        .iter()
        .all(|key| heads.contains_key(key))
    {
        true => Ok(()),
        false => Err(StoreError::DefinitionsChanged),
    }
}

impl StoreError {
    /// The vocabulary does not exist.
    pub fn vocabulary_gone(key: &Key) -> Self {
        Self::Refused(ErrorObject::not_found(format!(
            "vocabulary '{key}' does not exist"
        )))
    }
}

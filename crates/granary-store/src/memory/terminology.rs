//! Vocabularies and concepts in maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use granary_core::keys::{ConceptCode, Key};
use granary_core::terminology::{
    Concept, ConceptChange, ConceptRules, Kept, Outcome, Vocabulary, VocabularyChange, VocabularyRules,
    decide,
};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Codes;

use super::{MemoryStore, SourceState, State};
use crate::{
    Result, StoreError, StoredConcept, StoredVocabulary, Terminology, VocabularyHead, VocabularyHeads,
    bound_to, take_page,
};

/// The vocabularies of a store.
#[derive(Default)]
pub(super) struct Vocabularies {
    all: BTreeMap<Key, VocabularyState>,
    last_number: u32,
}

struct VocabularyState {
    head: VocabularyHead,
    kept: Kept<Vocabulary>,
    concepts: BTreeMap<ConceptCode, Kept<Concept>>,
}

impl State {
    pub(super) fn vocabulary_heads(&self) -> VocabularyHeads {
        let all = self.vocabularies.all.iter();
        all.map(|(key, state)| (key.clone(), state.head)).collect()
    }

    fn vocabulary(&self, key: &Key) -> Result<&VocabularyState> {
        let found = self.vocabularies.all.get(key);
        found.ok_or_else(|| StoreError::vocabulary_gone(key))
    }

    fn change_vocabularies(
        &mut self,
        changes: Vec<VocabularyChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.check_open()?;
        let mut rules = VocabularyRules {
            count: self.vocabularies.all.len() as u64,
            count_max: self.limits.vocabularies,
            in_use: |key: &Key| {
                let bound = |source: &SourceState| bound_to(key, &source.source.key, &source.definitions);
                self.sources.values().find_map(bound)
            },
        };
        let decided = decide(changes, now, &mut rules, |key| {
            Ok::<_, StoreError>(self.vocabularies.all.get(key).map(|state| state.kept.clone()))
        })?;
        let Vocabularies { all, last_number } = &mut self.vocabularies;
        for (key, touched) in decided.touched {
            if touched.now.is_none() || touched.fresh {
                all.remove(&key);
            }
            let Some(kept) = touched.now else { continue };
            let state = all.entry(key).or_insert_with(|| {
                *last_number += 1;
                VocabularyState {
                    head: VocabularyHead {
                        number: *last_number,
                        ..VocabularyHead::default()
                    },
                    kept: kept.clone(),
                    concepts: BTreeMap::new(),
                }
            });
            state.kept = kept;
        }
        Ok(decided.outcomes)
    }

    fn change_concepts(
        &mut self,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.check_open()?;
        let head = self.vocabulary(vocabulary)?.head;
        let all_bytes: u64 = self.vocabularies.all.values().map(|v| v.head.code_bytes).sum();
        let mut rules = ConceptRules {
            count: head.concepts,
            count_max: self.limits.concepts_per_vocabulary,
            bytes: head.code_bytes,
            bytes_of_others: all_bytes - head.code_bytes,
            bytes_max: self.limits.concept_code_bytes,
        };
        let Some(state) = self.vocabularies.all.get_mut(vocabulary) else {
            return Err(StoreError::vocabulary_gone(vocabulary));
        };
        let decided = decide(changes, now, &mut rules, |code| {
            Ok::<_, StoreError>(state.concepts.get(code).cloned())
        })?;
        if decided.touched.values().any(|touched| touched.changed) {
            state.head.revision += 1;
        }
        (state.head.concepts, state.head.code_bytes) = (rules.count, rules.bytes);
        for (code, touched) in decided.touched {
            match touched.now {
                Some(kept) => state.concepts.insert(code, kept),
                None => state.concepts.remove(&code),
            };
        }
        Ok(decided.outcomes)
    }
}

fn to_vocabulary((key, state): (&Key, &VocabularyState)) -> StoredVocabulary {
    StoredVocabulary {
        key: key.clone(),
        head: state.head,
        kept: state.kept.clone(),
    }
}

fn to_concept((code, kept): (&ConceptCode, &Kept<Concept>)) -> StoredConcept {
    StoredConcept {
        code: code.clone(),
        kept: kept.clone(),
    }
}

#[async_trait]
impl Terminology for MemoryStore {
    async fn vocabulary_heads(&self) -> Result<Arc<VocabularyHeads>> {
        let state = self.state();
        let all = state.vocabularies.all.iter();
        Ok(Arc::new(
            all.map(|(key, state)| (key.clone(), state.head)).collect(),
        ))
    }

    async fn vocabulary(&self, key: &Key) -> Result<Option<StoredVocabulary>> {
        Ok(self
            .state()
            .vocabularies
            .all
            .get_key_value(key)
            .map(to_vocabulary))
    }

    async fn vocabularies(&self, after: Option<&Key>, limit: usize) -> Result<Vec<StoredVocabulary>> {
        let state = self.state();
        let all = state.vocabularies.all.iter();
        let shown = all.filter(|(key, _)| after.is_none_or(|after| *key > after));
        take_page(shown.map(|found| Ok(to_vocabulary(found))), limit)
    }

    async fn change_vocabularies(
        &self,
        changes: Vec<VocabularyChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.state().change_vocabularies(changes, now)
    }

    async fn concept(&self, vocabulary: &Key, code: &ConceptCode) -> Result<Option<StoredConcept>> {
        let state = self.state();
        Ok(state
            .vocabulary(vocabulary)?
            .concepts
            .get_key_value(code)
            .map(to_concept))
    }

    async fn concepts(
        &self,
        vocabulary: &Key,
        after: Option<&ConceptCode>,
        limit: usize,
    ) -> Result<Vec<StoredConcept>> {
        let state = self.state();
        let all = state.vocabulary(vocabulary)?.concepts.iter();
        let shown = all.filter(|(code, _)| after.is_none_or(|after| *code > after));
        take_page(shown.map(|found| Ok(to_concept(found))), limit)
    }

    async fn codes(&self, vocabulary: &Key) -> Result<Option<(VocabularyHead, Codes)>> {
        let state = self.state();
        let found = state.vocabularies.all.get(vocabulary);
        Ok(found.map(|v| (v.head, v.concepts.keys().map(ConceptCode::as_str).collect())))
    }

    async fn change_concepts(
        &self,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.state().change_concepts(vocabulary, changes, now)
    }
}

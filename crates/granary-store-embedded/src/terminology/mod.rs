//! Vocabularies and concepts: rows in `vocabularies` and `concepts`; what a check needs of a vocabulary is held in
//! memory too.
//!
//! Concepts stand under the number of their vocabulary, which is never given twice. So deleting a vocabulary is one
//! small batch, whatever it holds: its number is dead from then on, and the rows under it are removed after that, piece
//! by piece. What a crash leaves of them, the next change of any vocabulary removes.

mod rows;

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::catalog::SourceState;
use crate::rows::{decode, encode};
use crate::{EmbeddedStore, Inner, Keyspaces, engine, lock};
use async_trait::async_trait;
use fjall::{Readable, Snapshot};
use granary_core::keys::{ConceptCode, Key};
use granary_core::terminology::{
    Concept, ConceptChange, ConceptRules, Decided, Kept, Outcome, Vocabulary, VocabularyChange,
    VocabularyRules, decide,
};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Codes;
use granary_store::{
    Result, StoreError, StoredConcept, StoredVocabulary, Terminology, VocabularyHead, VocabularyHeads,
    bound_to, take_page,
};
use rows::{ConceptRow, CounterRow, HeadRow, VocabularyRow};

/// The row of the terminology itself.
const COUNTER_KEY: [u8; 1] = [0];
const VOCABULARY_KIND: u8 = 1;
const HEAD_KIND: u8 = 2;
const DEAD_KIND: u8 = 3;

/// So many rows of a dead vocabulary are removed at once.
const FREED_AT_ONCE: usize = 10_000;

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

fn vocabulary_key(key: &Key) -> Vec<u8> {
    [&[VOCABULARY_KIND], key.as_str().as_bytes()].concat()
}

fn numbered(kind: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [kind, a, b, c, d]
}

fn concept_key(number: u32, code: &ConceptCode) -> Vec<u8> {
    [&number.to_be_bytes(), code.as_str().as_bytes()].concat()
}

/// The end of the concepts of a vocabulary.
fn end_of(number: u32) -> Bound<Vec<u8>> {
    Bound::Excluded(number.saturating_add(1).to_be_bytes().to_vec())
}

/// The code in a key of `concepts`.
fn code_in(key: &[u8]) -> Result<&str> {
    let code = key.get(4..).and_then(|code| std::str::from_utf8(code).ok());
    code.ok_or_else(|| damaged("a key of concepts"))
}

/// The terminology in memory.
pub(crate) struct State {
    /// Every change of vocabularies and concepts holds this, and so does a change of a definition that is bound to one.
    writer: Mutex<Writer>,
    /// The vocabularies that are durable; changed only under `writer`.
    heads: RwLock<Arc<VocabularyHeads>>,
    /// Numbers of deleted vocabularies of which rows are left.
    dead: Mutex<Vec<u32>>,
}

/// What changes of the terminology go on from.
pub(crate) struct Writer {
    next_number: u32,
}

/// All vocabularies.
pub(crate) fn load(keyspaces: &Keyspaces) -> Result<State> {
    let vocabularies = &keyspaces.vocabularies;
    let counter = vocabularies.get(COUNTER_KEY).map_err(engine)?;
    let counter: Option<CounterRow> = counter.map(|row| decode(&row, "vocabularies")).transpose()?;
    let mut heads = VocabularyHeads::new();
    for row in vocabularies.prefix([VOCABULARY_KIND]) {
        let (key, row) = row.into_inner().map_err(engine)?;
        let row: VocabularyRow = decode(&row, "vocabularies")?;
        let head = vocabularies
            .get(numbered(HEAD_KIND, row.number))
            .map_err(engine)?;
        let head = head.ok_or_else(|| damaged("a vocabulary has no head"))?;
        let head: HeadRow = decode(&head, "vocabularies")?;
        heads.insert(key_in(&key)?, head.head(row.number));
    }
    let mut dead = Vec::new();
    for row in vocabularies.prefix([DEAD_KIND]) {
        let key = row.key().map_err(engine)?;
        let number = key.get(1..).and_then(|number| number.try_into().ok());
        dead.push(u32::from_be_bytes(
            number.ok_or_else(|| damaged("a key of vocabularies"))?,
        ));
    }
    Ok(State {
        writer: Mutex::new(Writer {
            next_number: counter.map_or(1, |row| row.next_number),
        }),
        heads: RwLock::new(Arc::new(heads)),
        dead: Mutex::new(dead),
    })
}

/// The key in a key of `vocabularies`.
fn key_in(row_key: &[u8]) -> Result<Key> {
    let key = row_key.get(1..).and_then(|key| std::str::from_utf8(key).ok());
    key.and_then(|key| Key::parse(key).ok())
        .ok_or_else(|| damaged("a key of vocabularies"))
}

impl State {
    pub(crate) fn heads(&self) -> Arc<VocabularyHeads> {
        Arc::clone(&self.heads.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps every vocabulary as it is for as long as it is held.
    pub(crate) fn hold(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }
}

impl Inner {
    fn change_vocabularies(&self, changes: Vec<VocabularyChange>, now: Timestamp) -> Result<Vec<Outcome>> {
        self.check_open()?;
        let outcomes = {
            let mut writer = self.terminology.hold();
            let heads = self.terminology.heads();
            let mut rules = VocabularyRules {
                count: heads.len() as u64,
                count_max: self.limits.vocabularies,
                in_use: |key: &Key| self.bound_to(key),
            };
            let current = self.db.snapshot();
            let decided = decide(changes, now, &mut rules, |key| {
                let row = self.vocabulary_row(&current, key)?;
                Ok::<_, StoreError>(row.map(VocabularyRow::kept))
            })?;
            self.commit_vocabularies(&mut writer, &heads, decided)?
        };
        // What was asked for is done, whatever becomes of this.
        if let Err(error) = self.free_dead() {
            tracing::warn!(%error, "rows of a deleted vocabulary are left");
        }
        Ok(outcomes)
    }

    fn commit_vocabularies(
        &self,
        writer: &mut Writer,
        heads: &VocabularyHeads,
        decided: Decided<Key, Vocabulary>,
    ) -> Result<Vec<Outcome>> {
        let keyspace = &self.keyspaces.vocabularies;
        let (mut heads, mut next_number) = (heads.clone(), writer.next_number);
        let (mut batch, mut dead) = (self.db.batch(), Vec::new());
        let changed = decided.touched.into_iter().filter(|(_, touched)| touched.changed);
        for (key, touched) in changed {
            let mut head = heads.get(&key).copied();
            if let Some(old) = head
                && (touched.now.is_none() || touched.fresh)
            {
                batch.remove(keyspace, numbered(HEAD_KIND, old.number));
                batch.insert(keyspace, numbered(DEAD_KIND, old.number), []);
                dead.push(old.number);
                heads.remove(&key);
                head = None;
            }
            let Some(kept) = touched.now else {
                if touched.existed {
                    batch.remove(keyspace, vocabulary_key(&key));
                }
                continue;
            };
            let number = head.map_or(next_number, |head| head.number);
            if head.is_none() {
                next_number += 1;
                let head = VocabularyHead {
                    number,
                    ..VocabularyHead::default()
                };
                batch.insert(
                    keyspace,
                    numbered(HEAD_KIND, number),
                    encode(&HeadRow::new(&head)),
                );
                heads.insert(key.clone(), head);
            }
            batch.insert(
                keyspace,
                vocabulary_key(&key),
                encode(&VocabularyRow::new(number, kept)),
            );
        }
        if batch.is_empty() {
            return Ok(decided.outcomes);
        }
        batch.insert(keyspace, COUNTER_KEY, encode(&CounterRow { next_number }));
        self.commit(batch)?;
        // A number of a batch that may be there is not given again.
        writer.next_number = next_number;
        self.sync.wait(self.sync.committed())?;
        self.show(heads);
        lock(&self.terminology.dead).extend(dead);
        Ok(decided.outcomes)
    }

    /// What is bound to a vocabulary. Whoever changes a definition that is bound to one holds the lock of the
    /// terminology until it is shown.
    fn bound_to(&self, vocabulary: &Key) -> Option<String> {
        let sources: Vec<_> = self.sources().values().cloned().collect();
        let bound = |state: &Arc<SourceState>| bound_to(vocabulary, &state.source.key, &state.definitions());
        sources.iter().find_map(bound)
    }

    fn show(&self, heads: VocabularyHeads) {
        *self
            .terminology
            .heads
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(heads);
    }

    fn change_concepts(
        &self,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.check_open()?;
        let _writer = self.terminology.hold();
        let heads = self.terminology.heads();
        let head = heads.get(vocabulary);
        let mut head = *head.ok_or_else(|| StoreError::vocabulary_gone(vocabulary))?;
        let all_bytes: u64 = heads.values().map(|head| head.code_bytes).sum();
        let mut rules = ConceptRules {
            count: head.concepts,
            count_max: self.limits.concepts_per_vocabulary,
            bytes: head.code_bytes,
            bytes_of_others: all_bytes - head.code_bytes,
            bytes_max: self.limits.concept_code_bytes,
        };
        let current = self.db.snapshot();
        let decided = decide(changes, now, &mut rules, |code| {
            self.concept_at(&current, head.number, code)
        })?;
        let mut batch = self.db.batch();
        for (code, touched) in decided.touched {
            let key = concept_key(head.number, &code);
            match touched.now {
                _ if !touched.changed => {}
                Some(kept) => batch.insert(&self.keyspaces.concepts, key, encode(&ConceptRow::new(kept))),
                None => batch.remove(&self.keyspaces.concepts, key),
            }
        }
        if batch.is_empty() {
            return Ok(decided.outcomes);
        }
        head.revision += 1;
        (head.concepts, head.code_bytes) = (rules.count, rules.bytes);
        batch.insert(
            &self.keyspaces.vocabularies,
            numbered(HEAD_KIND, head.number),
            encode(&HeadRow::new(&head)),
        );
        self.commit(batch)?;
        self.sync.wait(self.sync.committed())?;
        let mut heads = heads.as_ref().clone();
        heads.insert(vocabulary.clone(), head);
        self.show(heads);
        Ok(decided.outcomes)
    }

    /// Removes what is left of deleted vocabularies.
    fn free_dead(&self) -> Result<()> {
        loop {
            let Some(number) = lock(&self.terminology.dead).pop() else {
                return Ok(());
            };
            if let Err(error) = self.free(number) {
                lock(&self.terminology.dead).push(number);
                return Err(error);
            }
        }
    }

    fn free(&self, number: u32) -> Result<()> {
        let concepts = &self.keyspaces.concepts;
        let mut from = Bound::Included(number.to_be_bytes().to_vec());
        loop {
            let (mut batch, mut last) = (self.db.batch(), None);
            for row in concepts.range((from, end_of(number))).take(FREED_AT_ONCE) {
                let key = row.key().map_err(engine)?;
                batch.remove(concepts, key.clone());
                last = Some(key);
            }
            let done = batch.len() < FREED_AT_ONCE;
            if done {
                batch.remove(&self.keyspaces.vocabularies, numbered(DEAD_KIND, number));
            }
            self.commit(batch)?;
            self.sync.committed();
            // What was removed is not walked over again.
            from = match last {
                Some(last) if !done => Bound::Excluded(last.to_vec()),
                _ => return Ok(()),
            };
        }
    }

    fn vocabulary_row(&self, at: &Snapshot, key: &Key) -> Result<Option<VocabularyRow>> {
        let row = at.get(&self.keyspaces.vocabularies, vocabulary_key(key));
        let row = row.map_err(engine)?;
        row.map(|row| decode(&row, "vocabularies")).transpose()
    }

    fn head_at(&self, at: &Snapshot, number: u32) -> Result<VocabularyHead> {
        let row = at.get(&self.keyspaces.vocabularies, numbered(HEAD_KIND, number));
        let row = row
            .map_err(engine)?
            .ok_or_else(|| damaged("a vocabulary has no head"))?;
        Ok(decode::<HeadRow>(&row, "vocabularies")?.head(number))
    }

    fn concept_at(&self, at: &Snapshot, number: u32, code: &ConceptCode) -> Result<Option<Kept<Concept>>> {
        let row = at.get(&self.keyspaces.concepts, concept_key(number, code));
        match row.map_err(engine)? {
            None => Ok(None),
            Some(row) => decode::<ConceptRow>(&row, "concepts")?.kept().map(Some),
        }
    }

    fn stored_vocabulary(&self, at: &Snapshot, key: Key, row: VocabularyRow) -> Result<StoredVocabulary> {
        Ok(StoredVocabulary {
            key,
            head: self.head_at(at, row.number)?,
            kept: row.kept(),
        })
    }

    fn vocabulary(&self, key: &Key) -> Result<Option<StoredVocabulary>> {
        let at = self.sync.published();
        let row = self.vocabulary_row(&at, key)?;
        row.map(|row| self.stored_vocabulary(&at, key.clone(), row))
            .transpose()
    }

    fn vocabularies(&self, after: Option<&Key>, limit: usize) -> Result<Vec<StoredVocabulary>> {
        let at = self.sync.published();
        let from = after.map_or(Bound::Included(vec![VOCABULARY_KIND]), |after| {
            Bound::Excluded(vocabulary_key(after))
        });
        let until = Bound::Excluded(vec![VOCABULARY_KIND + 1]);
        let rows = at.range(&self.keyspaces.vocabularies, (from, until));
        let read = rows.map(|row| {
            let (key, row) = row.into_inner().map_err(engine)?;
            self.stored_vocabulary(&at, key_in(&key)?, decode(&row, "vocabularies")?)
        });
        take_page(read, limit)
    }

    /// The number of a vocabulary that must be there.
    fn number_at(&self, at: &Snapshot, vocabulary: &Key) -> Result<u32> {
        let row = self.vocabulary_row(at, vocabulary)?;
        Ok(row.ok_or_else(|| StoreError::vocabulary_gone(vocabulary))?.number)
    }

    fn concept(&self, vocabulary: &Key, code: &ConceptCode) -> Result<Option<StoredConcept>> {
        let at = self.sync.published();
        let kept = self.concept_at(&at, self.number_at(&at, vocabulary)?, code)?;
        Ok(kept.map(|kept| StoredConcept {
            code: code.clone(),
            kept,
        }))
    }

    fn concepts(
        &self,
        vocabulary: &Key,
        after: Option<&ConceptCode>,
        limit: usize,
    ) -> Result<Vec<StoredConcept>> {
        let at = self.sync.published();
        let number = self.number_at(&at, vocabulary)?;
        let start = number.to_be_bytes().to_vec();
        let from = after.map_or(Bound::Included(start), |after| {
            Bound::Excluded(concept_key(number, after))
        });
        let rows = at.range(&self.keyspaces.concepts, (from, end_of(number)));
        let read = rows.map(|row| {
            let (key, row) = row.into_inner().map_err(engine)?;
            let code = ConceptCode::parse(code_in(&key)?);
            Ok(StoredConcept {
                code: code.map_err(|_| damaged("a key of concepts"))?,
                kept: decode::<ConceptRow>(&row, "concepts")?.kept()?,
            })
        });
        take_page(read, limit)
    }

    fn codes(&self, vocabulary: &Key) -> Result<Option<(VocabularyHead, Codes)>> {
        let at = self.sync.published();
        let Some(row) = self.vocabulary_row(&at, vocabulary)? else {
            return Ok(None);
        };
        let head = self.head_at(&at, row.number)?;
        let keys = at.prefix(&self.keyspaces.concepts, row.number.to_be_bytes());
        let codes = keys.map(|row| Ok::<Box<str>, _>(code_in(&row.key().map_err(engine)?)?.into()));
        let codes = codes.collect::<Result<Codes>>()?;
        Ok(Some((head, codes)))
    }
}

#[async_trait]
impl Terminology for EmbeddedStore {
    async fn vocabulary_heads(&self) -> Result<Arc<VocabularyHeads>> {
        Ok(self.inner.terminology.heads())
    }

    async fn vocabulary(&self, key: &Key) -> Result<Option<StoredVocabulary>> {
        let key = key.clone();
        self.run(move |inner| inner.vocabulary(&key)).await
    }

    async fn vocabularies(&self, after: Option<&Key>, limit: usize) -> Result<Vec<StoredVocabulary>> {
        let after = after.cloned();
        self.run(move |inner| inner.vocabularies(after.as_ref(), limit))
            .await
    }

    async fn change_vocabularies(
        &self,
        changes: Vec<VocabularyChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.run(move |inner| inner.change_vocabularies(changes, now))
            .await
    }

    async fn concept(&self, vocabulary: &Key, code: &ConceptCode) -> Result<Option<StoredConcept>> {
        let (vocabulary, code) = (vocabulary.clone(), code.clone());
        self.run(move |inner| inner.concept(&vocabulary, &code)).await
    }

    async fn concepts(
        &self,
        vocabulary: &Key,
        after: Option<&ConceptCode>,
        limit: usize,
    ) -> Result<Vec<StoredConcept>> {
        let (vocabulary, after) = (vocabulary.clone(), after.cloned());
        self.run(move |inner| inner.concepts(&vocabulary, after.as_ref(), limit))
            .await
    }

    async fn codes(&self, vocabulary: &Key) -> Result<Option<(VocabularyHead, Codes)>> {
        let vocabulary = vocabulary.clone();
        self.run(move |inner| inner.codes(&vocabulary)).await
    }

    async fn change_concepts(
        &self,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        let vocabulary = vocabulary.clone();
        self.run(move |inner| inner.change_concepts(&vocabulary, changes, now))
            .await
    }
}

#[cfg(test)]
mod tests;

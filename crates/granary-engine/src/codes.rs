//! The codes that checks look up, kept between requests within the limit `conceptCodeBytes`.
//!
//! A vocabulary is loaded when a request first needs it, and again after its concepts changed. What a request under way
//! still holds counts too, so that memory is bounded whatever changes meanwhile; a store takes no more concepts than fit
//! together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::schema::Schema;
use granary_core::vocabulary::{Codes, Vocabularies};
use granary_store::VocabularyHead;

use crate::engine::Engine;
use crate::error::error_object;

/// The codes that are kept, those used last.
#[derive(Debug)]
pub(crate) struct KeptCodes {
    bytes_max: u64,
    /// Held while a vocabulary is loaded: many requests that need it load it once.
    loading: tokio::sync::Mutex<()>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By the number of the vocabulary, which is never given twice.
    by_number: HashMap<u32, Entry>,
    /// Those that are kept no more, with their bytes: they are there until the last request lets go of them.
    leaving: Vec<(Weak<Codes>, u64)>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    /// The revision of the vocabulary.
    revision: u64,
    codes: Arc<Codes>,
    bytes: u64,
    /// When it was used last.
    used: u64,
}

impl KeptCodes {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            loading: tokio::sync::Mutex::default(),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The codes of the vocabulary at this revision.
    fn find(&mut self, head: &VocabularyHead) -> Option<Arc<Codes>> {
        self.uses += 1;
        let uses = self.uses;
        let entry = self.by_number.get_mut(&head.number)?;
        if entry.revision != head.revision {
            return None;
        }
        entry.used = uses;
        Some(Arc::clone(&entry.codes))
    }

    /// Lets go of what is needed least until so many more bytes fit in; false where they cannot.
    fn make_room(&mut self, bytes: u64, bytes_max: u64) -> bool {
        loop {
            self.leaving.retain(|(codes, _)| codes.strong_count() > 0);
            if self.bytes() + bytes <= bytes_max {
                return true;
            }
            let oldest = self.by_number.iter().min_by_key(|(_, entry)| entry.used);
            let Some(number) = oldest.map(|(number, _)| *number) else {
                return false;
            };
            self.let_go(number);
        }
    }

    fn bytes(&self) -> u64 {
        let kept = self.by_number.values().map(|entry| entry.bytes);
        kept.chain(self.leaving.iter().map(|(_, bytes)| *bytes)).sum()
    }

    fn let_go(&mut self, number: u32) {
        if let Some(entry) = self.by_number.remove(&number) {
            self.leaving.push((Arc::downgrade(&entry.codes), entry.bytes));
        }
    }

    /// Keeps these in place of those of another revision.
    fn keep(&mut self, head: &VocabularyHead, codes: &Arc<Codes>) {
        self.let_go(head.number);
        self.uses += 1;
        let entry = Entry {
            revision: head.revision,
            codes: Arc::clone(codes),
            bytes: head.code_bytes,
            used: self.uses,
        };
        self.by_number.insert(head.number, entry);
    }
}

impl Engine {
    /// The vocabularies that checks by this schema need, with the concepts that are in force.
    pub async fn vocabularies(&self, schema: &Schema) -> Result<Arc<Vocabularies>, ErrorObject> {
        if schema.vocabularies().is_empty() {
            return Ok(Arc::clone(&self.inner.no_vocabularies));
        }
        let terminology = self.store().terminology();
        let heads = terminology.vocabulary_heads().await.map_err(error_object)?;
        let mut found = Vec::with_capacity(schema.vocabularies().len());
        for key in schema.vocabularies() {
            // One that is bound is not deleted. Were it gone all the same, none of its codes would be known.
            let Some(head) = heads.get(key) else { continue };
            let kept = self.inner.codes.kept().find(head);
            let codes = match kept {
                Some(codes) => codes,
                None => match self.load_codes(key, head).await? {
                    Some(codes) => codes,
                    None => continue,
                },
            };
            found.push((key.clone(), codes));
        }
        Ok(Arc::new(found.into_iter().collect()))
    }

    async fn load_codes(&self, key: &Key, head: &VocabularyHead) -> Result<Option<Arc<Codes>>, ErrorObject> {
        let codes = &self.inner.codes;
        let _loading = codes.loading.lock().await;
        if let Some(loaded) = codes.kept().find(head) {
            return Ok(Some(loaded));
        }
        // The one before is of no use any more.
        codes.kept().let_go(head.number);
        if !codes.kept().make_room(head.code_bytes, codes.bytes_max) {
            let message = format!(
                "the codes that are needed to check do not fit into the limit conceptCodeBytes of {} together with \
                 those of other requests; send the request again later",
                codes.bytes_max
            );
            return Err(ErrorObject::new(ErrorType::ResourceExhausted, message));
        }
        let loaded = self
            .store()
            .terminology()
            .codes(key)
            .await
            .map_err(error_object)?;
        Ok(loaded.map(|(head, loaded)| {
            let loaded = Arc::new(loaded);
            codes.kept().keep(&head, &loaded);
            loaded
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u32, revision: u64, bytes: u64) -> VocabularyHead {
        VocabularyHead {
            number,
            revision,
            concepts: 1,
            code_bytes: bytes,
        }
    }

    fn codes() -> Arc<Codes> {
        Arc::new(["a"].into_iter().collect())
    }

    #[test]
    fn a_revision_is_found_and_no_other() {
        let mut kept = Kept::default();
        kept.keep(&head(1, 7, 10), &codes());
        assert!(kept.find(&head(1, 7, 10)).is_some());
        assert!(kept.find(&head(1, 8, 10)).is_none());
        assert!(kept.find(&head(2, 7, 10)).is_none());
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut kept = Kept::default();
        for number in 1..=3 {
            kept.keep(&head(number, 1, 10), &codes());
        }
        kept.find(&head(1, 1, 10));
        assert!(kept.make_room(5, 30));
        assert!(kept.find(&head(2, 1, 10)).is_none());
        assert!(kept.find(&head(1, 1, 10)).is_some());
        assert!(kept.find(&head(3, 1, 10)).is_some());
        assert_eq!(kept.bytes(), 20);
    }

    #[test]
    fn what_a_request_still_holds_counts() {
        let mut kept = Kept::default();
        let held = codes();
        kept.keep(&head(1, 1, 10), &held);
        kept.keep(&head(1, 2, 10), &codes());
        assert_eq!(kept.bytes(), 20);
        assert!(kept.make_room(20, 30), "the one that nobody holds makes room");
        assert!(!kept.make_room(21, 30));
        drop(held);
        assert!(kept.make_room(30, 30));
        assert!(kept.leaving.is_empty());
    }
}

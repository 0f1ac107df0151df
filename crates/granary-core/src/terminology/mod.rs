//! Vocabularies and their concepts (contract, section 3): what they are, how they are read, what a change does to one.

mod decide;
mod read;

use std::collections::BTreeMap;

use crate::keys::{ConceptCode, Key};
use crate::operation::Action;
use crate::time::Timestamp;

pub use decide::{ConceptRules, Decided, Outcome, Rules, Touched, VocabularyRules, code_bytes, decide};
pub use read::{read_concept, read_concept_change, read_vocabulary, read_vocabulary_change};

/// The language of a designation, such as `en` or `de-CH`: of the shape of BCP 47, kept as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LanguageTag(Box<str>);

impl LanguageTag {
    /// The longest tag, in characters.
    pub const LEN_MAX: usize = 64;
    /// What a tag looks like, for messages.
    pub const RULE: &str = "a language is a tag such as 'en' or 'de-CH': 1 to 8 letters, then parts of 1 to 8 letters and digits \
         behind a '-', 64 characters in all";

    /// The tag that `raw` spells.
    pub fn parse(raw: &str) -> Option<Self> {
        let mut parts = raw.split('-');
        let language = parts.next().unwrap_or_default();
        let short = |part: &str| (1..=8).contains(&part.len());
        let fits = raw.len() <= Self::LEN_MAX
            && short(language)
            && language.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|part| short(part) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        fits.then(|| Self(raw.into()))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A vocabulary without its key and its concepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// What it is called; never empty.
    pub title: Box<str>,
    /// What it is for.
    pub description: Option<Box<str>>,
}

/// A concept without its code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concept {
    /// What it means.
    pub definition: Option<Box<str>>,
    /// What it is called, by language; no term is empty.
    pub designation: BTreeMap<LanguageTag, Box<str>>,
}

/// What is stored under a name, with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<C> {
    /// What is stored.
    pub content: C,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One change of a vocabulary or of a concept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<N, C> {
    /// Stores one that must not exist.
    Create(N, C),
    /// Stores one, replacing the one that exists.
    Upsert(N, C),
    /// Deletes one that must exist.
    Delete(N),
}

impl<N, C> Change<N, C> {
    /// What it does.
    pub fn action(&self) -> Action {
        match self {
            Self::Create(..) => Action::Create,
            Self::Upsert(..) => Action::Upsert,
            Self::Delete(_) => Action::Delete,
        }
    }

    /// What it is on.
    pub fn name(&self) -> &N {
        match self {
            Self::Create(name, _) | Self::Upsert(name, _) | Self::Delete(name) => name,
        }
    }
}

/// A change of a vocabulary.
pub type VocabularyChange = Change<Key, Vocabulary>;
/// A change of a concept of some vocabulary.
pub type ConceptChange = Change<ConceptCode, Concept>;

#[cfg(test)]
mod tests;

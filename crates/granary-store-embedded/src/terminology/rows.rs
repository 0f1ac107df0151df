//! What stands in `vocabularies` and `concepts`; see the other rows (`rows.rs`) for the rules of all.

use granary_core::terminology::{Concept, Kept, LanguageTag, Vocabulary};
use granary_core::time::Timestamp;
use granary_store::{Result, VocabularyHead};
use serde::{Deserialize, Serialize};

use super::damaged;

/// What has the next number.
#[derive(Serialize, Deserialize)]
pub(super) struct CounterRow {
    pub(super) next_number: u32,
}

/// A vocabulary, under its key.
#[derive(Serialize, Deserialize)]
pub(super) struct VocabularyRow {
    pub(super) number: u32,
    pub(super) title: Box<str>,
    pub(super) description: Option<Box<str>>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

/// What moves with the concepts of a vocabulary, under its number.
#[derive(Serialize, Deserialize)]
pub(super) struct HeadRow {
    pub(super) revision: u64,
    pub(super) concepts: u64,
    pub(super) code_bytes: u64,
}

/// A concept, under the number of its vocabulary and its code.
#[derive(Serialize, Deserialize)]
pub(super) struct ConceptRow {
    pub(super) definition: Option<Box<str>>,
    pub(super) designation: Vec<(Box<str>, Box<str>)>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

impl VocabularyRow {
    pub(super) fn new(number: u32, kept: Kept<Vocabulary>) -> Self {
        Self {
            number,
            title: kept.content.title,
            description: kept.content.description,
            created_at: kept.created_at.millis(),
            updated_at: kept.updated_at.millis(),
        }
    }

    pub(super) fn kept(self) -> Kept<Vocabulary> {
        Kept {
            content: Vocabulary {
                title: self.title,
                description: self.description,
            },
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        }
    }
}

impl HeadRow {
    pub(super) fn new(head: &VocabularyHead) -> Self {
        Self {
            revision: head.revision,
            concepts: head.concepts,
            code_bytes: head.code_bytes,
        }
    }

    pub(super) fn head(&self, number: u32) -> VocabularyHead {
        VocabularyHead {
            number,
            revision: self.revision,
            concepts: self.concepts,
            code_bytes: self.code_bytes,
        }
    }
}

impl ConceptRow {
    pub(super) fn new(kept: Kept<Concept>) -> Self {
        let terms = kept.content.designation.into_iter();
        Self {
            definition: kept.content.definition,
            designation: terms
                .map(|(language, term)| (language.as_str().into(), term))
                .collect(),
            created_at: kept.created_at.millis(),
            updated_at: kept.updated_at.millis(),
        }
    }

    pub(super) fn kept(self) -> Result<Kept<Concept>> {
        let term = |(language, term): (Box<str>, Box<str>)| {
            let language = LanguageTag::parse(&language);
            Ok((language.ok_or_else(|| damaged("a row of concepts"))?, term))
        };
        Ok(Kept {
            content: Concept {
                definition: self.definition,
                designation: self.designation.into_iter().map(term).collect::<Result<_>>()?,
            },
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        })
    }
}

//! Vocabularies as the check looks codes up in them: what they say of a code beyond that it exists is not here.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use crate::keys::Key;

/// The codes of one vocabulary.
#[derive(Clone, Debug, Default)]
pub struct Codes(HashSet<Box<str>>);

impl Codes {
    /// True where `code` is one of them.
    pub fn contains(&self, code: &str) -> bool {
        self.0.contains(code)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<C: Into<Box<str>>> FromIterator<C> for Codes {
    fn from_iter<I: IntoIterator<Item = C>>(codes: I) -> Self {
        Self(codes.into_iter().map(Into::into).collect())
    }
}

/// The vocabularies that a check may need: those that [`Schema::vocabularies`](crate::schema::Schema::vocabularies)
/// tells.
#[derive(Clone, Debug, Default)]
pub struct Vocabularies(HashMap<Key, Arc<Codes>>);

impl Vocabularies {
    /// No vocabularies: every code that is bound to one is a fault.
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Vocabularies> = LazyLock::new(Vocabularies::default);
        &NONE
    }

    /// The codes of the vocabulary `key`.
    pub fn get(&self, key: &str) -> Option<&Arc<Codes>> {
        self.0.get(key)
    }
}

impl FromIterator<(Key, Arc<Codes>)> for Vocabularies {
    fn from_iter<I: IntoIterator<Item = (Key, Arc<Codes>)>>(vocabularies: I) -> Self {
        Self(vocabularies.into_iter().collect())
    }
}

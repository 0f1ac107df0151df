//! What changes do to what is stored: the same for vocabularies and for concepts, and for every store.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{Change, Kept};
use crate::error::{ErrorObject, ErrorType};
use crate::fault::shown;
use crate::keys::{ConceptCode, Key};
use crate::time::Timestamp;

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none, and there is one now.
    Created,
    /// There was one, created at this time, and now there is what was sent.
    Replaced {
        /// When it was created.
        created_at: Timestamp,
        /// When it was last changed: before now where what was sent is equal to what is stored.
        updated_at: Timestamp,
        /// True where what was sent is equal to what is stored, so that nothing was written.
        unchanged: bool,
    },
    /// It is gone.
    Deleted,
    /// Nothing was changed, for this reason.
    Failed(Box<ErrorObject>),
}

/// One name that changes touched, and what is to stand under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched<C> {
    /// True where there was one before.
    pub existed: bool,
    /// True where the one that is there now is not the one that was there before.
    pub fresh: bool,
    /// True where anything changed.
    pub changed: bool,
    /// What is to stand there.
    pub now: Option<Kept<C>>,
}

/// What came of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided<N: Ord, C> {
    /// What became of each, in their order.
    pub outcomes: Vec<Outcome>,
    /// Every name that they touched.
    pub touched: BTreeMap<N, Touched<C>>,
}

/// What creating and deleting are bound by, beside whether there is one.
pub trait Rules<N> {
    /// What to call one in a message.
    const NOUN: &'static str;
    /// Refuses one more, or counts it.
    fn create(&mut self, name: &N) -> Result<(), ErrorObject>;
    /// Refuses to let it go, or counts it out.
    fn delete(&mut self, name: &N) -> Result<(), ErrorObject>;
}

/// Decides changes in their order, each on its own, on what `read` finds under their names.
pub fn decide<N, C, R, E>(
    changes: Vec<Change<N, C>>,
    now: Timestamp,
    rules: &mut R,
    mut read: impl FnMut(&N) -> Result<Option<Kept<C>>, E>,
) -> Result<Decided<N, C>, E>
where
    N: Ord + Clone + Display,
    C: PartialEq,
    R: Rules<N>,
{
    let mut decided = Decided {
        outcomes: Vec::with_capacity(changes.len()),
        touched: BTreeMap::new(),
    };
    for change in changes {
        let name = change.name().clone();
        if !decided.touched.contains_key(&name) {
            let found = read(&name)?;
            let touched = Touched {
                existed: found.is_some(),
                fresh: false,
                changed: false,
                now: found,
            };
            decided.touched.insert(name.clone(), touched);
        }
        let outcome = match decided.touched.get_mut(&name) {
            Some(place) => one(change, place, now, rules),
            None => continue,
        };
        decided
            .outcomes
            .push(outcome.unwrap_or_else(|error| Outcome::Failed(Box::new(error))));
    }
    Ok(decided)
}

fn one<N: Display, C: PartialEq, R: Rules<N>>(
    change: Change<N, C>,
    place: &mut Touched<C>,
    now: Timestamp,
    rules: &mut R,
) -> Result<Outcome, ErrorObject> {
    let quoted = |name: &N| format!("{} '{}'", R::NOUN, shown(&name.to_string()));
    match (change, &mut place.now) {
        (Change::Create(name, _), Some(_)) => {
            let message = format!("{} already exists", quoted(&name));
            Err(ErrorObject::new(ErrorType::AlreadyExists, message))
        }
        (Change::Create(name, content) | Change::Upsert(name, content), empty @ None) => {
            rules.create(&name)?;
            *empty = Some(Kept {
                content,
                created_at: now,
                updated_at: now,
            });
            (place.fresh, place.changed) = (true, true);
            Ok(Outcome::Created)
        }
        (Change::Upsert(_, content), Some(kept)) => {
            let unchanged = kept.content == content;
            if !unchanged {
                kept.content = content;
                kept.updated_at = now;
                place.changed = true;
            }
            Ok(Outcome::Replaced {
                created_at: kept.created_at,
                updated_at: kept.updated_at,
                unchanged,
            })
        }
        (Change::Delete(name), full @ Some(_)) => {
            rules.delete(&name)?;
            *full = None;
            (place.fresh, place.changed) = (false, true);
            Ok(Outcome::Deleted)
        }
        (Change::Delete(name), None) => Err(ErrorObject::not_found(format!(
            "{} does not exist",
            quoted(&name)
        ))),
    }
}

/// What bounds vocabularies. `in_use` tells what binds one, if anything does.
pub struct VocabularyRules<U> {
    /// How many there are.
    pub count: u64,
    /// The limit `vocabularies`.
    pub count_max: u64,
    /// What binds the vocabulary with this key.
    pub in_use: U,
}

impl<U: FnMut(&Key) -> Option<String>> Rules<Key> for VocabularyRules<U> {
    const NOUN: &'static str = "vocabulary";

    fn create(&mut self, _: &Key) -> Result<(), ErrorObject> {
        if self.count >= self.count_max {
            let what = "the number of vocabularies";
            return Err(ErrorObject::over_limit(what, "vocabularies", self.count_max));
        }
        self.count += 1;
        Ok(())
    }

    fn delete(&mut self, key: &Key) -> Result<(), ErrorObject> {
        if let Some(user) = (self.in_use)(key) {
            return Err(ErrorObject::failed_precondition(format!(
                "vocabulary '{key}' is in use: {user} is bound to it; change that first"
            )));
        }
        self.count -= 1;
        Ok(())
    }
}

/// What a code counts for the limit `conceptCodeBytes`: itself, and what it takes to find it in memory.
pub fn code_bytes(code: &ConceptCode) -> u64 {
    code.as_str().len() as u64 + 64
}

/// What bounds the concepts of one vocabulary.
#[derive(Clone, Copy, Debug)]
pub struct ConceptRules {
    /// How many the vocabulary has.
    pub count: u64,
    /// The limit `conceptsPerVocabulary`.
    pub count_max: u64,
    /// What the codes of the vocabulary count, see [`code_bytes`].
    pub bytes: u64,
    /// What the codes of all other vocabularies count.
    pub bytes_of_others: u64,
    /// The limit `conceptCodeBytes`.
    pub bytes_max: u64,
}

impl Rules<ConceptCode> for ConceptRules {
    const NOUN: &'static str = "concept";

    fn create(&mut self, code: &ConceptCode) -> Result<(), ErrorObject> {
        if self.count >= self.count_max {
            let what = "the number of concepts of the vocabulary";
            return Err(ErrorObject::over_limit(
                what,
                "conceptsPerVocabulary",
                self.count_max,
            ));
        }
        if self.bytes + self.bytes_of_others + code_bytes(code) > self.bytes_max {
            let what = "what the codes of all concepts take";
            return Err(ErrorObject::over_limit(what, "conceptCodeBytes", self.bytes_max));
        }
        self.count += 1;
        self.bytes += code_bytes(code);
        Ok(())
    }

    fn delete(&mut self, code: &ConceptCode) -> Result<(), ErrorObject> {
        self.count -= 1;
        self.bytes -= code_bytes(code);
        Ok(())
    }
}

//! Profiles and relationship definitions: read, judged with every fault, compiled (contract, sections 4, 5 and 13).
//!
//! A definition is read into a small tree, since it is read rarely and every fault in it is told; what comes out is
//! compiled, and records are checked by that alone. A new type is a row of [`types::TYPES`] and, if its values are
//! made of something new, a variant of [`fields::ValueType`]; a complex type is a row of fields in [`complex`].

pub mod complex;
pub(crate) mod document;
pub mod fields;
pub mod names;
pub mod pattern;
mod read;
pub mod rules;
pub mod types;
pub mod value;
pub mod when;

use crate::keys::{IncludeKey, Key};
use fields::Fields;
use when::Whens;

pub(crate) use read::{Beside, JSON_DEPTH_MAX, Neighbours, Reading};

/// Whether records of a profile stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileKind {
    /// They stand alone.
    Root,
    /// They live inside a parent.
    Contained,
}

impl ProfileKind {
    /// The value of `type` in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "ROOT",
            Self::Contained => "CONTAINED",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Root, Self::Contained]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// How many there may be: `0:1`, `0:*`, `1:1`, `1:*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cardinality {
    /// At least one.
    pub at_least_one: bool,
    /// At most one.
    pub at_most_one: bool,
}

impl Cardinality {
    /// Every value on the wire.
    pub const NAMES: [&str; 4] = ["0:1", "0:*", "1:1", "1:*"];

    /// The value that `name` spells.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.contains(&name).then(|| Self {
            at_least_one: name.starts_with('1'),
            at_most_one: name.ends_with('1'),
        })
    }

    /// The value on the wire.
    pub const fn name(self) -> &'static str {
        match (self.at_least_one, self.at_most_one) {
            (false, true) => "0:1",
            (false, false) => "0:*",
            (true, true) => "1:1",
            (true, false) => "1:*",
        }
    }
}

/// A profile, compiled.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whether its records stand alone.
    pub kind: ProfileKind,
    /// Its properties.
    pub fields: Fields,
    /// Its conditional rules, if it has any.
    pub whens: Option<Box<Whens>>,
    /// What its records may contain.
    pub contained: Vec<ContainRule>,
}

/// What may stand under one contain key.
#[derive(Clone, Debug)]
pub struct ContainRule {
    /// The contain key.
    pub key: Key,
    /// The profiles that may stand there.
    pub types: Vec<Key>,
    /// How many.
    pub cardinality: Cardinality,
}

/// A relationship definition, compiled.
#[derive(Clone, Debug)]
pub struct RelationshipDefinition {
    /// Where its edges start.
    pub from: End,
    /// Where its edges end.
    pub to: End,
    /// The properties of its edges.
    pub fields: Fields,
    /// Its conditional rules, if it has any.
    pub whens: Option<Box<Whens>>,
}

/// One end of a relationship definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The profile at this end.
    pub profile_key: Key,
    /// What the edge is called seen from this end.
    pub include_key: IncludeKey,
    /// How many edges one resource of this end may have.
    pub include_cardinality: Cardinality,
}

#[cfg(test)]
mod tests;

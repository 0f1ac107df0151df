//! The definitions of one source: accepted one by one beside the others, compiled together once.

mod accept;
mod outline;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{ErrorObject, ErrorType};
use crate::fault::Path;
use crate::json::Scanner;
use crate::keys::{IncludeKey, Key};
use crate::operation::{EdgeEnd, EdgeEnds, TargetType, TypeNumber, TypeRef};
use crate::profile::document::Node;
use crate::profile::fields::{Binding, Fields, Strength};
use crate::profile::names::Names;
use crate::profile::when::Whens;
use crate::profile::{Cardinality, Profile, ProfileKind, Reading, RelationshipDefinition};
use crate::time::Timestamp;

pub use accept::{AcceptedDefinition, accept};
pub use outline::{Use, who_uses};

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum DefinitionKind {
    /// The schema of a resource type.
    Profile,
    /// The schema of a relationship type.
    RelationshipDefinition,
}

impl DefinitionKind {
    /// What to call one in a message.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::RelationshipDefinition => "relationship definition",
        }
    }
}

/// One definition as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDefinition {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its key, unique in its source among the definitions of its kind.
    pub key: Key,
    /// The number of the type, never given twice in a source.
    pub number: TypeNumber,
    /// Starts at 1 and grows with every replacement.
    pub revision: u64,
    /// The definition, compact.
    pub json: Arc<str>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it was last replaced.
    pub updated_at: Timestamp,
}

/// All definitions of one source, compiled once; shared by every check of that source.
#[derive(Debug)]
pub struct Schema {
    types: Vec<TypeRef>,
    /// What stands behind each of `types`.
    shapes: Vec<TypeShape>,
    profiles: Vec<ResourceShape>,
    /// The keys of `profiles`, CONTAINED ones too.
    profile_names: Names,
    relationships: Vec<RelationshipDefinition>,
    relationship_names: Names,
    /// The places in `types` of `relationships`.
    relationship_types: Vec<u32>,
    /// The vocabularies whose codes alone are taken somewhere.
    vocabularies: BTreeSet<Key>,
    /// What the patterns take, compiled.
    pattern_bytes: usize,
}

/// What stands behind a type: a place in the schema's own lists.
#[derive(Clone, Copy, Debug)]
enum TypeShape {
    Resource(usize),
    Relationship(usize),
}

/// A profile whose contained profiles are found.
#[derive(Debug)]
pub(crate) struct ResourceShape {
    pub(crate) fields: Fields,
    pub(crate) whens: Option<Box<Whens>>,
    /// Its place among the types; `None` for a CONTAINED profile.
    pub(crate) type_index: Option<u32>,
    pub(crate) contain_names: Names,
    /// At the places of `contain_names`.
    pub(crate) contained: Vec<ContainShape>,
}

/// What may stand under one contain key.
#[derive(Debug)]
pub(crate) struct ContainShape {
    pub(crate) types: Names,
    /// The places in `Schema::profiles` of `types`.
    pub(crate) profiles: Vec<usize>,
    pub(crate) cardinality: Cardinality,
}

impl StoredDefinition {
    /// The vocabularies that it names, of whatever strength.
    pub fn vocabularies(&self) -> BTreeSet<Key> {
        outline::vocabularies(self)
    }
}

impl Schema {
    /// Compiles the definitions of a source. What was accepted compiles; anything else is our fault (`INTERNAL`).
    pub fn compile(definitions: &[StoredDefinition]) -> Result<Self, ErrorObject> {
        let (mut profiles, mut relationships) = (Vec::new(), Vec::new());
        let mut found = Found::default();
        for stored in definitions {
            match stored.kind {
                DefinitionKind::Profile => profiles.push((
                    stored,
                    read_stored(stored, &mut found, |reading, node| {
                        Some(reading.profile(&stored.key, node))
                    })?,
                )),
                DefinitionKind::RelationshipDefinition => relationships.push((
                    stored,
                    read_stored(stored, &mut found, |reading, node| {
                        reading.relationship(&stored.key, node)
                    })?,
                )),
            }
        }
        let profile_names = Names::new(profiles.iter().map(|(stored, _)| stored.key.as_str()));
        let mut types = Vec::new();
        let mut shapes = Vec::new();
        let mut resources = Vec::new();
        for (place, (stored, profile)) in profiles.iter().enumerate() {
            let root = profile.kind == ProfileKind::Root;
            resources.push(resource_shape(
                stored,
                profile,
                &profile_names,
                root.then_some(types.len() as u32),
            )?);
            if root {
                shapes.push(TypeShape::Resource(place));
                types.push(TypeRef {
                    key: stored.key.clone(),
                    number: stored.number,
                    edge: None,
                });
            }
        }
        let mut relationship_types = Vec::new();
        for (place, (stored, definition)) in relationships.iter().enumerate() {
            let end = |end: &crate::profile::End| {
                let profile = profile_names.find(end.profile_key.as_str());
                let number = profile.map(|profile| profiles[profile].0.number);
                Ok::<_, ErrorObject>(EdgeEnd {
                    profile: end.profile_key.clone(),
                    number: number.ok_or_else(|| broken(stored))?,
                    at_most_one: end.include_cardinality.at_most_one,
                })
            };
            relationship_types.push(types.len() as u32);
            shapes.push(TypeShape::Relationship(place));
            types.push(TypeRef {
                key: stored.key.clone(),
                number: stored.number,
                edge: Some(EdgeEnds {
                    from: end(&definition.from)?,
                    to: end(&definition.to)?,
                }),
            });
        }
        Ok(Self {
            types,
            shapes,
            profiles: resources,
            profile_names,
            relationship_names: Names::new(relationships.iter().map(|(stored, _)| stored.key.as_str())),
            relationships: relationships
                .into_iter()
                .map(|(_, definition)| definition)
                .collect(),
            relationship_types,
            pattern_bytes: found.pattern_bytes,
            vocabularies: { found.bindings }
                .into_iter()
                .filter(|binding| binding.strength == Strength::Required)
                .map(|binding| binding.vocabulary)
                .collect(),
        })
    }

    /// What it takes of memory for its patterns, at the most.
    pub fn pattern_bytes(&self) -> usize {
        self.pattern_bytes
    }

    /// The vocabularies whose codes the check must know: those that a binding requires.
    pub fn vocabularies(&self) -> &BTreeSet<Key> {
        &self.vocabularies
    }

    /// Every type that an operation can be on: `type_index` of an operation is an index into this. CONTAINED
    /// profiles are not in it.
    pub fn types(&self) -> &[TypeRef] {
        &self.types
    }

    /// The index of the ROOT profile `key`.
    pub fn resource_type(&self, key: &str) -> Option<u32> {
        self.profiles[self.profile_names.find(key)?].type_index
    }

    /// The index of the relationship definition `key`.
    pub fn relationship_type(&self, key: &str) -> Option<u32> {
        Some(self.relationship_types[self.relationship_names.find(key)?])
    }

    /// The include keys of the ends of the relationship type at `type_index`: of where edges start, and where they end.
    pub fn include_keys(&self, type_index: u32) -> Option<[&IncludeKey; 2]> {
        match self.shapes.get(type_index as usize)? {
            TypeShape::Relationship(place) => {
                let definition = self.relationships.get(*place)?;
                Some([&definition.from.include_key, &definition.to.include_key])
            }
            TypeShape::Resource(_) => None,
        }
    }

    /// True where `key` is a profile, ROOT or CONTAINED.
    pub(crate) fn has_profile(&self, key: &str) -> bool {
        self.profile_names.find(key).is_some()
    }

    /// The index of the type of this kind with this key.
    pub(crate) fn type_of(&self, target: TargetType, key: &str) -> Option<u32> {
        match target {
            TargetType::Resource => self.resource_type(key),
            TargetType::Relationship => self.relationship_type(key),
        }
    }

    /// The keys of all types of this kind.
    pub(crate) fn keys_of(&self, target: TargetType) -> impl Iterator<Item = &str> {
        let of_kind = move |t: &&TypeRef| t.edge.is_some() == (target == TargetType::Relationship);
        self.types.iter().filter(of_kind).map(|t| t.key.as_str())
    }

    /// The resource type at `type_index`; `None` if a relationship type is there, or none.
    pub(crate) fn resource_shape(&self, type_index: u32) -> Option<&ResourceShape> {
        match self.shapes.get(type_index as usize)? {
            TypeShape::Resource(place) => self.profiles.get(*place),
            TypeShape::Relationship(_) => None,
        }
    }

    /// The profile at this place of the schema's own list.
    pub(crate) fn profile(&self, place: usize) -> &ResourceShape {
        &self.profiles[place]
    }

    /// The profile `key`, ROOT or CONTAINED.
    pub(crate) fn profile_named(&self, key: &str) -> Option<&ResourceShape> {
        Some(&self.profiles[self.profile_names.find(key)?])
    }

    /// The definition of the relationship type at `type_index`, and its ends.
    pub(crate) fn relationship_shape(&self, type_index: u32) -> Option<(&RelationshipDefinition, &EdgeEnds)> {
        let ends = self.types.get(type_index as usize)?.edge.as_ref()?;
        match self.shapes.get(type_index as usize)? {
            TypeShape::Relationship(place) => Some((self.relationships.get(*place)?, ends)),
            TypeShape::Resource(_) => None,
        }
    }
}

fn resource_shape(
    stored: &StoredDefinition,
    profile: &Profile,
    profile_names: &Names,
    type_index: Option<u32>,
) -> Result<ResourceShape, ErrorObject> {
    let contained = profile.contained.iter().map(|rule| {
        let profiles = rule.types.iter().map(|key| profile_names.find(key.as_str()));
        Ok(ContainShape {
            types: Names::new(rule.types.iter().map(Key::as_str)),
            profiles: profiles.collect::<Option<_>>().ok_or_else(|| broken(stored))?,
            cardinality: rule.cardinality,
        })
    });
    Ok(ResourceShape {
        fields: profile.fields.clone(),
        whens: profile.whens.clone(),
        type_index,
        contain_names: Names::new(profile.contained.iter().map(|rule| rule.key.as_str())),
        contained: contained.collect::<Result<_, ErrorObject>>()?,
    })
}

/// What is found beside the shapes of definitions.
#[derive(Default)]
struct Found {
    bindings: Vec<Binding>,
    /// What their patterns take, compiled.
    pattern_bytes: usize,
}

/// Reads a definition that was accepted before, and adds what is found beside its shape.
fn read_stored<T>(
    stored: &StoredDefinition,
    found: &mut Found,
    read: impl FnOnce(&mut Reading<'_>, &Node<'_>) -> Option<T>,
) -> Result<T, ErrorObject> {
    let mut reading = Reading::new(None);
    let mut nothing = Vec::new();
    let mut scanner = Scanner::new(
        stored.json.as_bytes(),
        crate::profile::JSON_DEPTH_MAX,
        &mut nothing,
    );
    let node = Node::read(&mut scanner, &Path::ROOT, &mut reading.faults);
    let node = node.map_err(|_| broken(stored))?;
    let definition = read(&mut reading, &node);
    found.bindings.append(&mut reading.bindings);
    found.pattern_bytes += reading.pattern_bytes();
    match definition {
        Some(definition) if !reading.faults.any() => Ok(definition),
        _ => Err(broken(stored)),
    }
}

fn broken(stored: &StoredDefinition) -> ErrorObject {
    let message = format!(
        "the stored {} '{}' cannot be compiled",
        stored.kind.noun(),
        stored.key
    );
    ErrorObject::new(ErrorType::Internal, message)
}

#[cfg(test)]
mod tests;

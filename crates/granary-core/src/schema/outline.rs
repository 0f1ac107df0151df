//! What a stored definition names, without reading its properties.

use std::collections::BTreeSet;

use super::{DefinitionKind, StoredDefinition};
use crate::fault::Path;
use crate::keys::Key;
use crate::profile::document::Node;
use crate::profile::{Neighbours, ProfileKind};

/// A definition that names a profile, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What the definition defines.
    pub kind: DefinitionKind,
    /// Its key.
    pub key: Key,
    /// Pointer to the place that names the profile, such as `/from/profileKey`.
    pub path: String,
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}' at {}", self.kind.noun(), self.key, self.path)
    }
}

/// The first definition that names the profile `key`, other than the profile itself.
pub fn who_uses(key: &Key, others: &[StoredDefinition]) -> Option<Use> {
    all_uses(key, others).next()
}

/// Every definition that names the profile `key`, other than the profile itself; once each.
pub(super) fn all_uses<'d>(key: &'d Key, others: &'d [StoredDefinition]) -> impl Iterator<Item = Use> + 'd {
    let others = others
        .iter()
        .filter(|other| !(other.kind == DefinitionKind::Profile && other.key == *key));
    others.filter_map(|other| {
        let outline = Outline::of(other)?;
        let path = outline.where_named(key.as_str())?;
        Some(Use {
            kind: other.kind,
            key: other.key.clone(),
            path,
        })
    })
}

/// The part of a definition that names others.
pub(super) struct Outline<'d> {
    node: Node<'d>,
}

impl<'d> Outline<'d> {
    pub(super) fn of(stored: &'d StoredDefinition) -> Option<Self> {
        Self::of_json(stored.kind, &stored.json)
    }

    pub(super) fn of_json(kind: DefinitionKind, json: &'d str) -> Option<Self> {
        let wanted: &[&str] = match kind {
            DefinitionKind::Profile => &["type", "contained"],
            DefinitionKind::RelationshipDefinition => &["from", "to"],
        };
        let node = Node::outline(json, wanted)?;
        Some(Self { node })
    }

    /// Of a profile: its kind.
    pub(super) fn profile_kind(&self) -> ProfileKind {
        let name = self.node.member("type").and_then(Node::text);
        name.and_then(ProfileKind::parse).unwrap_or(ProfileKind::Root)
    }

    /// Of a relationship definition: profile key and include key of an end.
    pub(super) fn end(&self, name: &str) -> Option<(&str, &str)> {
        let end = self.node.member(name)?;
        Some((
            end.member("profileKey")?.text()?,
            end.member("includeKey")?.text()?,
        ))
    }

    /// Where it names the profile `key`.
    fn where_named(&self, key: &str) -> Option<String> {
        for end in ["from", "to"] {
            if self.end(end).is_some_and(|(profile, _)| profile == key) {
                return Some(Path::ROOT.name(end).name("profileKey").pointer());
            }
        }
        let Some(Node::Object(rules)) = self.node.member("contained") else {
            return None;
        };
        rules.iter().find_map(|(contain_key, rule)| {
            let Some(Node::Array(types)) = rule.member("types") else {
                return None;
            };
            let place = types.iter().position(|named| named.text() == Some(key))?;
            let contained = Path::ROOT.name("contained");
            let rule = contained.name(contain_key);
            let types = rule.name("types");
            Some(types.index(place).pointer())
        })
    }
}

/// The vocabularies that a definition binds codes to.
pub(super) fn vocabularies(stored: &StoredDefinition) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    if let Some(node) = Node::outline(&stored.json, &["properties"]) {
        bound_in(&node, &mut found);
    }
    found
}

/// Adds what is bound in a property, or in what looks like one: something with `properties`.
fn bound_in(property: &Node<'_>, found: &mut BTreeSet<Key>) {
    let binding = property.member("binding").and_then(|b| b.member("vocabulary"));
    let key = binding.and_then(|vocabulary| vocabulary.member("key")?.text());
    found.extend(key.and_then(|key| Key::parse(key).ok()));
    if let Some(items) = property.member("items") {
        bound_in(items, found);
    }
    if let Some(Node::Object(properties)) = property.member("properties") {
        properties.iter().for_each(|(_, node)| bound_in(node, found));
    }
}

/// What the definition of this kind and key must fit beside.
pub(super) fn neighbours(kind: DefinitionKind, key: &Key, others: &[StoredDefinition]) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for other in others
        .iter()
        .filter(|other| !(other.kind == kind && other.key == *key))
    {
        let Some(outline) = Outline::of(other) else {
            continue;
        };
        match other.kind {
            DefinitionKind::Profile => {
                neighbours
                    .profiles
                    .insert(other.key.to_string(), outline.profile_kind());
            }
            DefinitionKind::RelationshipDefinition => {
                for (profile, include) in ["from", "to"].into_iter().filter_map(|end| outline.end(end)) {
                    let place = (profile.to_owned(), include.to_owned());
                    neighbours.include_keys.insert(place, other.key.clone());
                }
            }
        }
    }
    neighbours
}

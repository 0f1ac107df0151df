//! Reading a definition: what it says, or everything that is wrong with it.

mod property;
mod rules;
mod when;
mod when_path;

use std::collections::{BTreeSet, HashMap, HashSet};

use super::document::Node;
use super::fields::{Binding, Fields};
use super::{Cardinality, ContainRule, End, Profile, ProfileKind, RelationshipDefinition};
use crate::error::{ErrorObject, ErrorType};
use crate::fault::{Faults, Path, did_you_mean, shown};
use crate::keys::{IncludeKey, Key};
use crate::limits::Limits;

/// The deepest JSON that a definition is read from, whatever the limits say: reading recurses.
pub(crate) const JSON_DEPTH_MAX: usize = 512;

/// The other definitions of the source, as far as a definition must fit beside them.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// The other profiles.
    pub(crate) profiles: HashMap<String, ProfileKind>,
    /// Which definition calls an edge so: by profile and include key.
    pub(crate) include_keys: HashMap<(String, String), Key>,
}

/// What a definition is accepted beside.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'r> {
    pub(crate) neighbours: &'r Neighbours,
    /// The vocabularies that exist.
    pub(crate) vocabularies: &'r BTreeSet<Key>,
    pub(crate) limits: &'r Limits,
}

/// What the compiled patterns of one definition may take.
const PATTERN_BYTES_MAX: usize = 64 << 20;

/// One definition being read.
pub(crate) struct Reading<'r> {
    pub(crate) faults: Faults,
    /// The bindings to vocabularies that were found.
    pub(crate) bindings: Vec<Binding>,
    /// `None` where it was accepted before, so that nothing beside it is looked at again.
    beside: Option<Beside<'r>>,
    properties_count: u64,
    /// True once a rule object with `when` was seen.
    conditional: bool,
    /// The names of properties that are not usable.
    at_fault: HashSet<String>,
    /// True once the items of an array are not usable.
    items_at_fault: bool,
    /// What may still be compared between rules of one value, so that no definition takes long.
    comparisons_left: usize,
    /// What compiled patterns may still take.
    pattern_bytes_left: usize,
}

impl<'r> Reading<'r> {
    pub(crate) fn new(beside: Option<Beside<'r>>) -> Self {
        Self {
            faults: Faults::new(beside.map_or(100, |beside| beside.limits.details_per_error)),
            bindings: Vec::new(),
            beside,
            properties_count: 0,
            conditional: false,
            at_fault: HashSet::new(),
            items_at_fault: false,
            comparisons_left: 1_000_000,
            pattern_bytes_left: PATTERN_BYTES_MAX,
        }
    }

    /// What the patterns that were read take, compiled.
    pub(crate) fn pattern_bytes(&self) -> usize {
        PATTERN_BYTES_MAX - self.pattern_bytes_left
    }

    /// Reads the profile `key`.
    pub(crate) fn profile(&mut self, key: &Key, node: &Node<'_>) -> Profile {
        let path = Path::ROOT;
        self.object(node, &path, &["type", "description", "properties", "contained"]);
        self.description(node, &path);
        let kind = node.member("type").map_or(ProfileKind::Root, |value| {
            let read = self.choice(
                value,
                &path.name("type"),
                "type",
                &["ROOT", "CONTAINED"],
                ProfileKind::parse,
            );
            read.unwrap_or(ProfileKind::Root)
        });
        let fields = match node.member("properties") {
            Some(properties) => self.properties(properties, &path.name("properties"), 1),
            None => {
                self.missing(node, &path, "properties");
                Fields::default()
            }
        };
        let whens = node
            .member("properties")
            .and_then(|properties| self.whens(properties, &fields));
        let contained = node.member("contained").map_or_else(Vec::new, |contained| {
            self.contained(contained, &path.name("contained"), key, kind)
        });
        self.count_properties();
        Profile {
            kind,
            fields,
            whens,
            contained,
        }
    }

    /// Reads the relationship definition `key`; `None` if an end is not usable.
    pub(crate) fn relationship(&mut self, key: &Key, node: &Node<'_>) -> Option<RelationshipDefinition> {
        let path = Path::ROOT;
        self.object(node, &path, &["description", "from", "to", "properties"]);
        self.description(node, &path);
        let from = self.end(node, "from", key);
        let to = self.end(node, "to", key);
        if let (Some(from), Some(to)) = (&from, &to)
            && (&from.profile_key, &from.include_key) == (&to.profile_key, &to.include_key)
        {
            let message = || {
                format!(
                    "include key '{}' names both directions of the edge at profile '{}', take another",
                    to.include_key, to.profile_key
                )
            };
            self.faults
                .add(&path.name("to").name("includeKey"), "includeKey", message);
        }
        let fields = node
            .member("properties")
            .map_or_else(Fields::default, |properties| {
                self.properties(properties, &path.name("properties"), 1)
            });
        let whens = node
            .member("properties")
            .and_then(|properties| self.whens(properties, &fields));
        self.count_properties();
        Some(RelationshipDefinition {
            from: from?,
            to: to?,
            fields,
            whens,
        })
    }

    fn end(&mut self, node: &Node<'_>, name: &'static str, own: &Key) -> Option<End> {
        let path = Path::ROOT.name(name);
        let Some(end) = node.member(name) else {
            self.missing(node, &Path::ROOT, name);
            return None;
        };
        let members = ["profileKey", "includeKey", "includeCardinality"];
        self.object(end, &path, &members);
        for member in members {
            if end.member(member).is_none() {
                self.missing(end, &path, member);
            }
        }
        let profile_key = end.member("profileKey").and_then(|value| {
            let here = path.name("profileKey");
            let profile_key = self.key(value, &here)?;
            self.names_profile(profile_key.as_str(), ProfileKind::Root, None, &here, "profileKey");
            Some(profile_key)
        });
        let include_key = end.member("includeKey").and_then(|value| {
            let here = path.name("includeKey");
            let Some(text) = value.text() else {
                self.wrong_type(value, &here, "an include key, which is a string");
                return None;
            };
            let parsed = IncludeKey::parse(text);
            parsed
                .map_err(|bad| self.faults.add(&here, "key", || bad.to_string()))
                .ok()
        });
        let include_cardinality = end
            .member("includeCardinality")
            .and_then(|value| self.cardinality(value, &path.name("includeCardinality")));
        if let (Some(beside), Some(profile), Some(include)) = (self.beside, &profile_key, &include_key) {
            let place = (profile.to_string(), include.to_string());
            let taken = beside.neighbours.include_keys.get(&place);
            if let Some(other) = taken.filter(|other| *other != own) {
                let message = || {
                    format!(
                        "include key '{include}' is taken at profile '{profile}' by relationship definition '{other}'"
                    )
                };
                self.faults.add(&path.name("includeKey"), "includeKey", message);
            }
        }
        Some(End {
            profile_key: profile_key?,
            include_key: include_key?,
            include_cardinality: include_cardinality?,
        })
    }

    fn contained(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        own: &Key,
        kind: ProfileKind,
    ) -> Vec<ContainRule> {
        let Node::Object(members) = node else {
            self.wrong_type(node, path, "an object");
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let mut rules = Vec::new();
        for (name, node) in members {
            let here = path.name(name);
            if !seen.insert(&**name) {
                self.duplicate(&here, name);
                continue;
            }
            let key = self.name_as_key(name, &here);
            self.object(node, &here, &["types", "cardinality"]);
            let types = match node.member("types") {
                Some(types) => self.contained_types(types, &here.name("types"), own, kind),
                None => {
                    self.missing(node, &here, "types");
                    Vec::new()
                }
            };
            let cardinality = match node.member("cardinality") {
                Some(value) => self.cardinality(value, &here.name("cardinality")),
                None => {
                    self.missing(node, &here, "cardinality");
                    None
                }
            };
            if let (Some(key), Some(cardinality)) = (key, cardinality) {
                rules.push(ContainRule {
                    key,
                    types,
                    cardinality,
                });
            }
        }
        rules
    }

    fn contained_types(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        own: &Key,
        kind: ProfileKind,
    ) -> Vec<Key> {
        let Node::Array(elements) = node else {
            self.wrong_type(node, path, "an array of profile keys");
            return Vec::new();
        };
        if elements.is_empty() {
            self.faults.add(path, "types", || {
                "names no profile, so that nothing could stand here".into()
            });
        }
        let mut types: Vec<Key> = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let here = path.index(index);
            let Some(key) = self.key(element, &here) else {
                continue;
            };
            if types.contains(&key) {
                self.duplicate(&here, key.as_str());
                continue;
            }
            self.names_profile(
                key.as_str(),
                ProfileKind::Contained,
                Some((own, kind)),
                &here,
                "contained",
            );
            types.push(key);
        }
        types
    }

    /// The profile with this key must exist and be of this kind. `own` is the definition itself, which may be named.
    fn names_profile(
        &mut self,
        key: &str,
        wanted: ProfileKind,
        own: Option<(&Key, ProfileKind)>,
        path: &Path<'_>,
        rule: &str,
    ) {
        let Some(Beside { neighbours, .. }) = self.beside else {
            return;
        };
        let found = match own {
            Some((own, kind)) if own.as_str() == key => Some(kind),
            _ => neighbours.profiles.get(key).copied(),
        };
        match found {
            Some(kind) if kind == wanted => {}
            Some(kind) => self.faults.add(path, rule, || {
                format!(
                    "profile '{key}' is {}, a {} one is expected here",
                    kind.name(),
                    wanted.name()
                )
            }),
            None => {
                let fitting = neighbours.profiles.iter().filter(|(_, kind)| **kind == wanted);
                let known = fitting.map(|(key, _)| key.as_str());
                self.faults.add_unknown(path, rule, "profile", key, known);
            }
        }
    }

    fn count_properties(&mut self) {
        let Some(Beside { limits, .. }) = self.beside else {
            return;
        };
        if self.properties_count > limits.definition_properties {
            let what = format!("the number of properties ({})", self.properties_count);
            let error = ErrorObject::over_limit(&what, "definitionProperties", limits.definition_properties);
            let path = Path::ROOT.name("properties");
            let message = || error.message;
            self.faults
                .add_as(ErrorType::ContentTooLarge, &path, "definitionProperties", message);
        }
    }

    // --- small things that faults are made of ---

    /// `node` must be an object without duplicates and with none but these members.
    fn object(&mut self, node: &Node<'_>, path: &Path<'_>, known: &[&'static str]) {
        let Node::Object(members) = node else {
            self.wrong_type(node, path, "an object");
            return;
        };
        let mut seen = HashSet::new();
        for (name, _) in members {
            let here = path.name(name);
            if !known.contains(&&**name) && known.contains(&"rules") && rules::MEMBERS.contains(&&**name) {
                // Where other languages of schemas have it.
                self.faults.add(&here, "unknown", || {
                    format!("member '{name}' is not known here, it is a rule: \"rules\": [{{\"{name}\": …}}]")
                });
            } else if !known.contains(&&**name) {
                self.faults
                    .add_unknown(&here, "unknown", "member", name, known.iter().copied());
            } else if !seen.insert(&**name) {
                self.duplicate(&here, name);
            }
        }
    }

    fn description(&mut self, node: &Node<'_>, path: &Path<'_>) {
        if let Some(description) = node.member("description")
            && description.text().is_none()
        {
            self.wrong_type(description, &path.name("description"), "a string");
        }
    }

    fn key(&mut self, node: &Node<'_>, path: &Path<'_>) -> Option<Key> {
        match node.text() {
            Some(text) => self.name_as_key(text, path),
            None => {
                self.wrong_type(node, path, "a key, which is a string");
                None
            }
        }
    }

    fn name_as_key(&mut self, name: &str, path: &Path<'_>) -> Option<Key> {
        match Key::parse(name) {
            Ok(key) => Some(key),
            Err(bad) => {
                self.faults.add(path, "key", || bad.to_string());
                None
            }
        }
    }

    fn cardinality(&mut self, node: &Node<'_>, path: &Path<'_>) -> Option<Cardinality> {
        self.choice(node, path, "cardinality", &Cardinality::NAMES, Cardinality::parse)
    }

    fn choice<T>(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        rule: &str,
        known: &[&str],
        parse: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let Some(text) = node.text() else {
            self.wrong_type(node, path, "a string");
            return None;
        };
        let parsed = parse(text);
        if parsed.is_none() {
            self.faults.add(path, rule, || {
                let hint = did_you_mean(text, known.iter().copied());
                let hint = if hint.is_empty() {
                    format!(", only {}", known.join(", "))
                } else {
                    hint
                };
                format!("'{}' is not allowed{hint}", shown(text))
            });
        }
        parsed
    }

    fn wrong_type(&mut self, node: &Node<'_>, path: &Path<'_>, expected: &str) {
        self.faults.add(path, "type", || {
            format!("expected {expected}, found {}", node.kind_name())
        });
    }

    fn duplicate(&mut self, path: &Path<'_>, name: &str) {
        self.faults
            .add(path, "duplicate", || format!("'{}' is given twice", shown(name)));
    }

    /// Adds the fault that a member is missing, unless `node` is no object, which is a fault already.
    fn missing(&mut self, node: &Node<'_>, path: &Path<'_>, name: &str) {
        if matches!(node, Node::Object(_)) {
            self.faults
                .add(&path.name(name), "required", || format!("'{name}' is required"));
        }
    }
}

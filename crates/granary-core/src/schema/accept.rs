//! Accepting one definition.

use std::collections::BTreeSet;

use super::outline::{Outline, all_uses, neighbours};
use super::{DefinitionKind, StoredDefinition};
use crate::error::{ErrorObject, ErrorType};
use crate::fault::Path;
use crate::json::{Halt, Scanner, without_byte_order_mark};
use crate::keys::Key;
use crate::limits::Limits;
use crate::profile::document::Node;
use crate::profile::{Beside, JSON_DEPTH_MAX, ProfileKind, Reading};

/// A definition that makes sense beside the others of its source; only [`accept`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedDefinition {
    kind: DefinitionKind,
    key: Key,
    json: Box<str>,
    vocabularies: BTreeSet<Key>,
}

impl AcceptedDefinition {
    /// What it defines.
    pub fn kind(&self) -> DefinitionKind {
        self.kind
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The definition as it was sent, without white space between tokens.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The vocabularies that it names, of whatever strength.
    pub fn vocabularies(&self) -> &BTreeSet<Key> {
        &self.vocabularies
    }

    /// Why it may not replace `current` while records of that type exist, if it may not: a profile stays ROOT or
    /// CONTAINED, a relationship definition keeps its profiles (contract, section 4).
    pub fn refused_while_records_exist(&self, current: &StoredDefinition) -> Option<ErrorObject> {
        let new = Outline::of_json(self.kind, &self.json)?;
        let old = Outline::of(current)?;
        let mut faults = crate::fault::Faults::new(u64::MAX);
        match self.kind {
            DefinitionKind::Profile => {
                let (is, was) = (new.profile_kind(), old.profile_kind());
                if is != was {
                    let message = || {
                        format!(
                            "cannot change from {} to {} while records exist",
                            was.name(),
                            is.name()
                        )
                    };
                    faults.add_as(
                        ErrorType::FailedPrecondition,
                        &Path::ROOT.name("type"),
                        "type",
                        message,
                    );
                }
            }
            DefinitionKind::RelationshipDefinition => {
                for end in ["from", "to"] {
                    let (Some((is, _)), Some((was, _))) = (new.end(end), old.end(end)) else {
                        continue;
                    };
                    if is != was {
                        let path = Path::ROOT.name(end);
                        let message = || format!("cannot change from '{was}' to '{is}' while records exist");
                        let path = path.name("profileKey");
                        faults.add_as(ErrorType::FailedPrecondition, &path, "profileKey", message);
                    }
                }
            }
        }
        faults.into_error()
    }
}

/// Accepts the definition `json` for `key` beside the `others` of its source and the `vocabularies` that exist, or
/// refuses it with every fault. A definition of the same kind and key among the others is the one that it replaces.
pub fn accept(
    kind: DefinitionKind,
    key: &Key,
    json: &[u8],
    others: &[StoredDefinition],
    vocabularies: &BTreeSet<Key>,
    limits: &Limits,
) -> Result<AcceptedDefinition, ErrorObject> {
    let over = |what: String, name, limit| ErrorObject::over_limit(&what, name, limit);
    if json.len() as u64 > limits.definition_bytes {
        let what = format!("the definition with {} bytes", json.len());
        return Err(over(what, "definitionBytes", limits.definition_bytes));
    }
    let count = others
        .iter()
        .filter(|other| !(other.kind == kind && other.key == *key))
        .count() as u64
        + 1;
    if count > limits.definitions_per_source {
        let what = format!("the number of definitions of this source ({count})");
        return Err(over(what, "definitionsPerSource", limits.definitions_per_source));
    }
    let neighbours = neighbours(kind, key, others);
    let mut reading = Reading::new(Some(Beside {
        neighbours: &neighbours,
        vocabularies,
        limits,
    }));
    let mut compact = Vec::with_capacity(json.len());
    let node = read(json, limits, &mut compact, &mut reading)?;
    match kind {
        DefinitionKind::Profile => {
            let profile = reading.profile(key, &node);
            keep_users_sensible(key, profile.kind, others, &mut reading);
        }
        DefinitionKind::RelationshipDefinition => {
            reading.relationship(key, &node);
        }
    }
    let bindings = std::mem::take(&mut reading.bindings);
    if let Some(error) = reading.faults.into_error() {
        return Err(error);
    }
    // The scanner has checked that it is UTF-8.
    let json = String::from_utf8(compact).map_err(|_| ErrorObject::invalid("the definition is not UTF-8"))?;
    Ok(AcceptedDefinition {
        kind,
        key: key.clone(),
        json: json.into(),
        vocabularies: bindings.into_iter().map(|binding| binding.vocabulary).collect(),
    })
}

/// Reads the tree of a definition and copies it without white space.
fn read<'a>(
    json: &'a [u8],
    limits: &Limits,
    compact: &mut Vec<u8>,
    reading: &mut Reading<'_>,
) -> Result<Node<'a>, ErrorObject> {
    // Each level of properties is two of JSON; rules and their lists come on top.
    let depth_max = limits.definition_depth.saturating_mul(2).saturating_add(16);
    let depth_max = usize::try_from(depth_max)
        .unwrap_or(usize::MAX)
        .min(JSON_DEPTH_MAX);
    let mark = json.len() - without_byte_order_mark(json).len();
    let mut scanner = Scanner::new(without_byte_order_mark(json), depth_max, compact);
    scanner.start_copy();
    let read = Node::read(&mut scanner, &Path::ROOT, &mut reading.faults).and_then(|node| {
        scanner.stop_copy();
        scanner.finish()?;
        Ok(node)
    });
    let halt = match read {
        Err(Halt::TooDeep) => scanner.check_syntax().err().unwrap_or(Halt::TooDeep),
        Err(halt) => halt,
        Ok(node) => return Ok(node),
    };
    Err(match halt {
        Halt::TooDeep => ErrorObject::over_limit("the nesting", "definitionDepth", limits.definition_depth),
        Halt::Syntax { offset, message } => ErrorObject::invalid(format!(
            "the definition is not JSON: {message}, at byte {}",
            offset + mark
        )),
    })
}

/// What names a profile in `contained` needs it CONTAINED, what names it as an end needs it ROOT.
fn keep_users_sensible(key: &Key, kind: ProfileKind, others: &[StoredDefinition], reading: &mut Reading<'_>) {
    for user in all_uses(key, others) {
        let needed = match user.kind {
            DefinitionKind::Profile => ProfileKind::Contained,
            DefinitionKind::RelationshipDefinition => ProfileKind::Root,
        };
        if kind != needed {
            let path = Path::ROOT.name("type");
            let message = || format!("must stay {}: {user} names it", needed.name());
            reading
                .faults
                .add_as(ErrorType::FailedPrecondition, &path, "type", message);
        }
    }
}

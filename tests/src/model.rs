//! What requests do, said once more and as simply as can be: maps, one operation after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use granary_core::operation::TargetType;

/// The id of a resource, or both ends of an edge.
pub(crate) type Name = (String, Option<String>);

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create(Name, u8),
    Upsert(Name, u8),
    Delete(Name),
}

impl Operation {
    /// What it is on.
    pub(crate) fn name(&self) -> &Name {
        match self {
            Self::Create(name, _) | Self::Upsert(name, _) | Self::Delete(name) => name,
        }
    }
}

/// A bulk request.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) target: TargetType,
    /// The type of its edges.
    pub(crate) edges: &'static str,
    pub(crate) operations: Vec<Operation>,
}

impl Request {
    pub(crate) fn to_json(&self) -> String {
        let mut json = r#"{"operations":["#.to_owned();
        for (index, operation) in self.operations.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            let (action, member, name, value) = match operation {
                Operation::Create(name, n) => ("CREATE", "create", name, Some(n)),
                Operation::Upsert(name, n) => ("UPSERT", "upsert", name, Some(n)),
                Operation::Delete(name) => ("DELETE", "delete", name, None),
            };
            let record = match name {
                (id, None) => format!(r#""type":"place","id":"{id}""#),
                (from, Some(to)) => format!(
                    r#""type":"{}","from":{{"type":"place","id":"{from}"}},"to":{{"type":"place","id":"{to}"}}"#,
                    self.edges
                ),
            };
            // Writing to a string does not fail.
            let _ = write!(json, r#"{{"action":"{action}","{member}":{{{record}"#);
            if let Some(n) = value {
                let _ = write!(json, r#","data":{}"#, data(name, *n));
                if let Some(identifier) = identifier(name) {
                    let _ = write!(
                        json,
                        r#","meta":{{"identifier":[{{"system":"{SYSTEM}","value":"{identifier}"}}]}}"#
                    );
                }
            }
            json.push_str("}}");
        }
        json.push_str("]}");
        json
    }
}

/// What the identifiers are of that bulk requests write.
pub(crate) const SYSTEM: &str = "places";

/// The identifier of a record: some have one.
pub(crate) fn identifier(name: &Name) -> Option<&str> {
    match name {
        (id, None) if id.ends_with('7') => Some(id),
        _ => None,
    }
}

/// What ids begin with whose records are large, and pack badly.
pub(crate) const LARGE: &str = "id-large-";
const LARGE_BYTES: usize = 45_000;

/// The data of a record with this value; some of it long enough that a request takes several blocks.
pub(crate) fn data(name: &Name, n: u8) -> String {
    match name {
        (id, None) if id.starts_with(LARGE) => format!(r#"{{"n":{n},"text":"{}"}}"#, noise(id, n)),
        (id, None) => format!(r#"{{"n":{n},"text":"{}"}}"#, id.repeat(8)),
        (_, Some(_)) => format!(r#"{{"n":{n}}}"#),
    }
}

/// A text without a pattern, which is always the same.
fn noise(id: &str, n: u8) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut state = id.bytes().fold(u64::from(n) + 1, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..LARGE_BYTES).map(letter).collect()
}

/// What became of an operation: 200, 304 for an equal upsert, 404, 409.
pub(crate) type Code = u16;

/// What a record is: its version and its value; `None` where it is not there.
pub(crate) type State = Option<(u64, u8)>;

/// Records as they should stand: for each its version and value.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) records: BTreeMap<Name, (u64, u8)>,
    /// The edges that begin or end at a resource.
    edges: BTreeMap<String, BTreeSet<Name>>,
}

impl Model {
    /// Does one operation.
    pub(crate) fn apply(&mut self, operation: &Operation) -> Code {
        self.apply_telling(operation, |_, _| ())
    }

    /// Does one operation, and tells what each record is now that it has changed.
    pub(crate) fn apply_telling(
        &mut self,
        operation: &Operation,
        mut tell: impl FnMut(&Name, State),
    ) -> Code {
        match operation {
            Operation::Create(name, _) if self.records.contains_key(name) => 409,
            Operation::Delete(name) => match self.records.remove(name) {
                None => 404,
                Some(_) => {
                    tell(name, None);
                    let gone = match name {
                        (id, None) => self.edges.remove(id).unwrap_or_default(),
                        (_, Some(_)) => BTreeSet::from([name.clone()]),
                    };
                    for edge in gone {
                        if self.records.remove(&edge).is_some() {
                            tell(&edge, None);
                        }
                        let ends = [Some(&edge.0), edge.1.as_ref()];
                        for end in ends.into_iter().flatten() {
                            if let Some(edges) = self.edges.get_mut(end) {
                                edges.remove(&edge);
                            }
                        }
                    }
                    200
                }
            },
            Operation::Create(name, n) | Operation::Upsert(name, n) => {
                if let (from, Some(to)) = name {
                    let exists = |id: &String| self.records.contains_key(&(id.clone(), None));
                    if !exists(from) || !exists(to) {
                        return 404;
                    }
                }
                let (version, value) = self.records.entry(name.clone()).or_default();
                if *version > 0 && value == n {
                    return 304;
                }
                *version += 1;
                *value = *n;
                tell(name, Some((*version, *n)));
                if let (from, Some(to)) = name {
                    for end in [from, to] {
                        self.edges.entry(end.clone()).or_default().insert(name.clone());
                    }
                }
                200
            }
        }
    }
}

//! What requests do, said once more and as simply as can be: maps, one operation after the other.

use std::collections::BTreeMap;
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

/// A bulk request.
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
            }
            json.push_str("}}");
        }
        json.push_str("]}");
        json
    }
}

/// The data of a record with this value; some of it long enough that a request takes several blocks.
pub(crate) fn data(name: &Name, n: u8) -> String {
    match name {
        (id, None) => format!(r#"{{"n":{n},"text":"{}"}}"#, id.repeat(8)),
        (_, Some(_)) => format!(r#"{{"n":{n}}}"#),
    }
}

/// What became of an operation: 200, 304 for an equal upsert, 404, 409.
pub(crate) type Code = u16;

/// Records as they should stand: for each its version and value.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) records: BTreeMap<Name, (u64, u8)>,
}

impl Model {
    /// Does one operation.
    pub(crate) fn apply(&mut self, operation: &Operation) -> Code {
        match operation {
            Operation::Create(name, _) if self.records.contains_key(name) => 409,
            Operation::Delete(name) => match self.records.remove(name) {
                None => 404,
                Some(_) => {
                    if let (id, None) = name {
                        self.records
                            .retain(|(from, to), _| to.as_ref().is_none_or(|to| from != id && to != id));
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
                match self.records.get_mut(name) {
                    Some((_, value)) if value == n => 304,
                    Some((version, value)) => {
                        *version += 1;
                        *value = *n;
                        200
                    }
                    None => {
                        self.records.insert(name.clone(), (1, *n));
                        200
                    }
                }
            }
        }
    }
}

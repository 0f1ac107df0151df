//! JSON Patch (RFC 6902: add, remove, replace, test) on JSON as bytes.
//!
//! What a patch does not touch stays byte for byte: a decimal keeps its digits, an object its order. So there is no tree;
//! each operation finds its place with the scanner and splices there. The work is bounded by the limit on operations
//! times the size of the document. `move` and `copy` are refused: with `copy` a short patch makes a long document.

mod equal;
mod place;

use std::ops::Range;

use crate::check::{DEPTH_MAX, Rejection};
use crate::error::{Detail, ErrorObject, ErrorType};
use crate::fault::{Faults, Path, shown};
use crate::json::{Halt, Kind, Scanner, without_byte_order_mark};
use crate::limits::Limits;
use place::{Landing, Pointer};

const MEMBERS: [&str; 4] = ["op", "path", "value", "from"];

/// What one operation of a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Add,
    Remove,
    Replace,
    Test,
}

impl Action {
    const ALL: [(&str, Self); 4] = [
        ("add", Self::Add),
        ("remove", Self::Remove),
        ("replace", Self::Replace),
        ("test", Self::Test),
    ];

    const fn takes_value(self) -> bool {
        !matches!(self, Self::Remove)
    }
}

#[derive(Debug)]
struct Operation {
    action: Action,
    pointer: Pointer,
    /// Where in `Patch::values` its value is.
    value: Range<usize>,
}

/// A patch that was read.
#[derive(Debug)]
pub struct Patch {
    operations: Vec<Operation>,
    /// The values, without white space between tokens.
    values: Vec<u8>,
}

impl Patch {
    /// Reads a patch; every fault of it is told, with a pointer into it. Members that an operation does not have are
    /// passed over, as the RFC says.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Rejection> {
        let sent = bytes.len();
        let bytes = without_byte_order_mark(bytes);
        let depth_max = limits.json_depth.min(DEPTH_MAX);
        let mut values = Vec::new();
        let mut reading = Reading {
            scan: Scanner::new(bytes, depth_max as usize, &mut values),
            faults: Faults::new(limits.details_per_error),
            operations: Vec::new(),
            operations_max: limits.patch_operations,
            over: false,
        };
        let outcome = match reading.patch() {
            Ok(()) => reading.scan.finish(),
            Err(Halt::TooDeep) => Err(reading.scan.check_syntax().err().unwrap_or(Halt::TooDeep)),
            Err(halt) => Err(halt),
        };
        let (operations, over) = (reading.operations, reading.over);
        match (outcome, reading.faults.into_error()) {
            (Err(Halt::Syntax { offset, message }), _) => Err(Rejection::Syntax {
                offset: offset + sent - bytes.len(),
                message: message.to_owned(),
            }),
            (Err(Halt::TooDeep), _) => Err(over_limit("the nesting of the JSON", "jsonDepth", depth_max)),
            (Ok(()), _) if over => {
                let what = "the number of operations of the patch";
                Err(over_limit(what, "patchOperations", limits.patch_operations))
            }
            (Ok(()), Some(error)) => Err(Rejection::Invalid(error)),
            (Ok(()), None) => Ok(Self { operations, values }),
        }
    }

    /// What becomes of `document`, which is one JSON value without white space between tokens. The first operation that
    /// does not fit, or whose test fails, is told, with a pointer into the patch.
    pub fn apply(&self, document: &[u8]) -> Result<Vec<u8>, ErrorObject> {
        let mut document = document.to_vec();
        for (index, operation) in self.operations.iter().enumerate() {
            let value = self.values.get(operation.value.clone()).unwrap_or_default();
            operation
                .apply(&mut document, value)
                .map_err(|misfit| misfit.told(index))?;
        }
        Ok(document)
    }
}

fn over_limit(what: &str, limit: &str, value: u64) -> Rejection {
    Rejection::Invalid(ErrorObject::over_limit(what, limit, value))
}

/// Why an operation does nothing.
enum Misfit {
    Nowhere(String),
    /// Its test fails.
    Differs(String),
}

impl Misfit {
    fn told(self, index: usize) -> ErrorObject {
        let (error_type, member, rule, what) = match self {
            Self::Nowhere(why) => (ErrorType::InvalidArgument, "path", "path", why),
            Self::Differs(why) => (ErrorType::FailedPrecondition, "value", "test", why),
        };
        let path = format!("/{index}/{member}");
        let detail = Detail {
            error_type,
            message: what.clone(),
            path: Some(path.clone()),
            rule: Some(rule.to_owned()),
        };
        ErrorObject::new(error_type, format!("{path}: {what}")).with_details(vec![detail])
    }
}

impl Operation {
    fn apply(&self, document: &mut Vec<u8>, value: &[u8]) -> Result<(), Misfit> {
        let landing = match (self.action, self.pointer.land(document)) {
            (_, Ok(landing)) => landing,
            (Action::Test, Err(why)) => return Err(Misfit::Differs(why)),
            (_, Err(why)) => return Err(Misfit::Nowhere(why)),
        };
        match (self.action, landing) {
            (Action::Test, Landing::There { value: there, .. }) => {
                let there = document.get(there).unwrap_or_default();
                match equal::equal(there, value) {
                    true => Ok(()),
                    false => {
                        let why = format!("the value at '{}' is another one", shown(&self.pointer.raw));
                        Err(Misfit::Differs(why))
                    }
                }
            }
            (Action::Test, Landing::Free { .. }) => Err(Misfit::Differs(self.pointer.nothing_there())),
            // In an array an added value goes before the one that is there.
            (
                Action::Add,
                Landing::There {
                    entry: Some(entry),
                    in_array: true,
                    ..
                },
            ) => {
                splice(document, entry.start..entry.start, &[value, b","]);
                Ok(())
            }
            (Action::Add | Action::Replace, Landing::There { value: there, .. }) => {
                splice(document, there, &[value]);
                Ok(())
            }
            (Action::Add, Landing::Free { at, comma, name }) => {
                let comma: &[u8] = if comma { b"," } else { b"" };
                splice(document, at..at, &[comma, &name, value]);
                Ok(())
            }
            (
                Action::Remove,
                Landing::There {
                    entry: Some(entry), ..
                },
            ) => {
                splice(document, place::with_comma(document, entry), &[]);
                Ok(())
            }
            (Action::Remove, Landing::There { entry: None, .. }) => Err(Misfit::Nowhere(
                "the whole cannot be removed, replace it with {}".to_owned(),
            )),
            (_, Landing::Free { .. }) => Err(Misfit::Nowhere(self.pointer.nothing_there())),
        }
    }
}

/// Puts `parts` where `range` was.
fn splice(document: &mut Vec<u8>, range: Range<usize>, parts: &[&[u8]]) {
    document.splice(range, parts.concat());
}

/// A patch while it is read.
struct Reading<'a, 'o> {
    scan: Scanner<'a, 'o>,
    faults: Faults,
    operations: Vec<Operation>,
    operations_max: u64,
    /// True once there are more operations than may be.
    over: bool,
}

impl Reading<'_, '_> {
    fn patch(&mut self) -> Result<(), Halt> {
        let found = self.scan.peek()?;
        if found != Kind::Array {
            self.faults.add(&Path::ROOT, "type", || {
                format!("expected an array of operations, found {}", found.name())
            });
            return self.scan.skip();
        }
        self.scan.open()?;
        let mut count = 0;
        while self.scan.element(count == 0)? {
            if count as u64 >= self.operations_max {
                self.over = true;
                self.scan.skip()?;
            } else {
                self.operation(&Path::ROOT.index(count))?;
            }
            count += 1;
        }
        Ok(())
    }

    fn operation(&mut self, path: &Path<'_>) -> Result<(), Halt> {
        let found = self.scan.peek()?;
        if found != Kind::Object {
            self.faults.add(path, "type", || {
                format!(
                    "expected an operation, which is an object, found {}",
                    found.name()
                )
            });
            return self.scan.skip();
        }
        self.scan.open()?;
        let mut seen = [false; MEMBERS.len()];
        let (mut action, mut pointer, mut value) = (None, None, 0..0);
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = path.name(&name);
            let Some(member) = MEMBERS.iter().position(|known| *known == name) else {
                self.scan.skip()?;
                continue;
            };
            if std::mem::replace(&mut seen[member], true) {
                self.faults
                    .add(&here, "duplicate", || format!("'{name}' is given twice"));
                self.scan.skip()?;
                continue;
            }
            match MEMBERS[member] {
                "op" => action = self.action(&here)?,
                "path" => pointer = self.pointer(&here)?,
                "value" => {
                    let start = self.scan.out().len();
                    self.scan.start_copy();
                    self.scan.skip()?;
                    self.scan.stop_copy();
                    value = start..self.scan.out().len();
                }
                _ => self.scan.skip()?,
            }
        }
        for (member, name) in MEMBERS.iter().enumerate() {
            let wanted = match *name {
                "value" => action.is_some_and(Action::takes_value),
                name => name != "from",
            };
            if wanted && !seen[member] {
                self.faults
                    .add(&path.name(name), "required", || format!("'{name}' is required"));
            }
        }
        if let (Some(action), Some(pointer)) = (action, pointer) {
            self.operations.push(Operation {
                action,
                pointer,
                value,
            });
        }
        Ok(())
    }

    fn action(&mut self, path: &Path<'_>) -> Result<Option<Action>, Halt> {
        let Some(name) = self.text(path)? else {
            return Ok(None);
        };
        let found = Action::ALL.into_iter().find(|(known, _)| *known == name);
        if found.is_none() {
            match name.as_str() {
                "move" | "copy" => self.faults.add(path, "op", || {
                    format!("'{name}' is not supported; use add with the value, and remove")
                }),
                _ => {
                    let known = Action::ALL.map(|(known, _)| known);
                    self.faults.add_unknown(path, "op", "operation", &name, known);
                }
            }
        }
        Ok(found.map(|(_, action)| action))
    }

    fn pointer(&mut self, path: &Path<'_>) -> Result<Option<Pointer>, Halt> {
        let Some(raw) = self.text(path)? else {
            return Ok(None);
        };
        let pointer = Pointer::parse(raw);
        match pointer {
            Ok(pointer) => Ok(Some(pointer)),
            Err(why) => {
                self.faults.add(path, "path", || why.to_owned());
                Ok(None)
            }
        }
    }

    fn text(&mut self, path: &Path<'_>) -> Result<Option<String>, Halt> {
        match self.scan.peek()? {
            Kind::String => Ok(Some(self.scan.string()?.decode().into_owned())),
            found => {
                self.faults.add(path, "type", || {
                    format!("expected a string, found {}", found.name())
                });
                self.scan.skip()?;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;

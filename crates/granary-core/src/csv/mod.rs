//! CSV as operations (contract, sections 2 and 13): the header names properties, and each row becomes the JSON of one
//! operation, which then goes the way of every other. Quoting is that of RFC 4180, read strictly: a stray quote is a fault
//! of its row, for what a lenient reader makes of it is seldom what was meant.

mod cells;
mod layout;

use crate::error::ErrorObject;
use crate::fault::did_you_mean;
use crate::operation::{Action, TargetType};
use crate::schema::Schema;

pub use cells::Cells;
pub use layout::Layout;

/// The longest separator of the elements of an array, in bytes.
pub const SEPARATOR_LEN_MAX: usize = 16;

/// What the rows of one request have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    target: TargetType,
    type_index: u32,
    type_key: String,
    action: Action,
    separator: String,
}

impl Sheet {
    /// Rows that do `action` (`CREATE` unless said, in any case) to records of a type of this kind; the elements of their
    /// arrays are joined by `separator` (`|` unless said). What is not valid is `INVALID_ARGUMENT`.
    pub fn new(
        schema: &Schema,
        target: TargetType,
        type_key: Option<&str>,
        action: Option<&str>,
        separator: Option<&str>,
    ) -> Result<Self, ErrorObject> {
        let Some(type_key) = type_key else {
            let message = "CSV does not say what its rows are; name their type in the query, '?type=…'";
            return Err(ErrorObject::invalid(message));
        };
        let Some(type_index) = schema.type_of(target, type_key) else {
            let noun = match target {
                TargetType::Resource => "resource",
                TargetType::Relationship => "relationship",
            };
            let shown: String = type_key.chars().take(100).collect();
            let hint = did_you_mean(type_key, schema.keys_of(target));
            return Err(ErrorObject::invalid(format!(
                "{noun} type '{shown}' is not known{hint}"
            )));
        };
        let asked = action.unwrap_or("create");
        let known = |action: &Action| action.name().eq_ignore_ascii_case(asked);
        let Some(action) = Action::ALL.into_iter().find(known) else {
            let shown: String = asked.chars().take(100).collect();
            let message = format!("action '{shown}' is not known; it is create, upsert or delete");
            return Err(ErrorObject::invalid(message));
        };
        let separator = separator.unwrap_or("|");
        if !(1..=SEPARATOR_LEN_MAX).contains(&separator.len()) {
            let message = format!("a separator has 1 to {SEPARATOR_LEN_MAX} bytes");
            return Err(ErrorObject::invalid(message));
        }
        Ok(Self {
            target,
            type_index,
            type_key: type_key.to_owned(),
            action,
            separator: separator.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;

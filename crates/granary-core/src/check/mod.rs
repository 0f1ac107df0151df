//! The check of operations: one pass over the bytes of each, driven by the compiled definitions of its type.

use crate::error::ErrorObject;
use crate::keys::ResourceId;
use crate::limits::Limits;
use crate::operation::{Action, Operation, TargetType};
use crate::schema::Schema;
use crate::time::Timestamp;

/// What the checks of one request have in common.
pub struct Checker<'a> {
    /// The definitions to check by.
    pub schema: &'a Schema,
    /// What the operations of the request are on.
    pub target: TargetType,
    /// The limits in force.
    pub limits: &'a Limits,
    /// The key of content hashes.
    pub hash_key: [u8; 16],
    /// The moment that goes into generated ids.
    pub now: Timestamp,
    /// Where the randomness of generated ids comes from.
    pub random: &'a mut dyn FnMut() -> [u8; 16],
}

/// Why an operation did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is JSON, and this is wrong with it.
    Invalid(ErrorObject),
    /// It is not JSON.
    Syntax {
        /// The byte at which it goes wrong, from the start of what was handed in.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
}

impl Checker<'_> {
    /// Checks one operation of a bulk request; `bytes` is exactly one JSON value. Appends the body of the record to
    /// `body`; leaves it as it was if the operation does not pass.
    pub fn operation(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<Operation, Rejection> {
        let _ = (bytes, body);
        Err(Rejection::Invalid(ErrorObject::invalid("not yet")))
    }

    /// Checks the body of a single write of a resource of the type in the path: a create, or an upsert of `path_id`.
    pub fn resource(
        &mut self,
        type_index: u32,
        action: Action,
        path_id: Option<&ResourceId>,
        bytes: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Operation, Rejection> {
        let _ = (type_index, action, path_id, bytes, body);
        Err(Rejection::Invalid(ErrorObject::invalid("not yet")))
    }

    /// Checks the body of a single create of an edge of the type in the path.
    pub fn relationship(
        &mut self,
        type_index: u32,
        bytes: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Operation, Rejection> {
        let _ = (type_index, bytes, body);
        Err(Rejection::Invalid(ErrorObject::invalid("not yet")))
    }
}

//! The check of operations: one pass over the bytes of each, driven by the compiled definitions of its type.
//!
//! While nothing is wrong, nothing is allocated but the ids: places are a list on the stack, names are looked up in
//! tables, and the body is copied in runs. Every fault is collected with its pointer; the number that is kept is
//! bounded by `detailsPerError`. What depends on stored records is not looked at here. A record with contained resources is the
//! exception: what is kept of these is read once more for its hash (`made_ids.rs`).
//!
//! Members may come in any order. Where `data` or `contained` come before the `type` that says what they must be, the
//! rest of the object is skipped once to find it, and then the check goes on from where it was. The same is done for the
//! `id` of a create whose references name the record itself.

mod contained;
mod content;
mod envelope;
mod kept;
mod made_ids;
mod members;
mod meta;
mod reference;
mod relationship;
mod resource;
mod tokens;
mod value;
mod when;

pub use content::body_fits;
pub(crate) use content::content_hash;

use crate::error::{ErrorObject, ErrorType};
use crate::fault::{Faults, Path};
use crate::json::{Halt, Place, Scanner, without_byte_order_mark};
use crate::keys::ResourceId;
use crate::limits::Limits;
use crate::operation::{Action, Operation, TargetType};
use crate::schema::{ResourceShape, Schema};
use crate::time::Timestamp;
use crate::vocabulary::Vocabularies;

pub use kept::KeptRecord;
pub use tokens::Tokens;

/// The deepest nesting that is checked, whatever `jsonDepth` says: the check recurses into what the profiles name.
pub const DEPTH_MAX: u64 = 512;

/// What the checks of one request have in common.
pub struct Checker<'a> {
    /// The definitions to check by.
    pub schema: &'a Schema,
    /// What the operations of the request are on.
    pub target: TargetType,
    /// The vocabularies that the schema [names](Schema::vocabularies).
    pub vocabularies: &'a Vocabularies,
    /// In a bundle, what its tokens stand for. Elsewhere there is one token, in the references of a create: `@rootId`
    /// for the record itself.
    pub tokens: Option<&'a Tokens>,
    /// The limits in force.
    pub limits: &'a Limits,
    /// The key of content hashes, and of the checksums in ids of contained resources.
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
    ///
    /// The body is one compact JSON object: `{"data":{…}}` or `{"data":{…},"contained":{…}}`, nothing for an edge
    /// without data and for a delete. Both are as they were sent, less the white space between tokens; contained
    /// resources without an id get one.
    pub fn operation(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<Operation, Rejection> {
        self.run(bytes, body, |run| run.envelope())
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
        whole(bytes, |bytes| {
            self.run(bytes, body, |run| {
                run.resource(action, &Path::ROOT, Some(type_index), path_id)
            })
        })
    }

    /// Checks the body of a single create or upsert of an edge of the type in the path.
    pub fn relationship(
        &mut self,
        type_index: u32,
        action: Action,
        bytes: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Operation, Rejection> {
        whole(bytes, |bytes| {
            self.run(bytes, body, |run| {
                run.relationship(action, &Path::ROOT, Some(type_index))
            })
        })
    }

    /// Checks one contained resource that is to stand under a contain key of `parent`, in the resource `root`. Appends it
    /// to `body`, with an id: `fixed`, its own, or a new one.
    pub(crate) fn contained(
        &mut self,
        root: (&str, &ResourceId),
        parent: &ResourceShape,
        key_place: usize,
        fixed: Option<&ResourceId>,
        bytes: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<(), Rejection> {
        whole(bytes, |bytes| {
            self.run_for(bytes, body, |run| {
                run.lone_item(root, parent, key_place, fixed).map(Some)
            })
        })
    }

    fn run<'a>(
        &mut self,
        bytes: &'a [u8],
        body: &mut Vec<u8>,
        check: impl FnOnce(&mut Run<'_, 'a, '_>) -> Result<(), Halt>,
    ) -> Result<Operation, Rejection> {
        self.run_for(bytes, body, |run| {
            check(run)?;
            Ok(run.passed.take())
        })
    }

    fn run_for<'c, 'a, T>(
        &'c mut self,
        bytes: &'a [u8],
        body: &mut Vec<u8>,
        check: impl FnOnce(&mut Run<'c, 'a, '_>) -> Result<Option<T>, Halt>,
    ) -> Result<T, Rejection> {
        let before = body.len();
        let depth_max = self.limits.json_depth.min(DEPTH_MAX);
        let mut run = Run {
            schema: self.schema,
            target: self.target,
            vocabularies: self.vocabularies,
            tokens: self.tokens,
            limits: self.limits,
            created: None,
            hash_key: &self.hash_key,
            now: self.now,
            random: self.random,
            scan: Scanner::new(bytes, depth_max as usize, body),
            faults: Faults::new(self.limits.details_per_error),
            claims: Vec::new(),
            passed: None,
        };
        let checked = match check(&mut run) {
            Ok(passed) => run.scan.finish().map(|()| passed),
            Err(Halt::TooDeep) => Err(run.scan.check_syntax().err().unwrap_or(Halt::TooDeep)),
            Err(halt) => Err(halt),
        };
        let outcome = match checked {
            Ok(Some(passed)) if !run.faults.any() => return Ok(passed),
            other => other.map(|_| ()),
        };
        let rejection = match (outcome, run.faults.into_error()) {
            (Ok(()), Some(error)) => Rejection::Invalid(error),
            // The caller named a type that is not one of this kind.
            (Ok(()), None) => Rejection::Invalid(ErrorObject::new(ErrorType::Internal, "no such type")),
            (Err(Halt::TooDeep), _) => Rejection::Invalid(ErrorObject::over_limit(
                "the nesting of the JSON",
                "jsonDepth",
                depth_max,
            )),
            (Err(Halt::Syntax { offset, message }), _) => Rejection::Syntax {
                offset,
                message: message.to_owned(),
            },
        };
        body.truncate(before);
        Err(rejection)
    }
}

/// Checks the whole body of a call: it may begin with a byte order mark, which an operation among others may not.
fn whole<T>(bytes: &[u8], check: impl FnOnce(&[u8]) -> Result<T, Rejection>) -> Result<T, Rejection> {
    let json = without_byte_order_mark(bytes);
    check(json).map_err(|rejection| match rejection {
        Rejection::Syntax { offset, message } => Rejection::Syntax {
            offset: offset + bytes.len() - json.len(),
            message,
        },
        invalid => invalid,
    })
}

/// The resource that is being created.
struct Created {
    /// Where its payload begins.
    payload: Place,
    /// Its id, once someone had to know it.
    id: Option<ResourceId>,
}

/// The check of one operation.
struct Run<'c, 'a, 'o> {
    schema: &'c Schema,
    target: TargetType,
    vocabularies: &'c Vocabularies,
    tokens: Option<&'c Tokens>,
    limits: &'c Limits,
    /// In a create of a resource, what is known of its id.
    created: Option<Created>,
    hash_key: &'c [u8; 16],
    now: Timestamp,
    random: &'c mut dyn FnMut() -> [u8; 16],
    scan: Scanner<'a, 'o>,
    faults: Faults,
    /// The root ids that contained ids in path form name, and where.
    claims: Vec<(String, String)>,
    /// The operation, once a payload was taken without a fault.
    passed: Option<Operation>,
}

#[cfg(test)]
mod tests;

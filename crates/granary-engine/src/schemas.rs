//! Compiled schemas, kept between requests: a source's definitions are compiled once for each of their revisions.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use granary_core::error::ErrorObject;
use granary_core::operation::TypeRef;
use granary_core::schema::Schema;
use granary_store::{Source, Store};
use tracing::error;

use crate::error::{error_object, internal};

/// The compiled definitions of a source at one revision.
#[derive(Debug)]
pub struct CompiledSchema {
    /// The revision of the definitions.
    pub revision: u64,
    /// The types that operations name by index.
    pub types: Arc<[TypeRef]>,
    schema: Schema,
}

impl Deref for CompiledSchema {
    type Target = Schema;
    fn deref(&self) -> &Schema {
        &self.schema
    }
}

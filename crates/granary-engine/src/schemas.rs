//! Compiled schemas, kept between requests: a source's definitions are compiled once for each of their revisions.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use granary_core::error::ErrorObject;
use granary_core::operation::TypeRef;
use granary_core::schema::Schema;
use granary_store::{Definitions, Source};
use tracing::error;

use crate::error::internal;

/// Schemas are kept while their definitions, and the patterns of these when they are compiled, have no more bytes than this; the
/// one that was used last is kept anyway,
const KEPT_BYTES: usize = 256 << 20;
/// and at most so many.
const KEPT_COUNT: usize = 1_024;

/// The compiled definitions of a source at one revision.
#[derive(Debug)]
pub struct CompiledSchema {
    /// The revision of the definitions.
    pub revision: u64,
    /// The types that operations name by index.
    pub types: Arc<[TypeRef]>,
    schema: Schema,
    /// Bytes of the definitions and of their patterns.
    bytes: usize,
}

impl Deref for CompiledSchema {
    type Target = Schema;
    fn deref(&self) -> &Schema {
        &self.schema
    }
}

/// Compiles the definitions of a source. It may take long: a thousand definitions with their patterns.
pub(crate) fn compile(definitions: &Definitions) -> Result<CompiledSchema, ErrorObject> {
    let schema = Schema::compile(&definitions.list).map_err(|failure| {
        error!(error = %failure, "stored definitions do not compile");
        internal()
    })?;
    let json_bytes: usize = { definitions.list.iter() }
        .map(|definition| definition.json.len())
        .sum();
    Ok(CompiledSchema {
        revision: definitions.revision,
        types: schema.types().into(),
        bytes: json_bytes + schema.pattern_bytes(),
        schema,
    })
}

/// The schemas that are kept, those used last.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By the number of the source, which is never given twice, with when they were used last.
    by_source: HashMap<u32, (Arc<CompiledSchema>, u64)>,
    bytes: usize,
    uses: u64,
}

impl Schemas {
    /// The schema of the source that was compiled last, of whatever revision.
    pub(crate) fn last(&self, source: &Source) -> Option<Arc<CompiledSchema>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let uses = kept.uses;
        let (schema, used) = kept.by_source.get_mut(&source.number)?;
        *used = uses;
        Some(Arc::clone(schema))
    }

    /// Keeps this one in place of the one of the same source, unless that is newer.
    pub(crate) fn keep(&self, source: &Source, schema: Arc<CompiledSchema>) {
        let mut kept = self.kept();
        if let Some((newer, _)) = kept.by_source.get(&source.number)
            && newer.revision >= schema.revision
        {
            return;
        }
        kept.uses += 1;
        let uses = kept.uses;
        kept.bytes += schema.bytes;
        if let Some((before, _)) = kept.by_source.insert(source.number, (schema, uses)) {
            kept.bytes -= before.bytes;
        }
        while (kept.bytes > KEPT_BYTES && kept.by_source.len() > 1) || kept.by_source.len() > KEPT_COUNT {
            let oldest = kept.by_source.iter().min_by_key(|(_, (_, used))| *used);
            let Some(number) = oldest.map(|(number, _)| *number) else {
                return;
            };
            if let Some((dropped, _)) = kept.by_source.remove(&number) {
                kept.bytes -= dropped.bytes;
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use granary_core::keys::Key;
    use granary_core::time::Timestamp;

    use super::*;

    fn source(number: u32) -> Source {
        Source {
            key: Key::parse("s").unwrap(),
            number,
            created_at: Timestamp::EPOCH,
        }
    }

    fn schema(revision: u64, bytes: usize) -> Arc<CompiledSchema> {
        let schema = compile(&Definitions {
            revision,
            list: Vec::new(),
        });
        Arc::new(CompiledSchema {
            bytes,
            ..schema.unwrap()
        })
    }

    #[test]
    fn the_schemas_used_last_are_kept_within_bounds() {
        let schemas = Schemas::default();
        for number in 0..KEPT_COUNT as u32 + 10 {
            schemas.keep(&source(number), schema(1, 1));
            schemas.last(&source(0));
        }
        assert!(schemas.last(&source(0)).is_some());
        assert!(schemas.last(&source(1)).is_none());
        assert_eq!(schemas.kept().by_source.len(), KEPT_COUNT);
        schemas.keep(&source(0), schema(2, KEPT_BYTES));
        let (count, bytes) = {
            let kept = schemas.kept();
            (kept.by_source.len(), kept.bytes)
        };
        assert_eq!((count, bytes), (1, KEPT_BYTES));
        schemas.keep(&source(0), schema(1, 5));
        assert_eq!(schemas.last(&source(0)).map(|schema| schema.revision), Some(2));
    }
}

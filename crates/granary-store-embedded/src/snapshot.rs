//! A source at one moment: a snapshot that was published, held. What it names, files of segments too, stays until it is
//! dropped (`sync.rs`), so a round of collection waits for it.

use std::sync::Arc;

use async_trait::async_trait;
use fjall::Readable;
use granary_core::keys::ResourceId;
use granary_core::operation::TypeNumber;
use granary_store::{Definitions, EdgeFilter, Record, Result, Source, SourceSnapshot, StoreError};

use crate::catalog::{definitions_of, edge_types, sort, source_key};
use crate::read::Shown;
use crate::rows::{self, DefinitionRow, SourceRow};
use crate::sync::View;
use crate::{Inner, engine, run_blocking};

pub(crate) struct EmbeddedSnapshot {
    inner: Arc<Inner>,
    source: Source,
    now: View,
    definitions: Definitions,
    shown: Arc<Shown>,
}

impl EmbeddedSnapshot {
    pub(crate) fn of(inner: &Arc<Inner>, source: &Source) -> Result<Self> {
        inner.state_of(source)?;
        let now = inner.sync.published();
        // Not those in memory, which may be of another moment.
        let definitions = inner.definitions_at(&now, source)?;
        let shown = Shown {
            source: source.number,
            edge_types: edge_types(&definitions)?,
            marks: inner.marks(&now, source.number)?,
        };
        Ok(Self {
            inner: Arc::clone(inner),
            source: source.clone(),
            now,
            definitions,
            shown: Arc::new(shown),
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (inner, now) = (Arc::clone(&self.inner), self.now.clone());
        match run_blocking(move || work(&inner, &now)).await {
            // A source that was deleted loses its segments, and is not damaged.
            Err(StoreError::Damaged(what)) => {
                self.inner.state_of(&self.source)?;
                Err(StoreError::Damaged(what))
            }
            done => done,
        }
    }
}

impl Inner {
    fn definitions_at(&self, now: &fjall::Snapshot, source: &Source) -> Result<Definitions> {
        let catalog = &self.keyspaces.catalog;
        let row = now.get(catalog, source_key(source.number)).map_err(engine)?;
        let row = row.ok_or_else(|| StoreError::source_gone(source.key.as_str()))?;
        let row: SourceRow = rows::decode(&row, "catalog")?;
        let mut definitions = Definitions {
            revision: row.definitions_revision,
            list: Vec::new(),
        };
        for row in now.prefix(catalog, definitions_of(source.number)) {
            let row: DefinitionRow = rows::decode(&row.value().map_err(engine)?, "catalog")?;
            definitions.list.push(row.into());
        }
        sort(&mut definitions.list);
        Ok(definitions)
    }
}

#[async_trait]
impl SourceSnapshot for EmbeddedSnapshot {
    fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    async fn resources(
        &mut self,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let (source, after) = (self.source.number, after.cloned());
        self.read(move |inner, now| inner.resources_at(now, source, number, after.as_ref(), limit))
            .await
    }

    async fn relationships(
        &mut self,
        number: TypeNumber,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let after = after.map(|(from, to)| (from.clone(), to.clone()));
        let shown = Arc::clone(&self.shown);
        self.read(move |inner, now| {
            inner.relationships_at(now, &shown, number, &EdgeFilter::default(), after, limit)
        })
        .await
    }
}

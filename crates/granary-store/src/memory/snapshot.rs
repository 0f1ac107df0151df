//! A source of the reference store at one moment: a copy of it.

use async_trait::async_trait;
use granary_core::keys::ResourceId;
use granary_core::operation::{RecordId, TypeNumber};

use super::source::SourceState;
use crate::{Definitions, Record, Result, SourceSnapshot, take_page};

pub(super) struct MemorySnapshot {
    definitions: Definitions,
    /// In the order of their types and ids.
    records: Vec<(TypeNumber, Record)>,
}

impl MemorySnapshot {
    pub(super) fn of(source: &SourceState) -> Self {
        let records = source.records.iter();
        Self {
            definitions: source.definitions.clone(),
            records: records
                .map(|((number, id), held)| (*number, held.record(id)))
                .collect(),
        }
    }

    fn page(
        &self,
        number: TypeNumber,
        limit: usize,
        is_after: impl Fn(&RecordId) -> bool,
    ) -> Result<Vec<Record>> {
        let of_type = self.records.iter().filter(|(of, _)| *of == number);
        let shown = of_type.filter(|(_, record)| is_after(&record.id));
        take_page(shown.map(|(_, record)| Ok(record.clone())), limit)
    }
}

#[async_trait]
impl SourceSnapshot for MemorySnapshot {
    fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    async fn resources(
        &mut self,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.page(number, limit, |id| match id {
            RecordId::Resource(id) => after.is_none_or(|after| id > after),
            RecordId::Relationship { .. } => false,
        })
    }

    async fn relationships(
        &mut self,
        number: TypeNumber,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.page(number, limit, |id| match id {
            RecordId::Resource(_) => false,
            RecordId::Relationship { from, to } => after.is_none_or(|after| (from, to) > after),
        })
    }
}

//! What stores do alike around a write.

use bytes::Bytes;
use granary_core::decide::{Decision, Identified, Plan};
use granary_core::operation::{Operation, RecordId, TypeRef};

use crate::{CheckedBatch, Record, Result};

/// The types that the operations name, and the operations with their indexes into these.
pub fn only_used(types: &[TypeRef], operations: &[Operation]) -> (Vec<TypeRef>, Vec<Operation>) {
    let mut used: Vec<u32> = operations.iter().map(|operation| operation.type_index).collect();
    used.sort_unstable();
    used.dedup();
    let place = |index: u32| used.partition_point(|used| *used < index) as u32;
    let renumbered = operations.iter().map(|o| Operation {
        type_index: place(o.type_index),
        ..o.clone()
    });
    (
        used.iter().map(|index| types[*index as usize].clone()).collect(),
        renumbered.collect(),
    )
}

/// The records of a write as they stand after the whole of it, in the order of its operations, all of which succeeded.
/// Both calls are given a place in [`Plan::records`] and answer what was stored there before the write:
/// `identifiers_as_stored` the JSON of the identifiers, where the record has any and keeps them; `stored` the record with
/// this id, where no operation changed it.
pub fn written(
    plan: &Plan<'_>,
    decision: &Decision,
    batch: &CheckedBatch,
    mut identifiers_as_stored: impl FnMut(usize) -> Result<Bytes>,
    mut stored: impl FnMut(usize, &RecordId) -> Result<Option<Record>>,
) -> Result<Vec<Option<Record>>> {
    let record = |(index, operation): (usize, &Operation)| {
        let at = plan.record_of(index);
        if let Some(put) = decision.puts.iter().find(|put| put.record == at) {
            let identifiers = match put.identifiers {
                Identified::In(operation) => {
                    let meta = batch.operations[operation].meta.as_deref();
                    let sent = meta.and_then(|meta| meta.identifiers.as_ref());
                    sent.map_or_else(Bytes::new, |sent| Bytes::copy_from_slice(sent.json.as_bytes()))
                }
                Identified::AsStored if put.head.identifiers.is_some() => identifiers_as_stored(at)?,
                Identified::AsStored | Identified::Nowhere => Bytes::new(),
            };
            return Ok(Some(Record {
                id: operation.id.clone(),
                head: put.head,
                body: Bytes::copy_from_slice(batch.body(put.operation)),
                identifiers,
            }));
        }
        if decision.deletes.contains(&at) {
            return Ok(None);
        }
        // An equal upsert: what is stored stays, down to what an equal body may differ in.
        stored(at, &operation.id)
    };
    batch.operations.iter().enumerate().map(record).collect()
}

//! What a write answers.

use bytes::Bytes;
use granary_core::decide::{Decision, Identified, Plan};

use crate::{CheckedBatch, Record, Result, StoreError};

/// The records of a write as they stand after the whole of it, in the order of its operations. `identifiers` reads those
/// that stay as they are stored, `stored` the record that an equal upsert has met; both by the place in
/// [`Plan::records`].
pub fn written(
    plan: &Plan<'_>,
    decision: &Decision,
    batch: &CheckedBatch,
    mut identifiers: impl FnMut(usize) -> Result<Bytes>,
    mut stored: impl FnMut(usize) -> Result<Option<Record>>,
) -> Result<Vec<Option<Record>>> {
    let record = |(index, operation): (usize, &granary_core::operation::Operation)| {
        let at = plan.record_of(index);
        let Some(put) = decision.puts.iter().find(|put| put.record == at) else {
            return match decision.deletes.contains(&at) {
                true => Ok(None),
                // An equal upsert: what is stored stays, down to what an equal body may differ in.
                false => stored(at),
            };
        };
        let sent = |operation: usize| {
            let meta = batch.operations[operation].meta.as_deref();
            let sent = meta.and_then(|meta| meta.identifiers.as_ref());
            sent.map(|sent| Bytes::copy_from_slice(sent.json.as_bytes()))
        };
        let missing = || StoreError::Damaged("an operation without the identifiers that it has sent".into());
        Ok(Some(Record {
            id: operation.id.clone(),
            head: put.head,
            body: Bytes::copy_from_slice(batch.body(put.operation)),
            identifiers: match put.identifiers {
                Identified::Nowhere => Bytes::new(),
                Identified::In(operation) => sent(operation).ok_or_else(missing)?,
                Identified::AsStored if put.head.identifiers.is_none() => Bytes::new(),
                Identified::AsStored => identifiers(at)?,
            },
        }))
    };
    batch.operations.iter().enumerate().map(record).collect()
}

//! Changes of a part of a record: it is read, changed, and written if nobody else has written it in between.

use std::sync::Arc;

use granary_core::check::Checker;
use granary_core::contained::{self, ContainedChange};
use granary_core::decide::Guard;
use granary_core::error::ErrorObject;
use granary_core::operation::{Action, Operation, RecordId, TypeRef};
use granary_core::patch::Patch;
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::{CheckedBatch, Record, Source};

use crate::error::{error_object, internal};
use crate::expected::tag_of_record;
use crate::random::random_bytes;
use crate::schemas::CompiledSchema;
use crate::single::{Change, INLINE_BYTES, PartChange, Prepared, Single, WriteOutcome, refusal};

impl Single {
    /// The upsert that a change of a part comes to, which expects the record as it was read.
    pub(crate) async fn change_a_part(
        &self,
        source: &Source,
        schema: &Arc<CompiledSchema>,
        now: Timestamp,
    ) -> Result<Prepared, ErrorObject> {
        let type_index = self.type_index(schema)?;
        let id = match &self.write.change {
            Change::Patch(id, _) => RecordId::Relationship {
                from: id.from.clone(),
                to: id.to.clone(),
            },
            Change::Contained(root, ..) => RecordId::Resource(root.clone()),
            Change::Create(_) | Change::Upsert(..) | Change::Delete(_) => return Err(internal()),
        };
        let number = schema.types[type_index as usize].number;
        let read = self.engine.store().record(source, number, &id).await;
        let read = read.map_err(error_object)?;
        let tag = read.as_ref().map(|record| tag_of_record(source, &record.head));
        let what = format!("record with id '{id}'");
        self.write.expected.check(&what, tag.as_deref())?;
        let Some(record) = read else {
            return Err(ErrorObject::not_found(format!("{what} does not exist")));
        };
        let vocabularies = self.engine.vocabularies(schema).await?;
        let sent = self.write.change.body().map_or(0, |body| body.len());
        // Each operation of a patch goes over the record.
        let inline_bytes = match &self.write.change {
            Change::Patch(..) => INLINE_BYTES / 16,
            _ => INLINE_BYTES,
        };
        if sent + record.body.len() <= inline_bytes {
            self.changed(schema, &vocabularies, type_index, &record, now)
        } else {
            let (single, schema) = (self.clone(), Arc::clone(schema));
            let changing = tokio::task::spawn_blocking(move || {
                single.changed(&schema, &vocabularies, type_index, &record, now)
            });
            changing.await.map_err(|_| internal())?
        }
    }

    fn changed(
        &self,
        schema: &CompiledSchema,
        vocabularies: &Vocabularies,
        type_index: u32,
        record: &Record,
        now: Timestamp,
    ) -> Result<Prepared, ErrorObject> {
        let limits = &self.engine.inner.limits;
        let mut random = random_bytes;
        let mut checker = Checker {
            schema,
            target: self.write.target,
            vocabularies,
            tokens: None,
            limits,
            hash_key: self.engine.inner.hash_key,
            now,
            random: &mut random,
        };
        let mut batch = CheckedBatch::default();
        let mut part = None;
        match &self.write.change {
            Change::Patch(_, body) => {
                let patch = Patch::parse(body, limits).map_err(refusal)?;
                let upsert = patched(record, &schema.types[type_index as usize], &patch)?;
                self.fits(upsert.len())?;
                let checked = checker.relationship(type_index, Action::Upsert, &upsert, &mut batch.bodies);
                batch.push(checked.map_err(refusal)?);
            }
            Change::Contained(root, path, change) => {
                let (change, removes) = match change {
                    PartChange::Add(body) => (ContainedChange::Add(body), false),
                    PartChange::Put(body) => (ContainedChange::Put(body), false),
                    PartChange::Remove => (ContainedChange::Remove, true),
                };
                let changed = contained::change(&mut checker, type_index, root, &record.body, path, change);
                let changed = changed.map_err(refusal)?;
                self.fits(changed.body.len())?;
                batch.bodies = changed.body;
                batch.push(Operation {
                    action: Action::Upsert,
                    type_index,
                    id: record.id.clone(),
                    hash: Some(changed.hash),
                    meta: None,
                });
                let outcome = match (removes, changed.is_new) {
                    (true, _) => WriteOutcome::Deleted,
                    (false, true) => WriteOutcome::Created,
                    (false, false) => WriteOutcome::Replaced,
                };
                part = Some((changed.id, outcome));
            }
            Change::Create(_) | Change::Upsert(..) | Change::Delete(_) => return Err(internal()),
        }
        let guard = Some(Guard::Stamp(vec![record.head.stamp]));
        Ok(Prepared { batch, guard, part })
    }

    /// Part by part, a record may not become larger than one that is written as a whole.
    fn fits(&self, bytes: usize) -> Result<(), ErrorObject> {
        let limit = self.engine.inner.limits.single_body_bytes;
        match bytes as u64 > limit {
            true => Err(ErrorObject::over_limit(
                "the record as it would be",
                "singleBodyBytes",
                limit,
            )),
            false => Ok(()),
        }
    }
}

/// The upsert of an edge whose data is patched. One without data is patched as if it had `{}`.
fn patched(record: &Record, of_type: &TypeRef, patch: &Patch) -> Result<Vec<u8>, ErrorObject> {
    let (RecordId::Relationship { from, to }, Some(ends)) = (&record.id, &of_type.edge) else {
        return Err(internal());
    };
    let data = record.body.strip_prefix(br#"{"data":"#);
    let data = data.and_then(|data| data.strip_suffix(b"}"));
    let patched = patch.apply(data.unwrap_or(b"{}"))?;
    // Ids and keys hold no character that JSON would escape.
    let mut upsert = format!(
        r#"{{"from":{{"id":"{from}","type":"{}"}},"to":{{"id":"{to}","type":"{}"}}"#,
        ends.from.profile, ends.to.profile
    )
    .into_bytes();
    // What had no data and has none now is as it was.
    if data.is_some() || patched != b"{}" {
        upsert.extend_from_slice(br#","data":"#);
        upsert.extend(patched);
    }
    upsert.push(b'}');
    Ok(upsert)
}

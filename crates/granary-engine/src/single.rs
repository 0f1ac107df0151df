//! Single writes: one operation, checked like those of a bulk request, written at once.

use std::sync::Arc;

use bytes::Bytes;
use granary_core::check::{Checker, Rejection};
use granary_core::decide::Verdict;
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, ResourceId};
use granary_core::operation::{Action, Operation, RecordId, TargetType};
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::{CheckedBatch, Record, StoreError, Write, Written};

use crate::engine::{CHANGED_TRIES_MAX, Engine, InFlight};
use crate::error::{error_object, internal};
use crate::expected::{Expected, tag_of_record};
use crate::random::{random_bytes, task_id};
use crate::schemas::CompiledSchema;

/// Bodies up to this size are checked where they are; larger ones would keep a thread from others for too long.
const INLINE_BYTES: usize = 64 * 1024;

/// What a single write did to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// There was none.
    Created,
    /// There was one; it was replaced, or it was equal and stayed.
    Replaced,
    /// It is gone.
    Deleted,
}

/// A single write that persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persisted {
    /// The task that it leaves (`s_…`).
    pub task_id: TaskId,
    /// What it did.
    pub outcome: WriteOutcome,
    /// The record as it is now; `None` where it was deleted.
    pub record: Option<Record>,
    /// Its tag.
    pub tag: Option<String>,
}

/// What a single write is to do.
#[derive(Clone, Debug)]
pub enum Change {
    /// Stores the record in this body, which must not exist.
    Create(Bytes),
    /// Stores a resource under this id, replacing the one that exists.
    Upsert(ResourceId, Bytes),
    /// Deletes a record; a resource with its edges.
    Delete(RecordId),
}

/// A write of one record.
#[derive(Clone, Debug)]
pub struct SingleWrite {
    /// The source.
    pub source: Key,
    /// Which kind of record.
    pub target: TargetType,
    /// The type in the path of the call.
    pub type_key: String,
    /// What to do.
    pub change: Change,
    /// What the caller expects of the record.
    pub expected: Expected,
}

impl Engine {
    /// Carries out a single write. Once begun it runs to its end, even if nobody waits for it any more.
    pub async fn write(&self, place: InFlight, write: SingleWrite) -> Result<Persisted, ErrorObject> {
        let single = self.single(write)?;
        self.to_its_end(async move {
            let _place = place;
            single.write().await
        })
        .await
    }

    /// Checks a create or an upsert by the same code and stores nothing (contract, section 7, *validateOnly*). What
    /// is stored is not looked at, nor what the caller expects of it.
    pub async fn validate(&self, _place: InFlight, write: SingleWrite) -> Result<(), ErrorObject> {
        let single = self.single(write)?;
        let source = self.source(&single.write.source).await?;
        let schema = self.schema(&source).await?;
        single.check(&schema, self.inner.clock.now()).await?;
        Ok(())
    }

    fn single(&self, write: SingleWrite) -> Result<Single, ErrorObject> {
        if let Change::Create(body) | Change::Upsert(_, body) = &write.change
            && body.len() as u64 > self.inner.limits.single_body_bytes
        {
            let limit = self.inner.limits.single_body_bytes;
            return Err(ErrorObject::over_limit("the body", "singleBodyBytes", limit));
        }
        Ok(Single {
            engine: self.clone(),
            write,
        })
    }
}

/// One single write.
#[derive(Clone)]
struct Single {
    engine: Engine,
    write: SingleWrite,
}

impl Single {
    async fn write(&self) -> Result<Persisted, ErrorObject> {
        let engine = &self.engine;
        let source = engine.source(&self.write.source).await?;
        // The schema that was used last is nearly always the one in force; the store says if not. Only a refusal must
        // not rest on it.
        let (mut schema, mut in_force) = match engine.inner.schemas.last(&source) {
            Some(last) => (last, false),
            None => (engine.schema(&source).await?, true),
        };
        for _ in 0..CHANGED_TRIES_MAX {
            let now = engine.inner.clock.now();
            let batch = match self.check(&schema, now).await {
                Ok(batch) => batch,
                Err(error) if in_force => return Err(error),
                Err(error) => {
                    let current = engine.schema(&source).await?;
                    if current.revision == schema.revision {
                        return Err(error);
                    }
                    (schema, in_force) = (current, true);
                    continue;
                }
            };
            let task_id = task_id(TaskKind::Single, now);
            let write = Write {
                source: source.clone(),
                task_id,
                target_type: Some(self.write.target),
                types: Arc::clone(&schema.types),
                batch,
                definitions_revision: schema.revision,
                guard: self.write.expected.guard(&source),
            };
            match engine.inner.store.write(write, now).await {
                Err(StoreError::DefinitionsChanged) => {
                    (schema, in_force) = (engine.schema(&source).await?, true);
                }
                Err(failure) => return Err(error_object(failure)),
                Ok(Written::Refused(verdicts)) => {
                    let refusal = verdicts.into_iter().find_map(|verdict| match verdict {
                        Verdict::Failure(error) => Some(error),
                        Verdict::Success { .. } => None,
                    });
                    return Err(refusal.unwrap_or_else(internal));
                }
                Ok(Written::Persisted { records, verdicts }) => {
                    let record = records.into_iter().next().flatten();
                    let unchanged = verdicts == [Verdict::Success { unchanged: true }];
                    return Ok(Persisted {
                        task_id,
                        outcome: self.outcome(record.as_ref(), unchanged),
                        tag: record.as_ref().map(|record| tag_of_record(&source, &record.head)),
                        record,
                    });
                }
            }
        }
        Err(error_object(StoreError::DefinitionsChanged))
    }

    fn outcome(&self, record: Option<&Record>, unchanged: bool) -> WriteOutcome {
        match (&self.write.change, record) {
            (Change::Delete(_), _) | (_, None) => WriteOutcome::Deleted,
            (Change::Create(_), Some(_)) => WriteOutcome::Created,
            (Change::Upsert(..), Some(record)) => {
                if record.head.version == 1 && !unchanged {
                    WriteOutcome::Created
                } else {
                    WriteOutcome::Replaced
                }
            }
        }
    }

    /// The operation with its body, if it is right.
    async fn check(&self, schema: &Arc<CompiledSchema>, now: Timestamp) -> Result<CheckedBatch, ErrorObject> {
        let (found, what) = match self.write.target {
            TargetType::Resource => (schema.resource_type(&self.write.type_key), "resource"),
            TargetType::Relationship => (schema.relationship_type(&self.write.type_key), "relationship"),
        };
        let Some(type_index) = found else {
            let shown: String = self.write.type_key.chars().take(Key::LEN_MAX).collect();
            return Err(ErrorObject::not_found(format!(
                "{what} type '{shown}' does not exist"
            )));
        };
        let body = match &self.write.change {
            Change::Create(body) | Change::Upsert(_, body) => body,
            Change::Delete(id) => {
                let mut batch = CheckedBatch::default();
                batch.push(Operation {
                    action: Action::Delete,
                    type_index,
                    id: id.clone(),
                    hash: None,
                    meta: None,
                });
                return Ok(batch);
            }
        };
        let vocabularies = self.engine.vocabularies(schema).await?;
        if body.len() <= INLINE_BYTES {
            return self.check_body(schema, &vocabularies, type_index, body, now);
        }
        let (single, schema, body) = (self.clone(), Arc::clone(schema), body.clone());
        let checking = tokio::task::spawn_blocking(move || {
            single.check_body(&schema, &vocabularies, type_index, &body, now)
        });
        checking.await.map_err(|_| internal())?
    }

    fn check_body(
        &self,
        schema: &CompiledSchema,
        vocabularies: &Vocabularies,
        type_index: u32,
        body: &[u8],
        now: Timestamp,
    ) -> Result<CheckedBatch, ErrorObject> {
        let inner = &self.engine.inner;
        let mut random = random_bytes;
        let mut checker = Checker {
            schema,
            target: self.write.target,
            vocabularies,
            tokens: None,
            limits: &inner.limits,
            hash_key: inner.hash_key,
            now,
            random: &mut random,
        };
        let mut batch = CheckedBatch::default();
        let checked = match (&self.write.change, self.write.target) {
            (Change::Upsert(id, _), _) => {
                checker.resource(type_index, Action::Upsert, Some(id), body, &mut batch.bodies)
            }
            (_, TargetType::Resource) => {
                checker.resource(type_index, Action::Create, None, body, &mut batch.bodies)
            }
            (_, TargetType::Relationship) => checker.relationship(type_index, body, &mut batch.bodies),
        };
        let operation = checked.map_err(|rejection| match rejection {
            Rejection::Invalid(error) => error,
            Rejection::Syntax { offset, message } => {
                ErrorObject::invalid(format!("the body is not JSON at byte {offset}: {message}"))
            }
        })?;
        batch.push(operation);
        Ok(batch)
    }
}

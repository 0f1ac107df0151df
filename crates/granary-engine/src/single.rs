//! Single writes: one operation, checked like those of a bulk request, written at once.

use std::sync::Arc;

use bytes::Bytes;
use granary_core::check::{Checker, Rejection};
use granary_core::contained::ContainedPath;
use granary_core::decide::{Guard, Verdict};
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, RelationshipId, ResourceId};
use granary_core::operation::{Action, Operation, RecordId, TargetType};
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::{
    CheckedBatch, FirstAnswer, Idempotent, Record, Source, StoreError, StoredTask, Write, Written,
};

use crate::engine::{CHANGED_TRIES_MAX, Engine, InFlight};
use crate::error::{error_object, internal, unavailable};
use crate::expected::{Expected, tag_of_record};
use crate::once::{Known, Once, found_answered};
use crate::random::{random_bytes, task_id};
use crate::schemas::CompiledSchema;
use crate::told;

/// Bodies up to this size are checked where they are; larger ones would keep a thread from others for too long.
pub(crate) const INLINE_BYTES: usize = 64 * 1024;

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
    /// The id of the contained resource that was changed, where it was one; `outcome` is then what became of that.
    pub part: Option<ResourceId>,
    /// True where it was carried out before, and this request started nothing. The record is then as it is now, `None`
    /// where it is gone.
    pub replayed: bool,
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
    /// Changes the data of an edge by this JSON Patch.
    Patch(RelationshipId, Bytes),
    /// Changes what a resource contains at this place.
    Contained(ResourceId, ContainedPath, PartChange),
}

/// What is to become of a contained resource.
#[derive(Clone, Debug)]
pub enum PartChange {
    /// One more under the contain key in the path, from this body.
    Add(Bytes),
    /// The one with the id in the path, from this body, whether it is there or not.
    Put(Bytes),
    /// The one with the id in the path goes.
    Remove,
}

impl Change {
    /// What was sent.
    pub(crate) fn body(&self) -> Option<&Bytes> {
        match self {
            Self::Create(body) | Self::Upsert(_, body) | Self::Patch(_, body) => Some(body),
            Self::Contained(_, _, PartChange::Add(body) | PartChange::Put(body)) => Some(body),
            Self::Contained(_, _, PartChange::Remove) | Self::Delete(_) => None,
        }
    }
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
    /// Where a create is to be carried out once.
    pub once: Option<Once>,
}

impl Engine {
    /// Carries out a single write. Once begun it runs to its end, even if nobody waits for it any more.
    pub async fn write(&self, place: InFlight, write: SingleWrite) -> Result<Persisted, ErrorObject> {
        let mut single = self.single(write)?;
        let source = self.source(&single.write.source).await?;
        let once = single.write.once.take();
        let once = once.map(|once| once.with_body(single.write.change.body().map_or(&[], |body| body)));
        let name = match &once {
            None => None,
            Some(once) => match self.take_name(&source, once).await? {
                Known::New(name) => Some(name),
                Known::Answered(answer) => return single.replay(&source, once.replayed(answer)?).await,
            },
        };
        single.write.once = once;
        self.to_its_end(async move {
            let _held = (place, name);
            single.write(&source).await
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
        if let Some(body) = write.change.body()
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
pub(crate) struct Single {
    pub(crate) engine: Engine,
    pub(crate) write: SingleWrite,
}

/// What a single write comes to by the definitions in force and, where it changes a part of a record, by the record.
pub(crate) struct Prepared {
    pub(crate) batch: CheckedBatch,
    pub(crate) guard: Option<Guard>,
    /// The contained resource that it is about, and what becomes of that.
    pub(crate) part: Option<(ResourceId, WriteOutcome)>,
}

/// The status of the answer to a create.
const CREATED: u16 = 201;

/// How often a change of a part is made again because the record was written in between. Each time one of those who
/// meet has written, and no more meet than requests are in flight.
const RACE_TRIES_MAX: u32 = 100;

impl Single {
    async fn write(&self, source: &Source) -> Result<Persisted, ErrorObject> {
        let engine = &self.engine;
        let once = self.write.once.as_ref();
        let to_keep = once.map(|once| once.to_keep(CREATED, engine.answers_kept_since()));
        // The schema that was used last is nearly always the one in force; the store says if not. Only a refusal must
        // not rest on it.
        let (mut schema, mut in_force) = match engine.inner.schemas.last(source) {
            Some(last) => (last, false),
            None => (engine.schema(source).await?, true),
        };
        let (mut changed, mut raced) = (0, 0);
        while changed < CHANGED_TRIES_MAX && raced < RACE_TRIES_MAX {
            let now = engine.inner.clock.now();
            let Prepared { batch, guard, part } = match self.prepare(source, &schema, now).await {
                Ok(prepared) => prepared,
                Err(error) if in_force => return Err(error),
                Err(error) => {
                    let current = engine.schema(source).await?;
                    if current.revision == schema.revision {
                        return Err(error);
                    }
                    (schema, in_force) = (current, true);
                    changed += 1;
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
                guard,
                versions: None,
                idempotent: to_keep.clone().map(|to_keep| Idempotent {
                    part: part.as_ref().map(|(id, _)| id.clone()),
                    ..to_keep
                }),
            };
            match engine.inner.store.write(write, now).await {
                Err(StoreError::DefinitionsChanged) => {
                    (schema, in_force) = (engine.schema(source).await?, true);
                    changed += 1;
                }
                Err(failure) => return self.replay(source, found_answered(failure, once)?).await,
                Ok(Written::Refused(verdicts)) => {
                    let refusal = verdicts.into_iter().find_map(|verdict| match verdict {
                        Verdict::Failure(error) => Some(error),
                        Verdict::Success { .. } => None,
                    });
                    match refusal {
                        // Only the record as it was read was expected: what the caller expects is judged again.
                        Some(error) if error.code == 412 && self.changes_a_part() => raced += 1,
                        refusal => return Err(refusal.unwrap_or_else(internal)),
                    }
                }
                Ok(Written::Persisted { records, verdicts }) => {
                    told::persisted(&source.key, task_id, 1);
                    let record = records.into_iter().next().flatten();
                    let unchanged = verdicts == [Verdict::Success { unchanged: true }];
                    let (part, outcome) = part.unzip();
                    return Ok(Persisted {
                        task_id,
                        outcome: outcome.unwrap_or_else(|| self.outcome(record.as_ref(), unchanged)),
                        part,
                        tag: record.as_ref().map(|record| tag_of_record(source, &record.head)),
                        record,
                        replayed: false,
                    });
                }
            }
        }
        if raced == RACE_TRIES_MAX {
            let message = "the record was written at the same time, again and again; send the request again";
            return Err(unavailable(message));
        }
        Err(error_object(StoreError::DefinitionsChanged))
    }

    /// What is told of a write that was carried out before: the record as it is now, if it is there.
    async fn replay(&self, source: &Source, answer: FirstAnswer) -> Result<Persisted, ErrorObject> {
        let engine = &self.engine;
        let record = match engine.task_of(source, &answer).await? {
            None => None,
            Some(task) => self.record_of(source, &task).await?,
        };
        Ok(Persisted {
            task_id: answer.task_id,
            outcome: WriteOutcome::Created,
            tag: record.as_ref().map(|record| tag_of_record(source, &record.head)),
            record,
            part: answer.part,
            replayed: true,
        })
    }

    /// The record that a task wrote, as it is now.
    async fn record_of(&self, source: &Source, task: &StoredTask) -> Result<Option<Record>, ErrorObject> {
        let engine = &self.engine;
        let receipts = engine
            .inner
            .store
            .receipts(task, 0, 1)
            .await
            .map_err(error_object)?;
        let Some(receipt) = receipts.first() else {
            return Ok(None);
        };
        let id = receipt.record_id().ok_or_else(internal)?;
        let schema = engine.schema(source).await?;
        let Ok(index) = self.type_index(&schema) else {
            return Ok(None);
        };
        let number = schema.types[index as usize].number;
        let record = engine.inner.store.record(source, number, &id).await;
        record.map_err(error_object)
    }

    /// True where it is made from the record that is stored.
    fn changes_a_part(&self) -> bool {
        matches!(self.write.change, Change::Patch(..) | Change::Contained(..))
    }

    async fn prepare(
        &self,
        source: &Source,
        schema: &Arc<CompiledSchema>,
        now: Timestamp,
    ) -> Result<Prepared, ErrorObject> {
        if self.changes_a_part() {
            return self.change_a_part(source, schema, now).await;
        }
        Ok(Prepared {
            batch: self.check(schema, now).await?,
            guard: self.write.expected.guard(source),
            part: None,
        })
    }

    fn outcome(&self, record: Option<&Record>, unchanged: bool) -> WriteOutcome {
        match (&self.write.change, record) {
            (Change::Delete(_), _) | (_, None) => WriteOutcome::Deleted,
            (Change::Create(_), Some(_)) => WriteOutcome::Created,
            (Change::Patch(..) | Change::Contained(..), Some(_)) => WriteOutcome::Replaced,
            (Change::Upsert(..), Some(record)) => {
                if record.head.version == 1 && !unchanged {
                    WriteOutcome::Created
                } else {
                    WriteOutcome::Replaced
                }
            }
        }
    }

    /// The index of the type in the path.
    pub(crate) fn type_index(&self, schema: &CompiledSchema) -> Result<u32, ErrorObject> {
        let (found, what) = match self.write.target {
            TargetType::Resource => (schema.resource_type(&self.write.type_key), "resource"),
            TargetType::Relationship => (schema.relationship_type(&self.write.type_key), "relationship"),
        };
        found.ok_or_else(|| {
            let shown: String = self.write.type_key.chars().take(Key::LEN_MAX).collect();
            ErrorObject::not_found(format!("{what} type '{shown}' does not exist"))
        })
    }

    /// The operation with its body, if it is right.
    async fn check(&self, schema: &Arc<CompiledSchema>, now: Timestamp) -> Result<CheckedBatch, ErrorObject> {
        let type_index = self.type_index(schema)?;
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
            Change::Patch(..) | Change::Contained(..) => return Err(internal()),
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
            (_, TargetType::Relationship) => {
                checker.relationship(type_index, Action::Create, body, &mut batch.bodies)
            }
        };
        let operation = checked.map_err(refusal)?;
        batch.push(operation);
        Ok(batch)
    }
}

/// What a caller is told whose body did not pass.
pub(crate) fn refusal(rejection: Rejection) -> ErrorObject {
    match rejection {
        Rejection::Invalid(error) => error,
        Rejection::Syntax { offset, message } => {
            ErrorObject::invalid(format!("the body is not JSON at byte {offset}: {message}"))
        }
    }
}

//! Purges, cancelling and the deletion of sources.

use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::ksuid::Ksuid;
use granary_core::operation::TargetType;
use granary_core::task::TaskKind;
use granary_store::{FirstAnswer, Purge, Source, StoreError, StoredTask};

use crate::engine::{CHANGED_TRIES_MAX, Engine};
use crate::error::error_object;
use crate::intake::ACCEPTED;
use crate::once::{Known, Once, found_answered, removed};
use crate::random::task_id;
use crate::told;

/// A purge that was accepted.
#[derive(Debug)]
pub struct Purging {
    /// Its task.
    pub task: StoredTask,
    /// True where it was accepted before, and this request started nothing.
    pub replayed: bool,
}

impl Engine {
    /// Accepts the deletion of every record of a type as a task of the source (contract, section 8). `NOT_FOUND` without
    /// the type, `RESOURCE_EXHAUSTED` where too many tasks wait.
    pub async fn purge(
        &self,
        source: &Key,
        target: TargetType,
        type_key: &str,
        once: Option<Once>,
    ) -> Result<Purging, ErrorObject> {
        let source = self.source(source).await?;
        let _name = match &once {
            None => None,
            Some(once) => match self.take_name(&source, once).await? {
                Known::New(name) => Some(name),
                Known::Answered(answer) => return self.purging(&source, once.replayed(answer)?).await,
            },
        };
        let to_keep = once
            .as_ref()
            .map(|once| once.to_keep(ACCEPTED, self.answers_kept_since()));
        for _ in 0..CHANGED_TRIES_MAX {
            let schema = self.schema(&source).await?;
            let (found, what) = match target {
                TargetType::Resource => (schema.resource_type(type_key), "ROOT profile"),
                TargetType::Relationship => (schema.relationship_type(type_key), "relationship definition"),
            };
            let Some(index) = found else {
                let shown: String = type_key.chars().take(Key::LEN_MAX).collect();
                return Err(ErrorObject::not_found(format!("there is no {what} '{shown}'")));
            };
            let now = self.inner.clock.now();
            let purge = Purge {
                source: source.clone(),
                task_id: task_id(TaskKind::Purge, now),
                of_type: schema.types[index as usize].clone(),
                definitions_revision: schema.revision,
                idempotent: to_keep.clone(),
            };
            let engine = self.clone();
            let accepted = self.to_its_end(async move {
                let key = purge.source.key.clone();
                let accepted = engine.inner.store.accept_purge(purge, now).await;
                if let Ok(task) = &accepted {
                    told::accepted(&key, &task.task);
                }
                engine.inner.accepted.notify_waiters();
                Ok(accepted)
            });
            match accepted.await? {
                Ok(task) => {
                    return Ok(Purging {
                        task,
                        replayed: false,
                    });
                }
                Err(StoreError::DefinitionsChanged) => {}
                Err(failure) => match found_answered(failure, once.as_ref()) {
                    Ok(answer) => return self.purging(&source, answer).await,
                    Err(error) => return Err(self.inner.with_time_of_task(&source, error).await),
                },
            }
        }
        Err(error_object(StoreError::DefinitionsChanged))
    }

    async fn purging(&self, source: &Source, answer: FirstAnswer) -> Result<Purging, ErrorObject> {
        let task = self.task_of(source, &answer).await?;
        let task = task.ok_or_else(|| removed(&answer))?;
        Ok(Purging { task, replayed: true })
    }

    /// Cancels a task: what is applied by now stays, all else of it never will be. `NOT_FOUND` without the task,
    /// `FAILED_PRECONDITION` where it has ended.
    pub async fn cancel(&self, source: &Key, id: Ksuid) -> Result<StoredTask, ErrorObject> {
        let source = self.source(source).await?;
        let engine = self.clone();
        self.to_its_end(async move {
            let now = engine.inner.clock.now();
            let cancelled = engine.inner.store.cancel(&source, id, now).await;
            if let Ok(task) = &cancelled {
                told::ended(&source.key, &task.task);
            }
            cancelled.map_err(error_object)
        })
        .await
    }

    /// Deletes a source: an empty one, or with `purge` all of it. `FAILED_PRECONDITION` where it holds something.
    pub async fn delete_source(&self, source: &Key, purge: bool) -> Result<(), ErrorObject> {
        let source = self.source(source).await?;
        let engine = self.clone();
        self.to_its_end(async move {
            engine
                .inner
                .store
                .delete_source(&source, purge)
                .await
                .map_err(error_object)?;
            engine.inner.deleted.notify_one();
            Ok(())
        })
        .await
    }
}

//! Changes of vocabularies and concepts: one at a time, or many in one request, which are checked as a whole and then
//! applied in one transaction.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::check::Rejection as Wrong;
use granary_core::error::ErrorObject;
use granary_core::keys::{ConceptCode, Key};
use granary_core::limits::Limits;
use granary_core::operation::Action;
use granary_core::terminology::{
    Change, Concept, Kept, Outcome, Vocabulary, read_concept, read_concept_change, read_vocabulary,
    read_vocabulary_change,
};
use granary_core::time::Timestamp;
use granary_store::Stored;

use crate::engine::{Engine, InFlight, Inner};
use crate::error::{error_object, internal};
use crate::intake::{BodyError, scratch_failed};
use crate::rejection::{Failures, ReceiptsShown, Rejection};
use crate::split::{JsonSplitter, Piece, Run, SplitError, Splitter};

/// What became of a request with many changes.
#[derive(Debug)]
pub enum TerminologyBulk {
    /// Something is wrong with it; nothing was changed.
    Rejected(Box<Rejection>),
    /// It was applied; what became of each change, in their order.
    Applied(Vec<TerminologyReceipt>),
}

/// What became of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminologyReceipt {
    /// What it was to do.
    pub action: Action,
    /// The key or code that it is on.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Engine {
    /// Creates or replaces a vocabulary.
    pub async fn put_vocabulary(
        &self,
        place: InFlight,
        key: &Key,
        body: Bytes,
    ) -> Result<(Kept<Vocabulary>, Stored), ErrorObject> {
        let content = self.read(body, read_vocabulary).await?;
        let (engine, key) = (self.clone(), key.clone());
        self.to_its_end(async move {
            let _place = place;
            let change = Change::Upsert(key, content.clone());
            let now = engine.inner.clock.now();
            let terminology = engine.store().terminology();
            let outcomes = terminology.change_vocabularies(vec![change], now).await;
            put(outcomes.map_err(error_object)?, content, now)
        })
        .await
    }

    /// Deletes a vocabulary with its concepts, unless a definition is bound to it.
    pub async fn delete_vocabulary(&self, key: &Key) -> Result<(), ErrorObject> {
        let (engine, key) = (self.clone(), key.clone());
        self.to_its_end(async move {
            let now = engine.inner.clock.now();
            let terminology = engine.store().terminology();
            let outcomes = terminology
                .change_vocabularies(vec![Change::Delete(key)], now)
                .await;
            deleted(outcomes.map_err(error_object)?)
        })
        .await
    }

    /// Creates or replaces a concept.
    pub async fn put_concept(
        &self,
        place: InFlight,
        vocabulary: &Key,
        code: &ConceptCode,
        body: Bytes,
    ) -> Result<(Kept<Concept>, Stored), ErrorObject> {
        let content = self.read(body, read_concept).await?;
        let (engine, vocabulary, code) = (self.clone(), vocabulary.clone(), code.clone());
        self.to_its_end(async move {
            let _place = place;
            let change = Change::Upsert(code, content.clone());
            let now = engine.inner.clock.now();
            let terminology = engine.store().terminology();
            let outcomes = terminology.change_concepts(&vocabulary, vec![change], now).await;
            put(outcomes.map_err(error_object)?, content, now)
        })
        .await
    }

    /// Deletes a concept. Records that name its code stay.
    pub async fn delete_concept(&self, vocabulary: &Key, code: &ConceptCode) -> Result<(), ErrorObject> {
        let (engine, vocabulary, code) = (self.clone(), vocabulary.clone(), code.clone());
        self.to_its_end(async move {
            let now = engine.inner.clock.now();
            let terminology = engine.store().terminology();
            let outcomes = terminology
                .change_concepts(&vocabulary, vec![Change::Delete(code)], now)
                .await;
            deleted(outcomes.map_err(error_object)?)
        })
        .await
    }

    /// Changes many vocabularies at once: a request in which every operation is right is applied in order, each judged on
    /// its own. An error is one of the request as a whole: it is over a limit, or too much is waiting.
    pub async fn change_vocabularies(
        &self,
        shown: ReceiptsShown,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<TerminologyBulk, ErrorObject> {
        let place = self.admit()?;
        let changes = match Reading::whole(&self.inner, shown, body, read_vocabulary_change).await? {
            Read::Right(changes) => changes,
            Read::Rejected(rejection) => return Ok(TerminologyBulk::Rejected(rejection)),
        };
        let named = names(&changes);
        let engine = self.clone();
        let outcomes = self.to_its_end(async move {
            let _place = place;
            let now = engine.inner.clock.now();
            let terminology = engine.store().terminology();
            let outcomes = terminology.change_vocabularies(changes, now).await;
            outcomes.map_err(error_object)
        });
        Ok(TerminologyBulk::Applied(changed(named, outcomes.await?)))
    }

    /// Changes many concepts of a vocabulary at once, as [`Self::change_vocabularies`]; `NOT_FOUND` without the vocabulary.
    pub async fn change_concepts(
        &self,
        vocabulary: &Key,
        shown: ReceiptsShown,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<TerminologyBulk, ErrorObject> {
        let place = self.admit()?;
        let heads = self.store().terminology().vocabulary_heads().await;
        if !heads.map_err(error_object)?.contains_key(vocabulary) {
            let message = format!("vocabulary '{vocabulary}' does not exist");
            return Err(ErrorObject::not_found(message));
        }
        let changes = match Reading::whole(&self.inner, shown, body, read_concept_change).await? {
            Read::Right(changes) => changes,
            Read::Rejected(rejection) => return Ok(TerminologyBulk::Rejected(rejection)),
        };
        let named = names(&changes);
        let (engine, vocabulary) = (self.clone(), vocabulary.clone());
        let outcomes = self.to_its_end(async move {
            let _place = place;
            let now = engine.inner.clock.now();
            let terminology = engine.store().terminology();
            let outcomes = terminology.change_concepts(&vocabulary, changes, now).await;
            outcomes.map_err(error_object)
        });
        Ok(TerminologyBulk::Applied(changed(named, outcomes.await?)))
    }

    /// Reads a body where it keeps nobody waiting.
    async fn read<C: Send + 'static>(
        &self,
        body: Bytes,
        read: fn(&[u8], &Limits) -> Result<C, ErrorObject>,
    ) -> Result<C, ErrorObject> {
        let inner = Arc::clone(&self.inner);
        let reading = tokio::task::spawn_blocking(move || read(&body, &inner.limits));
        reading.await.map_err(|_| internal())?
    }
}

/// What came of one upsert.
fn put<C>(outcomes: Vec<Outcome>, content: C, now: Timestamp) -> Result<(Kept<C>, Stored), ErrorObject> {
    let (created_at, updated_at, stored) = match outcomes.into_iter().next() {
        Some(Outcome::Created) => (now, now, Stored::Created),
        Some(Outcome::Replaced {
            created_at,
            updated_at,
            ..
        }) => (created_at, updated_at, Stored::Replaced),
        Some(Outcome::Failed(error)) => return Err(*error),
        Some(Outcome::Deleted) | None => return Err(internal()),
    };
    let kept = Kept {
        content,
        created_at,
        updated_at,
    };
    Ok((kept, stored))
}

/// What came of one delete.
fn deleted(outcomes: Vec<Outcome>) -> Result<(), ErrorObject> {
    match outcomes.into_iter().next() {
        Some(Outcome::Failed(error)) => Err(*error),
        _ => Ok(()),
    }
}

fn names<N: ToString, C>(changes: &[Change<N, C>]) -> Vec<(Action, String)> {
    changes
        .iter()
        .map(|change| (change.action(), change.name().to_string()))
        .collect()
}

fn changed(named: Vec<(Action, String)>, outcomes: Vec<Outcome>) -> Vec<TerminologyReceipt> {
    let changed = |((action, name), outcome)| TerminologyReceipt {
        action,
        name,
        outcome,
    };
    named.into_iter().zip(outcomes).map(changed).collect()
}

/// What was read of a request with many changes.
enum Read<T> {
    Right(Vec<T>),
    Rejected(Box<Rejection>),
}

/// A request with many changes while it is read: it is split like a bulk request, and its failures are kept the same
/// way. What is right is held, bounded by the limit on the body.
struct Reading<T> {
    inner: Arc<Inner>,
    splitter: Splitter,
    read: fn(&[u8], &Limits) -> Result<T, Wrong>,
    changes: Vec<T>,
    failures: Failures,
    /// Why what is left of the body does not matter: it cannot be split, or an operation is not JSON.
    broken: Option<Broken>,
}

enum Broken {
    Split(SplitError),
    NotJson(SplitError),
}

/// What came of a run of operations.
struct ReadRun<T> {
    changes: Vec<T>,
    failures: Vec<(u64, ErrorObject)>,
    not_json: Option<SplitError>,
}

impl<T: Send + 'static> Reading<T> {
    async fn whole(
        inner: &Arc<Inner>,
        shown: ReceiptsShown,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
        read: fn(&[u8], &Limits) -> Result<T, Wrong>,
    ) -> Result<Read<T>, ErrorObject> {
        let limits = &inner.limits;
        let mut reading = Self {
            splitter: Splitter::Json(JsonSplitter::new(
                limits.operation_bytes,
                limits.details_per_error,
            )),
            failures: Failures::new(
                limits.detailed_failures,
                inner.options.scratch_dir.clone(),
                Arc::clone(&inner.scratch_bytes),
            ),
            inner: Arc::clone(inner),
            read,
            changes: Vec::new(),
            broken: None,
        };
        let mut body = pin!(body);
        let mut count = 0;
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => {
                    count += piece.len() as u64;
                    if count > limits.single_body_bytes {
                        let max = limits.single_body_bytes;
                        return Err(ErrorObject::over_limit("the body", "singleBodyBytes", max));
                    }
                    reading.split(&piece).await?;
                }
                Err(BodyError::Refused(error)) => return Err(error),
                Err(BodyError::BrokenOff(why)) => {
                    let broken = || Broken::Split(reading.splitter.broken_off(&why));
                    reading.broken = reading.broken.take().or_else(|| Some(broken()));
                    break;
                }
                Err(BodyError::Undecodable(why)) => {
                    let broken = || Broken::Split(reading.splitter.undecodable(&why));
                    reading.broken = reading.broken.take().or_else(|| Some(broken()));
                    break;
                }
            }
        }
        reading.finish(shown).await
    }

    async fn split(&mut self, mut piece: &[u8]) -> Result<(), ErrorObject> {
        while !piece.is_empty() && self.broken.is_none() {
            match self.splitter.feed(&mut piece) {
                Ok(Some(run)) => self.take(run).await?,
                Ok(None) => {}
                Err(error) => self.broken = Some(Broken::Split(error)),
            }
        }
        Ok(())
    }

    async fn take(&mut self, run: Run) -> Result<(), ErrorObject> {
        let (inner, read) = (Arc::clone(&self.inner), self.read);
        let permit = self.inner.checks.acquire().await;
        let reading = tokio::task::spawn_blocking(move || read_run(&run, read, &inner.limits));
        let came = reading.await.map_err(|_| internal())?;
        drop(permit);
        for (index, error) in came.failures {
            self.fail(index, error).await?;
        }
        if self.failures.count() == 0 {
            self.changes.extend(came.changes);
        } else {
            self.changes = Vec::new();
        }
        if let Some(error) = came.not_json {
            self.broken = Some(Broken::NotJson(error));
        }
        Ok(())
    }

    async fn fail(&mut self, index: u64, error: ErrorObject) -> Result<(), ErrorObject> {
        let to_disk = self.failures.push(index, error).await.map_err(scratch_failed)?;
        if to_disk {
            self.inner.admit_bytes(0).await?;
        }
        Ok(())
    }

    async fn finish(mut self, shown: ReceiptsShown) -> Result<Read<T>, ErrorObject> {
        if self.broken.is_none()
            && let Err(error) = self.splitter.finish()
        {
            self.broken = Some(Broken::Split(error));
        }
        if !matches!(self.broken, Some(Broken::NotJson(_)))
            && let Some(run) = self.splitter.rest()
        {
            self.take(run).await?;
        }
        let mut count = self.splitter.operations();
        let error = match self.broken.take() {
            None => self.splitter.faults(),
            Some(Broken::NotJson(error)) => {
                count = error.place.operation + 1;
                Some(ErrorObject::from(&error))
            }
            Some(Broken::Split(error)) => {
                let object = ErrorObject::from(&error);
                if error.in_operation {
                    self.fail(count, object.clone()).await?;
                    count += 1;
                }
                Some(object)
            }
        };
        if error.is_none() && self.failures.count() == 0 {
            return Ok(Read::Right(self.changes));
        }
        let rejection: io::Result<Rejection> = self.failures.reject(error, count, shown);
        Ok(Read::Rejected(Box::new(rejection.map_err(scratch_failed)?)))
    }
}

fn read_run<T>(run: &Run, read: fn(&[u8], &Limits) -> Result<T, Wrong>, limits: &Limits) -> ReadRun<T> {
    let mut came = ReadRun {
        changes: Vec::with_capacity(run.len()),
        failures: Vec::new(),
        not_json: None,
    };
    for (index, piece) in run.pieces().enumerate() {
        let at = run.first() + index as u64;
        let outcome = match piece {
            Piece::Operation(bytes) => read(bytes, limits),
            Piece::OverLimit => Err(Wrong::Invalid(ErrorObject::over_limit(
                "the operation",
                "operationBytes",
                limits.operation_bytes,
            ))),
        };
        match outcome {
            Ok(change) => came.changes.push(change),
            Err(Wrong::Invalid(error)) => came.failures.push((at, error)),
            Err(Wrong::Syntax { offset, message }) => {
                let error = SplitError::not_json(run.place(index, offset), message);
                came.failures.push((at, ErrorObject::from(&error)));
                came.not_json = Some(error);
                break;
            }
        }
    }
    came
}

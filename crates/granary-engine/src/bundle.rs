//! Bundles: a small mix of operations on resources and relationships, all or nothing, at once (contract, section 8).

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use granary_core::check::{Checker, Rejection, Tokens};
use granary_core::decide::Verdict;
use granary_core::error::{Detail, ErrorObject, ErrorType};
use granary_core::json::without_byte_order_mark;
use granary_core::keys::{Key, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::operation::{Action, Operation, RecordId, TargetType, TypeNumber};
use granary_core::receipt::Receipt;
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::{CheckedBatch, FirstAnswer, Source, StoreError, Write, Written};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::engine::{CHANGED_TRIES_MAX, Engine, InFlight};
use crate::error::{error_object, internal};
use crate::once::{Known, Once, found_answered, removed};
use crate::random::{random_bytes, task_id};
use crate::schemas::CompiledSchema;
use crate::told;

/// The body of a bundle: operations as in bulk requests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent<'a> {
    #[serde(borrow, default)]
    resource_operations: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    relationship_operations: Option<Vec<&'a RawValue>>,
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The task that it leaves (`bd_…`); `None` where it was refused, and nothing took effect.
    pub task_id: Option<TaskId>,
    /// One for each operation on a resource, in order.
    pub resources: Vec<BundleReceipt>,
    /// One for each operation on a relationship, in order.
    pub relationships: Vec<BundleReceipt>,
    /// True where it was carried out before, and this request started nothing.
    pub replayed: bool,
}

/// What became of one operation of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleReceipt {
    /// What it was on, where it passed the check.
    pub operation: Option<BundleOperation>,
    /// `None` where it was cancelled by the failure of another.
    pub verdict: Option<Verdict>,
}

/// An operation of a bundle that passed the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleOperation {
    /// What it does.
    pub action: Action,
    /// The type of the record.
    pub type_key: Key,
    /// The record.
    pub id: RecordId,
}

impl Bundle {
    /// Why it was refused: the first failure, if there is one.
    pub fn failure(&self) -> Option<&ErrorObject> {
        let receipts = self.resources.iter().chain(&self.relationships);
        { receipts }.find_map(|receipt| match &receipt.verdict {
            Some(Verdict::Failure(error)) => Some(error),
            _ => None,
        })
    }
}

/// What is to be done with a bundle that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleMode {
    /// It is written.
    Write,
    /// Nothing; it is only checked.
    ValidateOnly,
}

/// The status of the answer to a bundle that took effect.
const PERSISTED: u16 = 200;

impl Engine {
    /// Carries out a bundle; one that is refused is told with its receipts. Once begun it runs to its end. An error is
    /// one of the request as a whole.
    pub async fn bundle(
        &self,
        place: InFlight,
        source: &Key,
        body: Bytes,
        mode: BundleMode,
        once: Option<Once>,
    ) -> Result<Bundle, ErrorObject> {
        let source = self.source(source).await?;
        let once = once.filter(|_| mode == BundleMode::Write);
        let once = once.map(|once| once.with_body(&body));
        let name = match &once {
            None => None,
            Some(once) => match self.take_name(&source, once).await? {
                Known::New(name) => Some(name),
                Known::Answered(answer) => return self.replay_bundle(&source, once.replayed(answer)?).await,
            },
        };
        let engine = self.clone();
        self.to_its_end(async move {
            let _held = (place, name);
            engine.carry_out(&source, body, mode, once).await
        })
        .await
    }

    async fn carry_out(
        &self,
        source: &Source,
        body: Bytes,
        mode: BundleMode,
        once: Option<Once>,
    ) -> Result<Bundle, ErrorObject> {
        let to_keep = once
            .as_ref()
            .map(|once| once.to_keep(PERSISTED, self.answers_kept_since()));
        for _ in 0..CHANGED_TRIES_MAX {
            let now = self.inner.clock.now();
            let schema = self.schema(source).await?;
            let vocabularies = self.vocabularies(&schema).await?;
            let checking = BundleCheck {
                engine: self.clone(),
                schema: Arc::clone(&schema),
                vocabularies,
                now,
            };
            let body = body.clone();
            let checked = tokio::task::spawn_blocking(move || checking.check(&body));
            let checked = match checked.await.map_err(|_| internal())?? {
                Ok(checked) => checked,
                Err(refused) => return Ok(refused),
            };
            if mode == BundleMode::ValidateOnly {
                return Ok(checked.receipts(None, vec![None; checked.batch.operations.len()], &schema));
            }
            let task_id = task_id(TaskKind::Bundle, now);
            let write = Write {
                source: source.clone(),
                task_id,
                target_type: None,
                types: Arc::clone(&schema.types),
                batch: checked.batch.clone(),
                definitions_revision: schema.revision,
                guard: None,
                versions: None,
                idempotent: to_keep.clone(),
            };
            match self.inner.store.write(write, now).await {
                Err(StoreError::DefinitionsChanged) => {}
                Err(failure) => {
                    return self
                        .replay_bundle(source, found_answered(failure, once.as_ref())?)
                        .await;
                }
                Ok(Written::Persisted { verdicts, .. }) => {
                    told::persisted(&source.key, task_id, verdicts.len());
                    let verdicts = verdicts.into_iter().map(Some).collect();
                    return Ok(checked.receipts(Some(task_id), verdicts, &schema));
                }
                Ok(Written::Refused(verdicts)) => {
                    let failures = verdicts.into_iter().map(|verdict| match verdict {
                        Verdict::Failure(error) => Some(Verdict::Failure(error)),
                        Verdict::Success { .. } => None,
                    });
                    return Ok(checked.receipts(None, failures.collect(), &schema));
                }
            }
        }
        Err(error_object(StoreError::DefinitionsChanged))
    }

    /// What is told of a bundle that was carried out before.
    async fn replay_bundle(&self, source: &Source, answer: FirstAnswer) -> Result<Bundle, ErrorObject> {
        let task = self.task_of(source, &answer).await?;
        let task = task.ok_or_else(|| removed(&answer))?;
        let total = usize::try_from(task.task.counts.total).unwrap_or(usize::MAX);
        let receipts = self
            .inner
            .store
            .receipts(&task, 0, total)
            .await
            .map_err(error_object)?;
        let (resources, relationships) = { receipts.into_iter() }
            .partition::<Vec<_>, _>(|receipt| receipt.target_type == TargetType::Resource);
        let shown = |receipts: Vec<Receipt>| receipts.iter().map(BundleReceipt::of_persisted).collect();
        Ok(Bundle {
            task_id: Some(answer.task_id),
            resources: shown(resources),
            relationships: shown(relationships),
            replayed: true,
        })
    }
}

impl BundleReceipt {
    /// That of an operation that took effect.
    fn of_persisted(receipt: &Receipt) -> Self {
        let operation = Key::parse(&receipt.type_key).ok().zip(receipt.record_id());
        Self {
            operation: operation.map(|(type_key, id)| BundleOperation {
                action: receipt.action,
                type_key,
                id,
            }),
            verdict: Some(Verdict::Success {
                unchanged: receipt.unchanged,
            }),
        }
    }
}

/// A bundle that is right.
struct Checked {
    batch: CheckedBatch,
    /// How many of the operations are on resources: the first.
    resources: usize,
}

impl Checked {
    fn receipts(
        &self,
        task_id: Option<TaskId>,
        verdicts: Vec<Option<Verdict>>,
        schema: &CompiledSchema,
    ) -> Bundle {
        let operations = self.batch.operations.iter().zip(verdicts);
        let mut resources: Vec<BundleReceipt> = operations
            .map(|(operation, verdict)| BundleReceipt {
                operation: Some(BundleOperation {
                    action: operation.action,
                    type_key: schema.types[operation.type_index as usize].key.clone(),
                    id: operation.id.clone(),
                }),
                verdict,
            })
            .collect();
        let relationships = resources.split_off(self.resources);
        Bundle {
            task_id,
            resources,
            relationships,
            replayed: false,
        }
    }
}

/// No operation has fewer bytes. What is none costs many times its length, for what is said of it.
const OPERATION_BYTES_MIN: usize = 32;
/// So few elements are looked at however short they are.
const OPERATIONS_ANYWAY: usize = 1_000;

/// The check of a bundle by one schema.
struct BundleCheck {
    engine: Engine,
    schema: Arc<CompiledSchema>,
    vocabularies: Arc<Vocabularies>,
    now: Timestamp,
}

impl BundleCheck {
    /// The operations, if all of them are right; else the receipts that say what is wrong with which.
    fn check(&self, body: &[u8]) -> Result<Result<Checked, Bundle>, ErrorObject> {
        let body = without_byte_order_mark(body);
        let sent = read(body)?;
        let resources = sent.resource_operations.unwrap_or_default();
        let relationships = sent.relationship_operations.unwrap_or_default();
        if resources.is_empty() && relationships.is_empty() {
            let message =
                "a bundle has at least one operation in 'resourceOperations' or 'relationshipOperations'";
            return Err(ErrorObject::invalid(message));
        }
        let count = resources.len() + relationships.len();
        if count > OPERATIONS_ANYWAY && count * OPERATION_BYTES_MIN > body.len() {
            let message = format!(
                "the bundle has {count} elements in {} bytes, and no operation is that short",
                body.len()
            );
            return Err(ErrorObject::invalid(message));
        }
        let (tokens, taken_again) = self.tokens(&resources);
        let mut checked = Checked {
            batch: CheckedBatch::default(),
            resources: resources.len(),
        };
        let mut faults: Vec<Option<ErrorObject>> = Vec::new();
        let mut named = HashSet::new();
        for (target, operations) in [
            (TargetType::Resource, resources),
            (TargetType::Relationship, relationships),
        ] {
            for (at, operation) in operations.into_iter().enumerate() {
                let passed = self.operation(
                    target,
                    operation.get().as_bytes(),
                    &tokens,
                    &mut checked.batch.bodies,
                );
                faults.push(match passed {
                    Ok(operation) => {
                        let again = self.again(&operation, &mut named);
                        let is_taken = target == TargetType::Resource && taken_again.contains(&at);
                        checked.batch.push(operation);
                        again.or_else(|| is_taken.then(token_taken))
                    }
                    Err(error) => Some(error),
                });
            }
        }
        if faults.iter().all(Option::is_none) {
            return Ok(Ok(checked));
        }
        let receipt = |fault: Option<ErrorObject>| BundleReceipt {
            operation: None,
            verdict: fault.map(Verdict::Failure),
        };
        let mut resources: Vec<BundleReceipt> = faults.into_iter().map(receipt).collect();
        let relationships = resources.split_off(checked.resources);
        Ok(Err(Bundle {
            task_id: None,
            resources,
            relationships,
            replayed: false,
        }))
    }

    /// What the tokens of the creates stand for, an id for each; and the operations that take one which an earlier one has.
    fn tokens(&self, operations: &[&RawValue]) -> (Tokens, HashSet<usize>) {
        let mut tokens = Tokens::default();
        let mut taken_again = HashSet::new();
        for (at, operation) in operations.iter().enumerate() {
            let Some(token) = Tokens::taken_by(operation.get().as_bytes()) else {
                continue;
            };
            let id = Ksuid::from_parts(self.now, random_bytes()).to_string();
            if let Ok(id) = ResourceId::parse(&id)
                && !tokens.insert(&token, id)
            {
                taken_again.insert(at);
            }
        }
        (tokens, taken_again)
    }

    fn operation(
        &self,
        target: TargetType,
        bytes: &[u8],
        tokens: &Tokens,
        bodies: &mut Vec<u8>,
    ) -> Result<Operation, ErrorObject> {
        let inner = &self.engine.inner;
        let limit = inner.limits.operation_bytes;
        if bytes.len() as u64 > limit {
            return Err(ErrorObject::over_limit("the operation", "operationBytes", limit));
        }
        let mut random = random_bytes;
        let mut checker = Checker {
            schema: &self.schema,
            target,
            vocabularies: &self.vocabularies,
            tokens: Some(tokens),
            limits: &inner.limits,
            hash_key: inner.hash_key,
            now: self.now,
            random: &mut random,
        };
        checker
            .operation(bytes, bodies)
            .map_err(|rejection| match rejection {
                Rejection::Invalid(error) => error,
                Rejection::Syntax { message, .. } => {
                    ErrorObject::invalid(format!("the operation is not JSON: {message}"))
                }
            })
    }

    /// What is wrong with an operation on a record that an earlier one of the bundle is on.
    fn again(
        &self,
        operation: &Operation,
        named: &mut HashSet<(TypeNumber, RecordId)>,
    ) -> Option<ErrorObject> {
        let of_type = &self.schema.types[operation.type_index as usize];
        if named.insert((of_type.number, operation.id.clone())) {
            return None;
        }
        let message = format!(
            "'{}' of type '{}' is in an earlier operation; a bundle has one operation a record",
            operation.id, of_type.key
        );
        Some(not_unique(message, format!("/{}", operation.action.payload())))
    }
}

/// Of a create whose token is that of an earlier one of another type: the id is of one record.
fn token_taken() -> ErrorObject {
    let message = "the token is the id of an earlier create; each create has a token of its own";
    not_unique(message.to_owned(), "/create/id".to_owned())
}

fn not_unique(message: String, path: String) -> ErrorObject {
    let detail = Detail {
        error_type: ErrorType::InvalidArgument,
        message: message.clone(),
        path: Some(path),
        rule: Some("unique".to_owned()),
    };
    ErrorObject::invalid(message).with_details(vec![detail])
}

/// The lists of operations in the body of a bundle.
fn read(body: &[u8]) -> Result<Sent<'_>, ErrorObject> {
    let example = r#"{"resourceOperations":[…],"relationshipOperations":[…]}"#;
    // An array of the members in their order is the same to serde.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ErrorObject::invalid(format!(
            "a bundle is written as {example}, not as an array"
        )));
    }
    serde_json::from_slice(body)
        .map_err(|error| ErrorObject::invalid(format!("a bundle is written as {example}: {error}")))
}

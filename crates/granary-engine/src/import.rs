//! Imports: what an export says is put back as it was, versions and times included, into a source that holds nothing.
//!
//! Records go in page by page, each page in one transaction by the way of single writes and bundles, and leave a task as
//! these do. Definitions are judged as ever; records are not, for what was stored once need not fit what is defined now.

use std::collections::BTreeSet;
use std::sync::Arc;

use granary_core::check::{Checker, Rejection};
use granary_core::decide::Verdict;
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::{EdgeEnd, EdgeEnds, TargetType, TypeRef};
use granary_core::schema::{self, AcceptedDefinition, DefinitionKind};
use granary_core::task::TaskKind;
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::{CheckedBatch, KeptDefinition, Source, StoreError, Write, Written};

use crate::engine::{Engine, InFlight};
use crate::error::{error_object, internal};
use crate::random::{random_bytes, task_id};
use crate::schemas::CompiledSchema;

/// A page has so many records at the most,
const PAGE_RECORDS_MAX: usize = 1_000;
/// and is full once its lines take this.
const PAGE_BYTES: usize = 1 << 20;

/// A definition of an export.
#[derive(Clone, Debug)]
pub struct SentDefinition {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its key.
    pub key: Key,
    /// The definition.
    pub json: String,
    /// Its revision,
    pub revision: u64,
    /// when it was first stored,
    pub created_at: Timestamp,
    /// and when it was last replaced.
    pub updated_at: Timestamp,
}

/// A record of an export.
#[derive(Clone, Debug)]
pub struct ImportLine {
    /// Which line it is, counted from 1.
    pub number: u64,
    /// What it is.
    pub target: TargetType,
    /// The record as it is shown to clients.
    pub json: Box<str>,
}

/// An import under way, its definitions in place.
pub struct Import {
    engine: Engine,
    source: Source,
    schema: Arc<CompiledSchema>,
    /// Where each end may have any number of edges: those that are put back were right once.
    types: Arc<[TypeRef]>,
    page: Vec<ImportLine>,
    page_bytes: usize,
    _place: InFlight,
}

impl Engine {
    /// Begins an import into a source that holds nothing.
    pub async fn import(
        &self,
        place: InFlight,
        source: &Key,
        definitions: Vec<SentDefinition>,
    ) -> Result<Import, ErrorObject> {
        let source = self.source(source).await?;
        let engine = self.clone();
        let into = source.clone();
        self.to_its_end(async move {
            let store = engine.store();
            let heads = store.terminology().vocabulary_heads().await;
            let vocabularies: BTreeSet<Key> = heads.map_err(error_object)?.keys().cloned().collect();
            let inner = Arc::clone(&engine.inner);
            let accepting = tokio::task::spawn_blocking(move || {
                let accepted = accepted(&definitions, &vocabularies, &inner.limits)?;
                let kept = definitions.iter().zip(accepted);
                Ok::<_, ErrorObject>(
                    kept.map(|(sent, accepted)| sent.kept(accepted))
                        .collect::<Vec<_>>(),
                )
            });
            let kept = accepting.await.map_err(|_| internal())??;
            let restored = store.restore_definitions(&into, &kept).await;
            restored.map_err(error_object)
        })
        .await?;
        let schema = self.schema(&source).await?;
        let types = schema.types.iter().map(unbounded).collect();
        Ok(Import {
            engine: self.clone(),
            source,
            schema,
            types,
            page: Vec::new(),
            page_bytes: 0,
            _place: place,
        })
    }
}

impl SentDefinition {
    fn kept(&self, accepted: AcceptedDefinition) -> KeptDefinition {
        KeptDefinition {
            accepted,
            revision: self.revision.max(1),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// Each definition, accepted beside all others.
fn accepted(
    definitions: &[SentDefinition],
    vocabularies: &BTreeSet<Key>,
    limits: &granary_core::limits::Limits,
) -> Result<Vec<AcceptedDefinition>, ErrorObject> {
    let all: Vec<schema::StoredDefinition> = (1..)
        .zip(definitions)
        .map(|(number, sent)| schema::StoredDefinition {
            kind: sent.kind,
            key: sent.key.clone(),
            number,
            revision: sent.revision,
            json: sent.json.as_str().into(),
            created_at: sent.created_at,
            updated_at: sent.updated_at,
        })
        .collect();
    let mut named = BTreeSet::new();
    { definitions.iter() }
        .map(|sent| {
            let what = format!("{} '{}'", sent.kind.noun(), sent.key);
            if !named.insert((sent.kind, &sent.key)) {
                return Err(ErrorObject::invalid(format!("{what} is there twice")));
            }
            let json = sent.json.as_bytes();
            schema::accept(sent.kind, &sent.key, json, &all, vocabularies, limits).map_err(|mut error| {
                error.message = format!("{what}: {}", error.message);
                error
            })
        })
        .collect()
}

/// A type without bounds at its ends.
fn unbounded(of_type: &TypeRef) -> TypeRef {
    let any = |end: &EdgeEnd| EdgeEnd {
        at_most_one: false,
        ..end.clone()
    };
    let ends = |ends: &EdgeEnds| EdgeEnds {
        from: any(&ends.from),
        to: any(&ends.to),
    };
    TypeRef {
        edge: of_type.edge.as_ref().map(ends),
        ..of_type.clone()
    }
}

impl Import {
    /// Takes the next record. It is stored with its page.
    pub async fn push(&mut self, line: ImportLine) -> Result<(), ErrorObject> {
        self.page_bytes += line.json.len();
        self.page.push(line);
        if self.page.len() >= PAGE_RECORDS_MAX || self.page_bytes >= PAGE_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Stores what was taken and is not stored yet.
    pub async fn flush(&mut self) -> Result<(), ErrorObject> {
        let lines = std::mem::take(&mut self.page);
        self.page_bytes = 0;
        if lines.is_empty() {
            return Ok(());
        }
        let (engine, schema) = (self.engine.clone(), Arc::clone(&self.schema));
        let (source, types) = (self.source.clone(), Arc::clone(&self.types));
        self.engine
            .to_its_end(async move {
                let bytes = lines.iter().map(|line| line.json.len() as u64).sum();
                engine.inner.admit_records(bytes).await?;
                let now = engine.inner.clock.now();
                let (inner, by) = (Arc::clone(&engine.inner), Arc::clone(&schema));
                let reading = tokio::task::spawn_blocking(move || {
                    let page = read(&inner, &by, &lines, now)?;
                    Ok::<_, ErrorObject>((page, lines))
                });
                let ((batch, versions), lines) = reading.await.map_err(|_| internal())??;
                let write = Write {
                    source,
                    task_id: task_id(TaskKind::Bundle, now),
                    target_type: None,
                    types,
                    batch,
                    definitions_revision: schema.revision,
                    guard: None,
                    versions: Some(versions),
                    idempotent: None,
                };
                match engine.inner.store.write(write, now).await {
                    Ok(Written::Persisted { .. }) => Ok(()),
                    Ok(Written::Refused(verdicts)) => Err(refused(verdicts, &lines)),
                    Err(StoreError::DefinitionsChanged) => Err(ErrorObject::failed_precondition(
                        "the definitions of the source were changed while it was imported",
                    )),
                    Err(failure) => Err(error_object(failure)),
                }
            })
            .await
    }
}

/// Reads the records of a page; their versions.
fn read(
    inner: &crate::engine::Inner,
    schema: &CompiledSchema,
    lines: &[ImportLine],
    now: Timestamp,
) -> Result<(CheckedBatch, Vec<u32>), ErrorObject> {
    let mut random = random_bytes;
    let (mut batch, mut versions) = (CheckedBatch::default(), Vec::with_capacity(lines.len()));
    let vocabularies = Vocabularies::default();
    for line in lines {
        let mut checker = Checker {
            schema,
            target: line.target,
            vocabularies: &vocabularies,
            tokens: None,
            limits: &inner.limits,
            hash_key: inner.hash_key,
            now,
            random: &mut random,
        };
        let kept = checker.kept(line.json.as_bytes(), &mut batch.bodies);
        let kept = kept.map_err(|rejection| match rejection {
            Rejection::Invalid(error) => at_line(line.number, error),
            Rejection::Syntax { message, .. } => at_line(
                line.number,
                ErrorObject::invalid(format!("it is not JSON: {message}")),
            ),
        })?;
        batch.push(kept.operation);
        versions.push(kept.version);
    }
    Ok((batch, versions))
}

/// The error of the first operation that failed.
fn refused(verdicts: Vec<Verdict>, lines: &[ImportLine]) -> ErrorObject {
    let failed = verdicts.into_iter().zip(lines);
    let failed = { failed }.find_map(|(verdict, line)| match verdict {
        Verdict::Failure(error) => Some(at_line(line.number, error)),
        Verdict::Success { .. } => None,
    });
    failed.unwrap_or_else(internal)
}

fn at_line(number: u64, mut error: ErrorObject) -> ErrorObject {
    error.message = format!("line {number}: {}", error.message);
    error
}

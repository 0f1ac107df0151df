//! Exports: a source as it was at one moment, read page by page.

use std::sync::Arc;
use std::time::Duration;

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_core::schema::StoredDefinition;
use granary_core::time::Timestamp;
use granary_store::{Record, Source, SourceSnapshot};
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::drain::RETRY_AFTER_MAX;
use crate::engine::{Engine, Inner};
use crate::error::{error_object, internal};
use crate::lanes::lock;
use crate::schemas::compile;

/// A source at one moment. What it holds in the store is free once it is dropped, and after `exportSeconds` at the latest.
pub struct Export {
    /// The source.
    pub source: Source,
    /// The moment: what was durable before it is in it.
    pub moment: Timestamp,
    /// Its definitions, by kind and key.
    pub definitions: Vec<StoredDefinition>,
    /// Its types, in the order of the definitions.
    pub types: Arc<[TypeRef]>,
    held: Arc<Mutex<Option<Held>>>,
    seconds_max: u64,
    timer: AbortHandle,
}

struct Held {
    snapshot: Box<dyn SourceSnapshot>,
    _place: Place,
}

/// A place among the open exports.
struct Place {
    _permit: OwnedSemaphorePermit,
    /// When it is free at the latest.
    until: Instant,
    all_until: Arc<std::sync::Mutex<Vec<Instant>>>,
}

impl Place {
    fn new(inner: &Inner, permit: OwnedSemaphorePermit) -> Self {
        let until = Instant::now() + Duration::from_secs(inner.limits.export_seconds);
        let all_until = Arc::clone(&inner.exports_until);
        lock(&all_until).push(until);
        Self {
            _permit: permit,
            until,
            all_until,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = lock(&self.all_until);
        if let Some(at) = all.iter().position(|until| *until == self.until) {
            all.swap_remove(at);
        }
    }
}

/// After how many seconds the first of the open exports has ended at the latest; not so long that nobody waits for it, for
/// most end sooner.
fn until_place(inner: &Inner) -> u32 {
    let first = lock(&inner.exports_until).iter().min().copied();
    let left = first.map(|until| until.saturating_duration_since(Instant::now()));
    // A float that fits no integer becomes the nearest one that does.
    let seconds = left.unwrap_or_default().as_secs_f64().ceil() as u32;
    seconds.clamp(1, RETRY_AFTER_MAX)
}

impl Drop for Export {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Engine {
    /// Begins an export of a source (limits `exports` and `exportSeconds`).
    pub async fn export(&self, source: &Key) -> Result<Export, ErrorObject> {
        let source = self.source(source).await?;
        let limits = &self.inner.limits;
        let Ok(permit) = Arc::clone(&self.inner.exports).try_acquire_owned() else {
            let message = format!(
                "{} exports are open, which is the limit exports; begin this one when another has ended",
                limits.exports
            );
            let refusal = ErrorObject::new(ErrorType::ResourceExhausted, message);
            return Err(refusal.with_retry_after(until_place(&self.inner)));
        };
        let place = Place::new(&self.inner, permit);
        let moment = self.inner.clock.now();
        let held_max = Duration::from_secs(limits.export_seconds);
        let snapshot = self.inner.store.snapshot(&source, held_max).await;
        let snapshot = snapshot.map_err(error_object)?;
        let definitions = snapshot.definitions().clone();
        let compiling = tokio::task::spawn_blocking(move || {
            compile(&definitions).map(|schema| (Arc::clone(&schema.types), definitions.list))
        });
        let (types, definitions) = compiling.await.map_err(|_| internal())??;
        let held = Arc::new(Mutex::new(Some(Held {
            snapshot,
            _place: place,
        })));
        // A client that takes a little now and then must not hold it for ever.
        let until = Arc::downgrade(&held);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(held_max).await;
            if let Some(held) = until.upgrade() {
                held.lock().await.take();
            }
        });
        Ok(Export {
            source,
            moment,
            definitions,
            types,
            held,
            seconds_max: limits.export_seconds,
            timer: timer.abort_handle(),
        })
    }
}

impl Export {
    /// The next records of a type behind `after`; see [`granary_store::may_go_on`].
    pub async fn page(
        &self,
        of_type: &TypeRef,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<Record>, ErrorObject> {
        let mut held = self.held.lock().await;
        let Some(Held { snapshot, .. }) = held.as_mut() else {
            let message = format!(
                "the export took longer than the limit exportSeconds of {}; take it faster, or raise the limit",
                self.seconds_max
            );
            return Err(ErrorObject::new(ErrorType::Unavailable, message));
        };
        let page = match (of_type.target_type(), after) {
            (TargetType::Resource, Some(RecordId::Resource(after))) => {
                snapshot.resources(of_type.number, Some(after), limit).await
            }
            (TargetType::Resource, _) => snapshot.resources(of_type.number, None, limit).await,
            (TargetType::Relationship, Some(RecordId::Relationship { from, to })) => {
                snapshot
                    .relationships(of_type.number, Some((from, to)), limit)
                    .await
            }
            (TargetType::Relationship, _) => snapshot.relationships(of_type.number, None, limit).await,
        };
        page.map_err(error_object)
    }
}

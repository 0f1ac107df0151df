//! The check of a run of operations, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use granary_core::check::{Checker, Rejection};
use granary_core::csv::{Cells, Layout};
use granary_core::error::ErrorObject;
use granary_core::operation::{Operation, TargetType};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::CheckedBatch;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span, error};

use crate::engine::Inner;
use crate::error::internal;
use crate::random::random_bytes;
use crate::schemas::CompiledSchema;
use crate::split::{Piece, Run, SplitError};

/// What the checks of one request have in common.
pub(crate) struct Checks {
    pub(crate) inner: Arc<Inner>,
    pub(crate) schema: Arc<CompiledSchema>,
    pub(crate) vocabularies: Arc<Vocabularies>,
    pub(crate) target: TargetType,
    /// When the request arrived; goes into generated ids.
    pub(crate) now: Timestamp,
    /// True once bodies need not be kept: nothing of the request will be stored.
    pub(crate) verdicts_only: AtomicBool,
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct CheckedRun {
    /// Its operations; `None` where they are not wanted, or not all of them are right.
    pub(crate) batch: Option<CheckedBatch>,
    /// Those that are wrong, by their index in the request.
    pub(crate) failures: Vec<(u64, ErrorObject)>,
    /// The operation that is not JSON, the last of the failures; those after it were not looked at.
    pub(crate) not_json: Option<SplitError>,
}

impl Checks {
    /// Checks a run on the pool. Its operations are JSON, or where there is a layout, rows.
    pub(crate) fn start(
        self: &Arc<Self>,
        run: Run,
        layout: Option<Arc<Layout>>,
    ) -> JoinHandle<Result<CheckedRun, ErrorObject>> {
        let checks = Arc::clone(self);
        let checking = async move {
            // At most as many at once as there are cores, over all requests.
            let permit = checks.inner.checks.acquire().await;
            let (on_pool, span) = (Arc::clone(&checks), Span::current());
            let checked =
                tokio::task::spawn_blocking(move || span.in_scope(|| on_pool.check(&run, layout.as_deref())))
                    .await;
            drop(permit);
            checked.map_err(|failure| {
                error!(%failure, "the check of a run of operations failed");
                internal()
            })
        };
        tokio::spawn(checking.in_current_span())
    }

    fn check(&self, run: &Run, layout: Option<&Layout>) -> CheckedRun {
        let mut random = random_bytes;
        let mut checker = Checker {
            schema: &self.schema,
            target: self.target,
            vocabularies: &self.vocabularies,
            tokens: None,
            limits: &self.inner.limits,
            hash_key: self.inner.hash_key,
            // A body may come for hours: what happens meanwhile is not in the future.
            now: self.now.max(self.inner.clock.now()),
            random: &mut random,
        };
        let wanted = !self.verdicts_only.load(Ordering::Relaxed);
        let mut batch = CheckedBatch::default();
        if wanted {
            batch.operations.reserve(run.len());
            batch.body_ends.reserve(run.len());
            batch.bodies.reserve(run.bytes());
        }
        let mut checked = CheckedRun {
            batch: None,
            failures: Vec::new(),
            not_json: None,
        };
        let mut rows = layout.map(|layout| Rows::new(layout, run));
        for (index, piece) in run.pieces().enumerate() {
            let at = run.first() + index as u64;
            let outcome = match piece {
                Piece::Operation(bytes) => match &mut rows {
                    None => checker.operation(bytes, &mut batch.bodies),
                    Some(rows) => rows.check(index, bytes, &mut checker, &mut batch.bodies),
                },
                Piece::OverLimit => Err(Rejection::Invalid(ErrorObject::over_limit(
                    "the operation",
                    "operationBytes",
                    self.inner.limits.operation_bytes,
                ))),
            };
            match outcome {
                Ok(operation) if wanted && checked.failures.is_empty() => batch.push(operation),
                Ok(_) => batch.bodies.clear(),
                Err(Rejection::Invalid(error)) => checked.failures.push((at, error)),
                Err(Rejection::Syntax { offset, message }) => {
                    let error = SplitError::not_json(run.place(index, offset), message);
                    checked.failures.push((at, ErrorObject::from(&error)));
                    checked.not_json = Some(error);
                    break;
                }
            }
        }
        if checked.failures.is_empty() && wanted {
            checked.batch = Some(batch);
        }
        checked
    }
}

/// The rows of a run on their way to the check.
struct Rows<'r> {
    layout: &'r Layout,
    run: &'r Run,
    /// What was counted to tell lines.
    counted: (usize, u64),
    cells: Cells,
    /// The operation that a row became.
    json: Vec<u8>,
}

impl<'r> Rows<'r> {
    fn new(layout: &'r Layout, run: &'r Run) -> Self {
        Self {
            layout,
            run,
            counted: (0, 0),
            cells: Cells::default(),
            json: Vec::new(),
        }
    }

    fn check(
        &mut self,
        index: usize,
        row: &[u8],
        checker: &mut Checker<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Operation, Rejection> {
        let line = self.run.line(index, &mut self.counted);
        self.json.clear();
        let written = self.layout.write(row, line, &mut self.cells, &mut self.json);
        written.map_err(Rejection::Invalid)?;
        checker
            .operation(&self.json, body)
            .map_err(|rejection| match rejection {
                Rejection::Invalid(error) => Rejection::Invalid(self.layout.located(error, row, line)),
                Rejection::Syntax { message, .. } => {
                    error!(%message, "a row became what is not JSON");
                    Rejection::Invalid(internal())
                }
            })
    }
}

//! The way of a bulk request: split, check, spool, accept (see `ARCHITECTURE.md`).

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::csv::Sheet;
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::operation::TargetType;
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_store::{Source, StoredTask, Upload};
use tokio::task::JoinHandle;
use tracing::{Instrument, Span, error, trace_span};

use crate::check::{CheckedRun, Checks};
use crate::engine::{Engine, Inner};
use crate::error::{error_object, internal, unavailable};
use crate::once::{Known, Once, TakenName, found_answered};
use crate::random::task_id;
use crate::rejection::{Failures, ReceiptsShown, Rejection};
use crate::retry::Origin;
use crate::schemas::CompiledSchema;
use crate::split::{CsvSplitter, JsonSplitter, NdjsonSplitter, Run, SplitError, Splitter};
use crate::told;

/// How the operations stand in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BodyFormat {
    /// `{"operations": […]}`.
    #[default]
    Json,
    /// One operation a line.
    Ndjson,
    /// A header that names properties, and a row for each operation.
    Csv(CsvFormat),
}

/// What the rows of CSV are, as the request says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvFormat {
    /// The type of their records; it must be there.
    pub type_key: Option<String>,
    /// What is done to them: `CREATE` unless said, in any case.
    pub action: Option<String>,
    /// What joins the elements of an array: `|` unless said.
    pub separator: Option<String>,
}

/// A bulk request without its body.
#[derive(Clone, Debug)]
pub struct BulkRequest {
    /// The source.
    pub source: Key,
    /// What its operations are on.
    pub target: TargetType,
    /// How they stand in the body.
    pub format: BodyFormat,
    /// True: check only, store nothing.
    pub validate_only: bool,
    /// Which receipts the answer shows if it is rejected.
    pub receipts: ReceiptsShown,
    /// How long its body is as it is sent, where that is told.
    pub body_bytes: Option<u64>,
    /// Where it is to be carried out once. One that is checked only leaves nothing, and may be sent as often as one likes.
    pub once: Option<Once>,
}

/// Why a body ends before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection broke off, or the length sent was not the length told.
    #[error("the body breaks off: {0}")]
    BrokenOff(String),
    /// It is not what its `Content-Encoding` says.
    #[error("the body cannot be decoded: {0}")]
    Undecodable(String),
    /// The call is answered with this, whatever was read.
    #[error("{0}")]
    Refused(ErrorObject),
}

/// What became of a bulk request.
#[derive(Debug)]
pub enum Intake {
    /// It is durable, and this task carries it out.
    Accepted(Box<StoredTask>),
    /// The same request was accepted before, as this task; this one started nothing.
    Replayed(TaskId),
    /// It would have been accepted (`validate_only`).
    Valid {
        /// How many operations it has.
        count: u64,
    },
    /// Something is wrong with it; nothing of it is stored.
    Rejected(Box<Rejection>),
}

/// The status of the answer to a request that becomes a task.
pub(crate) const ACCEPTED: u16 = 202;

impl Engine {
    /// Takes in a bulk request. An error is one of the call: no such source, over a limit, too much waiting, the
    /// store out of reach.
    ///
    /// Dropped half way it leaves nothing behind, until the body has been read whole; from then on the acceptance
    /// runs to its end even if nobody waits for it.
    pub async fn bulk(
        &self,
        request: BulkRequest,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<Intake, ErrorObject> {
        let outcome = self.take_in(request, body).await;
        self.inner.counters.bulk(&outcome);
        outcome
    }

    async fn take_in(
        &self,
        request: BulkRequest,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<Intake, ErrorObject> {
        let _place = self.admit()?;
        let source = self.source(&request.source).await?;
        let once = request.once.clone().filter(|_| !request.validate_only);
        let name = match &once {
            None => None,
            Some(once) => match self.take_name(&source, once).await? {
                Known::New(name) => Some(name),
                Known::Answered(answer) => {
                    let bytes_max = self.inner.limits.bulk_body_bytes;
                    let answer = once.clone().replayed_after(answer, pin!(body), bytes_max).await?;
                    return Ok(Intake::Replayed(answer.task_id));
                }
            },
        };
        self.read_in(&source, request, Origin::Client, body, name).await
    }

    /// Reads operations, checks and spools them, and makes them a task.
    pub(crate) async fn read_in(
        &self,
        source: &Source,
        request: BulkRequest,
        origin: Origin,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
        name: Option<TakenName>,
    ) -> Result<Intake, ErrorObject> {
        let schema = self.schema(source).await?;
        let vocabularies = self.vocabularies(&schema).await?;
        let now = self.inner.clock.now();
        let splitter = self.splitter(&request, &origin, &schema)?;
        let upload = if request.validate_only {
            None
        } else {
            self.inner.admit_bytes(request.body_bytes.unwrap_or(0)).await?;
            let id = task_id(TaskKind::Bulk, now);
            let types = Arc::clone(&schema.types);
            let begun = self.inner.store.begin_upload(source, id, request.target, types);
            match begun.await {
                Ok(mut upload) => {
                    if let Origin::Task(id) = &origin {
                        upload.set_retry_of(*id);
                    }
                    Some(upload)
                }
                Err(failure) => {
                    return Err(self.inner.with_time_of_task(source, error_object(failure)).await);
                }
            }
        };
        let revision = schema.revision;
        let parts = (splitter, schema, vocabularies, upload);
        let mut reading = Reading::new(&self.inner, &request, origin, parts, now);
        reading.once = request.once.filter(|_| !request.validate_only);
        reading.body_bytes = request.body_bytes;
        let checked = async {
            reading.read(pin!(body)).await?;
            let once = reading.once.take();
            Ok::<_, ErrorObject>((once, reading.finish().await?))
        };
        let (once, read) = checked
            .instrument(trace_span!(target: told::TRACES, "check"))
            .await?;
        match read {
            Read::Rejected(rejection) => Ok(Intake::Rejected(Box::new(rejection))),
            Read::Right { upload: None, count } => Ok(Intake::Valid { count }),
            Read::Right {
                upload: Some(upload), ..
            } => {
                let span = trace_span!(target: told::TRACES, "accept", task.id = tracing::field::Empty);
                let accepted = self.accept(source, upload, revision, once, name);
                accepted.instrument(span).await
            }
        }
    }

    fn splitter(
        &self,
        request: &BulkRequest,
        origin: &Origin,
        schema: &Arc<CompiledSchema>,
    ) -> Result<Splitter, ErrorObject> {
        let limits = &self.inner.limits;
        let bytes_max = origin.bounded(limits.operation_bytes);
        let details_max = limits.details_per_error;
        Ok(match &request.format {
            BodyFormat::Json => Splitter::Json(JsonSplitter::new(bytes_max, details_max)),
            BodyFormat::Ndjson => Splitter::Ndjson(NdjsonSplitter::new(bytes_max)),
            BodyFormat::Csv(format) => {
                let sheet = Sheet::new(
                    schema,
                    request.target,
                    format.type_key.as_deref(),
                    format.action.as_deref(),
                    format.separator.as_deref(),
                )?;
                let schema = Arc::clone(schema);
                let layout = move |header: &[u8]| sheet.layout(&schema, header, details_max);
                Splitter::Csv(CsvSplitter::new(bytes_max, layout))
            }
        })
    }

    /// Makes the request a task. Runs to its end even if nobody waits for it.
    async fn accept(
        &self,
        source: &Source,
        mut upload: Box<dyn Upload>,
        revision: u64,
        once: Option<Once>,
        name: Option<TakenName>,
    ) -> Result<Intake, ErrorObject> {
        if let Some(once) = &once {
            upload.set_idempotent(once.to_keep(ACCEPTED, self.answers_kept_since()));
        }
        let (inner, source) = (Arc::clone(&self.inner), source.clone());
        self.to_its_end(async move {
            let _name = name;
            match upload.accept(revision, inner.clock.now()).await {
                Ok(task) => {
                    told::accepted(&source.key, &task.task);
                    Span::current().record("task.id", tracing::field::display(task.task.id));
                    inner.accepted.notify_waiters();
                    Ok(Intake::Accepted(Box::new(task)))
                }
                Err(failure) => match found_answered(failure, once.as_ref()) {
                    Ok(answer) => Ok(Intake::Replayed(answer.task_id)),
                    Err(error) => Err(inner.with_time_of_task(&source, error).await),
                },
            }
        })
        .await
    }
}

/// A bulk request while its body is read.
struct Reading {
    checks: Arc<Checks>,
    splitter: Splitter,
    origin: Origin,
    /// Runs that are being checked, in their order.
    in_flight: VecDeque<JoinHandle<Result<CheckedRun, ErrorObject>>>,
    spool: Spool,
    failures: Failures,
    shown: ReceiptsShown,
    /// Why the body could not be split to its end.
    split_error: Option<SplitError>,
    /// The first operation that is not JSON: what comes after it does not matter.
    not_json: Option<SplitError>,
    /// Takes in what is read, where it is wanted.
    once: Option<Once>,
    /// How long the body is as it is sent, where that is told,
    body_bytes: Option<u64>,
    /// and how much of it was read, decoded.
    read_bytes: u64,
    /// The same when the room on the disk was looked at last.
    room_at: u64,
}

/// How often the room on the disk is looked at while a body is read, in bytes of it.
const ROOM_LOOK_BYTES: u64 = 16_000_000;

/// Where checked runs go.
enum Spool {
    /// They are not wanted, or no longer.
    Off,
    Ready(Box<dyn Upload>),
    /// A run is being written, while the next are read and checked.
    Busy(JoinHandle<(Box<dyn Upload>, granary_store::Result<()>)>),
}

/// A request that was read whole.
enum Read {
    /// Nothing is wrong with it.
    Right {
        upload: Option<Box<dyn Upload>>,
        count: u64,
    },
    Rejected(Rejection),
}

/// What a request is read with.
type Parts = (
    Splitter,
    Arc<CompiledSchema>,
    Arc<Vocabularies>,
    Option<Box<dyn Upload>>,
);

impl Reading {
    fn new(
        inner: &Arc<Inner>,
        request: &BulkRequest,
        origin: Origin,
        (splitter, schema, vocabularies, upload): Parts,
        now: Timestamp,
    ) -> Self {
        let limits = &inner.limits;
        let failures = Failures::new(
            limits.detailed_failures,
            inner.options.scratch_dir.clone(),
            Arc::clone(&inner.scratch_bytes),
        );
        let checks = Checks {
            inner: Arc::clone(inner),
            schema,
            vocabularies,
            target: request.target,
            now,
            verdicts_only: AtomicBool::new(upload.is_none()),
        };
        Self {
            checks: Arc::new(checks),
            splitter,
            origin,
            in_flight: VecDeque::new(),
            spool: upload.map_or(Spool::Off, Spool::Ready),
            failures,
            shown: request.receipts,
            split_error: None,
            not_json: None,
            once: None,
            body_bytes: None,
            read_bytes: 0,
            room_at: 0,
        }
    }

    /// Reads the body to its end, for the answer begins only then, even where it is known before.
    async fn read(
        &mut self,
        mut body: Pin<&mut (impl Stream<Item = Result<Bytes, BodyError>> + Send)>,
    ) -> Result<(), ErrorObject> {
        let max = self.origin.bounded(self.checks.inner.limits.bulk_body_bytes);
        while let Some(piece) = body.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(BodyError::Refused(error)) => return Err(error),
                Err(BodyError::BrokenOff(why)) => {
                    if !self.over() {
                        self.split_error = Some(self.splitter.broken_off(&why));
                    }
                    break;
                }
                Err(BodyError::Undecodable(why)) => {
                    if !self.over() {
                        self.split_error = Some(self.splitter.undecodable(&why));
                    }
                    break;
                }
            };
            self.read_bytes += piece.len() as u64;
            if self.read_bytes > max {
                let what = "the body of the bulk request";
                return Err(ErrorObject::over_limit(what, "bulkBodyBytes", max));
            }
            if let (Some(once), Origin::Client) = (&mut self.once, &self.origin) {
                once.feed(&piece);
            }
            self.split(&piece).await?;
            if self.read_bytes - self.room_at > ROOM_LOOK_BYTES && !matches!(self.spool, Spool::Off) {
                self.room_at = self.read_bytes;
                self.checks.inner.admit_bytes(0).await?;
            }
            while self.in_flight.front().is_some_and(JoinHandle::is_finished) {
                self.take_next().await?;
            }
        }
        Ok(())
    }

    /// True once nothing more of the body is looked at.
    fn over(&self) -> bool {
        self.split_error.is_some() || self.not_json.is_some()
    }

    async fn split(&mut self, mut piece: &[u8]) -> Result<(), ErrorObject> {
        while !piece.is_empty() && !self.over() {
            match self.splitter.feed(&mut piece) {
                Ok(Some(run)) => self.check(run).await?,
                Ok(None) => {}
                Err(error) => self.split_error = Some(error),
            }
        }
        if self.splitter.faulty() {
            self.stop_spooling();
        }
        Ok(())
    }

    /// Hands a run to the pool, once there is room for it.
    async fn check(&mut self, run: Run) -> Result<(), ErrorObject> {
        while self.in_flight.len() >= self.checks.inner.options.checks_in_flight.max(1) {
            self.take_next().await?;
        }
        if self.not_json.is_none() {
            self.in_flight
                .push_back(self.checks.start(run, self.splitter.layout().cloned()));
        }
        Ok(())
    }

    /// Waits for the first of the runs in flight and takes in what became of it.
    async fn take_next(&mut self) -> Result<(), ErrorObject> {
        let Some(checked) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let checked = checked.await.map_err(|_| internal())??;
        for (index, error) in checked.failures {
            self.fail(index, error).await?;
        }
        let upload = self.written().await?;
        match (checked.batch, upload) {
            (Some(batch), Some(mut upload)) => {
                self.spool = Spool::Busy(tokio::spawn(async move {
                    let outcome = upload.push(batch).await;
                    (upload, outcome)
                }));
            }
            _ => self.stop_spooling(),
        }
        if checked.not_json.is_some() {
            self.not_json = checked.not_json;
            self.in_flight.clear();
        }
        Ok(())
    }

    /// The first fault stops the spooling, not the checking.
    fn stop_spooling(&mut self) {
        self.spool = Spool::Off;
        self.checks.verdicts_only.store(true, Ordering::Relaxed);
    }

    async fn fail(&mut self, index: u64, error: ErrorObject) -> Result<(), ErrorObject> {
        let inner = &self.checks.inner;
        let to_disk = self.failures.push(index, error).await.map_err(scratch_failed)?;
        if to_disk {
            inner.admit_bytes(0).await?;
        }
        Ok(())
    }

    /// The upload once it has written what it was given; `None` where there is none. Where there was no room for that, the
    /// refusal tells after which time there is some for all that was told.
    async fn written(&mut self) -> Result<Option<Box<dyn Upload>>, ErrorObject> {
        let (upload, outcome) = match std::mem::replace(&mut self.spool, Spool::Off) {
            Spool::Off => return Ok(None),
            Spool::Ready(upload) => return Ok(Some(upload)),
            Spool::Busy(writing) => writing.await.map_err(|_| internal())?,
        };
        let Err(failure) = outcome else {
            return Ok(Some(upload));
        };
        let refusal = error_object(failure);
        if refusal.error_type != ErrorType::ResourceExhausted {
            return Err(refusal);
        }
        let inner = Arc::clone(&self.checks.inner);
        let rest = self.body_bytes.unwrap_or(0).saturating_sub(self.read_bytes);
        // It counts as spooled until it is dropped.
        let refusal = inner.until_room(rest, inner.limits.spool_bytes, refusal).await;
        drop(upload);
        match inner.taken_bytes().await? {
            // Nothing waits, so waiting does not help.
            0 => Err(ErrorObject::over_limit(
                "what is spooled of the request alone",
                "spoolBytes",
                inner.limits.spool_bytes,
            )),
            _ => Err(refusal),
        }
    }

    /// The body has ended: checks what is left of it and sums up.
    async fn finish(mut self) -> Result<Read, ErrorObject> {
        if !self.over() {
            self.split_error = self.splitter.finish().err();
        }
        if let Some(run) = self.splitter.rest() {
            self.check(run).await?;
        }
        while !self.in_flight.is_empty() {
            self.take_next().await?;
        }
        let mut count = self.splitter.operations();
        let error = if let Some(error) = &self.not_json {
            count = error.place.operation + 1;
            Some(error.into())
        } else if let Some(error) = self.split_error.take() {
            let object = ErrorObject::from(&error);
            if error.in_operation {
                // What there is of it was not given to the check; it is an operation all the same.
                self.fail(count, object.clone()).await?;
                count += 1;
            }
            Some(object)
        } else {
            self.splitter.faults()
        };
        if error.is_none() && self.failures.count() == 0 {
            let upload = self.written().await?;
            return Ok(Read::Right { upload, count });
        }
        let rejection = self.failures.reject(error, count, self.shown);
        rejection.map(Read::Rejected).map_err(scratch_failed)
    }
}

pub(crate) fn scratch_failed(failure: io::Error) -> ErrorObject {
    error!(%failure, "the failures of a rejected request could not be written to or read from scratch");
    unavailable("there was no room for the answer; send the request again later")
}

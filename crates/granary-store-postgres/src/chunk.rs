//! A chunk: the next operations of a lane, decided and written with their receipts and the cursor in one transaction.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use granary_core::decide::{Plan, Verdict};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::operation::{Operation, TypeRef};
use granary_core::time::Timestamp;
use granary_store::{Budget, CheckedBatch, Lane, ReceiptsChunk, Result, Step, pack, unpack};
use tokio::task::JoinHandle;
use tokio_postgres::Row;

use crate::current::{STAMPS, lock_ground, see_absent};
use crate::effects::{Effects, Place, write_effects};
use crate::failure::{Attempt, Tries};
use crate::lanes::hold_lane;
use crate::session::{Session, params};
use crate::tasks::{
    TaskRow, insert_receipts, read_operations, read_types, task_columns, task_row, update_task,
};
use crate::transact::{Ended, Rules};
use crate::{Held, Inner, bucket_of, damaged, int4, int8, lock, uint4, uint8};

/// So many processes may end at one operation before it is given up.
const DEATHS_MAX: i32 = 3;
/// One that was cut off, or had no time, looks like one that has ended. So long it may take to say that it lives.
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(10);
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// Edges of deleted resources that a step removes at least, where there are as many.
const SWEPT_MIN: usize = 256;

/// What was read of the task at the head of a lane, and does not change.
pub(crate) struct OpenTask {
    sequence: u64,
    types: Arc<[TypeRef]>,
    /// The segment that the cursor was in.
    segment: Arc<OpenSegment>,
    /// The one behind it, read while this one is applied.
    ahead: Mutex<Option<JoinHandle<Option<OpenSegment>>>>,
}

/// A segment that was read.
struct OpenSegment {
    number: i32,
    first: u64,
    batch: CheckedBatch,
}

/// The next operations of a task.
struct Next {
    types: Arc<[TypeRef]>,
    segment: Arc<OpenSegment>,
    chunk: CheckedBatch,
}

/// Why the next operation of a lane fails without being tried.
#[derive(Clone, Copy)]
enum Failing<'e> {
    /// It was tried by this process.
    Now(&'e ErrorObject),
    /// So many processes have ended at it as it takes.
    AfterDeaths(&'e ErrorObject),
}

impl Inner {
    pub(crate) async fn apply_chunk(
        self: &Arc<Self>,
        lane: &Lane,
        budget: Budget,
        now: Timestamp,
    ) -> Result<Step> {
        let alone = lane.suspect && budget.operations <= 1;
        if alone {
            let began = Instant::now();
            loop {
                match self.try_alone(lane).await? {
                    None => return Ok(Step::Lost),
                    Some(deaths) if deaths < DEATHS_MAX => break,
                    Some(_) if began.elapsed() < SIGN_OF_LIFE_MAX => tokio::time::sleep(LISTEN_EVERY).await,
                    Some(_) => {
                        let message =
                            "the server ended each time it tried this operation, so it was left out";
                        let error = ErrorObject::new(ErrorType::Internal, message);
                        match self
                            .step(lane, budget, now, Some(Failing::AfterDeaths(&error)))
                            .await
                        {
                            // There is none at the head of the lane that they could have ended at: it goes on.
                            Ok(Step::Applied(0)) => break,
                            failed => return failed,
                        }
                    }
                }
            }
        }
        let outcome = self.step(lane, budget, now, None).await;
        self.tries(lane, None);
        if alone && !matches!(outcome, Ok(Step::Applied(_) | Step::Tidied)) {
            // It did not get on, and the process lives: that is no death.
            self.survived(lane);
        }
        outcome
    }

    pub(crate) async fn fail_operation(
        self: &Arc<Self>,
        lane: &Lane,
        error: &ErrorObject,
        now: Timestamp,
    ) -> Result<Step> {
        let one = Budget {
            operations: 1,
            bytes: u64::MAX,
        };
        let outcome = self.step(lane, one, now, Some(Failing::Now(error))).await;
        if outcome.is_ok() {
            self.tries(lane, None);
        }
        outcome
    }

    /// One step of a lane; with `failing` it is the failure of the next operation.
    async fn step(
        self: &Arc<Self>,
        lane: &Lane,
        mut budget: Budget,
        now: Timestamp,
        failing: Option<Failing<'_>>,
    ) -> Result<Step> {
        self.check_open()?;
        budget.operations = budget.operations.clamp(1, STAMPS as usize);
        let mut tries = Tries::default();
        loop {
            let attempt = self.attempt(Rules::CHUNK, |session: Arc<Session>| async move {
                self.step_in(&session, lane, budget, now, failing).await
            });
            match attempt.await {
                Ended::Committed(Step::Lost) => {
                    self.let_go(lane);
                    return Ok(Step::Lost);
                }
                Ended::Committed(step) => return Ok(step),
                // Whether it was committed shows in the cursor, from which the next call goes on.
                Ended::Unknown(_, lost) => {
                    lane.last.take_applied();
                    return Err(lost);
                }
                Ended::Failed(failure) => {
                    lane.last.take_applied();
                    tries.again(failure).await?;
                    // Fewer operations meet fewer others.
                    budget.operations = (budget.operations / 2).max(1);
                }
            }
        }
    }

    async fn step_in(
        self: &Arc<Self>,
        session: &Session,
        lane: &Lane,
        budget: Budget,
        now: Timestamp,
        failing: Option<Failing<'_>>,
    ) -> Attempt<Step> {
        let source = lane.source.number;
        let here = || params![bucket_of(source), int4(source)];
        let next = concat!(
            "SELECT ",
            task_columns!(),
            " FROM granary.task WHERE bucket = $1 AND source = $2 AND completed_at IS NULL ORDER BY sequence LIMIT 1"
        );
        let marks = "SELECT EXISTS (SELECT FROM granary.mark WHERE bucket = $1 AND source = $2)";
        // The lane is locked before the others are looked at.
        let (held, task, marked) = futures::try_join!(
            hold_lane(session, lane, &self.owner),
            session.query_opt(next, here()),
            session.query_one(marks, here()),
        )?;
        if !held {
            return Ok(Step::Lost);
        }
        if let Some(Failing::AfterDeaths(_)) = failing {
            // Under the lock: a cancel may have said meanwhile that they tell nothing of what comes now.
            let sql = "SELECT deaths FROM granary.lane WHERE bucket = $1 AND source = $2";
            let row = session
                .query_one(sql, params![bucket_of(source), int4(source)])
                .await?;
            if row.get::<_, i32>(0) < DEATHS_MAX {
                return Ok(Step::Applied(0));
            }
        }
        let error = failing.map(|(Failing::Now(error) | Failing::AfterDeaths(error))| error);
        if marked.get(0) && error.is_some() {
            return Ok(Step::Applied(0));
        }
        if marked.get(0) {
            // Also of a budget of one operation: no edge here is one that could be suspected.
            let rows = budget.operations.max(SWEPT_MIN);
            self.sweep(session, source, rows).await?;
            self.renew(session, lane).await?;
            return Ok(Step::Tidied);
        }
        let Some(mut task) = task.as_ref().map(task_row).transpose()? else {
            return Ok(Step::Idle);
        };
        let here = (task.sequence, task.progress.cursor);
        lane.last.tries(task.progress.id());
        if error.is_none() {
            self.tries(lane, Some(here));
        }
        if error.is_some() && self.tried(lane).is_some_and(|tried| tried != here) {
            // The task that it was tried of was cancelled meanwhile: what comes now is another.
            return Ok(Step::Applied(0));
        }
        let count = match task.progress.purge {
            Some(_) if error.is_some() => return Ok(Step::Applied(0)),
            Some(_) => {
                let count = self.purge_next(session, source, &mut task, budget, now).await?;
                futures::try_join!(update_task(session, source, &task), self.renew(session, lane))?;
                count
            }
            None => {
                self.apply_next(session, lane, &mut task, budget, now, error)
                    .await?
            }
        };
        lane.last.applied(&task.progress);
        Ok(Step::Applied(count))
    }

    /// What this node knows of a lane that it holds; `None` where that is lost.
    fn held_by<T>(&self, lane: &Lane, look: impl FnOnce(&mut Held) -> T) -> Option<T> {
        let mut held = lock(&self.held);
        let held = held
            .get_mut(&lane.source.number)
            .filter(|held| held.fence == lane.fence)?;
        Some(look(held))
    }

    /// Notes what is tried in a lane that this node holds.
    fn tries(&self, lane: &Lane, trying: Option<(u64, u64)>) {
        self.held_by(lane, |held| held.trying = trying);
    }

    /// What was tried in a lane and came to no end.
    fn tried(&self, lane: &Lane) -> Option<(u64, u64)> {
        self.held_by(lane, |held| held.trying).flatten()
    }

    /// Forgets a lane that is lost, or given back.
    pub(crate) fn let_go(&self, lane: &Lane) {
        let mut held = lock(&self.held);
        if held
            .get(&lane.source.number)
            .is_some_and(|held| held.fence == lane.fence)
        {
            held.remove(&lane.source.number);
        }
    }

    /// Applies the next operations of a task; how many.
    async fn apply_next(
        self: &Arc<Self>,
        session: &Session,
        lane: &Lane,
        task: &mut TaskRow,
        budget: Budget,
        now: Timestamp,
        error: Option<&ErrorObject>,
    ) -> Attempt<u64> {
        let source = lane.source.number;
        let Next {
            types,
            segment,
            chunk,
        } = self.next_operations(session, lane, task, budget).await?;
        let plan = Plan::of(&chunk.operations, &types);
        let (decision, stored) = match error {
            Some(_) => (None, Vec::new()),
            None => {
                let ground = lock_ground(session, source, &plan, &chunk.operations, &types).await?;
                let decision = plan.decide(ground.current, now, ground.stamp);
                see_absent(session, source, &plan, &ground.stored, &decision).await?;
                (Some(decision), ground.stored)
            }
        };
        let untried: Vec<Verdict> = error.into_iter().cloned().map(Verdict::Failure).collect();
        let verdicts = decision.as_ref().map_or(&untried, |decision| &decision.verdicts);
        let first = task.progress.cursor;
        let count = chunk.operations.len() as u64;
        let failures = verdicts
            .iter()
            .filter(|v| matches!(v, Verdict::Failure(_)))
            .count() as u64;
        let receipts = ReceiptsChunk::of(verdicts, now);
        task.progress.advance(count, failures, now);
        let id = task.progress.ksuid;
        let of = || params![bucket_of(source), int4(source), id.to_vec(), segment.number];
        let is_through = task.progress.cursor == segment.first + segment.batch.operations.len() as u64;
        let failed = async {
            let sql = "UPDATE granary.segment SET failed = true \
                       WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND number = $4";
            match failures {
                0 => Ok(0),
                _ => session.execute(sql, of()).await,
            }
        };
        let freed = async {
            // Bodies of operations that failed stay, to be looked at and tried again.
            let sql = "UPDATE granary.segment SET bodies = NULL \
                       WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND number = $4 AND NOT failed";
            match is_through {
                true => session.execute(sql, of()).await,
                false => Ok(0),
            }
        };
        let written = async {
            let Some(decision) = &decision else {
                return Ok(Effects::default());
            };
            let place = self.place(source, None, chunk.operations.len());
            write_effects(session, &place, &plan, stored, decision, &chunk).await
        };
        // Nothing of these is read again, so none waits for the one before.
        futures::try_join!(
            written,
            failed,
            freed,
            insert_receipts(session, source, &task.progress.ksuid, first, &receipts),
            update_task(session, source, task),
            self.renew(session, lane)
        )?;
        Ok(count)
    }

    pub(crate) fn place(&self, source: u32, purge: Option<u64>, cascade_max: usize) -> Place<'_> {
        Place {
            source,
            hash_key: &self.hash_key,
            purge,
            cascade_max,
        }
    }

    /// The operations of a task from its cursor on, within the budget and one segment.
    async fn next_operations(
        self: &Arc<Self>,
        session: &Session,
        lane: &Lane,
        task: &TaskRow,
        budget: Budget,
    ) -> Attempt<Next> {
        let source = lane.source.number;
        let open = self.held_by(lane, |held| held.open.clone()).flatten();
        let open = open.filter(|open| open.sequence == task.sequence);
        let types = match &open {
            Some(open) => Arc::clone(&open.types),
            None => read_types(session, source, task.sequence).await?,
        };
        let cursor = task.progress.cursor;
        let holds = |segment: &OpenSegment| {
            (segment.first..segment.first + segment.batch.operations.len() as u64).contains(&cursor)
        };
        let segment = match open {
            Some(open) if holds(&open.segment) => Arc::clone(&open.segment),
            before => {
                let ahead = before.as_ref().and_then(|open| lock(&open.ahead).take());
                let read = match ahead {
                    // It is not waited for: it may itself wait for a connection.
                    Some(ahead) if ahead.is_finished() => ahead.await.ok().flatten(),
                    _ => None,
                };
                let segment = match read.filter(holds) {
                    Some(segment) => segment,
                    None => {
                        let from = before.map_or(0, |open| open.segment.number);
                        read_segment(session, source, task, from).await?
                    }
                };
                let segment = Arc::new(segment);
                let is_last = segment.first + segment.batch.operations.len() as u64 == task.progress.total;
                let ahead = (!is_last).then(|| {
                    let (inner, ksuid) = (Arc::clone(self), task.progress.ksuid);
                    let number = segment.number + 1;
                    tokio::spawn(async move { inner.read_ahead(source, ksuid, number).await })
                });
                let open = OpenTask {
                    sequence: task.sequence,
                    types: Arc::clone(&types),
                    segment: Arc::clone(&segment),
                    ahead: Mutex::new(ahead),
                };
                self.held_by(lane, |held| held.open = Some(Arc::new(open)));
                segment
            }
        };
        let chunk = segment.batch.chunk((cursor - segment.first) as usize, budget);
        Ok(Next {
            types,
            segment,
            chunk,
        })
    }

    /// A segment of a task; `None` where there is none, or it could not be read.
    async fn read_ahead(&self, source: u32, ksuid: [u8; 20], number: i32) -> Option<OpenSegment> {
        // In a transaction, for what that says of plans.
        let read = self.transact(Rules::SOON, |session: Arc<Session>| async move {
            let sql = "SELECT number, first, count, operations, bodies FROM granary.segment \
                       WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND number = $4";
            let of = params![bucket_of(source), int4(source), ksuid.as_slice(), number];
            session.query_opt(sql, of).await
        });
        open_segment(&read.await.ok()??).ok()
    }

    /// Applies the next records of a purge; how many.
    async fn purge_next(
        &self,
        session: &Session,
        source: u32,
        task: &mut TaskRow,
        budget: Budget,
        now: Timestamp,
    ) -> Attempt<u64> {
        let Some(purge) = &task.progress.purge else {
            return Err(damaged("a purge that is none").into());
        };
        let types = read_types(session, source, task.sequence).await?;
        let of_type = types.first().ok_or_else(|| damaged("a purge without its type"))?;
        let next = self.next_purged(session, source, of_type, purge, budget).await?;
        let count = next.deletes.operations.len() as u64;
        let plan = Plan::of(&next.deletes.operations, &types);
        let ground = lock_ground(session, source, &plan, &next.deletes.operations, &types).await?;
        let decision = plan.decide(ground.current, now, ground.stamp);
        let place = self.place(source, Some(task.sequence), budget.operations);
        let Effects {
            relationships,
            marked,
        } = write_effects(session, &place, &plan, ground.stored, &decision, &next.deletes).await?;
        // Edges that are still under marks of this purge are removed, and counted, before it ends.
        task.progress
            .purged(count, relationships, next.after, next.is_last && !marked, now);
        Ok(count)
    }
}

/// The segment with the cursor of a task, looked for from this one on.
async fn read_segment(session: &Session, source: u32, task: &TaskRow, from: i32) -> Attempt<OpenSegment> {
    let sql = "SELECT number, first, count, operations, bodies FROM granary.segment \
               WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND number >= $4 AND first + count > $5 \
               ORDER BY number LIMIT 1";
    let of = params![
        bucket_of(source),
        int4(source),
        task.progress.ksuid.as_slice(),
        from,
        int8(task.progress.cursor)
    ];
    let row = session.query_opt(sql, of).await?;
    let row = row.ok_or_else(|| damaged("operations of a task are missing"))?;
    Ok(open_segment(&row)?)
}

fn open_segment(row: &Row) -> Result<OpenSegment> {
    let missing = || damaged("bodies of a task are missing");
    let operations = read_operations(row.get(3))?;
    if operations.len() as u64 != u64::from(uint4(row.get(2))) {
        return Err(damaged("operations of a task are missing"));
    }
    let bodies = row.get::<_, Option<&[u8]>>(4).ok_or_else(missing)?;
    Ok(OpenSegment {
        number: row.get(0),
        first: uint8(row.get(1)),
        batch: with_bodies(operations, bodies)?,
    })
}

/// The operations of a segment with their packed bodies.
pub(crate) fn with_bodies(operations: Vec<Operation>, bodies: &[u8]) -> Result<CheckedBatch> {
    let missing = || damaged("bodies of a task are missing");
    let raw = unpack(bodies, "bodies of a task")?;
    let (ends, bodies) = raw.split_at_checked(operations.len() * 4).ok_or_else(missing)?;
    let body_ends: Vec<usize> = ends
        .as_chunks::<4>()
        .0
        .iter()
        .map(|end| u32::from_le_bytes(*end) as usize)
        .collect();
    if !body_ends.is_sorted() || body_ends.last().is_some_and(|end| *end != bodies.len()) {
        return Err(missing());
    }
    Ok(CheckedBatch {
        operations,
        bodies: bodies.to_vec(),
        body_ends,
    })
}

/// The bodies of a segment: where each ends u32, then all of them.
pub(crate) fn pack_bodies(batch: &CheckedBatch) -> Vec<u8> {
    let mut raw = Vec::with_capacity(batch.body_ends.len() * 4 + batch.bodies.len());
    for end in &batch.body_ends {
        raw.extend((*end as u32).to_le_bytes());
    }
    raw.extend_from_slice(&batch.bodies);
    pack(&raw)
}

impl Inner {
    /// Notes that this process tries the next operation of a lane alone; how many have ended at it, `None` where the lane
    /// is another's.
    async fn try_alone(&self, lane: &Lane) -> Result<Option<i32>> {
        let source = lane.source.number;
        self.transact(Rules::DURABLE, |session: Arc<Session>| async move {
            // Whoever tried before and has neither got on nor said that it lives, has ended, for all that is known.
            let sql = "UPDATE granary.lane SET trier = $4, lease_until = now() + make_interval(secs => $5), \
                       deaths = CASE WHEN trier IS NULL OR trier = $4 THEN deaths ELSE deaths + 1 END \
                       WHERE bucket = $1 AND source = $2 AND fence = $3 AND owner = $4 RETURNING deaths";
            let of = params![
                bucket_of(source),
                int4(source),
                int8(lane.fence),
                self.owner.as_str(),
                self.lease.as_secs_f64()
            ];
            Ok(session.query_opt(sql, of).await?.map(|row| row.get(0)))
        })
        .await
    }
}

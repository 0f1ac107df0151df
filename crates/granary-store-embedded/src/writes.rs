//! Single writes and bundles. Those of a source queue up while one is on its way, and are then carried out one after
//! the other under one hold of its lock: each is decided on what the one before left and is a batch of its own, and all
//! share the sync that follows. Nobody's thread waits for that. The queue is as long as requests are in flight.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use granary_core::decide::Plan;
use granary_core::time::Timestamp;
use granary_store::{Result, StoreError, TaskProgress, Write, Written, only_used, written};
use tokio::sync::oneshot;

use crate::catalog::{SourceState, Writer};
use crate::effects::{CASCADE_MAX, Chunk, Ground};
use crate::keys::{TaskClass, TaskPlace};
use crate::rows::{self, InlineRow, LaneRow, SpecRow, Spool};
use crate::sync::Commit;
use crate::{EmbeddedStore, Inner, lock};

/// The writes of a source that are to be carried out.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    writes: Vec<Asked>,
    /// A thread will look again before it goes.
    is_served: bool,
}

/// A write with whom to tell what became of it.
struct Asked {
    write: Write,
    now: Timestamp,
    answer: oneshot::Sender<Outcome>,
}

/// What a write came to and the commit that must be durable before it is told, or how it panicked.
type Outcome = std::result::Result<Result<(Written, Commit)>, Box<dyn Any + Send>>;

/// What is to be told, and to whom.
pub(crate) struct Answer {
    to: oneshot::Sender<Outcome>,
    outcome: Outcome,
}

impl Answer {
    pub(crate) fn tell(self) {
        // Whoever asked may have gone.
        _ = self.to.send(self.outcome);
    }
}

impl Waiting {
    /// Adds a write; true where nobody serves the queue, and the caller has to see to it.
    fn add(&self, asked: Asked) -> bool {
        let mut queue = lock(&self.0);
        queue.writes.push(asked);
        !std::mem::replace(&mut queue.is_served, true)
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.0).writes)
    }

    /// True, and nobody serves it any more, where the queue is empty.
    fn leave(&self) -> bool {
        let mut queue = lock(&self.0);
        queue.is_served = !queue.writes.is_empty();
        !queue.is_served
    }
}

impl EmbeddedStore {
    /// Carries a write out, even where the caller has gone. A panic of it is one of the caller.
    pub(crate) async fn carried_out(&self, write: Write, now: Timestamp) -> Result<Written> {
        let state = self.inner.state_of(&write.source)?;
        let (answer, outcome) = oneshot::channel();
        if state.waiting.add(Asked { write, now, answer }) {
            let inner = Arc::clone(&self.inner);
            tokio::task::spawn_blocking(move || serve(inner, &state));
        }
        match outcome.await {
            Ok(Ok(Err(StoreError::Answered(answer)))) => {
                self.inner.sync.durable(self.inner.sync.last_commit()).await?;
                Err(StoreError::Answered(answer))
            }
            Ok(Ok(outcome)) => {
                let (written, commit) = outcome?;
                self.inner.sync.durable(commit).await?;
                Ok(written)
            }
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Unavailable("the server is stopping".into())),
        }
    }
}

/// Carries out the writes that wait, until there are none.
fn serve(inner: Arc<Inner>, state: &SourceState) {
    loop {
        let answers = inner.carry_out(state, &mut lock(&state.writer));
        if state.waiting.leave() {
            // Whoever has the last answer may close the store and open it again.
            drop(inner);
            answers.into_iter().for_each(Answer::tell);
            return;
        }
        answers.into_iter().for_each(Answer::tell);
    }
}

impl Inner {
    /// Carries out the writes that wait by now.
    pub(crate) fn carry_out(&self, state: &SourceState, writer: &mut Writer) -> Vec<Answer> {
        let asked = state.waiting.take();
        writer.was_beside_writes |= !asked.is_empty();
        let carry_out = |Asked { write, now, answer }| {
            let written = AssertUnwindSafe(|| self.write_now(state, writer, write, now));
            Answer {
                to: answer,
                outcome: catch_unwind(written),
            }
        };
        asked.into_iter().map(carry_out).collect()
    }

    /// Decides one write and commits it; what it answers may be shown once the commit is durable.
    fn write_now(
        &self,
        state: &SourceState,
        writer: &mut Writer,
        write: Write,
        now: Timestamp,
    ) -> Result<(Written, Commit)> {
        self.check_takes_writes(state, writer)?;
        let source = write.source.number;
        self.check_once(source, write.idempotent.as_ref())?;
        if state.definitions().revision != write.definitions_revision {
            return Err(StoreError::DefinitionsChanged);
        }
        let chunk = Chunk::Held(write.batch);
        let plan = Plan::of(chunk.operations(), &write.types).at_once(write.guard.as_ref());
        let plan = plan.with_versions(write.versions.as_deref());
        let edge_types = state.edge_types();
        let ground = Ground {
            source,
            edge_types: &edge_types,
            marks: &writer.marks,
            purge: None,
            cascade_max: CASCADE_MAX,
        };
        let (current, read) = self.current(&ground, &plan)?;
        let decision = plan.decide(current, now, writer.lane.stamp_next);
        if decision.failure_count() > 0 {
            // Refused by what may not be durable yet: nothing is shown before it is.
            return Ok((Written::Refused(decision.verdicts), self.sync.last_commit()));
        }
        let place = TaskPlace {
            source,
            class: TaskClass::AtOnce,
            sequence: writer.lane.at_once_next,
        };
        let total = chunk.operations().len() as u64;
        let mut task = TaskProgress::new(write.task_id, write.target_type, total, now);
        task.advance(total, 0, now);
        let (types, operations) = only_used(&write.types, chunk.operations());
        let spec = SpecRow {
            types_used: (0..types.len() as u32).collect(),
            types,
            spool: Spool::Inline,
            bytes: 0,
        };
        // The bodies are in `bodies`; what receipts need is here.
        let operations = InlineRow {
            body_ends: vec![0; operations.len()],
            operations,
            bodies: Vec::new(),
        };

        let mut batch = self.db.batch();
        let effects = self.write_effects(&mut batch, &ground, &read, &decision, &chunk)?;
        self.write_receipts(&mut batch, &place, 0, &decision.verdicts, now);
        self.write_task(&mut batch, &place, &task, &spec, Some(&operations));
        let once = write.idempotent.as_ref();
        self.keep_answer(&mut batch, source, once, write.task_id, now);
        let row = LaneRow {
            stamp_next: decision.stamp_next,
            at_once_next: place.sequence + 1,
            ..writer.lane.clone()
        };
        batch.insert(&self.keyspaces.lanes, source.to_be_bytes(), rows::encode(&row));
        let records = match &chunk {
            Chunk::Placed(..) => Vec::new(),
            Chunk::Held(held) => written(
                &plan,
                &decision,
                held,
                |at| self.identifiers(&self.db.snapshot(), read.keys.get(at), true),
                |at, id| {
                    let key = read.keys.get(at);
                    let record = |row| self.with_body(&self.db.snapshot(), key, id.clone(), row);
                    read.stored[at].as_ref().map(record).transpose()
                },
            )?,
        };
        effects.append_to(&mut batch, &self.keyspaces)?;
        let counts = writer.counts.after(&effects.counts, now);
        self.write_counts(&mut batch, source, &counts);
        self.commit(batch)?;
        writer.lane = row;
        writer.counts.take(counts);
        let marked = !effects.marks.is_empty();
        writer.mark(effects.marks);
        let commit = self.sync.committed();
        if marked {
            lock(&self.lanes).wake(source);
        }
        let written = Written::Persisted {
            records,
            verdicts: decision.verdicts,
        };
        Ok((written, commit))
    }
}

//! What is made of the next operations of a task before anything stored is looked at: their plan, and the keys of its
//! records in order. Nothing of that changes with what is stored. So that of a large chunk is made while the one before
//! is applied, on a thread of its own.

use granary_core::decide::Plan;
use granary_store::{Budget, CheckedBatch, Result};
use self_cell::self_cell;

use crate::Inner;
use crate::effects::Chunk;
use crate::keys::{RecordKeys, TaskPlace};
use crate::rows::{InlineRow, SpecRow, Spool};
use crate::segment::OPERATIONS_PER_BLOCK;

/// Operations with the types that they name.
struct Operations {
    chunk: Chunk,
    spec: SpecRow,
}

self_cell!(
    struct Planned {
        owner: Operations,
        #[covariant]
        dependent: Plan,
    }
);

/// A chunk that is ready to be decided.
pub(crate) struct Prepared {
    planned: Planned,
    keys: RecordKeys,
}

impl Prepared {
    pub(crate) fn new(source: u32, chunk: Chunk, spec: SpecRow) -> Self {
        let planned = Planned::new(Operations { chunk, spec }, |operations| {
            Plan::of(operations.chunk.operations(), &operations.spec.types)
        });
        let keys = RecordKeys::of(source, planned.borrow_dependent().records());
        Self { planned, keys }
    }

    pub(crate) fn chunk(&self) -> &Chunk {
        &self.planned.borrow_owner().chunk
    }

    pub(crate) fn spec(&self) -> &SpecRow {
        &self.planned.borrow_owner().spec
    }

    pub(crate) fn plan(&self) -> &Plan<'_> {
        self.planned.borrow_dependent()
    }

    pub(crate) fn keys(&self) -> &RecordKeys {
        &self.keys
    }

    /// How many operations it has.
    pub(crate) fn count(&self) -> u64 {
        self.chunk().operations().len() as u64
    }
}

/// A chunk that was made ready before its turn.
pub(crate) struct Ahead {
    pub(crate) place: TaskPlace,
    pub(crate) cursor: u64,
    pub(crate) budget: Budget,
    pub(crate) prepared: Prepared,
}

impl Ahead {
    /// The chunk, if it is the one whose turn it is.
    pub(crate) fn of(self, place: &TaskPlace, cursor: u64, budget: Budget) -> Option<Prepared> {
        let is_it = self.place == *place && self.cursor == cursor && self.budget == budget;
        is_it.then_some(self.prepared)
    }
}

impl Inner {
    /// Makes a chunk of a task ready, from this cursor on, within the budget.
    pub(crate) fn prepare(&self, place: &TaskPlace, cursor: u64, budget: Budget) -> Result<Prepared> {
        let spec = self.spec(&self.db.snapshot(), place)?;
        let chunk = self.next_operations(place, &spec, cursor, budget)?;
        Ok(Prepared::new(place.source, chunk, spec))
    }

    /// The operations of a task from its cursor on, within the budget.
    fn next_operations(
        &self,
        place: &TaskPlace,
        spec: &SpecRow,
        cursor: u64,
        budget: Budget,
    ) -> Result<Chunk> {
        let most = budget.operations.max(1) as u64;
        let segments = match &spec.spool {
            Spool::Inline => return self.next_inline(place, cursor as usize, budget),
            Spool::Segments(segments) => segments,
        };
        let (mut operations, mut places) = (Vec::new(), Vec::new());
        let at = segments.partition_point(|(_, first)| *first <= cursor) - 1;
        let (number, first) = segments[at];
        let segment = self.segment(number)?;
        let mut next = cursor - first;
        let count = segment.count()?;
        let mut meta_bytes = 0;
        // Bodies stay where they are; meta is read, and may be large.
        while next < count && (operations.len() as u64) < most && meta_bytes < budget.bytes {
            let rows = segment.operations(next / OPERATIONS_PER_BLOCK)?;
            let room = (most - operations.len() as u64) as usize;
            for row in rows
                .into_iter()
                .skip((next % OPERATIONS_PER_BLOCK) as usize)
                .take(room)
            {
                let mut operation = row.operation;
                operation.meta = self.meta_at(row.meta)?;
                meta_bytes += operation.meta.as_ref().map_or(0, |meta| meta.bytes() as u64);
                operations.push(operation);
                places.push(row.place);
                next += 1;
                if meta_bytes >= budget.bytes {
                    break;
                }
            }
        }
        Ok(Chunk::Placed(operations, places))
    }

    fn next_inline(&self, place: &TaskPlace, cursor: usize, budget: Budget) -> Result<Chunk> {
        let InlineRow {
            operations,
            body_ends,
            bodies,
        } = self.inline(&self.db.snapshot(), place)?;
        let whole = CheckedBatch {
            operations,
            bodies,
            body_ends,
        };
        let fits = whole.operations.len() <= budget.operations && whole.bodies.len() as u64 <= budget.bytes;
        Ok(Chunk::Held(match cursor == 0 && fits {
            true => whole,
            false => whole.chunk(cursor, budget),
        }))
    }
}

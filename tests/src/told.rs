//! What readers are told while requests are applied, held against all that has ever been.
//!
//! The operations of a source's bulk requests happen one after the other, in the order of their acceptance. So each answer
//! says how many of them have happened at least: those up to the one that made a record what it is, up to the last that
//! has a receipt, or as many as a task counts. No later answer may be of a moment before that, whatever it is of, and whatever
//! has died in between: what was visible is durable.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use granary_api::page::PageQuery;
use granary_api::relationships::RelationshipsQuery;
use granary_api::tasks::{ReceiptsQuery, Task};
use granary_client::{Error, SourceClient};
use granary_core::receipt::{Receipt, ReceiptStatus};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::agree::{Found, code};
use crate::model::{Code, Model, Name, Operation, State, data};
use crate::requests::{ID, NEAR};

/// How many records, or receipts, a reader asks for at once.
const PAGE: u64 = 100;

/// How many operations of a source have happened, of all tasks, at least.
pub(crate) type Position = u64;

/// All that the records of bulk requests have been, and what came of each operation.
#[derive(Default)]
pub(crate) struct Past {
    model: Model,
    /// From which position on a record was what; at 0 none was there.
    states: BTreeMap<Name, Vec<(Position, State)>>,
    tasks: Vec<Done>,
}

/// A task, and what comes of its operations.
struct Done {
    id: Option<String>,
    first: Position,
    codes: Vec<Code>,
}

impl Past {
    /// How many tasks it knows.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Adds the operations of the next task; its id may be said later.
    pub(crate) fn goes_on(&mut self, id: Option<String>, operations: &[Operation]) {
        let first = self.end();
        let mut codes = Vec::with_capacity(operations.len());
        for (position, operation) in (first + 1..).zip(operations) {
            let states = &mut self.states;
            codes.push(self.model.apply_telling(operation, |name, state| {
                states.entry(name.clone()).or_default().push((position, state));
            }));
        }
        self.tasks.push(Done { id, first, codes });
    }

    /// True where one of its tasks has this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.task(id).is_ok()
    }

    /// Says the id of the last task.
    pub(crate) fn is_called(&mut self, id: &str) {
        if let Some(last) = self.tasks.last_mut() {
            last.id = Some(id.to_owned());
        }
    }

    /// The last tasks, each with how many operations it has.
    pub(crate) fn latest(&self, count: usize) -> Vec<(String, u64)> {
        let last = self.tasks.iter().rev().take(count);
        last.filter_map(|task| Some((task.id.clone()?, task.codes.len() as u64)))
            .collect()
    }

    /// How many operations are to happen.
    pub(crate) fn end(&self) -> Position {
        self.tasks
            .last()
            .map_or(0, |last| last.first + last.codes.len() as u64)
    }

    fn task(&self, id: &str) -> Result<&Done> {
        let found = self
            .tasks
            .iter()
            .rev()
            .find(|task| task.id.as_deref() == Some(id));
        found.with_context(|| format!("task {id} is not known"))
    }

    /// The least position at which all is as this answer says. An error where there is none that is not before `seen`.
    pub(crate) fn hold(&self, seen: Position, answer: &Answer) -> Result<Position> {
        match answer {
            Answer::Records(records) => {
                // All of them are of one moment: what one says, the others must hold at.
                let (mut seen, mut before) = (seen, None);
                while before != Some(seen) {
                    before = Some(seen);
                    seen = records.iter().try_fold(seen, |least, (name, found)| {
                        Ok::<_, anyhow::Error>(least.max(self.record(seen, name, found.as_ref())?))
                    })?;
                }
                Ok(seen)
            }
            Answer::Receipts(id, receipts) => self.receipts(seen, id, receipts),
            Answer::Task(task) => self.counts(seen, task),
        }
    }

    /// Fails where not all of these records are as they were at this position or later; what is not among them is not there.
    pub(crate) fn hold_all(&self, seen: Position, found: &Found) -> Result<()> {
        let names: BTreeSet<&Name> = self.states.keys().chain(found.keys()).collect();
        for name in names {
            self.record(seen, name, found.get(name))?;
        }
        Ok(())
    }

    fn record(&self, seen: Position, name: &Name, found: Option<&(u64, String)>) -> Result<Position> {
        if !name.0.starts_with(ID) {
            return Ok(seen);
        }
        let states: &[_] = self.states.get(name).map_or(&[], Vec::as_slice);
        // What it was at `seen`, and all that it has been since.
        let after = states.partition_point(|(position, _)| *position <= seen);
        let before = match after.checked_sub(1) {
            None => (0, None),
            Some(last) => states[last],
        };
        let is_found = |state: &State| match (state, found) {
            (None, None) => true,
            (Some((version, n)), Some((found, text))) => version == found && data(name, *n) == *text,
            _ => false,
        };
        let mut since = std::iter::once(&before).chain(&states[after..]);
        let Some((position, _)) = since.find(|(_, state)| is_found(state)) else {
            let said: Vec<_> = std::iter::once(&before).chain(&states[after..]).take(4).collect();
            anyhow::bail!(
                "{name:?} is {found:?}; after {seen} operations, which had been seen, it was and became {said:?}"
            );
        };
        Ok(seen.max(*position))
    }

    fn receipts(&self, seen: Position, id: &str, receipts: &[Receipt]) -> Result<Position> {
        let task = self.task(id)?;
        let mut least = seen;
        for receipt in receipts {
            let position = task.first + receipt.index + 1;
            if receipt.status == ReceiptStatus::Pending {
                ensure!(
                    position > seen,
                    "{seen} operations had been seen, and {receipt:?} of task {id} is the one at {position}"
                );
                continue;
            }
            let expected = task.codes.get(receipt.index as usize);
            ensure!(
                expected == Some(&code(receipt)),
                "task {id}: expected {expected:?}, found {receipt:?}"
            );
            least = least.max(position);
        }
        Ok(least)
    }

    fn counts(&self, seen: Position, task: &Task) -> Result<Position> {
        let done = self.task(&task.task_id.to_string())?;
        let counts = &task.counts;
        let decided = done.first + counts.success + counts.failure;
        let all = done.first + done.codes.len() as u64;
        ensure!(
            counts.total == done.codes.len() as u64 && decided >= seen.min(all),
            "{seen} operations had been seen, and task {}, which begins after {}, says {counts:?}",
            task.task_id,
            done.first
        );
        let failed = done.codes[..(decided - done.first) as usize]
            .iter()
            .filter(|code| **code >= 400);
        let failed = failed.count() as u64;
        ensure!(
            failed == counts.failure,
            "{failed} of the first operations fail, and task {} says {counts:?}",
            task.task_id
        );
        // One that has decided nothing says nothing.
        Ok(if decided > done.first {
            seen.max(decided)
        } else {
            seen
        })
    }
}

/// What a reader was told.
pub(crate) enum Answer {
    /// Records, each with its version and data, or that it is not there; of one moment.
    Records(Vec<(Name, Option<(u64, String)>)>),
    /// Receipts of a task.
    Receipts(String, Vec<Receipt>),
    /// How far a task is.
    Task(Box<Task>),
}

/// Reads one thing after the other.
pub(crate) struct Reader {
    rng: StdRng,
    resources: Option<String>,
    edges: Option<String>,
    /// What it has seen.
    pub(crate) seen: Position,
    /// Its answers.
    pub(crate) answers: u64,
    /// Of these, tasks with some of their operations decided and some not.
    pub(crate) in_the_middle: u64,
}

impl Reader {
    pub(crate) fn new(rng: StdRng, seen: Position) -> Self {
        Self {
            rng,
            resources: None,
            edges: None,
            seen,
            answers: 0,
            in_the_middle: 0,
        }
    }

    /// Reads a record, a page of a list, receipts or the counts of a task, by chance: of these tasks, and of records with
    /// numbers below `ids`, those that have edges below `ends`. Fails where the answer does not hold.
    pub(crate) async fn read(
        &mut self,
        source: &SourceClient,
        past: &Past,
        tasks: &[(String, u64)],
        ids: u32,
        ends: u32,
    ) -> Result<()> {
        let answer = self.ask(source, tasks, ids, ends).await?;
        self.take(past, &answer)
    }

    /// The same, without a look at the answer.
    pub(crate) async fn ask(
        &mut self,
        source: &SourceClient,
        tasks: &[(String, u64)],
        ids: u32,
        ends: u32,
    ) -> Result<Answer> {
        let rng = &mut self.rng;
        let task = (!tasks.is_empty()).then(|| &tasks[rng.random_range(0..tasks.len())]);
        match (rng.random_range(0..8), task) {
            (0..2, _) => {
                let id = format!("{ID}{}", rng.random_range(0..ids));
                let found = source.get_resource("place", &id).await;
                let found = found.map(|it| (it.meta.version, it.data.get().to_owned()));
                Ok(Answer::Records(vec![((id, None), there(found)?)]))
            }
            (2, _) => {
                let mut end = || format!("{ID}{}", rng.random_range(0..ends));
                let (from, to) = (end(), end());
                let found = source.get_relationship(NEAR, &format!("{from}.{to}")).await;
                let data = |it: &granary_api::relationships::Relationship| {
                    it.data.as_ref().map(|data| data.get().to_owned())
                };
                let found = found.map(|it| (it.meta.version, data(&it).unwrap_or_default()));
                Ok(Answer::Records(vec![((from, Some(to)), there(found)?)]))
            }
            (3, _) => {
                let query = PageQuery {
                    limit: Some(PAGE),
                    cursor: self.resources.take(),
                };
                let page = source.resources("place", &query).await?;
                self.resources = page.meta.cursor;
                let records = page.data.into_iter().map(|it| {
                    let found = (it.meta.version, it.data.get().to_owned());
                    ((it.id, None), Some(found))
                });
                Ok(Answer::Records(records.collect()))
            }
            (4, _) => {
                let query = RelationshipsQuery {
                    limit: Some(PAGE),
                    cursor: self.edges.take(),
                    ..RelationshipsQuery::default()
                };
                let page = source.relationships(NEAR, &query).await?;
                self.edges = page.meta.cursor;
                let records = page.data.into_iter().map(|it| {
                    let data = it.data.map(|data| data.get().to_owned()).unwrap_or_default();
                    ((it.from.id, Some(it.to.id)), Some((it.meta.version, data)))
                });
                Ok(Answer::Records(records.collect()))
            }
            (5, Some((task, length))) => {
                let query = ReceiptsQuery {
                    from: Some(rng.random_range(0..*length)),
                    limit: Some(PAGE),
                    ..ReceiptsQuery::default()
                };
                let page = source.receipts(task, &query).await?;
                Ok(Answer::Receipts(task.clone(), page.data))
            }
            (_, Some((task, _))) => Ok(Answer::Task(Box::new(source.task(task).await?))),
            (_, None) => Ok(Answer::Records(Vec::new())),
        }
    }

    /// Takes an answer in.
    pub(crate) fn take(&mut self, past: &Past, answer: &Answer) -> Result<()> {
        self.seen = past.hold(self.seen, answer)?;
        self.answers += 1;
        if let Answer::Task(task) = answer {
            let is_in_the_middle = task.counts.pending > 0 && task.counts.pending < task.counts.total;
            self.in_the_middle += u64::from(is_in_the_middle);
        }
        Ok(())
    }
}

/// A record, or that it is not there.
fn there<T>(found: Result<T, Error>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.refusal().is_some_and(|refusal| refusal.code == 404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

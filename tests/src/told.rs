//! What readers are told while requests are applied, held against all that has ever been.
//!
//! The operations of a source's bulk requests happen one after the other, in the order of their acceptance. So each answer
//! says how many of them have happened at least: those up to the one that made a record what it is, up to the last that
//! has a receipt, or as many as a task counts. No later answer may be of a moment before that, whatever it is of, and whatever
//! has died in between: what was visible is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

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

    /// So many tasks, each with how many operations it has: the last that had ended when so much was seen, and those that come
    /// then.
    pub(crate) fn at_work(&self, seen: Position, count: usize) -> Vec<(String, u64)> {
        let ended = |task: &Done| task.first + task.codes.len() as u64 <= seen;
        let first = self.tasks.partition_point(ended).saturating_sub(1);
        let tasks = self.tasks[first..].iter().take(count);
        tasks
            .filter_map(|task| Some((task.id.clone()?, task.codes.len() as u64)))
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
            Answer::Record(name, found) => self.record(seen, name, found.as_ref()),
            Answer::Page(page) => self.page(seen, page),
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

    /// All of a page is of one moment: what one record says, the others must hold at, and those that it leaves out.
    fn page(&self, seen: Position, page: &Page) -> Result<Position> {
        let ends = (
            page.after.as_ref().map_or(Unbounded, Excluded),
            page.until.as_ref().map_or(Unbounded, Included),
        );
        let known = self.states.range::<Name, _>(ends).map(|(name, _)| name);
        let known = known.filter(|name| name.1.is_some() == page.of_edges);
        let names: BTreeSet<&Name> = known.chain(page.records.keys()).collect();
        let (mut seen, mut before) = (seen, None);
        while before != Some(seen) {
            before = Some(seen);
            seen = names.iter().try_fold(seen, |least, name| {
                let found = self.record(seen, name, page.records.get(*name));
                Ok::<_, anyhow::Error>(least.max(found?))
            })?;
        }
        Ok(seen)
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
    /// A record, with its version and data, or that it is not there.
    Record(Name, Option<(u64, String)>),
    /// A page of a list.
    Page(Page),
    /// Receipts of a task.
    Receipts(String, Vec<Receipt>),
    /// How far a task is.
    Task(Box<Task>),
}

/// A page of a list, whose records come in the order of their names, each with its version and data.
pub(crate) struct Page {
    of_edges: bool,
    /// The name that the page before came to.
    after: Option<Name>,
    /// The name that this one comes to; `None` where it is the last.
    until: Option<Name>,
    records: Found,
}

/// A page to go on from: its cursor and its last name.
type Last = (String, Name);

impl Page {
    /// What this page is, and where there is more, how to go on.
    fn read(
        of_edges: bool,
        after: Option<Name>,
        found: Vec<(Name, (u64, String))>,
        cursor: Option<String>,
    ) -> Result<(Self, Option<Last>)> {
        let names: Vec<&Name> = after.iter().chain(found.iter().map(|(name, _)| name)).collect();
        ensure!(
            names.is_sorted_by(|one, next| one < next),
            "a page is out of order: {names:?}"
        );
        let last = names.last().map(|last| (*last).clone());
        let last = cursor.zip(last);
        let page = Self {
            of_edges,
            after,
            until: last.as_ref().map(|(_, name)| name.clone()),
            records: found.into_iter().collect(),
        };
        Ok((page, last))
    }
}

/// Reads one thing after the other.
pub(crate) struct Reader {
    rng: StdRng,
    resources: Option<Last>,
    edges: Option<Last>,
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
            (2, _) => {
                let mut end = || format!("{ID}{}", rng.random_range(0..ends));
                let (from, to) = (end(), end());
                let found = source.get_relationship(NEAR, &format!("{from}.{to}")).await;
                let data = |it: &granary_api::relationships::Relationship| {
                    it.data.as_ref().map(|data| data.get().to_owned())
                };
                let found = found.map(|it| (it.meta.version, data(&it).unwrap_or_default()));
                Ok(Answer::Record((from, Some(to)), there(found)?))
            }
            (3, _) => {
                let (cursor, after) = self.resources.take().unzip();
                let limit = Some(PAGE);
                let page = source.resources("place", &PageQuery { limit, cursor }).await?;
                let records = page.data.into_iter().map(|it| {
                    let found = (it.meta.version, it.data.get().to_owned());
                    ((it.id, None), found)
                });
                let (page, last) = Page::read(false, after, records.collect(), page.meta.cursor)?;
                self.resources = last;
                Ok(Answer::Page(page))
            }
            (4, _) => {
                let (cursor, after) = self.edges.take().unzip();
                let query = RelationshipsQuery {
                    limit: Some(PAGE),
                    cursor,
                    ..RelationshipsQuery::default()
                };
                let page = source.relationships(NEAR, &query).await?;
                let records = page.data.into_iter().map(|it| {
                    let data = it.data.map(|data| data.get().to_owned()).unwrap_or_default();
                    ((it.from.id, Some(it.to.id)), (it.meta.version, data))
                });
                let (page, last) = Page::read(true, after, records.collect(), page.meta.cursor)?;
                self.edges = last;
                Ok(Answer::Page(page))
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
            (6.., Some((task, _))) => Ok(Answer::Task(Box::new(source.task(task).await?))),
            _ => {
                let id = format!("{ID}{}", rng.random_range(0..ids));
                let found = source.get_resource("place", &id).await;
                let found = found.map(|it| (it.meta.version, it.data.get().to_owned()));
                Ok(Answer::Record((id, None), there(found)?))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Name {
        (format!("{ID}{number}"), None)
    }

    /// A page from the first to `until`, or to the end, of records in their first version.
    fn page(numbers: &[usize], until: Option<usize>) -> Answer {
        let record = |number: &usize| (name(*number), (1, data(&name(*number), 7)));
        Answer::Page(Page {
            of_edges: false,
            after: None,
            until: until.map(name),
            records: numbers.iter().map(record).collect(),
        })
    }

    #[test]
    fn a_page_that_leaves_out_a_record_is_noticed() {
        let mut past = Past::default();
        let creates: Vec<_> = (1..4).map(|number| Operation::Create(name(number), 7)).collect();
        past.goes_on(None, &creates);
        assert_eq!(past.hold(0, &page(&[], None)).unwrap(), 0);
        assert_eq!(past.hold(0, &page(&[1, 2], Some(2))).unwrap(), 2);
        assert_eq!(past.hold(3, &page(&[1, 2, 3], None)).unwrap(), 3);
        // The third has not happened, or is on the next page.
        past.hold(2, &page(&[1, 2], None)).unwrap();
        past.hold(3, &page(&[1, 2], Some(2))).unwrap();
        past.hold(3, &page(&[1, 2], None)).map(|_| ()).unwrap_err();
        past.hold(0, &page(&[1, 3], None)).map(|_| ()).unwrap_err();
    }
}

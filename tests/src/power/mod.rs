//! The cuts of power: what a server did to its disk is recorded, and the folder is built again as it may be found when the
//! power was cut at some point of it.
//!
//! A server works under strace while requests and single writes are sent to it. From the record (`record.rs`) a model of a
//! disk (`disk.rs`) gives the folder at any point: with what was synced and nothing else, or with some of the rest. Two
//! servers are started on it, one that applies nothing and one that goes on, and must know all that had been answered by then;
//! at the end every receipt and every record must be as the model of the crash run says.
//!
//! That the record can leave out a sync shows that the check would notice: [`Recording::without`].

mod disk;
mod load;
pub(crate) mod points;
mod record;
mod stage;
mod trace;
mod verify;
mod watch;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream};
use granary_client::Client;
use tempfile::TempDir;

use crate::server::PATIENCE;
use disk::{Disk, Event, Pending};
use load::Load;
pub use points::Part;
use points::{DATA, Phase, Point};
use record::Recorded;
use stage::{Stage, names};

/// What the server does while it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scene {
    /// Bulk requests of two sources that are applied as runs of heads and of edges
    Runs,
    /// Bodies that nothing points to are removed
    Collection,
    /// After a cut of power inside a run it starts, and goes on
    Restart,
    /// It starts after another died, at rest, that had not synced what was applied last
    DeathAtRest,
    /// It starts after another died, in a run, that had not synced its batch
    DeathInRun,
}

/// So often a server dies until one does in the moment that is asked for.
const DEATHS_MAX: usize = 20;
/// How much longer the sync takes in which it dies, than the disk needs.
const LAST_SYNC_DELAY: Duration = Duration::from_millis(200);
/// What a server logs that has put a run in again.
const PUT_IN_AGAIN: &str = "put in again what a task had applied";

/// What a server did to its disk, and what it had answered.
pub struct Recording {
    events: Vec<Recorded>,
    parts: Vec<(Part, Phase)>,
    /// So many events came before the server.
    first: usize,
    load: Load,
    /// Nothing was answered from this moment on.
    cut_before: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Changes, syncs, renames and removals in the record.
    pub events: usize,
    /// Syncs among these.
    pub syncs: usize,
    /// Places in the work of the server where the power was cut, each at least once.
    pub places: usize,
    /// Folders that were built, opened and found right.
    pub folders: usize,
    /// Of these, the ones just after an answer that showed more than those before it.
    pub after_answers: usize,
    /// Of the folders, the ones in the midst of a run.
    pub inside_runs: usize,
    /// Of the folders, the ones in the midst of a round of collection.
    pub inside_rounds: usize,
}

/// Folders that are looked at at the same time.
const AT_ONCE: usize = 2;

impl Recording {
    /// Records a server.
    pub async fn of(scene: Scene, seed: u64) -> Result<Self> {
        let load = Load::new(seed);
        let segments = |root: &Path| root.join(DATA).join("segments");
        let mut stage = Stage::new(|_| Ok(()))?;
        match scene {
            Scene::Runs => stage.record(async |client, _| load.runs(client).await).await?,
            Scene::Collection => {
                let work = async |client: &Client, root: &Path| {
                    load.collection(client, collected(&segments(root))).await
                };
                stage.record(work).await?;
            }
            Scene::Restart => return Box::pin(Self::of(Scene::Runs, seed)).await?.restarted(seed).await,
            Scene::DeathAtRest | Scene::DeathInRun => return Self::after_death(scene, seed).await,
        }
        Ok(Self::whole(stage.into_events(), load, u64::MAX))
    }

    fn whole(events: Vec<Recorded>, load: Load, cut_before: u64) -> Self {
        Self {
            parts: points::parts(&events),
            first: points::found(&events),
            events,
            load,
            cut_before,
        }
    }

    /// Records a server that dies with commits that are not synced, and the next, which finds them in the memory of the system.
    async fn after_death(scene: Scene, seed: u64) -> Result<Self> {
        let mut missed = String::new();
        for _ in 0..DEATHS_MAX {
            let load = Load::new(seed);
            let mut stage = Stage::new(|_| Ok(()))?;
            let mut server = stage.start(LAST_SYNC_DELAY).await?;
            let process = server.pid().context("the server has ended")?;
            let client = server.client()?;
            match scene {
                Scene::DeathInRun => load.until_run(&client, &mut stage.watch()?).await?,
                _ => load.until_rest(&client, &mut stage.watch()?).await?,
            }
            server.kill().await?;
            let died = load::now();
            stage.ended(process).await?;
            if !points::is_syncing(stage.events(), &points::parts(stage.events())) {
                "it synced nothing when it died".clone_into(&mut missed);
                continue;
            }
            // Nobody knows how much was done of a call that a death cut off.
            if let Err(differs) = stage.is_as_recorded() {
                missed = format!("{differs:#}");
                continue;
            }
            let first = stage.events().len();
            let work = async |client: &Client, _: &Path| {
                load.read_again(client).await?;
                verify::shown_holds(client, &load, died).await?;
                verify::load_holds(client, &load, died).await
            };
            stage.record(work).await?;
            if scene == Scene::DeathInRun && !stage.log()?.contains(PUT_IN_AGAIN) {
                "the next did not put a run in again".clone_into(&mut missed);
                continue;
            }
            return Ok(Self {
                first,
                ..Self::whole(stage.into_events(), load, u64::MAX)
            });
        }
        bail!("{DEATHS_MAX} servers died, and none in that moment; the last: {missed}")
    }

    /// Cuts the power in the midst of a run, before the database has it, and records the start that follows, until all
    /// tasks have ended.
    async fn restarted(self, seed: u64) -> Result<Self> {
        let events = points::inside_run(&self.events, &self.parts, seed).context("there is no run")?;
        let moment = self.events[events].at;
        let before = |root: &Path| {
            let mut disk = Disk::new();
            self.events[..events]
                .iter()
                .for_each(|recorded| disk.apply(&recorded.event));
            Ok(disk.write_to(root, Pending::Lost)?)
        };
        let work = async |client: &Client, _: &Path| {
            verify::shown_holds(client, &self.load, moment).await?;
            verify::load_holds(client, &self.load, moment).await
        };
        let mut stage = Stage::new(before)?;
        stage.record(work).await?;
        Ok(Self::whole(stage.into_events(), self.load, moment))
    }

    /// Cuts the power at so many points, and just after each answer that showed more than those before it, and checks
    /// each folder.
    pub async fn cut(&self, count: usize, seed: u64) -> Result<Summary> {
        let points = self.points(count, seed);
        let mut summary = Summary {
            events: self.events.len(),
            places: points::groups(&self.events, &self.parts, self.first).len(),
            after_answers: self.after_answers().len(),
            ..Summary::default()
        };
        let syncs = self
            .events
            .iter()
            .filter(|recorded| matches!(recorded.event, Event::SyncEnded { .. }));
        summary.syncs = syncs.count();
        let mut looks = self.looks(points, BTreeSet::new());
        while let Some((point, outcome)) = looks.next().await {
            outcome.with_context(|| self.describe(point))?;
            summary.folders += 1;
            let phase = self.phase(point);
            summary.inside_runs += usize::from(phase == Some(Phase::Run));
            summary.inside_rounds += usize::from(phase == Some(Phase::Round));
        }
        Ok(summary)
    }

    /// So many points, and those after answers.
    fn points(&self, count: usize, seed: u64) -> Vec<Point> {
        let groups = points::groups(&self.events, &self.parts, self.first);
        let mut points = points::choose(&groups, self.first..=self.events.len(), count, seed);
        points.extend(self.after_answers());
        points
    }

    /// A server that shows what is not durable yet is found at these.
    fn after_answers(&self) -> Vec<Point> {
        points::after(&self.events, &self.load.shown_more(), self.first)
    }

    /// As [`Self::cut`], but for all points: how many there were, and what did not hold at each that failed.
    pub async fn failures(&self, count: usize, seed: u64) -> Result<(usize, Vec<String>)> {
        let points = self.points(count, seed);
        let all = points.len();
        let failed = self
            .looks(points, BTreeSet::new())
            .filter_map(|(point, outcome)| async move {
                Some(format!("{}: {:#}", self.describe(point), outcome.err()?))
            });
        Ok((all, failed.collect().await))
    }

    /// Cuts the power where syncs of this part are left out of the record, at so many points at the most, and has only
    /// what was synced: what does not hold then. An error where all points hold.
    ///
    /// Those of the first start are left out only where there are no others.
    pub async fn without(&self, part: Part, count: usize, seed: u64) -> Result<String> {
        let syncs = self.events.iter().zip(&self.parts).enumerate().skip(self.first);
        let syncs = syncs
            .filter(|(_, (recorded, of))| of.0 == part && matches!(recorded.event, Event::SyncEnded { .. }));
        let mut left_out: BTreeSet<usize> = syncs.map(|(number, _)| number).collect();
        ensure!(!left_out.is_empty(), "there is no sync of {part}");
        if left_out
            .iter()
            .any(|number| self.parts[*number].1 != Phase::Start)
        {
            left_out.retain(|number| self.parts[*number].1 != Phase::Start);
        }
        // Where it is needed.
        let phase = match part {
            Part::Redo | Part::RedoFolder => Some(Phase::Run),
            Part::MovedSegment => Some(Phase::Round),
            _ => None,
        };
        let mut groups = points::groups(&self.events, &self.parts, self.first);
        groups.retain(|_, points| {
            points.retain(|events| {
                let last = events.checked_sub(1).map(|last| self.parts[last].1);
                phase.is_none() || last == phase
            });
            !points.is_empty()
        });
        let mut points = points::choose(&groups, self.first..=self.events.len(), count, seed);
        points.iter_mut().for_each(|point| point.pending = Pending::Lost);
        self.fails(points, left_out)
            .await
            .with_context(|| format!("without the syncs of {part}"))
    }

    /// Leaves out the syncs of this part that the server makes before its first answer, and cuts the power at each place before
    /// the next one: what does not hold then. An error where all holds.
    pub async fn without_those_of_start(&self, part: Part) -> Result<String> {
        let after_answers = self.after_answers();
        let answer = after_answers.first().context("nothing was answered")?.events;
        let is_sync = |number: &usize| {
            self.parts[*number].0 == part && matches!(self.events[*number].event, Event::SyncEnded { .. })
        };
        let left_out: BTreeSet<usize> = (self.first..answer).filter(is_sync).collect();
        let next = (answer..self.events.len()).find(is_sync);
        let groups = points::groups(&self.events, &self.parts, self.first);
        let places: BTreeSet<usize> = groups.into_values().flatten().collect();
        let places = places.into_iter().map(|events| Point {
            events,
            pending: Pending::Lost,
        });
        let points = places.chain(after_answers);
        let points = points.filter(|point| next.is_none_or(|next| point.events <= next));
        self.fails(points.collect(), left_out)
            .await
            .with_context(|| format!("without the syncs of {part} in its start"))
    }

    /// What does not hold at one of these points. An error where all holds.
    async fn fails(&self, points: Vec<Point>, left_out: BTreeSet<usize>) -> Result<String> {
        let count = points.len();
        let mut looks = self.looks(points, left_out);
        while let Some((point, outcome)) = looks.next().await {
            if let Err(error) = outcome {
                return Ok(format!("{}: {error:#}", self.describe(point)));
            }
        }
        bail!("all holds at {count} points")
    }

    /// The folders at these points, each looked at; without the syncs that end with these events.
    fn looks(
        &self,
        mut points: Vec<Point>,
        left_out: BTreeSet<usize>,
    ) -> impl futures::Stream<Item = (Point, Result<()>)> {
        // The disk goes from one to the next.
        points.sort_by_key(|point| point.events);
        let (mut disk, mut done) = (Disk::new(), 0);
        let folders = points.into_iter().map(move |point| {
            while done < point.events {
                if !left_out.contains(&done) {
                    disk.apply(&self.events[done].event);
                }
                done += 1;
            }
            let built = tempfile::tempdir().and_then(|folder| {
                disk.write_to(folder.path(), point.pending)?;
                Ok(folder)
            });
            (point, built)
        });
        let looks = stream::iter(folders).map(move |(point, built)| async move {
            let moment = self.events.get(point.events).map_or(u64::MAX, |next| next.at);
            let moment = moment.min(self.cut_before);
            let looked = async {
                let folder: TempDir = built?;
                let log = folder.path().join("log");
                verify::holds(&folder.path().join(DATA), &log, &self.load, moment).await
            };
            (point, looked.await)
        });
        Box::pin(looks.buffer_unordered(AT_ONCE))
    }

    fn phase(&self, point: Point) -> Option<Phase> {
        point.events.checked_sub(1).map(|last| self.parts[last].1)
    }

    fn describe(&self, point: Point) -> String {
        let event = |number: Option<usize>| {
            let recorded = number.and_then(|number| self.events.get(number));
            recorded.map_or("nothing".to_owned(), |recorded| {
                format!("{} {}", recorded.event.name(), recorded.path)
            })
        };
        format!(
            "the power is cut after event {} ({}, then {}; {:?}), of the unsynced {:?}",
            point.events,
            event(point.events.checked_sub(1)),
            event(Some(point.events)),
            self.phase(point).unwrap_or(Phase::Start),
            point.pending
        )
    }
}

/// Waits until bodies were moved and those that they replace are removed.
async fn collected(segments: &Path) -> Result<()> {
    let waited = Instant::now();
    loop {
        let names = names(segments)?;
        let without = |kind: &str, other: &str| {
            let stems = names
                .iter()
                .filter_map(|name| Some(name.to_str()?.strip_suffix(kind)?.to_owned()));
            let mut alone = stems.filter(|stem| !names.contains(&OsString::from(format!("{stem}{other}"))));
            alone.next().is_some()
        };
        if without(".bodies", ".operations") && without(".operations", ".bodies") {
            return Ok(());
        }
        ensure!(waited.elapsed() < PATIENCE, "nothing is collected");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

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
mod trace;
mod verify;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream};
use granary_client::Client;
use tempfile::TempDir;

use crate::server::{PATIENCE, Start};
use crate::{Place, Server};
use disk::{Disk, Event, Pending};
use load::Load;
pub use points::Part;
use points::{DATA, Phase, Point};
use record::{Recorded, Recorder};

/// What the server does while it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scene {
    /// Bulk requests of two sources that are applied as runs of heads and of edges
    Runs,
    /// Bodies that nothing points to are removed
    Collection,
    /// After a cut of power inside a run it starts, and goes on
    Restart,
}

/// What a server did to its disk, and what it had answered.
pub struct Recording {
    events: Vec<Recorded>,
    parts: Vec<(Part, Phase)>,
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
        let events = match scene {
            Scene::Runs => recorded(|_| Ok(()), async |client, _| load.runs(client).await).await?,
            Scene::Collection => {
                let work = async |client: &Client, root: &Path| {
                    load.collection(client, collected(&segments(root))).await
                };
                recorded(|_| Ok(()), work).await?
            }
            Scene::Restart => return Box::pin(Self::of(Scene::Runs, seed)).await?.restarted(seed).await,
        };
        Ok(Self {
            parts: points::parts(&events),
            events,
            load,
            cut_before: u64::MAX,
        })
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
        let events = recorded(before, work).await?;
        Ok(Self {
            parts: points::parts(&events),
            events,
            load: self.load,
            cut_before: moment,
        })
    }

    /// Cuts the power at so many points, and just after each answer that showed more than those before it, and checks
    /// each folder.
    pub async fn cut(&self, count: usize, seed: u64) -> Result<Summary> {
        let points = self.points(count, seed);
        let mut summary = Summary {
            events: self.events.len(),
            places: points::groups(&self.events, &self.parts).len(),
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
        let groups = points::groups(&self.events, &self.parts);
        let mut points = points::choose(&groups, &self.events, count, seed);
        points.extend(self.after_answers());
        points
    }

    /// A server that shows what is not durable yet is found at these.
    fn after_answers(&self) -> Vec<Point> {
        points::after(&self.events, &self.load.shown_more())
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
        let syncs = self.events.iter().zip(&self.parts).enumerate();
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
        let mut groups = points::groups(&self.events, &self.parts);
        groups.retain(|_, points| {
            points.retain(|events| {
                let last = events.checked_sub(1).map(|last| self.parts[last].1);
                phase.is_none() || last == phase
            });
            !points.is_empty()
        });
        let mut points = points::choose(&groups, &self.events, count, seed);
        points.iter_mut().for_each(|point| point.pending = Pending::Lost);
        let mut looks = self.looks(points, left_out);
        while let Some((point, outcome)) = looks.next().await {
            if let Err(error) = outcome {
                return Ok(format!("{}: {error:#}", self.describe(point)));
            }
        }
        bail!("without the sync of {part} all holds at {count} points")
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

/// What a server does to its disk that is started on a folder, while this is done with it.
async fn recorded(
    before: impl FnOnce(&Path) -> Result<()>,
    work: impl AsyncFnOnce(&Client, &Path) -> Result<()>,
) -> Result<Vec<Recorded>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?;
    let (root, trace) = (path.join("disk"), path.join("trace"));
    fs::create_dir(&root)?;
    before(&root)?;
    let recorder = Recorder::of(&root)?;
    let start = Start {
        place: Place::Folder(root.join(DATA)),
        environment: Vec::new(),
        log: None,
        before: record::tracer(&trace),
    };
    let started = Server::spawn(start).await;
    let mut server = started.context(
        "cannot record a server: strace has to be there (on Debian: apt-get install strace), and has to be allowed to \
         trace (in a container: --cap-add SYS_PTRACE)",
    )?;
    let process = server.pid().context("the server has ended")?;
    work(&server.client()?, &root).await?;
    let status = server.stop().await?;
    ensure!(
        status.success(),
        "the server that was recorded ended with {status}"
    );
    let waited = Instant::now();
    while !record::is_ended(&trace, process)? {
        ensure!(waited.elapsed() < PATIENCE, "strace does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let events = recorder.read(&trace)?;
    // What was recorded leads to the folder that is there: no change was missed.
    let mut disk = Disk::new();
    events.iter().for_each(|recorded| disk.apply(&recorded.event));
    let built = tempfile::tempdir()?;
    disk.write_to(built.path(), Pending::Kept)?;
    same_folders(&root, built.path()).context("the record does not lead to what is there")?;
    Ok(events)
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

fn names(folder: &Path) -> Result<BTreeSet<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    names.collect()
}

/// Fails where a name or a byte differs.
fn same_folders(one: &Path, other: &Path) -> Result<()> {
    let (here, there) = (names(one)?, names(other)?);
    ensure!(here == there, "{}: {here:?}, and not {there:?}", one.display());
    for name in here {
        let (one, other) = (one.join(&name), other.join(&name));
        if one.is_dir() {
            same_folders(&one, &other)?;
        } else {
            ensure!(fs::read(&one)? == fs::read(&other)?, "{} differs", one.display());
        }
    }
    Ok(())
}

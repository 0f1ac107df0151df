//! Where the power is cut, and what each part of the folder is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::{Event, Pending};
use super::record::Recorded;

/// A part of the folder of a store, as far as it is synced on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// A file that a bulk request was spooled to
    Segment,
    /// A file that collection moved bodies to
    MovedSegment,
    /// The folder of both
    SegmentsFolder,
    /// The redo file of a run
    Redo,
    /// Its folder
    RedoFolder,
    /// The journal of the database
    Journal,
    /// A table of the database
    Table,
    /// The folder of the tables of a keyspace
    TablesFolder,
    /// The list of the tables of a keyspace, and what names the newest
    Version,
    /// The folder of a keyspace
    KeyspaceFolder,
    /// The folder of all keyspaces
    KeyspacesFolder,
    /// The folder of the database
    DatabaseFolder,
    /// Any other
    Other,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Segment => "segment",
            Self::MovedSegment => "moved segment",
            Self::SegmentsFolder => "segments/",
            Self::Redo => "redo file",
            Self::RedoFolder => "redo/",
            Self::Journal => "journal",
            Self::Table => "table",
            Self::TablesFolder => "tables/",
            Self::Version => "version",
            Self::KeyspaceFolder => "folder of a keyspace",
            Self::KeyspacesFolder => "keyspaces/",
            Self::DatabaseFolder => "db/",
            Self::Other => "other",
        })
    }
}

/// In what the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// No request had files of its own yet; in its first start nothing was answered.
    Start,
    /// A run is on its way into the database.
    Run,
    /// Bodies are moved, and those they replace are still there.
    Round,
    /// None of these.
    Plain,
}

/// The name of the data folder in what is recorded.
pub(super) const DATA: &str = "data";

/// What each event is on, and in what the server is then.
pub(super) fn parts(events: &[Recorded]) -> Vec<(Part, Phase)> {
    let stem = |path: &str, kind: &str| {
        let file = path.strip_prefix("data/segments/")?.strip_suffix(kind)?;
        Some(file.to_owned())
    };
    let spooled: BTreeSet<String> = events
        .iter()
        .filter_map(|event| stem(&event.path, ".operations"))
        .collect();
    let (mut redo, mut moved, mut served) = (0_usize, 0_usize, false);
    let mut part_of = |event: &Recorded| {
        let part = part(&event.path, |path| {
            stem(path, ".bodies").is_some_and(|stem| !spooled.contains(&stem))
        });
        let (made, removed) = match &event.event {
            Event::Made { is_folder, .. } => (!is_folder, false),
            Event::Removed { .. } => (false, true),
            _ => (false, false),
        };
        served |= made && part == Part::Segment;
        redo += usize::from(made && part == Part::Redo);
        moved += usize::from(made && part == Part::MovedSegment);
        let phase = if !served {
            Phase::Start
        } else if redo > 0 {
            Phase::Run
        } else if moved > 0 {
            Phase::Round
        } else {
            Phase::Plain
        };
        redo -= usize::from(removed && part == Part::Redo);
        // What the moved bodies replace.
        moved = moved.saturating_sub(usize::from(removed && part == Part::Segment));
        (part, phase)
    };
    events.iter().map(&mut part_of).collect()
}

pub(crate) fn part(path: &str, is_moved: impl Fn(&str) -> bool) -> Part {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [DATA, "segments"] => Part::SegmentsFolder,
        [DATA, "segments", _] if is_moved(path) => Part::MovedSegment,
        [DATA, "segments", _] => Part::Segment,
        [DATA, "redo"] => Part::RedoFolder,
        [DATA, "redo", _] => Part::Redo,
        [DATA, "db"] => Part::DatabaseFolder,
        [DATA, "db", file] if file.ends_with(".jnl") => Part::Journal,
        [DATA, "db", "keyspaces"] => Part::KeyspacesFolder,
        [DATA, "db", "keyspaces", _] => Part::KeyspaceFolder,
        [DATA, "db", "keyspaces", _, "tables"] => Part::TablesFolder,
        [DATA, "db", "keyspaces", _, "tables", _] => Part::Table,
        [DATA, "db", "keyspaces", _, _] => Part::Version,
        _ => Part::Other,
    }
}

/// The power is cut when so many events have happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) events: usize,
    pub(super) pending: Pending,
}

/// Points just before and just after each sync, rename and removal, by what it is on and in what the server is; of events
/// from `first` on.
pub(super) fn groups(
    events: &[Recorded],
    parts: &[(Part, Phase)],
    first: usize,
) -> BTreeMap<String, Vec<usize>> {
    let mut groups = BTreeMap::<String, Vec<usize>>::new();
    for (number, (event, (part, phase))) in events.iter().zip(parts).enumerate().skip(first) {
        let what = match &event.event {
            Event::SyncEnded { .. } => "sync of",
            Event::Renamed { .. } => "rename of",
            Event::Removed { .. } => "removal of",
            _ => continue,
        };
        for (when, events) in [("before", number), ("after", number + 1)] {
            let group = groups
                .entry(format!("{phase:?}: {when} {what} {part}"))
                .or_default();
            group.push(events);
        }
    }
    groups
}

/// So many events lead into the midst of a run: its batch is durable, and the database is about to name its table.
pub(super) fn inside_run(events: &[Recorded], parts: &[(Part, Phase)], seed: u64) -> Option<usize> {
    let is_removal = |number: &usize| {
        parts[*number].0 == Part::Redo && matches!(events[*number].event, Event::Removed { .. })
    };
    let removals: Vec<usize> = (0..events.len()).filter(is_removal).collect();
    let removal = removals.get(StdRng::seed_from_u64(seed).random_range(0..removals.len().max(1)))?;
    let is_rename = |number: &usize| {
        parts[*number] == (Part::Version, Phase::Run)
            && matches!(events[*number].event, Event::Renamed { .. })
    };
    (0..*removal).rev().find(is_rename)
}

/// Just after an answer came, at each of these moments, with what was synced by then and nothing else; of events from `first`
/// on.
pub(super) fn after(events: &[Recorded], moments: &[u64], first: usize) -> Vec<Point> {
    let after = |moment: &u64| events.partition_point(|recorded| recorded.at <= *moment);
    let after: BTreeSet<usize> = moments
        .iter()
        .map(after)
        .filter(|events| *events > first)
        .collect();
    let point = |events| Point {
        events,
        pending: Pending::Lost,
    };
    after.into_iter().map(point).collect()
}

/// So many points: of each group in turn, and now and then any of these.
pub(super) fn choose(
    groups: &BTreeMap<String, Vec<usize>>,
    any: RangeInclusive<usize>,
    count: usize,
    seed: u64,
) -> Vec<Point> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut points = Vec::new();
    while points.len() < count && !groups.is_empty() {
        for group in groups.values() {
            let events = match rng.random_range(0..6) {
                0 => rng.random_range(any.clone()),
                _ => group[rng.random_range(0..group.len())],
            };
            let pending = pending(&mut rng);
            points.push(Point { events, pending });
        }
    }
    // Fewer than there are groups: those that stay are of all of them.
    while points.len() > count {
        points.swap_remove(rng.random_range(0..points.len()));
    }
    points
}

/// How many events tell what was there before the server was.
pub(super) fn found(events: &[Recorded]) -> usize {
    events.iter().take_while(|recorded| recorded.at == 0).count()
}

/// True where the journal is being synced for the last that was written to it.
pub(super) fn is_syncing(events: &[Recorded], parts: &[(Part, Phase)]) -> bool {
    let of_journal = events.iter().zip(parts).rev();
    let mut of_journal = of_journal.filter(|(_, part)| part.0 == Part::Journal);
    let (last, before) = (of_journal.next(), of_journal.next());
    last.is_some_and(|(last, _)| matches!(last.event, Event::SyncBegan { .. }))
        && before.is_some_and(|(before, _)| matches!(before.event, Event::Wrote { .. }))
}

fn pending(rng: &mut StdRng) -> Pending {
    match rng.random_range(0..10) {
        0..3 => Pending::Lost,
        3..5 => Pending::Names,
        5..7 => Pending::Lengths,
        _ => Pending::Some(rng.random()),
    }
}

//! Tasks that are kept no longer.

use granary_core::task::TaskKind;
use granary_core::time::Timestamp;

use super::State;
use crate::{RemovedTask, Retention, Retired};

/// A task that has ended.
struct Ended {
    at: i64,
    source: u32,
    sequence: u64,
    of_lane: bool,
    bytes: u64,
}

impl State {
    /// Removes at most so many tasks; a task is a row here.
    pub(super) fn retire_tasks(&mut self, kept: &Retention, now: Timestamp, rows: usize) -> Retired {
        let mut ended: Vec<Ended> = Vec::new();
        for source in self.sources.values() {
            for task in source.tasks.values() {
                let Some(at) = task.progress.completed_at else {
                    continue;
                };
                ended.push(Ended {
                    at,
                    source: source.source.number,
                    sequence: task.sequence,
                    of_lane: matches!(task.progress.kind, TaskKind::Bulk | TaskKind::Purge),
                    bytes: task.progress.kept_bytes(task.batch.bodies.len() as u64),
                });
            }
        }
        ended.sort_by_key(|task| (task.at, task.source, task.sequence));
        let of_lanes = ended.iter().filter(|task| task.of_lane);
        let mut bytes: u64 = of_lanes.map(|task| task.bytes).sum();
        let mut retired = Retired::default();
        for task in ended {
            let goes = match task.of_lane {
                true => kept.lane_task_goes(task.at, bytes),
                false => task.at < kept.at_once_since.millis(),
            };
            if !goes {
                continue;
            }
            if retired.tasks == rows.max(1) as u64 {
                retired.more = true;
                break;
            }
            let Some(source) = self.by_number(task.source) else {
                continue;
            };
            let Some(gone) = source.tasks.remove(&task.sequence) else {
                continue;
            };
            retired.tasks += 1;
            if task.of_lane {
                bytes -= task.bytes;
                let id = gone.progress.id();
                source.removed.insert(id.ksuid, RemovedTask { id, at: now });
            }
        }
        for source in self.sources.values_mut() {
            source
                .removed
                .retain(|_, removed| removed.at >= kept.removed_since);
        }
        retired
    }
}

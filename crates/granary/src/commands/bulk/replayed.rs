//! A request that was accepted before: what it stands for was done then, and not now.

use granary_client::SourceClient;
use granary_client::api::tasks::Task;
use granary_core::task::TaskStatus;

use crate::commands::task::succeeded;
use crate::output::Output;

/// What a request stands for that was sent again.
pub(crate) struct Replay {
    /// Its task, where that had ended before.
    pub(crate) ended: Option<Task>,
    /// How it is sent anew.
    how: &'static str,
}

impl Replay {
    /// What the task became then, so that nobody takes it for what happened now.
    pub(crate) fn summary(&self, task: &Task) -> String {
        let when = task
            .completed_at
            .map(|at| format!(" at {at}"))
            .unwrap_or_default();
        let (succeeded, how) = (succeeded(task), self.how);
        format!("{succeeded}, carried out before{when}; nothing was started now: {how}")
    }
}

/// Tells of a request that was accepted before as this task.
pub(crate) async fn replay(
    output: &Output,
    source: &SourceClient,
    id: &str,
    name: &str,
    how: &'static str,
) -> Replay {
    // Whether it had ended is for people: where it cannot be asked, it is waited for like any other.
    let task = source.task(id).await.ok();
    let ended = task.filter(|task| task.status != TaskStatus::Pending);
    let since = match &ended {
        None => String::new(),
        Some(task) => match task.completed_at {
            Some(at) => format!(" and carried out by {at}"),
            None => " and carried out".to_owned(),
        },
    };
    output.status(
        "Replayed",
        format_args!("{name} was accepted before as {id}{since}; nothing was started now: {how}"),
    );
    Replay { ended, how }
}

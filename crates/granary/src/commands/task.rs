//! `granary task`: the tasks of a source, and waiting for one.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use granary_client::api::bulk::{ReceiptsShown, RetryQuery};
use granary_client::api::page::Page;
use granary_client::api::tasks::{Task as Shown, TasksQuery};
use granary_client::{BulkReply, Client, SourceClient};
use granary_core::idempotency::IdempotencyKey;
use granary_core::task::{Outcome, TaskKind, TaskStatus};
use granary_core::time::Timestamp;
use granary_engine::{Clock as _, SystemClock};

use super::bulk::{self, Replay, SentFile, replay};
use super::{InSource, failed, switch};
use crate::exit::Ended;
use crate::output::{BAD, GOOD, NAME, Output, WARN, count, counted, elapsed, rate, styled, word};
use crate::watch::watch;

/// Tasks: what became of accepted requests
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// List the tasks of a source, the newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a task
    Show {
        #[command(flatten)]
        within: InSource,
        /// Its id
        task: String,
    },
    /// Cancel a task: what is applied by now stays
    Cancel {
        #[command(flatten)]
        within: InSource,
        /// Its id
        task: String,
    },
    /// Try again what failed or was cancelled in a bulk task
    ///
    /// A new task carries it out, with the ids that the operations were given when they were accepted. They are checked
    /// anew, by the definitions in force. Without --wait the id of the new task is the result.
    #[command(
        after_help = "Exit codes: 0 all well; 2 with --wait, some operations failed; 3 rejected; 1 anything else."
    )]
    Retry {
        #[command(flatten)]
        within: InSource,
        /// The id of the task whose operations are tried again
        task: String,
        /// Wait until the new task has ended
        #[arg(short, long, env = "GRANARY_WAIT", value_parser = switch())]
        wait: bool,
    },
    /// Wait until a task has ended, with its progress as it happens
    ///
    /// The server tells each step (server-sent events). A server that is started again meanwhile is waited for, a minute at
    /// the most.
    #[command(
        after_help = "Exit codes: 0 all its operations succeeded; 2 some failed or were cancelled; 1 it could not be carried out, or anything else."
    )]
    Watch {
        #[command(flatten)]
        within: InSource,
        /// Its id
        task: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    within: InSource,
    /// Only tasks with this status
    #[arg(long, env = "GRANARY_STATUS", value_enum, value_name = "STATUS")]
    status: Option<StatusFlag>,
    /// Only ended tasks of whose operations all, some or none succeeded
    #[arg(long, env = "GRANARY_OUTCOME", value_enum, value_name = "OUTCOME")]
    outcome: Option<OutcomeFlag>,
    /// Only tasks of this kind
    #[arg(long, env = "GRANARY_KIND", value_enum, value_name = "KIND")]
    kind: Option<KindFlag>,
    /// Only tasks accepted after this moment: 2026-01-31T08:00:00Z, a day in UTC, or so long ago: 90s, 15m, 1h, 2d
    #[arg(long, env = "GRANARY_CREATED_AFTER", value_name = "TIME", value_parser = moment)]
    created_after: Option<Timestamp>,
    /// Only tasks accepted before this moment, written in the same ways
    #[arg(long, env = "GRANARY_CREATED_BEFORE", value_name = "TIME", value_parser = moment)]
    created_before: Option<Timestamp>,
    /// Show this many at most
    #[arg(long, env = "GRANARY_LIMIT", value_name = "N", default_value_t = 50)]
    limit: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusFlag {
    // One that runs is pending until it has ended.
    #[value(alias = "running")]
    Pending,
    Cancelled,
    Failure,
    Success,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutcomeFlag {
    Complete,
    Partial,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindFlag {
    Bulk,
    Single,
    Bundle,
    Purge,
}

fn moment(raw: &str) -> Result<Timestamp, &'static str> {
    let day = || Timestamp::parse(&format!("{raw}T00:00:00Z"));
    let before = || ago(raw).map(|ago| Timestamp::from_millis(SystemClock::default().now().millis() - ago));
    let moment = Timestamp::parse(raw).or_else(day).or_else(before);
    moment.ok_or(
        "a moment looks like 2026-01-31T08:00:00Z, 2026-01-31 or, for one so long ago, 90s, 15m, 1h, 2d",
    )
}

/// How many milliseconds `1h` and the like are.
fn ago(raw: &str) -> Option<i64> {
    let unit = raw.chars().last()?;
    let millis = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let number: u32 = raw.strip_suffix(unit)?.parse().ok()?;
    Some(i64::from(number) * millis)
}

impl Task {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { within, task } => {
                let source = client.source(within.source);
                let shown = source.task(&task).await?;
                match output.json {
                    true => output.json_line(&shown)?,
                    false => show(output, &shown)?,
                }
                Ok(Ended::Well)
            }
            Self::Cancel { within, task } => {
                let cancelled = client.source(within.source).cancel_task(&task).await?;
                output.status("Cancelled", format_args!("task {}", cancelled.task_id));
                match output.json {
                    true => output.json_line(&cancelled)?,
                    false => show(output, &cancelled)?,
                }
                Ok(Ended::Well)
            }
            Self::Retry { within, task, wait } => {
                let source = client.source(within.source);
                Ok(retry(&source, &task, wait, None, output).await?.ended)
            }
            Self::Watch { within, task } => {
                let source = client.source(within.source);
                let ended = watch(&source, &task, &task).await?;
                tell(output, &source, &ended, &task).await
            }
        }
    }
}

/// What became of a retry.
pub(crate) struct Retried {
    /// What it is called.
    pub(crate) name: String,
    /// The new task, where it was waited for.
    pub(crate) task: Option<Shown>,
    /// How the command ends.
    pub(crate) ended: Ended,
}

/// Has what failed or was cancelled in a task tried again, under a key by which that is done once.
pub(crate) async fn retry(
    source: &SourceClient,
    task: &str,
    wait: bool,
    key: Option<&IdempotencyKey>,
    output: &mut Output,
) -> anyhow::Result<Retried> {
    let query = RetryQuery {
        receipts: Some(ReceiptsShown::Failures),
    };
    let name = format!("the retry of {task}");
    let (reply, replayed) = match key {
        Some(key) => source.retry_task_once(task, &query, key).await?,
        None => (source.retry_task(task, &query).await?, false),
    };
    let retried = |task, ended| Retried {
        name: name.clone(),
        task,
        ended,
    };
    let accepted = match reply {
        BulkReply::Accepted(accepted) => accepted,
        BulkReply::Rejected(rejection) => {
            bulk::rejected(output, rejection, &name, None, None).await?;
            return Ok(retried(None, Ended::Rejected));
        }
        BulkReply::Valid(_) => anyhow::bail!("the server only checked {name}"),
    };
    let id = accepted.task_id.to_string();
    let before = match replayed {
        true => {
            let how = "another --idempotency-key tries it anew";
            Some(replay(output, source, &id, &name, how).await)
        }
        false => {
            output.status("Accepted", format_args!("{name} as {id}"));
            None
        }
    };
    if wait {
        let (task, ended) = wait_and_tell(output, source, &id, &name, before.as_ref(), None).await?;
        return Ok(retried(Some(task), ended));
    }
    match output.json {
        true => output.json_line(&accepted)?,
        false => output.line(&id)?,
    }
    Ok(retried(None, Ended::Well))
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let mut query = TasksQuery {
            status: self.status.map(|status| match status {
                StatusFlag::Pending => TaskStatus::Pending,
                StatusFlag::Cancelled => TaskStatus::Cancelled,
                StatusFlag::Failure => TaskStatus::Failure,
                StatusFlag::Success => TaskStatus::Success,
            }),
            outcome: self.outcome.map(|outcome| match outcome {
                OutcomeFlag::Complete => Outcome::Complete,
                OutcomeFlag::Partial => Outcome::Partial,
                OutcomeFlag::None => Outcome::None,
            }),
            kind: self.kind.map(|kind| match kind {
                KindFlag::Bulk => TaskKind::Bulk,
                KindFlag::Single => TaskKind::Single,
                KindFlag::Bundle => TaskKind::Bundle,
                KindFlag::Purge => TaskKind::Purge,
            }),
            created_after: self.created_after,
            created_before: self.created_before,
            limit: None,
            cursor: None,
        };
        let source = client.source(self.within.source);
        let mut tasks = Vec::new();
        loop {
            let left = self.limit.saturating_sub(tasks.len() as u64);
            if left == 0 {
                break;
            }
            query.limit = Some(left.min(1_000));
            let Page { data, meta } = source.tasks(&query).await?;
            tasks.extend(data);
            query.cursor = meta.cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        let header = [
            "TASK", "KIND", "STATUS", "OUTCOME", "TOTAL", "SUCCESS", "FAILURE", "CREATED",
        ];
        output.rows(&header, &tasks, |task| {
            vec![
                task.task_id.to_string(),
                word(&task.kind),
                word(&task.status),
                coloured_outcome(task),
                count(task.counts.total),
                count(task.counts.success),
                count(task.counts.failure),
                task.created_at.to_string(),
            ]
        })?;
        if query.cursor.is_some() && !output.json {
            output.note("there are more; see them with a larger --limit");
        }
        Ok(Ended::Well)
    }
}

fn coloured_outcome(task: &Shown) -> String {
    match (task.outcome, task.status) {
        (_, TaskStatus::Failure) | (Some(Outcome::None), _) => styled(BAD, word(&task.outcome)),
        (Some(Outcome::Complete), _) => styled(GOOD, word(&task.outcome)),
        (Some(Outcome::Partial), _) => styled(WARN, word(&task.outcome)),
        (None, _) => String::new(),
    }
}

/// A task, a line a fact.
fn show(output: &mut Output, task: &Shown) -> anyhow::Result<()> {
    let Shown { counts, .. } = task;
    let target = task
        .target_type
        .map(|target| format!(" of {}s", word(&target).to_lowercase()))
        .unwrap_or_default();
    let mut line = |name: &str, value: String| output.line(format_args!("{NAME}{name:<11}{NAME:#} {value}"));
    line("task", task.task_id.to_string())?;
    line("kind", format!("{}{target}", word(&task.kind)))?;
    line("status", word(&task.status))?;
    if task.outcome.is_some() {
        line("outcome", coloured_outcome(task))?;
    }
    if let Some(parent) = task.retry_of {
        line("retry of", parent.to_string())?;
    }
    line("operations", format!("{} in all", count(counts.total)))?;
    for (name, number) in [
        ("  success", counts.success),
        ("  failure", counts.failure),
        ("  pending", counts.pending),
        ("  cancelled", counts.cancelled),
    ] {
        if number > 0 {
            line(name, count(number))?;
        }
    }
    line("created", task.created_at.to_string())?;
    if let Some(at) = task.started_at {
        line("started", at.to_string())?;
    }
    if let Some(at) = task.completed_at {
        let took = took(task)
            .map(|time| format!("  after {}", elapsed(time)))
            .unwrap_or_default();
        line("completed", format!("{at}{took}"))?;
    }
    Ok(())
}

/// How long the work on an ended task took.
pub(crate) fn took(task: &Shown) -> Option<Duration> {
    let millis = task.completed_at?.millis() - task.started_at?.millis();
    u64::try_from(millis).ok().map(Duration::from_millis)
}

/// How a command ends that waited for this task.
pub(crate) fn ended(task: &Shown) -> Ended {
    match (task.status, task.counts.success == task.counts.total) {
        (TaskStatus::Failure, _) => Ended::Badly,
        (_, true) => Ended::Well,
        (_, false) => Ended::SomeFailed,
    }
}

/// Waits for the task of a request, and tells what it became.
pub(crate) async fn wait_and_tell(
    output: &mut Output,
    source: &SourceClient,
    id: &str,
    name: &str,
    before: Option<&Replay>,
    file: Option<&SentFile>,
) -> anyhow::Result<(Shown, Ended)> {
    // One that had ended before is as it was.
    let ended_before = before.and_then(|before| before.ended.clone());
    let task = match ended_before {
        Some(task) => task,
        None => watch(source, id, name).await?,
    };
    let before = before.filter(|before| before.ended.is_some());
    let ended = tell_as(output, source, &task, name, before, file).await?;
    Ok((task, ended))
}

/// Tells what a task became: the result on stdout, the first failures on stderr.
pub(crate) async fn tell(
    output: &mut Output,
    source: &SourceClient,
    task: &Shown,
    name: &str,
) -> anyhow::Result<Ended> {
    tell_as(output, source, task, name, None, None).await
}

/// The same of one that a request stands for again, and that had ended before it was sent.
async fn tell_as(
    output: &mut Output,
    source: &SourceClient,
    task: &Shown,
    name: &str,
    before: Option<&Replay>,
    file: Option<&SentFile>,
) -> anyhow::Result<Ended> {
    let Shown {
        task_id: id, counts, ..
    } = task;
    let result = match before {
        Some(before) => before.summary(task),
        None => summary(task),
    };
    match output.json {
        true => output.json_line(task)?,
        false => output.line(format_args!("{id}  {result}"))?,
    }
    output.flush()?;
    let failed = format!(
        "{} of {} failed in {name}",
        count(counts.failure),
        counted(counts.total, "operation")
    );
    match task.status {
        TaskStatus::Failure => {
            output.status_bad("Failed", format_args!("the server could not carry out {name}"))
        }
        TaskStatus::Cancelled => {
            output.status_bad(
                "Cancelled",
                format_args!("{} of {name}", counted(counts.cancelled, "operation")),
            );
        }
        _ if counts.failure > 0 => output.status_bad("Failed", failed),
        _ => {}
    }
    failed::tell(output, source, task, file).await?;
    if before.is_some() && counts.success < counts.total {
        let retry = format!("granary task retry --source {} {id} --wait", source.key());
        output.note(format_args!(
            "that was then; `{retry}` tries again what did not succeed, as `granary bulk --retry-failed` does"
        ));
    }
    Ok(ended(task))
}

/// What a task became, in a few words.
pub(crate) fn summary(task: &Shown) -> String {
    let Shown { counts, .. } = task;
    let time = took(task);
    // Over a moment it says nothing: the times of a task are those at which its chunks were begun.
    let speed = time.filter(|time| *time >= Duration::from_millis(100));
    // What was cancelled took no time.
    let speed = speed.and_then(|time| rate(counts.success + counts.failure, time));
    let speed = speed.map(|rate| format!(" ({rate}/s)")).unwrap_or_default();
    let time = time
        .map(|time| format!(" in {}", elapsed(time)))
        .unwrap_or_default();
    format!("{}{time}{speed}", succeeded(task))
}

/// Its outcome and how many operations succeeded.
pub(super) fn succeeded(task: &Shown) -> String {
    let Shown { counts, .. } = task;
    let all = counted(counts.total, "operation");
    let outcome = match task.outcome {
        Some(_) => coloured_outcome(task),
        None => word(&task.status),
    };
    match counts.success == counts.total {
        true => format!("{outcome}  {all}"),
        false => format!("{outcome}  {} of {all} succeeded", count(counts.success)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_whole_as_a_day_or_as_so_long_ago() {
        let text = |raw| moment(raw).unwrap().to_string();
        assert_eq!(text("2026-01-31T08:00:00+01:00"), "2026-01-31T07:00:00.000Z");
        assert_eq!(text("2026-11-27"), "2026-11-27T00:00:00.000Z");
        assert_eq!((ago("90s"), ago("15m")), (Some(90_000), Some(900_000)));
        assert_eq!((ago("1h"), ago("2d")), (Some(3_600_000), Some(172_800_000)));
        assert!(moment("2d").unwrap() < moment("1h").unwrap());
        for wrong in [
            "",
            "h",
            "1",
            "-1h",
            "1w",
            "1 h",
            "é",
            "99999999999d",
            "2026-13-01",
        ] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
        // Longer ago than there are moments.
        assert!(moment("4294967295d").is_ok());
    }
}

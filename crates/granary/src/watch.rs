//! Waiting for a task: its events as they happen, over restarts of the server.

use std::io::IsTerminal;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use granary_client::api::tasks::Task;
use granary_client::{Error, SourceClient, TaskEvent};
use granary_core::task::TaskStatus;

use crate::output::Output;
use crate::progress::Bar;

/// How long a server that was there may be away: it is started again, or another takes over.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// How long to wait before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Waits until a task of a server has ended, with a bar on a terminal. Ctrl-C ends the process and not the task, and that is
/// said.
pub(crate) async fn watch(source: &SourceClient, id: &str, name: &str) -> Result<Task, Error> {
    let _waiting = Waiting::begin(format!(
        "the task goes on: granary task watch {id} -s {}",
        source.key()
    ));
    until_ended(source, id, name).await
}

/// The same of a server that ends with this process.
pub(crate) async fn until_ended(source: &SourceClient, id: &str, name: &str) -> Result<Task, Error> {
    let mut watch = Watch {
        name,
        bar: None,
        seen: None,
        last_seen_at: None,
    };
    loop {
        let told = match source.task_events(id, watch.seen).await {
            Ok(events) => {
                let told = watch.follow(events).await;
                // Where it broke off it was there until now, however long it had nothing to tell.
                watch.last_seen_at = Some(Instant::now());
                told
            }
            Err(error) => Err(error),
        };
        match told {
            Ok(Some(task)) => return Ok(task),
            // The server stops, and another one goes on.
            Ok(None) => {}
            Err(error) if watch.may_pass(&error) => {}
            // Too many watch already, or the server does not tell: then it is asked.
            Err(Error::Refused {
                status: 405 | 429 | 501,
                ..
            }) => {
                let task = source.task(id).await?;
                if task.status != TaskStatus::Pending {
                    return Ok(task);
                }
                watch.show(&task);
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// What is said at Ctrl-C, while something is waited for.
static AT_INTERRUPT: Mutex<Option<String>> = Mutex::new(None);
/// How a process ends that was interrupted, by the convention of shells: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// Something is waited for as long as it is there.
struct Waiting;

impl Waiting {
    fn begin(said: String) -> Self {
        static LISTENS: Once = Once::new();
        *at_interrupt() = Some(said);
        // Where it cannot be listened for, Ctrl-C ends the process without a word.
        #[cfg(unix)]
        LISTENS.call_once(|| {
            use tokio::signal::unix::{SignalKind, signal};
            if let Ok(mut interrupt) = signal(SignalKind::interrupt()) {
                tokio::spawn(async move {
                    interrupt.recv().await;
                    interrupted();
                });
            }
        });
        #[cfg(not(unix))]
        LISTENS.call_once(|| {
            tokio::spawn(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    interrupted();
                }
            });
        });
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *at_interrupt() = None;
    }
}

fn at_interrupt() -> MutexGuard<'static, Option<String>> {
    AT_INTERRUPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process as Ctrl-C does where nobody listens for it.
fn interrupted() -> ! {
    if let Some(said) = at_interrupt().as_deref() {
        // The terminal shows ^C in the line of the bar.
        let gap = if std::io::stderr().is_terminal() { "\n" } else { "" };
        Output::new(false).note(format_args!("{gap}{said}"));
    }
    std::process::exit(INTERRUPTED)
}

/// A task that is watched.
struct Watch<'a> {
    name: &'a str,
    bar: Option<Bar>,
    /// The revision that was seen last.
    seen: Option<u64>,
    /// When that was.
    last_seen_at: Option<Instant>,
}

impl Watch<'_> {
    /// Follows events to their end; the task, where it has ended.
    async fn follow(
        &mut self,
        events: impl futures::Stream<Item = Result<TaskEvent, Error>>,
    ) -> Result<Option<Task>, Error> {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            let TaskEvent {
                revision,
                ended,
                task,
            } = event?;
            (self.seen, self.last_seen_at) = (Some(revision), Some(Instant::now()));
            if ended {
                return Ok(Some(task));
            }
            self.show(&task);
        }
        Ok(None)
    }

    fn show(&mut self, task: &Task) {
        let counts = task.counts;
        let name = self.name;
        let bar = self.bar.get_or_insert_with(|| Bar::task(name, counts.total));
        bar.set_position(counts.total - counts.pending);
    }

    /// True where the error is likely to pass by itself: the server was there a moment ago.
    fn may_pass(&self, error: &Error) -> bool {
        let away = matches!(
            error,
            Error::Unreachable { .. } | Error::Broken { .. } | Error::Refused { status: 503, .. }
        );
        away && self.last_seen_at.is_some_and(|at| at.elapsed() < AWAY_MAX)
    }
}

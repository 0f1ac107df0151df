//! The threads that apply chunks. A few of their own, and not whichever is free of the many for disk work: the allocator
//! keeps for each thread what it once took, and a large chunk takes some tens of megabytes.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use granary_store::{Result, StoreError};
use tokio::sync::oneshot;

use crate::lock;

/// More would not apply more: what they have in common is one journal and one gate.
const APPLIERS_MAX: usize = 4;

/// Answers how to tell what it came to.
type Work = Box<dyn FnOnce() -> Tell + Send>;
type Tell = Box<dyn FnOnce()>;

/// Dropped, it lets its threads end once nothing is left to do.
pub(crate) struct Appliers {
    desk: Arc<Mutex<Desk>>,
}

/// Where work and threads meet.
#[derive(Default)]
struct Desk {
    /// What no thread was free for; as much as there are lanes at work.
    waiting: VecDeque<Work>,
    /// Threads that are free, the one that worked last at the end: it gets the next work, so that a single lane has one
    /// thread, and the memory of one.
    free: Vec<oneshot::Sender<Work>>,
    closed: bool,
}

impl Appliers {
    pub(crate) fn start() -> io::Result<Self> {
        let appliers = Self { desk: Arc::default() };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(APPLIERS_MAX) {
            let desk = Arc::clone(&appliers.desk);
            std::thread::Builder::new()
                .name("granary-apply".into())
                .spawn(move || apply(&desk))?;
        }
        Ok(appliers)
    }

    /// Runs a piece of work to its end, even where the caller has gone. A panic of it is one of the caller.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let stopping = || StoreError::Unavailable("the server is stopping".into());
        let (done, outcome) = oneshot::channel::<std::result::Result<Result<T>, Box<dyn Any + Send>>>();
        let work = move || {
            // What the work holds has gone when this is received.
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let tell = move || _ = done.send(outcome);
            Box::new(tell) as Tell
        };
        lock(&self.desk).give(Box::new(work));
        match outcome.await.map_err(|_| stopping())? {
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Desk {
    fn give(&mut self, work: Work) {
        match self.free.pop() {
            None => self.waiting.push_back(work),
            // A thread that is free waits for it: it has not gone.
            Some(thread) => _ = thread.send(work),
        }
    }

    fn next(&mut self) -> Next {
        if let Some(work) = self.waiting.pop_front() {
            return Next::Work(work);
        }
        if self.closed {
            return Next::Closed;
        }
        let (free, given) = oneshot::channel();
        self.free.push(free);
        Next::Wait(given)
    }
}

/// What a thread does next.
enum Next {
    Work(Work),
    Wait(oneshot::Receiver<Work>),
    Closed,
}

impl Drop for Appliers {
    fn drop(&mut self) {
        let mut desk = lock(&self.desk);
        desk.closed = true;
        desk.free.clear();
    }
}

fn apply(desk: &Mutex<Desk>) {
    let mut tell: Option<Tell> = None;
    loop {
        let next = lock(desk).next();
        // Told once this thread is free: whoever hears it may come with more.
        if let Some(tell) = tell.take() {
            tell();
        }
        let work = match next {
            Next::Work(work) => work,
            Next::Wait(given) => match given.blocking_recv() {
                Ok(work) => work,
                Err(_) => return,
            },
            Next::Closed => return,
        };
        tell = Some(work());
    }
}

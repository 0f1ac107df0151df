//! The threads that apply chunks. A few of their own, and not whichever is free of the many for disk work: the allocator
//! keeps for each thread what it once took, and a large chunk takes some tens of megabytes.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use granary_store::{Result, StoreError};
use tokio::sync::oneshot;

use crate::lock;

/// More would not apply more: what they have in common is one journal and one gate.
const APPLIERS_MAX: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

/// Dropped, it lets its threads end once nothing is left to do.
pub(crate) struct Appliers {
    queue: Sender<Work>,
}

impl Appliers {
    pub(crate) fn start() -> io::Result<Self> {
        let (queue, work) = mpsc::channel();
        let work = Arc::new(Mutex::new(work));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(APPLIERS_MAX) {
            let work = Arc::clone(&work);
            std::thread::Builder::new()
                .name("granary-apply".into())
                .spawn(move || apply(&work))?;
        }
        Ok(Self { queue })
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
            _ = done.send(outcome);
        };
        self.queue.send(Box::new(work)).map_err(|_| stopping())?;
        match outcome.await.map_err(|_| stopping())? {
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn apply(queue: &Mutex<Receiver<Work>>) {
    loop {
        let next = lock(queue).recv();
        match next {
            Ok(work) => work(),
            Err(mpsc::RecvError) => return,
        }
    }
}

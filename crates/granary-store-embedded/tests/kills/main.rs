//! A process that applies by runs, collects all the time and is killed for good. A binary of its own: what starts processes holds the locks of
//! all folders that it has open until they have begun, and other tests open theirs again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_core::limits::Limits;
use granary_store::memory::MemoryStore;
use granary_store::suite::world::*;
use granary_store::{Record, Step, Store as _, StoreLimits, StoredTask};
use granary_store_embedded::{Collection, EmbeddedStore, Runs};

/// Where the child of [`real_kills_lose_nothing_and_repeat_nothing`] works; unset in any other run.
const CHILD_FOLDER: &str = "GRANARY_TEST_RUNS_FOLDER";

fn limits() -> StoreLimits {
    StoreLimits::from(&Limits::default())
}

/// How many operations of all tasks are decided.
async fn decided(world: &World<EmbeddedStore>, tasks: &[StoredTask]) -> usize {
    let mut count = 0;
    for task in tasks {
        count += world.task(task).await.cursor as usize;
    }
    count
}

fn short_runs() -> Runs {
    Runs {
        operations: 400,
        operations_beside_writes: 400,
        heads_min: 60,
        observer: None,
    }
}

/// Collects all the time, by small windows and batches, whatever has a dead byte.
fn short_collection() -> Collection {
    Collection {
        look_every: Some(Duration::from_millis(1)),
        dead_kept: Duration::ZERO,
        failures_kept: Duration::ZERO,
        window_heads_max: 300,
        batch_heads_max: 40,
        ..Collection::default()
    }
}

/// The process that is killed: applies what waits, and writes single records and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_that_is_killed() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else {
        return;
    };
    let say = |step| {
        let mut out = std::io::stdout();
        writeln!(out, "\nstep {step:?}").unwrap();
        out.flush().unwrap();
    };
    let collection = Collection {
        observer: Some(Arc::new(say)),
        ..short_collection()
    };
    let store = EmbeddedStore::open_with(Path::new(&folder), limits(), short_runs(), collection).unwrap();
    let world = Arc::new(World::found(store).await);
    let writer = Arc::clone(&world);
    let single_writes = tokio::spawn(async move {
        for number in 0.. {
            let id = format!("single-{}", number % 5);
            writer.put(&[upsert("place", &id, number)]).await;
            let mut out = std::io::stdout();
            writeln!(out, "\nwrote {id} {number}").unwrap();
            out.flush().unwrap();
        }
    });
    world.apply_all(operations(300)).await;
    world.settle().await;
    single_writes.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_kills_lose_nothing_and_repeat_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let open =
        || EmbeddedStore::open_with(folder.path(), limits(), short_runs(), short_collection()).unwrap();
    let requests: Vec<Vec<Op>> = (0..120)
        .map(|request| {
            let op = |at: u32| {
                let id = format!("id-{}", (at * 7 + request * 13) % 900);
                match (at + request) % 6 {
                    0 => create("person", &id, at),
                    5 => delete("person", &id),
                    _ => upsert("person", &id, at + request).with_body(noise(120, (at % 50).into())),
                }
            };
            (0..1_500).map(op).collect()
        })
        .collect();
    let reference = World::new(MemoryStore::new(limits())).await;
    let world = World::new(open()).await;
    let mut tasks = Vec::new();
    for ops in &requests {
        reference.accept(ops).await;
        tasks.push(world.accept(ops).await);
    }
    let total: usize = requests.iter().map(Vec::len).sum();
    world.store.close().await.unwrap();
    drop(world);

    let lane = reference.claim().await.unwrap();
    let (mut applied, mut before, mut deaths) = (0, 0, 0);
    let mut steps: BTreeSet<String> = BTreeSet::new();
    let mut acknowledged: BTreeMap<String, u32> = BTreeMap::new();
    while before < total {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_child_that_is_killed", "--exact", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<_>>());
        let until = Instant::now() + Duration::from_millis(60 + 37 * (deaths % 11));
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(3));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        deaths += 1;
        let mut last: BTreeMap<String, u32> = BTreeMap::new();
        for line in reader.join().unwrap() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["wrote", id, number] => _ = last.insert(id.to_owned(), number.parse().unwrap()),
                ["step", step] => _ = steps.insert(step.to_owned()),
                _ => {}
            }
        }

        let world = World::found(open()).await;
        let cursor = decided(&world, &tasks).await;
        assert!(cursor >= before, "{before} were decided, and {cursor} are");
        before = cursor;
        while applied < cursor {
            let Step::Applied(count) = reference.step(&lane, operations(1)).await else {
                panic!("the reference has as many operations")
            };
            applied += count as usize;
        }
        let person = |all: Vec<Record>| -> Vec<_> {
            all.into_iter()
                .map(|r| (r.id, r.head.version, r.head.hash, r.body))
                .collect()
        };
        assert_eq!(
            person(world.resources("person", 1_000).await),
            person(reference.resources("person", 1_000).await),
            "after {deaths} deaths, at {cursor}"
        );
        acknowledged.extend(last.clone());
        for (id, number) in &acknowledged {
            let found = world.body("place", id).await.unwrap();
            // The write after the last that was answered may be there.
            let later = (0..2).any(|more| found == body(number + 5 * more));
            assert!(later || !last.contains_key(id), "{id} is not what was answered");
        }
        world.store.close().await.unwrap();
    }
    let world = World::found(open()).await;
    for task in &tasks {
        let receipts = world.receipts(&world.task(task).await).await;
        assert_eq!(codes(&receipts).len() as u64, task.task.counts.total);
    }
    assert!(deaths > 3, "it was over after {deaths} deaths");
    assert!(
        steps.contains("Pointed"),
        "{steps:?} in processes that were killed"
    );
}

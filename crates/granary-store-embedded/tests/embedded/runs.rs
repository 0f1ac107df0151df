//! Heads that go in as runs (`runs.rs` of the store): every behaviour again with runs of a single head on, and deaths at
//! each of their steps.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use granary_store::memory::MemoryStore;
use granary_store::suite::history::histories;
use granary_store::suite::world::*;
use granary_store::{EdgeFilter, Record, Step, Store, StoredTask};
use granary_store_embedded::{Collection, EmbeddedStore, RunStep, Runs};

use crate::crash::{Killed, copy_folder};
use crate::{OnDisk, limits};

/// Every chunk that writes a head is a run; budgets stay as they are.
fn all_by_runs() -> OnDisk {
    OnDisk {
        runs: Runs {
            operations: 1,
            operations_beside_writes: 1,
            heads_min: 1,
            observer: None,
        },
        ..OnDisk::in_memory()
    }
}

granary_store::behaviours!(all_by_runs());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_by_runs_agree_with_the_reference() {
    histories(&all_by_runs(), 20_000..20_150).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_by_runs_with_kills_agree_with_the_reference() {
    histories(&Killed(all_by_runs()), 30_000..30_060).await;
}

/// What clients see of a source, but for times and stamps.
pub(crate) async fn shown<S: Store>(world: &World<S>) -> Vec<(String, u32, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for name in ["person", "place"] {
        all.extend(world.resources(name, 1_000).await);
    }
    for name in ["livesIn", "partner", "knows"] {
        all.extend(world.edges(name, &EdgeFilter::default(), 1_000).await);
    }
    let of = |record: Record| {
        let (body, identifiers) = (record.body.to_vec(), record.identifiers.to_vec());
        (record.id.to_string(), record.head.version, body, identifiers)
    };
    all.into_iter().map(of).collect()
}

/// Requests whose chunks go wrong visibly if one of them is applied twice, or not at all: with identifiers, edges, and
/// deletes of what has some.
pub(crate) fn requests() -> Vec<Vec<Op>> {
    let people = (0..60).map(|at| {
        let id = format!("id-{}", at % 17);
        match at % 5 {
            0 => create("person", &id, at),
            1 | 2 => upsert("person", &id, at).identified_by(&[&format!("tax:{}:official", at % 3)]),
            3 => upsert("person", &id, at).with_body(noise(3_000, at.into())),
            _ => delete("person", &format!("id-{}", at % 7)),
        }
    });
    let places = (0..10).map(|at| create("place", &format!("place-{at}"), at));
    let edges = (0..40).map(|at| {
        let (from, to) = (format!("id-{}", at % 17), format!("id-{}", at % 11));
        match at % 4 {
            0 => part("knows", &from, &to),
            1 => join("knows", &from, &to, at),
            _ => rejoin("knows", &from, &to, at),
        }
    });
    let ends = (0..30).map(|at| match at % 2 {
        0 => delete("person", &format!("id-{}", at % 17)),
        _ => create("person", &format!("id-{}", at % 13), at),
    });
    vec![people.chain(places).collect(), edges.collect(), ends.collect()]
}

/// The world after each operation of these requests, as the reference leaves it.
pub(crate) async fn after_each_operation(requests: &[Vec<Op>]) -> Vec<Vec<(String, u32, Vec<u8>, Vec<u8>)>> {
    let world = World::new(MemoryStore::new(limits())).await;
    for ops in requests {
        world.accept(ops).await;
    }
    let mut all = vec![shown(&world).await];
    while let Some(lane) = world.claim().await {
        while let Step::Applied(_) = world.step(&lane, operations(1)).await {
            all.push(shown(&world).await);
        }
        world.store.release_lane(lane).await;
    }
    all
}

/// How many operations of all tasks are decided.
pub(crate) async fn decided<S: Store>(world: &World<S>, tasks: &[StoredTask]) -> usize {
    let mut count = 0;
    for task in tasks {
        count += world.task(task).await.cursor as usize;
    }
    count
}

/// Copies a folder as it stands while the database goes on tidying itself up.
pub(crate) fn copy_while_open(from: &Path, to: &Path) {
    fn names(folder: &Path, all: &mut Vec<(std::path::PathBuf, u64)>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            match metadata.is_dir() {
                true => names(&entry.path(), all)?,
                false => all.push((entry.path(), metadata.len())),
            }
        }
        Ok(())
    }
    loop {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let copied = names(from, &mut before).is_ok()
            && std::panic::catch_unwind(|| copy_folder(from, to)).is_ok()
            && names(from, &mut after).is_ok();
        if copied && before == after {
            return;
        }
        fs::remove_dir_all(to).unwrap();
    }
}

type Copies = Arc<Mutex<Vec<(RunStep, tempfile::TempDir)>>>;

fn taken(copies: &Copies) -> Vec<(RunStep, tempfile::TempDir)> {
    std::mem::take(&mut *copies.lock().unwrap())
}

/// A store in a new folder that copies the folder at each step of each run.
fn copying(fixture: &OnDisk, copies: &Copies) -> (tempfile::TempDir, EmbeddedStore) {
    let folder = fixture.new_folder();
    let (from, copies, parent) = (
        folder.path().to_owned(),
        Arc::clone(copies),
        fixture.parent.clone(),
    );
    let observer = move |step| {
        let copy = match &parent {
            Some(parent) => tempfile::tempdir_in(parent).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        copy_while_open(&from, copy.path());
        copies.lock().unwrap().push((step, copy));
    };
    let runs = Runs {
        observer: Some(Arc::new(observer)),
        ..fixture.runs.clone()
    };
    let store = EmbeddedStore::open_with(folder.path(), limits(), runs, Collection::by_hand()).unwrap();
    (folder, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_run_loses_nothing_and_repeats_nothing() {
    let expected = after_each_operation(&requests()).await;
    let (fixture, copies) = (all_by_runs(), Copies::default());
    let (_folder, store) = copying(&fixture, &copies);
    let world = World::new(store.clone()).await;
    // Another source, whose chunks are committed and not synced when runs of the first go in.
    let mut other = World::bare_named(store, "meadow").await;
    other.define_types().await;
    let mut tasks = Vec::new();
    for ops in requests() {
        tasks.push(world.accept(&ops).await);
    }
    let others: Vec<Op> = (0..200)
        .map(|at| upsert("person", &format!("id-{}", at % 23), at))
        .collect();
    let of_other = other.accept(&others).await;
    let mut seen = std::collections::HashMap::new();
    let (mut lanes, mut at) = (Vec::new(), 0);
    while let Some(lane) = world.claim().await {
        lanes.push(lane);
    }
    loop {
        // The budget of the other source is such that it goes by batches as well: those have no head.
        let lane = &lanes[at % lanes.len()];
        at += 1;
        let before = (decided(&world, &tasks).await, other.task(&of_other).await.cursor);
        let step = world.step(lane, operations(17)).await;
        for (step, copy) in taken(&copies) {
            *seen.entry(format!("{step:?}")).or_insert(0) += 1;
            let after = fixture.open(copy.path(), limits());
            let found = World::found(after.clone()).await;
            let mut found_other = World::bare_named(after, "meadow").await;
            found_other.refresh().await;
            let (count, other_count) = (
                decided(&found, &tasks).await,
                found_other.task(&of_other).await.cursor,
            );
            assert!(count >= before.0 && other_count >= before.1, "at {step:?}");
            assert_eq!(
                shown(&found).await,
                expected[count],
                "at {step:?}, {count} decided"
            );
            assert!(fs::read_dir(copy.path().join("redo")).unwrap().next().is_none());
            found.apply_all(operations(50)).await;
            found.settle().await;
            assert_eq!(
                shown(&found).await,
                expected[expected.len() - 1],
                "at {step:?}, and went on"
            );
        }
        if step == Step::Idle && at > 60 {
            break;
        }
    }
    for step in ["Written", "Committed", "Synced", "Taken", "Ingested", "Removed"] {
        assert!(seen.get(step).is_some_and(|count| *count > 5), "{seen:?}");
    }
    assert!(
        seen["Taken"] > seen["Ingested"],
        "runs of edges go into two trees: {seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_followed_a_run_is_not_undone_by_its_redo_file() {
    let (fixture, copies) = (all_by_runs(), Copies::default());
    let (folder, store) = copying(&fixture, &copies);
    let world = World::new(store).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    // The file of the run, whose end may not be durable for a while after it was removed.
    let copies = taken(&copies);
    let (_, ingested) = copies
        .iter()
        .rfind(|(step, _)| *step == RunStep::Ingested)
        .unwrap();
    let mut files = fs::read_dir(ingested.path().join("redo")).unwrap();
    let file = files.next().unwrap().unwrap();
    for write in [upsert("person", "ann", 2), delete("person", "ann")] {
        let ann = world.put(&[write]).await.remove(0);
        let left = fixture.new_folder();
        copy_while_open(folder.path(), left.path());
        fs::copy(file.path(), left.path().join("redo").join(file.file_name())).unwrap();
        let after = World::found(EmbeddedStore::open(left.path(), limits()).unwrap()).await;
        assert_eq!(after.record("person", &resource("ann")).await, ann);
        assert_eq!(after.body("person", "bob").await, Some(body(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redo_file_that_is_not_whole_refuses_the_start_only_where_it_is_needed() {
    let (fixture, copies) = (all_by_runs(), Copies::default());
    let (_folder, store) = copying(&fixture, &copies);
    let world = World::new(store).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    let mut refused = 0;
    for (step, copy) in taken(&copies) {
        let Some(file) = fs::read_dir(copy.path().join("redo")).unwrap().next() else {
            continue;
        };
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let opened = EmbeddedStore::open(copy.path(), limits());
        match step {
            RunStep::Written => assert!(opened.is_ok(), "it belongs to nothing"),
            // Whether the journal had reached the file is chance.
            RunStep::Committed => {}
            _ => {
                let error = opened.err().expect("a run is missing").to_string();
                assert!(error.contains("is damaged"), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 3);
}

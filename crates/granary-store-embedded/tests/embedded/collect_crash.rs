//! Deaths while segments are collected: the folder as it stands at each step of each round, opened again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fjall::{Database, KeyspaceCreateOptions};
use granary_store::suite::world::*;
use granary_store::{EdgeFilter, Record, Store as _};
use granary_store_embedded::{CollectStep, Collection, EmbeddedStore, RunStep, Runs};

use crate::collect::everything;
use crate::runs::copy_while_open;
use crate::{OnDisk, limits};

type Copies<S> = Arc<Mutex<Vec<(S, tempfile::TempDir)>>>;

/// What copies a folder at each step.
fn copier<S: Send + 'static>(
    fixture: &OnDisk,
    from: &Path,
    copies: &Copies<S>,
) -> impl Fn(S) + Send + Sync + use<S> {
    let (from, copies) = (from.to_owned(), Arc::clone(copies));
    let parent = fixture.parent.clone();
    move |step| {
        let copy = match &parent {
            Some(parent) => tempfile::tempdir_in(parent).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        copy_while_open(&from, copy.path());
        copies.lock().unwrap().push((step, copy));
    }
}

fn taken<S>(copies: &Copies<S>) -> Vec<(S, tempfile::TempDir)> {
    std::mem::take(&mut *copies.lock().unwrap())
}

/// All records with their bodies.
async fn shown(world: &World<EmbeddedStore>) -> Vec<(String, u32, Vec<u8>)> {
    let mut all = world.resources("person", 1_000).await;
    all.extend(world.edges("knows", &EdgeFilter::default(), 1_000).await);
    let of = |record: Record| (record.id.to_string(), record.head.version, record.body.to_vec());
    all.into_iter().map(of).collect()
}

/// Sees that the files of a store that is closed are those that its rows name, and no others.
pub(crate) fn only_named_files(folder: &Path) {
    let db = Database::builder(folder.join("db")).open().unwrap();
    let segments = db.keyspace("segments", KeyspaceCreateOptions::default).unwrap();
    let mut named = BTreeSet::new();
    for row in segments.iter() {
        let (key, value) = row.into_inner().unwrap();
        let segment = u32::from_be_bytes(key.as_ref().try_into().unwrap());
        let (operations, bodies): (u64, u64) = postcard::from_bytes(&value).unwrap();
        for (kind, bytes) in [("operations", operations), ("bodies", bodies)] {
            if bytes > 0 {
                named.insert((format!("{segment:010}.{kind}"), bytes));
            }
        }
    }
    let files = fs::read_dir(folder.join("segments"))
        .unwrap()
        .map(|file| file.unwrap());
    let found: BTreeSet<(String, u64)> = files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, file.metadata().unwrap().len())
        })
        .collect();
    assert_eq!(found, named);
}

fn requests() -> Vec<Vec<Op>> {
    let person = |at: u64, round: u64| {
        upsert("person", &format!("id-{at:02}"), 0).with_body(noise(2_000, at * 10 + round))
    };
    let knows = |at: u64, round: u64| {
        let (from, to) = (format!("id-{at:02}"), format!("id-{:02}", at * 7 % 60));
        rejoin("knows", &from, &to, 0).with_body(noise(1_500, at * 10 + round))
    };
    vec![
        (0..60).map(|at| person(at, 0)).collect(),
        (0..60).map(|at| knows(at, 0)).collect(),
        (0..60).filter(|at| at % 3 > 0).map(|at| person(at, 1)).collect(),
        (0..60).filter(|at| at % 2 > 0).map(|at| knows(at, 1)).collect(),
        (10..20)
            .map(|at| delete("person", &format!("id-{at:02}")))
            .collect(),
    ]
}

fn by_runs() -> Runs {
    Runs {
        operations: 1,
        operations_beside_writes: 1,
        heads_min: 1,
        observer: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_round_loses_nothing_and_leaves_no_file() {
    let fixture = OnDisk::in_memory();
    let folder = fixture.new_folder();
    let copies = Copies::default();
    let collection = Collection {
        window_heads_max: 80,
        batch_heads_max: 30,
        observer: Some(Arc::new(copier(&fixture, folder.path(), &copies))),
        ..everything()
    };
    let store = EmbeddedStore::open_with(folder.path(), limits(), by_runs(), collection).unwrap();
    let world = World::new(store).await;
    let mut seen = std::collections::BTreeMap::new();
    for ops in requests() {
        world.bulk(&ops).await;
        let expected = shown(&world).await;
        world.store.collect().await.unwrap();
        world.settle().await;
        assert_eq!(shown(&world).await, expected);
        for (step, copy) in taken(&copies) {
            *seen.entry(format!("{step:?}")).or_insert(0) += 1;
            let open = || EmbeddedStore::open_with(copy.path(), limits(), by_runs(), everything()).unwrap();
            let after = World::found(open()).await;
            assert_eq!(shown(&after).await, expected, "at {step:?}");
            after.store.close().await.unwrap();
            drop(after);
            only_named_files(copy.path());
            // The round that comes next does what was left.
            let after = World::found(open()).await;
            after.store.collect().await.unwrap();
            after.settle().await;
            assert_eq!(shown(&after).await, expected, "at {step:?}, and went on");
            after.store.close().await.unwrap();
            drop(after);
            only_named_files(copy.path());
        }
    }
    for step in [
        "Found", "Copied", "Synced", "Named", "Pointed", "Retired", "Durable", "Unread", "Removed",
    ] {
        assert!(seen.get(step).is_some_and(|count| *count > 3), "{seen:?}");
    }
}

/// Nothing takes time before the copy, so that only a sync of the round itself can have brought its heads to the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_was_moved_for_good_before() {
    let fixture = OnDisk::in_memory();
    let folder = fixture.new_folder();
    let copies = Copies::default();
    let copy = copier(&fixture, folder.path(), &copies);
    let at_end = move |step| {
        if step == CollectStep::Removed {
            copy(step);
        }
    };
    let collection = Collection {
        window_heads_max: 1_000,
        batch_heads_max: 1_000,
        observer: Some(Arc::new(at_end)),
        ..everything()
    };
    let runs = Runs {
        heads_min: usize::MAX,
        ..Runs::default()
    };
    let store = EmbeddedStore::open_with(folder.path(), limits(), runs, collection).unwrap();
    let world = World::new(store).await;
    for ops in requests() {
        world.bulk(&ops).await;
        let expected = shown(&world).await;
        world.store.collect().await.unwrap();
        for (_, copy) in taken(&copies) {
            let after = World::found(EmbeddedStore::open(copy.path(), limits()).unwrap()).await;
            assert_eq!(shown(&after).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redo_file_puts_back_heads_that_point_to_what_was_removed() {
    let fixture = OnDisk::in_memory();
    let folder = fixture.new_folder();
    let (of_runs, of_rounds) = (Copies::default(), Copies::default());
    let runs = Runs {
        observer: Some(Arc::new(copier(&fixture, folder.path(), &of_runs))),
        ..by_runs()
    };
    let collection = Collection {
        window_heads_max: 1_000,
        batch_heads_max: 15,
        observer: Some(Arc::new(copier(&fixture, folder.path(), &of_rounds))),
        ..everything()
    };
    let store = EmbeddedStore::open_with(folder.path(), limits(), runs, collection).unwrap();
    let world = World::new(store).await;
    // The last thing that the lane does is a run, so that its row goes on naming it.
    world.bulk(&requests()[0]).await;
    let expected = shown(&world).await;
    let runs = taken(&of_runs);
    let (_, ingested) = runs.iter().rfind(|(step, _)| *step == RunStep::Ingested).unwrap();
    let redo = fs::read_dir(ingested.path().join("redo"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    world.store.collect().await.unwrap();
    let rounds = taken(&of_rounds);
    assert!(rounds.iter().any(|(step, _)| *step == CollectStep::Removed));
    for (step, copy) in rounds {
        // That it was removed need not have reached the disk.
        fs::copy(redo.path(), copy.path().join("redo").join(redo.file_name())).unwrap();
        let after =
            World::found(EmbeddedStore::open_with(copy.path(), limits(), by_runs(), everything()).unwrap())
                .await;
        assert_eq!(shown(&after).await, expected, "at {step:?}");
        after.store.collect().await.unwrap();
        after.settle().await;
        assert_eq!(shown(&after).await, expected, "at {step:?}, and went on");
    }
}

//! A process that is killed: what it leaves is the folder as it stands at that moment. (Power cuts, which also lose
//! what was not synced, are another test.)

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::suite::world::*;
use granary_store::{Step, Store as _, StoreLimits};
use granary_store_embedded::EmbeddedStore;

use crate::runs::{after_each_operation, decided, requests, shown};
use crate::{OnDisk, limits};

/// Copies a folder that is in use. Blocks of zeros become holes: the database sets 64 MB aside for each journal.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
            continue;
        }
        let (mut source, mut target) = (File::open(&path).unwrap(), File::create(to.join(name)).unwrap());
        let mut block = vec![0; 256 * 1024];
        let mut length = 0;
        loop {
            let count = source.read(&mut block).unwrap();
            if count == 0 {
                break;
            }
            length += count as u64;
            match block[..count].iter().all(|byte| *byte == 0) {
                true => _ = target.seek(SeekFrom::Current(count as i64)).unwrap(),
                false => target.write_all(&block[..count]).unwrap(),
            }
        }
        target.set_len(length).unwrap();
    }
}

/// Stores that are never stopped in order: a reopen opens what a kill at that moment would have left.
pub(crate) struct Killed(pub(crate) OnDisk);

impl Fixture for Killed {
    type Store = EmbeddedStore;

    async fn with_limits(&self, limits: StoreLimits) -> EmbeddedStore {
        self.0.with_limits(limits).await
    }

    async fn reopen(&self, store: EmbeddedStore) -> Option<EmbeddedStore> {
        let (folder, limits) = self.0.folder(&store);
        let left = self.0.new_folder();
        copy_folder(&folder, left.path());
        drop(store);
        let store = self.0.open(left.path(), limits);
        let mut stores = self.0.stores.lock().unwrap();
        stores.insert(store.hash_key(), (left, limits));
        Some(store)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_with_kills_agree_with_the_reference() {
    histories(&Killed(OnDisk::in_memory()), 10_000..10_100).await;
}

/// A request whose chunks go wrong visibly if one of them is applied twice, or not at all.
fn ops() -> Vec<Op> {
    let mut ops = Vec::new();
    for at in 0..40 {
        ops.push(create("person", &format!("id-{}", at % 13), at));
        ops.push(upsert("person", &format!("id-{}", at % 7), at).with_body(noise(3_000, at.into())));
        if at % 3 == 0 {
            ops.push(delete("person", &format!("id-{}", at % 5)));
        }
    }
    ops
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shown_is_there_after_a_kill_at_any_chunk() {
    let reference = World::new(granary_store::memory::MemoryStore::new(limits())).await;
    let expected = reference.bulk(&ops()).await;
    let expected = codes(&reference.receipts(&expected).await);

    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&ops()).await;
    let lane = world.claim().await.unwrap();
    let mut shown = 0;
    while let Step::Applied(_) = world.step(&lane, operations(5)).await {
        let read = world.task(&task).await;
        let records = world.resources("person", 100).await;
        assert!(read.cursor >= shown, "what was shown is not taken back");
        shown = read.cursor;

        let left = fixture.new_folder();
        copy_folder(&fixture.folder(&world.store).0, left.path());
        let after = World::found(EmbeddedStore::open(left.path(), limits()).unwrap()).await;
        let found = after.task(&task).await;
        assert!(
            found.cursor >= read.cursor,
            "{} was shown, {} is there",
            read.cursor,
            found.cursor
        );
        if found.cursor == read.cursor {
            assert_eq!(after.resources("person", 100).await, records);
        }
        after.apply_all(operations(7)).await;
        let found = after.task(&task).await;
        assert_eq!(codes(&after.receipts(&found).await), expected);
        let bodies = |records: Vec<granary_store::Record>| -> Vec<_> {
            let of = |record: granary_store::Record| {
                (record.id, record.head.version, record.head.stamp, record.body)
            };
            records.into_iter().map(of).collect()
        };
        assert_eq!(
            bodies(after.resources("person", 100).await),
            bodies(reference.resources("person", 100).await)
        );
    }
    world.settle().await;
    assert_eq!(codes(&world.receipts(&world.task(&task).await).await), expected);
}

/// Where the journal of a database ends after each of its commits. The last row of each has this key, and behind it are its
/// number and the end of the batch; the next batch is longer than what is left of the margin.
fn ends_of_commits(journal: &[u8]) -> Vec<usize> {
    const KEY: &[u8] = b"number of the commit";
    const MARGIN: usize = 16 + 32;
    // The database sets room aside.
    let used = journal.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let starts = (0..used).filter(|at| journal[*at..].starts_with(KEY));
    starts.map(|at| at + KEY.len() + MARGIN).collect()
}

/// The only journal of a store.
fn journal(folder: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> = fs::read_dir(folder.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "jnl"))
        .collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Nothing of this is synced on its own, so a cut of power may leave any of it, from the first on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_commit_is_the_last_a_task_is_as_far_as_its_records() {
    let expected = after_each_operation(&requests()).await;
    let reference = World::new(granary_store::memory::MemoryStore::new(limits())).await;
    let mut receipts = Vec::new();
    for ops in requests() {
        receipts.push(codes(&reference.receipts(&reference.bulk(&ops).await).await));
    }

    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let mut tasks = Vec::new();
    for ops in requests() {
        tasks.push(world.accept(&ops).await);
    }
    world.settle().await;
    let from = fixture.folder(&world.store).0;
    let path = journal(&from);
    let accepted = ends_of_commits(&fs::read(&path).unwrap()).len();
    world.apply_all(operations(7)).await;
    world.settle().await;
    let whole = fs::read(&path).unwrap();
    let ends = ends_of_commits(&whole);
    let mut seen = BTreeSet::new();
    for end in &ends[accepted - 1..] {
        let left = fixture.new_folder();
        copy_folder(&from, left.path());
        let journal = journal(left.path());
        fs::write(&journal, &whole[..*end]).unwrap();
        // It is not synced either.
        fs::remove_file(left.path().join("SYNCED")).unwrap();
        let after = World::found(fixture.open(left.path(), limits())).await;
        let count = decided(&after, &tasks).await;
        seen.insert(count);
        assert_eq!(shown(&after).await, expected[count], "{count} decided");
        after.apply_all(operations(50)).await;
        after.settle().await;
        assert_eq!(
            shown(&after).await,
            expected[expected.len() - 1],
            "{count} decided"
        );
        for (task, expected) in tasks.iter().zip(&receipts) {
            let receipts = after.receipts(&after.task(task).await).await;
            assert_eq!(codes(&receipts), *expected, "{count} decided");
        }
    }
    assert_eq!(seen.first(), Some(&0));
    assert_eq!(seen.last(), Some(&(expected.len() - 1)));
    assert!(seen.len() > 20, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_a_kill() {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let waiting = world.accept(&ops()).await;
    let written = world
        .put(&[create("person", "ann", 1), create("place", "rome", 1)])
        .await;
    let left = fixture.new_folder();
    copy_folder(&fixture.folder(&world.store).0, left.path());
    // An upload that was under way is gone, with its files.
    let upload = world
        .upload(&[create("person", "bob", 1).with_body(noise(100_000, 1))])
        .await
        .unwrap();
    let with_upload = fixture.new_folder();
    copy_folder(&fixture.folder(&world.store).0, with_upload.path());
    drop(upload);

    for folder in [left.path(), with_upload.path()] {
        let after = World::found(EmbeddedStore::open(folder, limits()).unwrap()).await;
        assert_eq!(after.task(&waiting).await.task, waiting.task);
        assert_eq!(after.record("person", &resource("ann")).await, written[0]);
        assert_eq!(after.record("place", &resource("rome")).await, written[1]);
        assert_eq!(after.spooled().await, world.store.spooled_bytes().await.unwrap());
        let files = fs::read_dir(folder.join("segments")).unwrap().count();
        assert_eq!(files, 2, "those of the task that waits");
    }
}

//! A bit that flipped: a clear error for what it was in, never a wrong record, and all the rest stays readable.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use fjall::{Database, KeyspaceCreateOptions};
use granary_store::suite::Fixture;
use granary_store::suite::world::*;
use granary_store::{Store as _, StoreError, StoredTask};
use granary_store_embedded::EmbeddedStore;

use crate::crash::copy_folder;
use crate::folder::segment_file;
use crate::{OnDisk, limits};

pub(crate) fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).unwrap();
}

async fn opened(folder: &Path) -> World<EmbeddedStore> {
    World::found(EmbeddedStore::open(folder, limits()).unwrap()).await
}

/// Records in several blocks of bodies and of operations.
fn ops() -> Vec<Op> {
    let op = |at: u64| create("person", &format!("id-{at:04}"), 0).with_body(noise(100, at));
    (0..1_200).map(op).collect()
}

/// Places all over a file: its start, its end and some between.
fn places(path: &Path) -> Vec<u64> {
    let length = fs::metadata(path).unwrap().len();
    let between = (1..12).map(|part| length * part / 12);
    [0, 9, 13, 16, 20, 24, 32]
        .into_iter()
        .chain(between)
        .chain([length - 9, length - 1])
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_among_bodies_is_told_and_spoils_no_other_block() {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    world.bulk(&ops()).await;
    world.put(&[create("person", "alone", 1)]).await;
    let (folder, _) = fixture.folder(&world.store);
    let number = world.number("person");
    drop(world.store);
    let path = segment_file(&folder, "bodies");
    for at in places(&path) {
        flip(&path, at);
        let world = opened(&folder).await;
        let mut damaged = 0;
        for op in ops() {
            match world.store.record(&world.source, number, &op.id).await {
                Ok(Some(record)) => assert!(record.body == op.body, "{at}: a wrong record"),
                Err(StoreError::Damaged(what)) => {
                    assert!(what.contains("segment"), "{what}");
                    damaged += 1;
                }
                other => panic!("{at}: {other:?}"),
            }
        }
        // The header is that of the file; a block is one of several.
        match at {
            0..16 => assert_eq!(damaged, 1_200, "{at}"),
            // What a length before compression says is not needed to read the block, unless it is too short.
            20..24 => assert!(damaged < 600, "{at}"),
            _ => assert!(damaged > 0 && damaged < 600, "{at}: {damaged}"),
        }
        assert_eq!(world.body("person", "alone").await, Some(body(1)));
        drop(world);
        flip(&path, at);
    }
    let world = opened(&folder).await;
    assert_eq!(world.resources("person", 500).await.len(), 1_201);
}

/// The receipts of a task one by one: how many could not be read. None is wrong.
async fn damaged_receipts(world: &World<EmbeddedStore>, task: &StoredTask) -> usize {
    let mut damaged = 0;
    for at in (0..1_200).step_by(25) {
        match world.store.receipts(task, at, 1).await {
            Ok(receipts) => {
                assert_eq!(receipts[0].id, format!("id-{at:04}"));
                assert_eq!(codes(&receipts), [200]);
            }
            Err(StoreError::Damaged(_)) => damaged += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    damaged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_among_operations_is_told_and_nothing_wrong_is_applied() {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let done = world.bulk(&ops()).await;
    let again: Vec<Op> = ops()
        .into_iter()
        .map(|op| upsert("place", &op.id.to_string(), 0).with_body(op.body))
        .collect();
    let waiting = world.accept(&again).await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    let path = segment_file(&folder, "operations");
    for at in places(&path) {
        flip(&path, at);
        let world = opened(&folder).await;
        let damaged = damaged_receipts(&world, &done).await;
        let of_length = (20..24).contains(&at);
        assert!(damaged > 0 || of_length, "{at}");
        assert_eq!(
            world.resources("person", 500).await.len(),
            1_200,
            "records need no operations"
        );
        drop(world);
        flip(&path, at);
    }

    // The second segment is that of the task that waits.
    let mut paths: Vec<_> = fs::read_dir(folder.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let path = paths
        .into_iter()
        .rfind(|path| path.extension().is_some_and(|kind| kind == "operations"))
        .unwrap();
    let length = fs::metadata(&path).unwrap().len();
    for at in [40, length / 2, length - 12, length - 20] {
        flip(&path, at);
        let world = opened(&folder).await;
        let lane = world.claim().await.unwrap();
        let now = world.now();
        // Whole chunks before the damage may go; the one that meets it does not.
        let mut outcome = Ok(granary_store::Step::Idle);
        for _ in 0..20 {
            outcome = world.store.apply_chunk(&lane, operations(100), now).await;
            if outcome.is_err() {
                break;
            }
        }
        assert!(
            matches!(outcome, Err(StoreError::Damaged(_))),
            "{at}: {outcome:?}"
        );
        world.settle().await;
        let cursor = world.task(&waiting).await.cursor;
        let stored = world.resources("place", 500).await;
        assert_eq!(
            stored.len() as u64,
            cursor,
            "{at}: effects and cursor are together"
        );
        for (record, op) in stored.iter().zip(&again) {
            assert!(
                record.id == op.id && record.body == op.body,
                "{at}: a wrong record"
            );
        }
        world.store.release_lane(lane).await;
        drop(world);
        flip(&path, at);
    }
    let world = opened(&folder).await;
    world.apply_all(WHOLE).await;
    assert_eq!(world.task(&waiting).await.task.counts.success, 1_200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_receipts_is_told_and_spoils_no_other_chunk() {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let task = world.accept(&ops()).await;
    world.apply_all(operations(600)).await;
    let task = world.task(&task).await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    let change = |at: Option<usize>, good: &mut Option<(Vec<u8>, Vec<u8>)>| {
        let db = Database::builder(folder.join("db")).open().unwrap();
        let receipts = db.keyspace("receipts", KeyspaceCreateOptions::default).unwrap();
        let (key, row) = good.get_or_insert_with(|| {
            let (key, row) = receipts.iter().next_back().unwrap().into_inner().unwrap();
            (key.to_vec(), row.to_vec())
        });
        let mut row = row.clone();
        if let Some(at) = at {
            row[at] ^= 0x10;
        }
        receipts.insert(key.clone(), row).unwrap();
        db.persist(fjall::PersistMode::SyncAll).unwrap();
    };
    let mut good = None;
    for at in [0, 8, 10, 13] {
        change(Some(at), &mut good);
        let world = opened(&folder).await;
        assert_eq!(
            damaged_receipts(&world, &task).await,
            24,
            "{at}: those of the second chunk"
        );
        assert_eq!(world.resources("person", 500).await.len(), 1_200);
    }
    change(None, &mut good);
    assert_eq!(damaged_receipts(&opened(&folder).await, &task).await, 0);
}

/// Also in the frame of a batch, where a flip looks to the database like the torn end that a kill leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_journal_is_refused() {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    for at in 0..20 {
        world.put(&[create("person", &format!("id-{at:02}"), at)]).await;
    }
    let (folder, _) = fixture.folder(&world.store);
    world.store.close().await.unwrap();
    drop(world.store);
    let good = fs::read(folder.join("db/0.jnl")).unwrap();
    let end = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for at in (0..end).step_by(end / 24) {
        let left = fixture.new_folder();
        copy_folder(&folder, left.path());
        flip(&left.path().join("db/0.jnl"), at as u64);
        let Ok(store) = EmbeddedStore::open(left.path(), limits()) else {
            refused += 1;
            continue;
        };
        let world = World::found(store).await;
        let records = world.resources("person", 100).await;
        assert_eq!(records.len(), 20, "byte {at}");
        for (at, record) in (0..).zip(records) {
            assert_eq!(record.id, resource(&format!("id-{at:02}")));
            assert_eq!(record.body.as_ref(), body(at));
        }
    }
    assert!(refused > 20, "{refused}");
}

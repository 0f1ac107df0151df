//! Opening a folder: who may, and what is said where it cannot be opened.

use std::fs;
use std::path::{Path, PathBuf};

use granary_store::suite::Fixture;
use granary_store::suite::world::*;
use granary_store_embedded::{EmbeddedStore, OpenError};

use crate::{OnDisk, limits};

/// Why a folder does not open.
pub(crate) fn refused(folder: &Path) -> OpenError {
    match EmbeddedStore::open(folder, limits()) {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

/// The files of a segment, by kind.
pub(crate) fn segment_file(folder: &Path, kind: &str) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == kind))
        .collect();
    files.sort();
    files.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_is_not_opened_again() {
    let fixture = OnDisk::default();
    let store = fixture.fresh().await;
    let (folder, _) = fixture.folder(&store);
    let error = refused(&folder);
    assert!(
        matches!(&error, OpenError::InUse(found) if *found == folder),
        "{error}"
    );
    assert!(
        error.to_string().contains("in use by another granary process"),
        "{error}"
    );
    // Another handle to the same store holds the folder too.
    let other = store.clone();
    drop(store);
    refused(&folder);
    drop(other);
    EmbeddedStore::open(&folder, limits()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_whose_database_is_missing_loses_no_segment() {
    let fixture = OnDisk::default();
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[upsert("person", "ann", 0).with_body(vec![b'x'; 100_000])])
        .await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    fs::rename(folder.join("db"), folder.join("elsewhere")).unwrap();
    let error = refused(&folder);
    assert!(
        matches!(&error, OpenError::Damaged { what, .. } if what.contains("db/")),
        "{error}"
    );
    // Nor where an empty one stands in its place.
    fs::create_dir(folder.join("db")).unwrap();
    let error = refused(&folder);
    assert!(matches!(&error, OpenError::Damaged { .. }), "{error}");
    fs::remove_dir_all(folder.join("db")).unwrap();
    fs::rename(folder.join("elsewhere"), folder.join("db")).unwrap();
    let world = World::found(EmbeddedStore::open(&folder, limits()).unwrap()).await;
    assert_eq!(
        world.body("person", "ann").await.map(|body| body.len()),
        Some(100_000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_cut_off_is_taken_up() {
    let fixture = OnDisk::default();
    let store = fixture.fresh().await;
    let (folder, _) = fixture.folder(&store);
    drop(store);
    fs::remove_file(folder.join("FORMAT")).unwrap();
    drop(EmbeddedStore::open(&folder, limits()).unwrap());
    assert!(folder.join("FORMAT").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_cut_off_inside_the_database_is_taken_up() {
    let fixture = OnDisk::default();
    let store = fixture.fresh().await;
    let (folder, _) = fixture.folder(&store);
    drop(store);
    let marker = folder.join("db/version");
    // Its journal is there, and its marker is not, or not whole.
    for left in [None, Some(&b""[..]), Some(&[0; 4])] {
        fs::remove_file(folder.join("FORMAT")).unwrap();
        fs::remove_file(&marker).unwrap();
        if let Some(left) = left {
            fs::write(&marker, left).unwrap();
        }
        drop(EmbeddedStore::open(&folder, limits()).unwrap());
        assert!(folder.join("FORMAT").is_file());
    }
    // With a format that is damage, and nothing is removed.
    fs::remove_file(&marker).unwrap();
    refused(&folder);
    assert!(folder.join("db/0.jnl").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_format_is_left_as_it_is() {
    let fixture = OnDisk::default();
    let world = World::new(fixture.fresh().await).await;
    world.put(&[create("person", "ann", 1)]).await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    let format = folder.join("FORMAT");
    let good = fs::read(&format).unwrap();
    fs::write(&format, "granary embedded store, format 7\n").unwrap();
    let error = refused(&folder);
    assert!(matches!(error, OpenError::Newer { found: 7, .. }), "{error}");
    for damaged in [
        &b""[..],
        b"granary",
        b"granary embedded store, format 0",
        b"\xff\xfe",
    ] {
        fs::write(&format, damaged).unwrap();
        let error = refused(&folder);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("FORMAT"), "{error}");
    }
    fs::remove_file(&format).unwrap();
    let error = refused(&folder);
    assert!(
        matches!(&error, OpenError::Damaged { what, .. } if what.contains("FORMAT")),
        "{error}"
    );
    fs::write(&format, good).unwrap();
    let world = World::found(EmbeddedStore::open(&folder, limits()).unwrap()).await;
    assert_eq!(world.body("person", "ann").await, Some(body(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_short_segment_is_named() {
    let fixture = OnDisk::default();
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1).with_body(noise(100_000, 1))])
        .await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    for kind in ["bodies", "operations"] {
        let path = segment_file(&folder, kind);
        let good = fs::read(&path).unwrap();
        let longer = [good.as_slice(), b"x"].concat();
        for found in [
            None,
            Some(&good[..0]),
            Some(&good[..good.len() - 1]),
            Some(&longer),
        ] {
            match found {
                None => fs::remove_file(&path).unwrap(),
                Some(bytes) => fs::write(&path, bytes).unwrap(),
            }
            let error = refused(&folder);
            assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
        fs::write(&path, good).unwrap();
    }
    EmbeddedStore::open(&folder, limits()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_no_task_names_is_removed_and_its_number_not_taken() {
    let fixture = OnDisk::default();
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1).with_body(noise(100_000, 1))])
        .await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    for name in ["0000000077.bodies", "0000000077.operations", "0000000078.bodies"] {
        fs::write(folder.join("segments").join(name), b"cut off").unwrap();
    }
    let world = World::found(EmbeddedStore::open(&folder, limits()).unwrap()).await;
    assert_eq!(fs::read_dir(folder.join("segments")).unwrap().count(), 2);
    assert_eq!(world.body("person", "ann").await, Some(noise(100_000, 1)));
    let task = world
        .accept(&[upsert("person", "ann", 1).with_body(noise(100_000, 2))])
        .await;
    world.apply_all(WHOLE).await;
    assert!(world.task(&task).await.task.completed_at.is_some());
    assert_eq!(world.body("person", "ann").await, Some(noise(100_000, 2)));
    assert_eq!(fs::read_dir(folder.join("segments")).unwrap().count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_bodies_is_not_held_in_memory() {
    let fixture = OnDisk::in_memory();
    let world = World::new(fixture.fresh().await).await;
    let (folder, _) = fixture.folder(&world.store);
    let deletes: Vec<Op> = (0..5_000)
        .map(|at| delete("person", &format!("id-{at}")))
        .collect();
    let upload = world.upload(&deletes).await.unwrap();
    assert_eq!(
        fs::read_dir(folder.join("segments")).unwrap().count(),
        2,
        "it is spooled"
    );
    assert!(world.spooled().await > 5_000, "and counted");
    drop(upload);
    assert_eq!(fs::read_dir(folder.join("segments")).unwrap().count(), 0);
    assert_eq!(world.spooled().await, 0);
}

//! Too much is waiting: what is refused, and when it may come again. The clock is moved by hand, and ten operations a
//! second were applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::limits::Limits;
use granary_core::operation::TargetType;
use granary_core::schema::DefinitionKind;
use granary_engine::{BulkRequest, Clock, Disk, EngineOptions, ImportLine, Intake, SentDefinition};
use granary_store::memory::MemoryStore;
use granary_store::{StoreError, StoreLimits};

use crate::faulty_store::FaultyStore;
use crate::world::{World, bulk_of, create, key, options, pieces, request};

/// What the body of `create` takes in the store.
const BODY_BYTES: u64 = 21;

fn creates(count: usize) -> String {
    bulk_of((0..count).map(|at| create(&format!("id-{at}"), "A")))
}

/// A world that has applied 100 operations within ten seconds, and from now on applies none.
async fn that_was_at_work(limits: Limits, disk: Option<Disk>) -> World {
    let stands_still = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stands_still);
    let store = FaultyStore {
        inner: Arc::new(MemoryStore::new(StoreLimits::from(&limits))),
        before_chunk: Box::new(move |_, _| match flag.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("for the test".into())),
            false => Ok(()),
        }),
        ..FaultyStore::sound()
    };
    let options = EngineOptions { disk, ..options() };
    let world = World::over(Arc::new(store), limits, options).await;
    let task = world.accepted("clinics", &creates(100)).await;
    world.ended(&task).await;
    world.clock.advance(Duration::from_secs(10));
    stands_still.store(true, Ordering::Relaxed);
    world
}

fn full(error: &ErrorObject) -> Option<u32> {
    assert_eq!(
        (error.code, error.error_type),
        (429, ErrorType::ResourceExhausted),
        "{error}"
    );
    error.retry_after
}

async fn refused(world: &World, body: &str) -> ErrorObject {
    world.bulk(request("clinics"), body).await.unwrap_err()
}

/// A request of so many bytes, of whose body nothing is read.
async fn refused_unread(world: &World, bytes: u64) -> ErrorObject {
    let asked = BulkRequest {
        body_bytes: Some(bytes),
        ..request("clinics")
    };
    let unread = stream::once(async { panic!("the body is not to be read") });
    world.engine.bulk(asked, unread).await.unwrap_err()
}

#[tokio::test]
async fn a_source_has_room_for_a_task_once_the_one_that_is_next_has_ended() {
    let limits = Limits {
        tasks_waiting_per_source: 2,
        ..Limits::default()
    };
    let world = that_was_at_work(limits, None).await;
    world.accepted("clinics", &creates(70)).await;
    world.accepted("clinics", &creates(5_000)).await;
    assert_eq!(full(&refused_unread(&world, 100).await), Some(7));
    let clinics = key("clinics");
    let purge = world
        .engine
        .purge(&clinics, TargetType::Resource, "provider", None);
    assert_eq!(full(&purge.await.unwrap_err()), Some(7));
    // It was slower over a longer time, and stood still for the whole of the last minute.
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(full(&refused(&world, &creates(1)).await), Some(28));
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(full(&refused(&world, &creates(1)).await), Some(5));
}

#[tokio::test]
async fn a_task_that_finds_no_room_once_it_was_read_is_told_the_time_too() {
    let limits = Limits {
        tasks_waiting_per_source: 1,
        ..Limits::default()
    };
    let world = that_was_at_work(limits, None).await;
    let first = async {
        world.accepted("clinics", &creates(70)).await;
        Ok(Bytes::from(creates(1)))
    };
    // Another is accepted between its begin and its end.
    let late = world.engine.bulk(request("clinics"), stream::once(first));
    assert_eq!(full(&late.await.unwrap_err()), Some(7));
}

#[tokio::test]
async fn bytes_have_room_once_as_large_a_part_of_what_waits_was_applied() {
    let limits = Limits {
        spool_bytes: 14_000,
        ..Limits::default()
    };
    let world = that_was_at_work(limits, None).await;
    world.accepted("clinics", &creates(600)).await;
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 600 * BODY_BYTES);
    // 6,300 of 12,600 bytes have to go, so 300 of 600 operations.
    let error = refused_unread(&world, 7_700).await;
    assert_eq!(full(&error), Some(30));
    assert!(error.message.contains("spoolBytes of 14000"), "{error}");
    // At the limit it is taken, over it it is not, whatever length was told.
    assert_eq!(full(&refused_unread(&world, 1_401).await), Some(1));
    let error = refused(&world, &creates(200)).await;
    assert_eq!(full(&error), Some(10));
    let asked = BulkRequest {
        body_bytes: Some(1_400),
        ..request("clinics")
    };
    let accepted = world.bulk(asked, &creates(1)).await.unwrap();
    assert!(matches!(accepted, Intake::Accepted(_)), "{accepted:?}");
}

#[tokio::test]
async fn a_request_that_is_alone_is_tried_for_it_is_packed() {
    let limits = Limits {
        spool_bytes: 2 * BODY_BYTES,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let body = creates(2);
    let asked = BulkRequest {
        body_bytes: Some(body.len() as u64),
        ..request("clinics")
    };
    assert!(body.len() as u64 > 2 * BODY_BYTES);
    world.bulk(asked, &body).await.unwrap();
}

#[tokio::test]
async fn a_request_that_has_no_room_even_alone_is_not_told_to_wait() {
    let limits = Limits {
        spool_bytes: 50 * BODY_BYTES,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let error = refused(&world, &creates(600)).await;
    assert_eq!(error.error_type, ErrorType::ContentTooLarge, "{error}");
    assert!(error.message.contains("limit spoolBytes of"), "{error}");
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 0);
    // Where something waits, it is: there may be room later.
    world.accepted("clinics", &creates(1)).await;
    assert!(full(&refused(&world, &creates(600)).await).is_some());
}

#[tokio::test]
async fn a_disk_keeps_room_for_what_is_not_spooled() {
    let free = Arc::new(AtomicU64::new(1_000_000));
    let told = Arc::clone(&free);
    let disk = Disk::telling(move || Ok(told.load(Ordering::Relaxed)));
    let world = that_was_at_work(Limits::default(), Some(disk)).await;
    world.accepted("clinics", &creates(600)).await;
    free.store(1_400, Ordering::Relaxed);
    // 12,600 bytes are spooled, and 80 % of 14,000 may be.
    let error = refused_unread(&world, 1).await;
    assert_eq!(full(&error), Some(7));
    assert!(
        error.message.contains("the disk has room for 11200 bytes"),
        "{error}"
    );
    free.store(3_200, Ordering::Relaxed);
    world.accepted("clinics", &creates(1)).await;

    // It is looked at again while a body is read.
    free.store(1_000_000_000, Ordering::Relaxed);
    let body = bulk_of((0..2_000).map(|at| create(&format!("id-{at}"), &"x".repeat(10_000))));
    let pieces = pieces(&body).enumerate().map(|(at, piece)| {
        if at == 100 {
            free.store(0, Ordering::Relaxed);
        }
        piece
    });
    let error = world.engine.bulk(request("clinics"), pieces).await.unwrap_err();
    assert!(full(&error).is_some());
    assert!(error.message.contains("make room on it"), "{error}");
}

#[tokio::test]
async fn an_empty_server_on_a_full_disk_takes_nothing_in() {
    let options = EngineOptions {
        disk: Some(Disk::telling(|| Ok(0))),
        ..options()
    };
    let world = World::with(Limits::default(), options).await;
    assert_eq!(full(&refused_unread(&world, 1).await), Some(5));
}

#[tokio::test]
async fn an_import_looks_at_the_disk_before_each_page() {
    const ROOM: u64 = (256 << 20) + 1_000;
    let free = Arc::new(AtomicU64::new(2 * ROOM));
    let told = Arc::clone(&free);
    let options = EngineOptions {
        disk: Some(Disk::telling(move || Ok(told.load(Ordering::Relaxed)))),
        ..options()
    };
    let world = World::with(Limits::default(), options).await;
    let now = world.clock.now();
    world.store.put_source(&key("again"), now).await.unwrap();
    let definition = SentDefinition {
        kind: DefinitionKind::Profile,
        key: key("provider"),
        json: r#"{"properties":{}}"#.to_owned(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    let place = world.engine.admit().unwrap();
    let again = key("again");
    let import = world.engine.import(place, &again, vec![definition]);
    let mut import = import.await.unwrap();
    let mut put = async |id: &str| {
        let meta = format!(r#"{{"createdAt":"{now}","updatedAt":"{now}","version":1}}"#);
        let json = format!(r#"{{"id":"{id}","type":"provider","data":{{}},"meta":{meta}}}"#);
        let line = ImportLine {
            number: 1,
            target: TargetType::Resource,
            json: json.into(),
        };
        import.push(line).await?;
        import.flush().await
    };
    put("ada").await.unwrap();
    // Four fifths of it are for records.
    free.store(ROOM, Ordering::Relaxed);
    let error = put("bob").await.unwrap_err();
    assert!(full(&error).is_some(), "{error}");
    assert!(error.message.contains("make room on it"), "{error}");
    free.store(ROOM / 4 * 5, Ordering::Relaxed);
    put("bob").await.unwrap();
}

#[tokio::test]
async fn an_export_may_come_again_when_the_oldest_that_is_open_must_end() {
    let limits = |export_seconds| Limits {
        exports: 1,
        export_seconds,
        ..Limits::default()
    };
    for (export_seconds, seconds) in [(90, 90), (3_600, 300)] {
        let world = World::at_rest(limits(export_seconds)).await;
        let export = async || world.engine.export(&key("clinics")).await;
        let open = export().await.unwrap();
        let told = full(&export().await.err().unwrap());
        assert!(
            told.is_some_and(|told| (seconds - 20..=seconds).contains(&told)),
            "{told:?}"
        );
        drop(open);
        let again = export().await;
        assert!(again.is_ok());
    }
}

#[tokio::test]
async fn a_place_among_the_requests_in_flight_comes_free_as_others_did() {
    let limits = Limits {
        requests_in_flight: 2,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let held = [world.engine.admit().unwrap(), world.engine.admit().unwrap()];
    drop(world.engine.admit_delete().unwrap());
    assert_eq!(
        full(&world.engine.admit().unwrap_err()),
        Some(5),
        "none came free yet"
    );
    drop(held);
    world.clock.advance(Duration::from_secs(20));
    let _held = [world.engine.admit().unwrap(), world.engine.admit().unwrap()];
    assert_eq!(full(&refused_unread(&world, 1).await), Some(10));
}

#[tokio::test]
async fn a_full_server_cancels_deletes_and_reads() {
    let limits = Limits {
        requests_in_flight: 1,
        tasks_waiting_per_source: 1,
        spool_bytes: 600 * BODY_BYTES,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let task = world.accepted("clinics", &creates(600)).await;
    let held = world.engine.admit().unwrap();
    assert!(full(&refused(&world, &creates(1)).await).is_some());
    let read = world.task(&task).await;
    let source = world.engine.source(&key("clinics")).await.unwrap();
    let waited = world.engine.waited_for(&source, read, Duration::from_millis(1));
    assert!(waited.await.unwrap().task.completed_at.is_none());
    let cancelled = world
        .engine
        .cancel(&key("clinics"), task.task.id.ksuid)
        .await
        .unwrap();
    assert!(cancelled.task.completed_at.is_some());
    world.engine.delete_source(&key("clinics"), true).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn those_who_wait_for_a_task_are_bounded_and_others_are_answered_at_once() {
    let limits = Limits {
        waits: 1,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let task = world.accepted("clinics", &creates(1)).await;
    let source = world.engine.source(&key("clinics")).await.unwrap();
    let long = Duration::from_secs(3_600);
    let mut first = Box::pin(world.engine.waited_for(&source, task.clone(), long));
    assert!(futures::poll!(&mut first).is_pending());
    let second = world.engine.waited_for(&source, task.clone(), long);
    let second = tokio::time::timeout(Duration::from_secs(60), second).await;
    assert!(second.unwrap().unwrap().task.completed_at.is_none());
    drop(first);
    let mut third = Box::pin(world.engine.waited_for(&source, task, long));
    assert!(futures::poll!(&mut third).is_pending(), "there is a place again");
}

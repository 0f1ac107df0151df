//! Tasks are kept for their time.

use std::sync::Arc;
use std::time::Duration;

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::idempotency::IdempotencyKey;
use granary_core::limits::Limits;
use granary_core::task::TaskKind;
use granary_engine::{BulkRequest, Change, Intake};
use granary_store::{StoredTask, TaskFilter};
use tokio::sync::Notify;

use crate::faulty_store::FaultyStore;
use crate::world::*;

const HOUR: Duration = Duration::from_secs(3_600);

impl World {
    async fn retired(&self, after: Duration) {
        self.clock.advance(after);
        self.engine.retire_tasks().await.unwrap();
    }

    async fn named(&self, name: &str) -> Result<Option<StoredTask>, ErrorObject> {
        let source = self.engine.source(&key("clinics")).await.unwrap();
        self.engine.task(&source, name).await
    }

    async fn singles(&self) -> usize {
        let source = self.engine.source(&key("clinics")).await.unwrap();
        let filter = TaskFilter {
            kind: Some(TaskKind::Single),
            ..TaskFilter::default()
        };
        self.store.tasks(&source, &filter, None, 100).await.unwrap().len()
    }
}

fn change(name: &str) -> Change {
    Change::Create(format!(r#"{{"data":{{"name":"{name}"}}}}"#).into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_go_at_their_time_and_it_is_told_for_a_while() {
    let world = World::new().await;
    let task = world.accepted("clinics", &bulk_of([create("ada", "Ada")])).await;
    let task = world.ended(&task).await;
    world.write_resource("provider", change("Bob")).await.unwrap();
    let name = task.task.id.to_string();
    world.retired(24 * HOUR).await;
    assert_eq!(world.singles().await, 1, "kept for a day, and not a moment less");
    world.retired(Duration::from_millis(1)).await;
    assert_eq!(world.singles().await, 0);
    world.retired(6 * 24 * HOUR - Duration::from_millis(1)).await;
    assert!(world.named(&name).await.unwrap().is_some(), "kept for a week");
    assert_eq!(world.engine.figures().tasks_removed, 1);
    world.retired(Duration::from_millis(1)).await;
    let gone = world.named(&name).await.unwrap_err();
    assert_eq!((gone.code, gone.error_type), (410, ErrorType::NotFound));
    assert!(gone.message.contains("taskRetentionDays"), "{gone}");
    assert_eq!(world.named(&name["bk_".len()..]).await.unwrap_err(), gone);
    assert!(
        world.named(&name.replace("bk_", "pg_")).await.unwrap().is_none(),
        "no purge had this id"
    );
    assert_eq!(world.engine.figures().tasks_removed, 2);
    world.retired(90 * 24 * HOUR).await;
    assert!(world.named(&name).await.is_err());
    world.retired(Duration::from_millis(1)).await;
    assert!(world.named(&name).await.unwrap().is_none(), "forgotten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_who_reads_what_is_removed() {
    let waits = Arc::new(Notify::new());
    let store = FaultyStore {
        retiring_waits: Some(Arc::clone(&waits)),
        ..FaultyStore::sound()
    };
    let world = World::over(Arc::new(store), Limits::default(), options()).await;
    waits.notified().await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), world.engine.stop()).await;
    assert!(stopped.is_ok(), "the engine stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_goes_while_a_request_that_is_sent_again_is_answered_by_it() {
    let limits = Limits {
        idempotency_key_hours: 48,
        single_task_retention_hours: 1,
        task_retention_days: 1,
        task_retention_bytes: 1,
        ..Limits::default()
    };
    let world = World::with(limits, options()).await;
    let body = bulk_of([create("ada", "Ada")]);
    let once = || {
        let key = IdempotencyKey::parse("k1").unwrap();
        BulkRequest {
            once: Some(world.engine.once("bulk", key, "application/json", "")),
            ..request("clinics")
        }
    };
    let first = match world.bulk(once(), &body).await.unwrap() {
        Intake::Accepted(task) => world.ended(&task).await.task.id,
        other => panic!("not accepted: {other:?}"),
    };
    world.write_resource("provider", change("Bob")).await.unwrap();
    world.retired(48 * HOUR).await;
    let again = world.bulk(once(), &body).await.unwrap();
    assert!(matches!(again, Intake::Replayed(id) if id == first), "{again:?}");
    assert!(world.named(&first.to_string()).await.unwrap().is_some());
    assert_eq!(world.singles().await, 1);
    world.retired(Duration::from_millis(1)).await;
    assert_eq!(world.named(&first.to_string()).await.unwrap_err().code, 410);
    assert_eq!(world.singles().await, 0);
    let anew = world.bulk(once(), &body).await.unwrap();
    assert!(matches!(anew, Intake::Accepted(_)), "{anew:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_go_before_their_time_where_they_are_many() {
    let limits = Limits {
        task_retention_bytes: 100_000,
        ..Limits::default()
    };
    let world = World::with(limits, options()).await;
    let delete = r#"{"action":"DELETE","delete":{"type":"provider","id":"none"}}"#;
    let body = bulk_of((0..200).map(|_| delete.to_owned()));
    let mut names = Vec::new();
    for _ in 0..5 {
        let task = world.accepted("clinics", &body).await;
        names.push(world.ended(&task).await.task.id.to_string());
        world.clock.advance(HOUR);
    }
    world.retired(18 * HOUR).await;
    for name in &names {
        assert!(world.named(name).await.unwrap().is_some(), "a key may ask for it");
    }
    world.retired(24 * HOUR).await;
    let mut kept = Vec::new();
    for name in &names {
        kept.push(world.named(name).await.is_ok());
    }
    // Each takes 39 kB.
    assert_eq!(kept, [false, false, false, true, true]);
}

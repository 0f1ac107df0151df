//! What a task did not do is tried again.

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::limits::Limits;
use granary_core::operation::RecordId;
use granary_core::schema::DefinitionKind;
use granary_core::task::Outcome;
use granary_engine::{Expected, Intake, ReceiptsShown, Retry};
use granary_store::{SentOperation, StoredTask};
use serde_json::json;

use crate::world::*;

impl World {
    async fn retry(&self, parent: &StoredTask) -> Result<Intake, ErrorObject> {
        let retry = Retry {
            source: key("clinics"),
            receipts: ReceiptsShown::All,
            once: None,
        };
        let parent = self.task(parent).await;
        let place = self.engine.admit()?;
        self.engine.retry(place, retry, async { Ok(parent) }).await
    }

    async fn retried(&self, parent: &StoredTask) -> StoredTask {
        match self.retry(parent).await.unwrap() {
            Intake::Accepted(task) => *task,
            other => panic!("not accepted: {other:?}"),
        }
    }

    async fn cancelled(&self, body: &str) -> StoredTask {
        let task = self.accepted("clinics", body).await;
        let id = task.task.id.ksuid;
        self.engine.cancel(&key("clinics"), id).await.unwrap()
    }

    async fn sent(&self, task: &StoredTask) -> Vec<SentOperation> {
        let all: Vec<u64> = (0..task.task.counts.total).collect();
        let mut found = Vec::new();
        while found.len() < all.len() {
            found.extend(self.store.operations(task, &all[found.len()..]).await.unwrap());
        }
        found
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_operations_go_over_as_they_were_accepted() {
    let world = World::at_rest(Limits::default()).await;
    let body = bulk_of((0..5_000).map(|at| match at % 3 {
        0 => format!(r#"{{"action":"CREATE","create":{{"type":"provider","data":{{"name":"n {at}"}}}}}}"#),
        1 => create(&format!("id-{at}"), &"x".repeat(at % 700)),
        _ => format!(r#"{{"action":"DELETE","delete":{{"type":"provider","id":"id-{at}"}}}}"#),
    }));
    let first = world.cancelled(&body).await;
    let retry = world.retried(&first).await;
    assert_eq!(retry.task.retry_of, Some(first.task.id));
    assert_eq!(world.sent(&retry).await, world.sent(&first).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_not_done_is_tried_again() {
    let world = World::new().await;
    let body = bulk_of((0..3_000).map(|at| create(&format!("id-{}", at - at % 2), "x")));
    let first = world.accepted("clinics", &body).await;
    let first = world.ended(&first).await;
    assert_eq!(first.task.counts.failure, 1_500);
    let retry = world.retried(&first).await;
    let retry = world.ended(&retry).await;
    assert_eq!(
        (retry.task.counts.total, retry.task.counts.failure),
        (1_500, 1_500)
    );
    let ids: Vec<_> = world
        .sent(&retry)
        .await
        .into_iter()
        .map(|sent| sent.operation.id)
        .collect();
    let expected: Vec<_> = (0..1_500).map(|at| format!("id-{}", 2 * at)).collect();
    assert_eq!(ids.iter().map(RecordId::to_string).collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_the_server_gave_inside_do_not_make_it_another_operation() {
    let world = World::at_rest(Limits::default()).await;
    let contains =
        json!({"properties": {}, "contained": {"parts": {"types": ["part"], "cardinality": "0:*"}}});
    let clinics = key("clinics");
    let whole = world.define(&clinics, DefinitionKind::Profile, "whole", &contains);
    whole.await.unwrap();
    let upsert = r#"{"action":"UPSERT","upsert":{"id":"w1","type":"whole","data":{},
        "contained":{"parts":[{"type":"part","data":{}},{"id":"p-2","type":"part","data":{}}]}}}"#;
    let upsert = bulk_of([upsert.to_owned()]);
    let stored = world.accepted("clinics", &upsert).await;
    let first = world.cancelled(&upsert).await;
    let retry = world.retried(&first).await;
    let (stored, first, retry) = (
        world.sent(&stored).await.remove(0),
        world.sent(&first).await.remove(0),
        world.sent(&retry).await.remove(0),
    );
    assert_ne!(stored.body, first.body, "each is given ids of its own");
    assert_eq!(stored.operation.hash, first.operation.hash, "which do not count");
    assert_eq!(retry, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_longer_as_it_is_read_back_is_within_the_limits_all_the_same() {
    let line = r#"{"action":"CREATE","create":{"type":"provider","data":{"name":"x"}}}"#;
    let body = bulk_of([line.to_owned(), line.to_owned()]);
    let limits = Limits {
        operation_bytes: line.len() as u64,
        bulk_body_bytes: body.len() as u64,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let first = world.cancelled(&body).await;
    let longer = world.accepted("clinics", &body).await;
    assert_eq!(longer.task.counts.total, 2);
    let retry = world.retried(&first).await;
    assert_eq!(world.sent(&retry).await, world.sent(&first).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_takes_a_place_and_counts_as_waiting() {
    let limits = Limits {
        tasks_waiting_per_source: 1,
        requests_in_flight: 1,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let first = world.cancelled(&bulk_of([create("aa", "A")])).await;
    let place = world.engine.admit().unwrap();
    let refused = world.retry(&first).await.unwrap_err();
    assert!(refused.message.contains("requestsInFlight"), "{refused}");
    drop(place);
    world.retried(&first).await;
    let refused = world.retry(&first).await.unwrap_err();
    assert_eq!(refused.error_type, ErrorType::ResourceExhausted);
    assert!(refused.message.contains("tasksWaitingPerSource"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_a_type_that_is_gone_is_rejected() {
    let world = World::new().await;
    let spare = json!({"properties": {}});
    world
        .define(&key("clinics"), DefinitionKind::Profile, "spare", &spare)
        .await
        .unwrap();
    let delete = r#"{"action":"DELETE","delete":{"type":"spare","id":"none"}}"#;
    let first = world.accepted("clinics", &bulk_of([delete.to_owned()])).await;
    let first = world.ended(&first).await;
    assert_eq!(first.task.outcome(), Some(Outcome::None));
    let (clinics, gone) = (key("clinics"), key("spare"));
    let gone = world
        .engine
        .delete_definition(&clinics, DefinitionKind::Profile, &gone, Expected::Anything);
    gone.await.unwrap();
    let answer = rejected(world.retry(&first).await);
    assert_eq!(answer["receipts"][0]["error"]["type"], "INVALID_ARGUMENT");
}

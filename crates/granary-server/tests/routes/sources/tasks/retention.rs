use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{BULK, PROVIDERS, World, create, shown};

const V1: &str = "/sources/clinics/v1";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl World {
    async fn after(&self, time: Duration) {
        self.clock.advance(time);
        self.engine.retire_tasks().await.unwrap();
    }
}

#[tokio::test]
async fn a_removed_task_is_gone_from_every_path_and_then_unknown() {
    let world = World::new().await;
    let id = world
        .carried_out(BULK, json!([create("ada", "Ada"), create("ada", "Bob")]))
        .await;
    world.after(7 * DAY).await;
    assert!(world.get(&format!("{V1}/tasks/{id}")).await.starts_with("200\n"));
    world.after(Duration::from_secs(1)).await;
    insta::assert_snapshot!(world.get(&format!("{V1}/tasks/{id}")).await, @r#"
    410
    {"code":410,"type":"NOT_FOUND","message":"task bk_[id] was removed by retention at 2026-02-07T08:00:01.000Z: a task is kept for 7 days after its end (taskRetentionDays), less long where they are many (taskRetentionBytes)"}
    "#);
    let paths = ["", "?withReceipts=true", "/receipts", "/operations", "/events"];
    let paths = paths.map(|path| format!("{V1}/tasks/{id}{path}"));
    for path in paths.iter().chain([
        &format!("{BULK}/{id}"),
        &format!("{V1}/tasks/{}", &id["bk_".len()..]),
    ]) {
        assert!(world.get(path).await.starts_with("410\n"), "{path}");
        assert!(world.get_lines(path).await.starts_with("410\n"), "{path}");
    }
    for path in ["cancel", "retry"] {
        let answer = world.call("POST", &format!("{V1}/tasks/{id}/{path}")).await;
        assert!(answer.starts_with("410\n"), "{answer}");
    }
    // No purge had this id.
    let other = id.replace("bk_", "pg_");
    assert!(
        world
            .get(&format!("{V1}/tasks/{other}"))
            .await
            .starts_with("404\n")
    );
    assert_eq!(
        world.get(&format!("{V1}/tasks")).await,
        "200\n{\"data\":[],\"meta\":{}}"
    );
    assert!(world.get(&format!("{PROVIDERS}/ada")).await.starts_with("200\n"));
    world.after(91 * DAY).await;
    insta::assert_snapshot!(world.get(&format!("{V1}/tasks/{id}")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'bk_[id]' does not exist"}
    "#);
}

#[tokio::test]
async fn a_single_write_is_not_found_after_its_time() {
    let world = World::new().await;
    world
        .put(&format!("{PROVIDERS}/ada"), &json!({"data": {"name": "Ada"}}))
        .await;
    let single = world.read(&format!("{V1}/tasks?kind=SINGLE")).await;
    let path = format!("{V1}/tasks/{}", single["data"][0]["taskId"].as_str().unwrap());
    world.after(DAY + Duration::from_secs(1)).await;
    insta::assert_snapshot!(world.get(&path).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 's_[id]' does not exist"}
    "#);
}

#[tokio::test]
async fn a_retry_is_replayed_when_what_it_retried_is_removed() {
    let world = World::new().await;
    let id = world
        .carried_out(BULK, json!([create("ada", "Ada"), create("ada", "Bob")]))
        .await;
    world.after(7 * DAY).await;
    let retry = || {
        let request = world.request(Method::POST, &format!("{V1}/tasks/{id}/retry"));
        request.header("idempotency-key", "k1")
    };
    let first = retry().send().await.unwrap().json::<Value>().await.unwrap();
    world.ended(&format!("{V1}/tasks")).await;
    world.after(Duration::from_secs(1)).await;
    assert!(world.get(&format!("{V1}/tasks/{id}")).await.starts_with("410\n"));
    let again = retry().send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(again, first);
    let new = world
        .read(&format!("{V1}/tasks/{}", first["taskId"].as_str().unwrap()))
        .await;
    assert_eq!(
        new["retryOf"], *id,
        "what it was is told as long as it is there itself"
    );
    let refused = shown(world.request(Method::POST, &format!("{V1}/tasks/{id}/retry"))).await;
    assert!(refused.starts_with("410\n"), "{refused}");
}

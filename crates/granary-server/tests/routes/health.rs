use crate::world::World;

#[tokio::test]
async fn a_server_says_that_it_is_alive_and_ready() {
    let world = World::empty().await;
    insta::assert_snapshot!(world.get("/healthz").await, @r#"
    200
    {"status":"OK","version":"0.1.0"}
    "#);
    insta::assert_snapshot!(world.get("/readyz").await, @r#"
    200
    {"status":"OK","version":"0.1.0"}
    "#);
}

#[tokio::test]
async fn a_server_that_stops_is_alive_but_not_ready() {
    let world = World::empty().await;
    world.engine.stop().await;
    insta::assert_snapshot!(world.get("/healthz").await, @r#"
    200
    {"status":"OK","version":"0.1.0"}
    "#);
    insta::assert_snapshot!(world.get("/readyz").await, @r#"
    503
    retry-after: 1
    {"status":"STOPPING","version":"0.1.0","reason":"the server is stopping"}
    "#);
}

#[tokio::test]
async fn a_server_whose_store_takes_no_writes_is_alive_but_not_ready() {
    let world = World::empty().await;
    world.engine.store().close().await.unwrap();
    insta::assert_snapshot!(world.get("/healthz").await, @r#"
    200
    {"status":"OK","version":"0.1.0"}
    "#);
    insta::assert_snapshot!(world.get("/readyz").await, @r#"
    503
    retry-after: 1
    {"status":"UNAVAILABLE","version":"0.1.0","reason":"the store is not available: it is closed"}
    "#);
}

#[tokio::test]
async fn every_limit_is_shown_by_its_name() {
    let world = World::empty().await;
    insta::assert_snapshot!(world.get("/limits").await, @r#"
    200
    {"apiKeys":1000,"bulkBodyBytes":5000000000,"bundleBytes":500000,"conceptCodeBytes":128000000,"conceptsPerVocabulary":1000000,"definitionBytes":1000000,"definitionDepth":16,"definitionProperties":1000,"definitionRules":100,"definitionsPerSource":1000,"detailedFailures":100000,"detailsPerError":100,"eventStreams":1000,"exportSeconds":3600,"exports":4,"idempotencyKeyHours":24,"identifiersPerRecord":100,"importBytes":1000000000000,"importLineBytes":20000000,"jsonDepth":64,"listLimit":1000,"operationBytes":10000000,"patchOperations":1000,"removedTaskDays":90,"requestsInFlight":64,"singleBodyBytes":10000000,"singleTaskRetentionHours":24,"sourcesPerKey":100,"spoolBytes":50000000000,"taskRetentionBytes":20000000000,"taskRetentionDays":7,"tasksWaitingPerSource":10000,"vocabularies":1000,"waitSeconds":60,"waits":1024}
    "#);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends() {
    let world = World::new().await;
    world.stop.now.cancel();
    world.serving.await.unwrap().unwrap();
    assert!(world.client.get(&world.url).send().await.is_err());
}

#[tokio::test]
async fn a_server_that_says_it_will_stop_serves_until_it_does() {
    let world = World::new().await;
    world.stop.announced.cancel();
    insta::assert_snapshot!(world.get("/readyz").await, @r#"
    503
    retry-after: 1
    {"status":"STOPPING","version":"0.1.0","reason":"the server is stopping"}
    "#);
    let body = serde_json::json!({"data": {"name": "Ada"}});
    let path = format!("{}/ada", crate::world::PROVIDERS);
    assert!(world.put(&path, &body).await.starts_with("201"));
    let answer = world
        .client
        .get(format!("{}{path}", world.url))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["connection"], "close");
    world.stop.now.cancel();
    world.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_only_carries_out_tasks_takes_in_nothing() {
    let world = World::that_takes_nothing_in().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            world.get(path).await,
            "200\n{\"status\":\"OK\",\"version\":\"0.1.0\"}"
        );
    }
    let body = serde_json::json!({});
    insta::assert_snapshot!(world.post(crate::world::BULK, &body).await, @r#"
    503
    retry-after: 1
    {"code":503,"type":"UNAVAILABLE","message":"this server only carries out tasks (its role is worker); send the call to one that takes it in"}
    "#);
    let send = world.client.put(format!("{}/a", world.url));
    let sent = crate::world::shown(send.header("idempotency-key", "1")).await;
    assert!(sent.starts_with("503"), "{sent}");
}

#[tokio::test]
async fn a_server_that_stops_takes_no_new_work() {
    let world = World::new().await;
    world.engine.stop().await;
    let body = serde_json::json!({"data": {"name": "Ada"}});
    insta::assert_snapshot!(world.post(crate::world::PROVIDERS, &body).await, @r#"
    503
    retry-after: 1
    {"code":503,"type":"UNAVAILABLE","message":"the server was stopping; send the request again"}
    "#);
    insta::assert_snapshot!(world.post(crate::world::BULK, &body).await, @r#"
    503
    retry-after: 1
    {"code":503,"type":"UNAVAILABLE","message":"the server was stopping; send the request again"}
    "#);
}

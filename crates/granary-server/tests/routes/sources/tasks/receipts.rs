use crate::world::{BULK, World, create};

/// A task of five operations, of which the second and the fourth fail.
async fn five(world: &World) -> String {
    let ids = ["a1", "a1", "a2", "a2", "a3"];
    let id = world
        .carried_out(BULK, ids.iter().map(|id| create(id, "Ada")).collect())
        .await;
    format!("/sources/clinics/v1/tasks/{id}/receipts")
}

#[tokio::test]
async fn receipts_are_answered_in_pages_and_lines() {
    let world = World::new().await;
    let receipts = five(&world).await;
    insta::assert_snapshot!(world.get(&format!("{receipts}?limit=2")).await, @r#"
    200
    link: </sources/clinics/v1/tasks/bk_[id]/receipts?limit=2&cursor=[cursor]>; rel="next"
    {"data":[{"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a1","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"},{"index":1,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a1","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'a1' already exists"}}],"meta":{"cursor":"[cursor]"}}
    "#);
    insta::assert_snapshot!(world.get_lines(&receipts).await, @r#"
    200
    content-type: application/x-ndjson
    {"index":0,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a1","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    {"index":1,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a1","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'a1' already exists"}}
    {"index":2,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a2","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    {"index":3,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a2","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'a2' already exists"}}
    {"index":4,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a3","status":"SUCCESS","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get_lines(&format!("{receipts}?status=FAILURE&limit=1")).await, @r#"
    200
    content-type: application/x-ndjson
    {"index":1,"action":"CREATE","targetType":"RESOURCE","type":"provider","id":"a1","status":"FAILURE","receivedAt":"2026-01-31T08:00:00.000Z","completedAt":"2026-01-31T08:00:00.000Z","error":{"code":409,"type":"ALREADY_EXISTS","message":"record with id 'a1' already exists"}}
    "#);
}

#[tokio::test]
async fn pages_walk_the_receipts_exactly_once() {
    let world = World::new().await;
    let receipts = five(&world).await;
    for (query, expected) in [
        ("", &["0", "1", "2", "3", "4"][..]),
        ("status=SUCCESS&", &["0", "2", "4"]),
        ("status=FAILURE&", &["1", "3"]),
        ("status=PENDING&", &[]),
        ("status=CANCELLED&", &[]),
        ("from=0&", &["0", "1", "2", "3", "4"]),
        ("from=3&", &["3", "4"]),
        ("from=2&status=FAILURE&", &["3"]),
        ("from=5&", &[]),
        ("from=18446744073709551615&", &[]),
    ] {
        for limit in 1..=6 {
            let found = world
                .walk(&format!("{receipts}?{query}limit={limit}"), "index")
                .await;
            assert_eq!(found, expected, "{query}{limit}");
        }
        let lines = world
            .get_lines(&format!("{receipts}?{}", query.trim_end_matches('&')))
            .await;
        assert_eq!(lines.lines().skip(2).count(), expected.len(), "{query}");
    }
}

#[tokio::test]
async fn pages_walk_many_receipts_exactly_once() {
    let world = World::new().await;
    // Every third fails.
    let id = |n: usize| format!("a{}", if n % 3 == 2 { n - 1 } else { n });
    let operations = (0..2_100).map(|n| create(&id(n), "Ada")).collect();
    let task = world.carried_out(BULK, operations).await;
    let receipts = format!("/sources/clinics/v1/tasks/{task}/receipts");
    for limit in [300, 999, 1_000] {
        let all = world.walk(&format!("{receipts}?limit={limit}"), "index").await;
        assert_eq!(all, (0..2_100).map(|n| n.to_string()).collect::<Vec<_>>());
        let failures = world
            .walk(&format!("{receipts}?status=FAILURE&limit={limit}"), "index")
            .await;
        assert_eq!(
            failures,
            (2..2_100).step_by(3).map(|n| n.to_string()).collect::<Vec<_>>()
        );
    }
    assert_eq!(world.get_lines(&receipts).await.lines().count(), 2 + 2_100);
    assert_eq!(
        world
            .get_lines(&format!("{receipts}?status=FAILURE"))
            .await
            .lines()
            .count(),
        2 + 700
    );
}

#[tokio::test]
async fn receipts_go_on_where_the_first_is_told_again() {
    let world = World::new().await;
    let receipts = five(&world).await;
    let page = world.read(&format!("{receipts}?limit=1&from=1")).await;
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let next = world
        .read(&format!("{receipts}?limit=1&from=1&cursor={cursor}"))
        .await;
    assert_eq!(next["data"][0]["index"], 2);
}

#[tokio::test]
async fn what_receipts_do_not_know_is_refused() {
    let world = World::new().await;
    let receipts = five(&world).await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks/bk_nothing/receipts").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"task 'bk_nothing' does not exist"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{receipts}?status=FAILED")).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: status: unknown variant `FAILED`, expected one of `SUCCESS`, `FAILURE`, `PENDING`, `CANCELLED`"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{receipts}?cursor=x")).await, @r#"
    400
    {"code":400,"type":"OUT_OF_RANGE","message":"the cursor is not of this list; start the list again without it"}
    "#);
    for query in ["limit=0", "limit=1001", "from=-1", "from=x", "status=failure"] {
        for answer in [
            world.get(&format!("{receipts}?{query}")).await,
            world.get_lines(&format!("{receipts}?{query}")).await,
        ] {
            assert!(
                answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
                "{query}: {answer}"
            );
        }
    }
    let other = five(&world).await;
    let page = world.read(&format!("{receipts}?limit=1")).await;
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let answer = world.get(&format!("{other}?cursor={cursor}")).await;
    assert!(
        answer.starts_with("400\n{\"code\":400,\"type\":\"OUT_OF_RANGE\""),
        "{answer}"
    );
}

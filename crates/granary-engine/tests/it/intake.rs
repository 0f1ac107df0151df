//! Bulk requests on their way in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::operation::{RecordId, TargetType};
use granary_core::receipt::ReceiptStatus;
use granary_core::schema::DefinitionKind;
use granary_engine::{BodyError, BodyFormat, BulkRequest, Expected, Intake, ReceiptsShown};
use serde_json::{Value, json};

use crate::world::{World, bulk_of, create, key, pieces, rejected, request};

fn statuses(answer: &Value) -> Vec<&str> {
    let receipts = answer["receipts"].as_array().unwrap();
    receipts
        .iter()
        .map(|receipt| receipt["status"].as_str().unwrap())
        .collect()
}

const NO_NAME: &str = r#"{"action":"CREATE","create":{"type":"provider","data":{"practiceNumber":"12"}}}"#;

#[tokio::test]
async fn an_accepted_request_is_applied_in_order() {
    let world = World::new().await;
    let operations = (0..3_000).map(|n| create(&format!("id-{n}"), "A"));
    let more = [
        create("id-7", "B"),
        r#"{"action":"CREATE","create":{"type":"provider","data":{"name":"C"}}}"#.into(),
        r#"{"action":"UPSERT","upsert":{"id":"id-8","type":"provider","data":{"name":"D"}}}"#.into(),
        r#"{"action":"DELETE","delete":{"id":"id-9","type":"provider"}}"#.into(),
    ];
    let task = world.accepted("clinics", &bulk_of(operations.chain(more))).await;
    assert!(task.task.id.to_string().starts_with("bk_"));
    let ended = world.ended(&task).await;
    assert_eq!(
        (ended.task.counts.total, ended.task.counts.success),
        (3_004, 3_003)
    );
    let receipts = world.receipts(&ended).await;
    for (index, receipt) in receipts.iter().enumerate().take(3_000) {
        assert_eq!(
            (receipt.index, receipt.id.as_str()),
            (index as u64, format!("id-{index}").as_str())
        );
    }
    assert_eq!(receipts[3_000].status, ReceiptStatus::Failure);
    assert_eq!(receipts[3_001].id.len(), 27);
    let id = |raw: &str| RecordId::Resource(raw.parse().unwrap());
    let stored = world.record("clinics", "provider", &id("id-8")).await.unwrap();
    assert_eq!(stored.body, br#"{"data":{"name":"D"}}"#[..]);
    assert_eq!(world.record("clinics", "provider", &id("id-9")).await, None);
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 0);
    world.engine.stop().await;
}

#[tokio::test]
async fn lines_are_operations_too() {
    let world = World::new().await;
    let body = [create("a1", "A"), String::new(), create("a2", "B")].join("\n");
    let request = BulkRequest {
        format: BodyFormat::Ndjson,
        ..request("clinics")
    };
    let Intake::Accepted(task) = world.bulk(request.clone(), &body).await.unwrap() else {
        panic!("accepted")
    };
    assert_eq!(world.ended(&task).await.task.counts.success, 2);
    let answer = rejected(world.bulk(request, &format!("{body}\n{NO_NAME}\n")).await);
    assert_eq!(statuses(&answer), ["CANCELLED", "CANCELLED", "FAILURE"]);
    world.engine.stop().await;
}

#[tokio::test]
async fn edges_are_taken_in_by_their_own_call() {
    let world = World::new().await;
    let ends = bulk_of([create("a1", "A"), create("a2", "B")]);
    let task = world.accepted("clinics", &ends).await;
    world.ended(&task).await;
    let end = |id| json!({"id": id, "type": "provider"});
    let edge =
        json!({"action": "CREATE", "create": {"type": "worksWith", "from": end("a1"), "to": end("a2")}});
    let body = bulk_of([edge.to_string()]);
    let edges = BulkRequest {
        target: TargetType::Relationship,
        ..request("clinics")
    };
    let Intake::Accepted(task) = world.bulk(edges, &body).await.unwrap() else {
        panic!("accepted")
    };
    assert_eq!(world.ended(&task).await.task.counts.success, 1);
    assert_eq!(
        statuses(&rejected(world.bulk(request("clinics"), &body).await)),
        ["FAILURE"]
    );
    world.engine.stop().await;
}

#[tokio::test]
async fn one_fault_rejects_the_whole_request_and_all_faults_are_told() {
    let world = World::at_rest(Limits::default()).await;
    let scalar = "12".to_owned();
    let body = bulk_of([create("a1", "A"), NO_NAME.into(), create("a2", "B"), scalar]);
    let answer = rejected(world.bulk(request("clinics"), &body).await);
    assert_eq!(answer["status"], "REJECTED");
    assert_eq!(answer.get("error"), None);
    assert_eq!(
        statuses(&answer),
        ["CANCELLED", "FAILURE", "CANCELLED", "FAILURE"]
    );
    let error = &answer["receipts"][1]["error"];
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!(400), &json!("INVALID_ARGUMENT"))
    );
    assert_eq!(error["details"].as_array().unwrap().len(), 2, "{error}");

    let failures = BulkRequest {
        receipts: ReceiptsShown::Failures,
        ..request("clinics")
    };
    let answer = rejected(world.bulk(failures, &body).await);
    let indexes: Vec<&Value> = answer["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["index"])
        .collect();
    assert_eq!(indexes, [1, 3]);
    let source = world.engine.source(&key("clinics")).await.unwrap();
    assert!(
        world
            .store
            .tasks(&source, &Default::default(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 0);
}

#[tokio::test]
async fn many_failures_are_answered_in_order_and_the_first_with_details() {
    let limits = Limits {
        detailed_failures: 100,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let count = 20_000;
    let answer = rejected(
        world
            .bulk(request("clinics"), &bulk_of((0..count).map(|_| NO_NAME.into())))
            .await,
    );
    let receipts = answer["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), count);
    for (index, receipt) in receipts.iter().enumerate() {
        let error = &receipt["error"];
        assert_eq!(receipt["status"], "FAILURE");
        assert_eq!(error.get("details").is_some(), index < 100);
        assert_eq!(error.get("detailsTotal").is_some(), index >= 100);
    }
    assert_eq!(world.engine.scratch_bytes(), 0);
}

#[tokio::test]
async fn a_large_rejection_counts_as_spooled_until_it_is_answered() {
    let limits = Limits {
        spool_bytes: 3_000_000,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let faulty = |count: usize| bulk_of((0..count).map(|_| NO_NAME.into()));
    let Ok(Intake::Rejected(held)) = world.bulk(request("clinics"), &faulty(5_000)).await else {
        panic!("rejected")
    };
    assert!(world.engine.scratch_bytes() > 1_000_000);
    let error = world.bulk(request("clinics"), &faulty(8_000)).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::ResourceExhausted);
    drop(held);
    assert_eq!(world.engine.scratch_bytes(), 0);
}

#[tokio::test]
async fn an_operation_over_the_limit_is_the_failure_of_that_operation() {
    let limits = Limits {
        operation_bytes: 200,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let fitting = |bytes: usize| {
        let bare = create("a1", "").len();
        create("a1", &"n".repeat(bytes - bare))
    };
    let body = bulk_of([fitting(200), fitting(201), fitting(100_000), fitting(150)]);
    let answer = rejected(world.bulk(request("clinics"), &body).await);
    assert_eq!(
        statuses(&answer),
        ["CANCELLED", "FAILURE", "FAILURE", "CANCELLED"]
    );
    for index in [1, 2] {
        let error = &answer["receipts"][index]["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&json!(413), &json!("CONTENT_TOO_LARGE"))
        );
        let message = error["message"].as_str().unwrap();
        assert_eq!(message, "the operation is over the limit operationBytes of 200");
    }
}

#[tokio::test]
async fn the_body_has_a_limit_and_past_it_the_call_fails() {
    let body = bulk_of([create("a1", "A"), create("a2", "B")]);
    for (limit, fits) in [(body.len() as u64, true), (body.len() as u64 - 1, false)] {
        let limits = Limits {
            bulk_body_bytes: limit,
            ..Limits::default()
        };
        let world = World::at_rest(limits).await;
        match world.bulk(request("clinics"), &body).await {
            Ok(Intake::Accepted(_)) => assert!(fits),
            Err(error) => {
                assert!(!fits);
                let told = format!("the body of the bulk request is over the limit bulkBodyBytes of {limit}");
                assert_eq!((error.code, error.message), (413, told));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_request_without_operations_is_rejected() {
    let world = World::at_rest(Limits::default()).await;
    for body in ["", "{}", "{\"operations\":[]}", "{\"operations\":null}", "[]"] {
        let answer = rejected(world.bulk(request("clinics"), body).await);
        assert_eq!(answer["error"]["type"], "INVALID_ARGUMENT", "{body}");
        assert_eq!(answer["receipts"], json!([]));
    }
}

#[tokio::test]
async fn members_beside_the_operations_reject_the_request_after_the_check() {
    let world = World::at_rest(Limits::default()).await;
    let two = format!("[{},{NO_NAME}]", create("a1", "A"));
    for (body, path) in [
        (
            format!("{{\"operations\":{two},\"operations\":{two}}}"),
            "/operations",
        ),
        (format!("{{\"dryRun\":true,\"operations\":{two}}}"), "/dryRun"),
        (format!("{{\"operations\":{two},\"dryRun\":[{{}}]}}"), "/dryRun"),
    ] {
        let answer = rejected(world.bulk(request("clinics"), &body).await);
        assert_eq!(answer["error"]["details"][0]["path"], path);
        assert_eq!(statuses(&answer), ["CANCELLED", "FAILURE"]);
    }
}

#[tokio::test]
async fn what_is_not_json_is_told_with_its_place_and_nothing_after_it_is_looked_at() {
    let world = World::at_rest(Limits::default()).await;
    let (good, bad) = (
        create("a1", "A"),
        r#"{"action":"CREATE","create":{"type" "provider"}}"#,
    );
    let body = bulk_of([good.clone(), NO_NAME.into(), format!("\n{bad}"), NO_NAME.into()]);
    let place = format!(
        "the body is not JSON at byte {}, line 2, operation 2: ",
        body.find("\"provider\"}}\n,")
            .unwrap_or_else(|| body.find(bad).unwrap() + bad.find("\"provider\"").unwrap())
    );
    let answer = rejected(world.bulk(request("clinics"), &body).await);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(&place), "{message} / {place}");
    assert_eq!(statuses(&answer), ["CANCELLED", "FAILURE", "FAILURE"]);
    assert_eq!(answer["receipts"][2]["error"]["message"], message);

    // Between operations: no operation is at fault.
    let answer = rejected(
        world
            .bulk(request("clinics"), &format!("{{\"operations\":[{good};"))
            .await,
    );
    assert_eq!(statuses(&answer), ["CANCELLED"]);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .ends_with("expected ',' or ']'")
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_with_its_place() {
    let world = World::at_rest(Limits::default()).await;
    let body = bulk_of([create("a1", "A"), create("a2", "B")]);
    let cut = &body[..body.len() - 10];
    let answer = rejected(world.bulk(request("clinics"), cut).await);
    let told = format!(
        "the body breaks off at byte {}, line 1, operation 1: the operation does not end",
        cut.len()
    );
    assert_eq!(answer["error"]["message"], told);
    assert_eq!(statuses(&answer), ["CANCELLED", "FAILURE"]);

    let lost = stream::iter([Err(BodyError::BrokenOff("the connection was lost".into()))]);
    let answer = rejected(
        world
            .engine
            .bulk(request("clinics"), pieces(cut).chain(lost))
            .await,
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.ends_with("operation 1: the connection was lost"),
        "{message}"
    );
    assert_eq!(statuses(&answer), ["CANCELLED", "FAILURE"]);

    let refusal = granary_core::error::ErrorObject::over_limit("the expanded body", "x", 1);
    let refused = stream::iter([Err(BodyError::Refused(refusal.clone()))]);
    let outcome = world
        .engine
        .bulk(request("clinics"), pieces(cut).chain(refused))
        .await;
    assert_eq!(outcome.unwrap_err(), refusal);
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 0);
}

#[tokio::test]
async fn the_answer_waits_until_the_body_has_been_read() {
    let world = World::at_rest(Limits::default()).await;
    let read = AtomicUsize::new(0);
    let body = std::iter::once("{\"operations\":[;").chain(std::iter::repeat_n("more", 500));
    let body = stream::iter(body).map(|piece| {
        read.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_static(piece.as_bytes()))
    });
    rejected(world.engine.bulk(request("clinics"), body).await);
    assert_eq!(read.load(Ordering::Relaxed), 501);
}

#[tokio::test]
async fn a_request_can_be_checked_only() {
    let world = World::at_rest(Limits::default()).await;
    let request = BulkRequest {
        validate_only: true,
        ..request("clinics")
    };
    let body = bulk_of((0..2_000).map(|n| create(&format!("id-{n}"), "A")));
    let outcome = world.bulk(request.clone(), &body).await.unwrap();
    assert!(matches!(outcome, Intake::Valid { count: 2_000 }), "{outcome:?}");
    let answer = rejected(world.bulk(request, &bulk_of([NO_NAME.into()])).await);
    assert_eq!(statuses(&answer), ["FAILURE"]);
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 0);
}

#[tokio::test]
async fn a_source_that_is_gone_is_not_found() {
    let world = World::at_rest(Limits::default()).await;
    let error = world.bulk(request("nowhere"), "{}").await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (404, "source 'nowhere' does not exist")
    );

    // Deleted while the body arrives.
    let source = world
        .store
        .put_source(&key("short"), granary_core::time::Timestamp::EPOCH)
        .await
        .unwrap()
        .0;
    let profile = json!({"properties": {"name": {"type": "symbol"}}});
    world
        .define(&source.key, DefinitionKind::Profile, "provider", &profile)
        .await
        .unwrap();
    let body = pieces(&bulk_of([create("a1", "A")]))
        .enumerate()
        .then(|(index, piece)| {
            let (world, source) = (&world, &source);
            async move {
                if index == 1 {
                    let provider = key("provider");
                    world
                        .engine
                        .delete_definition(
                            &source.key,
                            DefinitionKind::Profile,
                            &provider,
                            Expected::Anything,
                        )
                        .await
                        .unwrap();
                    world.store.delete_source(source, false).await.unwrap();
                }
                piece
            }
        });
    let error = world.engine.bulk(request("short"), body).await.unwrap_err();
    assert_eq!(error.code, 404);
    assert_eq!(world.store.spooled_bytes().await.unwrap(), 0);
}

#[tokio::test]
async fn a_definition_deleted_while_the_body_arrives_refuses_the_request() {
    let world = World::at_rest(Limits::default()).await;
    let profile = json!({"properties": {"name": {"type": "symbol"}}});
    world
        .define(&key("clinics"), DefinitionKind::Profile, "visitor", &profile)
        .await
        .unwrap();
    let operation = create("a1", "A").replace("provider", "visitor");
    let body = pieces(&bulk_of([operation])).enumerate().then(|(index, piece)| {
        let world = &world;
        async move {
            if index == 1 {
                let (source, visitor) = (key("clinics"), key("visitor"));
                let deleted = world.engine.delete_definition(
                    &source,
                    DefinitionKind::Profile,
                    &visitor,
                    Expected::Anything,
                );
                deleted.await.unwrap();
            }
            piece
        }
    });
    let error = world.engine.bulk(request("clinics"), body).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::FailedPrecondition);
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let limits = Limits {
        requests_in_flight: 2,
        ..Limits::default()
    };
    let world = World::at_rest(limits).await;
    let first = world.engine.admit().unwrap();
    let body = bulk_of([create("a1", "A")]);
    assert!(world.bulk(request("clinics"), &body).await.is_ok());
    let second = world.engine.admit().unwrap();
    let error = world.bulk(request("clinics"), &body).await.unwrap_err();
    assert_eq!(
        (error.code, error.error_type),
        (429, ErrorType::ResourceExhausted)
    );
    drop((first, second));
    assert!(world.bulk(request("clinics"), &body).await.is_ok());
    world.engine.stop().await;
    assert_eq!(world.engine.admit().unwrap_err().code, 503);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let world = World::at_rest(Limits::default()).await;
    let body = bulk_of((0..20_000).map(|n| create(&format!("id-{n}"), "A")));
    let mut request = Box::pin(
        world
            .engine
            .bulk(request("clinics"), pieces(&body).chain(stream::pending())),
    );
    tokio::select! {
        _ = &mut request => panic!("the body never ends"),
        () = async {
            while world.store.spooled_bytes().await.unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    drop(request);
    // What was being spooled at that moment is written to its end, and then goes.
    let gone = async {
        while world.store.spooled_bytes().await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    assert!(world.engine.admit().is_ok());
}

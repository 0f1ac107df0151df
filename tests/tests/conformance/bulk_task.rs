//! *Bulk Task*.

use reqwest::Method;
use serde_json::{Value, json};

use super::registry::{Registry, answer, column, create, create_edge, delete, request, upsert};

#[tokio::test]
async fn a_task_is_pending_until_it_has_finished_successfully() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..60_000).map(|n| create(&format!("p{n}"), "Ada")).collect();
    let id = registry.send(request(&operations)).await.accepted();
    let path = format!("tasks/{id}?withReceipts=true");
    let (mut seen, mut done) = (Vec::new(), 0);
    loop {
        // The counts and the receipts of one answer are of one moment, and nothing that was shown is taken back.
        let task = registry.read(&path).await;
        let counts = &task["counts"];
        let (success, pending) = (
            counts["success"].as_u64().unwrap(),
            counts["pending"].as_u64().unwrap(),
        );
        assert_eq!(success + pending, 60_000, "{counts}");
        assert!(success >= done);
        done = success;
        let receipts = column(&task["receipts"], "status");
        assert!(
            receipts[..success as usize]
                .iter()
                .all(|status| status == "SUCCESS")
        );
        assert!(
            receipts[success as usize..]
                .iter()
                .all(|status| status == "PENDING")
        );
        let status = task["status"].as_str().unwrap().to_owned();
        assert_eq!(status == "SUCCESS", task.get("outcome").is_some());
        assert_eq!(status == "SUCCESS", task.get("completedAt").is_some());
        let ended = status != "PENDING";
        seen.push(status);
        if ended {
            break;
        }
    }
    assert_eq!(seen.last().unwrap(), "SUCCESS");
    assert!(seen.len() > 1, "it had ended before it was looked at");
}

#[tokio::test]
async fn a_receipt_has_id_type_status_and_error() {
    let registry = Registry::start().await;
    let taken = "2dMo6zb0yWtzHvt8MhmbI2ddQbR";
    registry.carried_out(request(&[create(taken, "Ada")])).await;
    let without_id = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": "Bob"}}});
    let task = registry
        .carried_out(request(&[without_id, create(taken, "Eve")]))
        .await;
    // The answer of the founding text: a task that succeeded with an operation that failed.
    let [created, failed] = &task["receipts"].as_array().unwrap()[..] else {
        panic!("{task}")
    };
    assert_eq!(task["status"], "SUCCESS");
    assert_eq!(
        (&created["status"], &created["type"]),
        (&json!("SUCCESS"), &json!("provider"))
    );
    assert!(created.get("error").is_none());
    assert_eq!(
        failed["error"],
        json!({
            "code": 409,
            "message": "record with id '2dMo6zb0yWtzHvt8MhmbI2ddQbR' already exists",
            "type": "ALREADY_EXISTS",
        })
    );
    assert_eq!(
        (&failed["id"], &failed["status"], &failed["type"]),
        (&json!(taken), &json!("FAILURE"), &json!("provider"))
    );
}

#[tokio::test]
async fn a_receipt_has_every_member_of_the_contract() {
    let registry = Registry::start().await;
    let task = registry
        .carried_out(request(&[create("ada", "Ada"), create("ada", "Ada")]))
        .await;
    let members = |receipt: &Value| receipt.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let common = [
        "action",
        "completedAt",
        "id",
        "index",
        "receivedAt",
        "status",
        "targetType",
        "type",
    ];
    assert_eq!(members(&task["receipts"][0]), common);
    let mut with_error = common.map(str::to_owned).to_vec();
    with_error.insert(2, "error".to_owned());
    assert_eq!(members(&task["receipts"][1]), with_error);
    for (index, receipt) in task["receipts"].as_array().unwrap().iter().enumerate() {
        assert_eq!(
            (&receipt["index"], &receipt["action"]),
            (&json!(index), &json!("CREATE"))
        );
        assert_eq!(receipt["receivedAt"], task["createdAt"]);
        assert!(receipt["completedAt"].as_str() >= receipt["receivedAt"].as_str());
    }
}

#[tokio::test]
async fn the_id_of_a_create_is_that_of_the_new_resource() {
    let registry = Registry::start().await;
    let without_id = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": "Bob"}}});
    let task = registry.carried_out(request(&[without_id])).await;
    let id = task["receipts"][0]["id"].as_str().unwrap();
    assert_eq!(
        registry.read(&format!("resources/provider/{id}")).await["data"]["name"],
        "Bob"
    );
}

#[tokio::test]
async fn the_id_of_an_upsert_is_that_of_the_updated_or_new_resource() {
    let registry = Registry::start().await;
    let task = registry
        .carried_out(request(&[upsert("ada", "Ada"), upsert("ada", "Bob")]))
        .await;
    assert_eq!(column(&task["receipts"], "id"), ["ada", "ada"]);
}

#[tokio::test]
async fn receipts_stand_in_the_order_of_the_operations_however_many() {
    let registry = Registry::start().await;
    let operations: Vec<_> = (0..7_500)
        .map(|n| match n % 2 {
            0 => create(&format!("p{n}"), "Ada"),
            _ => delete(&format!("p{}", n - 1)),
        })
        .collect();
    let task = registry.carried_out(request(&operations)).await;
    for (n, receipt) in task["receipts"].as_array().unwrap().iter().enumerate() {
        let (action, id) = (["CREATE", "DELETE"][n % 2], format!("p{}", n - n % 2));
        assert_eq!(
            (&receipt["index"], &receipt["action"]),
            (&json!(n), &json!(action))
        );
        assert_eq!(
            (&receipt["id"], &receipt["status"]),
            (&json!(id), &json!("SUCCESS"))
        );
    }
    assert!(registry.providers().await.is_empty());
}

#[tokio::test]
async fn the_outcome_says_how_many_operations_succeeded() {
    let registry = Registry::start().await;
    for (operations, outcome, success, failure) in [
        (vec![create("ada", "Ada"), create("bob", "Bob")], "COMPLETE", 2, 0),
        (vec![create("ada", "Ada"), create("cyd", "Cyd")], "PARTIAL", 1, 1),
        (vec![create("ada", "Ada"), create("bob", "Bob")], "NONE", 0, 2),
    ] {
        let task = registry.carried_out(request(&operations)).await;
        assert_eq!(
            (&task["status"], &task["outcome"]),
            (&json!("SUCCESS"), &json!(outcome))
        );
        let counts =
            json!({"total": 2, "success": success, "failure": failure, "pending": 0, "cancelled": 0});
        assert_eq!(task["counts"], counts);
    }
}

#[tokio::test]
async fn tasks_of_one_source_are_carried_out_in_the_order_of_acceptance() {
    let registry = Registry::start().await;
    let round = |name: &str| {
        request(
            &(0..3_000)
                .map(|n| upsert(&format!("p{n}"), name))
                .collect::<Vec<_>>(),
        )
    };
    let mut ids = Vec::new();
    for name in ["first", "second", "third"] {
        ids.push(registry.send(round(name)).await.accepted());
    }
    let edges = registry
        .send_to("relationships", request(&[create_edge("p1", "p2")]))
        .await
        .accepted();
    // The last to be accepted has ended, so all have.
    let edges = registry.ended("relationships", &edges).await;
    assert_eq!(edges["outcome"], "COMPLETE", "its ends were created before it");
    let mut before = String::new();
    for id in &ids {
        let task = registry.read(&format!("tasks/{id}")).await;
        assert_eq!(task["status"], "SUCCESS");
        let (started, completed) = (
            task["startedAt"].as_str().unwrap(),
            task["completedAt"].as_str().unwrap(),
        );
        assert!(
            before.as_str() <= started && started <= completed,
            "{before} {task}"
        );
        before = completed.to_owned();
    }
    for provider in registry.providers().await {
        assert_eq!(
            (&provider["data"]["name"], &provider["meta"]["version"]),
            (&json!("third"), &json!(3))
        );
    }
}

#[tokio::test]
async fn a_relationship_whose_end_is_missing_fails_and_one_past_its_cardinality() {
    let registry = Registry::start().await;
    registry
        .carried_out(request(&[create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    // At most one provider refers to another.
    let edges = [
        create_edge("ada", "eve"),
        create_edge("ada", "bob"),
        create_edge("bob", "bob"),
        create_edge("ada", "bob"),
    ];
    let task = registry.carried_out_on("relationships", request(&edges)).await;
    let errors: Vec<Value> = task["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["error"]["type"].clone())
        .collect();
    assert_eq!(
        errors,
        [
            json!("NOT_FOUND"),
            json!(null),
            json!("FAILED_PRECONDITION"),
            json!("ALREADY_EXISTS")
        ]
    );
}

#[tokio::test]
async fn a_task_that_does_not_exist_is_not_found() {
    let registry = Registry::start().await;
    for id in [
        "bk_2dMyvjBs8mDQ7VJxjFPtWnFvaxp",
        "2dMyvjBs8mDQ7VJxjFPtWnFvaxp",
        "bk_",
        "nothing",
    ] {
        for path in ["resources/bulk", "relationships/bulk", "tasks"] {
            let answer = registry.get(&format!("/sources/clinics/v1/{path}/{id}")).await;
            assert_eq!(answer.error(), (404, "NOT_FOUND"), "{path}/{id}");
        }
    }
}

#[tokio::test]
async fn what_was_not_done_is_tried_again_as_a_task_of_its_own() {
    let registry = Registry::start().await;
    let without_id = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": "Bob"}}});
    // More than a request that is kept beside its task, so that bodies are spooled, and then copied.
    let mut operations: Vec<_> = (0..3_000).map(|n| create("ada", &format!("Ada {n}"))).collect();
    operations.push(without_id);
    let parent = registry.carried_out(request(&operations)).await;
    let parent = parent["taskId"].as_str().unwrap().to_owned();
    registry.carried_out(request(&[delete("ada")])).await;
    // Operations and their bodies are there after a start anew, too.
    let registry = registry.restarted().await;
    let retry = |id: &str| {
        let path = format!("/sources/clinics/v1/tasks/{id}/retry");
        let request = registry
            .request(Method::POST, &path)
            .header("Idempotency-Key", "again");
        async move { answer(request).await }
    };
    let answer = retry(&parent).await;
    let id = answer.accepted();
    assert!(answer.headers["location"].to_str().unwrap().ends_with(&id));
    let task = registry.ended("resources", &id).await;
    assert_eq!(
        (&task["retryOf"], &task["counts"]["total"]),
        (&json!(parent), &json!(2_999))
    );
    assert_eq!(
        (&task["outcome"], &task["counts"]["success"]),
        (&json!("PARTIAL"), &json!(1))
    );
    let ada = registry.read("resources/provider/ada").await;
    assert_eq!(ada["data"]["name"], "Ada 1", "the first of those that failed");
    let replay = retry(&parent).await;
    assert_eq!(
        (replay.accepted(), &replay.headers["idempotency-replayed"]),
        (id.clone(), &"true".parse().unwrap())
    );
    // Of the retry, what failed can be tried again; one with other operations is no retry.
    let again = retry(&id).await.accepted();
    let again = registry.ended("resources", &again).await;
    assert_eq!(
        (&again["retryOf"], &again["outcome"]),
        (&json!(id), &json!("NONE"))
    );
    assert!(
        registry
            .read(&format!("tasks/{parent}"))
            .await
            .get("retryOf")
            .is_none()
    );
}

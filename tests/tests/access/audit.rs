//! The audit log.

use serde_json::{Value, json};

use super::Logged;
use super::calls::{V1, of_data};

const LINE: &str = " INFO granary::audit: ";

impl Logged {
    /// The lines of the audit log, without their time.
    fn audited(&self) -> Vec<String> {
        let log = self.log();
        let lines = log
            .lines()
            .filter_map(|line| Some(line.split_once(LINE)?.1.to_owned()));
        lines.collect()
    }

    /// Cancels a task that is under way.
    async fn cancel_one(&self) -> String {
        let line = r#"{"action": "DELETE", "delete": {"type": "patient", "id": "nobody"}}"#;
        for _ in 0..50 {
            // Three chunks, whatever a chunk is: a cancel waits for the end of one.
            let many = json!(format!("{line}\n").repeat(200_000));
            let (status, task) = self.send("POST", &format!("{V1}/resources/bulk"), many).await;
            assert_eq!(status, 202, "{task}");
            let path = format!("{V1}/tasks/{}/cancel", task["taskId"].as_str().unwrap());
            if self.send("POST", &path, Value::Null).await.0 == 200 {
                return path;
            }
            // It has ended: once more.
        }
        panic!("every task ends before it is cancelled");
    }
}

/// What a line says of who did it, to what.
fn says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word} is not in: {line}");
    }
}

#[tokio::test]
async fn every_change_of_schema_or_keys_every_purge_and_cancel_leaves_a_line() {
    // Also where little else is shown.
    let logged = Logged::start("error").await;
    let first = logged.audited();
    assert_eq!(first.len(), 1, "{first:#?}");
    // Nobody had a key yet.
    says(
        &first[0],
        &["create key ", "with the role admin for *", "status=201"],
    );
    assert!(!first[0].contains("key.name"), "{}", first[0]);

    let by = r#"key.name="Ada of operations""#;
    let mut seen = 1;
    let mut next = |logged: &Logged| {
        let lines = logged.audited();
        assert_eq!(lines.len(), seen + 1, "{:#?}", &lines[seen - 1..]);
        seen += 1;
        lines[seen - 1].clone()
    };
    let actions = [
        "put source ",
        "put profile ",
        "put profile ",
        "put relationship definition ",
        "put vocabulary ",
        "put concept ",
        "change concepts ",
    ];
    for ((method, path, body), action) in super::calls::schema().into_iter().zip(actions) {
        let (status, _) = logged.send(method, &path, body).await;
        let line = next(&logged);
        assert!(line.starts_with(action), "{line}");
        let status = format!("status={status}");
        says(
            &line,
            &[by, &format!("path=\"{path}\""), &status, "request.id=", "key.id="],
        );
    }
    // Records come and go without one, and what is refused has changed nothing.
    for (_, method, path, body) in of_data() {
        logged.send(method, &path, body).await;
    }
    for (path, body) in [
        ("profiles/_", json!({})),
        ("profiles/patient", json!({"properties": 1})),
    ] {
        assert_eq!(logged.send("PUT", &format!("{V1}/{path}"), body).await.0, 400);
    }
    let path = format!("{V1}/profiles/patient");
    assert_eq!(logged.send_as("DELETE", &path, Value::Null, "").await.0, 401);
    assert_eq!(logged.audited().len(), 8, "{:#?}", logged.audited());

    let path = logged.cancel_one().await;
    says(&next(&logged), &["cancel task ", by, &path]);
    let purge = json!({"collectionType": "RELATIONSHIP", "collectionKey": "knows"});
    let (_, task) = logged.send("POST", &format!("{V1}/purge"), purge).await;
    let task = task["taskId"].as_str().unwrap();
    says(
        &next(&logged),
        &["purge ", by, &format!("every knows in the task {task}")],
    );
    let new = json!({"role": "writer", "sources": ["clinic"], "name": "nightly"});
    let (_, new) = logged.send("POST", "/access/v1/keys", new).await;
    let id = new["id"].as_str().unwrap();
    says(&next(&logged), &["create key ", by, id, "role writer for clinic"]);
    let path = format!("/access/v1/keys/{id}");
    assert_eq!(logged.send("DELETE", &path, Value::Null).await.0, 200);
    says(&next(&logged), &["revoke key ", by, &path, "key nightly"]);
    for (path, action) in [
        (
            "/terminology/v1/vocabularies/colours/concepts/red",
            "delete concept ",
        ),
        ("/terminology/v1/vocabularies/colours", "delete vocabulary "),
    ] {
        assert_eq!(logged.send("DELETE", path, Value::Null).await.0, 200);
        says(&next(&logged), &[action, by, path]);
    }
    let (status, _) = logged
        .send("DELETE", "/catalog/v1/sources/clinic?purge=true", Value::Null)
        .await;
    assert_eq!(status, 202);
    says(&next(&logged), &["delete source ", by, "with all it holds"]);
    let log = logged.log();
    assert!(!log.contains(&logged.key[36..]) && !log.contains(&new["key"].as_str().unwrap()[36..]));
}

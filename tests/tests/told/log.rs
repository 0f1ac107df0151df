//! The log as JSON and as text.

use serde_json::{Value, json};

use super::{CONTENT, Telling};

/// The lines that say this.
fn lines(log: &str, message: &str) -> Vec<Value> {
    // All else on stderr is for people.
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn a_bulk_request_is_two_lines_with_its_ids_and_a_single_write_is_none() {
    let telling = Telling::start(&[("GRANARY_LOG", ""), ("GRANARY_LOG_FORMAT", "json")]).await;
    let first = telling
        .bulk(("x-request-id", "of-the-first"), &["patient-ada", "patient-bob"])
        .await;
    telling.ended(&first).await;
    let second = telling
        .bulk(("x-request-id", "of-the-second"), &["patient-ada", "patient-cy"])
        .await;
    telling.ended(&second).await;
    let single = json!({"name": CONTENT});
    let path = "/sources/clinic/v1/resources/patient/patient-dan";
    telling.put(path, &json!({ "data": single })).await;
    // A line may come after what it tells of can be seen, but not after the end.
    let mut telling = telling;
    assert!(telling.server.stop().await.unwrap().success());

    let log = telling.log();
    let accepted = lines(&log, "a task was accepted");
    assert_eq!(accepted.len(), 2, "{log}");
    for (line, (request, task)) in
        { accepted.iter() }.zip([("of-the-first", &first), ("of-the-second", &second)])
    {
        assert_eq!(line["level"], "INFO", "{line}");
        assert_eq!(line["request.id"], request, "{line}");
        assert_eq!(line["task.id"], **task, "{line}");
        assert_eq!(line["source"], "clinic", "{line}");
        assert_eq!(line["operations"], 2, "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    let ended = lines(&log, "a task has ended");
    assert_eq!(ended.len(), 2, "{log}");
    for (line, (task, success)) in { ended.iter() }.zip([(&first, 2), (&second, 1)]) {
        assert_eq!(line["level"], "INFO", "{line}");
        assert_eq!(line["task.id"], **task, "{line}");
        assert_eq!(line["source"], "clinic", "{line}");
        assert_eq!(line["status"], "SUCCESS", "{line}");
        assert_eq!(line["operations"], 2, "{line}");
        assert_eq!(line["success"], success, "{line}");
        assert_eq!(line["failure"], 2 - success, "{line}");
        assert!(
            line["elapsed_ms"].is_u64() && line["waited_ms"].is_u64(),
            "{line}"
        );
    }
    for quiet in ["patient-", "s_", CONTENT] {
        assert!(!log.contains(quiet), "{quiet} is in the log: {log}");
    }
}

#[tokio::test]
async fn lines_of_a_request_have_its_id_whoever_writes_them() {
    let telling = Telling::start(&[("GRANARY_LOG", "debug"), ("GRANARY_LOG_FORMAT", "json")]).await;
    let task = telling.bulk(("x-request-id", "the-one"), &["ada"]).await;
    telling.ended(&task).await;
    let path = "/sources/clinic/v1/resources/patient/patient-dan";
    telling.put(path, &json!({"data": {"name": CONTENT}})).await;
    let mut telling = telling;
    assert!(telling.server.stop().await.unwrap().success());
    let log = telling.log();
    let [call] = &lines(&log, "call")
        .into_iter()
        .filter(|line| line["status"] == 202)
        .collect::<Vec<_>>()[..]
    else {
        panic!("{log}");
    };
    assert_eq!(call["request.id"], "the-one");
    assert_eq!(call["route"], "/sources/{source}/v1/resources/bulk");
    let [persisted] = &lines(&log, "a write persisted")[..] else {
        panic!("{log}");
    };
    assert_eq!(persisted["level"], "DEBUG");
    assert_eq!(persisted["source"], "clinic");
    assert!(
        persisted["task.id"].as_str().unwrap().starts_with("s_"),
        "{persisted}"
    );
    // The id that was made for it: it is told with the answer.
    assert_eq!(persisted["request.id"].as_str().unwrap().len(), 27, "{persisted}");
    let [put_profile] = &lines(&log, "put profile")[..] else {
        panic!("{log}");
    };
    assert_eq!(put_profile["target"], "granary::audit");
    assert!(put_profile["request.id"].is_string(), "{put_profile}");
    assert!(!log.contains(CONTENT), "{log}");
}

#[tokio::test]
async fn as_text_a_line_has_the_id_of_its_request_once() {
    let telling = Telling::start(&[("GRANARY_LOG", "info")]).await;
    let task = telling.bulk(("x-request-id", "the-one"), &["ada"]).await;
    telling.ended(&task).await;
    let mut telling = telling;
    assert!(telling.server.stop().await.unwrap().success());
    let log = telling.log();
    let line = log.lines().find(|line| line.contains("a task was accepted"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    let told =
        format!(r#"a task was accepted task.id={task} source=clinic operations=1 request.id="the-one""#);
    assert!(line.ends_with(&told), "{line}");
    for line in log.lines() {
        assert!(line.matches("request.id").count() <= 1, "{line}");
    }
}

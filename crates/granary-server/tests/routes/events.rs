//! `…/tasks/{id}/events`: what becomes of a task, as it happens.

use futures::StreamExt;
use granary_core::limits::Limits;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{BULK, World, create, shown};

/// One event: its name, its id, its data.
type Event = (String, u64, Value);

fn path(id: &str) -> String {
    format!("/sources/clinics/v1/tasks/{id}/events")
}

async fn open(world: &World, id: &str, seen: Option<u64>) -> Response {
    let mut request = world.request(Method::GET, &path(id));
    if let Some(seen) = seen {
        request = request.header("last-event-id", seen);
    }
    request.send().await.unwrap()
}

/// Reads events until `enough` of them are there, or the stream ends.
async fn events(answer: Response, enough: usize) -> Vec<Event> {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let (mut text, mut pieces) = (String::new(), answer.bytes_stream());
    while parsed(&text).len() < enough
        && let Some(piece) = pieces.next().await
    {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    parsed(&text)
}

/// The whole events of a stream. Comments, and what says when to connect again, are none.
fn parsed(text: &str) -> Vec<Event> {
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let data = serde_json::from_str(field("data: ")?).unwrap();
        Some((
            field("event: ")?.to_owned(),
            field("id: ")?.parse().unwrap(),
            data,
        ))
    };
    whole.split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn the_events_of_a_task_that_has_ended_are_its_end() {
    let world = World::new().await;
    let id = world
        .carried_out(BULK, json!([create("ada", "Ada"), create("ada", "Ada")]))
        .await;
    let all = events(open(&world, &id, None).await, usize::MAX).await;
    let [(name, revision, task)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!((name.as_str(), &task["taskId"]), ("end", &json!(id)));
    assert_eq!(
        task,
        &world.read(&format!("/sources/clinics/v1/tasks/{id}")).await
    );
    // Who has seen something before is told it too, and who has seen it need not come again.
    assert_eq!(events(open(&world, &id, Some(0)).await, usize::MAX).await, all);
    let seen = open(&world, &id, Some(*revision)).await;
    assert_eq!(
        (seen.status().as_u16(), seen.text().await.unwrap().as_str()),
        (204, "")
    );
    assert!(
        shown(world.request(Method::GET, &path("bk_x")))
            .await
            .starts_with("404\n")
    );
}

#[tokio::test]
async fn what_becomes_of_a_task_is_told_as_it_happens() {
    let world = World::at_rest().await;
    let id = world.accepted(BULK, json!([create("ada", "Ada")])).await;
    let watched = tokio::spawn(events(open(&world, &id, None).await, usize::MAX));
    world
        .call("POST", &format!("/sources/clinics/v1/tasks/{id}/cancel"))
        .await;
    let all = watched.await.unwrap();
    let names: Vec<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
    // Where it was cancelled before the first look, its end is all there is to tell.
    assert!(
        ["end"].as_slice() == names || ["progress", "end"].as_slice() == names,
        "{names:?}"
    );
    let (_, _, last) = all.last().unwrap();
    assert_eq!(last["status"], "CANCELLED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_again_misses_nothing() {
    let world = World::new().await;
    let operations = (0..30_000).map(|n| create(&format!("id-{n}"), "A")).collect();
    let id = world.accepted(BULK, Value::Array(operations)).await;
    let (mut seen, mut connections) = (None, 0);
    let task = loop {
        connections += 1;
        let answer = open(&world, &id, seen).await;
        if answer.status() == 204 {
            panic!("the end was not told");
        }
        let Some((name, revision, task)) = events(answer, 1).await.into_iter().next() else {
            panic!("nothing was told");
        };
        // Each is news: it comes after what was seen.
        assert!(
            seen.is_none_or(|seen| revision > seen),
            "{revision} after {seen:?}"
        );
        seen = Some(revision);
        if name == "end" {
            break task;
        }
        assert_eq!(name, "progress");
    };
    assert_eq!(
        (&task["status"], &task["counts"]["success"]),
        (&json!("SUCCESS"), &json!(30_000))
    );
    assert!(connections >= 1);
    assert_eq!(open(&world, &id, seen).await.status(), 204);
}

#[tokio::test]
async fn streams_of_events_have_a_limit_and_end_with_the_server() {
    let limits = Limits {
        event_streams: 1,
        ..Limits::default()
    };
    let world = World::at_rest_with(limits).await;
    let id = world.accepted(BULK, json!([create("ada", "Ada")])).await;
    let first = open(&world, &id, None).await;
    insta::assert_snapshot!(shown(world.request(Method::GET, &path(&id))).await, @r#"
    429
    retry-after: 1
    {"code":429,"type":"RESOURCE_EXHAUSTED","message":"1 streams of events are open, which is the limit eventStreams; read the task instead, or come again later"}
    "#);
    drop(first);
    let next = loop {
        let next = open(&world, &id, None).await;
        if next.status() == 200 {
            break next;
        }
        tokio::task::yield_now().await;
    };
    let watched = tokio::spawn(events(next, usize::MAX));
    world.stop.now.cancel();
    // It ended as a whole answer does.
    let all = watched.await.unwrap();
    assert!(all.iter().all(|(name, ..)| name == "progress"), "{all:?}");
}

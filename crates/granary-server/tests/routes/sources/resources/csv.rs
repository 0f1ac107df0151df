//! `POST …/resources/bulk` and `…/relationships/bulk` with `text/csv`.

use granary_core::limits::Limits;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::world::{BULK, PROVIDERS, World, shown};

const EDGES_BULK: &str = "/sources/clinics/v1/relationships/bulk";

async fn sent(world: &World, path: &str, csv: &str) -> String {
    let request = world
        .request(Method::POST, path)
        .header(CONTENT_TYPE, "text/csv; charset=utf-8");
    shown(request.body(csv.to_owned())).await
}

/// Waits until all tasks have ended, and answers the data of all providers.
async fn providers(world: &World) -> Value {
    world.ended("/sources/clinics/v1/tasks").await;
    let page = world.read(PROVIDERS).await;
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| json!([record["id"], record["data"]]))
        .collect()
}

#[tokio::test]
async fn each_row_is_an_operation() {
    let world = World::new().await;
    let csv = "\u{feff}id,practiceNumber,name,specialities\r\nada,7,\"Lovelace, Ada\",x|y\r\nbob,,\"Bob\r\n\"\"B\"\"\",\r\n";
    let answer = sent(&world, &format!("{BULK}?type=provider"), csv).await;
    assert!(answer.starts_with("202"), "{answer}");
    assert_eq!(
        providers(&world).await,
        json!([
            ["ada", {"practiceNumber": 7, "name": "Lovelace, Ada", "specialities": ["x", "y"]}],
            ["bob", {"name": "Bob\r\n\"B\""}],
        ])
    );
    let csv = "name,id,specialities\nAda,ada,x;y\n";
    let answer = sent(
        &world,
        &format!("{BULK}?type=provider&action=Upsert&separator=;"),
        csv,
    )
    .await;
    assert!(answer.starts_with("202"), "{answer}");
    let answer = sent(
        &world,
        &format!("{EDGES_BULK}?type=refersTo"),
        "from,to,since\nada,bob,2026-01-31",
    )
    .await;
    assert!(answer.starts_with("202"), "{answer}");
    assert_eq!(
        providers(&world).await[0],
        json!(["ada", {"name": "Ada", "specialities": ["x", "y"]}])
    );
    let edge = world
        .read("/sources/clinics/v1/relationships/refersTo/ada.bob")
        .await;
    assert_eq!(edge["data"], json!({"since": "2026-01-31"}));
    let answer = sent(
        &world,
        &format!("{BULK}?type=provider&action=DELETE"),
        "id\nbob\n",
    )
    .await;
    assert!(answer.starts_with("202"), "{answer}");
    assert_eq!(providers(&world).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn faults_name_the_line_and_the_column() {
    let world = World::new().await;
    let csv = "id,name,practiceNumber\na1,Ada,1\nb1,\"Bob\nB\",x1\n\nc1,,7\nd1,Dan\ne1,E\"E,1\nf,F,\n";
    insta::assert_snapshot!(sent(&world, &format!("{BULK}?type=provider"), csv).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/data/practiceNumber: 'x1' is not an integer (line 3, column 'practiceNumber')","details":[{"type":"INVALID_ARGUMENT","message":"'x1' is not an integer (line 3, column 'practiceNumber')","path":"/create/data/practiceNumber","rule":"type"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/data/name: property 'name' is required (line 6, column 'name')","details":[{"type":"INVALID_ARGUMENT","message":"property 'name' is required (line 6, column 'name')","path":"/create/data/name","rule":"required"}]}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"line 7 has 2 cells and the header 3"}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"line 8 is not valid CSV: the cell of column 'name' has a quote inside; put the cell in quotes and write the quote twice"}},{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/id: id 'f' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _ (line 9, column 'id')","details":[{"type":"INVALID_ARGUMENT","message":"id 'f' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _ (line 9, column 'id')","path":"/create/id","rule":"id"}]}}]}
    "#);
    insta::assert_snapshot!(sent(&world, &format!("{BULK}?type=provider&receipts=failures&validateOnly=true"), "nmae,id,id\nx,y,z\n").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the header, the first row of the CSV, is not valid: 2 faults, the first: column 'nmae' is not known, did you mean 'name'?","details":[{"type":"INVALID_ARGUMENT","message":"column 'nmae' is not known, did you mean 'name'?","path":"","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"column 'id' stands twice","path":"","rule":"unique"}]},"receipts":[]}
    "#);
    insta::assert_snapshot!(sent(&world, &format!("{BULK}?type=provider"), "").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the request is empty; send a header row that names properties, and a row for each operation","details":[{"type":"INVALID_ARGUMENT","message":"the request is empty; send a header row that names properties, and a row for each operation","path":""}]},"receipts":[]}
    "#);
    insta::assert_snapshot!(sent(&world, &format!("{BULK}?type=provider"), "name\n").await, @r#"
    400
    {"status":"REJECTED","error":{"code":400,"type":"INVALID_ARGUMENT","message":"the request has no operations; send a row for each after the header","details":[{"type":"INVALID_ARGUMENT","message":"the request has no operations; send a row for each after the header","path":""}]},"receipts":[]}
    "#);
    assert_eq!(providers(&world).await, json!([]));
}

#[tokio::test]
async fn the_query_of_csv_is_judged_before_its_body() {
    let world = World::new().await;
    insta::assert_snapshot!(sent(&world, BULK, "id\na").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"CSV does not say what its rows are; name their type in the query, '?type=…'"}
    "#);
    insta::assert_snapshot!(sent(&world, &format!("{BULK}?type=provder"), "id\na").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"resource type 'provder' is not known, did you mean 'provider'?"}
    "#);
    let json = world
        .request(Method::POST, &format!("{BULK}?type=provider"))
        .json(&json!({"operations": []}));
    insta::assert_snapshot!(shown(json).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"type, action and separator are for text/csv; other bodies say them in each operation"}
    "#);
    for query in [
        "type=provider&action=merge",
        "type=provider&separator=",
        "type=refersTo",
        "type=",
    ] {
        let answer = sent(&world, &format!("{BULK}?{query}"), "id\na").await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
            "{query}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_row_over_the_limit_is_a_failure_of_its_own() {
    let limits = Limits {
        operation_bytes: 1_000,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    let long = "x".repeat(3_000_000);
    let csv = format!("name\nAda\n\"{long}\n\"\nBob\n");
    insta::assert_snapshot!(sent(&world, &format!("{BULK}?type=provider"), &csv).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"CANCELLED"},{"status":"FAILURE","error":{"code":413,"type":"CONTENT_TOO_LARGE","message":"the operation is over the limit operationBytes of 1000"}},{"status":"CANCELLED"}]}
    "#);
}

//! The table of values in `tests/cases`, sent to a server: what is taken reads back as it was sent, what is not is
//! refused with every fault.

use std::path::Path;

use granary_tests::cases::{NEIGHBOURS, members, tables};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::registry::{Registry, answer};

/// The value at these names of a JSON text, as it stands.
fn at<'j>(json: &'j str, names: &[&str]) -> &'j str {
    names.iter().fold(json, |json, name| {
        let found = members(json).into_iter().find(|(member, _)| member == name);
        found.unwrap_or_else(|| panic!("no {name}: {json}")).1
    })
}

#[tokio::test]
async fn values_are_taken_and_read_back_or_refused_with_every_fault() {
    let registry = Registry::start().await;
    let json = |method: Method, path: &str, body: String| {
        let request = registry.request(method, path);
        request.header(CONTENT_TYPE, "application/json").body(body)
    };
    for table in tables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")) {
        let source = format!("/sources/{}/v1", table.name);
        let create = format!("/catalog/v1/sources/{}", table.name);
        answer(json(Method::PUT, &create, r#"{"type":"registry"}"#.to_owned())).await;
        for (key, profile) in NEIGHBOURS.into_iter().chain([("thing", table.profile.as_str())]) {
            let path = format!("{source}/profiles/{key}");
            let answer = answer(json(Method::PUT, &path, profile.to_owned())).await;
            assert_eq!(answer.status, 201, "{path}: {answer:?}");
        }
        let things = format!("{source}/resources/thing");
        for (number, (sent, kept)) in table.accepted.iter().enumerate() {
            let id = format!("case-{number}");
            let body = format!(r#"{{"data":{sent},"id":"{id}"}}"#);
            let answer = json(Method::POST, &things, body).send().await.unwrap();
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            assert_eq!(status, 201, "{}: {sent}: {text}", table.name);
            let kept = kept.replace("$id", &id);
            assert_eq!(at(&text, &["resource", "data"]), kept, "{}", table.name);
            let read = registry.request(Method::GET, &format!("{things}/{id}"));
            let text = read.send().await.unwrap().text().await.unwrap();
            assert_eq!(at(&text, &["data"]), kept, "{}", table.name);
        }
        for refused in &table.refused {
            let data = &refused.data;
            let answer = answer(json(Method::POST, &things, format!(r#"{{"data":{data}}}"#))).await;
            assert_eq!(answer.status, 400, "{}: {data}: {answer:?}", table.name);
            let details = answer.body["details"].as_array().unwrap().iter();
            let mut found: Vec<(String, String)> = details
                .map(|detail| {
                    let pointer = detail["path"].as_str().unwrap();
                    let pointer = pointer.strip_prefix("/data").unwrap().to_owned();
                    (pointer, detail["rule"].as_str().unwrap().to_owned())
                })
                .collect();
            found.sort();
            assert_eq!(found, refused.faults, "{}: {data}: {answer:?}", table.name);
        }
    }
}

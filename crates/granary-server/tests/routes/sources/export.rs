//! `…/export` and `…/import`.

use granary_core::limits::Limits;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::{BULK, NDJSON, World, create, create_edge, shown};

const EXPORT: &str = "/sources/clinics/v1/export";
const IMPORT: &str = "/sources/again/v1/import";
const EDGES_BULK: &str = "/sources/clinics/v1/relationships/bulk";

/// A world with two providers, one of them in its second version, and an edge.
async fn filled(limits: Limits) -> World {
    let world = World::limited(limits).await;
    let of_ada = json!({"type": "provider", "id": "ada", "data": {"name": "Ada L."},
        "meta": {"createdAt": "1999-01-01T00:00:00Z", "identifier": [{"value": "1"}]}});
    let upsert = json!({"action": "UPSERT", "upsert": of_ada});
    let operations = json!([create("bob", "Bob"), create("ada", "Ada"), upsert]);
    world.carried_out(BULK, operations).await;
    world
        .carried_out(EDGES_BULK, json!([create_edge("bob", "ada")]))
        .await;
    world
}

async fn exported(world: &World) -> String {
    let answer = world.request(Method::GET, EXPORT).send().await.unwrap();
    answer.text().await.unwrap()
}

async fn imported(world: &World, query: &str, body: impl Into<String>) -> String {
    let request = world.request(Method::POST, &format!("{IMPORT}{query}"));
    let request = request.header("content-type", NDJSON).body(body.into());
    shown(request).await
}

async fn again(world: &World) {
    let path = "/catalog/v1/sources/again";
    let gone = world.delete(&format!("{path}?purge=true")).await;
    assert!(gone.starts_with("202") || gone.starts_with("404"), "{gone}");
    let made = world.put(path, &json!({"type": "registry"})).await;
    assert!(made.starts_with("201"), "{made}");
}

#[tokio::test]
async fn an_export_has_a_line_for_each_thing_and_an_end() {
    let world = filled(Limits::default()).await;
    insta::assert_snapshot!(world.get(EXPORT).await, @r#"
    200
    content-type: application/x-ndjson
    {"export":{"format":1,"source":"clinics","exportedAt":"2026-01-31T08:00:00.000Z"}}
    {"profile":{"key":"provider","revision":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","properties":{"name":{"rules":[{"required":true}],"type":"symbol"},"practiceNumber":{"type":"integer"},"specialities":{"items":{"type":"symbol"},"type":"array"}}}}
    {"relationshipDefinition":{"key":"refersTo","revision":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","from":{"includeCardinality":"0:*","includeKey":"refersTo","profileKey":"provider"},"properties":{"since":{"type":"date"}},"to":{"includeCardinality":"0:*","includeKey":"referredBy","profileKey":"provider"}}}
    {"resource":{"id":"ada","type":"provider","data":{"name":"Ada L."},"meta":{"createdAt":"1999-01-01T00:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","identifier":[{"value":"1"}],"source":"clinics","version":2}}}
    {"resource":{"id":"bob","type":"provider","data":{"name":"Bob"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    {"relationship":{"id":"bob.ada","type":"refersTo","from":{"id":"bob","type":"provider"},"to":{"id":"ada","type":"provider"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    {"end":{"profiles":1,"relationshipDefinitions":1,"resources":2,"relationships":1}}
    "#);
    let of_type = world.get(&format!("{EXPORT}?type=refersTo")).await;
    assert!(of_type.contains(r#""type":"refersTo","exportedAt""#), "{of_type}");
    assert!(
        of_type.contains(r#""resources":0,"relationships":1"#),
        "{of_type}"
    );
    insta::assert_snapshot!(world.get(&format!("{EXPORT}?type=none")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no ROOT profile and no relationship definition 'none'"}
    "#);
}

#[tokio::test]
async fn what_is_imported_is_exported_again() {
    let world = filled(Limits::default()).await;
    let export = exported(&world).await;
    again(&world).await;
    insta::assert_snapshot!(imported(&world, "", &*export).await, @r#"
    200
    {"source":"again","profiles":1,"relationshipDefinitions":1,"resources":2,"relationships":1}
    "#);
    let answer = world
        .request(Method::GET, "/sources/again/v1/export")
        .send()
        .await
        .unwrap();
    let is = answer.text().await.unwrap();
    assert_eq!(is, export.replace(r#""source":"clinics""#, r#""source":"again""#));
    // An import ends with its end, and is not put over what is there.
    insta::assert_snapshot!(imported(&world, "", &*export).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"source 'again' holds records, and an import is put into one that holds nothing; name another source, or delete this one with all it holds first (?purge=true)"}
    "#);
}

#[tokio::test]
async fn what_is_wrong_with_an_import_is_told_with_its_line() {
    let world = filled(Limits::default()).await;
    let export = exported(&world).await;
    let lines: Vec<&str> = export.lines().collect();
    let changed = |from: &str, to: &str| {
        assert!(export.contains(from), "{from}");
        export.replace(from, to)
    };
    let mut told = String::new();
    for wrong in [
        String::new(),
        lines[1..].join("\n"),
        lines[..lines.len() - 1].join("\n"),
        format!("{export}{}", lines[3]),
        format!("{}\n{export}", lines[0]),
        [&lines[..4], &lines[1..]].concat().join("\n"),
        changed(r#""format":1"#, r#""format":2"#),
        changed(r#"{"profile":"#, r#"{"profil":"#),
        changed(r#""type":"symbol"}"#, r#""type":"simbol"}"#),
        changed(r#""revision":1"#, r#""revision":0"#),
        changed(r#""revision":1"#, r#""revision":2147483648"#),
        changed(
            r#""id":"ada","type":"provider","data""#,
            r#""id":"a_","type":"provider","data""#,
        ),
        changed(
            r#""id":"ada","type":"provider","data""#,
            r#""id":"ada","type":"nobody","data""#,
        ),
        changed(r#""data":{"name":"Ada L."}"#, r#""data":[]"#),
        changed(r#""version":2"#, r#""version":0"#),
        changed(r#""version":2"#, r#""version":4294967296"#),
        changed(r#","version":2"#, ""),
        changed(r#""createdAt":"1999"#, r#""createdAt":"2999"#),
        changed(
            r#""identifier":[{"value":"1"}]"#,
            r#""identifier":[{"value":"1"},{"value":"1"}]"#,
        ),
        changed(
            r#""id":"bob.ada","type":"refersTo","from":{"id":"bob""#,
            r#""id":"eve.ada","type":"refersTo","from":{"id":"eve""#,
        ),
        changed(r#""id":"bob.ada""#, r#""id":"eve.ada""#),
        changed(
            r#""from":{"id":"bob","type":"provider"}"#,
            r#""from":{"id":"bob","type":"x"}"#,
        ),
        changed(r#"{"resource":{"id":"bob""#, r#"{"resource":{"id":"ada""#),
        changed(r#""resources":2"#, r#""resources":3"#),
        changed(
            r#"{"end":{"#,
            r#"{"error":{"code":503,"type":"UNAVAILABLE","message":"gone"}}{"#,
        ),
        lines[..lines.len() - 1].join("\n")
            + "\n"
            + r#"{"error":{"code":503,"type":"UNAVAILABLE","message":"gone"}}"#,
    ] {
        again(&world).await;
        let answer = imported(&world, "", wrong).await;
        assert!(answer.starts_with("4"), "{answer}");
        told += &answer.replace("400\n", "").replace("404\n", "");
        told.push('\n');
    }
    insta::assert_snapshot!(told, @r#"
    {"code":400,"type":"INVALID_ARGUMENT","message":"the import is empty; send what an export has written"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"an import is what an export has written: its first line has the member 'export'"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"the export broke off, for its last line does not have the member 'end'; export again, or take it as far as it goes with ?incomplete=true; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 8 stands behind the end of the export; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 2 begins a second export; send one"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 5 is a definition behind records; definitions come first; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"the export has format 2 and this version of granary reads format 1; import it with the version that wrote it"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 2 is no line of an export, at its byte 9: unknown variant `profil`, expected one of `export`, `profile`, `relationshipDefinition`, `resource`, `relationship`, `end`, `error`"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"profile 'provider': 2 faults, the first at /properties/name/type: type 'simbol' is not known, did you mean 'symbol'?","details":[{"type":"INVALID_ARGUMENT","message":"type 'simbol' is not known, did you mean 'symbol'?","path":"/properties/name/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"type 'simbol' is not known, did you mean 'symbol'?","path":"/properties/specialities/items/type","rule":"type"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 2: a definition has a revision from 1 to 2147483647"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 2: a definition has a revision from 1 to 2147483647"}
    {"code":404,"type":"NOT_FOUND","message":"line 6: to: resource of type 'provider' with id 'ada' does not exist; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /type: resource type 'nobody' is not known; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"resource type 'nobody' is not known","path":"/type","rule":"type"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /data: expected an object, found an array; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"expected an object, found an array","path":"/data","rule":"type"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /meta/version: '0' is no version: from 1 to 2147483647; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"'0' is no version: from 1 to 2147483647","path":"/meta/version","rule":"type"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /meta/version: '4294967296' is no version: from 1 to 2147483647; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"'4294967296' is no version: from 1 to 2147483647","path":"/meta/version","rule":"type"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /meta/version: 'version' is required; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"'version' is required","path":"/meta/version","rule":"required"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /meta/updatedAt: is 2026-01-31T08:00:00.000Z, before 'createdAt', which is 2999-01-01T00:00:00.000Z; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"is 2026-01-31T08:00:00.000Z, before 'createdAt', which is 2999-01-01T00:00:00.000Z","path":"/meta/updatedAt","rule":"min"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 4: /meta/identifier/1: has the system, value and use of the identifier at place 0; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"has the system, value and use of the identifier at place 0","path":"/meta/identifier/1","rule":"duplicate"}]}
    {"code":404,"type":"NOT_FOUND","message":"line 6: from: resource of type 'provider' with id 'eve' does not exist; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 6: /id: is 'eve.ada', but the ends make it 'bob.ada'; leave the id out; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"is 'eve.ada', but the ends make it 'bob.ada'; leave the id out","path":"/id","rule":"id"}]}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 6: /from/type: is 'x', this end of the relationship type is 'provider'; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again","details":[{"type":"INVALID_ARGUMENT","message":"is 'x', this end of the relationship type is 'provider'","path":"/from/type","rule":"type"}]}
    409
    {"code":409,"type":"ALREADY_EXISTS","message":"line 5: record with id 'ada' already exists; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"the export says at its end that it has 1 profiles, 1 relationship definitions, 3 resources and 1 relationships, and it has 1 profiles, 1 relationship definitions, 2 resources and 1 relationships; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"line 7 is no line of an export, at its byte 61: trailing characters; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    {"code":400,"type":"INVALID_ARGUMENT","message":"the export broke off at line 7: gone; export again, or take it as far as it goes with ?incomplete=true; part of what came before it is stored: delete source 'again' with all it holds (?purge=true) and import again"}
    "#);
}

#[tokio::test]
async fn an_export_that_broke_off_is_taken_where_that_is_asked_for() {
    let world = filled(Limits::default()).await;
    let export = exported(&world).await;
    let lines: Vec<&str> = export.lines().collect();
    again(&world).await;
    let cut = lines[..4].join("\n");
    // Inside a line, wherever that is.
    for length in [1, 10, lines[4].len() - 1] {
        let torn = format!("{cut}\n{}", &lines[4][..length]);
        let told = imported(&world, "?incomplete=true", torn.clone()).await;
        assert!(told.starts_with("200\n"), "{told}");
        again(&world).await;
        assert!(imported(&world, "", torn).await.starts_with("400\n"));
        again(&world).await;
    }
    insta::assert_snapshot!(imported(&world, "?incomplete=true", cut).await, @r#"
    200
    {"source":"again","profiles":1,"relationshipDefinitions":1,"resources":1,"relationships":0}
    "#);
}

#[tokio::test]
async fn the_limits_of_imports_are_kept() {
    let world = filled(Limits::default()).await;
    let export = exported(&world).await;
    let longest = export.lines().map(str::len).max().unwrap() as u64;
    for (limits, refused) in [
        (
            Limits {
                import_bytes: export.len() as u64,
                ..Limits::default()
            },
            None,
        ),
        (
            Limits {
                import_bytes: export.len() as u64 - 1,
                ..Limits::default()
            },
            Some("importBytes"),
        ),
        (
            Limits {
                import_line_bytes: longest,
                ..Limits::default()
            },
            None,
        ),
        (
            Limits {
                import_line_bytes: longest - 1,
                ..Limits::default()
            },
            Some("importLineBytes"),
        ),
    ] {
        let world = World::limited(limits).await;
        again(&world).await;
        let answer = imported(&world, "", &*export).await;
        match refused {
            None => assert!(answer.starts_with("200"), "{answer}"),
            Some(limit) => assert!(answer.starts_with("413") && answer.contains(limit), "{answer}"),
        }
    }
}

#[tokio::test]
async fn a_definition_over_its_limit_is_refused_as_it_is_read() {
    let limits = Limits {
        definition_bytes: 1_000,
        definitions_per_source: 2,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    again(&world).await;
    let at = "2026-01-31T08:00:00.000Z";
    let header = format!(r#"{{"export":{{"format":1,"source":"clinics","exportedAt":"{at}"}}}}"#);
    let of_bytes = |key: &str, bytes: usize| {
        let blanks = " ".repeat(bytes - r#"{"properties":{}}"#.len());
        let known = format!(r#""key":"{key}","revision":1,"createdAt":"{at}","updatedAt":"{at}""#);
        format!(r#"{{"profile":{{{known},"properties":{{{blanks}}}}}}}"#)
    };
    // What stands behind it is not looked at any more.
    let sent = async |lines: &[String]| {
        let lines = format!("{header}\n{}\nno line", lines.join("\n"));
        imported(&world, "", lines).await
    };
    let (first, second) = (of_bytes("a", 1_000), of_bytes("b", 1_000));
    let fit = sent(&[first.clone(), second.clone()]).await;
    assert!(fit.contains("line 4 is no line"), "{fit}");
    insta::assert_snapshot!(sent(&[first.clone(), of_bytes("b", 1_001)]).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"line 3: the definition with 1001 bytes is over the limit definitionBytes of 1000"}
    "#);
    insta::assert_snapshot!(sent(&[first, second, of_bytes("c", 17)]).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of definitions of the export is over the limit definitionsPerSource of 2"}
    "#);
}

/// The last line of what is left of an answer.
async fn last_line(answer: Response) -> Value {
    let text = answer.text().await.unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[tokio::test]
async fn exports_have_a_limit_and_a_time() {
    let limits = Limits {
        exports: 1,
        export_seconds: 1,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    // More than fits into what is on its way.
    let name = "x".repeat(1_000_000);
    for n in 0..40 {
        world
            .carried_out(BULK, json!([create(&format!("p{n:02}"), &name)]))
            .await;
    }
    let open = async || world.request(Method::GET, EXPORT).send().await.unwrap();
    let slow = open().await;
    assert_eq!(slow.status(), 200);
    insta::assert_snapshot!(shown(world.request(Method::GET, EXPORT)).await, @r#"
    429
    retry-after: 1
    {"code":429,"type":"RESOURCE_EXHAUSTED","message":"1 exports are open, which is the limit exports; begin this one when another has ended"}
    "#);
    // It is not read, and its place is free when its time is over.
    let next = loop {
        let next = open().await;
        if next.status() == 200 {
            break next;
        }
    };
    let error = last_line(slow).await;
    assert_eq!(error["error"]["type"], "UNAVAILABLE", "{error}");
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("exportSeconds"),
        "{error}"
    );
    let end = last_line(next).await;
    assert_eq!(end["end"]["resources"], 40, "{end}");
}

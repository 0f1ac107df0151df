//! What bad input gets: operations that are none.

use serde_json::{Value, json};

use super::registry::{Registry, create, create_edge, fault, request, upsert};

/// The faults of each of these operations, sent alone; each is rejected.
async fn check(registry: &Registry, target: &str, cases: &[(Value, &[(&str, &str)])]) {
    for (operation, expected) in cases {
        let answer = registry
            .send_to(target, request(std::slice::from_ref(operation)))
            .await;
        let expected: Vec<_> = expected.iter().map(|(path, rule)| fault(path, rule)).collect();
        let mut found = answer.faults();
        found.sort();
        let mut sorted = expected.clone();
        sorted.sort();
        assert_eq!(found, sorted, "{operation}");
        let error = &answer.rejected()[0]["error"];
        assert_eq!(
            (&error["code"], &error["type"]),
            (&json!(400), &json!("INVALID_ARGUMENT")),
            "{operation}"
        );
        for detail in error["details"].as_array().unwrap() {
            assert_eq!(detail["type"], "INVALID_ARGUMENT");
            assert!(!detail["message"].as_str().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn an_operation_is_an_object_with_an_action_and_its_payload() {
    let registry = Registry::start().await;
    let payload = create("ada", "Ada")["create"].clone();
    let delete = json!({"type": "provider", "id": "ada"});
    check(
        &registry,
        "resources",
        &[
            (json!({}), &[("/action", "required")]),
            (json!([]), &[("", "type")]),
            (json!("CREATE"), &[("", "type")]),
            (json!(null), &[("", "type")]),
            (json!({"action": "CREATE"}), &[("/create", "required")]),
            (json!({"action": "UPSERT"}), &[("/upsert", "required")]),
            (json!({"action": "DELETE"}), &[("/delete", "required")]),
            (
                json!({"action": null, "create": payload}),
                &[("/action", "required")],
            ),
            (json!({"action": 1, "create": payload}), &[("/action", "type")]),
            (json!({"create": payload}), &[("/action", "required")]),
            (json!({"action": "CREATE", "create": []}), &[("/create", "type")]),
            (
                json!({"action": "CREATE", "create": "ada"}),
                &[("/create", "type")],
            ),
            (
                json!({"action": "CREATE", "upsert": payload}),
                &[("/upsert", "payload")],
            ),
            (
                json!({"action": "DELETE", "create": payload}),
                &[("/create", "payload")],
            ),
            (
                json!({"action": "CREATE", "create": payload, "delete": delete}),
                &[("/delete", "payload")],
            ),
            (
                json!({"action": "CREATE", "create": payload, "resource": {}}),
                &[("/resource", "unknown")],
            ),
            (
                json!({"action": "CREATE", "create": payload, "id": "x"}),
                &[("/id", "unknown")],
            ),
        ],
    )
    .await;
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_action_in_lower_case_is_told_the_right_one() {
    let registry = Registry::start().await;
    for (sent, meant) in [
        ("create", "CREATE"),
        ("Create", "CREATE"),
        ("uPSERT", "UPSERT"),
        ("delete", "DELETE"),
    ] {
        let operation = json!({"action": sent, "create": create("ada", "Ada")["create"]});
        let answer = registry.send(request(&[operation])).await;
        assert_eq!(answer.faults()[0], fault("/action", "enum"));
        let message = answer.rejected()[0]["error"]["details"][0]["message"]
            .as_str()
            .unwrap();
        assert!(message.contains(&format!("use '{meant}'")), "{message}");
    }
    let typo = json!({"action": "CRAETE", "create": create("ada", "Ada")["create"]});
    let answer = registry.send(request(&[typo])).await;
    assert!(
        answer.body.to_string().contains("did you mean 'CREATE'?"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_payload_has_its_members_and_no_others() {
    let registry = Registry::start().await;
    let with = |member: &str, value: Value| {
        let mut operation = create("ada", "Ada");
        operation["create"][member] = value;
        operation
    };
    check(
        &registry,
        "resources",
        &[
            (
                json!({"action": "CREATE", "create": {}}),
                &[("/create/type", "required"), ("/create/data", "required")],
            ),
            (with("data", json!(null)), &[("/create/data", "required")]),
            (with("data", json!([])), &[("/create/data", "type")]),
            (with("data", json!("Ada")), &[("/create/data", "type")]),
            (with("contained", json!([])), &[("/create/contained", "type")]),
            (
                with("contained", json!({"lines": []})),
                &[("/create/contained/lines", "unknown")],
            ),
            (with("meta", json!("x")), &[("/create/meta", "type")]),
            (with("from", json!({})), &[("/create/from", "unknown")]),
            (with("a/b~c", json!(1)), &[("/create/a~1b~0c", "unknown")]),
            (with("", json!(1)), &[("/create/", "unknown")]),
        ],
    )
    .await;
    registry.assert_empty().await;
}

#[tokio::test]
async fn an_id_fits_its_pattern() {
    let registry = Registry::start().await;
    for bad in [
        "",
        "a",
        "_ada",
        "a b",
        "a.b",
        "a/b",
        "é1",
        "ada\n",
        "ada\u{0}",
        &"i".repeat(94),
    ] {
        let answer = registry.send(request(&[create(bad, "Ada")])).await;
        assert_eq!(answer.faults(), [fault("/create/id", "id")], "{bad:?}");
        let answer = registry.send(request(&[upsert(bad, "Ada")])).await;
        assert_eq!(answer.faults(), [fault("/upsert/id", "id")], "{bad:?}");
    }
    for (wrong, rule) in [(json!(7), "type"), (json!({}), "type"), (json!(true), "type")] {
        let mut operation = create("ada", "Ada");
        operation["create"]["id"] = wrong;
        assert_eq!(
            registry.send(request(&[operation])).await.faults(),
            [fault("/create/id", rule)]
        );
    }
    let good = ["ab", "-a", "A_", "0-", &"i".repeat(93)].map(|id| create(id, "Ada"));
    assert_eq!(registry.carried_out(request(&good)).await["outcome"], "COMPLETE");
}

#[tokio::test]
async fn a_type_is_a_profile_of_the_source() {
    let registry = Registry::start().await;
    registry
        .define("profiles/line", r#"{"type": "CONTAINED", "properties": {}}"#)
        .await;
    for (wrong, hint) in [
        ("providr", "did you mean 'provider'?"),
        ("PROVIDER", "did you mean 'provider'?"),
        ("line", "CONTAINED"),
        ("refersTo", "to the relationships of the source"),
        ("", "is not known"),
        ("bulk", "is not known"),
        (&"x".repeat(100_000), "is not known"),
    ] {
        let operation = json!({"action": "DELETE", "delete": {"type": wrong, "id": "ada"}});
        let answer = registry.send(request(&[operation])).await;
        assert_eq!(answer.faults(), [fault("/delete/type", "type")], "{hint}");
        let error = answer.rejected()[0]["error"].to_string();
        assert!(error.contains(hint) && error.len() < 1_000, "{error}");
    }
    let mut wrong = create("ada", "Ada");
    wrong["create"]["type"] = json!(7);
    assert_eq!(
        registry.send(request(&[wrong])).await.faults(),
        [fault("/create/type", "type")]
    );
}

#[tokio::test]
async fn a_relationship_names_both_its_ends() {
    let registry = Registry::start().await;
    registry.define("profiles/nurse", r#"{"properties": {}}"#).await;
    let with = |member: &str, value: Value| {
        let mut operation = create_edge("ada", "bob");
        operation["create"][member] = value;
        operation
    };
    let delete = |payload: Value| json!({"action": "DELETE", "delete": payload});
    let end = json!({"type": "provider", "id": "ada"});
    check(
        &registry,
        "relationships",
        &[
            (with("from", json!(null)), &[("/create/from", "required")]),
            (with("from", json!("ada")), &[("/create/from", "type")]),
            (
                with("from", json!({"type": "provider"})),
                &[("/create/from/id", "required")],
            ),
            (
                with("from", json!({"id": "ada"})),
                &[("/create/from/type", "required")],
            ),
            (
                with("to", json!({"type": "nurse", "id": "ada"})),
                &[("/create/to/type", "type")],
            ),
            (
                with("to", json!({"type": "provider", "id": "_"})),
                &[("/create/to/id", "id")],
            ),
            (
                with("to", json!({"type": "provider", "id": "ada", "x": 1})),
                &[("/create/to/x", "unknown")],
            ),
            (
                with("data", json!({"sinse": "2020"})),
                &[("/create/data/sinse", "unknown")],
            ),
            (with("id", json!("ada.eve")), &[("/create/id", "id")]),
            (with("contained", json!({})), &[("/create/contained", "unknown")]),
            (
                delete(json!({"type": "refersTo", "id": "ada"})),
                &[("/delete/id", "id")],
            ),
            (
                delete(json!({"type": "refersTo", "id": "ada.bob.cyd"})),
                &[("/delete/id", "id")],
            ),
            (
                delete(json!({"type": "refersTo", "from": end})),
                &[("/delete/to", "required")],
            ),
        ],
    )
    .await;
    let answer = registry
        .send_to("relationships", request(&[delete(json!({"type": "refersTo"}))]))
        .await;
    assert!(!answer.faults().is_empty());
    registry.assert_empty().await;
}

#[tokio::test]
async fn nesting_past_its_limit_fails_and_at_it_does_not() {
    let registry = Registry::start_with(&[("GRANARY_LIMIT_JSON_DEPTH", "9")]).await;
    registry.define("profiles/line", r#"{"type": "CONTAINED", "properties": {}, "contained": {"lines": {"types": ["line"], "cardinality": "0:*"}}}"#).await;
    registry
        .define(
            "profiles/order",
            r#"{"properties": {}, "contained": {"lines": {"types": ["line"], "cardinality": "0:*"}}}"#,
        )
        .await;
    let order = |lines: &str| {
        format!(
            r#"{{"operations":[{{"action":"CREATE","create":{{"type":"order","id":"o1","data":{{}},"contained":{lines}}}}}]}}"#
        )
    };
    // The operation, `create`, `contained`, and then for each level an array and its element; `data` is the ninth.
    let at = r#"{"lines":[{"type":"line","data":{},"contained":{"lines":[{"type":"line","data":{}}]}}]}"#;
    let past =
        r#"{"lines":[{"type":"line","data":{},"contained":{"lines":[{"type":"line","data":{"x":[{}]}}]}}]}"#;
    let answer = registry.send(order(past)).await;
    let error = &answer.rejected()[0]["error"];
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!(413), &json!("CONTENT_TOO_LARGE"))
    );
    assert!(
        error["message"].as_str().unwrap().contains("jsonDepth of 9"),
        "{error}"
    );
    registry.carried_out(order(at)).await;
}

#[tokio::test]
async fn nesting_without_end_is_refused_as_quickly() {
    let registry = Registry::start().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = open.repeat(1_000_000);
        let body = format!(r#"{{"operations":[{{"action":"CREATE","create":{deep}"#);
        registry.send(body).await.rejected_as_a_whole();
        let whole = format!("{deep}1{}", close.repeat(1_000_000));
        let body = format!(r#"{{"operations":[{{"action":"CREATE","create":{whole}}}]}}"#);
        let answer = registry.send(body).await;
        assert_eq!(answer.rejected()[0]["error"]["code"], 413);
        registry.send(deep).await.rejected_as_a_whole();
        let beside = format!(r#"{{"x":{whole},"operations":[]}}"#);
        registry.send(beside).await.rejected_as_a_whole();
    }
    registry.assert_empty().await;
}

#[tokio::test]
async fn meta_that_cannot_be_is_refused_with_every_fault() {
    let registry = Registry::start().await;
    let of = |meta: Value| {
        let mut operation = create("ada", "Ada");
        operation["create"]["meta"] = meta;
        request(&[operation])
    };
    let meta = json!({
        "createdAt": "2999-01-01T00:00:00Z",
        "updatedAt": "2020-01-01",
        "version": 2,
        "identifier": [{"value": "1"}, {"value": "1"}, {"use": "source", "system": "mdm"}],
    });
    let answer = registry.send(of(meta)).await;
    let expected = [
        fault("/create/meta/createdAt", "max"),
        fault("/create/meta/identifier/1", "duplicate"),
        fault("/create/meta/identifier/2/system", "enum"),
        fault("/create/meta/identifier/2/use", "enum"),
        fault("/create/meta/updatedAt", "type"),
        fault("/create/meta/version", "unknown"),
    ];
    let mut found = answer.faults();
    found.sort();
    assert_eq!(found, expected);
    let identifiers: Vec<Value> = (0..101).map(|n| json!({"value": n.to_string()})).collect();
    let answer = registry.send(of(json!({"identifier": identifiers}))).await;
    assert_eq!(answer.rejected()[0]["error"]["code"], 413);
    registry.assert_empty().await;
}

#[tokio::test]
async fn all_faults_of_an_operation_are_told_up_to_a_limit_with_their_number() {
    let registry = Registry::start().await;
    let data: serde_json::Map<String, Value> = (0..250).map(|n| (format!("x{n}"), json!(n))).collect();
    let operation = json!({"action": "CREATE", "create": {"type": "provider", "data": data}});
    let answer = registry.send(request(&[operation])).await;
    let error = &answer.rejected()[0]["error"];
    assert_eq!(error["details"].as_array().unwrap().len(), 100);
    assert_eq!(error["detailsTotal"], 251, "the name is missing too");
}

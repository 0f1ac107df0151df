//! Definitions: what is read, and every fault of one that makes no sense.

use std::collections::BTreeSet;

use super::*;
use crate::error::{ErrorObject, ErrorType};
use crate::limits::Limits;
use crate::schema::{DefinitionKind, StoredDefinition, accept};
use crate::time::Timestamp;

fn stored(kind: DefinitionKind, key: &str, json: &str) -> StoredDefinition {
    StoredDefinition {
        kind,
        key: Key::parse(key).unwrap(),
        number: 1,
        revision: 1,
        json: json.into(),
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

fn others() -> Vec<StoredDefinition> {
    vec![
        stored(DefinitionKind::Profile, "provider", r#"{"properties":{}}"#),
        stored(
            DefinitionKind::Profile,
            "clinic",
            r#"{"type":"ROOT","properties":{}}"#,
        ),
        stored(
            DefinitionKind::Profile,
            "office",
            r#"{"properties":{},"type":"CONTAINED"}"#,
        ),
        stored(
            DefinitionKind::RelationshipDefinition,
            "worksAt",
            r#"{"from":{"profileKey":"provider","includeKey":"worksAt","includeCardinality":"0:*"},"to":{"profileKey":"clinic","includeKey":"staff","includeCardinality":"0:*"}}"#,
        ),
    ]
}

fn vocabularies() -> BTreeSet<Key> {
    ["specialities", "languages"]
        .into_iter()
        .map(|key| Key::parse(key).unwrap())
        .collect()
}

fn put(kind: DefinitionKind, key: &str, json: &str, limits: &Limits) -> Result<String, ErrorObject> {
    let accepted = accept(
        kind,
        &Key::parse(key).unwrap(),
        json.as_bytes(),
        &others(),
        &vocabularies(),
        limits,
    )?;
    Ok(accepted.json().to_owned())
}

fn profile(json: &str) -> Result<String, ErrorObject> {
    put(DefinitionKind::Profile, "new", json, &Limits::default())
}

fn relationship(json: &str) -> Result<String, ErrorObject> {
    put(
        DefinitionKind::RelationshipDefinition,
        "new",
        json,
        &Limits::default(),
    )
}

#[track_caller]
fn faults(put: Result<String, ErrorObject>, expected: &[(&str, &str)]) -> ErrorObject {
    let error = put.expect_err("the definition makes no sense");
    let mut found: Vec<(&str, &str)> = error
        .details
        .iter()
        .map(|d| (d.path.as_deref().unwrap(), d.rule.as_deref().unwrap()))
        .collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{error:#?}");
    error
}

/// A profile with one property `p`, and its faults below that.
#[track_caller]
fn property(json: &str, expected: &[(&str, &str)]) -> ErrorObject {
    let expected: Vec<_> = expected
        .iter()
        .map(|(path, rule)| (format!("/properties/p{path}"), *rule))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(path, rule)| (path.as_str(), *rule))
        .collect();
    faults(profile(&format!(r#"{{"properties":{{"p":{json}}}}}"#)), &expected)
}

#[test]
fn what_makes_sense_is_kept_as_it_was_sent() {
    for json in [
        r#"{"properties":{}}"#,
        r#"{"type":null,"description":"x","properties":{},"contained":{}}"#,
        r#"{"type":"CONTAINED","properties":{},"contained":{"again":{"types":["new","office"],"cardinality":"0:*"}}}"#,
        r#"{"properties":{"a":{"type":"array","items":{"type":"array","items":{"type":"object","properties":{"x":{"type":"time"}}}}}}}"#,
        r#"{"properties":{"a":{"type":"symbol","description":"d","rules":[{"required":true,"min":1,"max":1},{"pattern":"a|b"},{"enum":["a","b"]}]}}}"#,
        r#"{"properties":{"a":{"type":"decimal","rules":[{"min":1.10,"max":1.1},{"enum":[11e-1]}]}}}"#,
        r#"{"properties":{"a":{"type":"integer","rules":[{"min":-3,"max":-3}]}}}"#,
        r#"{"properties":{"a":{"type":"array","items":{"type":"code","rules":[{"enum":["x"]}]},"rules":[{"min":0,"max":0}]}}}"#,
        r#"{"properties":{"a":{"type":"date","rules":[{"min":10,"max":10},{"pattern":"^2"},{"enum":["2020-01-01"]}]}}}"#,
        r#"{"properties":{"a":{"type":"boolean","rules":[]},"b":{"type":"object","properties":{},"rules":[{"required":false}]}}}"#,
    ] {
        assert_eq!(profile(json).unwrap(), json);
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(profile(&serde_json::to_string_pretty(&value).unwrap()).is_ok());
    }
    assert_eq!(
        profile(" { \"properties\" : { } } ").unwrap(),
        r#"{"properties":{}}"#
    );
    let json = r#"{"from":{"profileKey":"provider","includeKey":"a","includeCardinality":"0:1"},"to":{"profileKey":"provider","includeKey":"b","includeCardinality":"1:*"},"properties":{"x":{"type":"url"}}}"#;
    assert_eq!(relationship(json).unwrap(), json);
}

#[test]
fn shapes_that_are_wrong() {
    faults(profile("[]"), &[("", "type")]);
    faults(profile("{}"), &[("/properties", "required")]);
    faults(profile(r#"{"properties":[]}"#), &[("/properties", "type")]);
    faults(
        profile(r#"{"properties":{},"properties":{}}"#),
        &[("/properties", "duplicate")],
    );
    faults(
        profile(r#"{"properties":{},"type":"root"}"#),
        &[("/type", "type")],
    );
    faults(profile(r#"{"properties":{},"type":1}"#), &[("/type", "type")]);
    faults(
        profile(r#"{"properties":{},"description":1}"#),
        &[("/description", "type")],
    );
    faults(
        profile(r#"{"properties":{},"description":"\ud800"}"#),
        &[("/description", "type")],
    );
    let error = faults(
        profile(r#"{"propertis":{}}"#),
        &[("/propertis", "unknown"), ("/properties", "required")],
    );
    assert!(
        error.details[0].message.ends_with("did you mean 'properties'?"),
        "{error:?}"
    );
    faults(
        profile(
            r#"{"properties":{"_a":{"type":"code"},"bulk":{"type":"code"},"a b":{"type":"code"},"":{"type":"code"}}}"#,
        ),
        &[
            ("/properties/_a", "key"),
            ("/properties/bulk", "key"),
            ("/properties/a b", "key"),
            ("/properties/", "key"),
        ],
    );
    faults(
        profile(r#"{"properties":{"a":{"type":"code"},"\u0061":{"type":"code"}}}"#),
        &[("/properties/a", "duplicate")],
    );
    let error = profile(r#"{"properties":{"a":{"type":"code"},}}"#).unwrap_err();
    assert!(error.message.contains("at byte 35"), "{error}");
    assert_eq!(error.error_type, ErrorType::InvalidArgument);
}

#[test]
fn properties_that_are_wrong() {
    property("7", &[("", "type")]);
    property("null", &[("", "type")]);
    property("{}", &[("/type", "required")]);
    property(r#"{"type":5}"#, &[("/type", "type")]);
    let error = property(r#"{"type":"sybmol"}"#, &[("/type", "type")]);
    assert!(error.message.ends_with("did you mean 'symbol'?"), "{error}");
    let error = property(r#"{"type":"String"}"#, &[("/type", "type")]);
    assert!(
        error
            .message
            .ends_with("type 'String' is not known, did you mean 'symbol'?"),
        "{error}"
    );
    for (name, ours) in [("int", "integer"), ("bool", "boolean"), ("double", "decimal")] {
        let error = property(&format!(r#"{{"type":"{name}"}}"#), &[("/type", "type")]);
        let hint = format!("type '{name}' is not known, did you mean '{ours}'?");
        assert!(error.message.ends_with(&hint), "{error}");
    }
    for name in ["required", "min", "enum"] {
        let error = property(
            &format!(r#"{{"type":"code","{name}":true}}"#),
            &[(&*format!("/{name}"), "unknown")],
        );
        let hint = format!("it is a rule: \"rules\": [{{\"{name}\": …}}]");
        assert!(error.message.ends_with(&hint), "{error}");
    }
    property(r#"{"type":"code","rule":[]}"#, &[("/rule", "unknown")]);
    property(r#"{"type":"array"}"#, &[("/items", "required")]);
    property(
        r#"{"type":"array","items":{"type":"nope"}}"#,
        &[("/items/type", "type")],
    );
    property(
        r#"{"type":"code","items":{"type":"code"}}"#,
        &[("/items", "items")],
    );
    property(r#"{"type":"object"}"#, &[("/properties", "required")]);
    property(
        r#"{"type":"code","properties":{}}"#,
        &[("/properties", "properties")],
    );
    property(
        r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{"b":{"type":"x"}}}}}}"#,
        &[("/properties/a/items/properties/b/type", "type")],
    );
    property(r#"{"type":"symbol","binding":{}}"#, &[("/binding", "binding")]);
    property(r#"{"type":"code","type":"code"}"#, &[("/type", "duplicate")]);
}

#[test]
fn rules_that_are_wrong() {
    property(r#"{"type":"code","rules":{}}"#, &[("/rules", "type")]);
    property(r#"{"type":"code","rules":[1]}"#, &[("/rules/0", "type")]);
    property(
        r#"{"type":"code","rules":[{"maxx":1}]}"#,
        &[("/rules/0/maxx", "unknown")],
    );
    property(
        r#"{"type":"code","rules":[{"required":"yes"}]}"#,
        &[("/rules/0/required", "type")],
    );
    property(
        r#"{"type":"boolean","rules":[{"min":1},{"max":1,"enum":[true],"pattern":"x"}]}"#,
        &[
            ("/rules/0/min", "min"),
            ("/rules/1/max", "max"),
            ("/rules/1/enum", "enum"),
            ("/rules/1/pattern", "pattern"),
        ],
    );
    property(
        r#"{"type":"object","properties":{},"rules":[{"min":1}]}"#,
        &[("/rules/0/min", "min")],
    );
    let error = property(
        r#"{"type":"array","items":{"type":"code"},"rules":[{"enum":["a"]}]}"#,
        &[("/rules/0/enum", "enum")],
    );
    assert!(error.message.contains("go in 'items'"), "{error}");
    property(
        r#"{"type":"integer","rules":[{"pattern":"1"}]}"#,
        &[("/rules/0/pattern", "pattern")],
    );
    property(
        r#"{"type":"integer","rules":[{"min":1.5,"max":"2"}]}"#,
        &[("/rules/0/min", "min"), ("/rules/0/max", "type")],
    );
    property(
        r#"{"type":"decimal","rules":[{"min":1e309}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"symbol","rules":[{"min":-1}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"array","items":{"type":"code"},"rules":[{"max":1.0}]}"#,
        &[("/rules/0/max", "max")],
    );
    property(
        r#"{"type":"symbol","rules":[{"pattern":7}]}"#,
        &[("/rules/0/pattern", "type")],
    );
    let error = property(
        r#"{"type":"symbol","rules":[{"pattern":"(?=a)"}]}"#,
        &[("/rules/0/pattern", "pattern")],
    );
    assert!(error.message.contains("look-ahead is not supported"), "{error}");
    property(
        r#"{"type":"symbol","rules":[{"enum":"a"}]}"#,
        &[("/rules/0/enum", "type")],
    );
    property(
        r#"{"type":"array","items":{"type":"symbol","rules":[{"enum":[]}]}}"#,
        &[("/items/rules/0/enum", "enum")],
    );
}

#[test]
fn rules_that_can_never_hold() {
    property(
        r#"{"type":"integer","rules":[{"min":3,"max":2}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"integer","rules":[{"max":2},{"min":1},{"min":3}]}"#,
        &[("/rules/2/min", "min")],
    );
    property(
        r#"{"type":"decimal","rules":[{"min":1.11,"max":1.1}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"symbol","rules":[{"min":3,"max":2}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"array","items":{"type":"code"},"rules":[{"min":3,"max":2}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"code","rules":[{"max":0}]}"#,
        &[("/rules/0/max", "max")],
    );
    property(
        r#"{"type":"date","rules":[{"min":11}]}"#,
        &[("/rules/0/min", "min")],
    );
    property(
        r#"{"type":"code","rules":[{"enum":[]}]}"#,
        &[("/rules/0/enum", "enum")],
    );
    property(
        r#"{"type":"code","rules":[{"enum":["a",""," b",1,null]}]}"#,
        &[
            ("/rules/0/enum/1", "enum"),
            ("/rules/0/enum/2", "enum"),
            ("/rules/0/enum/3", "enum"),
            ("/rules/0/enum/4", "enum"),
        ],
    );
    property(
        r#"{"type":"integer","rules":[{"enum":[1,1.5,"1",99]},{"max":9}]}"#,
        &[
            ("/rules/0/enum/1", "enum"),
            ("/rules/0/enum/2", "enum"),
            ("/rules/0/enum/3", "enum"),
        ],
    );
    property(
        r#"{"type":"decimal","rules":[{"enum":[1.5,true]},{"min":2}]}"#,
        &[("/rules/0/enum/0", "enum"), ("/rules/0/enum/1", "enum")],
    );
    property(
        r#"{"type":"symbol","rules":[{"enum":["ab","x"],"min":2,"pattern":"^a"}]}"#,
        &[("/rules/0/enum/1", "enum"), ("/rules/0/enum/1", "enum")],
    );
    property(
        r#"{"type":"symbol","rules":[{"enum":["a","b"]},{"enum":["b","c"]}]}"#,
        &[("/rules/0/enum/0", "enum"), ("/rules/1/enum/1", "enum")],
    );
    property(
        r#"{"type":"date","rules":[{"enum":["2023-02-29"]}]}"#,
        &[("/rules/0/enum/0", "enum")],
    );
}

#[test]
fn contained_profiles() {
    let contained = |json: &str| profile(&format!(r#"{{"properties":{{}},"contained":{json}}}"#));
    faults(contained("[]"), &[("/contained", "type")]);
    faults(contained(r#"{"a":1}"#), &[("/contained/a", "type")]);
    faults(
        contained(r#"{"a":{}}"#),
        &[
            ("/contained/a/types", "required"),
            ("/contained/a/cardinality", "required"),
        ],
    );
    faults(
        contained(r#"{"_a":{"types":["office"],"cardinality":"0:1"}}"#),
        &[("/contained/_a", "key")],
    );
    faults(
        contained(r#"{"a":{"types":[],"cardinality":"0:1"}}"#),
        &[("/contained/a/types", "types")],
    );
    faults(
        contained(r#"{"a":{"types":"office","cardinality":"1"}}"#),
        &[
            ("/contained/a/types", "type"),
            ("/contained/a/cardinality", "cardinality"),
        ],
    );
    faults(
        contained(r#"{"a":{"types":["office","office",3,"a b"],"cardinality":"0:2"}}"#),
        &[
            ("/contained/a/types/1", "duplicate"),
            ("/contained/a/types/2", "type"),
            ("/contained/a/types/3", "key"),
            ("/contained/a/cardinality", "cardinality"),
        ],
    );
    let error = faults(
        contained(r#"{"a":{"types":["ofice","clinic","new"],"cardinality":"0:1","x":1}}"#),
        &[
            ("/contained/a/types/0", "contained"),
            ("/contained/a/types/1", "contained"),
            // Itself, which is ROOT.
            ("/contained/a/types/2", "contained"),
            ("/contained/a/x", "unknown"),
        ],
    );
    assert!(
        error
            .details
            .iter()
            .any(|d| d.message.ends_with("did you mean 'office'?")),
        "{error:?}"
    );
    let twice =
        r#"{"a":{"types":["office"],"cardinality":"0:1"},"a":{"types":["office"],"cardinality":"0:1"}}"#;
    faults(contained(twice), &[("/contained/a", "duplicate")]);
}

#[test]
fn ends_of_relationships() {
    let end = |profile: &str, include: &str| {
        format!(r#"{{"profileKey":"{profile}","includeKey":"{include}","includeCardinality":"0:*"}}"#)
    };
    let put = |from: &str, to: &str| relationship(&format!(r#"{{"from":{from},"to":{to}}}"#));
    assert!(put(&end("provider", "a"), &end("clinic", "a")).is_ok());
    faults(relationship("{}"), &[("/from", "required"), ("/to", "required")]);
    faults(put("1", &end("clinic", "a")), &[("/from", "type")]);
    faults(
        put("{}", &end("clinic", "a")),
        &[
            ("/from/profileKey", "required"),
            ("/from/includeKey", "required"),
            ("/from/includeCardinality", "required"),
        ],
    );
    faults(
        put(&end("office", "a"), &end("nope", "b")),
        &[
            ("/from/profileKey", "profileKey"),
            ("/to/profileKey", "profileKey"),
        ],
    );
    faults(
        put(&end("provider", "worksAt"), &end("clinic", "x y")),
        &[("/from/includeKey", "includeKey"), ("/to/includeKey", "key")],
    );
    faults(
        put(&end("clinic", "a"), &end("clinic", "a")),
        &[("/to/includeKey", "includeKey")],
    );
    faults(
        put(
            &end("provider", "a").replace("0:*", "2"),
            &end("clinic", "b").replace('}', r#","more":1}"#),
        ),
        &[
            ("/from/includeCardinality", "cardinality"),
            ("/to/more", "unknown"),
        ],
    );
    faults(
        relationship(&format!(
            r#"{{"from":{},"to":{},"properties":{{"p":{{"type":"x"}}}},"contained":{{}}}}"#,
            end("provider", "a"),
            end("clinic", "b")
        )),
        &[("/properties/p/type", "type"), ("/contained", "unknown")],
    );
    // A definition may keep its own include keys when it is replaced.
    let again = format!(
        r#"{{"from":{},"to":{}}}"#,
        end("provider", "worksAt"),
        end("clinic", "staff")
    );
    let kind = DefinitionKind::RelationshipDefinition;
    assert!(super::tests::put(kind, "worksAt", &again, &Limits::default()).is_ok());
}

#[test]
fn many_faults_are_all_told() {
    let json = r#"{"typ":"ROOT","description":7,"properties":{
        "_bad":{"type":"nope"},
        "a":{"type":"array","rules":[{"min":2,"max":1,"pattern":"x"}]},
        "b":{"type":"integer","rules":[{"enum":[1,"2"]},{"max":0}]},
        "c":{"type":"symbol","rules":[{"pattern":"("}],"items":{"type":"code"}},
        "c":{"type":"symbol"},
        "d":{"type":"object","properties":{"e":{"type":"codign"}}}},
        "contained":{"x":{"types":["provider","nope"],"cardinality":"many"}}}"#;
    let error = faults(
        profile(json),
        &[
            ("/typ", "unknown"),
            ("/description", "type"),
            ("/properties/_bad", "key"),
            ("/properties/_bad/type", "type"),
            ("/properties/a/items", "required"),
            ("/properties/a/rules/0/pattern", "pattern"),
            ("/properties/a/rules/0/min", "min"),
            ("/properties/b/rules/0/enum/1", "enum"),
            ("/properties/b/rules/0/enum/0", "enum"),
            ("/properties/c/rules/0/pattern", "pattern"),
            ("/properties/c/items", "items"),
            ("/properties/c", "duplicate"),
            ("/properties/d/properties/e/type", "type"),
            ("/contained/x/types/0", "contained"),
            ("/contained/x/types/1", "contained"),
            ("/contained/x/cardinality", "cardinality"),
        ],
    );
    assert_eq!((error.code, error.details_total), (400, None));
    assert!(error.message.starts_with("16 faults, the first at "), "{error}");
}

mod complex;
mod limits;
mod when;

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_definition_is_judged_without_panic(
            edge: bool,
            cuts in prop::collection::vec((any::<u16>(), any::<u8>(), 0..3_u8), 0..6),
        ) {
            let json = r#"{"type":"ROOT","properties":{"p":{"type":"address","properties":{"line":{"rules":[{"max":3}]}}},"q":{"type":"coding","binding":{"vocabulary":{"key":"languages","strength":"required"}}},"a":{"type":"symbol","rules":[{"min":1,"max":9},{"required":true,"max":5,"when":{"and":[{"eq":{"p.line":"x*"}},{"not":{"gt":{"b.c":1.5}}}]}},{"enum":["a","b"]},{"pattern":"^[a-z]+$"}]},"b":{"type":"array","items":{"type":"object","properties":{"c":{"type":"decimal"}}}}},"contained":{"x":{"types":["office"],"cardinality":"0:*"}},"from":{"profileKey":"provider","includeKey":"y","includeCardinality":"0:1"},"to":{"profileKey":"clinic","includeKey":"z","includeCardinality":"0:1"}}"#;
            let mut bytes = json.as_bytes().to_vec();
            for (place, byte, how) in cuts {
                let place = place as usize % bytes.len();
                match how {
                    0 => bytes.insert(place, byte),
                    1 => { bytes.remove(place); }
                    _ => bytes[place] = b"{}[]:,\"\\0-n1"[byte as usize % 12],
                }
            }
            let kind = if edge { DefinitionKind::RelationshipDefinition } else { DefinitionKind::Profile };
            let accepted = accept(kind, &Key::parse("new").unwrap(), &bytes, &others(), &vocabularies(), &Limits::default());
            if let Err(error) = accepted {
                prop_assert!((400..=413).contains(&error.code));
            }
        }
    }
}

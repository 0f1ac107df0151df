use proptest::prelude::*;
use serde_json::{Value, json};

use super::Patch;
use crate::check::Rejection;
use crate::error::{ErrorObject, ErrorType};
use crate::limits::Limits;

fn parse(patch: &str) -> Result<Patch, Rejection> {
    Patch::parse(patch.as_bytes(), &Limits::default())
}

fn apply(document: &str, patch: &str) -> Result<String, ErrorObject> {
    let patched = parse(patch).unwrap().apply(document.as_bytes())?;
    Ok(String::from_utf8(patched).unwrap())
}

/// Pointer and rule of each fault.
fn faults(patch: &str) -> Vec<(String, String)> {
    match parse(patch) {
        Err(Rejection::Invalid(error)) => {
            let place = |d: crate::error::Detail| (d.path.unwrap(), d.rule.unwrap());
            error.details.into_iter().map(place).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_touched_stays_as_it_is_written() {
    for (document, patch, expected) in [
        (
            r#"{"a":1.10,"b":2}"#,
            r#"[{"op":"replace","path":"/b","value":3.00}]"#,
            r#"{"a":1.10,"b":3.00}"#,
        ),
        (
            r#"{"z":"\u0041","b":[]}"#,
            r#"[{"op":"add","path":"/c","value": { "x" : 1e2 } }]"#,
            r#"{"z":"\u0041","b":[],"c":{"x":1e2}}"#,
        ),
        (
            "{}",
            r#"[{"op":"add","path":"/a","value":null}]"#,
            r#"{"a":null}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"add","path":"/a","value":2}]"#,
            r#"{"a":2}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"[{"op":"add","path":"","value":{"b":2}}]"#,
            r#"{"b":2}"#,
        ),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":{}}]"#, "{}"),
        (
            r#"{"a":1,"b":2,"c":3}"#,
            r#"[{"op":"remove","path":"/a"}]"#,
            r#"{"b":2,"c":3}"#,
        ),
        (
            r#"{"a":1,"b":2,"c":3}"#,
            r#"[{"op":"remove","path":"/b"}]"#,
            r#"{"a":1,"c":3}"#,
        ),
        (
            r#"{"a":1,"b":2,"c":3}"#,
            r#"[{"op":"remove","path":"/c"}]"#,
            r#"{"a":1,"b":2}"#,
        ),
        (r#"{"a":1}"#, r#"[{"op":"remove","path":"/a"}]"#, "{}"),
        (
            r#"{"a":[]}"#,
            r#"[{"op":"add","path":"/a/-","value":1},{"op":"add","path":"/a/0","value":2}]"#,
            r#"{"a":[2,1]}"#,
        ),
        (
            r#"{"a":[1,2]}"#,
            r#"[{"op":"add","path":"/a/1","value":[9]}]"#,
            r#"{"a":[1,[9],2]}"#,
        ),
        (
            r#"{"a":[1,2]}"#,
            r#"[{"op":"add","path":"/a/2","value":3}]"#,
            r#"{"a":[1,2,3]}"#,
        ),
        (
            r#"{"a":[1,2,3]}"#,
            r#"[{"op":"remove","path":"/a/0"},{"op":"remove","path":"/a/1"}]"#,
            r#"{"a":[2]}"#,
        ),
        (
            r#"{"a":{"b":[{"c":1}]}}"#,
            r#"[{"op":"replace","path":"/a/b/0/c","value":"x"}]"#,
            r#"{"a":{"b":[{"c":"x"}]}}"#,
        ),
        (
            r#"{"a/b":1,"m~n":2,"":3}"#,
            r#"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/m~0n"},{"op":"remove","path":"/"}]"#,
            "{}",
        ),
        // Names are compared by their characters.
        (
            r#"{"\u0061":1}"#,
            r#"[{"op":"replace","path":"/a","value":2}]"#,
            r#"{"\u0061":2}"#,
        ),
        (r#"{"~1":1}"#, r#"[{"op":"remove","path":"/~01"}]"#, "{}"),
        (
            "{}",
            r#"[{"op":"add","path":"/\"\u000a","value":1}]"#,
            "{\"\\\"\\u000a\":1}",
        ),
        // What an operation does not have is passed over.
        (
            "{}",
            r#"[{"op":"add","path":"/a","value":1,"from":7,"why":{"op":1}}]"#,
            r#"{"a":1}"#,
        ),
        ("{}", "[]", "{}"),
    ] {
        assert_eq!(
            apply(document, patch).as_deref(),
            Ok(expected),
            "{document} {patch}"
        );
    }
}

#[test]
fn a_test_compares_values_and_not_spellings() {
    let document =
        r#"{"n":1.10,"s":"\u0041/","o":{"a":1,"b":[true,null]},"z":-0.0,"big":1e400,"long":0.00010}"#;
    for (path, value, equal) in [
        ("/n", "1.1", true),
        ("/n", "11e-1", true),
        ("/n", "0.11E+1", true),
        ("/n", "1.100001", false),
        ("/n", "-1.1", false),
        ("/n", r#""1.10""#, false),
        ("/s", r#""A\/""#, true),
        ("/s", r#""a/""#, false),
        ("/o", r#"{"b":[true,null],"a":1.0}"#, true),
        ("/o", r#"{"b":[null,true],"a":1}"#, false),
        ("/o", r#"{"b":[true,null]}"#, false),
        ("/o", r#"{"a":1,"b":[false,null]}"#, false),
        ("/o/b/0", "true", true),
        ("/o/b/0", "1", false),
        ("/z", "0", true),
        ("/z", "0e9", true),
        ("/big", "10e399", true),
        ("/big", "1e401", false),
        ("/long", "1e-4", true),
        ("", document, true),
    ] {
        let patch = format!(r#"[{{"op":"test","path":"{path}","value":{value}}}]"#);
        let outcome = apply(document, &patch);
        assert_eq!(outcome.is_ok(), equal, "{path} {value}");
        match outcome {
            Ok(same) => assert_eq!(same, document),
            Err(error) => {
                assert_eq!(
                    (error.code, error.error_type),
                    (400, ErrorType::FailedPrecondition)
                );
                assert_eq!(error.details[0].path.as_deref(), Some("/0/value"));
            }
        }
    }
    // Half of a surrogate pair is equal to itself alone.
    let half = r#"{"a":["0,\ud800"]}"#;
    assert!(apply(half, r#"[{"op":"test","path":"/a","value":["0,\ud800"]}]"#).is_ok());
    for other in [r#"[0,"\ud800"]"#, r#"["0,\ud801"]"#, r#"["0,\ufffd"]"#] {
        assert!(apply(half, &format!(r#"[{{"op":"test","path":"/a","value":{other}}}]"#)).is_err());
    }
}

#[test]
fn the_first_operation_that_does_not_fit_is_told_and_undoes_all() {
    let document = r#"{"a":[1,2],"o":{"x":"y"}}"#;
    for (operation, expected) in [
        (r#"{"op":"remove","path":"/b"}"#, "there is nothing at '/b'"),
        (
            r#"{"op":"replace","path":"/o/y","value":1}"#,
            "there is nothing at '/o/y'",
        ),
        (
            r#"{"op":"add","path":"/b/c","value":1}"#,
            "there is nothing at '/b/c'",
        ),
        (
            r#"{"op":"add","path":"/a/3","value":1}"#,
            "the array at '/a' has 2 elements",
        ),
        (
            r#"{"op":"add","path":"/a/99999999999999999999","value":1}"#,
            "the array at '/a' has 2 elements",
        ),
        (r#"{"op":"remove","path":"/a/2"}"#, "there is nothing at '/a/2'"),
        (r#"{"op":"remove","path":"/a/-"}"#, "there is nothing at '/a/-'"),
        (
            r#"{"op":"remove","path":"/a/01"}"#,
            "'01' is no index of an array",
        ),
        (
            r#"{"op":"add","path":"/a/x","value":1}"#,
            "'x' is no index of an array",
        ),
        (
            r#"{"op":"add","path":"/a/","value":1}"#,
            "'' is no index of an array",
        ),
        (
            r#"{"op":"add","path":"/o/x/z","value":1}"#,
            "'/o/x' is a string, which holds nothing",
        ),
        (
            r#"{"op":"remove","path":"/a/-1/x"}"#,
            "there is nothing at '/a/-1/x'",
        ),
        (
            r#"{"op":"remove","path":""}"#,
            "the whole cannot be removed, replace it with {}",
        ),
    ] {
        let patch = format!(
            r#"[{{"op":"remove","path":"/a/0"}},{{"op":"add","path":"/a/0","value":1}},{operation}]"#
        );
        let error = apply(document, &patch).unwrap_err();
        assert_eq!(error.error_type, ErrorType::InvalidArgument);
        assert_eq!(error.message, format!("/2/path: {expected}"));
        let detail = &error.details[0];
        assert_eq!(
            (detail.path.as_deref(), detail.rule.as_deref()),
            (Some("/2/path"), Some("path"))
        );
    }
    for path in ["/b", "/a/9", "/o/x/z"] {
        let error = apply(
            document,
            &format!(r#"[{{"op":"test","path":"{path}","value":1}}]"#),
        )
        .unwrap_err();
        assert_eq!(
            (error.code, error.error_type),
            (400, ErrorType::FailedPrecondition)
        );
    }
}

#[test]
fn every_fault_of_a_patch_is_told() {
    let at = |path: &str, rule: &str| (path.to_owned(), rule.to_owned());
    assert_eq!(faults("{}"), [at("", "type")]);
    assert_eq!(faults("null"), [at("", "type")]);
    assert_eq!(
        faults(
            r#"[1, {}, {"op":"move","path":"/a","from":"/b"}, {"op":"copy","path":"/a","from":"/b"}, {"op":"ad","path":"a"},
                {"op":"add","path":"/a"}, {"op":"test","path":"/a"}, {"op":"replace","path":"/a~2","value":1},
                {"op":"remove","path":"/~"}, {"op":1,"path":2}, {"op":"remove","op":"add","path":"/a","path":""},
                {"op":"remove","path":"/a","value":1,"value":2}]"#
        ),
        [
            at("/0", "type"),
            at("/1/op", "required"),
            at("/1/path", "required"),
            at("/2/op", "op"),
            at("/3/op", "op"),
            at("/4/op", "op"),
            at("/4/path", "path"),
            at("/5/value", "required"),
            at("/6/value", "required"),
            at("/7/path", "path"),
            at("/8/path", "path"),
            at("/9/op", "type"),
            at("/9/path", "type"),
            at("/10/op", "duplicate"),
            at("/10/path", "duplicate"),
            at("/11/value", "duplicate"),
        ]
    );
    for (broken, at) in [
        ("", 0),
        ("[", 1),
        ("[{\"op\" 1}]", 7),
        ("\u{feff}[]x", 5),
        ("[],", 2),
    ] {
        let found = parse(broken);
        assert!(
            matches!(found, Err(Rejection::Syntax { offset, .. }) if offset == at),
            "{broken}: {found:?}"
        );
    }
}

#[test]
fn a_patch_has_limits() {
    let limits = Limits {
        patch_operations: 3,
        json_depth: 5,
        ..Limits::default()
    };
    let code = |patch: &str| match Patch::parse(patch.as_bytes(), &limits) {
        Ok(_) => 200,
        Err(Rejection::Invalid(error)) => error.code,
        Err(Rejection::Syntax { .. }) => 0,
    };
    let of = |count: usize| format!("[{}]", vec![r#"{"op":"remove","path":"/a"}"#; count].join(","));
    assert_eq!((code(&of(3)), code(&of(4))), (200, 413));
    let deep = |depth: usize| {
        format!(
            r#"[{{"op":"add","path":"/a","value":{}{}}}]"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert_eq!((code(&deep(3)), code(&deep(4))), (200, 413));
}

#[test]
fn many_additions_below_each_other_are_no_deep_recursion() {
    let value = format!("{}{}", r#"{"a":"#.repeat(60), "1");
    let value = format!("{value}{}", "}".repeat(60));
    let step = "/a".repeat(60);
    let operations: Vec<String> = (0..1_000)
        .map(|n| {
            let path = step.repeat(n % 40);
            format!(r#"{{"op":"add","path":"{path}","value":{value}}}"#)
        })
        .collect();
    let patched = apply("{}", &format!("[{}]", operations.join(","))).unwrap();
    assert!(patched.len() > 60 * 39);
    let test = format!(r#"[{{"op":"test","path":"","value":{value}}}]"#);
    assert!(apply(&patched, &test).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        "[ab~/\"]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 20, 3, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from);
        let object = prop::collection::btree_map("[ab~/]{0,2}", inner, 0..3);
        prop_oneof![
            array,
            object.prop_map(|members| Value::Object(members.into_iter().collect()))
        ]
    })
}

/// Every pointer into `value`, and some beside it.
fn pointers(value: &Value, here: String, found: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, format!("{here}/{}", escaped(name)), found);
            }
            found.push(format!("{here}/new"));
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                pointers(element, format!("{here}/{index}"), found);
            }
            found.push(format!("{here}/-"));
            found.push(format!("{here}/{}", elements.len()));
        }
        _ => found.push(format!("{here}/0")),
    }
    found.push(here);
}

/// The same by way of a tree.
fn by_tree(document: &Value, operation: &str, pointer: &str, value: &Value) -> Option<Value> {
    let mut document = document.clone();
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return match operation {
            "add" | "replace" => Some(value.clone()),
            "test" => (document == *value).then_some(document),
            _ => None,
        };
    };
    let last = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent)? {
        Value::Object(members) => match operation {
            "add" => {
                members.insert(last, value.clone());
            }
            "replace" => *members.get_mut(&last)? = value.clone(),
            "remove" => drop(members.remove(&last)?),
            _ => members.get(&last).filter(|found| *found == value).map(drop)?,
        },
        Value::Array(elements) => {
            let index = if last == "-" {
                elements.len()
            } else {
                last.parse().ok()?
            };
            match operation {
                "add" if index <= elements.len() => elements.insert(index, value.clone()),
                "replace" => *elements.get_mut(index)? = value.clone(),
                "remove" if index < elements.len() => drop(elements.remove(index)),
                "test" => elements.get(index).filter(|found| *found == value).map(drop)?,
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(document)
}

proptest! {
    #[test]
    fn a_patch_does_what_it_does_to_a_tree(document in value(), other in value(), operation in 0..4_usize, place: prop::sample::Index, inside: prop::sample::Index) {
        let mut places = Vec::new();
        pointers(&document, String::new(), &mut places);
        let pointer = place.get(&places).clone();
        let operation = ["add", "remove", "replace", "test"][operation];
        // What a test compares with is mostly what is there.
        let value = match operation {
            "test" if inside.index(3) > 0 => document.pointer(&pointer).cloned().unwrap_or(other),
            _ => other,
        };
        let patch = json!([{"op": operation, "path": pointer, "value": value}]).to_string();
        let patched = apply(&document.to_string(), &patch).ok();
        let tree = by_tree(&document, operation, &pointer, &value);
        // Without white space, and nothing but JSON.
        let patched = patched.map(|text| {
            let parsed: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed.to_string().len(), text.len());
            parsed
        });
        prop_assert_eq!(patched, tree);
    }

    #[test]
    fn whatever_is_sent_is_read_without_a_panic(text in "\\PC{0,40}", path in "[/~01a-]{0,6}") {
        let _ = parse(&text);
        let patch = json!([{"op": "add", "path": path, "value": text}]).to_string();
        if let Ok(patch) = parse(&patch) {
            let _ = patch.apply(br#"{"a":[{"0":1}],"0":{"a":[]}}"#);
        }
    }
}

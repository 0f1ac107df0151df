use std::convert::Infallible;

use super::*;
use crate::check::Rejection;
use crate::error::{ErrorObject, ErrorType};
use crate::limits::Limits;

fn vocabulary(json: &str) -> Result<Vocabulary, ErrorObject> {
    read_vocabulary(json.as_bytes(), &Limits::default())
}

fn concept(json: &str) -> Result<Concept, ErrorObject> {
    read_concept(json.as_bytes(), &Limits::default())
}

fn change(json: &str) -> Result<ConceptChange, ErrorObject> {
    read_concept_change(json.as_bytes(), &Limits::default()).map_err(|rejection| match rejection {
        Rejection::Invalid(error) => error,
        Rejection::Syntax { message, .. } => panic!("{json} is JSON: {message}"),
    })
}

fn faults<T: std::fmt::Debug>(read: Result<T, ErrorObject>) -> Vec<(String, String)> {
    let details = read.unwrap_err().details.into_iter();
    details.map(|d| (d.path.unwrap(), d.rule.unwrap())).collect()
}

fn at(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(path, rule): &(&str, &str)| ((*path).to_owned(), (*rule).to_owned());
    expected.iter().map(owned).collect()
}

#[test]
fn a_vocabulary_has_a_title() {
    let read = vocabulary("\u{feff}{\"title\":\"Colours\",\"description\":\"\"}").unwrap();
    assert_eq!((&*read.title, read.description.as_deref()), ("Colours", Some("")));
    let read = vocabulary(r#"{"description":null,"title":"\u0041"}"#).unwrap();
    assert_eq!((&*read.title, read.description), ("A", None));
    for (json, expected) in [
        ("{}", at(&[("/title", "required")])),
        (r#"{"title":null}"#, at(&[("/title", "required")])),
        (r#"{"title":""}"#, at(&[("/title", "min")])),
        (r#"{"title":"\ud800"}"#, at(&[("/title", "type")])),
        ("[]", at(&[("", "type")])),
        ("null", at(&[("", "type")])),
        (
            r#"{"titel":"a","title":1,"key":"c","description":[{}],"title":"b"}"#,
            at(&[
                ("/titel", "unknown"),
                ("/title", "type"),
                ("/key", "unknown"),
                ("/description", "type"),
                ("/title", "duplicate"),
            ]),
        ),
    ] {
        assert_eq!(faults(vocabulary(json)), expected, "{json}");
    }
    let error = vocabulary(r#"{"titel":"a"}"#).unwrap_err();
    assert!(error.details[0].message.contains("did you mean 'title'?"));
}

#[test]
fn a_concept_has_terms_by_language() {
    assert_eq!(concept("{}").unwrap(), Concept::default());
    let json = r#"{"designation":{"en":"red","de-CH":"rot","x-a":null},"definition":"a colour"}"#;
    let read = concept(json).unwrap();
    let terms: Vec<_> = read.designation.iter().map(|(l, t)| (l.as_str(), &**t)).collect();
    assert_eq!(terms, [("de-CH", "rot"), ("en", "red")]);
    assert_eq!(read.definition.as_deref(), Some("a colour"));
    let long = format!("a-{}", ["12345678"; 7].join("-"));
    assert_eq!(long.len(), LanguageTag::LEN_MAX);
    assert!(LanguageTag::parse(&long).is_some() && LanguageTag::parse(&format!("b{long}")).is_none());
    for bad in [
        "",
        "e n",
        "en_US",
        "en-",
        "-en",
        "e1",
        "abcdefghi",
        "en-abcdefghi",
        "é",
    ] {
        let json = format!(r#"{{"designation":{{"{bad}":"x"}}}}"#);
        assert_eq!(
            faults(concept(&json)),
            at(&[(&format!("/designation/{bad}"), "language")])
        );
    }
    let json = r#"{"definition":{},"designation":{"en":"","de":1,"EN":"red","\ud800":"x"},"code":"red"}"#;
    assert_eq!(
        faults(concept(json)),
        at(&[
            ("/definition", "type"),
            ("/designation/en", "min"),
            ("/designation/de", "type"),
            ("/designation/EN", "duplicate"),
            ("/designation/\u{fffd}", "key"),
            ("/code", "unknown"),
        ])
    );
    assert_eq!(
        faults(concept(r#"{"designation":[]}"#)),
        at(&[("/designation", "type")])
    );
}

#[test]
fn what_is_not_json_says_where() {
    for (json, message) in [
        ("", "byte 0"),
        ("{\"title\":\"a\"", "byte 12"),
        ("\u{feff}{\"title\":}", "byte 12"),
        ("{} x", "byte 3"),
    ] {
        let error = vocabulary(json).unwrap_err();
        assert_eq!(error.error_type, ErrorType::InvalidArgument);
        assert!(error.message.contains(message), "{json}: {error}");
    }
    let deep = format!("{{\"title\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let error = vocabulary(&deep).unwrap_err();
    assert_eq!(error.error_type, ErrorType::ContentTooLarge);
    assert!(error.message.contains("jsonDepth"), "{error}");
}

#[test]
fn an_operation_names_its_concept() {
    let code = |raw: &str| ConceptCode::parse(raw).unwrap();
    assert_eq!(
        change(r#"{"create":{"definition":"d","code":"a b"},"action":"CREATE"}"#).unwrap(),
        Change::Create(
            code("a b"),
            Concept {
                definition: Some("d".into()),
                ..Concept::default()
            }
        )
    );
    assert_eq!(
        change(r#"{"action":"UPSERT","upsert":{"code":"a"},"delete":null}"#).unwrap(),
        Change::Upsert(code("a"), Concept::default())
    );
    assert_eq!(
        change(r#"{"action":"DELETE","delete":{"code":"a"}}"#).unwrap(),
        Change::Delete(code("a"))
    );
    for (json, expected) in [
        ("[]", at(&[("", "type")])),
        ("{}", at(&[("/action", "required")])),
        (r#"{"action":"CREATE"}"#, at(&[("/create", "required")])),
        (
            r#"{"action":"create","create":{"code":"a"}}"#,
            at(&[("/action", "enum")]),
        ),
        (
            r#"{"action":"DELETE","delete":{"code":"a","definition":"d"}}"#,
            at(&[("/delete/definition", "unknown")]),
        ),
        (
            r#"{"action":"UPSERT","create":{"code":" a"},"what":1}"#,
            at(&[
                ("/create/code", "code"),
                ("/what", "unknown"),
                ("/create", "payload"),
                ("/upsert", "required"),
            ]),
        ),
        (
            r#"{"action":7,"create":{"definition":1}}"#,
            at(&[
                ("/action", "type"),
                ("/create/definition", "type"),
                ("/create/code", "required"),
            ]),
        ),
        (r#"{"action":"CREATE","create":[]}"#, at(&[("/create", "type")])),
    ] {
        assert_eq!(faults(change(json)), expected, "{json}");
    }
    let read = read_vocabulary_change(
        br#"{"action":"CREATE","create":{"key":"bulk"}}"#,
        &Limits::default(),
    );
    let Err(Rejection::Invalid(error)) = read else {
        panic!("{read:?}");
    };
    assert_eq!(
        faults::<()>(Err(error)),
        at(&[("/create/key", "key"), ("/create/title", "required")])
    );
}

/// What `decide` comes to on one concept that is there or is not.
fn decided(stored: bool, changes: &[&str]) -> (Vec<Outcome>, Touched<Concept>) {
    let kept = stored.then(|| Kept {
        content: Concept::default(),
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(2),
    });
    let changes = changes.iter().map(|change| {
        let (action, definition) = change.split_once(' ').unwrap_or((change, ""));
        let code = ConceptCode::parse("a").unwrap();
        let content = Concept {
            definition: (!definition.is_empty()).then(|| definition.into()),
            ..Concept::default()
        };
        match action {
            "create" => Change::Create(code, content),
            "upsert" => Change::Upsert(code, content),
            _ => Change::Delete(code),
        }
    });
    let mut rules = ConceptRules {
        count: u64::from(stored),
        count_max: 1,
        bytes: if stored { 65 } else { 0 },
        bytes_of_others: 10,
        bytes_max: 75,
    };
    let decided =
        decide::<_, _, _, Infallible>(changes.collect(), Timestamp::from_millis(9), &mut rules, |_| {
            Ok(kept.clone())
        });
    let Ok(mut decided) = decided;
    let (_, touched) = decided.touched.pop_first().unwrap();
    assert_eq!(rules.count, u64::from(touched.now.is_some()));
    assert_eq!(rules.bytes, 65 * rules.count);
    (decided.outcomes, touched)
}

fn codes(outcomes: &[Outcome]) -> Vec<u16> {
    let code = |outcome: &Outcome| match outcome {
        Outcome::Created => 201,
        Outcome::Replaced { unchanged: true, .. } => 304,
        Outcome::Replaced { .. } | Outcome::Deleted => 200,
        Outcome::Failed(error) => error.code,
    };
    outcomes.iter().map(code).collect()
}

#[test]
fn changes_are_decided_in_their_order() {
    for (stored, changes, expected) in [
        (
            false,
            &["create", "create x", "upsert", "upsert x"][..],
            &[201, 409, 304, 200][..],
        ),
        (
            false,
            &["delete", "upsert", "delete", "delete"],
            &[404, 201, 200, 404],
        ),
        (true, &["create", "delete", "create"], &[409, 200, 201]),
    ] {
        let (outcomes, touched) = decided(stored, changes);
        assert_eq!(codes(&outcomes), expected, "{changes:?}");
        assert_eq!(touched.existed, stored);
        assert!(touched.changed);
    }
    let (_, touched) = decided(true, &["delete", "create"]);
    assert!(touched.fresh, "another one stands there now");
    let (_, touched) = decided(true, &["upsert x"]);
    assert!(!touched.fresh);
}

#[test]
fn an_equal_upsert_changes_nothing() {
    let (outcomes, touched) = decided(true, &["upsert", "create"]);
    let (created_at, updated_at) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
    let unchanged = true;
    let replaced = Outcome::Replaced {
        created_at,
        updated_at,
        unchanged,
    };
    assert_eq!(outcomes[0], replaced);
    assert!(!touched.changed);
    let (outcomes, touched) = decided(true, &["upsert x"]);
    let (updated_at, unchanged) = (Timestamp::from_millis(9), false);
    let replaced = Outcome::Replaced {
        created_at,
        updated_at,
        unchanged,
    };
    assert_eq!(outcomes, [replaced]);
    assert_eq!(touched.now.map(|kept| kept.created_at), Some(created_at));
}

#[test]
fn a_long_code_makes_a_short_message() {
    let code = ConceptCode::parse(&"c".repeat(256)).unwrap();
    let mut rules = ConceptRules {
        count: 0,
        count_max: 1,
        bytes: 0,
        bytes_of_others: 0,
        bytes_max: 1,
    };
    let changes = vec![Change::<_, Concept>::Delete(code)];
    let Ok(decided) = decide::<_, _, _, Infallible>(changes, Timestamp::EPOCH, &mut rules, |_| Ok(None));
    let Outcome::Failed(error) = &decided.outcomes[0] else {
        panic!("{decided:?}");
    };
    assert!(error.message.len() < 150, "{error}");
}

use super::*;
use crate::error::ErrorType;
use crate::keys::Key;
use crate::limits::Limits;
use crate::operation::{Action, TargetType};
use crate::schema::{DefinitionKind, StoredDefinition};
use crate::time::Timestamp;
use crate::vocabulary::Vocabularies;

const CLINIC: &str = r#"{"properties": {"name": {"type": "symbol"}}, "contained": {
    "offices": {"types": ["office"], "cardinality": "0:*"},
    "main": {"types": ["office"], "cardinality": "0:1"},
    "owners": {"types": ["office"], "cardinality": "1:*"}}}"#;
const OFFICE: &str = r#"{"type": "CONTAINED", "properties": {"city": {"type": "symbol", "rules": [{"required": true}]}},
    "contained": {"rooms": {"types": ["room"], "cardinality": "0:*"}}}"#;
const ROOM: &str = r#"{"type": "CONTAINED", "properties": {"door": {"type": "integer"}}}"#;

/// Two offices, one with a room; white space cannot be stored, odd escapes and numbers can.
const BODY: &str = concat!(
    r#"{"data":{"name":"a\u002cb ]}"},"contained":{"#,
    r#""offices":[{"id":"o1","type":"office","data":{"city":"Rome"},"contained":{"rooms":[{"id":"r1","type":"room","data":{"door":7}}]}},"#,
    r#"{"type":"office","data":{"city":"Oslo"},"id":"o2"}],"#,
    r#""owners":[{"id":"w1","type":"office","data":{"city":"Bern"},"contained":null}],"main":null}}"#
);

fn schema() -> Schema {
    let definitions = [("clinic", CLINIC), ("office", OFFICE), ("room", ROOM)];
    let stored = |(number, (key, json)): (usize, (&str, &str))| StoredDefinition {
        kind: DefinitionKind::Profile,
        key: Key::parse(key).unwrap(),
        number: number as u32 + 1,
        revision: 1,
        json: json.into(),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    };
    let definitions: Vec<StoredDefinition> = definitions.into_iter().enumerate().map(stored).collect();
    Schema::compile(&definitions).unwrap()
}

fn with_checker<T>(schema: &Schema, work: impl FnOnce(&mut Checker<'_>) -> T) -> T {
    let limits = Limits {
        json_depth: 8,
        ..Limits::default()
    };
    let mut random = || [7; 16];
    work(&mut Checker {
        schema,
        target: TargetType::Resource,
        vocabularies: Vocabularies::none(),
        tokens: None,
        limits: &limits,
        hash_key: [1; 16],
        now: Timestamp::EPOCH,
        random: &mut random,
    })
}

fn changed(body: &str, path: &str, what: ContainedChange<'_>) -> Result<Changed, ErrorObject> {
    let schema = schema();
    let index = schema.resource_type("clinic").unwrap();
    let (root, path) = (
        ResourceId::parse("root").unwrap(),
        ContainedPath::parse(path).unwrap(),
    );
    let outcome = with_checker(&schema, |checker| {
        change(checker, index, &root, body.as_bytes(), &path, what)
    });
    outcome.map_err(|rejection| match rejection {
        Rejection::Invalid(error) => error,
        Rejection::Syntax { message, .. } => ErrorObject::invalid(message),
    })
}

fn text(changed: Result<Changed, ErrorObject>) -> String {
    String::from_utf8(changed.unwrap().body).unwrap()
}

fn code(changed: Result<Changed, ErrorObject>) -> (u16, ErrorType) {
    let error = changed.unwrap_err();
    (error.code, error.error_type)
}

const SENT: &[u8] = br#" {"type": "office", "data": {"city": "Lima"} } "#;

#[test]
fn paths_are_cut_into_steps() {
    let path = |raw| ContainedPath::parse(raw);
    assert_eq!(path("offices").unwrap().id, None);
    let deep = path("offices/o1/rooms/r1").unwrap();
    assert_eq!(
        (deep.parents.len(), deep.key.as_str(), deep.id.unwrap().as_str()),
        (1, "rooms", "r1")
    );
    assert!(path("offices/_").is_err() && path("offices/").is_err());
}

#[test]
fn what_stands_at_a_place_is_read() {
    let schema = schema();
    let index = schema.resource_type("clinic").unwrap();
    let found = |path| {
        read(
            &schema,
            index,
            BODY.as_bytes(),
            &ContainedPath::parse(path).unwrap(),
        )
    };
    assert_eq!(
        found("offices/o1/rooms/r1").unwrap(),
        r#"{"id":"r1","type":"room","data":{"door":7}}"#
    );
    assert_eq!(
        found("offices/o1/rooms").unwrap(),
        r#"[{"id":"r1","type":"room","data":{"door":7}}]"#
    );
    for empty in ["main", "offices/o2/rooms", "owners/w1/rooms"] {
        assert_eq!(found(empty).unwrap(), "[]", "{empty}");
    }
    for missing in [
        "other",
        "offices/o3",
        "offices/o3/rooms",
        "offices/o1/main",
        "offices/o1/rooms/r2",
    ] {
        assert_eq!(found(missing).unwrap_err().code, 404, "{missing}");
    }
}

#[test]
fn an_id_is_taken_also_under_a_key_that_the_profile_has_no_more() {
    let body = BODY.replace(
        r#""main":null"#,
        r#""gone":[{"id":"g1","type":"room","data":{}}]"#,
    );
    let sent = br#"{"id":"g1","type":"office","data":{"city":"Lima"}}"#;
    let added = changed(&body, "offices", ContainedChange::Add(sent));
    assert_eq!(code(added), (409, ErrorType::AlreadyExists));
    let put = changed(&body, "offices/g1", ContainedChange::Put(sent));
    assert_eq!(code(put), (409, ErrorType::AlreadyExists));
}

#[test]
fn one_more_goes_to_its_place_and_nothing_else_moves() {
    let item = r#"{"type":"office","data":{"city":"Lima"},"id":"000000000000000000000000000"}"#;
    let id = changed(BODY, "offices", ContainedChange::Add(SENT)).unwrap().id;
    let item = item.replace("000000000000000000000000000", id.as_str());
    for (path, before, after) in [
        ("offices", r#""id":"o2"}]"#, format!(r#""id":"o2"}},{item}]"#)),
        ("main", r#""main":null"#, format!(r#""main":[{item}]"#)),
        (
            "owners",
            r#""contained":null}]"#,
            format!(r#""contained":null}},{item}]"#),
        ),
    ] {
        let added = changed(BODY, path, ContainedChange::Add(SENT));
        assert!(added.as_ref().unwrap().is_new);
        assert_eq!(text(added), BODY.replace(before, &after), "{path}");
    }
    let bare = r#"{"data":{}}"#;
    let expected = format!(r#"{{"data":{{}},"contained":{{"offices":[{item}]}}}}"#);
    assert_eq!(
        text(changed(bare, "offices", ContainedChange::Add(SENT))),
        expected
    );
    for empty in [r#"{"data":{},"contained":{}}"#, r#"{"data":{},"contained":null}"#] {
        assert_eq!(
            text(changed(empty, "offices", ContainedChange::Add(SENT))),
            expected
        );
    }
    let room = br#"{"id":"r9","type":"room","data":{}}"#;
    for (path, before, after) in [
        (
            "offices/o1/rooms",
            r#"{"door":7}}]"#,
            r#"{"door":7}},{"id":"r9","type":"room","data":{}}]"#,
        ),
        (
            "offices/o2/rooms",
            r#""id":"o2"}"#,
            r#""id":"o2","contained":{"rooms":[{"id":"r9","type":"room","data":{}}]}}"#,
        ),
        (
            "owners/w1/rooms",
            r#""contained":null}]"#,
            r#""contained":{"rooms":[{"id":"r9","type":"room","data":{}}]}}]"#,
        ),
    ] {
        assert_eq!(
            text(changed(BODY, path, ContainedChange::Add(room))),
            BODY.replace(before, after),
            "{path}"
        );
    }
}

#[test]
fn one_is_replaced_or_put_where_there_was_none() {
    let put = changed(BODY, "offices/o2", ContainedChange::Put(SENT)).unwrap();
    assert_eq!((put.is_new, put.id.as_str()), (false, "o2"));
    let before = r#"{"type":"office","data":{"city":"Oslo"},"id":"o2"}"#;
    let expected = BODY.replace(before, r#"{"type":"office","data":{"city":"Lima"},"id":"o2"}"#);
    assert_eq!(text(Ok(put)), expected);
    let put = changed(BODY, "main/m1", ContainedChange::Put(SENT)).unwrap();
    assert_eq!((put.is_new, put.id.as_str()), (true, "m1"));
    let same = br#"{"id":"root-not-this","type":"office","data":{"city":"Lima"}}"#;
    assert_eq!(
        code(changed(BODY, "main/m1", ContainedChange::Put(same))),
        (400, ErrorType::InvalidArgument)
    );
}

#[test]
fn one_is_removed_with_its_comma() {
    let first = r#"{"id":"o1","type":"office","data":{"city":"Rome"},"contained":{"rooms":[{"id":"r1","type":"room","data":{"door":7}}]}},"#;
    assert_eq!(
        text(changed(BODY, "offices/o1", ContainedChange::Remove)),
        BODY.replace(first, "")
    );
    let last = r#",{"type":"office","data":{"city":"Oslo"},"id":"o2"}"#;
    assert_eq!(
        text(changed(BODY, "offices/o2", ContainedChange::Remove)),
        BODY.replace(last, "")
    );
    let only = r#"{"id":"r1","type":"room","data":{"door":7}}"#;
    assert_eq!(
        text(changed(BODY, "offices/o1/rooms/r1", ContainedChange::Remove)),
        BODY.replace(only, "")
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let add = |path, sent: &str| code(changed(BODY, path, ContainedChange::Add(sent.as_bytes())));
    let office = |id: &str| format!(r#"{{"id":"{id}","type":"office","data":{{"city":"Lima"}}}}"#);
    let (invalid, precondition) = (
        (400, ErrorType::InvalidArgument),
        (400, ErrorType::FailedPrecondition),
    );
    assert_eq!(add("offices", r#"{"type":"office","data":{}}"#), invalid);
    assert_eq!(add("offices", r#"{"type":"room","data":{}}"#), invalid);
    assert_eq!(add("offices", "[]"), invalid);
    assert_eq!(add("offices", &office("o1")), (409, ErrorType::AlreadyExists));
    assert_eq!(
        add("offices", &office("w1")),
        (409, ErrorType::AlreadyExists),
        "unique in its parent"
    );
    assert_eq!(
        add("offices/o9/rooms", r#"{"type":"room","data":{}}"#),
        (404, ErrorType::NotFound)
    );
    assert_eq!(
        code(changed(BODY, "owners/w1", ContainedChange::Remove)),
        precondition
    );
    assert_eq!(
        code(changed(BODY, "owners/w2", ContainedChange::Remove)),
        (404, ErrorType::NotFound)
    );
    let one = text(changed(BODY, "main", ContainedChange::Add(SENT)));
    assert_eq!(
        code(changed(
            &one,
            "main",
            ContainedChange::Add(office("m2").as_bytes())
        )),
        precondition
    );
    let room = br#"{"type":"room","data":{},"contained":{}}"#;
    let deep = r#"{"data":{},"contained":{"offices":[{"id":"o1","type":"office","data":{"city":"R"},"x":[[[[[1]]]]]}]}}"#;
    assert_eq!(
        code(changed(deep, "offices/o1/rooms", ContainedChange::Add(room))),
        (413, ErrorType::ContentTooLarge)
    );
}

#[test]
fn the_hash_is_that_of_the_whole_sent_as_it_stands() {
    let schema = schema();
    let index = schema.resource_type("clinic").unwrap();
    for (path, what) in [
        ("offices", ContainedChange::Add(SENT)),
        ("offices/o1/rooms/r1", ContainedChange::Remove),
        ("owners/w1", ContainedChange::Put(SENT)),
    ] {
        let changed = changed(BODY, path, what).unwrap();
        let mut body = Vec::new();
        let id = ResourceId::parse("root").unwrap();
        let whole = with_checker(&schema, |checker| {
            checker.resource(index, Action::Upsert, Some(&id), &changed.body, &mut body)
        });
        assert_eq!(whole.unwrap().hash, Some(changed.hash), "{path}");
        assert_eq!(body, changed.body, "{path}");
    }
}

use proptest::prelude::*;

use super::*;
use crate::keys::Key;
use crate::schema::{DefinitionKind, StoredDefinition};
use crate::time::Timestamp;

fn schema() -> Schema {
    let profile = r#"{"properties":{"name":{"type":"symbol","rules":[{"required":true}]},"born":{"type":"object",
        "properties":{"year":{"type":"integer"},"place":{"type":"symbol"}}},"tags":{"type":"array","items":{"type":"symbol"}},
        "scores":{"type":"array","items":{"type":"decimal"}},"active":{"type":"boolean"},"home":{"type":"address"},
        "homes":{"type":"array","items":{"type":"address"}},"boss":{"type":"reference"}}}"#;
    let edge = r#"{"from":{"profileKey":"person","includeKey":"knows","includeCardinality":"0:*"},
        "to":{"profileKey":"person","includeKey":"known","includeCardinality":"0:*"},"properties":{"since":{"type":"date"}}}"#;
    let stored = |kind, key, number, json: &str| StoredDefinition {
        kind,
        key: Key::parse(key).unwrap(),
        number,
        revision: 1,
        json: json.into(),
        created_at: Timestamp::parse("2026-01-31T08:00:00Z").unwrap(),
        updated_at: Timestamp::parse("2026-01-31T08:00:00Z").unwrap(),
    };
    Schema::compile(&[
        stored(DefinitionKind::Profile, "person", 1, profile),
        stored(DefinitionKind::RelationshipDefinition, "knows", 2, edge),
    ])
    .unwrap()
}

fn layout(target: TargetType, action: &str, header: &str) -> Result<Layout, ErrorObject> {
    let schema = schema();
    let key = match target {
        TargetType::Resource => "person",
        TargetType::Relationship => "knows",
    };
    let sheet = Sheet::new(&schema, target, Some(key), Some(action), None)?;
    sheet.layout(&schema, header.as_bytes(), 100)
}

fn written(target: TargetType, action: &str, header: &str, row: &str) -> String {
    let layout = layout(target, action, header).unwrap();
    let mut out = Vec::new();
    match layout.write(row.as_bytes(), 7, &mut Cells::default(), &mut out) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(error) => error.message,
    }
}

#[test]
fn a_row_becomes_an_operation_typed_by_the_profile() {
    use TargetType::{Relationship, Resource};
    for (target, action, header, row, expected) in [
        (
            Resource,
            "create",
            "id,name,born.year,tags,active,born.place",
            r#"a1,"Ada ""L""",1815,x|y z,TRUE,London"#,
            r#"{"action":"CREATE","create":{"type":"person","id":"a1","data":{"name":"Ada \"L\"","born":{"year":1815,"place":"London"},"tags":["x","y z"],"active":true}}}"#,
        ),
        (
            Resource,
            "Upsert",
            "name,born.year,born.place,id,scores,home.line",
            ",,,a1,1.10|-2e3,\"a\nb\"",
            r#"{"action":"UPSERT","upsert":{"type":"person","id":"a1","data":{"scores":[1.10,-2e3],"home":{"line":["a\u000ab"]}}}}"#,
        ),
        (
            Resource,
            "create",
            "name,born.year,active,scores",
            "Ada,007,yes,1|x",
            r#"{"action":"CREATE","create":{"type":"person","data":{"name":"Ada","born":{"year":"007"},"active":"yes","scores":[1,"x"]}}}"#,
        ),
        (
            Resource,
            "create",
            "name,id",
            ",",
            r#"{"action":"CREATE","create":{"type":"person","data":{}}}"#,
        ),
        (
            Resource,
            "DELETE",
            "id",
            "a1",
            r#"{"action":"DELETE","delete":{"type":"person","id":"a1"}}"#,
        ),
        (
            Relationship,
            "create",
            "from,to,since",
            "a,b,2026-01-31",
            r#"{"action":"CREATE","create":{"type":"knows","from":{"type":"person","id":"a"},"to":{"type":"person","id":"b"},"data":{"since":"2026-01-31"}}}"#,
        ),
        (
            Relationship,
            "delete",
            "id",
            "a.b",
            r#"{"action":"DELETE","delete":{"type":"knows","id":"a.b"}}"#,
        ),
        (
            Resource,
            "create",
            "name,id",
            "x",
            "line 7 has 1 cells and the header 2",
        ),
        (
            Resource,
            "create",
            "name,id",
            "x,y,z",
            "line 7 has 3 cells and the header 2",
        ),
        (
            Resource,
            "create",
            "name,id",
            "x,a\"b",
            "line 7 is not valid CSV: the cell of column 'id' has a quote inside; put the cell in quotes and write the quote twice",
        ),
        (
            Resource,
            "create",
            "name,id",
            "\"x",
            "line 7 is not valid CSV: the cell of column 'name' opens a quote that is not closed",
        ),
        (
            Resource,
            "create",
            "name,id",
            "\"x\"y,",
            "line 7 is not valid CSV: the cell of column 'name' goes on after its closing quote; a quote inside is written twice",
        ),
    ] {
        assert_eq!(written(target, action, header, row), expected);
    }
}

#[test]
fn a_header_of_very_many_columns_is_refused_with_the_first_of_its_faults() {
    const MANY: u64 = 200_000;
    let unknown: Vec<String> = (0..MANY).map(|at| format!("c{at}")).collect();
    let twice = vec!["born.place"; MANY as usize + 1];
    for header in [unknown.join(","), twice.join(",")] {
        let error = layout(TargetType::Resource, "create", &header).unwrap_err();
        assert_eq!((error.details.len(), error.details_total), (100, Some(MANY)));
    }
}

#[test]
fn a_header_says_all_that_is_wrong_with_it() {
    use TargetType::{Relationship, Resource};
    for (target, action, header, faults) in [
        (
            Resource,
            "create",
            "nmae,id",
            &["column 'nmae' is not known, did you mean 'name'?"][..],
        ),
        (
            Resource,
            "create",
            "born.yaer,home.ctiy",
            &[
                "column 'born.yaer' is not known, did you mean 'born.year'?",
                "column 'home.ctiy' is not known, did you mean 'home.city'?",
            ],
        ),
        (
            Resource,
            "create",
            "name,id,name",
            &["column 'name' stands twice"],
        ),
        (
            Resource,
            "create",
            "born",
            &["column 'born' is an object; name what is in it, such as '….year'"],
        ),
        (
            Resource,
            "create",
            "homes",
            &["column 'homes' is an array of what no cell can hold; send JSON"],
        ),
        (
            Resource,
            "create",
            "homes.city",
            &["column 'homes.city' is not known, did you mean 'home.city'?"],
        ),
        (Resource, "upsert", "name", &["UPSERT needs the column 'id'"]),
        (
            Resource,
            "delete",
            "id,name",
            &["column 'name' has no place in a DELETE, which takes ids alone"],
        ),
        (
            Relationship,
            "create",
            "from,since",
            &["CREATE needs the column 'from' and 'to', the ids of its ends"],
        ),
        (
            Relationship,
            "delete",
            "to",
            &["DELETE needs the column 'id', or 'from' and 'to'"],
        ),
        (Resource, "create", "name,", &["column '' is not known"]),
    ] {
        let error = layout(target, action, header).unwrap_err();
        let found: Vec<_> = error
            .details
            .iter()
            .map(|detail| detail.message.as_str())
            .collect();
        assert_eq!(found, faults, "{header}");
        assert!(
            error
                .message
                .starts_with("the header, the first row of the CSV, is not valid: ")
        );
    }
    assert!(layout(Resource, "create", "\"name").is_err());
    assert!(layout(Resource, "create", "na\"me").is_err());
}

#[test]
fn what_the_query_says_is_judged_before_the_body() {
    let schema = schema();
    let sheet = |key, action, separator| {
        let sheet = Sheet::new(&schema, TargetType::Resource, key, action, separator);
        sheet.map(|_| ()).map_err(|error| error.message)
    };
    assert_eq!(sheet(Some("person"), None, Some("; ")), Ok(()));
    let wrong = [
        (
            None,
            None,
            None,
            "CSV does not say what its rows are; name their type in the query, '?type=…'",
        ),
        (
            Some("persn"),
            None,
            None,
            "resource type 'persn' is not known, did you mean 'person'?",
        ),
        (Some("knows"), None, None, "resource type 'knows' is not known"),
        (
            Some("person"),
            Some("merge"),
            None,
            "action 'merge' is not known; it is create, upsert or delete",
        ),
        (Some("person"), None, Some(""), "a separator has 1 to 16 bytes"),
    ];
    for (key, action, separator, message) in wrong {
        assert_eq!(sheet(key, action, separator), Err(message.to_owned()));
    }
}

proptest! {
    #[test]
    fn cells_come_back_as_they_were_quoted(cells in prop::collection::vec("[a\",\n\r é]{0,6}", 1..5)) {
        let row: Vec<_> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        let mut read = Cells::default();
        prop_assert_eq!(read.read(&row.join(",")), Ok(()));
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), cells);
    }

    #[test]
    fn no_row_is_too_odd(row in "[a\",\n\r é1.]{0,12}") {
        let layout = layout(TargetType::Resource, "create", "name,born.year,tags").unwrap();
        let mut out = Vec::new();
        if layout.write(row.as_bytes(), 1, &mut Cells::default(), &mut out).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        }
    }
}

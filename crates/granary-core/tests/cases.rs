//! The table of values in `tests/cases`, run through the check.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(unreachable_pub, reason = "it is part of a library too")]
#[path = "../../../tests/src/cases.rs"]
mod cases;

use std::collections::BTreeSet;
use std::path::Path;

use cases::{NEIGHBOURS, Table, tables};
use granary_core::check::{Checker, Rejection};
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_core::operation::{Action, Operation, TargetType};
use granary_core::profile::types::TYPES;
use granary_core::schema::{DefinitionKind, Schema, StoredDefinition, accept};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;

fn all() -> Vec<Table> {
    tables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases"))
}

fn schema(table: &Table) -> Schema {
    let mut definitions: Vec<StoredDefinition> = Vec::new();
    let own = ("thing", table.profile.as_str());
    for (number, (key, json)) in NEIGHBOURS.into_iter().chain([own]).enumerate() {
        let key = Key::parse(key).unwrap();
        let kind = DefinitionKind::Profile;
        let json = json.as_bytes();
        let accepted = accept(
            kind,
            &key,
            json,
            &definitions,
            &BTreeSet::new(),
            &Limits::default(),
        );
        let accepted = accepted.unwrap_or_else(|error| panic!("{}: {error:#?}", table.name));
        definitions.push(StoredDefinition {
            kind,
            key,
            number: number as u32,
            revision: 1,
            json: accepted.json().into(),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        });
    }
    Schema::compile(&definitions).unwrap()
}

fn check(schema: &Schema, data: &str) -> Result<(Operation, String), Rejection> {
    let mut random = || [7; 16];
    let mut checker = Checker {
        schema,
        target: TargetType::Resource,
        vocabularies: Vocabularies::none(),
        tokens: None,
        limits: &Limits::default(),
        hash_key: [0; 16],
        now: Timestamp::EPOCH,
        random: &mut random,
    };
    let mut body = Vec::new();
    let json = format!(r#"{{"data":{data}}}"#);
    let thing = schema.resource_type("thing").unwrap();
    let operation = checker.resource(thing, Action::Create, None, json.as_bytes(), &mut body)?;
    Ok((operation, String::from_utf8(body).unwrap()))
}

#[test]
fn values_are_taken_and_kept_or_refused_with_every_fault() {
    for table in all() {
        let schema = schema(&table);
        for (sent, kept) in &table.accepted {
            let (operation, body) =
                check(&schema, sent).unwrap_or_else(|error| panic!("{}: {sent}: {error:#?}", table.name));
            let kept = kept.replace("$id", &operation.id.to_string());
            assert_eq!(body, format!(r#"{{"data":{kept}}}"#), "{}", table.name);
        }
        for refused in &table.refused {
            let error = match check(&schema, &refused.data) {
                Err(Rejection::Invalid(error)) => error,
                other => panic!("{}: {}: {other:?}", table.name, refused.data),
            };
            let place = |detail: &granary_core::error::Detail| {
                let pointer = detail.path.as_deref().unwrap();
                let rule = detail.rule.clone().unwrap();
                (pointer.strip_prefix("/data").unwrap().to_owned(), rule)
            };
            let mut found: Vec<_> = error.details.iter().map(place).collect();
            found.sort();
            assert_eq!(
                found, refused.faults,
                "{}: {}: {error:#?}",
                table.name, refused.data
            );
        }
    }
}

#[test]
fn every_type_and_every_rule_has_a_table_with_edges() {
    let tables = all();
    let mut expected: Vec<String> = TYPES.iter().map(|t| format!("type-{}", t.name())).collect();
    let rules = [
        "required",
        "min-max-integer",
        "min-max-decimal",
        "min-max-text",
        "min-max-array",
        "enum",
        "pattern",
        "when",
    ];
    expected.extend(rules.map(|rule| format!("rule-{rule}")));
    expected.sort();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, expected);
    for table in &tables {
        let distinct: BTreeSet<&str> = table.accepted.iter().map(|(sent, _)| sent.as_str()).collect();
        assert_eq!(distinct.len(), table.accepted.len(), "{}", table.name);
        // There are not ten booleans.
        let enough = table.name == "type-boolean" || distinct.len() >= 10;
        assert!(enough && table.refused.len() >= 10, "{}", table.name);
    }
}

//! What is proposed for data, and why.

use super::*;

/// What is proposed for a file, and the warnings.
fn proposed(name: &str, content: &str, type_key: Option<&str>) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    let mut gathered = Gathered::new(type_key.map(str::to_owned), "|".to_owned());
    gathered.read(&file, None, None, u64::MAX).unwrap();
    let mut proposal = Proposal {
        cells: gathered.cells,
        files: gathered.files.clone(),
        ..Proposal::default()
    };
    let json = profile(&gathered, &mut proposal);
    serde_json::from_str::<serde_json::Value>(&json).unwrap();
    let warnings = proposal.reasons.into_iter().filter(|reason| reason.warns);
    (
        json,
        warnings
            .map(|reason| format!("{}: {}", reason.path, reason.why))
            .collect(),
    )
}

/// What is proposed for files of CSV, and what was gathered for it.
fn proposed_for_csv(files: &[&str]) -> (String, Gathered) {
    let folder = tempfile::tempdir().unwrap();
    let mut gathered = Gathered::new(None, "|".to_owned());
    for (place, content) in files.iter().enumerate() {
        let file = folder.path().join(format!("{place}.csv"));
        std::fs::write(&file, content).unwrap();
        gathered.read(&file, None, None, u64::MAX).unwrap();
    }
    let mut proposal = Proposal {
        cells: true,
        ..Proposal::default()
    };
    let json = profile(&gathered, &mut proposal);
    let warning = proposal.reasons.iter().find(|reason| reason.warns);
    assert!(warning.is_none(), "{}", warning.unwrap().why);
    (json, gathered)
}

#[test]
fn several_files_of_csv_are_as_one() {
    let (json, gathered) = proposed_for_csv(&[
        "Tags\nx\ny|z\n",
        "Full name,Tags\n1,x\n",
        "Full name,Tags\n2,x|y\n",
    ]);
    let tags =
        "\"Tags\":{\"type\":\"array\",\"items\":{\"type\":\"symbol\"},\"rules\":[{\"required\":true}]}";
    let name = "\"fullName\":{\"type\":\"integer\"}";
    assert_eq!(
        json,
        format!("{{\"type\":\"ROOT\",\"properties\":{{{tags},{name}}}}}")
    );
    assert_eq!(
        gathered.renamed,
        [("Full name".to_owned(), "fullName".to_owned())]
    );
    assert!(!gathered.ends_passed_over);
}

#[test]
fn from_and_to_are_left_out_together_and_that_is_said() {
    let (alone, gathered) = proposed_for_csv(&["from\nParis\n"]);
    assert!(
        alone.contains("\"from\"") && !gathered.ends_passed_over,
        "{alone}"
    );
    let (both, gathered) = proposed_for_csv(&["id,from,to,n\nx,ab,cd,1\n"]);
    assert!(!both.contains("from") && both.contains("\"n\""), "{both}");
    assert!(gathered.ends_passed_over);
}

#[track_caller]
fn properties(content: &str, expected: &str) {
    let (json, warnings) = proposed("x.ndjson", content, None);
    assert_eq!(
        json,
        format!("{{\"type\":\"ROOT\",\"properties\":{{{expected}}}}}")
    );
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn types_are_told_by_values() {
    for (values, of_type) in [
        ("1,-2,9223372036854775807", "integer"),
        ("1,2.50", "decimal"),
        ("9223372036854775808", "decimal"),
        ("true,false", "boolean"),
        ("\"2024-01\",\"2024\"", "date"),
        ("\"2024\",\"1999\"", "code"),
        ("\"2024-01-31T08:00:00Z\"", "instant"),
        ("\"2024-01-31T08:00:00Z\",\"2024-01\"", "datetime"),
        ("\"08:00:00\"", "time"),
        ("\"https://a.example/b\"", "url"),
        ("\"urn:oid:1.2\"", "uri"),
        ("\"KSEA\",\"EGLL\"", "code"),
        ("\"Ada\",\"Bob\"", "symbol"),
        ("\" x\",\"\"", "symbol"),
    ] {
        let values = values.split(',').map(|value| format!("{{\"a\":{value}}}\n"));
        let expected = format!("\"a\":{{\"type\":\"{of_type}\",\"rules\":[{{\"required\":true}}]}}");
        properties(&values.collect::<String>(), &expected);
    }
}

#[test]
fn what_is_not_everywhere_is_not_required() {
    properties(
        "{\"a\":1,\"b\":\"Ada\"}\n{\"a\":2,\"b\":null}\n{\"a\":3}",
        "\"a\":{\"type\":\"integer\",\"rules\":[{\"required\":true}]},\"b\":{\"type\":\"symbol\"}",
    );
    let (json, warnings) = proposed("x.ndjson", "{\"a\":null,\"b\":1}", None);
    assert!(!json.contains("\"a\""), "{json}");
    assert!(warnings[0].contains("null wherever"), "{warnings:?}");
}

#[test]
fn few_texts_that_come_often_are_choices() {
    let many = "{\"a\":\"on\"}\n{\"a\":\"off\"}\n".repeat(5);
    let rules = "\"rules\":[{\"required\":true},{\"enum\":[\"off\",\"on\"]}]";
    properties(&many, &format!("\"a\":{{\"type\":\"code\",{rules}}}"));
    properties(
        "{\"a\":\"on\"}\n{\"a\":\"off\"}",
        "\"a\":{\"type\":\"symbol\",\"rules\":[{\"required\":true}]}",
    );
}

/// Why a property of CSV is as it is proposed, behind its type.
fn reason(csv: &str, name: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv");
    std::fs::write(&file, csv).unwrap();
    let mut gathered = Gathered::new(None, "|".to_owned());
    gathered.read(&file, None, None, u64::MAX).unwrap();
    let mut proposal = Proposal {
        cells: true,
        files: gathered.files.clone(),
        ..Proposal::default()
    };
    let json = profile(&gathered, &mut proposal);
    let reason = proposal.reasons.into_iter().find(|reason| reason.path == name);
    let reason = reason.unwrap();
    assert!(reason.of_type != "code" || json.contains("code"));
    (reason.of_type, reason.why)
}

/// So many cells under a header; where one of these lines stands, its own text.
fn column(lines: u64, cell: impl Fn(u64) -> String, others: &[(u64, &str)]) -> String {
    let mut csv = "id,a\n".to_owned();
    for line in 2..lines + 2 {
        let other = others.iter().find(|(at, _)| *at == line);
        let text = other.map_or_else(|| cell(line), |(_, text)| (*text).to_owned());
        csv.push_str(&format!("r{line},{text}\n"));
    }
    csv
}

#[test]
fn a_few_cells_that_are_wrong_leave_a_type_and_are_named() {
    let price = |line| format!("{line}.{}5", line % 10);
    let dirty = [(19, "N/A"), (1_000, "n/a"), (4_000, "N/A")];
    let (of_type, why) = reason(&column(5_000, price, &dirty), "a");
    assert_eq!(of_type, "decimal");
    let told = "4,997 of 5,000 are numbers; not 'N/A' (line 19), …; correct those";
    assert!(why.starts_with(told), "{why}");
    // Whole numbers, with as few of others: the type that takes the most.
    let half = column(1_000, |line| line.to_string(), &[(7, "1.5"), (9, "x")]);
    let (of_type, why) = reason(&half, "a");
    assert_eq!(of_type, "decimal");
    assert!(
        why.starts_with("999 of 1,000 are numbers; not 'x' (line 9);"),
        "{why}"
    );
    let days = column(
        200,
        |line| format!("2024-01-{:02}", line % 28 + 1),
        &[(5, "soon")],
    );
    let (of_type, why) = reason(&days, "a");
    assert_eq!(of_type, "date");
    assert!(
        why.starts_with("199 of 200 are dates; not 'soon' (line 5)"),
        "{why}"
    );
    // Fewer than that fit no type, and are no codes for it.
    for (lines, wrong) in [(19, 1), (100, 2)] {
        let wrong: Vec<_> = (0..wrong).map(|n| (n + 3, "N/A")).collect();
        let (of_type, why) = reason(&column(lines, price, &wrong), "a");
        assert_ne!(of_type, "decimal", "{lines}: {why}");
    }
    let (of_type, why) = reason(&column(100, price, &[(3, "N/A"), (4, "-")]), "a");
    assert_eq!(of_type, "symbol");
    assert!(
        why.contains("98 of 100 are numbers; not 'N/A' (line 3), …"),
        "{why}"
    );
}

#[test]
fn numbers_that_are_wrong_at_the_start_are_found_to_be_few_at_the_end() {
    let (of_type, why) = reason(
        &column(
            30_000,
            |line| match line {
                2..=200 => "unknown".to_owned(),
                line => line.to_string(),
            },
            &[],
        ),
        "a",
    );
    assert_eq!(of_type, "integer", "{why}");
    assert!(why.starts_with("29,801 of 30,000"), "{why}");
}

#[test]
fn what_came_once_is_no_choice_and_neither_is_a_sentence() {
    let colours = |line: u64| if line.is_multiple_of(2) { "red" } else { "blue" }.to_owned();
    let (_, why) = reason(&column(50, colours, &[(30, "rde")]), "a");
    assert!(why.starts_with("no enum: 'rde' came once (line 30)"), "{why}");
    let (_, why) = reason(&column(50, colours, &[(30, "green"), (31, "green")]), "a");
    assert!(why.starts_with("enum: 3 different texts in 50"), "{why}");
    let notes = |line: u64| match line.is_multiple_of(2) {
        true => "Came back damaged.".to_owned(),
        false => "none".to_owned(),
    };
    let (of_type, why) = reason(&column(50, notes, &[]), "a");
    assert_eq!(of_type, "symbol");
    assert!(!why.contains("enum"), "{why}");
}

#[test]
fn flat_records_are_named_by_their_id_which_is_no_property() {
    properties(
        "{\"id\":\"fl1\",\"name\":\"Ada\",\"of\":{\"id\":7}}",
        "\"name\":{\"type\":\"symbol\",\"rules\":[{\"required\":true}]},\"of\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\",\"rules\":[{\"required\":true}]}},\"rules\":[{\"required\":true}]}",
    );
}

#[test]
fn objects_and_arrays_are_looked_into() {
    let record = r#"{"at":{"latitude":1.5,"longitude":-70},"tags":["X","Y"],"size":{"w":1},"none":[],
        "home":{"city":"Lyon","country":"FR"},"period":{"start":"2024-01-01"}}"#;
    let required = ",\"rules\":[{\"required\":true}]}";
    properties(
        record,
        &[
            &format!("\"at\":{{\"type\":\"geopoint\"{required}"),
            &format!("\"tags\":{{\"type\":\"array\",\"items\":{{\"type\":\"code\"}}{required}"),
            &format!(
                "\"size\":{{\"type\":\"object\",\"properties\":{{\"w\":{{\"type\":\"integer\"{required}}}{}",
                &required
            ),
            &format!("\"none\":{{\"type\":\"array\",\"items\":{{\"type\":\"symbol\"}}{required}"),
            &format!("\"home\":{{\"type\":\"address\"{required}"),
            &format!("\"period\":{{\"type\":\"period\"{required}"),
        ]
        .map(String::as_str)
        .join(","),
    );
}

#[test]
fn an_object_that_only_looks_like_a_complex_type_is_an_object() {
    for record in [
        r#"{"a":{"latitude":91,"longitude":0}}"#,
        r#"{"a":{"latitude":1}}"#,
        r#"{"a":{"start":"2024","end":"2023"}}"#,
        r#"{"a":{"system":"urn:x","value":1}}"#,
        r#"{"a":{"city":"Lyon","country":"FR","mayor":"x"}}"#,
    ] {
        let (json, _) = proposed("x.json", record, None);
        assert!(json.contains(r#""a":{"type":"object""#), "{record}: {json}");
    }
}

#[test]
fn what_no_type_fits_is_warned_of() {
    let (json, warnings) = proposed("x.json", r#"[{"a":1},{"a":2},{"a":"x"}]"#, None);
    assert!(json.contains(r#""a":{"type":"integer""#), "{json}");
    assert_eq!(
        warnings,
        [
            "a: its values are of several kinds, and the data does not pass: a string 1 times, a number 2 times"
        ]
    );
    let (_, warnings) = proposed("x.json", r#"{"a b":1,"c":[null]}"#, None);
    assert!(
        warnings[0].contains("a b: left out: key 'a b' is not valid"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("null elements"), "{warnings:?}");
}

#[test]
fn names_without_end_do_not_fill_memory() {
    let record: Vec<String> = (0..5_000).map(|n| format!("\"k{n}\":1")).collect();
    let (json, warnings) = proposed("x.json", &format!("{{{}}}", record.join(",")), None);
    assert_eq!(json.matches("integer").count(), node::NAMES_MAX);
    assert!(warnings[0].contains("keys of a map"), "{warnings:?}");
    let deep = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
    let (_, warnings) = proposed("x.json", &deep, None);
    assert!(
        warnings.iter().any(|warning| warning.contains("too deep")),
        "{warnings:?}"
    );
}

#[test]
fn records_are_found_in_operations_records_and_exports() {
    let expected = r#"{"type":"ROOT","properties":{"n":{"type":"integer","rules":[{"required":true}]}}}"#;
    for content in [
        r#"{"action":"CREATE","create":{"type":"t","id":"ab","data":{"n":1},"meta":{}}}"#,
        r#"{"operations":[{"action":"UPSERT","upsert":{"type":"t","id":"ab","data":{"n":1}}},{"action":"DELETE","delete":{"type":"t","id":"cd"}}]}"#,
        r#"{"id":"ab","data":{"n":1}}"#,
        "{\"export\":1}\n{\"profile\":{\"key\":\"t\"}}\n{\"resource\":{\"id\":\"ab\",\"type\":\"t\",\"data\":{\"n\":1},\"meta\":{}}}\n{\"end\":{\"profiles\":1,\"relationshipDefinitions\":0,\"resources\":1,\"relationships\":0}}",
        r#"[{"n":1}]"#,
    ] {
        assert_eq!(proposed("x", content, None).0, expected, "{content}");
    }
}

#[test]
fn records_without_end_in_each_other_are_refused() {
    for (open, close) in [
        ("{\"resource\":", "}"),
        ("{\"action\":\"CREATE\",\"create\":", "}"),
        ("{\"data\":{},\"contained\":{\"a\":[", "]}}"),
    ] {
        let nested = |deep: usize| format!("{}{{\"data\":{{}}}}{}", open.repeat(deep), close.repeat(deep));
        let read = |deep: usize| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("x.ndjson");
            std::fs::write(&file, nested(deep)).unwrap();
            Gathered::new(None, "|".to_owned()).read(&file, None, None, u64::MAX)
        };
        read(64).unwrap();
        for deep in [65, 20_000] {
            let error = format!("{:#}", read(deep).unwrap_err());
            let told = "line 1: records are nested more than 64 deep";
            assert!(error.contains(told), "{open}: {error}");
        }
    }
}

#[test]
fn contained_records_are_named_and_can_be_asked_for() {
    let data = r#"{"id":"ab","type":"t","data":{},"contained":{"rooms":[{"id":"1","type":"room","data":{"n":1},"contained":{"beds":[{"type":"bed","data":{}}]}},{"type":"room","data":{"n":2}}]}}"#;
    let (root, _) = proposed("x.ndjson", data, None);
    assert_eq!(
        root,
        r#"{"type":"ROOT","properties":{},"contained":{"rooms":{"types":["room"],"cardinality":"1:*"}}}"#
    );
    let (room, _) = proposed("x.ndjson", data, Some("room"));
    assert_eq!(
        room,
        r#"{"type":"CONTAINED","properties":{"n":{"type":"integer","rules":[{"required":true}]}},"contained":{"beds":{"types":["bed"],"cardinality":"0:1"}}}"#
    );
}

#[test]
fn cells_of_csv_say_what_they_are() {
    let csv = "id,n,price,ok,Full name,tags,address.city,zip\nab,1,2.50,TRUE,Ada B,x|y,Lyon,01234\ncd,2,3,false,Bob,,Paris,99999\n";
    let (json, warnings) = proposed("x.csv", csv, None);
    let required = ",\"rules\":[{\"required\":true}]}";
    let expected = [
        &format!("\"n\":{{\"type\":\"integer\"{required}"),
        &format!("\"price\":{{\"type\":\"decimal\"{required}"),
        &format!("\"ok\":{{\"type\":\"boolean\"{required}"),
        &format!("\"fullName\":{{\"type\":\"symbol\"{required}"),
        "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"symbol\"}}",
        &format!("\"address\":{{\"type\":\"object\",\"properties\":{{\"city\":{{\"type\":\"symbol\"{required}}}{required}"),
        &format!("\"zip\":{{\"type\":\"code\"{required}"),
    ]
    .join(",");
    assert_eq!(
        json,
        format!("{{\"type\":\"ROOT\",\"properties\":{{{expected}}}}}")
    );
    assert_eq!(warnings, [""; 0]);
}

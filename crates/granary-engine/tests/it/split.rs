//! The splitters: what they find depends on the body alone, not on how it arrives.

use granary_core::error::ErrorObject;
use granary_engine::split::{JsonSplitter, NdjsonSplitter, Piece, Place, Run, SplitError, Splitter};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

/// What a splitter made of a body.
#[derive(Debug, PartialEq)]
struct Found {
    /// The operations, `None` for those over the limit, and where they start.
    operations: Vec<(Option<Vec<u8>>, Place)>,
    count: u64,
    error: Option<SplitError>,
    faults: Option<ErrorObject>,
}

impl Found {
    /// The operations as text, those over the limit as `over`.
    fn texts(&self) -> Vec<&str> {
        let operations = self.operations.iter();
        operations
            .map(|(bytes, _)| {
                bytes
                    .as_deref()
                    .map_or("over", |bytes| std::str::from_utf8(bytes).unwrap())
            })
            .collect()
    }

    fn error(&self) -> String {
        self.error.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn fault(&self) -> String {
        self.faults.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

const LIMIT: u64 = 1_000_000;

fn json(limit: u64) -> Splitter {
    Splitter::Json(JsonSplitter::new(limit, 10))
}

fn ndjson(limit: u64) -> Splitter {
    Splitter::Ndjson(NdjsonSplitter::new(limit))
}

/// Feeds `body` in pieces of the given lengths, over and over.
fn split(mut splitter: Splitter, body: &[u8], lengths: &[usize]) -> Found {
    let mut operations: Vec<(Option<Vec<u8>>, Place)> = Vec::new();
    let take = |run: Option<Run>, operations: &mut Vec<_>| {
        let Some(run) = run else { return };
        assert_eq!(run.first(), operations.len() as u64);
        for (index, piece) in run.pieces().enumerate() {
            let bytes = match piece {
                Piece::Operation(bytes) => Some(bytes.to_vec()),
                Piece::OverLimit => None,
            };
            operations.push((bytes, run.place(index, 0)));
        }
    };
    let mut error = None;
    let mut rest = body;
    let mut lengths = lengths.iter().cycle();
    'body: while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        rest = after;
        while !piece.is_empty() {
            match splitter.feed(&mut piece) {
                Ok(run) => take(run, &mut operations),
                Err(failed) => {
                    error = Some(failed);
                    break 'body;
                }
            }
        }
    }
    if error.is_none() {
        error = splitter.finish().err();
    }
    take(splitter.rest(), &mut operations);
    assert_eq!(splitter.operations(), operations.len() as u64);
    for (index, (bytes, place)) in operations.iter().enumerate() {
        let before = &body[..place.byte as usize];
        let newlines = before.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!((place.operation, place.line), (index as u64, 1 + newlines));
        if let Some(bytes) = bytes {
            assert!(body[place.byte as usize..].starts_with(bytes));
        }
    }
    Found {
        operations,
        count: splitter.operations(),
        error,
        faults: splitter.faults(),
    }
}

fn whole(splitter: Splitter, body: &str) -> Found {
    split(splitter, body.as_bytes(), &[usize::MAX])
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\PC\"\\\\\\[\\]{}\n]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-z\"\\\\{}\\[\\]]{0,8}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a value with white space wherever it may stand.
fn write(value: &Value, random: &mut SmallRng, out: &mut String) {
    let blanks = |random: &mut SmallRng, out: &mut String| {
        for _ in 0..random.random_range(0..6_u32).saturating_sub(3) {
            out.push([' ', '\n', '\t', '\r'][random.random_range(0..4)]);
        }
    };
    match value {
        Value::Array(elements) => {
            out.push('[');
            blanks(random, out);
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                    blanks(random, out);
                }
                write(element, random, out);
                blanks(random, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            blanks(random, out);
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                    blanks(random, out);
                }
                out.push_str(&serde_json::to_string(name).unwrap());
                blanks(random, out);
                out.push(':');
                blanks(random, out);
                write(member, random, out);
                blanks(random, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&serde_json::to_string(scalar).unwrap()),
    }
}

proptest! {
    #[test]
    fn what_is_found_is_what_serde_finds(
        operations in prop::collection::vec(any_value(), 1..8),
        seed: u64,
        lengths in prop::collection::vec(1_usize..40, 1..10),
    ) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut body = String::new();
        write(&serde_json::json!({"operations": operations}), &mut random, &mut body);
        let found = split(json(LIMIT), body.as_bytes(), &lengths);
        prop_assert_eq!(found.error(), "");
        prop_assert_eq!(found.fault(), "");
        let values: Vec<Value> = found.texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        prop_assert_eq!(values, operations);
        prop_assert_eq!(&found, &whole(json(LIMIT), &body));
    }

    #[test]
    fn lines_are_found_wherever_they_are_cut(
        operations in prop::collection::vec(any_value(), 1..8),
        blanks in prop::collection::vec("[ \t\r]{0,3}(\n[ \t\r]{0,2}){0,2}", 9),
        lengths in prop::collection::vec(1_usize..40, 1..10),
    ) {
        let mut body = blanks[8].clone();
        let texts: Vec<String> = operations.iter().map(Value::to_string).collect();
        for (text, blank) in texts.iter().zip(&blanks) {
            body.push_str(text);
            body.push_str(blank);
            body.push('\n');
        }
        let found = split(ndjson(LIMIT), body.as_bytes(), &lengths);
        prop_assert_eq!(found.texts(), texts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(&found, &whole(ndjson(LIMIT), &body));
        let cut = whole(ndjson(LIMIT), body.trim_end());
        prop_assert_eq!(cut.texts(), found.texts());
    }

    #[test]
    fn rubbish_is_an_error_however_it_arrives(
        body in prop::collection::vec(prop::sample::select(b"{}[]\",:\\operations 12\ntrue\xEF\xBB\xBF\0".to_vec()), 0..60),
        start in prop::sample::select(vec!["", "{\"operations\":[", "{\"operations\":[{\"a\":1},"]),
        lengths in prop::collection::vec(1_usize..20, 1..5),
        limit in 1_u64..20,
    ) {
        let body = [start.as_bytes(), &body].concat();
        for splitter in [json, ndjson] {
            let found = split(splitter(limit), &body, &lengths);
            prop_assert_eq!(&found.operations, &split(splitter(limit), &body, &[usize::MAX]).operations);
            if let Some(error) = &found.error {
                prop_assert!(error.place.byte <= body.len() as u64, "{}", error);
            }
        }
        // Whatever serde reads as a document with operations, the splitter reads too, and finds as many.
        if let Ok(Value::Object(document)) = serde_json::from_slice(&body)
            && document.len() == 1
            && let Some(Value::Array(operations)) = document.get("operations")
        {
            let found = split(json(LIMIT), &body, &lengths);
            prop_assert_eq!(found.error(), "");
            if found.faults.is_none() {
                prop_assert_eq!(found.count, operations.len() as u64);
            }
        }
    }

    #[test]
    fn an_operation_past_the_limit_is_marked_and_the_rest_goes_on(
        sizes in prop::collection::vec(2_usize..40, 1..20),
        lengths in prop::collection::vec(1_usize..60, 1..10),
    ) {
        let texts: Vec<String> = sizes.iter().map(|size| format!("\"{}\"", "x".repeat(size - 2))).collect();
        let expected: Vec<&str> =
            texts.iter().map(|text| if text.len() > 20 { "over" } else { text.as_str() }).collect();
        let body = format!("{{\"operations\": [ {} ]}}", texts.join(" ,\n"));
        let found = split(json(20), body.as_bytes(), &lengths);
        prop_assert_eq!(found.error(), "");
        prop_assert_eq!(found.texts(), expected.clone());
        let lines = split(ndjson(20), texts.join("\r\n").as_bytes(), &lengths);
        prop_assert_eq!(lines.texts(), expected);
    }
}

#[test]
fn a_body_that_breaks_off_says_where() {
    let body =
        "\u{feff}{\n \"operations\" : [\n  {\"a\": \"x\\\"]\"},\n  {\"b\": [1, {}]},\n  \"s\", 12 ]\n}\n";
    for end in 0..body.len() {
        let cut = &body.as_bytes()[..end];
        for lengths in [vec![usize::MAX], vec![1]] {
            let found = split(json(LIMIT), cut, &lengths);
            if body[..].is_char_boundary(end) && body[..end].trim_end().ends_with('}') && end + 2 > body.len()
            {
                assert_eq!(found.error(), "");
                continue;
            }
            let error = found.error.as_ref().unwrap_or_else(|| panic!("cut at {end}"));
            assert_eq!(error.place.byte, end as u64, "{error}");
            let line = 1 + cut.iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(
                (error.place.line, error.place.operation),
                (line, found.count),
                "{error}"
            );
        }
    }
    let found = whole(json(LIMIT), &body[..32]);
    assert_eq!(
        found.error(),
        "the body breaks off at byte 32, line 3, operation 0: the operation does not end"
    );
    assert!(found.error.is_some_and(|error| error.in_operation));
}

#[test]
fn a_body_that_is_not_json_says_where_and_what() {
    for (body, error) in [
        (
            "",
            "the body is not JSON at byte 0, line 1, operation 0: it is empty",
        ),
        (
            " \n",
            "the body is not JSON at byte 2, line 2, operation 0: it is empty",
        ),
        (
            "\u{feff}x",
            "the body is not JSON at byte 3, line 1, operation 0: expected an object",
        ),
        (
            "{,",
            "the body is not JSON at byte 1, line 1, operation 0: expected a member or '}'",
        ),
        (
            "{\"a\":1,}",
            "the body is not JSON at byte 7, line 1, operation 0: expected a member",
        ),
        (
            "{\"a\" 1}",
            "the body is not JSON at byte 5, line 1, operation 0: expected ':'",
        ),
        (
            "{\"a\":}",
            "the body is not JSON at byte 5, line 1, operation 0: expected a value",
        ),
        (
            "{\"a\\x\":1}",
            "the body is not JSON at byte 1, line 1, operation 0: the name of a member is not a JSON string",
        ),
        (
            "{\"operations\":[,",
            "the body is not JSON at byte 15, line 1, operation 0: expected an operation or ']'",
        ),
        (
            "{\"operations\":[{}\n,]",
            "the body is not JSON at byte 19, line 2, operation 1: expected an operation",
        ),
        (
            "{\"operations\":[{}{}]}",
            "the body is not JSON at byte 17, line 1, operation 1: expected ',' or ']'",
        ),
        (
            "{\"operations\":[{}]]",
            "the body is not JSON at byte 18, line 1, operation 1: expected ',' or '}'",
        ),
        (
            "{\"operations\":[{}]} {",
            "the body is not JSON at byte 20, line 1, operation 1: something follows the end of the document",
        ),
        (
            "{\"operations\":[{},\n{\"a\":1,\n\"b\" 2}",
            "the body breaks off at byte 33, line 3, operation 2: 'operations' does not end",
        ),
        (
            "{\"operations\":[{},\n{\"a\":[1},\n{\"b\":2}]}",
            "the body is not JSON at byte 37, line 3, operation 2: expected ',' or ']'",
        ),
    ] {
        for lengths in [vec![usize::MAX], vec![1], vec![3]] {
            assert_eq!(
                split(json(LIMIT), body.as_bytes(), &lengths).error(),
                error,
                "{body}"
            );
        }
    }
}

#[test]
fn faults_beside_the_operations_are_told_at_the_end() {
    let missing = "the request has no member 'operations'; it must be {\"operations\": […]}";
    for (body, count, fault) in [
        ("{}", 0, missing),
        (
            "{\"operations\":[]}",
            0,
            "'operations' is empty; send at least one operation",
        ),
        ("{\"operations\":{}}", 0, "'operations' must be an array"),
        ("{\"operations\":null}", 0, "'operations' must be an array"),
        (
            "[{}]",
            0,
            "the request must be an object {\"operations\": […]}; put the array into it",
        ),
        ("12", 0, "the request must be an object {\"operations\": […]}"),
        (
            "{\"operations\":[1],\"operations\":[2,3]}",
            1,
            "the member 'operations' is there twice",
        ),
        (
            "{\"a/b\":[{\"operations\":[5]}],\"operations\":[1,2]}",
            2,
            "unknown member 'a/b'; the request has the member 'operations' alone",
        ),
    ] {
        for lengths in [vec![usize::MAX], vec![1]] {
            let found = split(json(LIMIT), body.as_bytes(), &lengths);
            assert_eq!(
                (found.error().as_str(), found.count, found.fault().as_str()),
                ("", count, fault),
                "{body}"
            );
        }
    }
    let many: String = (0..30).map(|n| format!("\"m{n}\":{n},")).collect();
    let found = whole(json(LIMIT), &format!("{{{many}\"operations\":[1]}}"));
    let error = found.faults.unwrap();
    assert_eq!((error.details.len(), error.details_total), (10, Some(30)));
    assert_eq!(error.details[9].path.as_deref(), Some("/m9"));
    let long = whole(json(LIMIT), &format!("{{\"{}\":1}}", "n".repeat(1_000_000)));
    assert!(long.faults.unwrap().message.len() < 500);
    let none = whole(ndjson(LIMIT), " \n\n");
    assert_eq!(none.fault(), "the request has no operations; send one a line");
}

#[test]
fn the_name_of_the_operations_may_be_spelled_with_escapes() {
    let found = whole(json(LIMIT), "{\"\\u006fperations\":[7]}");
    assert_eq!((found.texts(), &found.faults), (vec!["7"], &None));
}

#[test]
fn a_missing_bracket_is_told_where_it_is_missed_and_not_at_the_limit() {
    let after = ",\n{\"b\":1}".repeat(1_000);
    let body = format!("{{\"operations\":[{{}},\n{{\"a\":{{\"b\":1}}{after}]}}");
    for lengths in [vec![usize::MAX], vec![7]] {
        let found = split(json(100), body.as_bytes(), &lengths);
        assert_eq!(
            found.error(),
            "the body is not JSON at byte 33, line 3, operation 1: the operation goes wrong here"
        );
        assert_eq!(found.texts(), ["{}"]);
    }
}

#[test]
fn runs_are_bounded_whatever_the_body() {
    let blanks = " ".repeat(1_000_000);
    let small = format!("{{\"operations\":[{}]}}", vec!["{}"; 5_000].join(","));
    let spaced = format!(
        "{{\"operations\":[{}]}}",
        ["{}"; 5].join(&format!("{blanks},{blanks}"))
    );
    let large = format!(
        "{{\"operations\":[{}]}}",
        vec![format!("[\"{}\"]", "y".repeat(9_000)); 300].join(",")
    );
    for body in [small, spaced, large] {
        let mut splitter = json(100_000);
        let mut runs = Vec::new();
        for mut piece in body.as_bytes().chunks(16 * 1024) {
            while !piece.is_empty() {
                runs.extend(splitter.feed(&mut piece).unwrap());
            }
        }
        splitter.finish().unwrap();
        runs.extend(splitter.rest());
        for run in &runs {
            assert!(
                run.len() <= 1_024 && run.bytes() <= 256 * 1024 + 16 * 1024,
                "{} {}",
                run.len(),
                run.bytes()
            );
        }
        assert_eq!(
            runs.iter().map(Run::len).sum::<usize>() as u64,
            splitter.operations()
        );
    }
}

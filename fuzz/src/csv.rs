//! CSV: rows are split alike however they arrive, into what the `csv` crate finds, and their cells become the operation
//! that they say. A row that is taken is JSON, which is what the check relies on.

use std::sync::{Arc, OnceLock};

use granary_core::csv::{Cells, Layout, Sheet};
use granary_core::error::ErrorObject;
use granary_core::operation::TargetType;

use crate::source::SCHEMA;
use crate::split::alike;
use crate::splitter::{CsvSplitter, Splitter};
use crate::tree::Tree;

fn layout(target: TargetType, action: &str, header: &[u8]) -> Option<Layout> {
    let key = match target {
        TargetType::Resource => "plain",
        TargetType::Relationship => "knows",
    };
    let sheet = Sheet::new(&SCHEMA, target, Some(key), Some(action), None).expect("the query is right");
    match sheet.layout(&SCHEMA, header, 100) {
        Ok(layout) => Some(layout),
        Err(error) => {
            assert!(!error.message.is_empty());
            None
        }
    }
}

/// The cells of these rows, as the crate finds them.
fn peers_rows(rows: &[&[u8]]) -> Option<Vec<Vec<String>>> {
    // Behind a cell of ours, so that nothing is taken for a byte order mark, and no row for an empty line.
    let text: Vec<u8> = rows
        .iter()
        .flat_map(|row| [b"x,", *row, b"\n"].concat())
        .collect();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_slice());
    let cells = |row: &csv::StringRecord| row.iter().skip(1).map(str::to_owned).collect();
    reader.records().map(|row| row.ok().as_ref().map(cells)).collect()
}

/// The value at a dotted path.
fn at<'t>(data: &'t Tree, path: &str) -> Option<&'t Tree> {
    path.split('.').try_fold(data, |tree, name| tree.member(name))
}

fn operations(target: TargetType, action: &str, input: &[u8]) {
    // Read once: to say what is wrong with a header takes longer than all else.
    let header = Arc::new(OnceLock::<(Vec<u8>, bool)>::new());
    let splitter = || {
        let (action, seen) = (action.to_owned(), Arc::clone(&header));
        let read = move |raw: &[u8]| {
            let read = || (raw.to_vec(), layout(target, &action, raw).is_some());
            let (first, right) = seen.get_or_init(read);
            assert_eq!(raw, first, "the header is the same however the body arrives");
            right
                .then(Layout::default)
                .ok_or_else(|| ErrorObject::invalid("no header"))
        };
        Splitter::Csv(CsvSplitter::new(1 << 20, read))
    };
    let found = alike(input, splitter);
    let Some((header, true)) = header.get() else {
        return;
    };
    let (Some(layout), Some(columns)) = (layout(target, action, header), peers_rows(&[header])) else {
        return;
    };
    let [columns] = columns.as_slice() else {
        panic!("the header is one row")
    };
    let (mut taken, mut trees, mut cells) = (Vec::new(), Vec::new(), Cells::default());
    for (row, place) in &found.operations {
        let row = row.as_deref().expect("no row is as long as the limit");
        let mut out = Vec::new();
        if layout.write(row, place.line, &mut cells, &mut out).is_err() {
            continue;
        }
        let tree = Tree::read(&out).unwrap_or_else(|| panic!("no JSON: {}", String::from_utf8_lossy(&out)));
        assert!(!tree.has_twins(), "{tree:?}");
        // To the crate a carriage return ends a row.
        if !row.contains(&b'\r') {
            taken.push(row);
            trees.push(tree);
        }
    }
    let rows = peers_rows(&taken).expect("rows that are taken are rows to the crate");
    assert_eq!(rows.len(), trees.len());
    for (tree, cells) in trees.iter().zip(&rows) {
        assert_eq!(
            cells.len(),
            columns.len(),
            "a row that is taken has a cell for each column"
        );
        let Tree::Object(envelope) = tree else {
            panic!("no operation: {tree:?}")
        };
        let payload = &envelope[1].1;
        let nothing = Tree::Object(Vec::new());
        let data = payload.member("data").unwrap_or(&nothing);
        for (column, cell) in columns.iter().zip(cells) {
            let value = match (target, column.as_str()) {
                (_, "id") => payload.member("id"),
                (TargetType::Relationship, "from" | "to") => {
                    payload.member(column).and_then(|end| end.member("id"))
                }
                (_, path) => at(data, path),
            };
            let text = |value: &Tree| match value {
                Tree::Text(text) | Tree::Number(text) => text.clone(),
                Tree::Boolean(value) => value.to_string(),
                other => panic!("no cell becomes {other:?}"),
            };
            let told = value.map(|value| match value {
                Tree::Array(elements) => elements.iter().map(text).collect::<Vec<_>>().join("|"),
                value => text(value),
            });
            let same = match &told {
                None => cell.is_empty(),
                Some(told) => told == cell || told.eq_ignore_ascii_case(cell),
            };
            assert!(same, "column '{column}' has {cell:?} and becomes {told:?}");
        }
    }
}

pub fn run(input: &[u8]) {
    operations(TargetType::Resource, "create", input);
    operations(TargetType::Relationship, "upsert", input);
    operations(TargetType::Resource, "delete", input);
}

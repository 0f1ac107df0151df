//! CSV whose cells are separated by something else than commas, as the command line rewrites it: the same however it
//! arrives, row by row; a row whose quotes are right has the same cells behind commas, and one that is wrong stays wrong.

use granary_core::csv::Cells;

use crate::input::{Delimiter, rewritten};

const DELIMITERS: [Delimiter; 4] = [
    Delimiter::Comma,
    Delimiter::Semicolon,
    Delimiter::Tab,
    Delimiter::Pipe,
];

/// A row, as the first of `text`, and what follows its line break: its cells where its quotes are right. A quote opens a
/// cell at its start alone.
fn row(text: &str, delimiter: char) -> (Option<Vec<String>>, Option<&str>) {
    let (mut cells, mut right, mut rest) = (Vec::new(), true, text);
    loop {
        let mut cell = String::new();
        let is_quoted = rest.starts_with('"');
        if is_quoted {
            rest = &rest[1..];
            loop {
                let Some((inside, behind)) = rest.split_once('"') else {
                    return (None, None);
                };
                cell.push_str(inside);
                rest = behind;
                let Some(more) = rest.strip_prefix('"') else {
                    break;
                };
                cell.push('"');
                rest = more;
            }
        }
        // What is behind quotes, or has none around it.
        let end = rest.find([delimiter, '\n']).unwrap_or(rest.len());
        let (plain, behind) = rest.split_at(end);
        let is_last = !behind.starts_with(delimiter);
        let plain = plain.strip_suffix('\r').filter(|_| is_last).unwrap_or(plain);
        right &= plain.is_empty() || !(is_quoted || plain.contains('"'));
        cell.push_str(plain);
        cells.push(cell);
        match behind.get(1..) {
            Some(next) if !is_last => rest = next,
            next => return (right.then_some(cells), next),
        }
    }
}

/// All rows, each as [`row`] has it, and as it stands there.
fn rows(text: &str, delimiter: char) -> Vec<(Option<Vec<String>>, &str)> {
    let (mut rows, mut rest) = (Vec::new(), Some(text));
    while let Some(text) = rest {
        let (cells, next) = row(text, delimiter);
        let raw = &text[..text.len() - next.map_or(0, |next| next.len() + 1)];
        rows.push((cells, raw.strip_suffix('\r').unwrap_or(raw)));
        rest = next;
    }
    rows
}

pub fn run(input: &[u8]) {
    let Some(([which, cut], text)) = input.split_first_chunk() else {
        return;
    };
    let delimiter = DELIMITERS[usize::from(which % 4)];
    let whole = rewritten(&[text], delimiter);
    let (one, two) = text.split_at(usize::from(*cut) % (text.len() + 1));
    assert_eq!(rewritten(&[one, two], delimiter), whole, "the same in two pieces");
    let (Ok(text), Ok(whole)) = (std::str::from_utf8(text), std::str::from_utf8(&whole)) else {
        return;
    };
    let before = rows(
        text.strip_prefix('\u{feff}').unwrap_or(text),
        char::from(delimiter.byte()),
    );
    let after = rows(whole, ',');
    assert_eq!(after.len(), before.len(), "as many rows");
    for ((before, _), (after, raw)) in before.iter().zip(&after) {
        assert_eq!(after, before, "{raw}");
        let mut cells = Cells::default();
        let read = cells.read(raw).is_ok();
        let read = read.then(|| {
            (0..cells.len())
                .map(|place| cells.get(place).to_owned())
                .collect()
        });
        assert_eq!(read, *after, "{raw}");
    }
}

//! Bodies of bulk requests: split alike however they arrive, and into what `serde_json` finds in them.

use granary_core::csv::Layout;
use granary_core::error::ErrorObject;
use serde_json::value::RawValue;

use crate::splitter::{CsvSplitter, JsonSplitter, NdjsonSplitter, Piece, Place, Run, SplitError, Splitter};
use crate::tree::{Members, is_json, names_a_surrogate};

/// What became of a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    /// Each operation, `None` for one over the limit, and where it begins.
    pub(crate) operations: Vec<(Option<Vec<u8>>, Place)>,
    pub(crate) error: Option<SplitError>,
    pub(crate) faults: Option<ErrorObject>,
}

impl Found {
    fn take(&mut self, run: &Run) {
        assert_eq!(
            run.first(),
            self.operations.len() as u64,
            "runs follow each other"
        );
        for (index, piece) in run.pieces().enumerate() {
            let bytes = match piece {
                Piece::Operation(bytes) => Some(bytes.to_vec()),
                Piece::OverLimit => None,
            };
            self.operations.push((bytes, run.place(index, 0)));
        }
    }
}

/// Feeds a body in pieces of these lengths, over and over.
pub(crate) fn split(mut splitter: Splitter, body: &[u8], lengths: &[usize]) -> Found {
    let mut found = Found {
        operations: Vec::new(),
        error: None,
        faults: None,
    };
    let mut rest = body;
    let mut lengths = lengths.iter().cycle();
    'body: while !rest.is_empty() {
        let length = lengths
            .next()
            .map_or(rest.len(), |length| (*length).clamp(1, rest.len()));
        let (mut piece, after) = rest.split_at(length);
        rest = after;
        while !piece.is_empty() {
            let before = piece.len();
            match splitter.feed(&mut piece) {
                Ok(Some(run)) => found.take(&run),
                Ok(None) => assert!(piece.len() < before, "a splitter goes on"),
                Err(error) => {
                    found.error = Some(error);
                    break 'body;
                }
            }
        }
    }
    if found.error.is_none() {
        found.error = splitter.finish().err();
    }
    if let Some(run) = splitter.rest() {
        found.take(&run);
    }
    found.faults = splitter.faults();
    assert_eq!(found.operations.len() as u64, splitter.operations());
    found
}

/// Splits the body whole, byte by byte, and in pieces that depend on it: always alike.
pub(crate) fn alike(body: &[u8], splitter: impl Fn() -> Splitter) -> Found {
    let whole = split(splitter(), body, &[]);
    let odd = body.iter().fold(7_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    for lengths in [&[1][..], &[3, 1, 8, 2], &[1 + odd % 61, 1 + odd / 61 % 7]] {
        assert_eq!(
            split(splitter(), body, lengths),
            whole,
            "in pieces of {lengths:?}"
        );
    }
    whole
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn json(body: &[u8]) {
    let found = alike(body, || Splitter::Json(JsonSplitter::new(1 << 20, 100)));
    // What it cuts short, it calls so, and leaves the others as they are.
    let cut = alike(body, || Splitter::Json(JsonSplitter::new(24, 2)));
    for ((whole, _), (short, _)) in found.operations.iter().zip(&cut.operations) {
        let whole = whole
            .as_ref()
            .expect("no operation of a fuzz input is as long as the limit");
        assert_eq!(short.as_ref(), (whole.len() <= 24).then_some(whole));
    }
    let text = without_mark(body);
    let sound = found.error.is_none() && found.faults.is_none();
    let all_json = found
        .operations
        .iter()
        .all(|(bytes, _)| bytes.as_ref().is_some_and(|bytes| is_json(bytes)));
    let peers = std::str::from_utf8(text)
        .ok()
        .and_then(|text| serde_json::from_str::<Members<'_>>(text).ok());
    let peers = peers.as_ref().and_then(|members| match members.0.as_slice() {
        [(name, operations)] if name == "operations" => {
            serde_json::from_str::<Vec<&RawValue>>(operations.get()).ok()
        }
        _ => None,
    });
    match peers {
        Some(peers) if !peers.is_empty() => {
            assert!(sound, "serde_json finds operations: {found:?}");
            let own: Vec<_> = found
                .operations
                .iter()
                .map(|(bytes, _)| bytes.as_deref().unwrap_or_default())
                .collect();
            let peers: Vec<_> = peers.iter().map(|raw| raw.get().as_bytes()).collect();
            assert_eq!(own, peers);
        }
        _ if sound && all_json => {
            assert!(
                names_a_surrogate(text),
                "serde_json finds no operations: {found:?}"
            );
        }
        _ => {}
    }
    for (bytes, place) in &found.operations {
        let bytes = bytes.as_deref().unwrap_or_default();
        assert!(
            body[place.byte as usize..].starts_with(bytes),
            "an operation stands where it is said to be"
        );
        let newlines = body[..place.byte as usize]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_eq!(place.line, newlines as u64 + 1);
    }
}

fn ndjson(body: &[u8]) {
    let found = alike(body, || Splitter::Ndjson(NdjsonSplitter::new(1 << 20)));
    alike(body, || Splitter::Ndjson(NdjsonSplitter::new(24)));
    if found.error.is_some() {
        return;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let lines = without_mark(body)
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let start = line.iter().position(|byte| !blank(byte))?;
            let end = line.iter().rposition(|byte| !blank(byte))?;
            Some(&line[start..=end])
        });
    let own: Vec<_> = found
        .operations
        .iter()
        .map(|(bytes, _)| bytes.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(own, lines.collect::<Vec<_>>());
    assert_eq!(found.faults.is_some(), own.is_empty());
}

pub fn run(input: &[u8]) {
    json(input);
    ndjson(input);
    alike(input, || {
        Splitter::Csv(CsvSplitter::new(24, |_| Ok(Layout::default())))
    });
}

//! The lines of an export as an import reads them: what passes is JSON and is kept as it was sent, however it is spaced and
//! in whatever order its members come; what is kept, read once more, is the same.

use granary_core::check::{KeptRecord, Rejection};
use granary_core::operation::TargetType;

use crate::check::{spaced, turned};
use crate::source::{SCHEMA, with_checker};
use crate::tree::{Tree, is_json, names_a_surrogate};

type Kept = Result<(KeptRecord, Vec<u8>), Rejection>;

fn kept(target: TargetType, bytes: &[u8]) -> Kept {
    with_checker(&SCHEMA, target, |checker| {
        let mut body = b"before".to_vec();
        let kept = checker.kept(bytes, &mut body);
        let own = body.split_off(6);
        assert_eq!(body, b"before");
        assert!(kept.is_ok() || own.is_empty(), "what is rejected leaves nothing");
        kept.map(|record| (record, own))
    })
}

fn judged(target: TargetType, input: &[u8]) {
    let read = kept(target, input);
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    if let Err(Rejection::Syntax { offset, .. }) = &read {
        assert!(*offset <= input.len());
    }
    let Ok((record, body)) = &read else { return };
    if names_a_surrogate(text) {
        return;
    }
    assert!(is_json(text), "what is kept is JSON");
    assert!((1..=i32::MAX.unsigned_abs()).contains(&record.version));
    let sent = Tree::read(text).expect("it is JSON");
    let data = |tree: &Tree| tree.member("data").cloned();
    if !body.is_empty() {
        assert_eq!(data(&Tree::read(body).expect("a body is JSON")), data(&sent));
    }
    let text = std::str::from_utf8(text).expect("it is JSON");
    // A name with escapes is written without them below, which says the same.
    if text.contains('\\') {
        return;
    }
    let mut wide = String::new();
    spaced(text.trim(), &mut wide);
    assert_eq!(verdict(&kept(target, wide.as_bytes())), verdict(&read), "spaced");
    let turned = turned(text, 1).expect("it is an object");
    assert_eq!(
        verdict(&kept(target, turned.as_bytes())),
        verdict(&read),
        "turned"
    );
}

/// What two readings of the same must agree on.
fn verdict(read: &Kept) -> Option<(&KeptRecord, &[u8])> {
    read.as_ref().ok().map(|(record, body)| (record, body.as_slice()))
}

pub fn run(input: &[u8]) {
    judged(TargetType::Resource, input);
    judged(TargetType::Relationship, input);
}

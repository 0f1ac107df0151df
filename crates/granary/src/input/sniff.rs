//! Sniffing: what the first bytes of a body tell of it.

use granary_core::json::without_byte_order_mark;
use granary_core::operation::TargetType;

use super::Format;

/// A bulk request starts with its member `operations`; all else is taken for lines.
pub(super) fn format_of(head: &[u8]) -> Format {
    let head = without_byte_order_mark(head).trim_ascii_start();
    let first = head.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    match first {
        Some(first) if first.starts_with(b"\"operations\"") => Format::Json,
        _ => Format::Ndjson,
    }
}

/// What the first operation is on: a relationship has `from` or `to` among the members of its payload, at this depth
/// of the document, or an id of two ends; `None` while the payload has not ended.
pub(super) fn target_of(head: &[u8], payload_depth: usize) -> Option<TargetType> {
    let mut depth = 0;
    let mut at = 0;
    let mut id_follows = false;
    while let Some(byte) = head.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == payload_depth => return Some(TargetType::Resource),
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let text = string_at(head, at)?;
                at += text.len() + 1;
                if depth == payload_depth {
                    let is_key = *head.get(at + 1..)?.trim_ascii_start().first()? == b':';
                    match text {
                        b"from" | b"to" if is_key => return Some(TargetType::Relationship),
                        // No id of a resource holds a dot.
                        _ if id_follows && text.contains(&b'.') => return Some(TargetType::Relationship),
                        _ => id_follows = is_key && text == b"id",
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The text between the quote at `at` and the next one.
fn string_at(json: &[u8], at: usize) -> Option<&[u8]> {
    let text = &json[at + 1..];
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_request_is_told_by_its_first_member() {
        for json in [
            r#"{"operations":[]}"#,
            " \n{ \"operations\" : [",
            "\u{feff}{\"operations\":[",
        ] {
            assert_eq!(format_of(json.as_bytes()), Format::Json, "{json}");
        }
        for lines in [r#"{"action":"CREATE"}"#, "", "[", r#"{"data":{"operations":1}}"#] {
            assert_eq!(format_of(lines.as_bytes()), Format::Ndjson, "{lines}");
        }
    }

    #[test]
    fn the_first_operation_tells_what_a_request_is_on() {
        use TargetType::{Relationship, Resource};
        for (depth, head, target) in [
            (
                2,
                r#"{"action":"CREATE","create":{"type":"t","from":"#,
                Some(Relationship),
            ),
            (2, r#"{"create":{"to": 1"#, Some(Relationship)),
            (
                2,
                r#"{"action":"DELETE","delete":{"type":"t","id":"ab.cd"}}"#,
                Some(Relationship),
            ),
            (
                2,
                r#"{"action":"DELETE","delete":{"type":"t.u","id":"ab"}}"#,
                Some(Resource),
            ),
            (
                2,
                r#"{"create":{"type":"from","data":{"from":1,"to":"}"}}}"#,
                Some(Resource),
            ),
            (2, r#"{"create":{"data":{"a\"}":"\\"}}}"#, Some(Resource)),
            (2, r#"{"create":{"type":"from"#, None),
            (2, r#"{"create":{"data":{"x":1}"#, None),
            (2, r#"{"create":{"from""#, None),
            (1, r#"{"from":{"id":"ab","type":"t"}"#, Some(Relationship)),
            (1, r#"{"data":{}}"#, Some(Resource)),
            (
                4,
                r#"{"operations":[{"action":"CREATE","create":{"from":1"#,
                Some(Relationship),
            ),
            (
                4,
                r#"{"operations":[{"action":"CREATE","create":{"data":{"from":1}}}"#,
                Some(Resource),
            ),
            (4, r#"{"operations":[]}"#, None),
            (2, "", None),
            (2, "}}", None),
        ] {
            // Some prefix may know less, none knows otherwise.
            for end in 0..=head.len() {
                let told = target_of(&head.as_bytes()[..end], depth);
                assert!(told.is_none() || told == target, "{head} at {end}: {told:?}");
            }
            assert_eq!(target_of(head.as_bytes(), depth), target, "{head}");
        }
    }
}

//! Cursors: the first line is a list, the rest a cursor that someone sends. It is refused, or names a place, and is what
//! that place is given as.

use crate::list_cursor::{decode, encode, filtered};
use crate::two_parts;

pub fn run(input: &[u8]) {
    let (list, rest) = two_parts(input);
    let (Ok(list), Ok(rest)) = (std::str::from_utf8(list), std::str::from_utf8(rest)) else {
        return;
    };
    if let Ok(place) = decode(list, rest) {
        assert_eq!(encode(list, &place), rest, "one place has one cursor");
    }
    // Places hold no line break: they are ids, keys and numbers.
    let place: String = rest.chars().filter(|c| *c != '\n').collect();
    let cursor = encode(list, &place);
    assert!(
        cursor
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    );
    assert_eq!(decode(list, &cursor).ok().as_deref(), Some(&*place));
    let other = filtered(list, &[("from", Some(place.clone())), ("to", None)]);
    assert_ne!(other, list);
    assert!(decode(&other, &cursor).is_err(), "a cursor is of its list");
}

//! Cursors: where a list goes on. Opaque to clients; each says of which list it is, so that one of another list is
//! refused (`OUT_OF_RANGE`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use granary_core::error::{ErrorObject, ErrorType};

/// The name of a list that shows only what these filters admit: with others it is another list.
pub(crate) fn filtered(list: &str, filters: &[(&str, Option<String>)]) -> String {
    let given = filters
        .iter()
        .filter_map(|(name, value)| Some(format!("/{name}={}", value.as_deref()?)));
    format!("{list}{}", given.collect::<String>())
}

/// A cursor for `list` that goes on after `place`.
pub(crate) fn encode(list: &str, place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}\n{place}"))
}

/// The place in `list` that a cursor names.
pub(crate) fn decode(list: &str, cursor: &str) -> Result<String, ErrorObject> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (of, place) = text.rsplit_once('\n')?;
        (of == list).then(|| place.to_owned())
    };
    read().ok_or_else(not_of_this_list)
}

/// What a cursor gets that names no place of this list.
pub(crate) fn not_of_this_list() -> ErrorObject {
    ErrorObject::new(
        ErrorType::OutOfRange,
        "the cursor is not of this list; start the list again without it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_its_list() {
        let cursor = encode("resources/1/airport", "EGLL");
        assert_eq!(decode("resources/1/airport", &cursor).unwrap(), "EGLL");
        for (list, cursor) in [
            ("resources/1/other", cursor.as_str()),
            ("x", ""),
            ("x", "%%%"),
            ("x", "AAAA"),
        ] {
            assert_eq!(
                decode(list, cursor).unwrap_err().error_type,
                ErrorType::OutOfRange
            );
        }
    }
}

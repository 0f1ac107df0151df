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

/// Where a list by index goes on: at the cursor, or else at `from`. A request may repeat the `from` that its list was begun with;
/// one behind the cursor is of another list.
pub(crate) fn index(list: &str, cursor: Option<&str>, from: Option<u64>) -> Result<u64, ErrorObject> {
    let Some(cursor) = cursor else {
        return Ok(from.unwrap_or(0));
    };
    let place = decode(list, cursor)?.parse().ok();
    place
        .filter(|place| from.is_none_or(|from| from <= *place))
        .ok_or_else(not_of_this_list)
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

    #[test]
    fn a_list_by_index_goes_on_at_its_cursor_whether_its_first_index_is_told_again_or_not() {
        let cursor = encode("receipts/1", "7");
        let at = |cursor: Option<&str>, from| index("receipts/1", cursor, from).ok();
        assert_eq!(at(None, None), Some(0));
        assert_eq!(at(None, Some(5)), Some(5));
        assert_eq!(at(Some(&cursor), None), Some(7));
        assert_eq!(at(Some(&cursor), Some(5)), Some(7));
        assert_eq!(at(Some(&cursor), Some(7)), Some(7));
        assert_eq!(at(Some(&cursor), Some(8)), None);
        assert_eq!(at(Some(&encode("receipts/1", "x")), None), None);
    }
}

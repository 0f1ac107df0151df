//! What differs from run to run: ids and cursors that the server makes, times, tags. A page shows those of the run that
//! wrote it. A run learns which of its own stand for them, sends its own, and holds the page to being consistent.

use std::collections::BTreeMap;

/// Names in the page and those of this run that stand for them, one for one.
#[derive(Clone, Debug, Default)]
struct Names {
    actual: BTreeMap<String, String>,
    written: BTreeMap<String, String>,
}

impl Names {
    /// Ties two names; false where one is tied to another already.
    fn tie(&mut self, written: &str, actual: &str) -> bool {
        let to = self.actual.entry(written.to_owned()).or_insert(actual.to_owned());
        let from = self
            .written
            .entry(actual.to_owned())
            .or_insert(written.to_owned());
        to == actual && from == written
    }
}

fn replaced(text: &str, names: &BTreeMap<String, String>) -> String {
    let one = |text: String, (from, to): (&String, &String)| text.replace(from, to);
    names.iter().fold(text.to_owned(), one)
}

/// What a run has learned so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learned {
    ids: Names,
    tags: Names,
    /// All that was sent: a time in it is the client's, and comes back as it is.
    sent: String,
}

impl Learned {
    /// The text of a request as it is to be sent in this run.
    pub(crate) fn sent(&mut self, written: &str) -> String {
        self.sent.push_str(written);
        replaced(written, &self.ids.actual)
    }

    /// The value of a header as it is to be sent in this run.
    pub(crate) fn header_to_send(&mut self, written: &str) -> String {
        replaced(&self.sent(written), &self.tags.actual)
    }

    /// The text of an answer of this run as the page is to show it.
    pub(crate) fn to_write(&self, actual: &str) -> String {
        replaced(actual, &self.ids.written)
    }

    /// The same of a header.
    pub(crate) fn header_to_write(&self, actual: &str) -> String {
        replaced(&self.to_write(actual), &self.tags.written)
    }

    /// True where the tag in the page may stand for the one of this run.
    pub(crate) fn same_tag(&mut self, written: &str, actual: &str) -> bool {
        self.tags.tie(written, actual)
    }

    /// True where the text in the page and that of this run are the same but for what the server makes. A `…` in the
    /// page stands for the rest of its object or array. Nothing is learned from texts that are not the same.
    pub(crate) fn same(&mut self, written: &str, actual: &str) -> bool {
        let mut learned = self.clone();
        let same = learned.follow(written, actual);
        if same {
            *self = learned;
        }
        same
    }

    fn follow(&mut self, written: &str, actual: &str) -> bool {
        let (mut w, mut a) = (0, 0);
        while w < written.len() {
            let (before, left, right) = (&written[..w], &written[w..], &actual[a..]);
            if left.starts_with('…') && !right.starts_with('…') {
                w += '…'.len_utf8();
                a += rest_of_members(right);
                continue;
            }
            let (end, other) = match (generated(before, left), generated(before, right)) {
                (Some(Generated::Time), Some(Generated::Time)) => {
                    if self.sent.contains(&left[..TIME_LEN]) && left[..TIME_LEN] != right[..TIME_LEN] {
                        return false;
                    }
                    (TIME_LEN, TIME_LEN)
                }
                (Some(Generated::Name(end)), Some(Generated::Name(other))) => {
                    if !self.ids.tie(&left[..end], &right[..other]) {
                        return false;
                    }
                    (end, other)
                }
                _ => {
                    let (Some(one), Some(two)) = (left.chars().next(), right.chars().next()) else {
                        return false;
                    };
                    if one != two {
                        return false;
                    }
                    (one.len_utf8(), two.len_utf8())
                }
            };
            w += end;
            a += other;
        }
        a == actual.len()
    }
}

/// What the server made.
enum Generated {
    Time,
    /// An id or a cursor of so many bytes.
    Name(usize),
}

const TIME_LEN: usize = "2026-01-31T08:15:30.250Z".len();
const KSUID_LEN: usize = 27;
const SECRET_LEN: usize = 43;

/// What the server made at the begin of `text`, which follows on `before`.
fn generated(before: &str, text: &str) -> Option<Generated> {
    let run = |legal: fn(u8) -> bool| text.bytes().take_while(|b| legal(*b)).count();
    if before.ends_with(r#""cursor":""#) || before.ends_with("cursor=") {
        return Some(Generated::Name(run(|b| {
            b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
        })));
    }
    if before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let time = text.as_bytes().first_chunk::<TIME_LEN>().is_some_and(|text| {
        let pattern = text.map(|b| if b.is_ascii_digit() { b'0' } else { b });
        pattern == *b"0000-00-00T00:00:00.000Z"
    });
    if time {
        return Some(Generated::Time);
    }
    let length = run(|b| b.is_ascii_alphanumeric());
    // Behind the id of an API key.
    let secret = length == SECRET_LEN && before.ends_with('_') && before.contains("granary_");
    (length == KSUID_LEN || secret).then_some(Generated::Name(length))
}

/// How many bytes the members or elements have that follow, up to the end of what holds them.
fn rest_of_members(json: &str) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, c) in json.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string && depth == 0 => return at,
            '}' | ']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "2eVocVVgjAWYJ74DifXluwVtSYs";
    const B: &str = "3GoMX7pRtR9GpxYkXo2oBBqrXKB";

    #[test]
    fn ids_may_differ_but_only_in_one_way() {
        let mut learned = Learned::default();
        assert!(learned.same(&format!("bk_{A}, {A}.x"), &format!("bk_{B}, {B}.x")));
        assert_eq!(learned.sent(&format!("/tasks/bk_{A}")), format!("/tasks/bk_{B}"));
        assert_eq!(
            learned.to_write(&format!("/tasks/bk_{B}")),
            format!("/tasks/bk_{A}")
        );
        assert!(!learned.same(A, A));
        assert!(!learned.same("3GoMXDkWcQz1u8YtRbN5vLd2EfA", B));
        assert!(!learned.same("bk_short", &format!("bk_{B}")));
    }

    #[test]
    fn keys_may_differ_as_ids_do() {
        let key =
            |id: &str, digit: &str| format!(r#"{{"id":"{id}","key":"granary_{id}_{}"}}"#, digit.repeat(43));
        let mut learned = Learned::default();
        assert!(learned.same(&key(A, "x"), &key(B, "y")));
        assert_eq!(learned.header_to_send(&key(A, "x")), key(B, "y"));
        assert!(!learned.same(&key(A, "x"), &key(B, "z")));
        assert!(!learned.same(&"x".repeat(43), &"z".repeat(43)));
    }

    #[test]
    fn times_of_the_server_may_differ_and_those_of_the_client_may_not() {
        let (one, two) = ("2026-01-31T08:15:30.250Z", "2026-11-26T10:00:00.001Z");
        let mut learned = Learned::default();
        assert!(learned.same(one, two));
        learned.sent(one);
        assert!(!learned.same(one, two));
        assert!(learned.same(one, one));
        assert!(!learned.same(two, "2026-11-26T10:00:00Z"));
    }

    #[test]
    fn all_else_is_the_same_or_a_difference() {
        let mut learned = Learned::default();
        for (written, actual, same) in [
            (r#"{"a":1}"#, r#"{"a":1}"#, true),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            (r#"{"a":1}"#, r#"{"a":1}x"#, false),
            (r#"{"a":1}x"#, r#"{"a":1}"#, false),
            (r#"{"a":1,…}"#, r#"{"a":1,"b":{"c":["}"]}}"#, true),
            (r#"{"a":1,…}"#, r#"{"a":1}"#, false),
            (r#"[{"a":1,…},2]"#, r#"[{"a":1,"b":0},3]"#, false),
            (r#"{"cursor":"abc"}"#, r#"{"cursor":"xy_z"}"#, true),
            (r#"{"other":"abc"}"#, r#"{"other":"xyz"}"#, false),
        ] {
            assert_eq!(learned.same(written, actual), same, "{written} {actual}");
        }
        assert_eq!(learned.sent("?cursor=abc"), "?cursor=xy_z");
        assert!(learned.same_tag("\"1-1\"", "\"1-7\"") && !learned.same_tag("\"1-1\"", "\"1-8\""));
        assert_eq!(learned.header_to_send("\"1-1\""), "\"1-7\"");
    }
}

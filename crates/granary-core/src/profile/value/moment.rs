//! Dates and times. Years 0001 to 9999, real days, no leap second, no `24:00:00`, zones within ±14:00.

const DATE: &str = "a date is YYYY, YYYY-MM or YYYY-MM-DD, and a real one";
const DATETIME: &str =
    "a datetime is a date, or YYYY-MM-DDThh:mm:ss with an optional fraction and a zone (Z or ±hh:mm)";
const INSTANT: &str = "an instant is YYYY-MM-DDThh:mm:ss with an optional fraction and a zone (Z or ±hh:mm)";
const TIME: &str = "a time is hh:mm:ss with an optional fraction, before 24:00:00";

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, a real date.
pub fn date(text: &str) -> Result<(), &'static str> {
    is_date(text.as_bytes()).then_some(()).ok_or(DATE)
}

/// A date, or a full date-time with a zone.
pub fn datetime(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    (is_date(bytes) || is_instant(bytes))
        .then_some(())
        .ok_or(DATETIME)
}

/// A full date-time with seconds and a zone.
pub fn instant(text: &str) -> Result<(), &'static str> {
    is_instant(text.as_bytes()).then_some(()).ok_or(INSTANT)
}

/// `hh:mm:ss` with an optional fraction.
pub fn time(text: &str) -> Result<(), &'static str> {
    let rest = after_time(text.as_bytes());
    rest.is_some_and(<[u8]>::is_empty).then_some(()).ok_or(TIME)
}

/// The number that `digits` spell, if they are all digits.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, b| match b {
        b'0'..=b'9' => Some(n * 10 + u32::from(b - b'0')),
        _ => None,
    })
}

fn in_range(digits: &[u8], range: std::ops::RangeInclusive<u32>) -> bool {
    number(digits).is_some_and(|n| range.contains(&n))
}

fn is_date(text: &[u8]) -> bool {
    match text {
        year if year.len() == 4 => in_range(year, 1..=9999),
        [year @ .., b'-', m1, m2] if year.len() == 4 => {
            in_range(year, 1..=9999) && in_range(&[*m1, *m2], 1..=12)
        }
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => {
            let (Some(year @ 1..), Some(month)) = (number(year), number(&[*m1, *m2])) else {
                return false;
            };
            let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let days = match month {
                1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
                4 | 6 | 9 | 11 => 30,
                2 if leap => 29,
                2 => 28,
                _ => return false,
            };
            in_range(&[*d1, *d2], 1..=days)
        }
        _ => false,
    }
}

/// What follows `hh:mm:ss` and its fraction.
fn after_time(text: &[u8]) -> Option<&[u8]> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else {
        return None;
    };
    let fits =
        in_range(&[*h1, *h2], 0..=23) && in_range(&[*m1, *m2], 0..=59) && in_range(&[*s1, *s2], 0..=59);
    match rest {
        _ if !fits => None,
        [b'.', fraction @ ..] => match fraction.iter().take_while(|b| b.is_ascii_digit()).count() {
            0 => None,
            n => Some(&fraction[n..]),
        },
        rest => Some(rest),
    }
}

fn is_instant(text: &[u8]) -> bool {
    let Some((day, [b'T', rest @ ..])) = text.split_at_checked(10) else {
        return false;
    };
    is_date(day)
        && match after_time(rest) {
            Some([b'Z']) => true,
            Some([b'+' | b'-', h1, h2, b':', m1, m2]) => match number(&[*h1, *h2]) {
                Some(0..14) => in_range(&[*m1, *m2], 0..=59),
                Some(14) => [*m1, *m2] == *b"00",
                _ => false,
            },
            _ => false,
        }
}

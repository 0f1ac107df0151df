//! Values of simple types: the first line and the rest are two texts. Each is judged as `time`, `url`, `base64` and a few
//! lines judge it, and two of a kind are compared as these compare them.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use granary_core::profile::value::{
    Decimal, Span, base64, blank, code, date, datetime, instant, integer, start_not_after_end, time, uri, url,
};

use crate::peer::{self, Number};
use crate::two_parts;

/// True where it is a number of JSON.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && crate::tree::is_json(text.as_bytes())
}

/// The nanoseconds after 1970 of a full date-time with at most nine digits of a fraction.
fn nanos(text: &str) -> Option<i128> {
    let moment = ::time::OffsetDateTime::parse(text, &::time::format_description::well_known::Rfc3339);
    let digits = text.find('.').map_or(0, |at| {
        text[at + 1..].bytes().take_while(u8::is_ascii_digit).count()
    });
    (digits <= 9)
        .then(|| moment.ok())
        .flatten()
        .map(|moment| moment.unix_timestamp_nanos())
}

fn alone(text: &str) {
    assert_eq!(date(text).is_ok(), peer::is_date(text), "a date: {text:?}");
    assert_eq!(
        instant(text).is_ok(),
        peer::is_instant(text),
        "an instant: {text:?}"
    );
    assert_eq!(
        datetime(text).is_ok(),
        peer::is_date(text) || peer::is_instant(text),
        "a datetime: {text:?}"
    );
    assert_eq!(
        time(text).is_ok(),
        peer::is_instant(&format!("2000-01-01T{text}Z")),
        "a time: {text:?}"
    );
    assert_eq!(code(text).is_ok(), peer::is_code(text), "a code: {text:?}");
    assert!(text.chars().all(|c| blank(c) == peer::is_space(c)));
    assert_eq!(
        uri(text).is_ok(),
        !text.is_empty() && !text.contains(peer::is_space)
    );
    let visible = !text.contains(|c: char| peer::is_space(c) || c.is_control());
    assert_eq!(
        url(text).is_ok(),
        visible && ::url::Url::parse(text).is_ok(),
        "a url: {text:?}"
    );
    let padded = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let peers = GeneralPurpose::new(&STANDARD, padded).decode(text);
    assert_eq!(base64(text).is_ok(), peers.is_ok(), "base64: {text:?}");
    if is_number(text) {
        assert_eq!(integer(text).ok(), text.parse().ok());
        assert_eq!(
            Decimal::parse(text).is_ok(),
            Number::of(text).fits(),
            "a decimal: {text:?}"
        );
    }
    let spans = [
        datetime(text).ok().and_then(|()| Span::of_date(text)),
        time(text).ok().and_then(|()| Span::of_time(text)),
    ];
    for span in spans.into_iter().flatten() {
        assert!(span.equals(&span) && !span.after(&span));
    }
}

pub fn run(input: &[u8]) {
    let (one, other) = two_parts(input);
    let (Ok(one), Ok(other)) = (std::str::from_utf8(one), std::str::from_utf8(other)) else {
        return;
    };
    alone(one);
    alone(other);
    if is_number(one)
        && is_number(other)
        && let (Ok(a), Ok(b)) = (Decimal::parse(one), Decimal::parse(other))
    {
        assert_eq!(
            a.compare(&b),
            Number::of(one).compare(&Number::of(other)),
            "{one} and {other}"
        );
        assert_eq!(a.compare(&b), b.compare(&a).reverse());
    }
    if datetime(one).is_ok() && datetime(other).is_ok() {
        let (a, b) = (
            Span::of_date(one).expect("a date"),
            Span::of_date(other).expect("a date"),
        );
        assert!(!(a.after(&b) && b.after(&a)));
        assert!(!a.equals(&b) || (b.equals(&a) && !a.after(&b) && !b.after(&a)));
        assert_eq!(start_not_after_end(one, other).is_err(), a.after(&b));
        if let (true, true, Some(first), Some(second)) = (
            instant(one).is_ok(),
            instant(other).is_ok(),
            nanos(one),
            nanos(other),
        ) {
            let order = first.cmp(&second);
            assert_eq!(
                (a.after(&b), b.after(&a)),
                (order == Ordering::Greater, order == Ordering::Less),
                "{one} and {other}"
            );
            assert_eq!(a.equals(&b), order == Ordering::Equal);
        }
    }
}

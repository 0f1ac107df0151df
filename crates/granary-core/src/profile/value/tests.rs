use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn table(check: fn(&str) -> Result<(), &'static str>, good: &[&str], bad: &[&str]) {
    assert!(good.len() >= 10 && bad.len() >= 10);
    for text in good {
        assert_eq!(check(text), Ok(()), "{text:?}");
    }
    for text in bad {
        assert!(check(text).is_err(), "{text:?}");
    }
}

#[test]
fn codes() {
    table(
        code,
        &[
            "a",
            "a b",
            "a b c",
            "é",
            "a\tb",
            "\u{85}",
            "a\u{a0}b",
            "-",
            "0",
            "😀 x",
            "a\u{200b}b",
        ],
        &[
            "",
            " ",
            "a ",
            " a",
            "a  b",
            "\u{feff}a",
            "a\n",
            "a \tb",
            "\t",
            "a\u{a0}\u{2003}b",
            "a\u{3000}",
        ],
    );
}

#[test]
fn base64_of_bytes() {
    table(
        base64,
        &[
            "",
            "QQ==",
            "QUI=",
            "QUJD",
            "QUJDRA==",
            "////",
            "++++",
            "AAAA",
            "ab==",
            "YWJjZGVmZ2g=",
        ],
        &[
            "Q", "QQ", "QQ=", "QUJ", "=", "====", "Q===", "QQ==\n", "Q Q=", "QU-_", "QQ==QQ==", "é===",
        ],
    );
}

#[test]
fn a_period_may_be_right_or_is_wrong() {
    let right = [
        ("2024", "2024"),
        ("2024", "2024-01-01"),
        ("2024-12-31", "2024"),
        ("2024-02-29", "2024-02"),
        ("2024-05-05", "2024-05-05"),
        ("2024-05-05T10:00:00Z", "2024-05-05T12:00:00+02:00"),
        ("2024-05-05T10:00:00.10Z", "2024-05-05T10:00:00.1Z"),
        // The day of the other end's zone.
        ("2024-03-01T23:30:00-05:00", "2024-03-01"),
        ("2024-03-01", "2024-03-01T00:00:00+14:00"),
        ("2024-12-31T23:59:59.999999999Z", "2024"),
        ("0001", "9999"),
        ("1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"),
    ];
    for (start, end) in right {
        assert_eq!(start_not_after_end(start, end), Ok(()), "{start} {end}");
    }
    let wrong = [
        ("2025", "2024"),
        ("2024-03", "2024-02-29"),
        ("2024-02-29", "2024-02-28"),
        ("2024-05-05T10:00:01Z", "2024-05-05T12:00:00+02:00"),
        ("2024-05-05T10:00:00.11Z", "2024-05-05T10:00:00.1Z"),
        ("2024-05-05T10:00:00.1Z", "2024-05-05T10:00:00.09Z"),
        ("2024-03-02T00:00:00-05:00", "2024-03-01"),
        ("2024-03-02", "2024-03-01T23:59:59-14:00"),
        ("2025-01-01T00:00:00Z", "2024"),
        ("9999-12-31", "0001-01-01"),
        ("2000-03-01", "2000-02-29"),
    ];
    for (start, end) in wrong {
        assert!(start_not_after_end(start, end).is_err(), "{start} {end}");
    }
}

#[test]
fn days_follow_each_other() {
    let mut dates = vec!["1899-12-31".to_owned()];
    for year in [1900, 2000, 2023, 2024] {
        for month in 1..=12 {
            let days = (1..=31).map(|day| format!("{year:04}-{month:02}-{day:02}"));
            dates.extend(days.filter(|text| date(text).is_ok()));
        }
    }
    assert_eq!(dates.len(), 1 + 365 + 366 + 365 + 366);
    for pair in dates.windows(2) {
        let spans = (Span::of_date(&pair[0]).unwrap(), Span::of_date(&pair[1]).unwrap());
        assert!(spans.1.after(&spans.0) && !spans.0.after(&spans.1), "{pair:?}");
    }
    let moment = |text| Span::of_date(text).unwrap();
    assert!(moment("2024-05-05T10:00:00Z").equals(&moment("2024-05-05T12:00:00.000+02:00")));
    assert!(!moment("2024-05-05T10:00:00Z").equals(&moment("2024-05-05T10:00:00.5Z")));
    assert!(moment("2024-05").equals(&moment("2024-05")));
    assert!(!moment("2024-05").equals(&moment("2024")));
    assert!(!moment("2024-05-05").equals(&moment("2024-05-05T00:00:00Z")));
    let clock = |text| Span::of_time(text).unwrap();
    assert!(clock("10:00:00.50").equals(&clock("10:00:00.5")));
    assert!(clock("10:00:01").after(&clock("10:00:00.999")));
}

#[test]
fn uris() {
    table(
        uri,
        &[
            "a",
            "urn:oid:1.2",
            "http://a/b",
            "#x",
            "é",
            "a%20b",
            "::",
            "/",
            "mailto:a@b",
            "\u{85}",
            "\u{200b}",
        ],
        &[
            "",
            " ",
            "a b",
            "a\n",
            "\ta",
            "a\u{a0}b",
            "\u{feff}",
            "a\u{2028}",
            "\r",
            "\u{c}x",
            "a\u{3000}b",
        ],
    );
}

#[test]
fn urls() {
    table(
        url,
        &[
            "http://a",
            "https://example.org/a?b=c#d",
            "mailto:a@b.org",
            "urn:oid:1.2.3",
            "HTTP://EXAMPLE.ORG",
            "http://127.0.0.1:8080/",
            "http://[::1]/",
            "ftp://x/y",
            "http://bücher.example/é",
            "data:,x",
            "file:///etc/hosts",
            "http://a.b-c.d/\"<>",
        ],
        &[
            "",
            "a",
            "/a",
            "//a/b",
            "example.org",
            "http://",
            "http://a b/",
            " http://a",
            "http://a\n",
            "http://1.2.3.4.5/",
            "http://a:99999/",
            "http://[::1/",
            "http://a/b c",
            ":a",
            "1a:b",
            "http://a\u{0}/",
        ],
    );
}

proptest! {
    #[test]
    fn a_url_beyond_doubt_is_one(text in "https?://[a-z0-9.-]{1,12}([/?#][!-~]{0,12})?") {
        // Whatever the short way accepts, the long way accepts too.
        prop_assert!(url(&text).is_err() || url::Url::parse(&text).is_ok(), "{}", text);
    }
}

#[test]
fn integers() {
    let good = [
        ("0", 0),
        ("-0", 0),
        ("1", 1),
        ("-1", -1),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("10", 10),
        ("123456789", 123_456_789),
        ("-99", -99),
        ("1000000000000000000", 1_000_000_000_000_000_000),
    ];
    for (raw, value) in good {
        assert_eq!(integer(raw), Ok(value));
    }
    let bad = [
        "1.0",
        "1e0",
        "1E2",
        "-1.5",
        "9223372036854775808",
        "-9223372036854775809",
        "0.0",
        "1e400",
        "99999999999999999999999",
        "-0.0",
    ];
    for raw in bad {
        assert!(integer(raw).is_err(), "{raw}");
    }
}

#[test]
fn decimals() {
    let nines = "9".repeat(64);
    let good = [
        "0",
        "-0",
        "1.10",
        "1e308",
        "1E-308",
        "0.1",
        "-1.5e+3",
        "1e0000000000000308",
        "1e-0",
        &nines,
    ];
    for raw in good {
        assert!(Decimal::parse(raw).is_ok(), "{raw}");
    }
    let (long, long_fraction) = ("9".repeat(65), format!("0.{}", "1".repeat(64)));
    let bad = [
        "1e309",
        "1e-309",
        "1E+309",
        "1e99999999999999999999999999",
        "1e-99999999999999999999999999",
        &long,
        &long_fraction,
        &format!("-{long}"),
        &format!("{long}e1"),
        "0e309",
    ];
    for raw in bad {
        assert!(Decimal::parse(raw).is_err(), "{raw}");
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    Decimal::parse(a).unwrap().compare(&Decimal::parse(b).unwrap())
}

#[test]
fn decimals_are_compared_by_value() {
    for (a, b) in [
        ("1.10", "1.1"),
        ("11e-1", "1.1"),
        ("0", "-0.000e5"),
        ("100", "1e2"),
        ("0.001", "1E-3"),
        ("-12.50", "-0.125e2"),
        ("1e308", "10e307"),
    ] {
        assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
    }
    for (less, more) in [
        (
            "0.1",
            "0.10000000000000000000000000000000000000000000000000000000000001",
        ),
        ("9007199254740992", "9007199254740993"),
        ("-2", "-1"),
        ("-1", "0"),
        ("0", "1e-308"),
        ("-1e-308", "0"),
        ("9", "10"),
        ("9.99", "1e1"),
        ("-1e308", "1e-308"),
        ("1e307", "1e308"),
    ] {
        assert_eq!(compare(less, more), Ordering::Less, "{less} {more}");
        assert_eq!(compare(more, less), Ordering::Greater, "{less} {more}");
    }
}

proptest! {
    #[test]
    fn decimals_compare_as_integers_of_the_same_scale(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, shift in 0..20_i32, zeros in 0..5_usize) {
        let zeros_after = "0".repeat(zeros);
        let left = format!("{a}.{zeros_after}0e{shift}");
        let right = format!("{b}e{shift}");
        prop_assert_eq!(compare(&left, &right), a.cmp(&b));
        let right = format!("{b}{zeros_after}e{}", shift - zeros as i32);
        prop_assert_eq!(compare(&left, &right), a.cmp(&b));
    }

    #[test]
    fn moments_agree_with_the_time_crate(y in 0..10_000_u32, mo in 0..14_u32, d in 0..33_u32, h in 0..26_u32, mi in 0..62_u32, s in 0..60_u32, zone in prop_oneof![Just("Z"), Just("+02:00"), Just("-13:59")]) {
        let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.25{zone}");
        let known = y > 0 && ::time::OffsetDateTime::parse(&text, &::time::format_description::well_known::Rfc3339).is_ok();
        prop_assert_eq!(instant(&text).is_ok(), known, "{}", text);
        let day = ::time::Month::try_from(mo as u8).ok().and_then(|m| ::time::Date::from_calendar_date(y as i32, m, d as u8).ok());
        prop_assert_eq!(date(&text[..10]).is_ok(), y > 0 && day.is_some());
    }
}

#[test]
fn dates() {
    table(
        date,
        &[
            "0001",
            "9999",
            "2024-02",
            "2024-02-29",
            "2000-02-29",
            "2023-12-31",
            "0001-01-01",
            "9999-12-31",
            "1900-02-28",
            "2024-11-30",
        ],
        &[
            "",
            "0000",
            "24",
            "02024",
            "2024-13",
            "2024-00",
            "2023-02-29",
            "1900-02-29",
            "2024-04-31",
            "2024-1-01",
            "2024-01-1",
            "2024-01-00",
            "2024/01/01",
            "2024-01-01T00:00:00Z",
            "-2024",
            "２０２４",
            "2024-",
            " 2024",
        ],
    );
}

#[test]
fn instants_and_datetimes() {
    let good = [
        "2024-02-29T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.999999999999Z",
        "2024-01-01T12:30:00-14:00",
        "2024-01-01T12:30:00+05:45",
        "2024-01-01T12:30:00-00:00",
        "2024-01-01T12:30:00.1+00:00",
        "2024-01-01T12:30:00.0Z",
        "2024-01-01T12:30:00+13:59",
        "2016-12-31T23:59:59Z",
    ];
    let bad = [
        "2016-12-31T23:59:60Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T12:60:00Z",
        "2024-01-01T12:30Z",
        "2024-01-01T12:30:00",
        "2024-01-01T12:30:00.Z",
        "2024-01-01T12:30:00+14:01",
        "2024-01-01T12:30:00+15:00",
        "2024-01-01T12:30:00+0200",
        "2024-01-01T12:30:00+02",
        "2024-01-01t12:30:00Z",
        "2024-01-01T12:30:00z",
        "2024-01-01 12:30:00Z",
        "2023-02-29T12:30:00Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T12:30:00Z ",
        "2024-01-01T12:30:00+02:60",
        "2024-01T12:30:00Z",
        "2024-01-0éT12:30:00Z",
    ];
    table(instant, &good, &bad);
    table(datetime, &good, &bad);
    for partial in ["2024", "2024-02", "2024-02-29"] {
        assert!(datetime(partial).is_ok());
        assert!(instant(partial).is_err());
    }
}

#[test]
fn times() {
    table(
        time,
        &[
            "00:00:00",
            "23:59:59",
            "12:30:00.5",
            "12:30:00.000",
            "09:00:00",
            "00:00:00.0",
            "23:59:59.999999999999",
            "01:02:03",
            "10:20:30",
            "19:19:19.1",
        ],
        &[
            "",
            "24:00:00",
            "23:60:00",
            "23:59:60",
            "12:30",
            "12:30:00.",
            "12:30:00Z",
            "12:30:00+01:00",
            "1:30:00",
            "12-30-00",
            "12:30:00.5x",
            "12:30:0é",
        ],
    );
}

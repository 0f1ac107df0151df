use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Skips the whole input, copying it.
fn compact(bytes: &[u8], depth_max: usize) -> Result<Vec<u8>, Halt> {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(bytes, depth_max, &mut out);
    scanner.start_copy();
    scanner.skip()?;
    scanner.stop_copy();
    scanner.finish()?;
    Ok(out)
}

/// Reads the name of the next member, of which so many came before.
type Read<'r> = dyn Fn(&mut Scanner<'_, '_>, usize) -> Result<Option<String>, Halt> + 'r;

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[ -~]{0,20}", "\\PC{0,20}", "(\\\\|\"|\u{1}|\n|é|😀|/){0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The value as text with white space between tokens, the amount drawn from `seed`.
fn spaced(value: &Value, mut seed: u64) -> String {
    let compact = value.to_string();
    let (mut text, mut in_string, mut escaped) = (String::new(), false, false);
    let mut space = |text: &mut String| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(["", "", " ", "\n", "\t\r", "  \n   "][(seed >> 33) as usize % 6]);
    };
    for c in compact.chars() {
        if !in_string && "{}[],:\"".contains(c) {
            space(&mut text);
        }
        text.push(c);
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        if !in_string && "{}[],:\"".contains(c) {
            space(&mut text);
        }
    }
    text
}

/// Lone surrogates are well formed here and an error in serde_json, so they are left out of comparisons.
fn names_a_surrogate(bytes: &[u8]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    lower.windows(3).any(|w| w == b"\\ud")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn compaction_keeps_the_meaning_and_is_idempotent(value in any_value(), seed: u64) {
        let once = compact(spaced(&value, seed).as_bytes(), 64).unwrap();
        let (was, is) = (value.to_string(), String::from_utf8(once.clone()).unwrap());
        prop_assert_eq!(was, is);
        prop_assert_eq!(compact(&once, 64).unwrap(), once);
    }

    #[test]
    fn an_expected_member_is_found_as_any_is(
        names in prop::collection::vec("[ab]{0,2}", 0..5),
        expected in prop::collection::vec("[ab]{0,2}", 5..6),
        cut: u16,
    ) {
        let members: Vec<String> = names.iter().map(|name| format!("{name:?}:[]")).collect();
        for (text, cut) in [(format!("{{{}}}", members.join(",")), None), (format!("{{{}", members.join(",")), Some(cut))] {
            for spaces in ["", " "] {
                let mut text = text.replace(',', &format!("{spaces},{spaces}")).replace(':', &format!("{spaces}:"));
                if let Some(cut) = cut {
                    text.truncate(1 + cut as usize % text.len());
                }
                let walk = |read: &Read<'_>| {
                    let mut out = Vec::new();
                    let mut scanner = Scanner::new(text.as_bytes(), 4, &mut out);
                    scanner.open()?;
                    let mut found = Vec::new();
                    while let Some(name) = read(&mut scanner, found.len())? {
                        found.push(name);
                        scanner.skip()?;
                    }
                    scanner.finish()?;
                    Ok::<_, Halt>(found)
                };
                let plain = walk(&|scanner, at| Ok(scanner.member(at == 0)?.map(|name| name.decode().into_owned())));
                let guessed = walk(&|scanner, at| {
                    let guess = expected.get(at).map_or(String::new(), |name| format!(",\"{name}\":"));
                    Ok(match scanner.member_or(at == 0, &guess)? {
                        Member::Expected => expected.get(at).cloned(),
                        Member::Other(name) => Some(name.decode().into_owned()),
                        Member::End => None,
                    })
                });
                prop_assert_eq!(plain, guessed);
            }
        }
    }

    #[test]
    fn what_serde_json_takes_is_taken(value in any_value(), seed: u64, cuts in prop::collection::vec((any::<u16>(), any::<u8>(), 0..3u8), 1..4)) {
        let mut bytes = spaced(&value, seed).into_bytes();
        for (place, byte, how) in cuts {
            let place = place as usize % (bytes.len() + 1);
            let byte = if byte < 128 { b"{}[]:,\"\\0-.eE \x01truefalsn\xc3\xff"[byte as usize % 26] } else { byte };
            match how {
                0 => bytes.insert(place, byte),
                1 if place < bytes.len() => { bytes.remove(place); }
                _ if place < bytes.len() => bytes[place] = byte,
                _ => {}
            }
        }
        let ours = compact(&bytes, 1_000);
        if names_a_surrogate(&bytes) {
            return Ok(());
        }
        match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
            Ok(_) if std::str::from_utf8(&bytes).is_ok() => prop_assert!(ours.is_ok(), "{:?}", ours),
            _ => {
                let Err(Halt::Syntax { offset, .. }) = ours else { panic!("{ours:?}") };
                prop_assert!(offset <= bytes.len());
            }
        }
    }

    #[test]
    fn strings_decode_as_serde_json_does(value in any_value(), text in "(\\PC|[\"\\\\\u{0}-\u{1f}]){0,30}", ascii: bool) {
        let _ = value;
        let mut written = serde_json::to_string(&text).unwrap();
        if ascii {
            written = written.chars().flat_map(|c| -> Vec<char> {
                if c.is_ascii() { return vec![c] }
                c.encode_utf16(&mut [0; 2]).iter().flat_map(|u| format!("\\u{u:04X}").chars().collect::<Vec<_>>()).collect()
            }).collect();
        }
        let mut out = Vec::new();
        let mut scanner = Scanner::new(written.as_bytes(), 1, &mut out);
        let read = scanner.string().unwrap();
        prop_assert!(!read.lone_surrogate());
        prop_assert_eq!(read.decode(), text.as_str());
        prop_assert_eq!(read.plain().is_some(), !written.contains('\\'));
        let mut pushed = Vec::new();
        push_string(&mut pushed, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&pushed).unwrap(), text);
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = compact(&bytes, 4);
    }
}

#[test]
fn syntax_errors_tell_the_byte() {
    let cases: &[(&[u8], usize)] = &[
        (b"", 0),
        (b"  ", 2),
        (b"{", 1),
        (b"{\"a\"", 4),
        (b"{\"a\":1,}", 7),
        (b"{,}", 1),
        (b"{\"a\" 1}", 5),
        (b"[1,]", 3),
        (b"[1 2]", 3),
        (b"[1}", 2),
        (b"01", 1),
        (b"-", 1),
        (b"1.", 2),
        (b"1.e5", 2),
        (b"1e+", 3),
        (b"+1", 0),
        (b".5", 0),
        (b"nul", 3),
        (b"nulL", 3),
        (b"True", 0),
        (b"truex", 4),
        (b"\"a", 2),
        (b"\"a\nb\"", 2),
        (b"\"\\x\"", 1),
        (b"\"\\", 2),
        (b"\"\\u12g4\"", 5),
        (b"\"\\ud800\\u12\"", 11),
        (b"1 1", 2),
        (b"'a'", 0),
        (b"[1]//", 3),
        (b"\xef\xbb\xbf1", 0),
        (b"\"\xff\"", 1),
        (b"[1,\xc3\x28]", 3),
        (b"1\xff", 1),
        // The first of two errors is told.
        (b"[1,,\xff", 3),
        (b"\x0b1", 0),
    ];
    for (bytes, expected) in cases {
        let error = compact(bytes, 8).unwrap_err();
        let Halt::Syntax { offset, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(offset, *expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn depth_is_bounded_and_counts_from_one() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(compact(nested(64).as_bytes(), 64).is_ok());
    assert_eq!(compact(nested(65).as_bytes(), 64), Err(Halt::TooDeep));
    assert!(compact(b"1", 0).is_ok());
    let mut out = Vec::new();
    for deep in [63, 64, 65, 127, 128, 129, 300, 1_000_000] {
        let mixed = "[{\"a\":".repeat(deep) + "1" + &"}]".repeat(deep);
        assert_eq!(Scanner::new(mixed.as_bytes(), 3, &mut out).check_syntax(), Ok(()));
        let wrong = "[{\"a\":".repeat(deep) + "1" + &"}]".repeat(deep - 1) + "]]";
        assert!(
            Scanner::new(wrong.as_bytes(), 3, &mut out)
                .check_syntax()
                .is_err()
        );
    }
}

#[test]
fn lone_surrogates_are_well_formed_and_told() {
    let cases = [
        (r#""\ud800""#, true),
        (r#""\udc00""#, true),
        (r#""\ud800\ud800""#, true),
        (r#""\ud800\ud800\udc00""#, true),
        (r#""\ud800x""#, true),
        (r#""\ud800\n""#, true),
        (r#""\uD83D\uDE00""#, false),
        (r#""\uD83D\uDE00\udc00""#, true),
        (r#""\u0000\uffff""#, false),
    ];
    for (raw, lone) in cases {
        let mut out = Vec::new();
        let text = Scanner::new(raw.as_bytes(), 1, &mut out).string().unwrap();
        assert_eq!(text.lone_surrogate(), lone, "{raw}");
        if lone {
            assert!(text.decode().contains('\u{fffd}'), "{raw}");
        }
    }
}

#[test]
fn copying_starts_and_stops_where_asked() {
    let mut out = b">".to_vec();
    let mut scanner = Scanner::new(br#" { "a" : [ 1 , 2 ] , "b" : { "c" : "x y" } } "#, 8, &mut out);
    assert_eq!(scanner.peek(), Ok(Kind::Object));
    scanner.open().unwrap();
    assert_eq!(scanner.member(true).unwrap().unwrap().plain(), Some("a"));
    scanner.skip().unwrap();
    assert_eq!(scanner.member(false).unwrap().unwrap().plain(), Some("b"));
    let place = scanner.place();
    scanner.skip().unwrap();
    scanner.go_back(place);
    scanner.start_copy();
    scanner.skip().unwrap();
    scanner.flush().extend_from_slice(b"<");
    scanner.stop_copy();
    assert_eq!(scanner.member(false).unwrap(), None);
    scanner.finish().unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), ">{\"c\":\"x y\"}<");
}

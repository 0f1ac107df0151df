use proptest::prelude::*;

use super::*;

fn found(pattern: &str, text: &str) -> bool {
    Pattern::parse(pattern)
        .unwrap_or_else(|e| panic!("{pattern}: {e}"))
        .found_in(text)
}

#[test]
fn patterns_mean_what_they_mean_in_ecmascript() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (r"b", &["abc"], &["ac"]),
        (r"^\d{3}$", &["123"], &["1234", "12", "١٢٣", "123\n"]),
        (r"^\D$", &["a", "١"], &["1"]),
        (r"^\w+$", &["aZ_9"], &["é", "a-b"]),
        (r"^\W$", &["é", "-"], &["a", "_"]),
        (r"\bcat\b", &["a cat!", "écat"], &["cats"]),
        (r"\Bcat", &["xcat"], &["cat", "écat"]),
        (
            r"^.$",
            &["a", "😀", "\u{85}"],
            &["\n", "\r", "\u{2028}", "\u{2029}", "", "ab"],
        ),
        (
            r"^\s$",
            &[" ", "\u{a0}", "\u{feff}", "\u{b}", "\u{2029}"],
            &["\u{85}", "a", "\u{200b}"],
        ),
        (r"^\S$", &["\u{85}", "a"], &[" ", "\u{feff}"]),
        (r"a\/b", &["a/b"], &["a\\/b"]),
        (r"^\cJ$", &["\n"], &["J"]),
        (r"^\x41\u0042\u{43}$", &["ABC"], &["abc"]),
        (r"^\uD83D\uDE00$", &["😀"], &["x"]),
        (r"^[^]$", &["\n", "a"], &[""]),
        (r"a[]", &[], &["a", "", "a[]"]),
        (r"^[[]$", &["["], &["]", "[["]),
        (r"^[a&&b]+$", &["a&b"], &["-"]),
        (r"^[a--b]$", &[], &[]),
        (r"^[~~]$", &["~"], &["-"]),
        (r"^[\w-]+$", &["a-b_c"], &["a b"]),
        (r"^[a-]+$", &["a-"], &["b"]),
        (r"^[-a]+$", &["a-"], &["b"]),
        (r"^[\d-x]+$", &["1-x"], &["w"]),
        (r"^[x-\d]+$", &["1-x"], &["w"]),
        (r"^[^\d\s]$", &["a"], &["1", " "]),
        (r"^[\D]$", &["a"], &["1"]),
        (r"^[\b]$", &["\u{8}"], &["b"]),
        (r"^[.$^*]+$", &[".$^*"], &["a"]),
        (r"^[\]\\]+$", &["]\\"], &["a"]),
        (r"^[\cA-\cC]$", &["\u{2}"], &["A"]),
        (r"(?<year>\d{4})-(?<month>\d\d)", &["2024-01"], &["24-1"]),
        (r"(?:ab)+?c", &["ababc"], &["abab"]),
        (r"a{2}", &["aa"], &["a"]),
        (r"^a{2,}$", &["aaa"], &["a"]),
        (r"^a{1,2}?$", &["aa"], &["aaa"]),
        (r"^a{$", &["a{"], &["a"]),
        (r"^{.*}$", &["{x}"], &["x"]),
        (r"^x{,5}$", &["x{,5}"], &["xx"]),
        (r"^a]$", &["a]"], &["a"]),
        (r"^(|a|)$", &["", "a"], &["b"]),
        (r"", &["", "x"], &[]),
        (r"^a b#c$", &["a b#c"], &["abc"]),
        (r"^\0$", &["\0"], &["0"]),
        (r"^\p{Lu}\P{Lu}$", &["Éa"], &["éa"]),
        (r"^[\p{Script=Greek}]$", &["α"], &["a"]),
        (r"^\.\*\+\?\(\)\[\]\{\}\|\^\$\\$", &[".*+?()[]{}|^$\\"], &[""]),
        (r"^\-\_\#$", &["-_#"], &[]),
        ("^\u{2028}$", &["\u{2028}"], &["x"]),
        (r"a$|b", &["xa", "bx"], &["ax"]),
    ];
    for (pattern, good, bad) in cases {
        if *pattern == "^[a--b]$" {
            // A range from 'a' to '-' is backwards.
            assert!(Pattern::parse(pattern).is_err());
            continue;
        }
        for text in *good {
            assert!(found(pattern, text), "{pattern} in {text:?}");
        }
        for text in *bad {
            assert!(!found(pattern, text), "{pattern} in {text:?}");
        }
    }
}

#[test]
fn what_is_refused_says_why_and_where() {
    let cases = [
        ("a(?=b)", "look-ahead", 4),
        ("a(?!b)", "look-ahead", 4),
        ("(?<=a)b", "look-behind", 3),
        ("(?<!a)b", "look-behind", 3),
        (r"(a)\1", "back-references", 5),
        (r"(?<x>a)\k<x>", "back-references", 9),
        ("(a", "not closed", 1),
        ("a)", "closes no group", 2),
        ("[a", "not closed", 1),
        ("[a\\", "not closed", 1),
        ("*a", "nothing to repeat", 1),
        ("a**", "nothing to repeat", 3),
        ("a++", "nothing to repeat", 3),
        ("a|*", "nothing to repeat", 3),
        ("(*)", "nothing to repeat", 2),
        ("^*", "cannot be repeated", 2),
        (r"\b+", "cannot be repeated", 3),
        ("a{2,1}", "wrong order", 6),
        ("a{99999999999}", "too large", 14),
        ("[z-a]", "wrong order", 4),
        (r"\q", "not known", 2),
        (r"\x4", "hexadecimal", 4),
        (r"\u12", "hexadecimal", 5),
        (r"\ud800", "surrogate", 6),
        (r"\u{110000}", "not a character", 10),
        (r"\c1", "letter", 3),
        (r"\01", "octal", 2),
        ("a\\", "escapes nothing", 3),
        (r"\p{Nope}", "not supported", 8),
        (r"\pL", "not supported", 2),
        ("(?i:a)", "modifiers", 3),
        ("(?P<n>a)", "not known", 3),
        ("(?<n>a)(?<n>b)", "two groups", 12),
        ("(?<>a)", "named", 4),
        ("((a{100}){100}){100}", "too large", 1),
        ("(?#x)", "not known", 3),
    ];
    for (pattern, words, at) in cases {
        let error = Pattern::parse(pattern).expect_err(pattern);
        assert!(error.message.contains(words), "{pattern}: {error}");
        assert_eq!(error.at, at, "{pattern}: {error}");
    }
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let deep = "(".repeat(100_000) + &")".repeat(100_000);
    assert!(Pattern::parse(&deep).is_err());
}

proptest! {
    #[test]
    fn any_pattern_is_judged_without_panic(pattern in r"[\[\]\\(){}^$.|?*+\-&~#,:<=!a-zA-Z0-9\u{80}\u{2028}]{0,20}", text in "\\PC{0,10}") {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            pattern.found_in(&text);
        }
    }

    #[test]
    fn a_text_whose_marks_are_escaped_is_found_in_itself(text in "\\PC{1,12}") {
        let mut pattern = String::from("^");
        for c in text.chars() {
            if c.is_ascii_punctuation() { pattern.push('\\'); }
            pattern.push(c);
        }
        pattern.push('$');
        prop_assert!(found(&pattern, &text), "{}", pattern);
    }
}

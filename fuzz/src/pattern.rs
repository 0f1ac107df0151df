//! Patterns: the first line is a pattern, the rest a text. Any pattern is refused, or searched in time and space that are
//! bounded; where ECMAScript and the `regex` crate spell alike, it is found where that crate finds it.

use std::time::{Duration, Instant};

use granary_core::profile::pattern::Pattern;
use regex::RegexBuilder;

use crate::two_parts;

/// The largest that a compiled pattern may be.
const COMPILED_BYTES_MAX: usize = 1 << 22;
/// Far more than the largest pattern takes for the longest text here, on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(5);

/// True where both spell alike: no escapes, no class in a class, no braces, no kinds of groups.
fn plain(pattern: &str) -> bool {
    let mut in_class = false;
    let mut before = ' ';
    for c in pattern.chars() {
        match (c, in_class) {
            ('[', true) | ('\\' | '{' | '}', _) => return false,
            ('[', false) => in_class = true,
            // An empty class, or one with a bracket.
            (']', true) if matches!(before, '[' | '^') => return false,
            (']', true) => in_class = false,
            (']', false) => return false,
            // Two of these in a class are operators of the crate, and at its edges they are themselves for both.
            ('&' | '-' | '~', true) => return false,
            ('?', false) if before == '(' => return false,
            _ if !c.is_ascii_graphic() => return false,
            _ => {}
        }
        before = c;
    }
    true
}

pub fn run(input: &[u8]) {
    let (pattern, text) = two_parts(input);
    let (Ok(source), Ok(text)) = (std::str::from_utf8(pattern), std::str::from_utf8(text)) else {
        return;
    };
    let started = Instant::now();
    let parsed = Pattern::parse(source);
    let taken = parsed
        .as_ref()
        .map(|pattern| (pattern.found_in(text), pattern.compiled_bytes_max()));
    let long = text.repeat(20);
    if let Ok(pattern) = &parsed {
        pattern.found_in(&long);
        assert_eq!(pattern.source(), source);
    }
    assert!(started.elapsed() < LONGEST, "it takes {:?}", started.elapsed());
    match &parsed {
        Ok(pattern) => assert!(pattern.compiled_bytes_max() <= COMPILED_BYTES_MAX),
        Err(bad) => {
            assert!(!bad.message.is_empty());
            assert!(
                (1..=source.chars().count().max(1) + 1).contains(&bad.at),
                "{bad} of {source:?}"
            );
        }
    }
    let line_breaks = text.contains(['\n', '\r', '\u{2028}', '\u{2029}']);
    if !plain(source) || line_breaks {
        return;
    }
    let peer = RegexBuilder::new(source).size_limit(COMPILED_BYTES_MAX).build();
    match (taken, peer) {
        (Ok((found, _)), Ok(peer)) => assert_eq!(found, peer.is_match(text), "{source} in {text:?}"),
        (Ok(_), Err(error)) => panic!("{source} is taken, and is none for the crate: {error}"),
        // What ECMAScript does not take, the crate may: an assertion that is repeated, `a**`.
        (Err(_), _) => {}
    }
}

//! Texts with a form: `code`, `uri`, `url`, base64.

use url::Url;

/// White space as ECMAScript has it, which is what `\s` means in the contract and in patterns.
pub fn blank(c: char) -> bool {
    match c {
        '\u{feff}' => true,
        '\u{85}' => false,
        c => c.is_whitespace(),
    }
}

/// At least one character, no blank at the ends, single blanks inside.
pub fn code(text: &str) -> Result<(), &'static str> {
    // Most are one visible word, or several.
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    code_of_any(text)
}

fn code_of_any(text: &str) -> Result<(), &'static str> {
    let mut after_blank = true;
    for c in text.chars() {
        let is_blank = blank(c);
        if is_blank && after_blank {
            return Err(match text.starts_with(c) {
                true => "a code does not start with a blank",
                false => "a code has single blanks only",
            });
        }
        after_blank = is_blank;
    }
    match (text.is_empty(), after_blank) {
        (true, _) => Err("a code has at least one character"),
        (false, true) => Err("a code does not end with a blank"),
        (false, false) => Ok(()),
    }
}

#[cfg(test)]
proptest::proptest! {
    #[test]
    fn a_code_is_one_however_it_is_looked_at(text in "[a !~\u{7f}\u{a0}é\t]{0,6}") {
        proptest::prop_assert_eq!(code(&text), code_of_any(&text));
    }
}

/// At least one character, none of them white space.
pub fn uri(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("a uri has at least one character");
    }
    if text.chars().any(blank) {
        return Err("a uri has no white space");
    }
    Ok(())
}

/// Absolute by the WHATWG rules. White space and control characters, which a browser would drop, are refused.
pub fn url(text: &str) -> Result<(), &'static str> {
    if plain_web_address(text) {
        return Ok(());
    }
    if text.chars().any(|c| blank(c) || c.is_control()) {
        return Err("a url has no white space and no control characters");
    }
    match Url::parse(text) {
        Ok(_) => Ok(()),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err("a url is absolute, such as 'https://example.org/a'")
        }
        Err(_) => Err("this is not a url"),
    }
}

/// True for what is a url beyond doubt, which most are: a plain host name and anything visible after it.
fn plain_web_address(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let end = rest
        .bytes()
        .position(|b| matches!(b, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    let letter_first = |label: &str| label.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let plain = |label: &str| {
        label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    host.len() <= 200
        && host.split('.').all(|label| letter_first(label) && plain(label))
        && tail.bytes().all(|b| b.is_ascii_graphic())
}

/// Base64 as in RFC 4648, section 4: groups of four, the last filled up with `=`.
pub fn base64(text: &str) -> Result<(), &'static str> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    if !digits.bytes().all(known) {
        return Err("base64 has only the characters A-Z a-z 0-9 + / and = at its end");
    }
    if !text.len().is_multiple_of(4) || padding > 2 || (padding > 0 && digits.is_empty()) {
        return Err("base64 has groups of four characters, the last filled up with =");
    }
    Ok(())
}

//! The translation of a pattern, outside of classes.

use super::{BadPattern, class};

/// The characters of a pattern and how far they are read.
pub(super) struct Reader<'s> {
    chars: std::iter::Peekable<std::str::Chars<'s>>,
    at: usize,
}

impl<'s> Reader<'s> {
    fn new(source: &'s str) -> Self {
        Self {
            chars: source.chars().peekable(),
            at: 0,
        }
    }

    pub(super) fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.chars.next()
    }

    pub(super) fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    pub(super) fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.next();
        }
        found
    }

    /// Takes all of `text` or nothing.
    fn take_all(&mut self, text: &str) -> bool {
        let mut ahead = self.chars.clone();
        if !text.chars().all(|c| ahead.next() == Some(c)) {
            return false;
        }
        self.chars = ahead;
        self.at += text.chars().count();
        true
    }

    /// The error at the character taken last.
    pub(super) fn wrong(&self, message: impl Into<String>) -> BadPattern {
        BadPattern {
            message: message.into(),
            at: self.at.max(1),
        }
    }

    /// The number of exactly `count` hexadecimal digits.
    fn hex(&mut self, count: usize) -> Result<u32, BadPattern> {
        (0..count).try_fold(0, |n, _| match self.next().and_then(|c| c.to_digit(16)) {
            Some(digit) => Ok(n << 4 | digit),
            None => Err(self.wrong(format!("{count} hexadecimal digits are expected here"))),
        })
    }
}

/// What an escape means, in a class or outside.
pub(super) enum Escape {
    Char(char),
    /// A set of characters, as what stands inside of brackets, and whether all others are meant.
    Set(&'static str, bool),
    /// A Unicode property, as the engine writes it.
    Property(String),
}

pub(super) const SPACE: &str =
    r"\t-\r\x20\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}";
const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Z_a-z";

/// The escape whose first character after the backslash is `c`.
pub(super) fn escape(reader: &mut Reader<'_>, c: char) -> Result<Escape, BadPattern> {
    Ok(Escape::Char(match c {
        'd' | 'D' => return Ok(Escape::Set(DIGIT, c == 'D')),
        'w' | 'W' => return Ok(Escape::Set(WORD, c == 'W')),
        's' | 'S' => return Ok(Escape::Set(SPACE, c == 'S')),
        'p' | 'P' => return property(reader, c).map(Escape::Property),
        't' => '\t',
        'n' => '\n',
        'v' => '\u{b}',
        'f' => '\u{c}',
        'r' => '\r',
        '0' if !reader.peek().is_some_and(|d| d.is_ascii_digit()) => '\0',
        '0' => return Err(reader.wrong("octal escapes are not supported, write \\xHH")),
        'c' => match reader.next() {
            Some(letter) if letter.is_ascii_alphabetic() => char::from(letter as u8 % 32),
            _ => return Err(reader.wrong("\\c is followed by a letter")),
        },
        'x' => char::from_u32(reader.hex(2)?).unwrap_or_default(),
        'u' => unicode(reader)?,
        c if c.is_ascii_alphanumeric() => return Err(reader.wrong(format!("the escape \\{c} is not known"))),
        c => c,
    }))
}

/// `\uXXXX`, a pair of them, or `\u{…}`; the `u` is taken.
fn unicode(reader: &mut Reader<'_>) -> Result<char, BadPattern> {
    let point = if reader.take('{') {
        let mut point = 0_u32;
        let mut digits = 0;
        loop {
            match reader.next() {
                Some('}') if digits > 0 => break point,
                Some(c) if c.is_ascii_hexdigit() && point < 0x11_0000 => {
                    point = point << 4 | c.to_digit(16).unwrap_or_default();
                    digits += 1;
                }
                _ => return Err(reader.wrong("\\u{…} names a character by its hexadecimal number")),
            }
        }
    } else {
        let unit = reader.hex(4)?;
        if (0xd800..0xdc00).contains(&unit) && reader.take_all("\\u") {
            match reader.hex(4)? {
                low @ 0xdc00..0xe000 => 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                _ => unit,
            }
        } else {
            unit
        }
    };
    char::from_u32(point).ok_or_else(|| reader.wrong("half of a surrogate pair is not a character"))
}

/// `\p{…}` or `\P{…}`; the letter is taken.
fn property(reader: &mut Reader<'_>, letter: char) -> Result<String, BadPattern> {
    let mut name = String::new();
    if reader.take('{') {
        loop {
            match reader.next() {
                Some('}') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphanumeric() || matches!(c, '_' | '=') => name.push(c),
                _ => return Err(reader.wrong("a Unicode property is written \\p{Name} or \\p{Name=Value}")),
            }
        }
    }
    let written = format!("\\{letter}{{{name}}}");
    // The engine has most properties of ECMAScript, not all.
    if name.is_empty() || regex::Regex::new(&written).is_err() {
        return Err(reader.wrong(format!(
            "the Unicode property \\{letter}{{{name}}} is not supported"
        )));
    }
    Ok(written)
}

/// Writes `c` so that it means itself, in a class or outside.
pub(super) fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_whitespace()) {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", c as u32));
    }
}

/// What the last piece of the pattern was, for the quantifier that may follow it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Nothing,
    Atom,
    Assertion,
    Quantifier,
}

/// The pattern in the syntax of the engine. Groups capture nothing there: only whether it is found counts.
pub(super) fn translate(source: &str) -> Result<String, BadPattern> {
    let mut reader = Reader::new(source);
    let mut out = String::with_capacity(source.len() + 16);
    let mut groups: Vec<usize> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut last = Piece::Nothing;
    while let Some(c) = reader.next() {
        last = match c {
            '^' => {
                out.push_str("\\A");
                Piece::Assertion
            }
            '$' => {
                out.push_str("\\z");
                Piece::Assertion
            }
            '.' => {
                out.push_str(r"[^\n\r\x{2028}\x{2029}]");
                Piece::Atom
            }
            '|' => {
                out.push('|');
                Piece::Nothing
            }
            '(' => {
                groups.push(reader.at);
                group(&mut reader, &mut names)?;
                out.push_str("(?:");
                Piece::Nothing
            }
            ')' => {
                if groups.pop().is_none() {
                    return Err(reader.wrong("this ')' closes no group"));
                }
                out.push(')');
                Piece::Atom
            }
            '[' => {
                class::translate(&mut reader, &mut out)?;
                Piece::Atom
            }
            '\\' => outside_escape(&mut reader, &mut out)?,
            '*' | '+' | '?' => {
                out.push(c);
                quantifier(&mut reader, &mut out, last)?
            }
            '{' => match counts(&reader.chars) {
                Some((length, least, most)) => {
                    for _ in 0..length {
                        reader.next();
                    }
                    out.push_str(&range(&reader, &least, most.as_deref())?);
                    quantifier(&mut reader, &mut out, last)?
                }
                None => {
                    push_literal(&mut out, c);
                    Piece::Atom
                }
            },
            c => {
                push_literal(&mut out, c);
                Piece::Atom
            }
        };
    }
    match groups.pop() {
        Some(at) => Err(BadPattern {
            message: "this group is not closed".into(),
            at,
        }),
        None => Ok(out),
    }
}

/// What follows the opening parenthesis of a group.
fn group(reader: &mut Reader<'_>, names: &mut Vec<String>) -> Result<(), BadPattern> {
    if !reader.take('?') {
        return Ok(());
    }
    match reader.next() {
        Some(':') => Ok(()),
        Some('=' | '!') => Err(reader.wrong("look-ahead is not supported: it cannot run in linear time")),
        Some('<') if matches!(reader.peek(), Some('=' | '!')) => {
            Err(reader.wrong("look-behind is not supported: it cannot run in linear time"))
        }
        Some('<') => {
            let mut name = String::new();
            loop {
                match reader.next() {
                    Some('>') if !name.is_empty() => break,
                    Some(c) if c.is_alphabetic() || matches!(c, '_' | '$') => name.push(c),
                    Some(c) if c.is_alphanumeric() && !name.is_empty() => name.push(c),
                    _ => return Err(reader.wrong("a group is named (?<name>…)")),
                }
            }
            if names.contains(&name) {
                return Err(reader.wrong(format!("two groups are named '{name}'")));
            }
            names.push(name);
            Ok(())
        }
        Some('i' | 'm' | 's' | '-') => Err(reader.wrong("modifiers of a group are not supported")),
        _ => Err(reader.wrong("this kind of group is not known")),
    }
}

fn outside_escape(reader: &mut Reader<'_>, out: &mut String) -> Result<Piece, BadPattern> {
    let Some(c) = reader.next() else {
        return Err(reader.wrong("a backslash at the end escapes nothing"));
    };
    match c {
        // As in ECMAScript, a word is ASCII.
        'b' => {
            out.push_str(r"(?-u:\b)");
            return Ok(Piece::Assertion);
        }
        'B' => {
            out.push_str(r"(?-u:\B)");
            return Ok(Piece::Assertion);
        }
        '1'..='9' | 'k' => {
            return Err(reader.wrong("back-references are not supported: they cannot run in linear time"));
        }
        _ => {}
    }
    match escape(reader, c)? {
        Escape::Char(c) => push_literal(out, c),
        Escape::Set(set, others) => out.push_str(&format!("[{}{set}]", if others { "^" } else { "" })),
        Escape::Property(written) => out.push_str(&written),
    }
    Ok(Piece::Atom)
}

/// The quantifier that was written must have something to repeat; takes the `?` that makes it lazy.
fn quantifier(reader: &mut Reader<'_>, out: &mut String, last: Piece) -> Result<Piece, BadPattern> {
    match last {
        Piece::Atom => {
            if reader.take('?') {
                out.push('?');
            }
            Ok(Piece::Quantifier)
        }
        Piece::Assertion => Err(reader.wrong("an assertion cannot be repeated")),
        Piece::Nothing | Piece::Quantifier => Err(reader.wrong("there is nothing to repeat here")),
    }
}

type Counts = (usize, String, Option<String>);

/// What `{n}`, `{n,}` or `{n,m}` says after its opening brace: its length, the least and the most (`None`: the same
/// as the least). `None` where the brace is no quantifier.
fn counts(ahead: &std::iter::Peekable<std::str::Chars<'_>>) -> Option<Counts> {
    let mut text = String::new();
    for c in ahead.clone() {
        match c {
            '}' => break,
            '0'..='9' | ',' if text.len() < 100 => text.push(c),
            _ => return None,
        }
    }
    let length = text.len() + 1;
    if ahead.clone().nth(length - 1) != Some('}') {
        return None;
    }
    let (least, most) = match text.split_once(',') {
        Some((least, most)) => (least.to_owned(), Some(most.to_owned())),
        None => (text.clone(), None),
    };
    let sound = !least.is_empty() && !most.as_ref().is_some_and(|m| m.contains(','));
    sound.then_some((length, least, most))
}

fn range(reader: &Reader<'_>, least: &str, most: Option<&str>) -> Result<String, BadPattern> {
    let number = |digits: &str| {
        digits
            .parse::<u32>()
            .map_err(|_| reader.wrong("the repeat count is too large"))
    };
    let low = number(least)?;
    Ok(match most {
        None => format!("{{{low}}}"),
        Some("") => format!("{{{low},}}"),
        Some(most) => match number(most)? {
            high if high < low => return Err(reader.wrong("the counts of a repeat are in the wrong order")),
            high => format!("{{{low},{high}}}"),
        },
    })
}

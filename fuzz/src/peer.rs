//! A slow peer of the check: reads profile and data as trees, and follows the contract (section 5) line by line. Knows
//! simple types, arrays and objects, and the rules without conditions.

use std::cmp::Ordering;

use regex::Regex;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

use crate::tree::Tree;

type Faults = Vec<(String, String)>;

fn add(faults: &mut Faults, path: &str, rule: &str) {
    faults.push((path.to_owned(), rule.to_owned()));
}

/// Judges an object by these properties.
pub(crate) fn object(data: &Tree, properties: &Tree, path: &str, faults: &mut Faults) {
    let (Tree::Object(members), Tree::Object(properties)) = (data, properties) else {
        return add(faults, path, "type");
    };
    for (name, property) in properties {
        let here = format!("{path}/{name}");
        match data.member(name) {
            None | Some(Tree::Null) => {
                if rules(property).any(|(name, _)| name == "required") {
                    add(faults, &here, "required");
                }
            }
            Some(found) => value(found, property, &here, faults),
        }
    }
    for (name, _) in members {
        if !properties.iter().any(|(known, _)| known == name) {
            // Names are cut after 200 characters.
            let shown: String = name.chars().take(200).collect();
            add(
                faults,
                &format!("{path}/{}", shown.replace('~', "~0").replace('/', "~1")),
                "unknown",
            );
        }
    }
}

fn rules(property: &Tree) -> impl Iterator<Item = (&str, &Tree)> {
    let entries = match property.member("rules") {
        Some(Tree::Array(entries)) => entries.as_slice(),
        _ => &[],
    };
    let members = entries.iter().flat_map(|entry| match entry {
        Tree::Object(members) => members.as_slice(),
        _ => &[],
    });
    members.map(|(name, value)| (name.as_str(), value))
}

fn value(found: &Tree, property: &Tree, path: &str, faults: &mut Faults) {
    let Some(Tree::Text(kind)) = property.member("type") else {
        panic!("a property has a type")
    };
    let fits = match (kind.as_str(), found) {
        ("symbol" | "markdown", Tree::Text(_))
        | ("boolean", Tree::Boolean(_))
        | ("array", Tree::Array(_)) => true,
        ("object", Tree::Object(_)) => {
            return object(
                found,
                property.member("properties").expect("properties"),
                path,
                faults,
            );
        }
        ("integer", Tree::Number(raw)) => raw.parse::<i64>().is_ok(),
        ("decimal", Tree::Number(raw)) => Number::of(raw).fits(),
        ("code", Tree::Text(text)) => is_code(text),
        ("uri", Tree::Text(text)) => !text.is_empty() && !text.contains(is_space),
        ("date", Tree::Text(text)) => is_date(text),
        ("datetime", Tree::Text(text)) => is_date(text) || is_instant(text),
        ("instant", Tree::Text(text)) => is_instant(text),
        ("time", Tree::Text(text)) => is_instant(&format!("2000-01-01T{text}Z")),
        _ => false,
    };
    if !fits {
        return add(faults, path, "type");
    }
    if let (Tree::Array(elements), Some(items)) = (found, property.member("items")) {
        for (index, element) in elements.iter().enumerate() {
            match element {
                Tree::Null => add(faults, &format!("{path}/{index}"), "type"),
                element => value(element, items, &format!("{path}/{index}"), faults),
            }
        }
    }
    for (rule, wanted) in rules(property) {
        let size = match found {
            Tree::Number(raw) => Number::of(raw),
            Tree::Text(text) => Number::of(&text.chars().count().to_string()),
            Tree::Array(elements) => Number::of(&elements.len().to_string()),
            _ => Number::of("0"),
        };
        let order = |wanted: &Tree| match wanted {
            Tree::Number(raw) => size.compare(&Number::of(raw)),
            other => panic!("no bound: {other:?}"),
        };
        let holds = match (rule, wanted) {
            ("min", wanted) => order(wanted).is_ge(),
            ("max", wanted) => order(wanted).is_le(),
            ("pattern", Tree::Text(pattern)) => match found {
                Tree::Text(text) => Regex::new(pattern).expect("a pattern").is_match(text),
                _ => true,
            },
            ("enum", Tree::Array(all)) => all.iter().any(|one| match (one, found) {
                (Tree::Number(one), Tree::Number(found)) => {
                    Number::of(one).compare(&Number::of(found)).is_eq()
                }
                (one, found) => one == found,
            }),
            _ => true,
        };
        if !holds {
            add(faults, path, rule);
        }
    }
}

/// White space of ECMAScript.
pub(crate) fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
    )
}

/// `[^\s]+(\s[^\s]+)*`
pub(crate) fn is_code(text: &str) -> bool {
    text.split(is_space).all(|word| !word.is_empty())
}

fn digits(text: &str, count: usize) -> Option<u32> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

pub(crate) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let part = |at: usize, count: usize| parts.get(at).map_or(Some(1), |text| digits(text, count));
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(1, 2), part(2, 2)) else {
        return false;
    };
    let month = u8::try_from(month)
        .ok()
        .and_then(|month| Month::try_from(month).ok());
    (1..=3).contains(&parts.len())
        && (1..=9999).contains(&year)
        && month.is_some_and(|month| Date::from_calendar_date(year as i32, month, day as u8).is_ok())
}

pub(crate) fn is_instant(text: &str) -> bool {
    // RFC 3339 takes what the contract does not: lower case, a blank for the T, a leap second, other zones, the year 0.
    let shape = |text: &str| {
        let bytes = text.as_bytes();
        bytes.get(10) == Some(&b'T')
            && !text.contains(['t', 'z'])
            && bytes.get(17..19) != Some(b"60")
            && !text.starts_with("0000")
    };
    // Its parser has no more than nine digits of a fraction, ours any number.
    let mut short = text.to_owned();
    if let Some(point) = text.find('.') {
        let end = text[point + 1..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(text.len(), |past| point + 1 + past);
        if end - point > 10 {
            short.replace_range(point + 10..end, "");
        }
    }
    let zone = |text: &str| {
        let minutes = text.len().checked_sub(6).and_then(|at| {
            let zone = text.get(at..)?;
            let zone = zone.strip_prefix(['+', '-'])?;
            let (hours, minutes) = zone.split_once(':')?;
            Some(digits(hours, 2)? * 60 + digits(minutes, 2)?)
        });
        minutes.is_none_or(|minutes| minutes <= 14 * 60)
    };
    shape(text) && zone(text) && OffsetDateTime::parse(&short, &Rfc3339).is_ok() && text.is_ascii()
}

/// A number of JSON by its value: its digits without zeros at the ends, and the power of ten of the last.
pub(crate) struct Number {
    negative: bool,
    digits: String,
    power: i128,
    written: usize,
    exponent: i128,
}

/// In the place of an exponent that 64 bits do not hold.
const EXPONENT_MAX: i128 = i128::MAX / 4;

impl Number {
    pub(crate) fn of(raw: &str) -> Self {
        let negative = raw.starts_with('-');
        let (mantissa, exponent) = raw
            .trim_start_matches('-')
            .split_once(['e', 'E'])
            .unwrap_or((raw.trim_start_matches('-'), "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let sign = if exponent.starts_with('-') { -1 } else { 1 };
        let exponent = exponent.trim_start_matches(['+', '-']).parse::<i64>();
        let exponent = exponent.map_or(EXPONENT_MAX, i128::from);
        let all = format!("{whole}{fraction}");
        let end = all.trim_end_matches('0').len();
        let power = sign * exponent - fraction.len() as i128 + (all.len() - end) as i128;
        Self {
            negative,
            digits: all[..end].trim_start_matches('0').to_owned(),
            power,
            written: all.len(),
            exponent,
        }
    }

    /// True where it is no more than a decimal may be.
    pub(crate) fn fits(&self) -> bool {
        self.written <= 64 && self.exponent <= 308
    }

    /// True where its value is known: its exponent is, or it is zero, whatever that is.
    pub(crate) fn is_known(&self) -> bool {
        self.digits.is_empty() || self.exponent < EXPONENT_MAX
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        if sign(self) != sign(other) || sign(self) == 0 {
            return sign(self).cmp(&sign(other));
        }
        // Both as whole numbers of the smaller power, filled up with zeros: as long as that is no more than digits.
        let highest = |number: &Self| number.digits.len() as i128 + number.power;
        let size = highest(self).cmp(&highest(other)).then_with(|| {
            let length = self.digits.len().max(other.digits.len());
            format!("{:0<length$}", self.digits).cmp(&format!("{:0<length$}", other.digits))
        });
        if self.negative { size.reverse() } else { size }
    }
}

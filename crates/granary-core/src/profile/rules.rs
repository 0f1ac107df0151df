//! The rules of a property: `min`, `max`, `enum`, `pattern`. `required` is a flag of the property.

use std::cmp::Ordering;

use super::pattern::Pattern;
use super::value::Decimal;
use crate::fault::{closest, shown};

/// One rule. All rules of a value must hold.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Not less than this.
    Min(Bound),
    /// Not more than this.
    Max(Bound),
    /// One of these.
    Enum(Options),
    /// A pattern that is found in the text.
    Pattern(Pattern),
}

/// The bound of a `min` or a `max`.
#[derive(Clone, Debug)]
pub enum Bound {
    /// Of the characters of a text.
    Chars(u64),
    /// Of the elements of an array.
    Elements(u64),
    /// Of an integer.
    Integer(i64),
    /// Of a decimal, as it was written.
    Decimal(Box<str>),
}

/// The values of an `enum`.
#[derive(Clone, Debug)]
pub enum Options {
    /// Texts.
    Texts(Sorted<Box<str>>),
    /// Integers.
    Integers(Sorted<i64>),
    /// Decimals, as they were written.
    Decimals(Sorted<Box<str>>),
}

/// A list in the order given, for people, and how to find in it.
#[derive(Clone, Debug)]
pub struct Sorted<T> {
    /// In the order given.
    pub given: Box<[T]>,
    /// Places in `given`, in the order of the values.
    order: Box<[u32]>,
}

impl<T> Sorted<T> {
    fn new(given: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Self {
        let mut order: Vec<u32> = (0..given.len() as u32).collect();
        order.sort_by(|a, b| compare(&given[*a as usize], &given[*b as usize]));
        Self {
            given: given.into(),
            order: order.into(),
        }
    }

    fn has(&self, compare: impl Fn(&T) -> Ordering) -> bool {
        let found = self
            .order
            .binary_search_by(|place| compare(&self.given[*place as usize]));
        found.is_ok()
    }
}

impl Options {
    /// These texts.
    pub fn texts(given: Vec<Box<str>>) -> Self {
        Self::Texts(Sorted::new(given, Ord::cmp))
    }

    /// These integers.
    pub fn integers(given: Vec<i64>) -> Self {
        Self::Integers(Sorted::new(given, Ord::cmp))
    }

    /// These decimals.
    pub fn decimals(given: Vec<Box<str>>) -> Self {
        Self::Decimals(Sorted::new(given, |a, b| compare_decimals(a, b)))
    }
}

/// What rules judge of a value whose type is right.
#[derive(Clone, Copy, Debug)]
pub enum Judged<'a> {
    /// A text.
    Text(&'a str),
    /// An integer.
    Integer(i64),
    /// A decimal, as it is written, and its value.
    Decimal(&'a str, Decimal<'a>),
    /// The number of elements of an array.
    Elements(u64),
}

impl Rule {
    /// Its name in a definition.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Enum(_) => "enum",
            Self::Pattern(_) => "pattern",
        }
    }

    /// True where it holds. A rule on another type than that of the value holds: definitions have none.
    #[inline]
    pub fn holds(&self, judged: &Judged<'_>) -> bool {
        match self {
            // A character has a byte at least, so that most texts need not be counted.
            Self::Max(Bound::Chars(most)) if matches!(judged, Judged::Text(text) if text.len() as u64 <= *most) => {
                true
            }
            Self::Min(bound) => bound.compare(judged).is_none_or(Ordering::is_ge),
            Self::Max(bound) => bound.compare(judged).is_none_or(Ordering::is_le),
            Self::Enum(options) => options.have(judged),
            Self::Pattern(pattern) => match judged {
                Judged::Text(text) => pattern.found_in(text),
                _ => true,
            },
        }
    }

    /// What is wrong with a value for which it does not hold.
    pub fn complaint(&self, judged: &Judged<'_>) -> String {
        match self {
            Self::Min(bound) => bound.complaint(judged, "at least"),
            Self::Max(bound) => bound.complaint(judged, "at most"),
            Self::Enum(options) => options.complaint(judged),
            Self::Pattern(pattern) => {
                format!("does not match the pattern '{}'", shown(pattern.source()))
            }
        }
    }
}

fn compare_decimals(a: &str, b: &str) -> Ordering {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Ok(a), Ok(b)) => a.compare(&b),
        // Neither is in a definition.
        _ => a.cmp(b),
    }
}

impl Bound {
    /// How the value compares to the bound.
    #[inline]
    fn compare(&self, judged: &Judged<'_>) -> Option<Ordering> {
        match (self, judged) {
            (Self::Chars(bound), Judged::Text(text)) => Some(chars(text).cmp(bound)),
            (Self::Elements(bound), Judged::Elements(count)) => Some(count.cmp(bound)),
            (Self::Integer(bound), Judged::Integer(value)) => Some(value.cmp(bound)),
            (Self::Decimal(bound), Judged::Decimal(_, value)) => {
                Decimal::parse(bound).ok().map(|bound| value.compare(&bound))
            }
            _ => None,
        }
    }

    /// How two bounds of the same value compare.
    pub fn compare_bounds(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Chars(a), Self::Chars(b)) | (Self::Elements(a), Self::Elements(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => compare_decimals(a, b),
            _ => Ordering::Equal,
        }
    }

    fn complaint(&self, judged: &Judged<'_>, allowed: &str) -> String {
        match (self, judged) {
            (Self::Chars(bound), Judged::Text(text)) => {
                format!(
                    "has {}, {allowed} {bound} allowed",
                    count(chars(text), "character")
                )
            }
            (Self::Elements(bound), Judged::Elements(n)) => {
                format!("has {}, {allowed} {bound} allowed", count(*n, "element"))
            }
            (_, Judged::Integer(value)) => format!("is {value}, {allowed} {self} allowed"),
            (_, Judged::Decimal(raw, _)) => format!("is {}, {allowed} {self} allowed", shown(raw)),
            _ => format!("{allowed} {self} allowed"),
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Chars(n) | Self::Elements(n) => n.fmt(f),
            Self::Integer(n) => n.fmt(f),
            Self::Decimal(raw) => shown(raw).fmt(f),
        }
    }
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

fn count(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// Longer texts are not compared with the options that were perhaps meant.
const TEXT_LEN_COMPARED: usize = 32;

impl Options {
    fn have(&self, judged: &Judged<'_>) -> bool {
        match (self, judged) {
            (Self::Texts(all), Judged::Text(text)) => all.has(|known| (**known).cmp(text)),
            (Self::Integers(all), Judged::Integer(value)) => all.has(|known| known.cmp(value)),
            (Self::Decimals(all), Judged::Decimal(_, value)) => {
                all.has(|known| Decimal::parse(known).map_or(Ordering::Less, |known| known.compare(value)))
            }
            _ => true,
        }
    }

    fn complaint(&self, judged: &Judged<'_>) -> String {
        const SHOWN: usize = 8;
        let (found, all): (String, Vec<String>) = match (self, judged) {
            (Self::Texts(all), Judged::Text(text)) => {
                // Long lists are not searched for what was meant, nor long texts: that would cost more than the check.
                let known = all.given.iter().take(200).map(|known| &**known);
                let near = (text.len() <= TEXT_LEN_COMPARED)
                    .then(|| closest(text, known))
                    .flatten();
                if let Some(near) = near {
                    return format!(
                        "'{}' is not allowed, did you mean '{}'?",
                        shown(text),
                        shown(near)
                    );
                }

                (
                    format!("'{}'", shown(text)),
                    all.given
                        .iter()
                        .take(SHOWN)
                        .map(|known| format!("'{}'", shown(known)))
                        .collect(),
                )
            }
            (Self::Integers(all), Judged::Integer(value)) => (
                value.to_string(),
                all.given.iter().take(SHOWN).map(i64::to_string).collect(),
            ),
            (Self::Decimals(all), Judged::Decimal(raw, _)) => (
                shown(raw),
                all.given.iter().take(SHOWN).map(|known| shown(known)).collect(),
            ),
            _ => (String::new(), Vec::new()),
        };
        let total = match self {
            Self::Texts(all) | Self::Decimals(all) => all.given.len(),
            Self::Integers(all) => all.given.len(),
        };
        let more = match total.saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!(" or {n} more"),
        };
        format!("{found} is not allowed, only {}{more}", all.join(", "))
    }
}

//! Rules that apply only where a condition holds (contract, section 5, *when*; ADR 7).
//!
//! A condition looks at other values of the record than the one that its rules are on, so it is judged in a second pass
//! over the data, and only for definitions that have one. What that pass must look at is laid out as a tree of *spots*:
//! the places that a condition or a conditional rule names. Everything else is skipped.

use super::names::Names;
use super::rules::Rule;
use super::types::TextType;
use super::value::{Decimal, Span};

/// The conditional rules of one definition.
#[derive(Clone, Debug)]
pub struct Whens {
    /// The spot of the data itself.
    pub root: Spot,
    /// The tests that conditions are made of.
    pub tests: Box<[Test]>,
}

/// A place in the data that a condition or a conditional rule names, or that leads to one.
#[derive(Clone, Debug, Default)]
pub struct Spot {
    /// What its values are.
    pub kind: SpotKind,
    /// The names of the members that are spots.
    pub names: Names,
    /// These members, at the places of their names.
    pub members: Box<[Spot]>,
    /// The elements.
    pub element: Option<Box<Spot>>,
    /// The tests of the values that stand here: places in [`Whens::tests`].
    pub tests: Box<[u32]>,
    /// The tests that are about this element, or about the whole at the root, and not about something inside it that is
    /// current.
    pub scope: Box<[u32]>,
    /// How many arrays on the way to here, each of whose elements may be current.
    pub depth: u32,
    /// The conditional rules of the values that stand here.
    pub guarded: Box<[Guarded]>,
}

/// What the values at a spot are.
#[derive(Clone, Copy, Debug, Default)]
pub enum SpotKind {
    /// Texts of this type.
    Text(&'static TextType),
    /// Integers.
    Integer,
    /// Decimals.
    Decimal,
    /// Something whose value no rule and no test looks at.
    #[default]
    Other,
}

/// A rule object with a condition.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// When it applies.
    pub when: Condition,
    /// Whether the value must be present then.
    pub required: bool,
    /// The rules that must hold then.
    pub rules: Box<[Rule]>,
}

/// When rules apply.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Where some value passes the test at this place of [`Whens::tests`].
    Test(u32),
    /// Where all of these hold.
    And(Box<[Condition]>),
    /// Where one of these holds.
    Or(Box<[Condition]>),
    /// Where this does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// True where it holds, `passed` being what became of each test.
    pub fn holds(&self, passed: &[bool]) -> bool {
        match self {
            Self::Test(place) => passed.get(*place as usize).is_some_and(|passed| *passed),
            Self::And(all) => all.iter().all(|condition| condition.holds(passed)),
            Self::Or(all) => all.iter().any(|condition| condition.holds(passed)),
            Self::Not(condition) => !condition.holds(passed),
        }
    }
}

/// A comparison of a value.
#[derive(Clone, Debug)]
pub struct Test {
    /// How it compares.
    pub relation: Relation,
    /// With what; one of them is enough.
    pub wanted: Box<[Wanted]>,
    /// How many arrays on the way to the value are named by their current element.
    pub depth: u32,
}

/// How a value compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is the same.
    Equal,
    /// It is the same or less.
    AtMost,
    /// It is the same or more.
    AtLeast,
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Any value.
    Present,
    /// This boolean.
    Boolean(bool),
    /// This integer.
    Integer(i64),
    /// This decimal, by value.
    Decimal(Box<str>),
    /// The moments that this `date`, `datetime` or `instant` means.
    Date(Box<str>),
    /// This `time`.
    Time(Box<str>),
    /// A text that is this.
    Text(Box<str>),
    /// A text that is this but for case.
    Folded(Box<str>),
    /// A text that has these parts, in order, from its start to its end, and anything between them.
    Like {
        /// The parts.
        parts: Box<[Box<str>]>,
        /// True where case does not matter; then the parts are folded.
        folded: bool,
    },
}

/// A value as tests see it.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A boolean.
    Boolean(bool),
    /// A text.
    Text(&'a str),
    /// An integer.
    Integer(i64),
    /// A decimal.
    Decimal(Decimal<'a>),
    /// Anything else but null.
    Other,
}

impl Test {
    /// True where the value passes.
    pub fn passes(&self, found: &Found<'_>) -> bool {
        self.wanted
            .iter()
            .any(|wanted| wanted.compares(self.relation, found))
    }
}

impl Wanted {
    fn compares(&self, relation: Relation, found: &Found<'_>) -> bool {
        let fits = |order: std::cmp::Ordering| match relation {
            Relation::Equal => order.is_eq(),
            Relation::AtMost => order.is_le(),
            Relation::AtLeast => order.is_ge(),
        };
        let spans = |found: Option<Span<'_>>, wanted: Option<Span<'_>>| match (found, wanted) {
            (Some(found), Some(wanted)) => match relation {
                Relation::Equal => found.equals(&wanted),
                Relation::AtMost => !found.after(&wanted),
                Relation::AtLeast => !wanted.after(&found),
            },
            _ => false,
        };
        match (self, found) {
            (Self::Present, _) => true,
            (Self::Boolean(wanted), Found::Boolean(found)) => wanted == found,
            (Self::Integer(wanted), Found::Integer(found)) => fits(found.cmp(wanted)),
            (Self::Decimal(wanted), Found::Decimal(found)) => {
                Decimal::parse(wanted).is_ok_and(|wanted| fits(found.compare(&wanted)))
            }
            (Self::Date(wanted), Found::Text(found)) => spans(Span::of_date(found), Span::of_date(wanted)),
            (Self::Time(wanted), Found::Text(found)) => spans(Span::of_time(found), Span::of_time(wanted)),
            (Self::Text(wanted), Found::Text(found)) => **wanted == **found,
            (Self::Folded(wanted), Found::Text(found)) => fold(found).eq(wanted.chars()),
            (Self::Like { parts, folded: false }, Found::Text(found)) => like(parts, found),
            (Self::Like { parts, folded: true }, Found::Text(found)) => {
                like(parts, &fold(found).collect::<String>())
            }
            _ => false,
        }
    }
}

/// The characters of a text without their case: also letters that have several lower cases are the same.
pub fn fold(text: &str) -> impl Iterator<Item = char> {
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase)
}

/// True where `text` is made of these parts, in order, with anything between them.
fn like(parts: &[Box<str>], text: &str) -> bool {
    let [first, between @ .., last] = parts else {
        return false;
    };
    let Some(rest) = text.strip_prefix(&**first) else {
        return false;
    };
    let Some(mut rest) = rest.strip_suffix(&**last) else {
        return false;
    };
    // The earliest place of each part leaves most for the next.
    between.iter().all(|part| match rest.find(&**part) {
        Some(at) => {
            rest = rest.get(at + part.len()..).unwrap_or("");
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_anything() {
        let matches = |pattern: &str, text: &str| {
            let parts: Vec<Box<str>> = pattern.split('*').map(Into::into).collect();
            like(&parts, text)
        };
        for (pattern, text) in [
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "ac"),
            ("a*b*c", "a-b-b-c"),
            ("*b*", "abc"),
            ("**", ""),
            ("a*a", "aa"),
            ("é*", "éa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a*", "ba"),
            ("*c", "cb"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("a*b*b*c", "abc"),
            ("*x*", "abc"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn case_is_folded_in_every_script() {
        let same = |a: &str, b: &str| fold(a).eq(fold(b));
        assert!(same("Straße", "STRASSE") && same("ΣΑΣ", "σας") && same("İ", "i\u{307}"));
        assert!(!same("é", "e"));
    }
}

//! What is learned of the values in one place of the data, whatever their number.

use std::collections::HashMap;

use granary_client::api::definitions::Members;
use granary_core::profile::value::{Decimal, integer, start_not_after_end};
use serde_json::value::RawValue;

use super::texts::{Spot, Texts};

/// Nesting that is looked into, as the limit `definitionDepth` has it.
const DEPTH_MAX: usize = 16;
/// Names that are kept in all, as the limit `definitionProperties` has it.
pub(super) const NAMES_MAX: usize = 1_000;

/// Kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Boolean,
    Object,
    Array,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Text, Self::Number, Self::Boolean, Self::Object, Self::Array];

    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

/// What is known of the numbers of one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) integer: bool,
    pub(super) decimal: bool,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// The values of one place.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Values that are there, by their kind.
    pub(super) kinds: [u64; 5],
    pub(super) texts: Option<Box<Texts>>,
    pub(super) numbers: Option<Numbers>,
    /// Members of the objects, in the order in which they were met.
    pub(super) members: Vec<(String, Node)>,
    places: HashMap<String, usize>,
    /// Elements of the arrays.
    pub(super) element: Option<Box<Node>>,
    /// True where an element is null, which no array may hold.
    pub(super) null_elements: bool,
    /// True where no `start` is after the `end` beside it.
    pub(super) in_order: bool,
    /// True where names were left out, since there are too many or they are too deep.
    pub(super) cut: bool,
}

impl Node {
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize]
    }

    /// How many values there were.
    pub(super) fn seen(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// The member with this name.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.places.get(name).map(|place| &self.members[*place].1)
    }

    /// The same, made where it is not there yet; `None` where there are too many names already.
    pub(super) fn member_mut(&mut self, name: &str, room: &mut usize) -> Option<&mut Self> {
        if let Some(place) = self.places.get(name) {
            return Some(&mut self.members[*place].1);
        }
        if *room == 0 {
            self.cut = true;
            return None;
        }
        *room -= 1;
        self.places.insert(name.to_owned(), self.members.len());
        self.members.push((name.to_owned(), Self::default()));
        self.members.last_mut().map(|(_, node)| node)
    }

    /// Takes in a value that stands there; `null` counts as absent. `room` is how many more names may be kept.
    pub(super) fn take(
        &mut self,
        value: &RawValue,
        at: Spot,
        room: &mut usize,
        depth: usize,
    ) -> serde_json::Result<()> {
        let raw = value.get();
        let kind = match raw.as_bytes().first() {
            Some(b'n') => return Ok(()),
            Some(b'"') => Kind::Text,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Boolean,
            _ => Kind::Number,
        };
        match kind {
            Kind::Text => self.take_text(&serde_json::from_str::<String>(raw)?, at),
            Kind::Number => {
                self.kinds[kind as usize] += 1;
                self.take_number(raw);
            }
            Kind::Boolean => self.kinds[kind as usize] += 1,
            _ if depth >= DEPTH_MAX => {
                self.kinds[kind as usize] += 1;
                self.cut = true;
            }
            Kind::Object => {
                let Members(members) = serde_json::from_str(raw)?;
                self.take_members(&members, at, room, depth)?;
            }
            Kind::Array => {
                self.kinds[kind as usize] += 1;
                let elements: Vec<Box<RawValue>> = serde_json::from_str(raw)?;
                self.null_elements |= elements.iter().any(|element| element.get() == "null");
                let node = self.element.get_or_insert_default();
                for element in &elements {
                    node.take(element, at, room, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Takes in an object with these members.
    pub(super) fn take_members(
        &mut self,
        members: &[(String, Box<RawValue>)],
        at: Spot,
        room: &mut usize,
        depth: usize,
    ) -> serde_json::Result<()> {
        let text = |name: &str| {
            let (_, value) = members.iter().find(|(own, _)| own == name)?;
            serde_json::from_str::<String>(value.get()).ok()
        };
        let in_order = match (text("start"), text("end")) {
            (Some(start), Some(end)) => start_not_after_end(&start, &end).is_ok(),
            _ => true,
        };
        self.take_object(in_order);
        for (name, value) in members {
            if let Some(node) = self.member_mut(name, room) {
                node.take(value, at, room, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Takes in an object, whose members are taken in by themselves.
    pub(super) fn take_object(&mut self, in_order: bool) {
        self.in_order = in_order && (self.in_order || self.count(Kind::Object) == 0);
        self.kinds[Kind::Object as usize] += 1;
    }

    /// Takes in an array whose elements are these texts.
    pub(super) fn take_list<'t>(&mut self, elements: impl Iterator<Item = &'t str>, at: Spot) {
        self.kinds[Kind::Array as usize] += 1;
        let node = self.element.get_or_insert_default();
        elements.for_each(|element| node.take_text(element, at));
    }

    pub(super) fn take_text(&mut self, text: &str, at: Spot) {
        self.kinds[Kind::Text as usize] += 1;
        self.texts
            .get_or_insert_with(|| Box::new(Texts::new()))
            .take(text, at);
    }

    fn take_number(&mut self, raw: &str) {
        let numbers = self.numbers.get_or_insert(Numbers {
            integer: true,
            decimal: true,
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
        });
        numbers.integer &= integer(raw).is_ok();
        numbers.decimal &= Decimal::parse(raw).is_ok();
        let value = raw.parse().unwrap_or(f64::NAN);
        numbers.least = numbers.least.min(value);
        numbers.most = numbers.most.max(value);
    }
}

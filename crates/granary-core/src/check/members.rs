//! The members that the contract gives an object: envelope, payload, the end of an edge.

use super::Run;
use crate::json::{Halt, Member, Text};

/// A member by its name.
pub(super) struct Known {
    pub(super) name: &'static str,
    /// As it stands in JSON without white space.
    compact: &'static str,
}

impl Known {
    /// The member of this name, which is written so: see [`members!`].
    pub(super) const fn new(name: &'static str, compact: &'static str) -> Self {
        Self { name, compact }
    }
}

/// A list of [`Known`] members by their names.
macro_rules! members {
    ($($name:literal),*) => {
        [$($crate::check::members::Known::new($name, concat!(",\"", $name, "\":"))),*]
    };
}
pub(super) use members;

/// The names of members.
pub(super) fn names(known: &[Known]) -> impl Iterator<Item = &'static str> + '_ {
    known.iter().map(|member| member.name)
}

/// How far a walk over the members of an object is.
#[derive(Default)]
pub(super) struct Walk {
    begun: bool,
    /// The place of the one that is probably next: most send them in one order.
    guess: usize,
}

/// The next member of an object.
pub(super) enum Next<'a> {
    /// The one at this place.
    Known(usize),
    /// One that is not known.
    Unknown(Text<'a>),
    /// There is no more.
    End,
}

impl<'a> Run<'_, 'a, '_> {
    /// The next member of the object that was entered, standing at its value then.
    #[inline]
    pub(super) fn next_member(&mut self, walk: &mut Walk, known: &[Known]) -> Result<Next<'a>, Halt> {
        let expected = known.get(walk.guess).map_or("", |member| member.compact);
        let next = self.scan.member_or(!walk.begun, expected)?;
        walk.begun = true;
        let place = match next {
            Member::Expected => walk.guess,
            Member::End => return Ok(Next::End),
            Member::Other(name) => {
                let decoded = name.decode();
                match known.iter().position(|member| member.name == decoded) {
                    Some(place) => place,
                    None => return Ok(Next::Unknown(name)),
                }
            }
        };
        walk.guess = place + 1;
        Ok(Next::Known(place))
    }
}

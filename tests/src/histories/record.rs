//! A record, and what calls do to it.

use super::checker::Call;

/// What a record holds: each write has a value of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) value: u64,
    pub(super) version: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Read,
    Create(u64),
    Put(u64),
    /// Where it still holds the value that was read.
    PutIf {
        seen: u64,
        value: u64,
    },
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Read(Option<Held>),
    /// Its version, where it is told.
    Written(Option<u64>),
    Deleted,
    /// It is there already.
    Exists,
    Missing,
    /// It does not hold what it held.
    Changed,
}

/// A call of one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnRecord {
    pub(super) asked: Asked,
    pub(super) answered: Option<Answered>,
}

impl Call for OnRecord {
    type State = Option<Held>;

    fn apply(&self, state: &Self::State) -> Option<Self::State> {
        let write = |value| {
            let version = state.map_or(0, |held| held.version) + 1;
            (Answered::Written(Some(version)), Some(Held { value, version }))
        };
        let (answer, after) = match (self.asked, state) {
            (Asked::Read, _) => (Answered::Read(*state), *state),
            (Asked::Create(_), Some(_)) => (Answered::Exists, *state),
            (Asked::Create(value) | Asked::Put(value), _) => write(value),
            (Asked::PutIf { seen, value }, Some(held)) if held.value == seen => write(value),
            (Asked::PutIf { .. }, _) => (Answered::Changed, *state),
            (Asked::Delete, None) => (Answered::Missing, None),
            (Asked::Delete, Some(_)) => (Answered::Deleted, None),
        };
        let fits = match (self.answered, answer) {
            // Without an effect it may as well not have been.
            (None, _) => after != *state,
            (Some(Answered::Written(None)), Answered::Written(_)) => true,
            (Some(answered), answer) => answered == answer,
        };
        fits.then_some(after)
    }
}

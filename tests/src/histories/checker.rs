//! Whether a history is linearizable: whether each call can be given one moment between its beginning and its answer, so
//! that all of them, done one after the other at these moments, would have been answered as they were.
//!
//! The search is that of Wing and Gong, which takes any call that nothing must precede and turns back where no one fits,
//! with the memory of Lowe, which looks at the same set of calls in the same state once.

use std::collections::HashSet;
use std::hash::Hash;

/// What a call does to what it is on.
pub(super) trait Call {
    /// What it is on.
    type State: Clone + Eq + Hash + Default;

    /// The state after the call; `None` where it cannot have been answered as it was. A call without an answer has had its
    /// effect, if any.
    fn apply(&self, state: &Self::State) -> Option<Self::State>;
}

/// A call and its time. Moments are those of a clock that counts what happens.
#[derive(Debug)]
pub(super) struct Timed<C> {
    pub(super) call: C,
    /// The moment before it was made.
    pub(super) began: u64,
    /// The moment after its answer; without one it takes effect at any later time, or never.
    pub(super) ended: Option<u64>,
    /// The place of a call in the history that comes before it.
    pub(super) after: Option<usize>,
}

/// How far a history can be followed that is not linearizable, or of which that is not known.
#[derive(Debug)]
pub(super) struct Stuck {
    /// The search has not come to its end.
    pub(super) gave_up: bool,
    /// The longest row of calls that fits, by their places.
    pub(super) fits: Vec<usize>,
    /// Calls of which one would have to come next, and none does.
    pub(super) next: Vec<usize>,
}

/// What is looked at before the search is given up: some hundreds of megabytes.
const SEEN_MAX: usize = 2_000_000;

/// Calls that have been given their moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Taken(Vec<u64>);

impl Taken {
    fn holds(&self, place: usize) -> bool {
        self.0[place / 64] & (1 << (place % 64)) != 0
    }

    fn set(&mut self, place: usize) {
        self.0[place / 64] ^= 1 << (place % 64);
    }
}

/// One choice: the state before it, and what else may be chosen.
struct Step<S> {
    state: S,
    choices: std::vec::IntoIter<usize>,
}

/// Looks for an order of all calls that were answered, and of some of the others.
pub(super) fn check<C: Call>(history: &[Timed<C>]) -> Result<(), Stuck> {
    let mut taken = Taken(vec![0; history.len().div_ceil(64)]);
    let mut left = history.iter().filter(|timed| timed.ended.is_some()).count();
    let mut seen = HashSet::new();
    let mut order: Vec<usize> = Vec::new();
    let mut stuck = Stuck {
        gave_up: false,
        fits: Vec::new(),
        next: choices(history, &taken),
    };
    let mut steps = vec![Step {
        state: C::State::default(),
        choices: stuck.next.clone().into_iter(),
    }];
    while left > 0 {
        let Some(step) = steps.last_mut() else {
            return Err(stuck);
        };
        let Some(place) = step.choices.next() else {
            steps.pop();
            if let Some(place) = order.pop() {
                taken.set(place);
                left += usize::from(history[place].ended.is_some());
            }
            continue;
        };
        let Some(state) = history[place].call.apply(&step.state) else {
            continue;
        };
        taken.set(place);
        if seen.len() >= SEEN_MAX {
            stuck.gave_up = true;
            return Err(stuck);
        }
        if !seen.insert((taken.clone(), state.clone())) {
            taken.set(place);
            continue;
        }
        left -= usize::from(history[place].ended.is_some());
        order.push(place);
        let next = choices(history, &taken);
        if order.len() > stuck.fits.len() {
            stuck.fits.clone_from(&order);
            stuck.next.clone_from(&next);
        }
        steps.push(Step {
            state,
            choices: next.into_iter(),
        });
    }
    Ok(())
}

/// The calls that may come next: no other that is left was answered before they began.
fn choices<C>(history: &[Timed<C>], taken: &Taken) -> Vec<usize> {
    let left = || (0..history.len()).filter(|place| !taken.holds(*place));
    let first_end = left().filter_map(|place| history[place].ended).min();
    let mut choices: Vec<usize> = left()
        .filter(|place| first_end.is_none_or(|end| history[*place].began < end))
        .filter(|place| history[*place].after.is_none_or(|before| taken.holds(before)))
        .collect();
    // Those that were answered first: they are likely to have come first.
    choices.sort_by_key(|place| history[*place].ended.unwrap_or(u64::MAX));
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of a register.
    enum Register {
        Read(u64),
        Write(u64),
    }

    impl Call for Register {
        type State = u64;

        fn apply(&self, state: &u64) -> Option<u64> {
            match self {
                Self::Read(value) => (value == state).then_some(*state),
                Self::Write(value) => Some(*value),
            }
        }
    }

    use Register::{Read, Write};

    fn timed(call: Register, began: u64, ended: u64) -> Timed<Register> {
        Timed {
            call,
            began,
            ended: (ended > 0).then_some(ended),
            after: None,
        }
    }

    #[test]
    fn calls_one_after_the_other_are_seen_as_they_came() {
        check(&[timed(Write(1), 1, 2), timed(Read(1), 3, 4), timed(Write(2), 5, 6)]).unwrap();
        let stuck = check(&[timed(Write(1), 1, 2), timed(Write(2), 3, 4), timed(Read(1), 5, 6)]).unwrap_err();
        assert_eq!((stuck.fits, stuck.next), (vec![0, 1], vec![2]));
    }

    #[test]
    fn calls_at_one_time_come_in_any_order() {
        let both = |read| {
            [
                timed(Write(1), 1, 5),
                timed(Write(2), 2, 6),
                timed(Read(read), 7, 8),
            ]
        };
        check(&both(1)).unwrap();
        check(&both(2)).unwrap();
        check(&both(3)).unwrap_err();
    }

    #[test]
    fn what_was_seen_is_not_taken_back() {
        // The write is under way all the time: two reads that agree with it one by one, and not together.
        let reads = |first, second| {
            [
                timed(Write(1), 1, 9),
                timed(Read(first), 2, 3),
                timed(Read(second), 4, 5),
            ]
        };
        check(&reads(0, 1)).unwrap();
        check(&reads(1, 1)).unwrap();
        check(&reads(1, 0)).unwrap_err();
    }

    #[test]
    fn a_call_without_an_answer_may_come_late_or_never() {
        let late = |read| {
            [
                timed(Write(1), 1, 0),
                timed(Write(2), 2, 3),
                timed(Read(read), 8, 9),
            ]
        };
        check(&late(1)).unwrap();
        check(&late(2)).unwrap();
        // But not before it began, and once.
        check(&[timed(Read(1), 1, 2), timed(Write(1), 3, 0)]).unwrap_err();
        let twice = [
            timed(Write(1), 1, 0),
            timed(Read(1), 2, 3),
            timed(Write(2), 4, 5),
            timed(Read(1), 6, 7),
        ];
        check(&twice).unwrap_err();
    }

    #[test]
    fn calls_that_go_in_a_row_stay_in_it() {
        let mut row = [
            timed(Write(1), 1, 9),
            timed(Write(2), 1, 9),
            timed(Read(1), 10, 11),
        ];
        check(&row).unwrap();
        row[1].after = Some(0);
        check(&row).unwrap_err();
    }
}

//! The edges at bounded ends, which decisions count.
//!
//! To look up where the edges of an end begin costs as much as to pass some thirty rows. A chunk of a large task has many
//! ends, and those that follow each other in the order of keys are often near: so the ends of a chunk are visited in that
//! order, and the next one is looked for a few rows ahead before it is looked up.

use std::ops::Bound;

use fjall::{Iter, Keyspace, UserKey};
use granary_core::decide::{Direction, Plan};
use granary_core::keys::ResourceId;
use granary_store::Result;

use crate::effects::{Ground, edge_ends};
use crate::{Inner, engine, keys};

/// Rows that are passed to find the next end, before it is looked up; half of them after a time where that was in vain.
const PASSED_MAX: usize = 32;

impl Inner {
    /// What stands at the other side of the edges of each bounded end of a plan, as many as it asks for.
    pub(crate) fn neighbours(&self, ground: &Ground<'_>, plan: &Plan<'_>) -> Result<Vec<Vec<ResourceId>>> {
        let mut neighbours = vec![Vec::new(); plan.bounds().len()];
        let places = [
            (Direction::From, &self.keyspaces.edges),
            (Direction::To, &self.keyspaces.edges_in),
        ];
        for (direction, keyspace) in places {
            let of_direction = plan
                .bounds()
                .zip(&mut neighbours)
                .filter_map(|((end, count), others)| {
                    let (of_end, prefix) = keys::bound(ground.source, &end);
                    (of_end == direction).then_some((prefix, end, count, others))
                });
            let mut ends: Vec<_> = of_direction.collect();
            ends.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
            let Some((last, ..)) = ends.last() else { continue };
            let mut walk = Walk::new(keyspace, last);
            for (prefix, end, count, others) in ends {
                walk.go_to(&prefix)?;
                while others.len() < count
                    && let Some(key) = walk.next_of(&prefix)?
                {
                    let (_, other) = edge_ends(&key)?;
                    if ground.marks.is_empty() || self.is_shown(ground, &end, &other)? {
                        others.push(other);
                    }
                }
            }
        }
        Ok(neighbours)
    }
}

/// A walk over the keys of a keyspace, forwards.
struct Walk<'k> {
    keyspace: &'k Keyspace,
    /// Where it ends: behind it there may be any number of edges that are gone.
    end: Bound<Vec<u8>>,
    /// The rows behind `next`; `None` where none was looked up.
    rows: Option<Iter>,
    /// The next key; none is behind it where there is none.
    next: Option<UserKey>,
    passed_max: usize,
}

impl<'k> Walk<'k> {
    /// A walk that goes no further than the keys that start with `last`.
    fn new(keyspace: &'k Keyspace, last: &[u8]) -> Self {
        Self {
            keyspace,
            end: keys::behind(last),
            rows: None,
            next: None,
            passed_max: PASSED_MAX,
        }
    }

    /// Goes to the first key that is not before this one, which is not before those gone to so far.
    fn go_to(&mut self, key: &[u8]) -> Result<()> {
        if self.rows.is_some() {
            for _ in 0..=self.passed_max {
                if self.next.as_ref().is_none_or(|next| **next >= *key) {
                    self.passed_max = PASSED_MAX;
                    return Ok(());
                }
                self.step()?;
            }
            self.passed_max /= 2;
        }
        self.rows = Some(
            self.keyspace
                .range((Bound::Included(key.to_vec()), self.end.clone())),
        );
        self.step()
    }

    /// Takes the next key, if it starts with `prefix`.
    fn next_of(&mut self, prefix: &[u8]) -> Result<Option<UserKey>> {
        let Some(key) = self.next.take_if(|key| key.starts_with(prefix)) else {
            return Ok(None);
        };
        self.step()?;
        Ok(Some(key))
    }

    fn step(&mut self) -> Result<()> {
        let row = self.rows.as_mut().and_then(Iterator::next);
        self.next = row.map(|row| row.key()).transpose().map_err(engine)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;

    #[test]
    fn a_walk_finds_what_a_look_up_of_each_end_finds() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::builder(folder.path()).open().unwrap();
        let keyspace = db.keyspace("edges", KeyspaceCreateOptions::default).unwrap();
        // Ends with no, some and many edges, near each other and far apart.
        let mut seed = 7_u64;
        let mut chance = |of: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % of
        };
        for end in 0..400 {
            let edges = [0, 0, 1, 1, 2, 5, 40, 100][chance(8) as usize];
            for _ in 0..edges {
                let key = format!("{end:03}\0{:03}", chance(1_000));
                keyspace.insert(key, "").unwrap();
            }
        }
        for step in [1, 2, 3, 7, 50, 399] {
            for most in [1, 2, 3, 200] {
                let mut walk = Walk::new(&keyspace, b"409\0");
                for end in (0..410).step_by(step) {
                    let prefix = format!("{end:03}\0").into_bytes();
                    walk.go_to(&prefix).unwrap();
                    let mut found = Vec::new();
                    while found.len() < most
                        && let Some(key) = walk.next_of(&prefix).unwrap()
                    {
                        found.push(key);
                    }
                    let rows = keyspace.prefix(&prefix).take(most);
                    let expected: Vec<_> = rows.map(|row| row.key().unwrap()).collect();
                    assert_eq!(found, expected, "end {end}, each {step}, at most {most}");
                }
            }
        }
    }
}

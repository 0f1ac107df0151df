//! The heads that are moved together: found by a walk over the heads of a source, held in memory as bytes.

use std::collections::BTreeSet;

use fjall::{Keyspace, Readable as _};
use granary_store::Result;

use super::Pace;
use crate::rows::{self, HeadRow, Place};
use crate::{Inner, engine, keys};

/// Heads that are walked over with one snapshot and without a rest.
const WALK_HEADS: usize = 4_096;

/// How far the walk over the heads of a source is: resources, then edges.
pub(super) struct Walk {
    source: u32,
    /// Which of the keyspaces is next,
    keyspace: usize,
    /// and the last key of it that was looked at.
    after: Option<Vec<u8>>,
}

/// A head to be moved.
pub(super) struct Found {
    pub(super) from: Place,
    /// Where its body is now; `None` where it could not be read.
    pub(super) to: Option<Place>,
    /// Which of the keyspaces it is in.
    keyspace: u8,
    key_at: u32,
    key_length: u16,
}

/// Heads to be moved, with their keys in one buffer.
#[derive(Default)]
pub(super) struct Window {
    keys: Vec<u8>,
    pub(super) heads: Vec<Found>,
}

impl Window {
    fn push(&mut self, keyspace: usize, key: &[u8], from: Place) {
        self.heads.push(Found {
            from,
            to: None,
            keyspace: keyspace as u8,
            key_at: self.keys.len() as u32,
            key_length: key.len() as u16,
        });
        self.keys.extend(key);
    }

    /// The keyspace of a head and its key.
    pub(super) fn key(&self, head: &Found) -> (usize, &[u8]) {
        let at = head.key_at as usize;
        (
            usize::from(head.keyspace),
            &self.keys[at..at + usize::from(head.key_length)],
        )
    }

    /// In the order of their places, so that each block is opened once.
    pub(super) fn sort_by_place(&mut self) {
        self.heads.sort_unstable_by_key(|head| place_of(head.from));
    }

    /// In the order of their keys, as they were found.
    pub(super) fn sort_by_key(&mut self) {
        self.heads.sort_unstable_by_key(|head| head.key_at);
    }
}

/// The numbers of a place in a segment.
pub(super) fn place_of(place: Place) -> (u32, u32, u32) {
    match place {
        Place::Segment {
            segment,
            block,
            offset,
        } => (segment, block, offset),
        Place::Nowhere | Place::Bodies => (0, 0, 0),
    }
}

impl Walk {
    pub(super) fn of(source: u32) -> Self {
        Self {
            source,
            keyspace: 0,
            after: None,
        }
    }

    /// The next heads that point into a victim, at most so many; none where the walk is over.
    ///
    /// Each stretch uses what is published then, so that no snapshot is held for long. That finds them all: the tasks of
    /// the victims have ended, so a head that does not point into one of them never will.
    pub(super) fn next(
        &mut self,
        inner: &Inner,
        victims: &BTreeSet<u32>,
        heads_max: usize,
        pace: &mut Pace<'_>,
    ) -> Result<Window> {
        let mut window = Window::default();
        while let Some(keyspace) = inner.pointing(self.keyspace) {
            if self.stretch(inner, keyspace, victims, heads_max, &mut window)? {
                (self.keyspace, self.after) = (self.keyspace + 1, None);
            }
            if window.heads.len() >= heads_max {
                break;
            }
            pace.go_on()?;
        }
        Ok(window)
    }

    /// Looks at the next heads; true once it has looked at all of the keyspace.
    fn stretch(
        &mut self,
        inner: &Inner,
        keyspace: &Keyspace,
        victims: &BTreeSet<u32>,
        heads_max: usize,
        window: &mut Window,
    ) -> Result<bool> {
        let prefix = self.source.to_be_bytes();
        let start = match self.after.take() {
            None => prefix.to_vec(),
            Some(after) => keys::after(after),
        };
        let shown = inner.sync.published();
        for (looked_at, row) in shown.range(keyspace, start..).enumerate() {
            let (key, value) = row.into_inner().map_err(engine)?;
            if !key.starts_with(&prefix) {
                return Ok(true);
            }
            let head: HeadRow = rows::decode(&value, "heads")?;
            if let Place::Segment { segment, .. } = head.place
                && victims.contains(&segment)
            {
                window.push(self.keyspace, &key, head.place);
            }
            if looked_at + 1 == WALK_HEADS || window.heads.len() >= heads_max {
                self.after = Some(key.to_vec());
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Inner {
    /// The keyspaces with heads that point into segments.
    pub(super) fn pointing(&self, keyspace: usize) -> Option<&Keyspace> {
        [&self.keyspaces.heads, &self.keyspaces.edges]
            .get(keyspace)
            .copied()
    }
}

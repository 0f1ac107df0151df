//! A run of operations: one buffer, and where each of them stands in it.

use memchr::memchr_iter;

use super::Place;

/// A run is given out once it has so many bytes,
pub(crate) const RUN_BYTES: usize = 256 * 1024;
/// or so many operations.
pub(crate) const RUN_OPERATIONS: usize = 1024;

/// Operations that follow each other in a body, with whatever stands between them.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// The place of the first operation.
    first: Place,
    bytes: Vec<u8>,
    pieces: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: usize,
    /// `None` for an operation over the limit, which is not held; it is the last of its run.
    end: Option<usize>,
}

/// One operation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The bytes of one JSON value, if it is one.
    Operation(&'a [u8]),
    /// It is larger than the limit on one operation.
    OverLimit,
}

impl Run {
    /// The index of its first operation.
    pub fn first(&self) -> u64 {
        self.first.operation
    }

    /// How many operations it has; never none.
    #[expect(clippy::len_without_is_empty, reason = "no run is empty")]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its operations in order.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Piece<'_>> {
        self.pieces.iter().map(|range| match range.end {
            Some(end) => Piece::Operation(&self.bytes[range.start..end]),
            None => Piece::OverLimit,
        })
    }

    /// The line of its operation `index`, counting on from what was counted for an operation before it: `counted` is a
    /// number of bytes and the line breaks in them.
    pub fn line(&self, index: usize, counted: &mut (usize, u64)) -> u64 {
        let start = self.pieces[index].start;
        if let Some(more) = self.bytes.get(counted.0..start) {
            *counted = (start, counted.1 + newlines(more));
        }
        self.first.line + counted.1
    }

    /// The place of the byte `at` of its operation `index`.
    pub fn place(&self, index: usize, at: usize) -> Place {
        let within = (self.pieces[index].start + at).min(self.bytes.len());
        Place {
            byte: self.first.byte + within as u64,
            line: self.first.line + newlines(&self.bytes[..within]),
            operation: self.first.operation + index as u64,
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Gathers operations into runs and keeps count of where in the body it is.
///
/// While the splitter walks over one input, places are indexes into that input; [`Gatherer::take_in`] then copies what
/// belongs to the run and moves on.
#[derive(Debug)]
pub(crate) struct Gatherer {
    operation_bytes_max: u64,
    /// The place of the first byte of the input. `operation` is the number of operations found.
    here: Place,
    run: Option<Run>,
    /// Where in the input the bytes start that are to be copied into the run.
    copy_from: usize,
    /// How many lines end before this byte of the input, as they were counted last.
    counted: (usize, u64),
    /// Where in the body the operation starts that has not ended.
    open_at: Option<u64>,
}

impl Gatherer {
    pub(crate) fn new(operation_bytes_max: u64) -> Self {
        Self {
            operation_bytes_max,
            here: Place {
                byte: 0,
                line: 1,
                operation: 0,
            },
            run: None,
            copy_from: 0,
            counted: (0, 0),
            open_at: None,
        }
    }

    /// The limit on one operation.
    pub(crate) fn operation_bytes_max(&self) -> usize {
        usize::try_from(self.operation_bytes_max).unwrap_or(usize::MAX)
    }

    /// The place of the first byte of the input.
    pub(crate) fn here(&self) -> Place {
        self.here
    }

    /// The place of the byte `at` of the input.
    pub(crate) fn place(&self, input: &[u8], at: usize) -> Place {
        self.behind(at, newlines(&input[..at]))
    }

    /// The same where places are asked for in their order: it counts on from the last.
    pub(crate) fn next_place(&mut self, input: &[u8], at: usize) -> Place {
        let (from, before) = match self.counted {
            (from, before) if from <= at => (from, before),
            _ => (0, 0),
        };
        let lines = before + newlines(&input[from..at]);
        self.counted = (at, lines);
        self.behind(at, lines)
    }

    /// The place so many bytes and lines behind the first of the input.
    fn behind(&self, bytes: usize, lines: u64) -> Place {
        Place {
            byte: self.here.byte + bytes as u64,
            line: self.here.line + lines,
            operation: self.here.operation,
        }
    }

    /// How many operations were found, not counting one that has not ended.
    pub(crate) fn found(&self) -> u64 {
        self.here.operation
    }

    /// An operation starts at `at`.
    pub(crate) fn open(&mut self, input: &[u8], at: usize) {
        self.open_at = Some(self.here.byte + at as u64);
        if self.run.is_none() {
            self.run = Some(Run {
                first: self.place(input, at),
                bytes: Vec::new(),
                pieces: Vec::new(),
            });
            self.copy_from = at;
        }
    }

    /// How long the open operation is, if it ends `blanks` before `at`.
    pub(crate) fn open_len(&self, at: usize, blanks: usize) -> u64 {
        let end = self.here.byte + at as u64 - blanks as u64;
        self.open_at.map_or(0, |start| end - start)
    }

    /// True where the open operation is over the limit, if it ends `blanks` before `at`.
    pub(crate) fn over_limit(&self, at: usize, blanks: usize) -> bool {
        self.open_len(at, blanks) > self.operation_bytes_max
    }

    /// The open operation ends `blanks` before `at`.
    pub(crate) fn close(&mut self, at: usize, blanks: usize) {
        let len = self.open_len(at, blanks) as usize;
        let (Some(start), Some(run)) = (self.open_at.take(), &mut self.run) else {
            return;
        };
        let start = (start - run.first.byte) as usize;
        run.pieces.push(Range {
            start,
            end: Some(start + len),
        });
        self.here.operation += 1;
    }

    /// The open operation is over the limit: it is not held, and the run ends with its mark.
    pub(crate) fn close_over_limit(&mut self, input: &[u8]) {
        let (Some(start), Some(run)) = (self.open_at.take(), &mut self.run) else {
            return;
        };
        let start_in_run = (start - run.first.byte) as usize;
        if let Some(in_input) = start.checked_sub(self.here.byte) {
            run.bytes
                .extend_from_slice(&input[self.copy_from..in_input as usize]);
        }
        run.bytes.truncate(start_in_run);
        run.pieces.push(Range {
            start: start_in_run,
            end: None,
        });
        self.here.operation += 1;
        self.copy_from = input.len();
    }

    /// The open operation as far as it goes: what is held of it and what stands in the input before `at`.
    pub(crate) fn open_bytes(&self, input: &[u8], at: usize) -> Vec<u8> {
        let (Some(start), Some(run)) = (self.open_at, &self.run) else {
            return Vec::new();
        };
        let held = run.bytes.get((start - run.first.byte) as usize..);
        let from = start.saturating_sub(self.here.byte) as usize;
        [held.unwrap_or_default(), &input[from..at]].concat()
    }

    /// True once the run should be given out, if `at` is between two operations.
    pub(crate) fn full(&self, at: usize) -> bool {
        self.run.as_ref().is_some_and(|run| {
            run.pieces.len() >= RUN_OPERATIONS || run.bytes.len() + (at - self.copy_from.min(at)) >= RUN_BYTES
        })
    }

    /// Copies what belongs to the run and moves on over the input up to `at`.
    pub(crate) fn take_in(&mut self, input: &[u8], at: usize) {
        if let Some(run) = &mut self.run {
            let own = &input[self.copy_from.min(at)..at];
            if run.bytes.capacity() == 0 && !own.is_empty() {
                run.bytes.reserve(RUN_BYTES + RUN_BYTES / 4);
            }
            run.bytes.extend_from_slice(own);
        }
        self.here = self.place(input, at);
        self.copy_from = 0;
        self.counted = (0, 0);
    }

    /// Ends the run, leaving out an operation that has not ended.
    pub(crate) fn cut(&mut self) -> Option<Run> {
        self.open_at = None;
        self.run.take().filter(|run| !run.pieces.is_empty())
    }
}

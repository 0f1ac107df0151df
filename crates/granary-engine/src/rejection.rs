//! The verdicts of a rejected bulk request, in constant memory, whatever their number.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use granary_core::error::ErrorObject;

use crate::scratch::{Scratch, ScratchReader};

/// The answer is written in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Which receipts the answer to a rejected request shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptsShown {
    /// One an operation, in their order.
    #[default]
    All,
    /// Only the failures, each with its `index`.
    Failures,
}

/// The failures of a request while it is being checked: for each its index, the length of its error, its error.
#[derive(Debug)]
pub(crate) struct Failures {
    scratch: Scratch,
    count: u64,
    /// So many carry their details.
    detailed_max: u64,
}

impl Failures {
    pub(crate) fn new(detailed_max: u64, scratch_dir: PathBuf, scratch_bytes: Arc<AtomicU64>) -> Self {
        Self {
            scratch: Scratch::new(scratch_dir, scratch_bytes),
            count: 0,
            detailed_max,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes in the next failure, in the order of the operations. True where it went to disk.
    pub(crate) async fn push(&mut self, index: u64, error: ErrorObject) -> io::Result<bool> {
        let error = if self.count < self.detailed_max {
            error
        } else {
            error.without_details()
        };
        self.count += 1;
        let tail = self.scratch.tail();
        tail.extend_from_slice(&index.to_le_bytes());
        let len_at = tail.len();
        tail.extend_from_slice(&[0; 8]);
        serde_json::to_writer(&mut *tail, &error)?;
        let len = (tail.len() - len_at - 8) as u64;
        tail[len_at..len_at + 8].copy_from_slice(&len.to_le_bytes());
        self.scratch.settle().await
    }

    /// The rejection of the request with these failures among its `operations`.
    pub(crate) fn reject(
        self,
        error: Option<ErrorObject>,
        operations: u64,
        shown: ReceiptsShown,
    ) -> io::Result<Rejection> {
        let mut rejection = Rejection {
            error,
            operations,
            failures: self.count,
            shown,
            part: Part::Head,
            unread: self.count,
            reader: self.scratch.into_reader()?,
            next_failure: None,
        };
        rejection.read_next_failure()?;
        Ok(rejection)
    }
}

/// A rejected bulk request: what is wrong with it as a whole and with which of its operations. Its answer is read
/// from it piece by piece.
pub struct Rejection {
    error: Option<ErrorObject>,
    operations: u64,
    failures: u64,
    shown: ReceiptsShown,
    part: Part,
    /// Failures that were not yet read back, but for `next_failure`.
    unread: u64,
    reader: ScratchReader,
    /// The failure that comes next: its index, and the length of its error, which the reader stands before.
    next_failure: Option<(u64, u64)>,
}

/// The part of the answer that comes next.
#[derive(Clone, Copy, Debug)]
enum Part {
    Head,
    /// The receipt of the operation with this index, or of the next failure from it on.
    Receipt(u64),
    Done,
}

impl std::fmt::Debug for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejection")
            .field("error", &self.error)
            .field("operations", &self.operations)
            .field("failures", &self.failures)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
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
        let full = out.len() + PIECE_BYTES;
        while out.len() < full {
            match self.part {
                Part::Head => {
                    out.extend_from_slice(br#"{"status":"REJECTED""#);
                    if let Some(error) = &self.error {
                        out.extend_from_slice(br#","error":"#);
                        serde_json::to_writer(&mut *out, error)?;
                    }
                    out.extend_from_slice(br#","receipts":["#);
                    self.part = Part::Receipt(0);
                }
                Part::Receipt(index) => self.write_receipt(index, out)?,
                Part::Done => return Ok(false),
            }
        }
        Ok(true)
    }

    fn write_receipt(&mut self, from: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let failure = self.next_failure;
        let index = match (self.shown, failure) {
            (ReceiptsShown::All, _) if from < self.operations => from,
            (ReceiptsShown::Failures, Some((index, _))) => index,
            _ => {
                out.extend_from_slice(b"]}");
                self.part = Part::Done;
                return Ok(());
            }
        };
        if from > 0 {
            out.push(b',');
        }
        out.push(b'{');
        if self.shown == ReceiptsShown::Failures {
            out.extend_from_slice(format!(r#""index":{index},"#).as_bytes());
        }
        match failure {
            Some((of, len)) if of == index => {
                out.extend_from_slice(br#""status":"FAILURE","error":"#);
                let read = self.reader.by_ref().take(len).read_to_end(out)?;
                if read as u64 != len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.read_next_failure()?;
            }
            _ => out.extend_from_slice(br#""status":"CANCELLED""#),
        }
        out.push(b'}');
        self.part = Part::Receipt(index + 1);
        Ok(())
    }

    fn read_next_failure(&mut self) -> io::Result<()> {
        self.next_failure = None;
        if self.unread > 0 {
            self.unread -= 1;
            let (mut index, mut len) = ([0; 8], [0; 8]);
            self.reader.read_exact(&mut index)?;
            self.reader.read_exact(&mut len)?;
            self.next_failure = Some((u64::from_le_bytes(index), u64::from_le_bytes(len)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use granary_core::error::{Detail, ErrorType};
    use serde_json::{Value, json};

    use super::*;

    fn error(index: u64) -> ErrorObject {
        let detail = Detail {
            error_type: ErrorType::InvalidArgument,
            message: "is required".into(),
            path: Some("/create/data/name".into()),
            rule: Some("required".into()),
        };
        ErrorObject::invalid(format!("fault of {index}")).with_details(vec![detail])
    }

    /// The answer, and the longest of its pieces.
    fn answer(mut rejection: Rejection) -> (Value, usize) {
        let (mut whole, mut longest) = (Vec::new(), 0);
        loop {
            let mut piece = Vec::new();
            let more = rejection.write_next(&mut piece).unwrap();
            longest = longest.max(piece.len());
            whole.extend(piece);
            if !more {
                return (serde_json::from_slice(&whole).unwrap(), longest);
            }
        }
    }

    #[tokio::test]
    async fn receipts_stand_in_the_order_of_the_operations() {
        for (shown, expected) in [
            (
                ReceiptsShown::All,
                json!([
                    {"status": "CANCELLED"},
                    {"status": "FAILURE", "error": error(1)},
                    {"status": "CANCELLED"},
                    {"status": "FAILURE", "error": error(3)},
                ]),
            ),
            (
                ReceiptsShown::Failures,
                json!([
                    {"index": 1, "status": "FAILURE", "error": error(1)},
                    {"index": 3, "status": "FAILURE", "error": error(3)},
                ]),
            ),
        ] {
            for request_error in [None, Some(ErrorObject::invalid("not JSON"))] {
                let mut failures = Failures::new(10, std::env::temp_dir(), Arc::default());
                for index in [1, 3] {
                    failures.push(index, error(index)).await.unwrap();
                }
                let rejection = failures.reject(request_error.clone(), 4, shown).unwrap();
                let mut whole = json!({"status": "REJECTED", "receipts": expected});
                if let Some(error) = request_error {
                    whole["error"] = json!(error);
                }
                assert_eq!(answer(rejection).0, whole);
            }
        }
    }

    #[tokio::test]
    async fn many_failures_go_to_disk_and_come_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let on_disk = Arc::new(AtomicU64::new(0));
        let mut failures = Failures::new(1_000, dir.path().into(), Arc::clone(&on_disk));
        let mut memory_max = 0;
        for index in 0..150_000 {
            failures.push(2 * index, error(index)).await.unwrap();
            memory_max = memory_max.max(failures.scratch.tail().capacity());
        }
        assert!(memory_max < 4 << 20, "{memory_max}");
        assert!(on_disk.load(Ordering::Relaxed) > 10 << 20);
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "the file has no name"
        );

        let rejection = failures.reject(None, 300_000, ReceiptsShown::All).unwrap();
        let (answer, longest) = answer(rejection);
        assert!(longest < 2 * PIECE_BYTES, "{longest}");
        let receipts = answer["receipts"].as_array().unwrap();
        assert_eq!(receipts.len(), 300_000);
        for (index, receipt) in receipts.iter().enumerate() {
            let index = index as u64;
            if index % 2 == 1 {
                assert_eq!(*receipt, json!({"status": "CANCELLED"}));
                continue;
            }
            let mut expected = error(index / 2);
            if index / 2 >= 1_000 {
                expected = expected.without_details();
                assert_eq!(expected.details_total, Some(1));
            }
            assert_eq!(receipt["error"], json!(expected));
        }
        assert_eq!(on_disk.load(Ordering::Relaxed), 0);
    }
}

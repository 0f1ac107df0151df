//! The way of a bulk request: split, check, spool, accept (`DESIGN`, section 2).

use bytes::Bytes;
use futures::Stream;
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::operation::TargetType;
use granary_store::StoredTask;

use crate::engine::Engine;
use crate::rejection::{ReceiptsShown, Rejection};

/// How the operations stand in the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFormat {
    /// `{"operations": […]}`.
    #[default]
    Json,
    /// One operation a line.
    Ndjson,
}

/// A bulk request without its body.
#[derive(Clone, Debug)]
pub struct BulkRequest {
    /// The source.
    pub source: Key,
    /// What its operations are on.
    pub target: TargetType,
    /// How they stand in the body.
    pub format: BodyFormat,
    /// True: check only, store nothing.
    pub validate_only: bool,
    /// Which receipts the answer shows if it is rejected.
    pub receipts: ReceiptsShown,
}

/// Why a body ends before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection broke off, or the length sent was not the length told.
    #[error("the body breaks off: {0}")]
    BrokenOff(String),
    /// It is not what its `Content-Encoding` says.
    #[error("the body cannot be decoded: {0}")]
    Undecodable(String),
    /// The call is answered with this, whatever was read.
    #[error("{0}")]
    Refused(ErrorObject),
}

/// What became of a bulk request.
#[derive(Debug)]
pub enum Intake {
    /// It is durable, and this task carries it out.
    Accepted(Box<StoredTask>),
    /// It would have been accepted (`validate_only`).
    Valid {
        /// How many operations it has.
        count: u64,
    },
    /// Something is wrong with it; nothing of it is stored.
    Rejected(Box<Rejection>),
}

impl Engine {
    /// Takes in a bulk request. An error is one of the call: no such source, over a limit, too much waiting, the
    /// store out of reach.
    ///
    /// Dropped half way it leaves nothing behind, until the body has been read whole; from then on the acceptance
    /// runs to its end even if nobody waits for it.
    pub async fn bulk(
        &self,
        request: BulkRequest,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<Intake, ErrorObject> {
        let _ = (request, body);
        Err(ErrorObject::new(ErrorType::Unimplemented, "not yet"))
    }
}

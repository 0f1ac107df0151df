//! Requests that are carried out once: those with an `Idempotency-Key` (contract, section 2).
//!
//! The store keeps the answer with what the request did, in one step, and has the last word. Before that, a name is
//! taken for as long as its request is in flight here, so that one sent twice at the same time is told so.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::error::ErrorObject;
use granary_core::idempotency::{Fingerprint, Fingerprinting, IdempotencyKey};
use granary_core::time::Timestamp;
use granary_store::{FirstAnswer, Idempotent, RequestName, Source, StoreError, StoredTask};

use crate::engine::{Engine, Inner};
use crate::error::error_object;
use crate::intake::BodyError;
use crate::lanes::lock;

/// What a client said so that its request is carried out once.
#[derive(Clone, Debug)]
pub struct Once {
    name: RequestName,
    print: Fingerprinting,
}

/// Names of requests that are in flight, by the number of their source.
pub(crate) type NamesInFlight = Mutex<HashSet<(u32, RequestName)>>;

/// A name that is taken; free again when this is dropped.
pub(crate) struct TakenName {
    inner: Arc<Inner>,
    of: (u32, RequestName),
}

impl Drop for TakenName {
    fn drop(&mut self) {
        lock(&self.inner.names).remove(&self.of);
    }
}

/// What is known of a request before it is carried out.
pub(crate) enum Known {
    /// Nobody has sent it before, as far as it is known.
    New(TakenName),
    /// It was carried out, and answered with this.
    Answered(FirstAnswer),
}

impl Engine {
    /// For a request to this path under this key, of this media type and with this query.
    pub fn once(&self, path: &str, key: IdempotencyKey, media_type: &str, query: &str) -> Once {
        Once {
            name: RequestName {
                path: path.to_owned(),
                key,
            },
            print: Fingerprinting::new(&self.inner.hash_key, media_type, query),
        }
    }

    /// Takes the name of a request; `ABORTED` where one of that name is in flight.
    pub(crate) async fn take_name(&self, source: &Source, once: &Once) -> Result<Known, ErrorObject> {
        let of = (source.number, once.name.clone());
        if !lock(&self.inner.names).insert(of.clone()) {
            return Err(ErrorObject::aborted(
                "a request with this Idempotency-Key is in flight; wait for its answer and send it again",
            ));
        }
        let taken = TakenName {
            inner: Arc::clone(&self.inner),
            of,
        };
        let since = self.answers_kept_since();
        let first = self.inner.store.first_answer(source, &once.name, since).await;
        Ok(match first.map_err(error_object)? {
            None => Known::New(taken),
            Some(answer) => Known::Answered(answer),
        })
    }

    /// Answers from before are kept no longer.
    pub(crate) fn answers_kept_since(&self) -> Timestamp {
        kept_since(&self.inner)
    }

    /// The task of a request that was carried out, as it is now.
    pub(crate) async fn task_of(
        &self,
        source: &Source,
        answer: &FirstAnswer,
    ) -> Result<Option<StoredTask>, ErrorObject> {
        let task = self.inner.store.task(source, answer.task_id.ksuid).await;
        task.map_err(error_object)
    }
}

pub(crate) fn kept_since(inner: &Inner) -> Timestamp {
    const HOUR: i64 = 3_600_000;
    let hours = i64::try_from(inner.limits.idempotency_key_hours).unwrap_or(i64::MAX);
    let now = inner.clock.now().millis();
    Timestamp::from_millis(now.saturating_sub(hours.saturating_mul(HOUR)))
}

impl Once {
    /// Takes in a piece of the body.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.print.feed(piece);
    }

    /// The same of a request whose body is at hand.
    pub fn with_body(mut self, body: &[u8]) -> Self {
        self.feed(body);
        self
    }

    fn fingerprint(&self) -> Fingerprint {
        self.print.finish()
    }

    /// What the store is to keep, once the body was read whole.
    pub(crate) fn to_keep(&self, status: u16, kept_since: Timestamp) -> Idempotent {
        Idempotent {
            name: self.name.clone(),
            fingerprint: self.fingerprint(),
            status,
            part: None,
            kept_since,
        }
    }

    /// The first answer once more, where the request is the same; else `ABORTED` with 422.
    pub(crate) fn replayed(&self, answer: FirstAnswer) -> Result<FirstAnswer, ErrorObject> {
        if answer.fingerprint == self.fingerprint() {
            return Ok(answer);
        }
        let message = "this Idempotency-Key was used for another request: its body, its query or its Content-Type was \
                       not this one; take a new key for a new request";
        Err(ErrorObject::aborted(message).with_code(422))
    }

    /// The same with a body that has not been read, and is of so many bytes at the most.
    pub(crate) async fn replayed_after(
        mut self,
        answer: FirstAnswer,
        mut body: Pin<&mut (impl Stream<Item = Result<Bytes, BodyError>> + Send)>,
        bytes_max: u64,
    ) -> Result<FirstAnswer, ErrorObject> {
        let mut count = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| match error {
                BodyError::Refused(error) => error,
                broken => ErrorObject::invalid(broken.to_string()),
            })?;
            count += piece.len() as u64;
            if count > bytes_max {
                let what = "the body of the bulk request";
                return Err(ErrorObject::over_limit(what, "bulkBodyBytes", bytes_max));
            }
            self.feed(&piece);
        }
        self.replayed(answer)
    }
}

/// The answer to a request that the store found carried out when it was to be, by another node or at the same moment.
pub(crate) fn found_answered(failure: StoreError, once: Option<&Once>) -> Result<FirstAnswer, ErrorObject> {
    match (failure, once) {
        (StoreError::Answered(answer), Some(once)) => once.replayed(*answer),
        (failure, _) => Err(error_object(failure)),
    }
}

/// What a request became is not there any more.
pub(crate) fn removed(answer: &FirstAnswer) -> ErrorObject {
    let id = answer.task_id;
    ErrorObject::not_found(format!(
        "the request was carried out as task {id}, which was removed since"
    ))
    .with_code(410)
}

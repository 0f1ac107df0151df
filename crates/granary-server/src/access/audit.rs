//! The audit log: a line for every change of schema or keys, for purges and cancels, in the log under the target
//! `granary::audit`. It names who did what to which name, and nothing of any record.

use axum::response::Response;
use granary_api::rights::Call;
use granary_core::error::ErrorObject;
use tracing::Instrument;

use super::Caller;
use crate::idempotency::IDEMPOTENCY_REPLAYED;
use crate::reply::Failure;
use crate::request::shortened;
use axum::response::IntoResponse;

/// What an answer says about itself for its line in the audit log, where the path of the call does not tell all.
#[derive(Clone, Debug)]
pub(crate) struct Audited(pub(crate) String);

/// Carries out a call that leaves a line in the audit log. It goes on when its caller has gone, so that nothing is done
/// without its line.
pub(crate) async fn followed(
    call: &'static Call,
    path: String,
    caller: Caller,
    request_id: String,
    carried_out: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let Some(action) = call.audited else {
        return carried_out.await;
    };
    let following = async move {
        let response = carried_out.await;
        // A replay has done nothing. Where the answer is a fault of ours, the change may have been made; and a part of it
        // was where an answer that says no tells of it.
        let replayed = response.headers().contains_key(IDEMPOTENCY_REPLAYED);
        let told = response.extensions().get::<Audited>().is_some();
        if !replayed && (told || !response.status().is_client_error()) {
            line(action, &path, &caller, &request_id, &response);
        }
        response
    };
    tokio::spawn(following.in_current_span())
        .await
        .unwrap_or_else(|_| Failure(ErrorObject::internal()).into_response())
}

fn line(action: &str, path: &str, caller: &Caller, request_id: &str, response: &Response) {
    let (key, id) = match caller {
        Caller::Anyone => (None, None),
        Caller::Holder(key) => (Some(key.label()), Some(key.id.to_string())),
    };
    tracing::info!(
        target: "granary::audit",
        {
            request.id = request_id,
            // Without keys it is whoever is on this machine.
            key.name = key,
            key.id = id,
            path = shortened(path),
            what = response.extensions().get::<Audited>().map(|what| what.0.as_str()),
            status = response.status().as_u16(),
        },
        "{action}"
    );
}

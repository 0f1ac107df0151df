//! What every call goes through: a request id, a line in the log, who may call, and refusals of what is not served.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONNECTION, IF_MATCH, IF_NONE_MATCH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use granary_api::rights::Call;
use granary_core::access::ApiKey;
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;
use granary_engine::{Clock as _, SystemClock};
use tracing::Instrument;

use crate::access::{self, Caller};
use crate::coding::{self, coding_of, encoded};
use crate::idempotency::IDEMPOTENCY_KEY;
use crate::linger::lingering;
use crate::reply::Failure;
use crate::request::shortened;
use crate::{App, Calls};
use crate::{routes, trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_LEN_MAX: usize = 128;
/// Headers that change what a write means, and are understood by some paths: ignoring one would break its promise.
const PROMISES: [HeaderName; 3] = [IDEMPOTENCY_KEY, IF_MATCH, IF_NONE_MATCH];

pub(crate) fn around(routes: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), each_call))
}

async fn no_such_path(State(app): State<Arc<App>>, request: Request) -> Failure {
    if app.calls == Calls::Health {
        let message =
            "this server only carries out tasks (its role is worker); send the call to one that takes it in";
        return Failure(ErrorObject::new(ErrorType::Unavailable, message));
    }
    Failure(ErrorObject::not_found(format!(
        "there is no path '{}'",
        shortened(request.uri().path())
    )))
}

async fn no_such_method(request: Request) -> Failure {
    let message = format!(
        "the path '{}' has no method {}",
        shortened(request.uri().path()),
        shortened(request.method().as_str())
    );
    Failure(ErrorObject::new(ErrorType::Unimplemented, message).with_code(405))
}

/// Gives a call its id and its spans: one whose id all lines of the log about the call carry, and one for its trace.
async fn each_call(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = request_id(app.engine.clock().now(), request.headers());
    // The path as it is routed: the path as sent may hold ids of records.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let request_id = id.to_str().unwrap_or("-");
    // Of the highest level, so that it is there where any line is.
    let span = tracing::error_span!(target: "granary::request", "request", request.id = request_id);
    let trace = { &span }
        .in_scope(|| trace::of_call(request.method(), route.as_deref(), request_id, request.headers()));
    let answered = answered(app, request, next, id, route);
    answered.instrument(trace).instrument(span).await
}

async fn answered(
    app: Arc<App>,
    request: Request,
    next: Next,
    id: HeaderValue,
    route: Option<String>,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let mut request = lingering(request);
    // What is not taken in here at all is not looked at.
    let looked_at = app.calls == Calls::All || route.is_some();
    let refused = looked_at.then(|| refused(&method, route.as_deref(), request.headers()));
    let caller = access::let_in(&app, &mut request, route.as_deref()).await;
    let asked = request.headers().get_all(ACCEPT_ENCODING);
    let asked: HeaderMap = asked.iter().map(|line| (ACCEPT_ENCODING, line.clone())).collect();
    let unknown_coding = coding_of(request.headers()).is_err();
    let response = match (caller, refused.flatten()) {
        (Err(error), _) | (Ok(_), Some(error)) => Failure(error).into_response(),
        (Ok(caller), None) => {
            request.extensions_mut().insert(caller.clone());
            // Whoever reads its body asks whether others wait.
            request.extensions_mut().insert(app.engine.clone());
            carried_out(caller, &id, route.as_deref(), request, next).await
        }
    };
    let mut response = encoded(&asked, response);
    if unknown_coding && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // Only where the coding is to blame and not the type (RFC 9110, section 12.5.3).
        response
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::KNOWN));
    }
    if app.stop.begun() {
        // The next call goes where it is taken.
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, route) = (response.status().as_u16(), route.as_deref().unwrap_or("-"));
    let elapsed = started.elapsed();
    app.metrics.call(&method, route, status, elapsed);
    let elapsed_ms = elapsed.as_millis() as u64;
    if status >= 500 {
        tracing::warn!(%method, route, status, elapsed_ms, "call failed");
    } else {
        tracing::debug!(%method, route, status, elapsed_ms, "call");
    }
    trace::answered(status);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Carries out a call, and sees to its line in the audit log where it leaves one.
async fn carried_out(
    caller: Caller,
    id: &HeaderValue,
    route: Option<&str>,
    request: Request,
    next: Next,
) -> Response {
    let call = route.and_then(|route| Call::find(request.method().as_str(), route));
    match call.filter(|call| call.audited.is_some()) {
        None => run(request, next).await,
        Some(call) => {
            let path = request.uri().path().to_owned();
            let id = id.to_str().unwrap_or("-").to_owned();
            access::followed(call, path, caller, id, run(request, next)).await
        }
    }
}

/// A handler that panics has met a fault of ours: its caller is told so, and the connection goes on.
async fn run(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Failure(ErrorObject::internal()).into_response(),
    }
}

/// What is answered without being carried out, such as the preflight of CORS, has an id as well.
pub(crate) async fn with_id(request: Request, next: Next) -> Response {
    let id = request_id(SystemClock::default().now(), request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response
}

/// What calls go through while the server starts: an answer has its id, and is the last of its connection, which the server takes
/// anew once it serves.
pub(crate) async fn while_starting(request: Request, next: Next) -> Response {
    let id = request_id(SystemClock::default().now(), request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The id that was sent, if it is one; else a new one.
fn request_id(now: Timestamp, headers: &HeaderMap) -> HeaderValue {
    let legal = |id: &&HeaderValue| {
        // A key that was sent in the wrong header does not go to the log.
        (1..=REQUEST_ID_LEN_MAX).contains(&id.len())
            && id.as_bytes().iter().all(u8::is_ascii_graphic)
            && !id.as_bytes().starts_with(ApiKey::PREFIX.as_bytes())
    };
    if let Some(sent) = headers.get(REQUEST_ID).filter(legal) {
        return sent.clone();
    }
    let mut random = [0; 16];
    // Without randomness ids repeat; that is no reason to refuse the call.
    let _ = getrandom::fill(&mut random);
    let id = Ksuid::from_parts(now, random).to_text();
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("-"))
}

fn refused(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Option<ErrorObject> {
    if !matches!(
        *method,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    ) {
        return None;
    }
    // A path that is none is refused as such, and so is a method that the path has not.
    if route.is_some_and(|path| !routes::takes(path, method.as_str())) {
        return None;
    }
    // Taking off another coding than chunks is not known (RFC 9112, section 6.1).
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first_is_other = codings
        .next()
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if route.is_some() && (first_is_other || codings.next().is_some()) {
        let message = "a body comes in chunks or with its length; compress it by Content-Encoding, not by Transfer-Encoding";
        return Some(ErrorObject::new(ErrorType::Unimplemented, message));
    }
    let conditional = route.is_none_or(routes::conditional);
    let once = route.is_none_or(|path| *method == Method::POST && routes::once(path));
    let is_kept = |name: &HeaderName| match *name == IDEMPOTENCY_KEY {
        true => once,
        false => conditional,
    };
    let broken = |name: &HeaderName| headers.contains_key(name) && !is_kept(name);
    let header = PROMISES.into_iter().find(broken)?;
    let message = format!("the header {header} is not supported here; leave it out");
    Some(ErrorObject::new(ErrorType::Unimplemented, message))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_is_a_fault_of_ours_and_shows_nothing_of_the_inside() {
        async fn broken() -> Failure {
            panic!("on purpose")
        }
        let app = Router::new()
            .route("/", get(broken))
            .layer(middleware::from_fn(run));
        let answer = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), 500);
        let body = to_bytes(answer.into_body(), 1_000).await.unwrap();
        let error: ErrorObject = serde_json::from_slice(&body).unwrap();
        assert_eq!(error.error_type, ErrorType::Internal);
        assert!(!error.message.contains("on purpose"));
    }
}

//! `/openapi.json` and `/docs`: the description of the API, and a page that shows it. The page is three files of ours, and
//! loads nothing from elsewhere.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use granary_api::description::COMMITTED;
use granary_core::error::ErrorObject;

use crate::reply::{Reply, raw_json, typed, with_header};
use crate::request::{Path, shortened};

/// What the page may load and do: what this server serves, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const SAFE: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // Another version of the server has another description.
    (CACHE_CONTROL, "no-cache"),
];

/// The files that the page is made of, beside itself.
const FILES: [(&str, &str, &str); 2] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page.css")),
    (
        "page.js",
        "text/javascript; charset=utf-8",
        include_str!("page.js"),
    ),
];

pub(crate) async fn show() -> Reply {
    let answer = raw_json(StatusCode::OK, COMMITTED);
    Ok(with_header(answer, CACHE_CONTROL, "no-cache"))
}

pub(crate) async fn page() -> Reply {
    Ok(safe("text/html; charset=utf-8", include_str!("page.html")))
}

pub(crate) async fn file(Path(name): Path<String>) -> Reply {
    let found = FILES.into_iter().find(|(known, ..)| *known == name);
    let (_, media_type, text) = found
        .ok_or_else(|| ErrorObject::not_found(format!("the page has no file '{}'", shortened(&name))))?;
    Ok(safe(media_type, text))
}

fn safe(media_type: &'static str, text: &'static str) -> Response {
    let answer = typed(StatusCode::OK, media_type, text);
    SAFE.into_iter()
        .fold(answer, |answer, (name, value)| with_header(answer, name, value))
}

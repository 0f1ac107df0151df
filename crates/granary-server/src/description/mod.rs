//! `/openapi.json` and `/docs`: the description of the API, and a page that shows it.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use granary_api::description::COMMITTED;
use granary_core::error::ErrorObject;

use crate::pages::{HTML, PageFile, SCRIPT, STYLE};
use crate::reply::{Reply, raw_json, with_header};
use crate::request::{Path, shortened};

const PAGE: PageFile = PageFile {
    path: "page.html",
    media_type: HTML,
    text: include_str!("page.html"),
};
/// What the page loads.
const FILES: &[PageFile] = &[
    PageFile {
        path: "page.css",
        media_type: STYLE,
        text: include_str!("page.css"),
    },
    PageFile {
        path: "page.js",
        media_type: SCRIPT,
        text: include_str!("page.js"),
    },
];

pub(crate) async fn show() -> Reply {
    let answer = raw_json(StatusCode::OK, COMMITTED);
    // Another version of the server has another description.
    Ok(with_header(answer, CACHE_CONTROL, "no-cache"))
}

pub(crate) async fn page(headers: HeaderMap) -> Reply {
    Ok(PAGE.answer(&headers))
}

pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Reply {
    match PageFile::find(FILES, &name) {
        Some(file) => Ok(file.answer(&headers)),
        None => Err(ErrorObject::not_found(format!("the page has no file '{}'", shortened(&name))).into()),
    }
}

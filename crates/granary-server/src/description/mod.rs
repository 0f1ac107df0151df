//! `/openapi.json` and `/docs`: the description of the API, and a page that shows it.

use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use granary_api::description::COMMITTED;
use granary_core::error::ErrorObject;

use crate::assets::{Asset, HTML, SCRIPT, STYLE};
use crate::conditions::Conditions;
use crate::reply::{Reply, raw_json, with_header};
use crate::request::{Path, shortened};

const PAGE: Asset = Asset {
    path: "page.html",
    media_type: HTML,
    text: include_str!("page.html"),
};
/// What the page loads.
const ASSETS: &[Asset] = &[
    Asset {
        path: "page.css",
        media_type: STYLE,
        text: include_str!("page.css"),
    },
    Asset {
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

pub(crate) async fn page(conditions: Conditions) -> Reply {
    PAGE.answer(conditions)
}

pub(crate) async fn file(Path(name): Path<String>, conditions: Conditions) -> Reply {
    match Asset::find(ASSETS, &name) {
        Some(asset) => asset.answer(conditions),
        None => Err(ErrorObject::not_found(format!("the page has no file '{}'", shortened(&name))).into()),
    }
}

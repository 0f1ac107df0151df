//! `/` and `/console/…`: the console, a page that speaks the same calls as everybody else. Its files are those of the
//! folder `console`, compiled in as they are. They tell nothing of any source, so no key is asked for.

use std::hash::{DefaultHasher, Hasher};

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use granary_core::error::ErrorObject;

use crate::reply::{Reply, with_header};
use crate::request::shortened;

/// What the page may load, run and call: its own files and its own server. It is in no frame, and it never turns text
/// into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the console.
struct Asset {
    /// Its path in the folder `console`.
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($media_type:ident $path:literal)+) => {
        &[$(Asset {
            path: $path,
            media_type: $media_type,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../console/", $path)),
        }),+]
    };
}

/// The page, and what it loads.
const ASSETS: &[Asset] = assets! {
    HTML "index.html"
    PICTURE "icon.svg"
    STYLE "css/base.css"
    STYLE "css/views.css"
    SCRIPT "js/theme.js"
    SCRIPT "js/main.js"
    SCRIPT "js/api.js"
    SCRIPT "js/streams.js"
    SCRIPT "js/dom.js"
    SCRIPT "js/parts.js"
    SCRIPT "js/router.js"
    SCRIPT "js/json.js"
    SCRIPT "js/marks.js"
    SCRIPT "js/reasons.js"
    SCRIPT "js/chart.js"
    SCRIPT "js/graph.js"
    SCRIPT "js/files.js"
    SCRIPT "js/csv.js"
    SCRIPT "js/count.js"
    SCRIPT "js/views/overview.js"
    SCRIPT "js/views/source.js"
    SCRIPT "js/views/definition.js"
    SCRIPT "js/views/editor.js"
    SCRIPT "js/views/data.js"
    SCRIPT "js/views/record.js"
    SCRIPT "js/views/edges.js"
    SCRIPT "js/views/tasks.js"
    SCRIPT "js/views/task.js"
    SCRIPT "js/views/failures.js"
    SCRIPT "js/views/upload.js"
    SCRIPT "js/views/checked.js"
};

impl Asset {
    fn find(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// A tag that changes with the text.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.text.as_bytes());
        format!("\"{:016x}\"", hasher.finish())
    }

    /// The file, or that the browser has it already: it asks each time, so that after an upgrade no old file is left.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = self.tag();
        let has_it = headers
            .get(IF_NONE_MATCH)
            .and_then(|tags| tags.to_str().ok())
            .is_some_and(|tags| tags.split(',').any(|one| one.trim() == tag));
        let mut response = match has_it {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => self.text.into_response(),
        };
        let headers = response.headers_mut();
        let fixed: [(HeaderName, &'static str); 5] = [
            (CONTENT_TYPE, self.media_type),
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        with_header(response, ETAG, &tag)
    }
}

/// The page.
pub(crate) async fn page(headers: HeaderMap) -> Reply {
    answer("index.html", &headers)
}

/// What the page loads.
pub(crate) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Reply {
    answer(&path, &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Reply {
    match Asset::find(path) {
        Some(asset) => Ok(asset.answer(headers)),
        None => {
            let message = format!("the console has no file '{}'", shortened(path));
            Err(ErrorObject::not_found(message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, under: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{under}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true if name == "tests" => {}
                true => files(&entry.path(), &format!("{name}/"), found),
                false => assert!(found.insert(name)),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_has_a_tag_of_its_own() {
        let mut found = BTreeSet::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../console");
        files(Path::new(folder), "", &mut found);
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(served, found);
        let tags: BTreeSet<String> = ASSETS.iter().map(Asset::tag).collect();
        assert_eq!(tags.len(), ASSETS.len());
    }

    #[test]
    fn the_type_of_a_file_is_that_of_its_name() {
        for Asset { path, media_type, .. } in ASSETS {
            let expected = match path.rsplit_once('.').unwrap().1 {
                "html" => HTML,
                "css" => STYLE,
                "js" => SCRIPT,
                "svg" => PICTURE,
                other => panic!("{other}"),
            };
            assert_eq!(*media_type, expected, "{path}");
        }
    }

    /// Contents of records are text. The browser is told so as well (`require-trusted-types-for`).
    #[test]
    fn nothing_in_the_console_turns_text_into_markup_or_code() {
        for Asset { path, text, .. } in ASSETS.iter().filter(|asset| asset.media_type == SCRIPT) {
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "setAttribute('style'",
                "DOMParser",
                "createContextualFragment",
            ] {
                assert!(!text.contains(sink), "{path}: {sink}");
            }
        }
    }
}

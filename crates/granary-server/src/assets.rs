//! Static assets: the files of the console and of the page that shows the description of the API, compiled in as they are.
//! They tell nothing of any source, so no key is asked for.

use std::hash::{DefaultHasher, Hasher};

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};

use crate::conditions::Conditions;
use crate::reply::{Reply, typed};

/// What a page may load, run and call: its own files and its own server. It is in no frame, and it never turns text
/// into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const STYLE: &str = "text/css; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(crate) const PICTURE: &str = "image/svg+xml";

/// A file that is answered as it is.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path below that of the page that loads it.
    pub(crate) path: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) text: &'static str,
}

impl Asset {
    /// The asset of this path.
    pub(crate) fn find(assets: &'static [Self], path: &str) -> Option<&'static Self> {
        assets.iter().find(|asset| asset.path == path)
    }

    /// A tag that changes with the text, without its quotes.
    pub(crate) fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.text.as_bytes());
        format!("{:016x}", hasher.finish())
    }

    /// The asset, or that the browser has it already: it asks each time, so that after an upgrade no old file is left.
    pub(crate) fn answer(&self, conditions: Conditions) -> Reply {
        let mut response =
            conditions.answer(&self.tag(), || typed(StatusCode::OK, self.media_type, self.text))?;
        let fixed: [(HeaderName, &'static str); 4] = [
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in fixed {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }
}

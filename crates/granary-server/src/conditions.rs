//! What a call expects of what is stored: `If-Match` and `If-None-Match` (RFC 9110, section 13; contract, section 2).

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use granary_core::error::{ErrorObject, ErrorType};
use granary_engine::Expected;

use crate::reply::{Failure, Reply, with_header};

/// The conditions of a call.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    matches: Option<Tags>,
    none_matches: Option<Tags>,
}

/// The value of one of the two headers.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    weak: bool,
    /// What stands between the quotes.
    opaque: String,
}

impl<S: Sync> FromRequestParts<S> for Conditions {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self {
            matches: header(&parts.headers, IF_MATCH)?,
            none_matches: header(&parts.headers, IF_NONE_MATCH)?,
        })
    }
}

impl Conditions {
    /// What a write expects: both conditions, where both are given.
    pub(crate) fn of_write(self) -> Result<Expected, ErrorObject> {
        let absent = match self.none_matches {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(_)) => {
                let message =
                    "a write takes If-None-Match with * alone; name the state it is to change in If-Match";
                return Err(ErrorObject::new(ErrorType::Unimplemented, message));
            }
        };
        Ok(match (self.matches, absent) {
            (None, false) => Expected::Anything,
            (None, true) => Expected::Absent,
            // Nothing both exists and does not.
            (Some(_), true) => Expected::OneOf(Vec::new()),
            (Some(Tags::Any), false) => Expected::Exists,
            (Some(Tags::These(tags)), false) => {
                let strong = tags.into_iter().filter(|tag| !tag.weak);
                Expected::OneOf(strong.map(|tag| tag.opaque).collect())
            }
        })
    }

    /// The answer of a read of what has this tag now: `whole`, or that it is not another one.
    pub(crate) fn answer(self, tag: &str, whole: impl FnOnce() -> Response) -> Reply {
        let strong = |known: &EntityTag| !known.weak && known.opaque == tag;
        if let Some(Tags::These(tags)) = &self.matches
            && !tags.iter().any(strong)
        {
            let message = "it was changed; read it and decide again";
            return Err(ErrorObject::failed_precondition(message).with_code(412).into());
        }
        let answer = match &self.none_matches {
            Some(Tags::Any) => not_modified(),
            Some(Tags::These(tags)) if tags.iter().any(|known| known.opaque == tag) => not_modified(),
            _ => whole(),
        };
        Ok(tagged(answer, tag))
    }
}

fn not_modified() -> Response {
    StatusCode::NOT_MODIFIED.into_response()
}

/// The answer with its `ETag`.
pub(crate) fn tagged(answer: Response, tag: &str) -> Response {
    with_header(answer, ETAG, &format!("\"{tag}\""))
}

fn header(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, ErrorObject> {
    let mut lines = headers.get_all(&name).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for line in lines {
        let tags = line.to_str().ok().and_then(parse);
        found.push(tags.ok_or_else(|| {
            let message =
                format!("the header {name} is not valid: it is * or a list of tags, each in double quotes");
            ErrorObject::invalid(message)
        })?);
    }
    let mut all = Vec::new();
    let alone = found.len() == 1;
    for tags in found {
        match tags {
            Tags::Any if alone => return Ok(Some(Tags::Any)),
            Tags::Any => {
                return Err(ErrorObject::invalid(format!(
                    "the header {name} is not valid: * stands alone"
                )));
            }
            Tags::These(tags) => all.extend(tags),
        }
    }
    Ok(Some(Tags::These(all)))
}

/// Reads `*`, or tags with commas between them.
fn parse(raw: &str) -> Option<Tags> {
    if raw.trim_matches([' ', '\t']) == "*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    let mut rest = raw;
    loop {
        // A list may have empty elements (RFC 9110, section 5.6.1).
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(Tags::These(tags));
        }
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !opaque.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        tags.push(EntityTag {
            weak,
            opaque: opaque.to_owned(),
        });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_are_written() {
        let tag = |weak, opaque: &str| EntityTag {
            weak,
            opaque: opaque.to_owned(),
        };
        for (raw, expected) in [
            ("*", Tags::Any),
            (" * ", Tags::Any),
            (r#""""#, Tags::These(vec![tag(false, "")])),
            (r#""1-2""#, Tags::These(vec![tag(false, "1-2")])),
            ("\"1-2\",, ", Tags::These(vec![tag(false, "1-2")])),
            (
                "\"a,b\" ,\tW/\"c\"",
                Tags::These(vec![tag(false, "a,b"), tag(true, "c")]),
            ),
        ] {
            assert_eq!(parse(raw), Some(expected), "{raw}");
        }
        for bad in [
            "",
            "1-2",
            "\"",
            "\"1",
            "1\"",
            "\"1\"\"2\"",
            "\"1\",*",
            "*,\"1\"",
            "w/\"1\"",
            "W/",
            "\"a b\"",
            ",",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}

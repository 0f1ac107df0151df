//! What stands in paths and headers, both ways.

use granary_core::idempotency::IdempotencyKey;
use granary_core::keys::{ConceptCode, Key};
use granary_core::ksuid::Ksuid;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Headers of requests: the name in the components, the name on the wire, what it is for, its schema, an example.
fn sent() -> [(&'static str, &'static str, &'static str, Value, Value); 10] {
    let text = || json!({"type": "string"});
    let tags = "A list of tags, each in double quotes, or `*` for any.";
    [
        (
            "XRequestId",
            "X-Request-Id",
            "Names the call in the log of the server, and comes back: 1 to 128 visible ASCII characters. One that is not so is \
             replaced.",
            text(),
            "2eVocVVgjAWYJ74DifXluwVtSYs".into(),
        ),
        (
            "AcceptEncoding",
            "Accept-Encoding",
            "In which codings the answer may come: `gzip` and `zstd` are there.",
            text(),
            "zstd, gzip".into(),
        ),
        (
            "ContentEncoding",
            "Content-Encoding",
            "How the body is encoded: `gzip`, `zstd`, or not at all.",
            json!({"type": "string", "enum": ["gzip", "zstd", "identity"]}),
            "gzip".into(),
        ),
        (
            "IdempotencyKey",
            "Idempotency-Key",
            "Names the request, so that the same one once more starts nothing and is answered as the first was: a random UUID for \
             one. It is kept for 24 hours at least.",
            json!({
                "type": "string", "minLength": 1, "maxLength": IdempotencyKey::LEN_MAX, "pattern": "^[!-~]+$",
            }),
            "5f0c3c1e-6b0a-4d53-9b0e-1c1b8f2f3a57".into(),
        ),
        (
            "IfMatch",
            "If-Match",
            "The write takes effect only where the state that is stored has one of these tags. A list of tags, each in double \
             quotes, or `*` for any.",
            text(),
            "\"1-1\"".into(),
        ),
        (
            "IfNoneMatchAny",
            "If-None-Match",
            "With `*` the write takes effect only where nothing is stored. Tags are not taken here.",
            json!({"type": "string", "pattern": "^\\*$"}),
            "*".into(),
        ),
        ("IfMatchRead", "If-Match", tags, text(), "\"1-1\"".into()),
        (
            "IfNoneMatch",
            "If-None-Match",
            "The answer is 304 where what is stored has one of these tags. A list of tags, each in double quotes, or `*` for any.",
            text(),
            "\"1-1\"".into(),
        ),
        (
            "Prefer",
            "Prefer",
            "`wait=N`: the answer comes as soon as the task has ended, or after N seconds; 60 at most count (limit `waitSeconds`).",
            text(),
            "wait=30".into(),
        ),
        (
            "LastEventId",
            "Last-Event-ID",
            "The `id` of the last event that was seen: the stream goes on behind it.",
            text(),
            "7".into(),
        ),
    ]
}

/// Headers of answers: the name in the components, the name on the wire, what it is for, whether it is always there, an
/// example.
const ANSWERED: [(&str, &str, &str, bool, &str); 19] = [
    (
        "XRequestId",
        "X-Request-Id",
        "Names the call in the log of the server: as it was sent, or made.",
        true,
        "2eVocVVgjAWYJ74DifXluwVtSYs",
    ),
    (
        "ContentEncoding",
        "Content-Encoding",
        "How the body is encoded, where `Accept-Encoding` let it.",
        false,
        "zstd",
    ),
    (
        "Vary",
        "Vary",
        "What the answer depends on beside the URL.",
        false,
        "Accept-Encoding",
    ),
    (
        "ETag",
        "ETag",
        "The tag of this state, which no other state ever had.",
        true,
        "\"1-1\"",
    ),
    (
        "ETagOfRecord",
        "ETag",
        "The tag of the record as it is now, where there is one.",
        false,
        "\"1-1\"",
    ),
    (
        "Location",
        "Location",
        "The path at which it is read.",
        true,
        "/sources/clinic/v1/resources/bulk/bk_2eVocVVgjAWYJ74DifXluwVtSYs",
    ),
    (
        "LocationOfRecord",
        "Location",
        "The path at which the record is read, where there is one.",
        false,
        "/sources/clinic/v1/resources/provider/john-doe",
    ),
    (
        "LocationOfTask",
        "Location",
        "The path at which the task is read, where there is one.",
        false,
        "/sources/clinic/v1/resources/bulk/bk_2eVocVVgjAWYJ74DifXluwVtSYs",
    ),
    (
        "Link",
        "Link",
        "The path of the next page, `rel=\"next\"`; absent at the end.",
        false,
        "</sources/clinic/v1/tasks?cursor=dGFza3M>; rel=\"next\"",
    ),
    (
        "PreferenceApplied",
        "Preference-Applied",
        "`wait` where `Prefer: wait` was sent.",
        false,
        "wait",
    ),
    (
        "IdempotencyReplayed",
        "Idempotency-Replayed",
        "`true` where the request was carried out before under its key, and this one started nothing.",
        false,
        "true",
    ),
    (
        "CacheControl",
        "Cache-Control",
        "Whether the answer may be kept.",
        true,
        "no-store",
    ),
    (
        "ContentTypeOptions",
        "X-Content-Type-Options",
        "Says that the media type is the one that is told.",
        true,
        "nosniff",
    ),
    (
        "ReferrerPolicy",
        "Referrer-Policy",
        "Says that other sites are not told of the page.",
        true,
        "no-referrer",
    ),
    (
        "RetryAfter",
        "Retry-After",
        "After how many seconds the call may be sent again.",
        true,
        "1",
    ),
    ("Allow", "Allow", "The methods that the path has.", true, "POST"),
    (
        "WWWAuthenticate",
        "WWW-Authenticate",
        "How a key is sent.",
        true,
        "Bearer realm=\"granary\"",
    ),
    (
        "AcceptEncoding",
        "Accept-Encoding",
        "The codings that are known, where that of the body is not.",
        false,
        "gzip, zstd",
    ),
    (
        "ContentSecurityPolicy",
        "Content-Security-Policy",
        "What the page may load: what this server serves.",
        true,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    ),
];

/// The name on the wire of a header of answers.
pub(super) fn header_name(component: &str) -> &'static str {
    let row = ANSWERED.iter().find(|row| row.0 == component);
    row.map_or("", |row| row.1)
}

/// `components/parameters`.
pub(super) fn parameters() -> Map<String, Value> {
    let one = |(component, name, description, schema, example): (&str, &str, &str, Value, Value)| {
        let parameter = json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
            "example": example,
        });
        (component.to_owned(), parameter)
    };
    sent().into_iter().map(one).collect()
}

/// `components/headers`.
pub(super) fn headers() -> Map<String, Value> {
    let one = |(component, _, description, required, example): &(&str, &str, &str, bool, &str)| {
        let schema = match *component {
            "RetryAfter" => json!({"type": "integer", "minimum": 0}),
            _ => json!({"type": "string"}),
        };
        let example = match *component {
            "RetryAfter" => 1.into(),
            _ => Value::from(*example),
        };
        let header = json!({
            "description": description, "required": required, "schema": schema, "example": example,
        });
        ((*component).to_owned(), header)
    };
    ANSWERED.iter().map(one).collect()
}

/// What a name in a path stands for, its schema, and an example.
pub(super) fn in_path(method: &str, path: &str, name: &str) -> (&'static str, Value, &'static str) {
    let key = || Key::json_schema(&mut SchemaGenerator::default()).to_value();
    let text = || json!({"type": "string", "minLength": 1});
    match name {
        "source" => ("The key of a source.", key(), "clinic"),
        "type" if path.contains("/relationships/") => (
            "The type: the key of a relationship definition.",
            key(),
            "worksAt",
        ),
        "type" => ("The type: the key of a ROOT profile.", key(), "provider"),
        "key" if path.contains("/profiles/") => ("The key of a profile.", key(), "provider"),
        "key" if path.contains("/vocabularies/") => ("The key of a vocabulary.", key(), "specialities"),
        "file" => ("The name of the file.", text(), "page.js"),
        "key" => ("The key of a relationship definition.", key(), "worksAt"),
        "code" => (
            "The code of a concept.",
            json!({"type": "string", "minLength": 1, "maxLength": ConceptCode::BYTES_MAX}),
            "pharmacist",
        ),
        "containKey" => ("The contain key.", key(), "qualifications"),
        "nestedKey" => ("The contain key inside the contained resource.", key(), "notes"),
        "containedId" => ("The id of a contained resource.", text(), "q1"),
        "nestedId" => (
            "The id of a contained resource inside the contained resource.",
            text(),
            "n1",
        ),
        "id" if path.starts_with("/access/") => {
            ("The id of an API key.", text(), "2eVocVVgjAWYJ74DifXluwVtSYs")
        }
        "id" if path.contains("/tasks/") || path.contains("/bulk/") || path.contains("/purge/") => (
            "The id of a task, with or without its prefix.",
            json!({"type": "string", "pattern": format!("^((bk|s|bd|pg)_)?[0-9A-Za-z]{{{}}}$", Ksuid::LEN)}),
            "bk_2eVocVVgjAWYJ74DifXluwVtSYs",
        ),
        "id" if path.contains("/relationships/") => (
            "The id of a relationship: those of its ends joined by a dot.",
            text(),
            "john-doe.north",
        ),
        "id" if method == "GET" && path.ends_with("/{id}") => (
            "The id of a resource, or one of its identifiers as `system:value:use`, each part percent-encoded.",
            text(),
            "john-doe",
        ),
        _ => ("The id of a resource.", text(), "john-doe"),
    }
}

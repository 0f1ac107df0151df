//! Failures: a response for each status with the types of error that it may have, made from the table of error types.

use granary_core::error::{ErrorObject, ErrorType};
use serde_json::{Map, Value, json};

use super::operation::{Shape, of};
use super::schemas::Schemas;
use super::written::header_references;

/// The name in the components of the response with this status and these types.
pub(super) fn name(code: u16, types: &[&str]) -> String {
    let camel = |name: &str| {
        let words = name.split('_');
        words
            .map(|word| {
                let (first, rest) = word.split_at(1);
                format!("{first}{}", rest.to_ascii_lowercase())
            })
            .collect::<String>()
    };
    let names: Vec<String> = types.iter().map(|name| camel(name)).collect();
    format!("{}{code}", names.join("Or"))
}

/// The response with this status and these types of error; `other` is what its body may be in place of an error object.
pub(super) fn response(code: u16, types: &[&str], schemas: &mut Schemas, other: Option<Shape>) -> Value {
    let rows = ErrorType::ALL.map(ErrorType::spec);
    let rows = rows.iter().filter(|row| types.contains(&row.name));
    let (mut lines, mut examples) = (Vec::new(), Map::new());
    for row in rows {
        lines.push(format!("`{}`: {} {}", row.name, row.meaning, row.advice));
        examples.insert(row.name.to_owned(), json!({"value": example(row.name, code)}));
    }
    let error = schemas.of(of::<ErrorObject>());
    let schema = match other {
        None => error,
        Some(other) => json!({"anyOf": [error, schemas.of(other)]}),
    };
    let header = match code {
        401 => &["WWWAuthenticate"][..],
        405 => &["Allow"],
        415 => &["AcceptEncoding"],
        429 | 503 => &["RetryAfter"],
        _ => &[],
    };
    json!({
        "description": lines.join("\n\n"),
        "headers": header_references(header),
        "content": {"application/json": {"schema": schema, "examples": examples}},
        "x-error-types": types,
    })
}

/// An error as it is answered.
fn example(name: &str, code: u16) -> Value {
    let message = match name {
        "INVALID_ARGUMENT" => "1 fault, at /data/name: property 'name' is required",
        "FAILED_PRECONDITION" if code == 412 => "it was changed; read it and decide again",
        "FAILED_PRECONDITION" => "profile 'provider' is in use: there are records of it",
        "OUT_OF_RANGE" => "the cursor is not of this list; start the list again without it",
        "UNAUTHENTICATED" => "the call carries no key; send one in X-API-Key or Authorization: Bearer",
        "PERMISSION_DENIED" => {
            "the key has the role reader, and this call takes writer; use a key with that role"
        }
        "NOT_FOUND" if code == 410 => "task 'bk_2eVocVVgjAWYJ74DifXluwVtSYs' was removed",
        "NOT_FOUND" => "source 'clinic' does not exist",
        "ALREADY_EXISTS" => "record with id 'john-doe' already exists",
        "ABORTED" if code == 422 => "the Idempotency-Key was used with another request; take a new one",
        "ABORTED" => "a request with this Idempotency-Key is in flight; wait for its answer",
        "CONTENT_TOO_LARGE" => "the body is over the limit singleBodyBytes of 10000000",
        "UNSUPPORTED_MEDIA_TYPE" => "the Content-Type 'text/plain' is not known here; send application/json",
        "RESOURCE_EXHAUSTED" => "too many requests are in flight (requestsInFlight); send it again later",
        "UNIMPLEMENTED" => "the header if-match is not supported here; leave it out",
        "UNAVAILABLE" => "the server is stopping; send the call again later",
        _ => "something went wrong inside the server",
    };
    let mut error = json!({"code": code, "type": name, "message": message});
    if name == "INVALID_ARGUMENT" {
        error["details"] = json!([{
            "type": name, "message": "property 'name' is required", "path": "/data/name", "rule": "required",
        }]);
    }
    error
}

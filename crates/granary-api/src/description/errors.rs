//! Failures: a response for each status with the types of error that it may have, made from the table of error types.

use granary_core::error::{Detail, ErrorObject, ErrorType};
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
    let (mut lines, mut examples) = (Vec::new(), Map::new());
    for error_type in ErrorType::ALL {
        let row = error_type.spec();
        if !types.contains(&row.name) {
            continue;
        }
        lines.push(format!("`{}`: {} {}", row.name, row.meaning, row.advice));
        examples.insert(row.name.to_owned(), json!({"value": example(error_type, code)}));
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

/// An error as it is answered, in words that the server says: the tests of its routes have it say each of them.
fn example(error_type: ErrorType, code: u16) -> ErrorObject {
    let message = match error_type {
        ErrorType::InvalidArgument => "/data/name: property 'name' is required",
        ErrorType::FailedPrecondition if code == 412 => "it was changed; read it and decide again",
        ErrorType::FailedPrecondition => {
            "profile 'provider' is in use: relationship definition 'worksAt' names it at /from/profileKey; change that first"
        }
        ErrorType::OutOfRange => "the cursor is not of this list; start the list again without it",
        ErrorType::Unauthenticated => {
            "the call carries no key; send one in X-API-Key or Authorization: Bearer"
        }
        ErrorType::PermissionDenied => {
            "the key has the role reader, and this call takes writer; use a key with that role"
        }
        ErrorType::NotFound if code == 410 => {
            "task bk_2eVocVVgjAWYJ74DifXluwVtSYs was removed by retention at 2026-02-07T08:15:30.250Z: a task is kept for 7 days \
             after its end (taskRetentionDays), less long where they are many (taskRetentionBytes)"
        }
        ErrorType::NotFound => "source 'clinic' does not exist",
        ErrorType::AlreadyExists => "record with id 'john-doe' already exists",
        ErrorType::Aborted if code == 422 => {
            "this Idempotency-Key was used for another request: its body, its query or its Content-Type was not this one; take a \
             new key for a new request"
        }
        ErrorType::Aborted => {
            "a request with this Idempotency-Key is in flight; wait for its answer and send it again"
        }
        ErrorType::ContentTooLarge => "the body is over the limit singleBodyBytes of 10000000",
        ErrorType::UnsupportedMediaType => {
            "the Content-Type 'text/plain' is not known here; send application/json"
        }
        ErrorType::ResourceExhausted => {
            "64 requests are in flight, which is the limit requestsInFlight; send the request again later"
        }
        ErrorType::Internal => return ErrorObject::internal(),
        ErrorType::Unimplemented if code == 405 => {
            "the path '/sources/clinic/v1/resources/bulk' has no method GET"
        }
        ErrorType::Unimplemented => "the header if-match is not supported here; leave it out",
        ErrorType::Unavailable => "the server was stopping; send the request again",
    };
    let error = ErrorObject::new(error_type, message).with_code(code);
    if error_type != ErrorType::InvalidArgument {
        return error;
    }
    error.with_details(vec![Detail {
        error_type,
        message: "property 'name' is required".into(),
        path: Some("/data/name".into()),
        rule: Some("required".into()),
    }])
}

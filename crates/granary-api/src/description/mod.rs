//! The description of the API: OpenAPI 3.1, made from what the code has. The types of the wire give the schemas, the table of
//! rights who may call, the table of error types the failures; each operation says the rest in a few lines.
//!
//! `cargo xtask docs` writes it to `openapi/granary.json`, which the server answers at `/openapi.json`. That it is complete
//! and true is tested: no route is without its operation, and every answer that the tests of the routes and the examples of
//! the documentation get is held against it.

mod access;
mod bulk;
mod catalog;
pub(crate) mod described;
mod errors;
mod operation;
mod parameters;
mod records;
mod schemas;
mod server;
mod tasks;
mod terminology;
mod written;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use operation::Operation;
use schemas::Schemas;

/// The description as it is committed: what a server answers at `/openapi.json`.
pub const COMMITTED: &str = include_str!("../../../../openapi/granary.json");

const ABOUT: &str = "\
A registry for very large volumes of records. A source has profiles and relationship definitions, the schema that its records \
must fit; clients send bulk requests of any number of CREATE, UPSERT and DELETE operations, which are checked as a whole, \
accepted or rejected with a receipt for every operation, and applied in order, each exactly once.

What holds for every call:

- JSON is UTF-8, names are camelCase, times are UTC in RFC 3339 with milliseconds and `Z`.
- What a call does not know is refused, not ignored: unknown members of a body, unknown parameters of a query.
- A failed call answers an `Error`. Programs act on its `type`, people read its `message`; `details` has every fault.
- Whatever has a GET has a HEAD. A method that a path does not have is answered with 405, and `Allow` names those it has.
- After a 429 or 503, send the same again after the seconds of `Retry-After`.
- Bodies and answers may be encoded in `gzip` and `zstd`.
- Where no API key was ever made, calls from the machine of the server need none.";

/// Each tag with what it is about, in the order in which a reader meets them.
const TAGS: [(&str, &str); 14] = [
    (
        "Sources",
        "Named containers, each with a schema and records of its own.",
    ),
    ("Profiles", "The schemas of resource types."),
    ("Relationship definitions", "The schemas of relationship types."),
    ("Resources", "Single records, written at once, read and listed."),
    (
        "Contained resources",
        "Records that live inside others, and are written, versioned and deleted with them.",
    ),
    ("Relationships", "Edges between two resources of a source."),
    (
        "Bulk requests",
        "Many operations in one request: checked as a whole, applied in order.",
    ),
    ("Bundles", "A few operations, all or nothing, at once."),
    (
        "Tasks",
        "What became of what was accepted, operation by operation.",
    ),
    ("Purges", "The deletion of every record of a type."),
    (
        "Export and import",
        "A whole source as it was at one moment, and back.",
    ),
    (
        "Vocabularies",
        "Sets of codes that properties are bound to, and their concepts.",
    ),
    ("API keys", "Who may call, and for what."),
    ("Server", "How a server is, and what it allows."),
];

fn operations() -> impl Iterator<Item = Operation> {
    [
        catalog::operations(),
        records::operations(),
        bulk::operations(),
        tasks::operations(),
        terminology::operations(),
        access::operations(),
        server::operations(),
    ]
    .into_iter()
    .flatten()
}

/// The description, made anew.
pub fn description() -> Value {
    let mut schemas = Schemas::new();
    let mut responses = BTreeMap::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let (path, method) = (operation.path, operation.member());
        let written = operation.write(&mut schemas, &mut responses);
        paths.entry(path).or_default().insert(method, written);
    }
    let tags = TAGS.map(|(name, description)| json!({"name": name, "description": description}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Granary",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A registry server for very large volumes of records.",
            "description": ABOUT,
            "contact": {"name": "The authors of granary"},
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that answers this description."}],
        "tags": tags,
        "security": [{"ApiKey": []}, {"Bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey", "in": "header", "name": "X-API-Key",
                    "description": "An API key, which begins with `granary_`.",
                },
                "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
            },
            "parameters": parameters::parameters(),
            "headers": parameters::headers(),
            "responses": responses,
            "schemas": schemas.components(),
        },
    })
}

/// The description as the text of a file.
pub fn text() -> String {
    // Writing a value does not fail.
    let mut text = serde_json::to_string_pretty(&description()).unwrap_or_default();
    text.push('\n');
    text
}

/// An example, as it would be sent.
macro_rules! example {
    ($($json:tt)+) => { serde_json::json!($($json)+) };
}
use example;

/// A page of a list, with this row and more to come.
fn page(row: Value) -> Value {
    example!({"data": [row], "meta": {"cursor": "bmV4dA"}})
}

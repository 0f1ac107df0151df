//! The right that each call takes, and what it leaves in the audit log: one table, for whoever enforces it and whoever
//! describes it. A call that is not in it is nobody's.

use granary_core::access::Right::{self, Any, Everywhere, OfSource, Open};
use granary_core::access::Role::{Admin, Reader, Writer};

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its method.
    pub method: &'static str,
    /// Its path, with names in braces.
    pub path: &'static str,
    /// What it takes.
    pub right: Right,
    /// What it does, where a line in the audit log tells of it: a change of schema or keys, a purge, a cancel.
    pub audited: Option<&'static str>,
}

impl Call {
    /// The call of this method on this path.
    pub fn find(method: &str, path: &str) -> Option<&'static Self> {
        // Whoever may GET may HEAD.
        let method = if method == "HEAD" { "GET" } else { method };
        CALLS
            .iter()
            .find(|call| call.path == path && call.method == method)
    }
}

const fn call(method: &'static str, path: &'static str, right: Right) -> Call {
    Call {
        method,
        path,
        right,
        audited: None,
    }
}

const fn audited(method: &'static str, path: &'static str, right: Right, what: &'static str) -> Call {
    Call {
        method,
        path,
        right,
        audited: Some(what),
    }
}

const SOURCE: &str = "/catalog/v1/sources/{source}";
const PROFILE: &str = "/sources/{source}/v1/profiles/{key}";
const DEFINITION: &str = "/sources/{source}/v1/relationship-definitions/{key}";
const RESOURCES: &str = "/sources/{source}/v1/resources/{type}";
const RESOURCE: &str = "/sources/{source}/v1/resources/{type}/{id}";
const CONTAINED: &str = "/sources/{source}/v1/resources/{type}/{id}/{*contained}";
const EDGES: &str = "/sources/{source}/v1/relationships/{type}";
const EDGE: &str = "/sources/{source}/v1/relationships/{type}/{id}";
const VOCABULARY: &str = "/terminology/v1/vocabularies/{key}";
const CONCEPTS_BULK: &str = "/terminology/v1/vocabularies/{key}/concepts/bulk";
const CONCEPT: &str = "/terminology/v1/vocabularies/{key}/concepts/{code}";
const KEYS: &str = "/access/v1/keys";
const KEY: &str = "/access/v1/keys/{id}";

/// Every call.
pub const CALLS: &[Call] = &[
    call("GET", "/catalog/v1/sources", Any(Reader)),
    call("GET", SOURCE, OfSource(Reader)),
    audited("PUT", SOURCE, OfSource(Admin), "put source"),
    audited("DELETE", SOURCE, OfSource(Admin), "delete source"),
    call("GET", "/sources/{source}/v1/profiles", OfSource(Reader)),
    call("GET", PROFILE, OfSource(Reader)),
    audited("PUT", PROFILE, OfSource(Admin), "put profile"),
    audited("DELETE", PROFILE, OfSource(Admin), "delete profile"),
    call(
        "GET",
        "/sources/{source}/v1/relationship-definitions",
        OfSource(Reader),
    ),
    call("GET", DEFINITION, OfSource(Reader)),
    audited("PUT", DEFINITION, OfSource(Admin), "put relationship definition"),
    audited(
        "DELETE",
        DEFINITION,
        OfSource(Admin),
        "delete relationship definition",
    ),
    call("POST", "/sources/{source}/v1/resources/bulk", OfSource(Writer)),
    call(
        "GET",
        "/sources/{source}/v1/resources/bulk/{id}",
        OfSource(Reader),
    ),
    call("GET", RESOURCES, OfSource(Reader)),
    call("POST", RESOURCES, OfSource(Writer)),
    call("GET", RESOURCE, OfSource(Reader)),
    call("PUT", RESOURCE, OfSource(Writer)),
    call("DELETE", RESOURCE, OfSource(Writer)),
    call("GET", CONTAINED, OfSource(Reader)),
    call("POST", CONTAINED, OfSource(Writer)),
    call("PUT", CONTAINED, OfSource(Writer)),
    call("DELETE", CONTAINED, OfSource(Writer)),
    call(
        "POST",
        "/sources/{source}/v1/relationships/bulk",
        OfSource(Writer),
    ),
    call(
        "GET",
        "/sources/{source}/v1/relationships/bulk/{id}",
        OfSource(Reader),
    ),
    call("GET", EDGES, OfSource(Reader)),
    call("POST", EDGES, OfSource(Writer)),
    call("GET", EDGE, OfSource(Reader)),
    call("PATCH", EDGE, OfSource(Writer)),
    call("DELETE", EDGE, OfSource(Writer)),
    call("GET", "/sources/{source}/v1/tasks", OfSource(Reader)),
    call("GET", "/sources/{source}/v1/tasks/{id}", OfSource(Reader)),
    call(
        "GET",
        "/sources/{source}/v1/tasks/{id}/receipts",
        OfSource(Reader),
    ),
    call(
        "GET",
        "/sources/{source}/v1/tasks/{id}/operations",
        OfSource(Reader),
    ),
    call("GET", "/sources/{source}/v1/tasks/{id}/events", OfSource(Reader)),
    audited(
        "POST",
        "/sources/{source}/v1/tasks/{id}/cancel",
        OfSource(Writer),
        "cancel task",
    ),
    call("POST", "/sources/{source}/v1/tasks/{id}/retry", OfSource(Writer)),
    call("GET", "/sources/{source}/v1/export", OfSource(Reader)),
    audited(
        "POST",
        "/sources/{source}/v1/import",
        OfSource(Admin),
        "import source",
    ),
    call("POST", "/sources/{source}/v1/bundle", OfSource(Writer)),
    audited("POST", "/sources/{source}/v1/purge", OfSource(Writer), "purge"),
    call("GET", "/sources/{source}/v1/purge/{id}", OfSource(Reader)),
    call("GET", "/terminology/v1/vocabularies", Any(Reader)),
    audited(
        "POST",
        "/terminology/v1/vocabularies/bulk",
        Everywhere(Admin),
        "change vocabularies",
    ),
    call("GET", VOCABULARY, Any(Reader)),
    audited("PUT", VOCABULARY, Everywhere(Admin), "put vocabulary"),
    audited("DELETE", VOCABULARY, Everywhere(Admin), "delete vocabulary"),
    call("GET", "/terminology/v1/vocabularies/{key}/concepts", Any(Reader)),
    audited("POST", CONCEPTS_BULK, Everywhere(Admin), "change concepts"),
    call("GET", CONCEPTS_BULK, Any(Reader)),
    audited("PUT", CONCEPTS_BULK, Everywhere(Admin), "put concept"),
    audited("DELETE", CONCEPTS_BULK, Everywhere(Admin), "delete concept"),
    call("GET", CONCEPT, Any(Reader)),
    audited("PUT", CONCEPT, Everywhere(Admin), "put concept"),
    audited("DELETE", CONCEPT, Everywhere(Admin), "delete concept"),
    call("GET", KEYS, Everywhere(Admin)),
    audited("POST", KEYS, Everywhere(Admin), "create key"),
    call("GET", KEY, Everywhere(Admin)),
    audited("DELETE", KEY, Everywhere(Admin), "revoke key"),
    call("GET", "/limits", Any(Reader)),
    // A balancer has no key, and a browser none before its page is there.
    call("GET", "/healthz", Open),
    call("GET", "/readyz", Open),
    // It tells of all sources together.
    call("GET", "/metrics", Everywhere(Reader)),
    call("GET", "/openapi.json", Open),
    call("GET", "/docs", Open),
    call("GET", "/docs/{file}", Open),
    call("GET", "/", Open),
    call("GET", "/console/{*path}", Open),
];

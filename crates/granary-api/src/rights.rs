//! The right that each call takes, and what it leaves in the audit log: one table, for whoever enforces it and whoever
//! describes it. A call that is not in it is nobody's.

use granary_core::access::Right::{self, Any, Everywhere, OfSource, Open};
use granary_core::access::Role::{Admin, Reader, Writer};

use crate::paths::*;

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

/// Every call.
pub const CALLS: &[Call] = &[
    call("GET", SOURCES, Any(Reader)),
    call("GET", SOURCE, OfSource(Reader)),
    audited("PUT", SOURCE, OfSource(Admin), "put source"),
    audited("DELETE", SOURCE, OfSource(Admin), "delete source"),
    call("GET", PROFILES, OfSource(Reader)),
    call("GET", PROFILE, OfSource(Reader)),
    audited("PUT", PROFILE, OfSource(Admin), "put profile"),
    audited("DELETE", PROFILE, OfSource(Admin), "delete profile"),
    call("GET", RELATIONSHIP_DEFINITIONS, OfSource(Reader)),
    call("GET", RELATIONSHIP_DEFINITION, OfSource(Reader)),
    audited(
        "PUT",
        RELATIONSHIP_DEFINITION,
        OfSource(Admin),
        "put relationship definition",
    ),
    audited(
        "DELETE",
        RELATIONSHIP_DEFINITION,
        OfSource(Admin),
        "delete relationship definition",
    ),
    call("POST", RESOURCES_BULK, OfSource(Writer)),
    call("GET", RESOURCES_BULK_TASK, OfSource(Reader)),
    call("GET", RESOURCES, OfSource(Reader)),
    call("POST", RESOURCES, OfSource(Writer)),
    call("GET", RESOURCE, OfSource(Reader)),
    call("PUT", RESOURCE, OfSource(Writer)),
    call("DELETE", RESOURCE, OfSource(Writer)),
    call("GET", CONTAINED, OfSource(Reader)),
    call("POST", CONTAINED, OfSource(Writer)),
    call("PUT", CONTAINED, OfSource(Writer)),
    call("DELETE", CONTAINED, OfSource(Writer)),
    call("POST", RELATIONSHIPS_BULK, OfSource(Writer)),
    call("GET", RELATIONSHIPS_BULK_TASK, OfSource(Reader)),
    call("GET", RELATIONSHIPS, OfSource(Reader)),
    call("POST", RELATIONSHIPS, OfSource(Writer)),
    call("GET", RELATIONSHIP, OfSource(Reader)),
    call("PATCH", RELATIONSHIP, OfSource(Writer)),
    call("DELETE", RELATIONSHIP, OfSource(Writer)),
    call("GET", TASKS, OfSource(Reader)),
    call("GET", TASK, OfSource(Reader)),
    call("GET", RECEIPTS, OfSource(Reader)),
    call("GET", OPERATIONS, OfSource(Reader)),
    call("GET", EVENTS, OfSource(Reader)),
    audited("POST", CANCEL, OfSource(Writer), "cancel task"),
    call("POST", RETRY, OfSource(Writer)),
    call("GET", EXPORT, OfSource(Reader)),
    audited("POST", IMPORT, OfSource(Admin), "import source"),
    call("POST", BUNDLE, OfSource(Writer)),
    audited("POST", PURGES, OfSource(Writer), "purge"),
    call("GET", PURGE, OfSource(Reader)),
    call("GET", VOCABULARIES, Any(Reader)),
    audited(
        "POST",
        VOCABULARIES_BULK,
        Everywhere(Admin),
        "change vocabularies",
    ),
    call("GET", VOCABULARY, Any(Reader)),
    audited("PUT", VOCABULARY, Everywhere(Admin), "put vocabulary"),
    audited("DELETE", VOCABULARY, Everywhere(Admin), "delete vocabulary"),
    call("GET", CONCEPTS, Any(Reader)),
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
    call("GET", LIMITS, Any(Reader)),
    // A balancer has no key, and a browser none before its page is there.
    call("GET", HEALTH, Open),
    call("GET", READINESS, Open),
    // It tells of all sources together.
    call("GET", METRICS, Everywhere(Reader)),
    call("GET", DESCRIPTION, Open),
    call("GET", DOCS, Open),
    call("GET", DOCS_FILE, Open),
    call("GET", CONSOLE, Open),
    call("GET", CONSOLE_FILE, Open),
];

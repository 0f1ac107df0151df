//! The routes, a file for each noun. The tree of URLs is the contract's, section 3.

mod bulk;
mod bundle;
mod contained;
mod definitions;
mod events;
mod export;
pub(crate) mod health;
mod import;
mod keys;
mod operations;
mod purge;
mod relationships;
mod resources;
mod retry;
mod sources;
mod tasks;
mod terminology;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::routing::MethodRouter;
use granary_api::page::Page;
use granary_api::paths;

use crate::App;
use crate::description;
use crate::reply::{Reply, json, with_header};

/// The calls of one path of the contract, section 3.
pub(crate) struct Route {
    /// The path, with names in braces for what varies.
    pub(crate) path: &'static str,
    /// Its methods, in lower case.
    pub(crate) methods: &'static [&'static str],
    /// True where writes honour `If-Match` and `If-None-Match`.
    pub(crate) conditional: bool,
    /// True where a POST honours `Idempotency-Key`.
    pub(crate) once: bool,
}

/// Makes the router and the table of what it routes from one list, so that neither can miss a path of the other.
macro_rules! routes {
    ($($path:ident $($flag:ident)* { $($method:ident $handler:path),+ })+) => {
        /// Every path of the contract.
        pub(crate) fn all() -> Router<Arc<App>> {
            Router::new()$(.route(paths::$path, MethodRouter::new()$(.$method($handler))+))+
                .route(paths::CONTAINED, MethodRouter::new().fallback(contained::no_such_method))
        }

        /// Every path that a server answers, with its methods.
        pub(crate) const TABLE: &[Route] = &[$(Route {
            path: paths::$path,
            methods: &[$(stringify!($method)),+],
            conditional: false $(|| routes!(@conditional $flag))*,
            once: false $(|| routes!(@once $flag))*,
        }),+];
    };
    (@conditional conditional) => { true };
    (@conditional once) => { false };
    (@once once) => { true };
    (@once conditional) => { false };
}

routes! {
    SOURCES { get sources::list }
    SOURCE { get sources::show, put sources::put, delete sources::delete }

    PROFILES { get definitions::list_profiles }
    PROFILE conditional {
        get definitions::show_profile, put definitions::put_profile, delete definitions::delete_profile
    }
    RELATIONSHIP_DEFINITIONS { get definitions::list_relationship_definitions }
    RELATIONSHIP_DEFINITION conditional {
        get definitions::show_relationship_definition,
        put definitions::put_relationship_definition,
        delete definitions::delete_relationship_definition
    }

    RESOURCES_BULK once { post bulk::resources }
    RESOURCES_BULK_TASK { get bulk::resources_task }
    RESOURCES conditional once { get resources::list, post resources::create }
    RESOURCE conditional {
        get resources::show, put resources::upsert, delete resources::delete
    }
    CONTAINED conditional once {
        get contained::show, post contained::add, put contained::put, delete contained::remove
    }

    RELATIONSHIPS_BULK once { post bulk::relationships }
    RELATIONSHIPS_BULK_TASK { get bulk::relationships_task }
    RELATIONSHIPS conditional once {
        get relationships::list, post relationships::create
    }
    RELATIONSHIP conditional {
        get relationships::show, delete relationships::delete, patch relationships::patch
    }

    TASKS { get tasks::list }
    TASK { get tasks::show }
    RECEIPTS { get tasks::receipts }
    OPERATIONS { get operations::list }
    EVENTS { get events::show }
    CANCEL { post tasks::cancel }
    RETRY once { post retry::start }
    EXPORT { get export::show }
    IMPORT { post import::take }
    BUNDLE once { post bundle::write }
    PURGES once { post purge::start }
    PURGE { get purge::show }

    VOCABULARIES { get terminology::list_vocabularies }
    VOCABULARIES_BULK { post terminology::change_vocabularies }
    VOCABULARY {
        get terminology::show_vocabulary, put terminology::put_vocabulary, delete terminology::delete_vocabulary
    }
    CONCEPTS { get terminology::list_concepts }
    CONCEPTS_BULK {
        post terminology::change_concepts,
        get terminology::show_concept_bulk,
        put terminology::put_concept_bulk,
        delete terminology::delete_concept_bulk
    }
    CONCEPT {
        get terminology::show_concept, put terminology::put_concept, delete terminology::delete_concept
    }

    KEYS { get keys::list, post keys::create }
    KEY { get keys::show, delete keys::revoke }

    LIMITS { get health::limits }
    HEALTH { get health::alive }
    READINESS { get health::ready }
    METRICS { get crate::metrics::show }
    DESCRIPTION { get description::show }
    DOCS { get description::page }
    DOCS_FILE { get description::file }
    CONSOLE { get crate::console::page }
    CONSOLE_FILE { get crate::console::file }
}

/// The paths of a server that takes in nothing.
pub(crate) fn health() -> Router<Arc<App>> {
    Router::new()
        .route(paths::HEALTH, MethodRouter::new().get(health::alive))
        .route(paths::READINESS, MethodRouter::new().get(health::ready))
        .route(paths::METRICS, MethodRouter::new().get(crate::metrics::show))
}

/// True where a routed path has this method.
pub(crate) fn takes(path: &str, method: &str) -> bool {
    let route = TABLE.iter().find(|route| route.path == path);
    route.is_some_and(|route| route.methods.iter().any(|of| of.eq_ignore_ascii_case(method)))
}

/// True where a POST to a routed path honours `Idempotency-Key`.
pub(crate) fn once(path: &str) -> bool {
    TABLE.iter().any(|route| route.once && route.path == path)
}

/// True where writes of a routed path honour `If-Match` and `If-None-Match`.
pub(crate) fn conditional(path: &str) -> bool {
    TABLE.iter().any(|route| route.conditional && route.path == path)
}

/// A page of a list, with the address of the next one in `Link`.
fn page<T: serde::Serialize>(path: &str, query: &[(&str, Option<String>)], page: Page<T>) -> Reply {
    let response = json(StatusCode::OK, &page);
    Ok(match &page.meta.cursor {
        Some(cursor) => with_header(response, LINK, &next_link(path, query, cursor)),
        None => response,
    })
}

/// The value of `Link`: the same list, from the cursor on.
pub(crate) fn next_link(path: &str, query: &[(&str, Option<String>)], cursor: &str) -> String {
    let kept = query
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}&", encoded(value.as_ref()?))));
    format!(
        "<{path}?{}cursor={cursor}>; rel=\"next\"",
        kept.collect::<String>()
    )
}

/// A value of a query, percent-encoded but for what never needs it.
fn encoded(raw: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    raw.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use granary_test_description::Description;

    use super::*;

    #[test]
    fn what_a_route_understands_is_what_is_described() {
        let description = Description::made();
        for route in TABLE {
            // Contained resources are routed whatever their depth.
            let root = route.path.trim_end_matches("{*contained}");
            let described = description.operations().into_iter().filter(|(method, path)| {
                let contained = root != route.path && path.starts_with(&format!("{root}{{containKey}}"));
                (path == route.path || contained) && route.methods.contains(&&*method.to_ascii_lowercase())
            });
            for (method, path) in described.filter(|(method, _)| method != "GET") {
                let headers = description.sent_headers(&method, &path);
                let told = |name: &str| headers.contains(name);
                let once = route.once && method == "POST";
                assert_eq!(told("idempotency-key"), once, "{method} {path}");
                assert_eq!(told("if-match"), route.conditional, "{method} {path}");
                assert_eq!(told("if-none-match"), route.conditional, "{method} {path}");
            }
        }
    }
}

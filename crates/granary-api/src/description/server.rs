//! How a server is, and what it says of itself.

use granary_core::error::ErrorType::{PermissionDenied, Unavailable};
use serde_json::{Map, Value};

use super::example;
use super::operation::{Operation, operation};
use crate::health::{Health, Limits};
use crate::paths::{CONSOLE, DESCRIPTION, DOCS, DOCS_FILE, HEALTH, LIMITS, METRICS, READINESS};

const OPENMETRICS: &str = "application/openmetrics-text";
const HTML: &str = "text/html";

pub(super) fn operations() -> Vec<Operation> {
    let all = [
        operation("GET", LIMITS, "readLimits", "Read every limit in force").answers::<Limits>(
            200,
            "Each limit by its name.",
            example!({"bulkBodyBytes": 5_000_000_000_u64, "listLimit": 1_000}),
        ),
        operation("GET", HEALTH, "readHealth", "Read whether the server is alive").answers::<Health>(
            200,
            "It is.",
            example!({"status": "OK", "version": env!("CARGO_PKG_VERSION")}),
        ),
        operation(
            "GET",
            READINESS,
            "readReadiness",
            "Read whether the server takes requests",
        )
        .answers::<Health>(
            200,
            "It does.",
            example!({"status": "OK", "version": env!("CARGO_PKG_VERSION")}),
        )
        .failed_as::<Health>(&[503])
        .fails(503, &[Unavailable]),
        operation("GET", METRICS, "readMetrics", "Read the metrics of the server").answers_as::<String>(
            200,
            "Metrics as OpenMetrics has them.",
            OPENMETRICS,
            "# EOF\n".into(),
        ),
        operation("GET", DESCRIPTION, "readDescription", "Read this description")
            .answers::<Map<String, Value>>(
                200,
                "OpenAPI 3.1.",
                example!({"openapi": "3.1.0", "info": {"title": "Granary"}, "paths": {}}),
            )
            .with("CacheControl")
            .fails(403, &[PermissionDenied]),
        operation("GET", DOCS, "readDocs", "Read this description as a page")
            .answers_as::<String>(200, "The page.", HTML, "<!doctype html>".into())
            .kept_by_browsers()
            .fails(403, &[PermissionDenied]),
        operation("GET", DOCS_FILE, "readDocsFile", "Read a file of that page")
            .answers_as::<String>(200, "The file.", "text/css", "main {}".into())
            .or_as::<String>("text/javascript", "start();".into())
            .kept_by_browsers()
            .of_something_named()
            .fails(403, &[PermissionDenied]),
        operation("GET", CONSOLE, "readConsole", "Open the console")
            .answers_as::<String>(200, "The console.", HTML, "<!doctype html>".into())
            .kept_by_browsers()
            .fails(403, &[PermissionDenied]),
    ];
    all.map(|operation| operation.tagged("Server")).into()
}

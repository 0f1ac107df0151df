//! The paths of the API (contract, section 3), with names in braces for what varies: each is said here once, for the router,
//! the table of rights and the description.

/// All sources.
pub const SOURCES: &str = "/catalog/v1/sources";
/// A source.
pub const SOURCE: &str = "/catalog/v1/sources/{source}";

/// The profiles of a source.
pub const PROFILES: &str = "/sources/{source}/v1/profiles";
/// A profile.
pub const PROFILE: &str = "/sources/{source}/v1/profiles/{key}";
/// The relationship definitions of a source.
pub const RELATIONSHIP_DEFINITIONS: &str = "/sources/{source}/v1/relationship-definitions";
/// A relationship definition.
pub const RELATIONSHIP_DEFINITION: &str = "/sources/{source}/v1/relationship-definitions/{key}";

/// Bulk requests on resources.
pub const RESOURCES_BULK: &str = "/sources/{source}/v1/resources/bulk";
/// The task of a bulk request on resources.
pub const RESOURCES_BULK_TASK: &str = "/sources/{source}/v1/resources/bulk/{id}";
/// The resources of a type.
pub const RESOURCES: &str = "/sources/{source}/v1/resources/{type}";
/// A resource.
pub const RESOURCE: &str = "/sources/{source}/v1/resources/{type}/{id}";
/// What a resource contains, whatever its depth.
pub const CONTAINED: &str = "/sources/{source}/v1/resources/{type}/{id}/{*contained}";

/// Bulk requests on relationships.
pub const RELATIONSHIPS_BULK: &str = "/sources/{source}/v1/relationships/bulk";
/// The task of a bulk request on relationships.
pub const RELATIONSHIPS_BULK_TASK: &str = "/sources/{source}/v1/relationships/bulk/{id}";
/// The relationships of a type.
pub const RELATIONSHIPS: &str = "/sources/{source}/v1/relationships/{type}";
/// A relationship.
pub const RELATIONSHIP: &str = "/sources/{source}/v1/relationships/{type}/{id}";

/// The tasks of a source.
pub const TASKS: &str = "/sources/{source}/v1/tasks";
/// A task.
pub const TASK: &str = "/sources/{source}/v1/tasks/{id}";
/// The receipts of a task.
pub const RECEIPTS: &str = "/sources/{source}/v1/tasks/{id}/receipts";
/// The operations of a task as they were sent.
pub const OPERATIONS: &str = "/sources/{source}/v1/tasks/{id}/operations";
/// The progress of a task, as server-sent events.
pub const EVENTS: &str = "/sources/{source}/v1/tasks/{id}/events";
/// Cancels a task.
pub const CANCEL: &str = "/sources/{source}/v1/tasks/{id}/cancel";
/// Tries again what failed or was cancelled.
pub const RETRY: &str = "/sources/{source}/v1/tasks/{id}/retry";
/// A whole source as lines.
pub const EXPORT: &str = "/sources/{source}/v1/export";
/// Takes such lines.
pub const IMPORT: &str = "/sources/{source}/v1/import";
/// Bundles.
pub const BUNDLE: &str = "/sources/{source}/v1/bundle";
/// Purges.
pub const PURGES: &str = "/sources/{source}/v1/purge";
/// A purge.
pub const PURGE: &str = "/sources/{source}/v1/purge/{id}";

/// All vocabularies.
pub const VOCABULARIES: &str = "/terminology/v1/vocabularies";
/// Bulk requests on vocabularies.
pub const VOCABULARIES_BULK: &str = "/terminology/v1/vocabularies/bulk";
/// A vocabulary.
pub const VOCABULARY: &str = "/terminology/v1/vocabularies/{key}";
/// The concepts of a vocabulary.
pub const CONCEPTS: &str = "/terminology/v1/vocabularies/{key}/concepts";
/// Bulk requests on concepts; also the concept with the code `bulk`.
pub const CONCEPTS_BULK: &str = "/terminology/v1/vocabularies/{key}/concepts/bulk";
/// A concept.
pub const CONCEPT: &str = "/terminology/v1/vocabularies/{key}/concepts/{code}";

/// All API keys.
pub const KEYS: &str = "/access/v1/keys";
/// An API key.
pub const KEY: &str = "/access/v1/keys/{id}";

/// Every limit in force.
pub const LIMITS: &str = "/limits";
/// Whether the server is alive.
pub const HEALTH: &str = "/healthz";
/// Whether it takes requests.
pub const READINESS: &str = "/readyz";
/// Its metrics.
pub const METRICS: &str = "/metrics";
/// The description of the API.
pub const DESCRIPTION: &str = "/openapi.json";
/// The page that shows it.
pub const DOCS: &str = "/docs";
/// A file of that page.
pub const DOCS_FILE: &str = "/docs/{file}";
/// The console.
pub const CONSOLE: &str = "/";
/// A file of the console.
pub const CONSOLE_FILE: &str = "/console/{*path}";

//! The wire of granary: requests, queries and replies of the HTTP API (contract, section 3) as serde structs, with no
//! behaviour. Server and client both speak through it, so they cannot differ. Where the domain's own type is already
//! what the wire shows (`ErrorObject`, `Receipt`, `Counts`), it is used as it is.
//!
//! Query structs refuse parameters and values they do not know: a misspelt filter must not be taken as none.

pub mod bulk;
pub mod bundle;
pub mod definitions;
pub mod description;
pub mod export;
pub mod health;
pub mod keys;
pub mod page;
pub mod paths;
pub mod relationships;
pub mod resources;
pub mod rights;
pub mod sources;
pub mod tasks;
pub mod terminology;

/// The media type of newline-delimited JSON: one operation, receipt or record a line (contract, section 2).
pub const NDJSON: &str = "application/x-ndjson";

/// The media type of a JSON Patch (RFC 6902).
pub const JSON_PATCH: &str = "application/json-patch+json";

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// The media type of CSV (RFC 4180): a header that names properties, and a row for each operation.
pub const CSV: &str = "text/csv";

//! Health and limits: `/healthz`, `/readyz`, `/limits` (contract, sections 3 and 10).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the message of every call begins that a server refuses while it starts: it has taken nothing of it.
pub const STARTING: &str = "the server is starting";

/// The answer of `/healthz` and of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// How the server is. `/readyz` answers 503 unless it is [`HealthStatus::Ok`].
    pub status: HealthStatus,
    /// The version of the server.
    pub version: String,
    /// Why it is not ready, for whoever operates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    /// Alive, and at `/readyz`: takes requests.
    Ok,
    /// Alive, still recovering.
    Starting,
    /// Alive, and finishing what it has.
    Stopping,
    /// The store refuses writes.
    Unavailable,
}

/// The answer of `/limits`: every limit in force by name, a flat object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Limits(pub BTreeMap<String, u64>);

impl From<&granary_core::limits::Limits> for Limits {
    fn from(limits: &granary_core::limits::Limits) -> Self {
        let rows = limits.table().into_iter();
        Self(rows.map(|row| (row.name.to_owned(), row.value)).collect())
    }
}

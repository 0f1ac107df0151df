//! Lists: pages with a cursor (contract, section 2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// What the page holds, in the order of the list.
    pub data: Vec<T>,
    /// Where the list goes on.
    pub meta: PageMeta,
}

impl<T> Page<T> {
    /// A page that goes on at `cursor`; `None` at the end of the list.
    pub const fn new(data: Vec<T>, cursor: Option<String>) -> Self {
        Self {
            data,
            meta: PageMeta { cursor },
        }
    }
}

/// What stands beside the data of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageMeta {
    /// What to send as `cursor` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The query of a list without filters: sources, profiles, relationship definitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many to answer at most; 50 unless said, up to the limit `listLimit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// The `cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

//! The table of limits (contract, sections 10 and 13): every bound that a client can meet, by name.

use crate::check::DEPTH_MAX;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The name at `GET /limits`.
    pub name: &'static str,
    /// The value in force.
    pub value: u64,
    /// What it bounds, with its unit.
    pub meaning: &'static str,
}

/// A name that is not in the table, or a value that it cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLimit {
    /// No limit has this name.
    #[error("no limit is named '{0}'")]
    Unknown(String),
    /// Zero would refuse everything.
    #[error("the limit {0} cannot be 0")]
    Zero(&'static str),
    /// What is nested deeper is not read, whatever the limit says.
    #[error("the limit {0} cannot be over {1}")]
    TooLarge(&'static str, u64),
}

macro_rules! limits {
    ($($field:ident, $name:literal, $default:expr, $meaning:literal;)*) => {
        /// Every limit in force.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $meaning] pub $field: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Limits {
            /// The table, in the order of the contract.
            pub fn table(&self) -> Vec<Limit> {
                vec![$(Limit { name: $name, value: self.$field, meaning: $meaning },)*]
            }

            /// Sets the limit with this name at `GET /limits`.
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), BadLimit> {
                match name {
                    "jsonDepth" if value > DEPTH_MAX => Err(BadLimit::TooLarge("jsonDepth", DEPTH_MAX)),
                    $($name if value == 0 => Err(BadLimit::Zero($name)),
                    $name => { self.$field = value; Ok(()) })*
                    _ => Err(BadLimit::Unknown(name.to_owned())),
                }
            }
        }
    };
}

limits! {
    bulk_body_bytes, "bulkBodyBytes", 5_000_000_000, "The body of a bulk request, decoded, in bytes.";
    operation_bytes, "operationBytes", 10_000_000, "One operation of a bulk request, in bytes.";
    bundle_bytes, "bundleBytes", 500_000, "The body of a bundle, in bytes.";
    single_body_bytes, "singleBodyBytes", 10_000_000, "The body of a single write, in bytes.";
    json_depth, "jsonDepth", 64, "Nesting of objects and arrays in one operation or one single body.";
    requests_in_flight, "requestsInFlight", 64, "Bulk uploads and writes being worked on at once; as many deletes of single records beside them.";
    tasks_waiting_per_source, "tasksWaitingPerSource", 10_000, "Bulk tasks of one source not yet ended.";
    spool_bytes, "spoolBytes", 50_000_000_000, "Spooled bytes of uploads and waiting tasks in all.";
    patch_operations, "patchOperations", 1_000, "Operations of one JSON Patch.";
    identifiers_per_record, "identifiersPerRecord", 100, "Identifiers in the meta of one record.";
    details_per_error, "detailsPerError", 100, "Faults shown in one error; their true total is beside them.";
    detailed_failures, "detailedFailures", 100_000, "Failures of a rejected request that carry their details.";
    list_limit, "listLimit", 1_000, "The largest `limit` of a list.";
    wait_seconds, "waitSeconds", 60, "The longest `Prefer: wait`, in seconds.";
    waits, "waits", 1_024, "Calls that wait for the end of a task at once; more are answered as if they did not ask for it.";
    event_streams, "eventStreams", 1_000, "Streams of events that are open at once.";
    exports, "exports", 4, "Exports of sources that are open at once.";
    export_seconds, "exportSeconds", 3_600, "How long one export may take, in seconds: it holds what was there when it began.";
    import_bytes, "importBytes", 1_000_000_000_000, "The body of an import, decoded, in bytes.";
    import_line_bytes, "importLineBytes", 20_000_000, "One line of an import, in bytes.";
    idempotency_key_hours, "idempotencyKeyHours", 24, "How long an idempotency key is kept, in hours.";
    single_task_retention_hours, "singleTaskRetentionHours", 24, "How long tasks of single writes and bundles are kept, in hours.";
    task_retention_days, "taskRetentionDays", 7, "How long finished bulk tasks and purges are kept, in days.";
    task_retention_bytes, "taskRetentionBytes", 20_000_000_000, "Receipts and kept operations of finished bulk tasks and purges, in bytes, about: past it the oldest go before their time.";
    removed_task_days, "removedTaskDays", 90, "How long it is told that a task was removed, in days.";
    definition_bytes, "definitionBytes", 1_000_000, "A profile or a relationship definition, in bytes.";
    definition_properties, "definitionProperties", 1_000, "Properties of one definition, nested ones included.";
    definition_rules, "definitionRules", 100, "Rule objects of one value in a definition: each is looked at for each value that is sent.";
    definition_depth, "definitionDepth", 16, "Nesting of properties in one definition.";
    definitions_per_source, "definitionsPerSource", 1_000, "Profiles and relationship definitions of one source.";
    vocabularies, "vocabularies", 1_000, "Vocabularies.";
    concepts_per_vocabulary, "conceptsPerVocabulary", 1_000_000, "Concepts of one vocabulary.";
    concept_code_bytes, "conceptCodeBytes", 128_000_000, "Codes of all concepts, in bytes, 64 more counted for each: what may be held in memory to check bindings.";
    api_keys, "apiKeys", 1_000, "API keys.";
    sources_per_key, "sourcesPerKey", 100, "Sources that one API key is limited to.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_set_by_its_name() {
        let mut limits = Limits::default();
        for (index, row) in Limits::default().table().into_iter().enumerate() {
            limits.set(row.name, 7 + index as u64).unwrap();
        }
        for (index, row) in limits.table().into_iter().enumerate() {
            assert_eq!(row.value, 7 + index as u64, "{}", row.name);
        }
        assert_eq!(limits.set("jsonDepth", 0), Err(BadLimit::Zero("jsonDepth")));
        assert_eq!(limits.set("jsonDepth", DEPTH_MAX), Ok(()));
        assert!(limits.set("jsonDepth", DEPTH_MAX + 1).is_err());
        assert!(limits.set("nope", 1).is_err());
    }
}

//! `granary list`: the records of a type.

use clap::Args;
use granary_client::api::page::Page;
use granary_client::api::relationships::RelationshipsQuery;
use granary_client::api::resources::{Meta, ResourcesQuery};
use granary_client::{Client, DefinitionKind, Error, SourceClient};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{InSource, all_of, switch};
use crate::exit::Ended;
use crate::output::{Output, Table};

/// How many are asked for at once.
const PAGE: u64 = 1_000;
/// How much of the data of a record is shown in a table, in characters.
const DATA_SHOWN: usize = 60;
const HEADER: [&str; 4] = ["ID", "VERSION", "UPDATED", "DATA"];

/// List the resources or the relationships of a type
///
/// In the order of their ids: each with its version, when it was last changed and the beginning of its data; with --json
/// whole, one a line. `granary export` has all of a source.
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
pub(crate) struct List {
    #[command(flatten)]
    within: InSource,
    /// They are relationships
    #[arg(long, env = "GRANARY_RELATIONSHIP", value_parser = switch())]
    relationship: bool,
    /// Their type: the key of a profile or of a relationship definition
    #[arg(value_name = "TYPE")]
    type_key: String,
    /// Only resources with this identifier: SYSTEM:VALUE:USE, each part percent-encoded
    #[arg(
        long,
        env = "GRANARY_IDENTIFIER",
        value_name = "IDENTIFIER",
        conflicts_with = "relationship"
    )]
    identifier: Option<String>,
    /// Only relationships from the resource with this id
    #[arg(long, env = "GRANARY_LIST_FROM", value_name = "ID", requires = "relationship")]
    from: Option<String>,
    /// Only relationships to the resource with this id
    #[arg(long, env = "GRANARY_LIST_TO", value_name = "ID", requires = "relationship")]
    to: Option<String>,
    /// Show this many at most
    #[arg(long, env = "GRANARY_LIMIT", value_name = "N", default_value_t = 50)]
    limit: u64,
}

impl List {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let source = client.source(&*self.within.source);
        let listed = match self.relationship {
            true => self.relationships(&source, output).await,
            false => self.resources(&source, output).await,
        };
        match listed {
            Ok(()) => Ok(Ended::Well),
            Err(error) => Err(of_type(&source, &self.type_key, self.relationship, error).await),
        }
    }

    async fn resources(&self, source: &SourceClient, output: &mut Output) -> anyhow::Result<()> {
        let page = async |limit, cursor| {
            let query = ResourcesQuery {
                identifier: self.identifier.clone(),
                limit: Some(limit),
                cursor,
            };
            source.resources_by(&self.type_key, &query).await
        };
        let cells = |resource: &_| -> Vec<String> {
            let granary_client::api::resources::Resource { id, meta, data, .. } = resource;
            cells(id, meta, Some(data))
        };
        self.show(page, cells, output).await
    }

    async fn relationships(&self, source: &SourceClient, output: &mut Output) -> anyhow::Result<()> {
        let page = async |limit, cursor| {
            let query = RelationshipsQuery {
                from: self.from.clone(),
                to: self.to.clone(),
                limit: Some(limit),
                cursor,
            };
            source.relationships(&self.type_key, &query).await
        };
        let cells = |edge: &_| -> Vec<String> {
            let granary_client::api::relationships::Relationship { id, meta, data, .. } = edge;
            cells(id, meta, data.as_deref())
        };
        self.show(page, cells, output).await
    }

    /// Shows page after page; the columns are as wide as the first needs them.
    async fn show<T: Serialize>(
        &self,
        mut page: impl AsyncFnMut(u64, Option<String>) -> Result<Page<T>, Error>,
        cells: impl Fn(&T) -> Vec<String>,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        let (mut left, mut cursor, mut table) = (self.limit, None, None);
        while left > 0 {
            let Page { data, meta } = page(left.min(PAGE), cursor).await?;
            left = left.saturating_sub(data.len() as u64);
            if output.json {
                data.iter().try_for_each(|record| output.json_line(record))?;
            } else {
                let rows: Vec<_> = data.iter().map(&cells).collect();
                let table = match &mut table {
                    Some(table) => table,
                    None => {
                        let fit = Table::fit(&HEADER, &rows);
                        output.line(fit.header(&HEADER))?;
                        table.insert(fit)
                    }
                };
                rows.iter().try_for_each(|row| output.line(table.row(row)))?;
            }
            cursor = meta.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
        output.flush()?;
        if cursor.is_some() {
            output.note("there are more; see them with a larger --limit");
        }
        Ok(())
    }
}

fn cells(id: &str, meta: &Meta, data: Option<&RawValue>) -> Vec<String> {
    vec![
        id.to_owned(),
        meta.version.to_string(),
        meta.updated_at.to_string(),
        data.map(shortened).unwrap_or_default(),
    ]
}

/// The beginning of a value, in a line.
fn shortened(data: &RawValue) -> String {
    // A line break is no part of a string of JSON.
    let line = data.get().replace(['\n', '\r', '\t'], " ");
    match line.char_indices().nth(DATA_SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The error of a call that named a type, in better words where there is no such type: what was likely meant.
pub(super) async fn of_type(
    source: &SourceClient,
    type_key: &str,
    relationship: bool,
    error: anyhow::Error,
) -> anyhow::Error {
    if !matches!(error.downcast_ref(), Some(Error::Refused { status: 404, .. })) {
        return error;
    }
    let keys = async |kind| -> Result<Vec<String>, Error> {
        let all = all_of(async |query| source.definitions(kind, query).await).await?;
        let of_resources = |definition: &granary_client::api::definitions::Definition| {
            let contained =
                |(name, value): &(String, Box<RawValue>)| name == "type" && value.get() == "\"CONTAINED\"";
            !definition.members.0.iter().any(contained)
        };
        let all = all.into_iter().filter(of_resources);
        Ok(all.map(|definition| definition.key.to_string()).collect())
    };
    let (profiles, definitions) = (
        keys(DefinitionKind::Profile).await,
        keys(DefinitionKind::RelationshipDefinition).await,
    );
    // Also where the source is not there: then that is what is wrong.
    let (Ok(profiles), Ok(definitions)) = (profiles, definitions) else {
        return error;
    };
    let (noun, known, others) = match relationship {
        false => ("resources", profiles, definitions),
        true => ("relationships", definitions, profiles),
    };
    let is = |keys: &[String]| keys.iter().any(|key| key == type_key);
    if is(&known) {
        return error;
    }
    if is(&others) {
        return match relationship {
            false => anyhow::anyhow!("'{type_key}' is a type of relationships; add --relationship"),
            true => anyhow::anyhow!("'{type_key}' is a type of resources; leave --relationship off"),
        };
    }
    let hint = granary_core::did_you_mean(type_key, known.iter().map(String::as_str));
    let hint = match (hint.is_empty(), relationship) {
        (false, _) => hint,
        (true, false) => format!(
            "; `granary profile list -s {}` shows those that there are",
            source.key()
        ),
        (true, true) => format!(
            "; `granary relationship-definition list -s {}` shows those that there are",
            source.key()
        ),
    };
    let shown: String = type_key.chars().take(100).collect();
    anyhow::anyhow!("there are no {noun} of type '{shown}'{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_shown_in_a_line_that_ends() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(shortened(&raw("{\"a\":\n1}")), "{\"a\": 1}");
        let long = shortened(&raw(&format!("\"{}\"", "é".repeat(100))));
        assert_eq!(
            (long.chars().count(), long.ends_with('…')),
            (DATA_SHOWN + 1, true)
        );
    }
}

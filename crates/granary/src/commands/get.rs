//! `granary get`: one record.

use clap::Args;
use granary_client::{Client, SourceClient};

use super::list::of_type;
use super::{InSource, switch};
use crate::exit::Ended;
use crate::output::Output;

/// Show a resource or a relationship
#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    within: InSource,
    /// It is a relationship, with an id such as FROM.TO
    #[arg(long, env = "GRANARY_RELATIONSHIP", value_parser = switch())]
    relationship: bool,
    /// Its type: the key of a profile or of a relationship definition
    #[arg(value_name = "TYPE")]
    type_key: String,
    /// Its id; a resource also by an identifier as SYSTEM:VALUE:USE, each part percent-encoded
    id: String,
}

impl Get {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let source = client.source(&*self.within.source);
        let record = match self.record(&source).await {
            Ok(record) => record,
            Err(error) => return Err(of_type(&source, &self.type_key, self.relationship, error).await),
        };
        match output.json {
            true => output.raw(record.as_bytes()).and_then(|()| output.line(""))?,
            false => output.pretty(&record)?,
        }
        Ok(Ended::Well)
    }

    async fn record(&self, source: &SourceClient) -> anyhow::Result<String> {
        Ok(match self.relationship {
            true => serde_json::to_string(&source.get_relationship(&self.type_key, &self.id).await?)?,
            false => serde_json::to_string(&source.get_resource(&self.type_key, &self.id).await?)?,
        })
    }
}

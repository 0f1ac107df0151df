//! The subcommands: a file or a folder for each.

pub(crate) mod bench;
pub(crate) mod bulk;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod definition;
pub(crate) mod demo;
pub(crate) mod export;
mod failed;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod infer;
pub(crate) mod key;
pub(crate) mod manual;
pub(crate) mod receipts;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod vocabulary;

use clap::Args;
use clap::builder::FalseyValueParser;
use granary_client::Error;
use granary_client::api::page::{Page, PageQuery};

/// How the variable of a flag without a value is read: empty, `0`, `no` and `false` are no.
pub(crate) fn switch() -> FalseyValueParser {
    FalseyValueParser::new()
}

/// The source that a command is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct InSource {
    /// The source it is in
    #[arg(short, long, env = "GRANARY_SOURCE", value_name = "KEY")]
    pub(crate) source: String,
}

/// Every item of a list, page after page.
pub(crate) async fn all_of<T>(
    mut page: impl AsyncFnMut(&PageQuery) -> Result<Page<T>, Error>,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    let mut query = PageQuery {
        limit: Some(1_000),
        cursor: None,
    };
    loop {
        let Page { data, meta } = page(&query).await?;
        all.extend(data);
        match meta.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(all),
        }
    }
}

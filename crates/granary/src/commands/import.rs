//! `granary import`: an export put back.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use futures::TryStreamExt;
use granary_client::Client;
use granary_client::api::export::ImportQuery;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::export::{LastLine, said};
use super::{InSource, switch};
use crate::exit::Ended;
use crate::input::{Coding, Input};
use crate::output::{Output, elapsed, size};
use crate::progress::Bar;

/// How every export begins.
const BEGIN: &[u8] = b"{\"export\":";
/// The last line of an export is shorter than this.
const END_BYTES_MAX: u64 = 4_096;

/// Put an export back into a source that holds nothing
///
/// The source is created where there is none. Definitions and records come back as they were: their versions, times and
/// identifiers too; ETags are new, and no tasks come along. The vocabularies that profiles name have to be there before. An
/// admin's key is needed.
///
/// It is stored as it is read. Where it fails half way, delete the source with `granary source delete KEY --purge` and
/// import again.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all of it is there; 1 it is not, or anything else.")]
pub(crate) struct Import {
    #[command(flatten)]
    within: InSource,
    /// What `granary export` has written; `-` is stdin; one that is compressed with gzip or zstd is sent as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take an export that broke off as far as it goes
    #[arg(long, env = "GRANARY_INCOMPLETE", value_parser = switch())]
    incomplete: bool,
}

impl Import {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let input = Input::open(&self.file).await?;
        // Found out before anything is stored, where it can be.
        if input.size.is_some() && input.coding.is_none() {
            see_begin(&self.file).await?;
            if !self.incomplete {
                see_end(&self.file).await?;
            }
        }
        let key = &*self.within.source;
        if client.put_source(key).await?.created {
            output.status("Created", format_args!("source {key}"));
        }
        let (name, length) = (input.name.clone(), input.size);
        let encoding = input.coding.map(Coding::name);
        let started = Instant::now();
        let bar = Bar::upload(&name, length);
        let mover = bar.mover();
        let bytes = input.into_stream();
        let bytes = bytes.inspect_ok(move |chunk| mover.add(chunk.len() as u64));
        let query = ImportQuery {
            incomplete: self.incomplete,
        };
        let imported = client.source(key).import(&query, bytes, encoding, length).await;
        let imported = imported.with_context(|| format!("cannot import {name}"))?;
        let bytes = bar.position();
        drop(bar);
        let took = elapsed(started.elapsed());
        output.status(
            "Imported",
            format_args!("{}, {} in {took}", said(&imported.counts), size(bytes)),
        );
        if output.json {
            output.json_line(&imported)?;
        }
        Ok(Ended::Well)
    }
}

/// Sees that a file begins as an export does. What is wrong with the rest is for the server to say.
async fn see_begin(path: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    let file = tokio::fs::File::open(path).await.with_context(cannot)?;
    let mut head = Vec::new();
    file.take(BEGIN.len() as u64)
        .read_to_end(&mut head)
        .await
        .with_context(cannot)?;
    if head == BEGIN {
        return Ok(());
    }
    let records = ["csv", "tsv", "json", "jsonl", "ndjson"];
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    let records = extension.is_some_and(|extension| records.contains(&&*extension));
    let hint = match records && !head.is_empty() {
        true => "; records are sent with `granary bulk`",
        false => "",
    };
    bail!(
        "{} is no export: it does not begin as `granary export` writes one{hint}",
        path.display()
    )
}

/// Sees that an export is whole, by its last line.
async fn see_end(path: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = tokio::fs::File::open(path).await.with_context(cannot)?;
    let length = file.metadata().await.with_context(cannot)?.len();
    let from = length.saturating_sub(END_BYTES_MAX);
    file.seek(SeekFrom::Start(from)).await.with_context(cannot)?;
    let mut tail = Vec::new();
    file.take(END_BYTES_MAX)
        .read_to_end(&mut tail)
        .await
        .with_context(cannot)?;
    let mut last = LastLine::default();
    last.push(&tail);
    if let Err(why) = last.counts() {
        bail!(
            "{}: {why}; export again, or take it as far as it goes with --incomplete",
            path.display()
        );
    }
    Ok(())
}

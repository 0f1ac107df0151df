//! `granary bulk`: sends bulk requests.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use futures::{StreamExt, TryStreamExt};
use granary_client::api::bulk::{BulkAccepted, BulkQuery, ReceiptsShown};
use granary_client::{BulkBody, BulkReply, Client, Rejection, SourceClient};
use granary_core::operation::{Action, TargetType};

use super::{InSource, switch, task};
use crate::exit::Ended;
use crate::input::{Format, Input, wrap};
use crate::output::{BAD, FAULTS_SHOWN, Output, count, counted, elapsed, rejected_lines, size, styled};
use crate::progress::Bar;

/// Send bulk requests: files of operations or of records
///
/// Each FILE is one request. It is a JSON request, {"operations":[…]}, or NDJSON, one operation a line, or CSV, whose
/// header names properties and whose rows are records of --type. One whose name ends in .gz or .zst is sent as it is. With --type
/// each line is a record instead, {"id":…,"data":{…},"contained":{…}} with all but data optional, or for
/// relationships {"from":{…},"to":{…},"data":{…}}; it is made into an operation of --action.
///
/// The server checks a request whole. If any operation is wrong, it is rejected and nothing of it is stored; later
/// files are then not sent. Else it is accepted, nothing of it can get lost any more, and a task applies it in order.
/// Without --wait the ids of the tasks are the result.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all well; 2 with --wait, some operations failed; 3 rejected; 1 anything else."
)]
pub(crate) struct Bulk {
    #[command(flatten)]
    within: InSource,
    /// Files to send; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// They hold relationships; else the first operation tells
    #[arg(long, env = "GRANARY_RELATIONSHIPS", value_parser = switch())]
    relationships: bool,
    /// Each line is a record of this type
    #[arg(long = "type", env = "GRANARY_TYPE", value_name = "KEY")]
    type_key: Option<String>,
    /// With --type, what to do with each record
    #[arg(long, env = "GRANARY_ACTION", value_enum, value_name = "ACTION", default_value_t = ActionFlag::Create)]
    action: ActionFlag,
    /// How they are written; else the extension or the first bytes tell
    #[arg(long, env = "GRANARY_FORMAT", value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Wait until the tasks have ended
    #[arg(short, long, env = "GRANARY_WAIT", value_parser = switch())]
    wait: bool,
    /// Only check; store nothing
    #[arg(long, env = "GRANARY_VALIDATE_ONLY", value_parser = switch(), conflicts_with = "wait")]
    validate_only: bool,
}

/// What to do with a record, as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ActionFlag {
    Create,
    Upsert,
    Delete,
}

impl From<ActionFlag> for Action {
    fn from(action: ActionFlag) -> Self {
        match action {
            ActionFlag::Create => Self::Create,
            ActionFlag::Upsert => Self::Upsert,
            ActionFlag::Delete => Self::Delete,
        }
    }
}

impl Bulk {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        // A source that is not there is found out before gigabytes are sent to it.
        client.get_source(&self.within.source).await?;
        let source = client.source(&*self.within.source);
        let mut ended = Ended::Well;
        let mut tasks = Vec::new();
        // All are sent before any is waited for: the next is checked while the one before is applied.
        let mut failed = None;
        for file in &self.files {
            let (name, reply) = match self.open_and_send(&source, file, output).await {
                Ok(sent) => sent,
                // Told at the end: what was accepted before is waited for and shown all the same.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            match reply {
                BulkReply::Accepted(accepted) => tasks.push(self.accepted(output, accepted, name)?),
                BulkReply::Valid(valid) => {
                    output.status(
                        "Valid",
                        format_args!("{name}, {}", counted(valid.count, "operation")),
                    );
                    if output.json {
                        output.json_line(&valid)?;
                    }
                }
                BulkReply::Rejected(rejection) => {
                    rejected(output, rejection, &name).await?;
                    ended = Ended::Rejected;
                    break;
                }
            }
        }
        let (sent, of) = (self.files.len(), tasks.len());
        if (ended == Ended::Rejected || failed.is_some()) && sent > of + 1 {
            output.note(format_args!(
                "not sent: {}",
                counted((sent - of - 1) as u64, "later file")
            ));
        }
        if self.wait {
            for (id, name) in tasks {
                let task = task::watch(&source, &id, &name).await?;
                ended = ended.max(task::tell(output, &source, &task, &name).await?);
            }
        }
        failed.map_or(Ok(ended), Err)
    }

    async fn open_and_send(
        &self,
        source: &SourceClient,
        file: &std::path::Path,
        output: &Output,
    ) -> anyhow::Result<(String, BulkReply)> {
        let input = Input::open(file).await?;
        let name = input.name.clone();
        Ok((name, self.send(source, input, output).await?))
    }

    async fn send(
        &self,
        source: &SourceClient,
        mut input: Input,
        output: &Output,
    ) -> anyhow::Result<BulkReply> {
        let format = match self.format {
            Some(format) => format,
            None => input.format().await?,
        };
        if self.type_key.is_some() && format == Format::Json {
            bail!(
                "{} is a JSON request, whose operations name their types; with --type send one record a line, as \
                 `jq -c '.[]'` makes them from an array",
                input.name
            );
        }
        if format == Format::Csv && self.type_key.is_none() {
            bail!(
                "{} is CSV, which does not say what its rows are; name their type with --type",
                input.name
            );
        }
        if format == Format::Ndjson && self.type_key.is_some() && input.encoding.is_some() {
            bail!(
                "{} is compressed, and with --type its lines are changed; send it by way of zcat",
                input.name
            );
        }
        let target = match self.relationships {
            true => TargetType::Relationship,
            false => input.target(format, self.type_key.is_some()).await?,
        };
        let rows = format == Format::Csv;
        let wrapped = self
            .type_key
            .as_deref()
            .filter(|_| !rows)
            .map(|type_key| (self.action.into(), type_key));
        // Those of an operation that is not wrong say nothing, and there may be millions; a program gets them all.
        let receipts = (!output.json).then_some(ReceiptsShown::Failures);
        let query = BulkQuery {
            validate_only: self.validate_only,
            receipts,
            type_key: self.type_key.clone().filter(|_| rows),
            action: rows.then(|| Action::from(self.action).name().to_owned()),
            separator: None,
        };
        let sent = send(source, input, format, target, wrapped, &query).await?;
        let rate = format_args!("{} in {}", size(sent.bytes), elapsed(sent.time));
        output.status("Uploaded", format_args!("{}, {rate}", sent.name));
        Ok(sent.reply)
    }

    fn accepted(
        &self,
        output: &mut Output,
        accepted: BulkAccepted,
        name: String,
    ) -> anyhow::Result<(String, String)> {
        let id = accepted.task_id.to_string();
        output.status("Accepted", format_args!("{name} as {id}"));
        if !self.wait {
            match output.json {
                true => output.json_line(&accepted)?,
                false => output.line(&id)?,
            }
        }
        Ok((id, name))
    }
}

/// A request that was sent.
pub(crate) struct Sent {
    /// What it is called.
    pub(crate) name: String,
    /// How many bytes were read for it.
    pub(crate) bytes: u64,
    /// How long it took until its answer began.
    pub(crate) time: std::time::Duration,
    /// What it was answered with.
    pub(crate) reply: BulkReply,
}

/// Sends a request, with a bar on a terminal.
pub(crate) async fn send(
    source: &SourceClient,
    input: Input,
    format: Format,
    target: TargetType,
    wrapped: Option<(Action, &str)>,
    query: &BulkQuery,
) -> anyhow::Result<Sent> {
    let (name, length, encoding) = (input.name.clone(), input.size, input.encoding);
    let bar = Bar::upload(&name, length);
    let mover = bar.mover();
    let bytes = input
        .into_stream()
        .inspect_ok(move |chunk| mover.add(chunk.len() as u64));
    let body = match (format, wrapped) {
        (Format::Json, _) => BulkBody::json(bytes),
        (Format::Csv, _) => BulkBody::csv(bytes),
        (Format::Ndjson, None) => BulkBody::ndjson(bytes),
        (Format::Ndjson, Some((action, type_key))) => BulkBody::ndjson(wrap(bytes, action, type_key)),
    };
    let body = match encoding {
        Some(encoding) => body.with_encoding(encoding),
        None => body,
    };
    let body = match length {
        Some(length) if wrapped.is_none() => body.with_length(length),
        _ => body,
    };
    let start = Instant::now();
    let reply = source
        .send_bulk(target, query, body)
        .await
        .with_context(|| format!("cannot send {name}"))?;
    Ok(Sent {
        name,
        bytes: bar.position(),
        time: start.elapsed(),
        reply,
    })
}

/// Tells why a request was rejected.
pub(crate) async fn rejected(output: &mut Output, rejection: Rejection, name: &str) -> anyhow::Result<()> {
    let what = format!("{name}; nothing of it is stored");
    if output.json {
        output.status_bad("Rejected", what);
        let mut answer = std::pin::pin!(rejection.into_stream());
        while let Some(piece) = answer.next().await {
            output.raw(&piece.context("the answer broke off")?)?;
        }
        return output.line("");
    }
    let summary = rejection.summary(FAULTS_SHOWN).await?;
    output.status_bad("Rejected", what);
    if let Some(error) = &summary.error {
        output.note(format_args!("{BAD}error{BAD:#}: {}", error.message));
    }
    if summary.failures == 0 {
        return Ok(());
    }
    let wrong = if summary.failures == 1 {
        "is wrong"
    } else {
        "are wrong"
    };
    output.note(format_args!(
        "{} {wrong}:",
        styled(BAD, counted(summary.failures, "operation"))
    ));
    rejected_lines(&summary.first)
        .iter()
        .for_each(|line| output.note(format_args!("  {line}")));
    let more = summary.failures - summary.first.len() as u64;
    if more > 0 {
        output.note(format_args!("  … and {} more; see all with --json", count(more)));
    }
    Ok(())
}

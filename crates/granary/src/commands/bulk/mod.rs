//! `granary bulk`: sends bulk requests.

mod failures;
mod faults;
mod first;
mod lines;
mod rejected;
mod replayed;
mod send;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use granary_client::api::bulk::{BulkAccepted, BulkQuery, ReceiptsShown};
use granary_client::{BulkReply, Client, Error, SourceClient};
use granary_core::idempotency::IdempotencyKey;
use granary_core::operation::{Action, TargetType};

use super::{InSource, switch, task};
use crate::exit::Ended;
use crate::input::{Coding, ColumnMap, Delimiter, Format, Input, twice_in};
use crate::output::{Output, counted, elapsed, size};

use failures::Failures;
pub(crate) use faults::{Faults, place};
use first::{in_shell, must_look_right};
pub(crate) use lines::SentFile;
pub(crate) use rejected::rejected;
pub(crate) use replayed::{Replay, replay};
use send::{Made, derived_key, send_made};
pub(crate) use send::{Sent, send};

/// Send bulk requests: files of operations or of records
///
/// Each FILE is one request, and they are sent in the order given. A file is a JSON request, {"operations":[…]}, or
/// NDJSON, one operation a line, or CSV, whose header names properties and whose rows are records of --type. One that is
/// compressed with gzip or zstd is sent as it is. With --type each line is a record instead,
/// {"id":…,"data":{…},"contained":{…}} with all but data optional, or for relationships
/// {"from":{…},"to":{…},"data":{…}}; it is made into an operation of --action. One as `granary get` shows it will do: what
/// only the server gives is left out.
///
/// The server checks a request whole. If any operation is wrong, it is rejected and nothing of it is stored; later
/// files are then not sent. Else it is accepted, nothing of it can get lost any more, and a task applies it in order.
/// Without --wait the ids of the tasks are the result.
///
/// It is safe to run again, also after it was cut off: each file goes under an Idempotency-Key made from its content, the
/// source and how it is sent, so that within a day (limit idempotencyKeyHours) the server carries it out once. What was
/// accepted before is told as Replayed. Stdin and pipes have no such key; name one with --idempotency-key.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all well; 2 with --wait, some operations failed; 3 rejected; 1 anything else."
)]
pub(crate) struct Bulk {
    #[command(flatten)]
    within: InSource,
    /// Files to send; `-` is stdin
    #[arg(required_unless_present = "retry_failed", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// They hold relationships; else the first operation tells, and CSV holds resources
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
    /// Of CSV: what a column holds, where its name is not that of the property: 'Full name=name'; `id`, or `from` and
    /// `to`, name records; 'Notes=' leaves a column out; again for more of them, in the variable a line each
    #[arg(
        long,
        env = "GRANARY_MAP",
        value_name = "COLUMN=PROPERTY",
        value_delimiter = '\n'
    )]
    map: Vec<ColumnMap>,
    /// Of CSV: what separates cells: ',', ';', 'tab' or '|'; else the header tells, and `.tsv` has tabs
    #[arg(long, env = "GRANARY_DELIMITER", value_name = "CHAR")]
    delimiter: Option<Delimiter>,
    /// Of CSV: what joins the elements of an array in a cell [default: |]
    #[arg(long, env = "GRANARY_SEPARATOR", value_name = "TEXT")]
    separator: Option<String>,
    /// Wait until the tasks have ended
    #[arg(short, long, env = "GRANARY_WAIT", value_parser = switch())]
    wait: bool,
    /// Only check; store nothing
    #[arg(long, env = "GRANARY_VALIDATE_ONLY", value_parser = switch(), conflicts_with_all = ["wait", "retry_failed"])]
    validate_only: bool,
    /// Wait, and write what failed to this file, to be corrected and sent again; why goes beside it
    ///
    /// Line by line as operations, or for a rejected CSV as its rows. The reasons are receipts, in FILE with the extension
    /// `.reasons.ndjson`. Both are written, and empty, where nothing failed.
    #[arg(long, env = "GRANARY_BULK_FAILURES", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    failures: Option<PathBuf>,
    /// Send nothing but what failed or was cancelled in this task, as `granary task retry` does
    #[arg(long, env = "GRANARY_RETRY_FAILED", value_name = "TASK",
        conflicts_with_all = ["files", "relationships", "type_key", "format", "map", "delimiter", "separator"])]
    retry_failed: Option<String>,
    /// The Idempotency-Key to send with; of several files the second has `.2` behind it, and so on
    #[arg(long, env = "GRANARY_IDEMPOTENCY_KEY", value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<IdempotencyKey>,
    /// Send also what was sent before, without a key made from it
    #[arg(long, env = "GRANARY_AGAIN", value_parser = switch(), conflicts_with = "idempotency_key")]
    again: bool,
}

fn idempotency_key(raw: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::parse(raw).map_err(|error| error.message)
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

/// A request whose answer is to be told.
struct Answered {
    format: Format,
    target: TargetType,
    made: Made,
    sent: Sent,
}

impl Bulk {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        // A source that is not there is found out before gigabytes are sent to it.
        client.get_source(&self.within.source).await?;
        let source = client.source(&*self.within.source);
        let mut failures = match &self.failures {
            Some(path) => Some(Failures::create(path)?),
            None => None,
        };
        let ended = match &self.retry_failed {
            Some(task) => {
                let key = self.idempotency_key.as_ref();
                let retried = task::retry(&source, task, self.waits(), key, output).await?;
                if let (Some(failures), Some(task)) = (&mut failures, &retried.task) {
                    failures.of_task(output, &source, task, &retried.name).await?;
                }
                Ok(retried.ended)
            }
            None => self.send_all(&source, failures.as_mut(), output).await,
        };
        let Some(failures) = failures else { return ended };
        let has_ended = matches!(ended, Ok(Ended::Well | Ended::SomeFailed));
        // Of a file that was rejected, or not answered, nothing may be stored: the rest of it is nowhere else.
        let written = match self
            .files
            .iter()
            .find(|file| !has_ended && failures.replaces(file))
        {
            Some(file) => {
                output.note(format_args!("{} stays as it is", file.display()));
                failures.finish_reasons()
            }
            None => failures.finish(output),
        };
        ended.and_then(|ended| written.map(|()| ended))
    }

    const fn waits(&self) -> bool {
        self.wait || (self.failures.is_some() && !self.validate_only)
    }

    async fn send_all(
        &self,
        source: &SourceClient,
        mut failures: Option<&mut Failures>,
        output: &mut Output,
    ) -> anyhow::Result<Ended> {
        let mut ended = Ended::Well;
        let mut tasks = Vec::new();
        // All are sent before any is waited for: the next is checked while the one before is applied.
        let (mut failed, mut tried) = (None, 0);
        for (place, file) in self.files.iter().enumerate() {
            tried = place + 1;
            let Answered {
                format,
                target,
                made,
                sent,
            } = match self.open_and_send(source, place, file, output).await {
                Ok(sent) => sent,
                // Told at the end: what was accepted before is waited for and shown all the same.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            let name = sent.name;
            let sent_file = SentFile {
                path: file.clone(),
                format,
                delimiter: made.delimiter,
                command: self.command(source, file),
            };
            match sent.reply {
                BulkReply::Accepted(accepted) => {
                    let accepted = self.accepted(output, source, accepted, &name, sent.replayed);
                    let (id, before) = accepted.await?;
                    tasks.push((id, name, before, sent_file));
                }
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
                    let picking = failures
                        .as_deref_mut()
                        .map(|failures| failures.of_rejection(output, file, format, target, made, &name));
                    match rejected(output, rejection, &name, picking, Some(&sent_file)).await {
                        Ok(()) => ended = Ended::Rejected,
                        Err(error) => failed = Some(error),
                    }
                    break;
                }
            }
        }
        let later = self.files.len() - tried;
        if later > 0 {
            output.note(format_args!("not sent: {}", counted(later as u64, "later file")));
        }
        if self.waits() {
            for (id, name, before, file) in tasks {
                let told = task::wait_and_tell(output, source, &id, &name, before.as_ref(), Some(&file));
                let (task, became) = told.await?;
                ended = ended.max(became);
                if let Some(failures) = failures.as_deref_mut() {
                    failures.of_task(output, source, &task, &name).await?;
                }
            }
        }
        failed.map_or(Ok(ended), Err)
    }

    async fn open_and_send(
        &self,
        source: &SourceClient,
        place: usize,
        file: &Path,
        output: &Output,
    ) -> anyhow::Result<Answered> {
        let mut input = Input::open(file).await?;
        let format = match self.format {
            Some(format) => format,
            None => input.format().await?,
        };
        self.must_fit(&input.name, format)?;
        if format == Format::Ndjson {
            let (action, type_key) = (self.action.into(), self.type_key.as_deref());
            must_look_right(source, &mut input, file, action, type_key).await?;
        }
        let target = match self.relationships {
            true => TargetType::Relationship,
            false => input.target(format, self.type_key.is_some()).await?,
        };
        let rows = format == Format::Csv;
        let wrapped = self.type_key.clone().filter(|_| !rows);
        let delimiter = match (rows, self.delimiter) {
            (false, _) => Delimiter::Comma,
            (true, Some(delimiter)) => delimiter,
            (true, None) => input.delimiter().await?,
        };
        let made = Made {
            delimiter,
            wrapped: wrapped.map(|type_key| (self.action.into(), type_key)),
            map: if rows { self.map.clone() } else { Vec::new() },
        };
        let query = BulkQuery {
            validate_only: self.validate_only,
            // Those of an operation that is not wrong say nothing, and there may be millions. It is the same however the
            // result is shown: the query is part of what a key is of.
            receipts: Some(ReceiptsShown::Failures),
            type_key: self.type_key.clone().filter(|_| rows),
            action: rows.then(|| Action::from(self.action).name().to_owned()),
            separator: self.separator.clone().filter(|_| rows),
        };
        let key = self.key(source, place, file, format, target, &query, &made, input.coding);
        let key = key.await?;
        let sent = send_made(source, input, format, target, made.clone(), &query, key.as_ref()).await;
        if let (Some(_), Err(error)) = (&key, &sent)
            && matches!(error.downcast_ref(), Some(Error::Broken { .. }))
        {
            output.note("run the same again: what was accepted is not carried out twice");
        }
        let sent = sent?;
        let rate = format_args!("{} in {}", size(sent.bytes), elapsed(sent.time));
        output.status("Uploaded", format_args!("{}, {rate}", sent.name));
        Ok(Answered {
            format,
            target,
            made,
            sent,
        })
    }

    /// What is typed to send this file in the same way.
    fn command(&self, source: &SourceClient, file: &Path) -> String {
        let mut command = format!(
            "granary bulk {} --source {}",
            in_shell(&file.display().to_string()),
            source.key()
        );
        let mut add = |flag: &str, value: &str| command.extend([" ", flag, " ", &in_shell(value)]);
        if let Some(type_key) = &self.type_key {
            add("--type", type_key);
        }
        match Action::from(self.action) {
            Action::Create => {}
            action => add("--action", &action.name().to_lowercase()),
        }
        if let Some(delimiter) = self.delimiter {
            add("--delimiter", delimiter.name());
        }
        if let Some(separator) = &self.separator {
            add("--separator", separator);
        }
        for entry in &self.map {
            add("--map", &entry.to_string());
        }
        if self.relationships {
            command.push_str(" --relationships");
        }
        command
    }

    /// Finds out what cannot be sent in this way.
    fn must_fit(&self, name: &str, format: Format) -> anyhow::Result<()> {
        if let Some(why) = twice_in(&self.map) {
            bail!(why);
        }
        if self.type_key.is_some() && format == Format::Json {
            bail!(
                "{name} is a JSON request, whose operations name their types; with --type send one record a line, as \
                 `jq -c '.[]'` makes them from an array"
            );
        }
        if format == Format::Csv && self.type_key.is_none() {
            bail!("{name} is CSV, which does not say what its rows are; name their type with --type");
        }
        let of_csv = [
            (!self.map.is_empty(), "--map"),
            (self.separator.is_some(), "--separator"),
            (self.delimiter.is_some(), "--delimiter"),
        ];
        let of_csv = of_csv.into_iter().find_map(|(given, flag)| given.then_some(flag));
        match of_csv {
            Some(flag) if format != Format::Csv => bail!(
                "{name} is not CSV, and {flag} is for that alone; leave it off, or say --format csv if it is"
            ),
            _ => Ok(()),
        }
    }

    /// The key that a file is sent under.
    #[expect(
        clippy::too_many_arguments,
        reason = "a key is of all that makes one request another"
    )]
    async fn key(
        &self,
        source: &SourceClient,
        place: usize,
        file: &Path,
        format: Format,
        target: TargetType,
        query: &BulkQuery,
        made: &Made,
        coding: Option<Coding>,
    ) -> anyhow::Result<Option<IdempotencyKey>> {
        if let Some(key) = &self.idempotency_key {
            let key = match place {
                0 => key.as_str().to_owned(),
                _ => format!("{}.{}", key.as_str(), place + 1),
            };
            let key = idempotency_key(&key).map_err(anyhow::Error::msg);
            return key
                .context("--idempotency-key with the number of a file behind it")
                .map(Some);
        }
        if self.validate_only || self.again || file == Path::new("-") {
            return Ok(None);
        }
        let map: Vec<String> = made.map.iter().map(ColumnMap::to_string).collect();
        let wrapped = made
            .wrapped
            .as_ref()
            .map(|(action, type_key)| (action.name(), type_key));
        let way = serde_json::to_string(&(target, query, wrapped, map, coding.map(Coding::name)))?;
        let format = match made.delimiter {
            Delimiter::Comma => format!("{format:?}"),
            delimiter => format!("{format:?}{}", delimiter.name()),
        };
        derived_key(file, &[source.key(), &format, &way]).await
    }

    async fn accepted(
        &self,
        output: &mut Output,
        source: &SourceClient,
        accepted: BulkAccepted,
        name: &str,
        replayed: bool,
    ) -> anyhow::Result<(String, Option<Replay>)> {
        let id = accepted.task_id.to_string();
        let before = match replayed {
            false => {
                output.status("Accepted", format_args!("{name} as {id}"));
                None
            }
            true => {
                let how = match self.idempotency_key {
                    Some(_) => "another --idempotency-key sends it anew",
                    None => "--again sends it anew",
                };
                Some(replay(output, source, &id, name, how).await)
            }
        };
        if !self.waits() {
            match output.json {
                true => output.json_line(&accepted)?,
                false => output.line(&id)?,
            }
        }
        Ok((id, before))
    }
}

//! The frame of the demo: how its steps tell what they do, and note whether it is as it should be.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, bail};
use granary_client::api::bulk::BulkQuery;
use granary_client::api::tasks::Task;
use granary_client::api::terminology::TerminologyReceipt;
use granary_client::{BulkReply, Client, ConceptsReply, DefinitionKind, SourceClient};
use granary_core::operation::TargetType;
use granary_core::receipt::ReceiptStatus;
use serde::Serialize;

use super::examples::File;
use crate::commands::bulk::{Sent, send};
use crate::commands::vocabulary;
use crate::input::Input;
use crate::output::{GOOD, Output, rejected_lines};
use crate::watch::until_ended;

/// Something that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    /// What should be so.
    pub(crate) what: String,
    /// Whether it is.
    pub(crate) holds: bool,
}

/// What the demo has seen.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// The tasks of its requests.
    pub(crate) tasks: Vec<Task>,
    /// What it looked at.
    pub(crate) checks: Vec<Check>,
}

/// The demo, as far as it has come.
pub(crate) struct Show<'a> {
    pub(super) client: Client,
    pub(super) airports: SourceClient,
    pub(super) providers: SourceClient,
    pub(super) url: &'a str,
    pub(super) output: &'a mut Output,
    step: u32,
    pub(super) seen: Seen,
}

impl<'a> Show<'a> {
    pub(crate) fn new(url: &'a str, output: &'a mut Output) -> anyhow::Result<Self> {
        let client = Client::new(url)?;
        Ok(Self {
            airports: client.source("airports"),
            providers: client.source("providers"),
            client,
            url,
            output,
            step: 0,
            seen: Seen::default(),
        })
    }

    /// Stores a vocabulary with its concepts and tells how many there are.
    pub(super) async fn vocabulary(&mut self, file: File) -> anyhow::Result<u64> {
        let key = file.key();
        let held: vocabulary::File = serde_json::from_slice(file.bytes)?;
        let put = self.client.put_vocabulary(key, held.body()).await;
        let put = put.with_context(|| format!("cannot store the vocabulary {key}"))?;
        let reply = self
            .client
            .change_concepts(key, vocabulary::operations(&held.concepts));
        let ConceptsReply::Applied(applied) = reply.await? else {
            bail!("the concepts of {key} are right and were rejected");
        };
        let stored =
            |receipt: &TerminologyReceipt| receipt.status == ReceiptStatus::Success && !receipt.unchanged;
        let (sent, count) = (
            held.concepts.len(),
            self.client.get_vocabulary(key).await?.concept_count,
        );
        self.check(
            format_args!("the vocabulary {key} is new and has all its concepts"),
            put.created
                && applied.receipts.len() == sent
                && applied.receipts.iter().all(stored)
                && count == sent as u64,
        );
        Ok(count)
    }

    pub(super) async fn define(
        &mut self,
        source: &SourceClient,
        kind: DefinitionKind,
        file: File,
    ) -> anyhow::Result<()> {
        let put = source.put_definition(kind, file.key(), file.bytes).await;
        let put = put.with_context(|| format!("cannot store the {} {}", kind.name(), file.key()))?;
        let fresh = put.created && put.value.key.as_str() == file.key() && put.value.revision == 1;
        self.check(
            format_args!("the {} {} is stored as revision 1", kind.name(), file.key()),
            fresh,
        );
        Ok(())
    }

    /// Sends a request that is right and waits for its task.
    pub(super) async fn carried_out(
        &mut self,
        source: &SourceClient,
        file: File,
        target: TargetType,
    ) -> anyhow::Result<(Duration, Task)> {
        let mut input = Input::of(file.name, file.bytes);
        let format = input.format().await?;
        let Sent { time, reply, .. } = send(source, input, format, target, &BulkQuery::default()).await?;
        match reply {
            BulkReply::Accepted(accepted) => {
                let id = accepted.task_id.to_string();
                Ok((time, until_ended(source, &id, file.name).await?))
            }
            BulkReply::Valid(_) => bail!("{} was not asked to be checked only", file.name),
            BulkReply::Rejected(rejection) => {
                let summary = rejection.summary(3).await?;
                let faults = rejected_lines(&summary.first).join("\n  ");
                bail!("{} is right and was rejected:\n  {faults}", file.name)
            }
        }
    }

    pub(super) fn step(&mut self, title: &str) -> anyhow::Result<()> {
        self.step += 1;
        let (step, gap) = (self.step, if self.step > 1 { "\n" } else { "" });
        self.say(format_args!("{gap}{GOOD}{step}. {title}{GOOD:#}\n"))
    }

    /// The story is the result; with `--json` the result is what was found.
    pub(super) fn say(&mut self, line: impl Display) -> anyhow::Result<()> {
        match self.output.json {
            true => self.output.note(line),
            false => self.output.line(line)?,
        }
        Ok(())
    }

    pub(super) fn check(&mut self, what: impl Display, holds: bool) {
        self.seen.checks.push(Check {
            what: what.to_string(),
            holds,
        });
    }
}

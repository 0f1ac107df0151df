//! What the demo shows, step by step.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use granary_client::api::bulk::{BulkQuery, ReceiptsShown};
use granary_client::api::tasks::{Task, TaskQuery};
use granary_client::{BulkReply, DefinitionKind};
use granary_core::operation::TargetType;
use granary_core::task::Outcome;
use serde_json::Value;

use super::examples;
use super::reading::{AIRPORT, SUBDIVISION, identifier};
use super::show::{Seen, Show};
use crate::commands::bulk::send;
use crate::commands::{receipts, task};
use crate::input::{Format, Input};
use crate::output::{
    BAD, BOLD, DIM, GOOD, NAME, Table, count, counted, elapsed, fault_lines, rate, size, styled, word,
};

impl Show<'_> {
    pub(crate) async fn all(mut self, data: &Path, started: Duration, stays: bool) -> anyhow::Result<Seen> {
        self.serving(data, started).await?;
        self.definitions().await?;
        self.bulk_requests().await?;
        self.rejected_request().await?;
        let conflicts = self.conflicts().await?;
        self.providers().await?;
        self.reading_back().await?;
        if stays {
            self.trying(&conflicts)?;
        }
        Ok(self.seen)
    }

    async fn serving(&mut self, data: &Path, started: Duration) -> anyhow::Result<()> {
        self.step("A server")?;
        let (url, data) = (self.url, data.display());
        self.say(format_args!(
            "ready at {NAME}{url}{NAME:#} after {}, its data in {data}",
            elapsed(started)
        ))?;
        let ready = self.client.ready().await;
        self.check("the server is ready", ready.is_ok());
        ready.map(drop).context("the server is not ready")
    }

    async fn definitions(&mut self) -> anyhow::Result<()> {
        self.step("What the records of a source look like")?;
        let put = self.client.put_source(self.airports.key()).await?;
        self.check("the source airports is new", put.created);
        self.say(format_args!("{:<24} {NAME}airports{NAME:#}", "source"))?;
        for file in examples::VOCABULARIES {
            let concepts = counted(self.vocabulary(file).await?, "concept");
            let key = file.key();
            self.say(format_args!(
                "{:<24} {NAME}{key}{NAME:#}, {concepts}",
                "vocabulary"
            ))?;
        }
        for (kind, files) in [
            (DefinitionKind::Profile, &examples::PROFILES[..]),
            (
                DefinitionKind::RelationshipDefinition,
                &examples::RELATIONSHIP_DEFINITIONS,
            ),
        ] {
            for &file in files {
                let (source, key) = (self.airports.clone(), file.key());
                self.define(&source, kind, file).await?;
                self.say(format_args!("{:<24} {NAME}{key}{NAME:#}", kind.name()))?;
            }
        }
        Ok(())
    }

    async fn bulk_requests(&mut self) -> anyhow::Result<()> {
        self.step("The records, as bulk requests")?;
        self.say("Each request is checked whole before the answer; accepted, it is on disk. A task then applies its")?;
        self.say("operations in order, each exactly once, and keeps a receipt of every one.\n")?;
        let header = [
            "REQUEST",
            "SIZE",
            "ACCEPTED IN",
            "OPERATIONS",
            "DONE IN",
            "PER SECOND",
            "OUTCOME",
        ];
        // Wide enough for all rows, which come one by one.
        let widest = [
            "airport-in-subdivision.ndjson",
            "99.9 MB",
            "",
            "100,000",
            "9 min 59 s",
            "",
            "",
        ];
        let table = Table::fit(&header, &[widest.map(str::to_owned).to_vec()]);
        self.say(table.header(&header))?;
        let start = Instant::now();
        let (mut operations, mut bytes) = (0, 0);
        for (target, files) in [
            (TargetType::Resource, examples::RESOURCES),
            (TargetType::Relationship, examples::RELATIONSHIPS),
        ] {
            for file in files {
                let sending = Instant::now();
                let (accepted_in, task) = self.carried_out(&self.airports.clone(), file, target).await?;
                // Measured here, from the first byte sent until its end is seen: what a client waits for.
                let done_in = sending.elapsed();
                let (total, all_well) = (task.counts.total, task.outcome == Some(Outcome::Complete));
                self.check(
                    format_args!("all {} operations of {} succeed", count(file.lines()), file.name),
                    all_well && task.counts.success == file.lines() && total == file.lines(),
                );
                let outcome = styled(if all_well { GOOD } else { BAD }, word(&task.outcome));
                let row = [
                    file.name.to_owned(),
                    size(file.bytes.len() as u64),
                    elapsed(accepted_in),
                    count(total),
                    elapsed(done_in),
                    rate(total, done_in).unwrap_or_default(),
                    outcome,
                ];
                self.say(table.row(&row))?;
                (operations, bytes) = (operations + total, bytes + file.bytes.len() as u64);
                self.seen.tasks.push(task);
            }
        }
        let time = start.elapsed();
        let rate = rate(operations, time).unwrap_or_default();
        let (size, time) = (size(bytes), elapsed(time));
        self.say(format_args!(
            "\n{BOLD}{} operations{BOLD:#}, {size}, sent, checked, applied and on disk in {BOLD}{time}{BOLD:#}: {rate} a second",
            count(operations)
        ))
    }

    async fn rejected_request(&mut self) -> anyhow::Result<()> {
        self.step("A request with faults")?;
        let file = examples::INVALID;
        let input = Input::of(file.name, file.bytes);
        let query = BulkQuery {
            receipts: Some(ReceiptsShown::All),
            ..Default::default()
        };
        let sent = send(&self.airports, input, Format::Json, TargetType::Resource, &query).await?;
        let BulkReply::Rejected(rejection) = sent.reply else {
            self.check(format_args!("{} is rejected", file.name), false);
            return Ok(());
        };
        let summary = rejection.summary(usize::MAX).await?;
        let request: Value = serde_json::from_slice(file.bytes)?;
        let total = summary.operations.unwrap_or_default();
        self.say(format_args!(
            "{} is {BAD}REJECTED{BAD:#}: {} of its {} are wrong, so nothing of it is stored.\n",
            file.name,
            count(summary.failures),
            counted(total, "operation")
        ))?;
        for failure in &summary.first {
            let index = failure.index.unwrap_or_default();
            let error = failure.error.as_ref().context("a failure says why")?;
            self.say(format_args!(
                "{BOLD}operation {index}{BOLD:#}  {}",
                named(&request, index)
            ))?;
            for fault in fault_lines(error) {
                self.say(format_args!("  {fault}"))?;
            }
        }
        let indexes: Vec<_> = summary.first.iter().filter_map(|failure| failure.index).collect();
        self.check(
            "the wrong operations are the ones named",
            indexes == examples::INVALID_INDEXES,
        );
        let operations = request["operations"].as_array().map_or(0, Vec::len) as u64;
        self.check(
            "a rejection has a receipt for every operation",
            total == operations,
        );
        let located = |failure: &granary_client::api::bulk::RejectedReceipt| {
            let details = failure
                .error
                .as_ref()
                .map(|error| &error.details[..])
                .unwrap_or_default();
            details.len() > 1 && details.iter().all(|detail| detail.path.is_some())
        };
        self.check(
            "every fault of an operation is shown, and where it is",
            summary.first.iter().all(located),
        );
        // Two of its operations are right by themselves: one deletes SBGR, one replaces YSSY.
        let (deleted, replaced) = (
            self.airports.get_resource("airport", "SBGR").await,
            self.airports.get_resource("airport", "YSSY").await,
        );
        let untouched = deleted.is_ok() && replaced.is_ok_and(|resource| resource.meta.version == 1);
        self.check("a rejected request changes nothing", untouched);
        Ok(())
    }

    async fn conflicts(&mut self) -> anyhow::Result<Task> {
        self.step("A request that is right, but not all of it can be done")?;
        let file = examples::CONFLICTS;
        let (_, task) = self
            .carried_out(&self.airports.clone(), file, TargetType::Resource)
            .await?;
        let id = task.task_id.to_string();
        let query = TaskQuery {
            with_receipts: Some(true),
        };
        let task = self.airports.bulk_task(TargetType::Resource, &id, &query).await?;
        self.say(format_args!("{}  {}\n", file.name, task::summary(&task)))?;
        let receipts = task.receipts.as_deref().unwrap_or_default();
        if !self.output.json {
            receipts::begin(self.output, receipts)?;
        }
        let code =
            |receipt: &granary_core::receipt::Receipt| receipt.error.as_ref().map_or(0, |error| error.code);
        let codes: Vec<u16> = receipts.iter().map(code).collect();
        self.say(format_args!(
            "\n{DIM}One operation that fails does not stop the others. The task has done its work: its status is \
             {}.{DIM:#}",
            word(&task.status)
        ))?;
        self.check(
            "the receipts say 409 and 404 where they should",
            codes == examples::CONFLICTS_CODES,
        );
        self.check("the task ends PARTIAL", task.outcome == Some(Outcome::Partial));
        let unchanged = receipts.get(3).is_some_and(|receipt| receipt.unchanged);
        self.check("an upsert of what is stored already is unchanged", unchanged);
        let renamed = self.airports.get_resource("airport", "EGPH").await?;
        let renamed = renamed.meta.version == 2 && renamed.data.get().contains("Turnhouse");
        self.check("an upsert replaces a record, as its version 2", renamed);
        self.seen.tasks.push(Task {
            receipts: None,
            ..task.clone()
        });
        Ok(task)
    }

    async fn providers(&mut self) -> anyhow::Result<()> {
        self.step("The examples of the Bulk API's documentation")?;
        let put = self.client.put_source(self.providers.key()).await?;
        self.check("the source providers is new", put.created);
        let source = self.providers.clone();
        self.define(&source, DefinitionKind::Profile, examples::PROVIDER)
            .await?;
        let (_, task) = self
            .carried_out(&source, examples::PROVIDERS, TargetType::Resource)
            .await?;
        let task = source.task_with_receipts(&task.task_id.to_string()).await?;
        self.say(format_args!(
            "{}  {}\n",
            examples::PROVIDERS.name,
            task::summary(&task)
        ))?;
        let receipts = task.receipts.as_deref().unwrap_or_default();
        if !self.output.json {
            receipts::begin(self.output, receipts)?;
        }
        self.check(
            "its three operations succeed",
            task.counts.success == 3 && task.counts.total == 3,
        );
        let id = receipts
            .first()
            .map(|receipt| receipt.id.clone())
            .unwrap_or_default();
        let created = source.get_resource("provider", &id).await?;
        self.check(
            "the created provider has an id of the server's",
            created.id == id && id.len() == 27,
        );
        let gone = source
            .get_resource("provider", "2eVocVVgjAWYJ74DifXluwVtSYs")
            .await;
        self.check(
            "the deleted provider is gone",
            gone.is_err_and(|error| error.refusal().is_some_and(|e| e.code == 404)),
        );
        self.seen.tasks.push(Task {
            receipts: None,
            ..task
        });
        Ok(())
    }

    fn trying(&mut self, conflicts: &Task) -> anyhow::Result<()> {
        self.step("To try")?;
        let url = self.url;
        let airports = format!("{url}/sources/airports/v1");
        let id = conflicts.task_id;
        for (what, line) in [
            (
                "some airports",
                format!("curl '{airports}/resources/airport?limit=3'"),
            ),
            (
                "one airport",
                format!("curl {airports}/resources/airport/{AIRPORT}"),
            ),
            (
                "the same by its IATA code",
                format!("curl '{airports}/resources/airport/{}'", identifier()),
            ),
            (
                "the airports in Ontario",
                format!("curl '{airports}/relationships/airport-in-subdivision?to={SUBDIVISION}'"),
            ),
            (
                "a country in 12 languages",
                format!("curl {url}/terminology/v1/vocabularies/country-code/concepts/CA"),
            ),
            (
                "tasks that ended partial",
                format!("curl '{airports}/tasks?outcome=PARTIAL'"),
            ),
            (
                "receipts, one a line",
                format!("curl -H 'Accept: application/x-ndjson' {airports}/tasks/{id}/receipts"),
            ),
            (
                "a bulk request",
                format!(
                    "curl {airports}/resources/bulk -H 'Content-Type: application/json' -d \
                     '{{\"operations\":[{{\"action\":\"DELETE\",\"delete\":{{\"type\":\"airport\",\"id\":\"X-HERON\"}}}}]}}'"
                ),
            ),
            (
                "the same by command",
                format!("granary task list --source airports --server {url}"),
            ),
        ] {
            self.say(format_args!("{what:<25} {NAME}{line}{NAME:#}"))?;
        }
        self.say("")
    }
}

/// An operation in a few words: `CREATE airport EGLL`.
fn named(request: &Value, index: u64) -> String {
    let operation = usize::try_from(index)
        .ok()
        .and_then(|index| request["operations"].get(index));
    let Some(operation) = operation else {
        return String::new();
    };
    let action = operation["action"].as_str().unwrap_or_default();
    let payload = &operation[action.to_lowercase()];
    let text = |name: &str| payload[name].as_str().unwrap_or_default();
    format!("{action} {} {}", text("type"), text("id"))
}

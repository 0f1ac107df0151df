//! What failed, in a file that can be corrected and sent again, and why, in a second one beside it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use futures::TryStreamExt;
use granary_client::SourceClient;
use granary_client::api::tasks::{ReceiptsQuery, Task};
use granary_core::operation::TargetType;
use granary_core::receipt::ReceiptStatus;
use serde::Serialize;

use super::send::Made;
use crate::input::{CsvRows, Format, Lines, Opened, Records, open_sync, wrap_one};
use crate::output::{Output, counted, word};
use crate::unfinished::Unfinished;

/// The two files, under other names until they are whole.
pub(super) struct Failures {
    path: PathBuf,
    files: Arc<Mutex<Files>>,
}

/// How what failed is written: a file that is sent again holds one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Operations, one a line.
    Operations,
    /// A header and rows. A run ends at its first rejection, so that there is one header.
    Rows,
}

impl Form {
    const fn noun(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Rows => "rows of CSV",
        }
    }
}

/// Where what failed goes.
struct Files {
    operations: Unfinished,
    reasons: Unfinished,
    written: u64,
    /// What the operations in it are on, once there are some: one request is of one kind.
    target: Option<TargetType>,
    /// How they are written, once some are.
    form: Option<Form>,
    /// Why operations are not in it from one of them on.
    missing: Option<String>,
}

impl Failures {
    /// Two files that hold nothing yet.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let files = Files {
            operations: Unfinished::create(path)?,
            reasons: Unfinished::create(&reasons_of(path))?,
            written: 0,
            target: None,
            form: None,
            missing: None,
        };
        Ok(Self {
            path: path.to_owned(),
            files: Arc::new(Mutex::new(files)),
        })
    }

    /// Writes what failed of a task that has ended.
    pub(super) async fn of_task(
        &mut self,
        output: &Output,
        source: &SourceClient,
        task: &Task,
        name: &str,
    ) -> anyhow::Result<()> {
        if task.counts.failure == 0 {
            return Ok(());
        }
        let target = task.target_type.unwrap_or(TargetType::Resource);
        if !self.takes(output, target, Some(Form::Operations), name) {
            return Ok(());
        }
        let query = ReceiptsQuery {
            status: Some(ReceiptStatus::Failure),
            ..ReceiptsQuery::default()
        };
        let id = task.task_id.to_string();
        let cannot = || format!("cannot read back what failed in {name}");
        let mut operations = Box::pin(source.operations_stream(&id, &query).await.with_context(cannot)?);
        while let Some(sent) = operations.try_next().await.with_context(cannot)? {
            // What failed is kept as long as its task.
            if let Some(operation) = sent.operation {
                lock(&self.files).operation(Form::Operations, operation.get().as_bytes())?;
            }
        }
        let mut reasons = Box::pin(source.receipts_stream(&id, &query).await.with_context(cannot)?);
        while let Some(receipt) = reasons.try_next().await.with_context(cannot)? {
            lock(&self.files).reason(target, &receipt)?;
        }
        Ok(())
    }

    /// One file holds operations on resources or on relationships, as one request does, and all of them in one form. Where
    /// there is no form, reasons alone are to be taken.
    fn takes(&self, output: &Output, target: TargetType, form: Option<Form>, name: &str) -> bool {
        let (path, files) = (self.path.display(), lock(&self.files));
        if let Some(of_file) = files.target.filter(|of_file| *of_file != target) {
            let kinds = |target| word(&target).to_lowercase();
            output.note(format_args!(
                "what failed in {name} is on {}s and not in {path}, which has operations on {}s; send the two kinds \
                 apart to have a file of each",
                kinds(target),
                kinds(of_file)
            ));
            return false;
        }
        if let (Some(form), Some(of_file)) = (form, files.form)
            && form != of_file
        {
            output.note(format_args!(
                "what failed in {name} is {} and not in {path}, which has {}; send them apart to have a file of each",
                form.noun(),
                of_file.noun()
            ));
            return false;
        }
        true
    }

    /// What takes the failures of a rejected request as they are read, and picks their operations out of the file that was
    /// sent.
    pub(super) fn of_rejection(
        &mut self,
        output: &Output,
        file: &Path,
        format: Format,
        target: TargetType,
        made: Made,
        name: &str,
    ) -> Picking {
        // Stdin cannot be read twice, and a pipe neither.
        let again = std::fs::metadata(file).is_ok_and(|meta| meta.is_file());
        let sent = again.then(|| Sent::open(file, format, made)).and_then(Result::ok);
        let takes = self.takes(output, target, sent.as_ref().map(Sent::form), name);
        Picking {
            files: takes.then(|| Arc::clone(&self.files)),
            sent: sent.filter(|_| takes),
            target,
        }
    }

    /// True where this file would be replaced.
    pub(super) fn replaces(&self, file: &Path) -> bool {
        let files = lock(&self.files);
        files.operations.replaces(file) || files.reasons.replaces(file)
    }

    /// Gives the file of the reasons its name, and nothing to the other.
    pub(super) fn finish_reasons(self) -> anyhow::Result<()> {
        self.into_files()?.0.reasons.finish()
    }

    fn into_files(self) -> anyhow::Result<(Files, PathBuf)> {
        let Ok(files) = Arc::try_unwrap(self.files) else {
            anyhow::bail!("{} is being written still", self.path.display());
        };
        let files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((files, self.path))
    }

    /// Gives both files their names.
    pub(super) fn finish(self, output: &Output) -> anyhow::Result<()> {
        let (files, path) = self.into_files()?;
        let (written, missing) = (files.written, files.missing);
        let reasons = files.reasons.path().to_owned();
        files.operations.finish()?;
        files.reasons.finish()?;
        if written > 0 {
            let (failed, path) = (counted(written, "operation"), path.display());
            output.note(format_args!(
                "{failed} that failed: {path}; why, line by line: {}",
                reasons.display()
            ));
        }
        if let Some(missing) = missing {
            output.note(format_args!("{} has not all of them: {missing}", path.display()));
        }
        Ok(())
    }
}

impl Files {
    fn operation(&mut self, form: Form, line: &[u8]) -> io::Result<()> {
        self.form.get_or_insert(form);
        self.operations.write_all(line)?;
        self.operations.write_all(b"\n")
    }

    fn reason(&mut self, target: TargetType, receipt: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(receipt)?;
        line.push(b'\n');
        self.target.get_or_insert(target);
        self.written += 1;
        self.reasons.write_all(&line)
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    // Lines are written whole or the run has failed: there is nothing half done to be afraid of.
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `failed.reasons.ndjson` beside `failed.ndjson`.
fn reasons_of(path: &Path) -> PathBuf {
    path.with_extension("reasons.ndjson")
}

/// Takes the failures of a rejection.
pub(crate) struct Picking {
    files: Option<Arc<Mutex<Files>>>,
    sent: Option<Sent>,
    target: TargetType,
}

impl Picking {
    /// True where the operations are picked out of the file too.
    pub(super) const fn has_operations(&self) -> bool {
        self.sent.is_some()
    }

    /// Takes one, in the order of the request.
    pub(super) fn take(&mut self, index: u64, receipt: &impl Serialize) -> io::Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut files = lock(files);
        match self
            .sent
            .as_mut()
            .map(|sent| (sent.form(), sent.operation(index)))
        {
            Some((form, Ok(line))) => files.operation(form, &line)?,
            // What was refused need not be JSON to its end. Why it was refused is written all the same.
            Some((_, Err(error))) => {
                self.sent = None;
                files.missing = Some(format!(
                    "from operation {index} on, what was sent cannot be told apart: {error}"
                ));
            }
            None => {}
        }
        files.reason(self.target, receipt)
    }
}

/// A file that was sent, read again: its operations as the server counts them.
struct Sent {
    operations: Operations,
    made: Made,
    /// The operation that comes next.
    next: u64,
}

enum Operations {
    Json(Records<Box<dyn io::BufRead + Send>>),
    Ndjson(Lines<Box<dyn io::BufRead + Send>>),
    Csv(CsvRows<Box<dyn io::BufRead + Send>>),
}

impl Operations {
    /// The next, or before them all the header of CSV.
    fn next(&mut self) -> io::Result<&[u8]> {
        let next = match self {
            Self::Json(records) => records.next(),
            Self::Ndjson(lines) => lines.next(),
            Self::Csv(rows) => rows.next_raw(),
        };
        next?.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the file has no more of them"))
    }
}

impl Sent {
    fn open(path: &Path, format: Format, made: Made) -> anyhow::Result<Self> {
        let opened = open_sync(path, Some(format), Some(made.delimiter))?;
        let Opened {
            reader,
            format,
            delimiter,
        } = opened;
        let operations = match format {
            Format::Json => {
                let mut records = Records::new(reader);
                anyhow::ensure!(records.of_array()?, "its first member is not 'operations'");
                Operations::Json(records)
            }
            Format::Ndjson => Operations::Ndjson(Lines::new(reader)),
            Format::Csv => Operations::Csv(CsvRows::new(reader, delimiter)),
        };
        Ok(Self {
            operations,
            made,
            next: 0,
        })
    }

    const fn form(&self) -> Form {
        match self.operations {
            Operations::Json(_) | Operations::Ndjson(_) => Form::Operations,
            Operations::Csv(_) => Form::Rows,
        }
    }

    /// The one with this index, as a line that can be sent, without its line break; behind the header, where it is the first of CSV. They are asked
    /// for in their order.
    fn operation(&mut self, index: u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let form = self.form();
        if self.next == 0 && form == Form::Rows {
            line.extend_from_slice(self.operations.next()?);
            line.push(b'\n');
        }
        while self.next < index {
            self.next += 1;
            self.operations.next()?;
        }
        self.next += 1;
        let operation = self.operations.next()?;
        match form {
            Form::Rows => line.extend_from_slice(operation),
            Form::Operations => {
                let operation = on_one_line(operation);
                let wrapped = self.made.wrapped.as_ref();
                let wrapped =
                    wrapped.and_then(|(action, type_key)| wrap_one(&operation, *action, type_key).ok());
                line.extend_from_slice(&wrapped.unwrap_or(operation));
            }
        }
        Ok(line)
    }
}

/// The same JSON without line breaks between its tokens; one inside a string would be a fault already.
fn on_one_line(json: &[u8]) -> Vec<u8> {
    json.iter()
        .map(|byte| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                *byte
            }
        })
        .collect()
}

/// Says what to do with the failures of a request of which nothing is stored.
pub(super) fn advise(output: &Output, picked: bool, failures: u64) {
    let where_from = match picked {
        true => "correct them in the file that was sent, and send it whole: nothing of it is stored",
        false => "they could not be picked out of what was sent; their `index` counts from 0",
    };
    output.note(format_args!(
        "{} failed; {where_from}",
        counted(failures, "operation")
    ));
}

#[cfg(test)]
mod tests {
    use granary_core::operation::Action;

    use super::*;

    fn picked(name: &str, content: &str, format: Format, made: Made, indexes: &[u64]) -> (String, String) {
        let (operations, reasons, _) = picked_or_not(name, content, format, made, indexes);
        (operations, reasons)
    }

    /// What is in the two files, and what is told to be missing.
    fn picked_or_not(
        name: &str,
        content: &str,
        format: Format,
        made: Made,
        indexes: &[u64],
    ) -> (String, String, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let (file, failed) = (folder.path().join(name), folder.path().join("failed.ndjson"));
        std::fs::write(&file, content).unwrap();
        let output = Output::new(false);
        let mut failures = Failures::create(&failed).unwrap();
        let mut picking = failures.of_rejection(&output, &file, format, TargetType::Resource, made, "a file");
        for index in indexes {
            picking
                .take(*index, &serde_json::json!({ "index": index }))
                .unwrap();
        }
        drop(picking);
        let missing = lock(&failures.files).missing.clone();
        failures.finish(&output).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            3,
            "nothing is left over"
        );
        let reasons = read(folder.path().join("failed.reasons.ndjson"));
        (read(failed), reasons, missing)
    }

    #[test]
    fn operations_are_picked_out_of_every_format() {
        let none = Made::default;
        let (operations, reasons) = picked(
            "x.ndjson",
            "{\"a\":0}\n\n{\"a\":1}\n{\"a\":2}",
            Format::Ndjson,
            none(),
            &[0, 2],
        );
        assert_eq!(operations, "{\"a\":0}\n{\"a\":2}\n");
        assert_eq!(reasons, "{\"index\":0}\n{\"index\":2}\n");
        let json = "{\"operations\":[{\"a\":0},\n{\"a\":\n1}]}";
        assert_eq!(
            picked("x.json", json, Format::Json, none(), &[1]).0,
            "{\"a\": 1}\n"
        );
        let csv = "id,name\r\n1,x\r\n\r\n2,\"y\nz\"\r\n3,";
        assert_eq!(
            picked("x.csv", csv, Format::Csv, none(), &[1, 2]).0,
            "id,name\n2,\"y\nz\"\n3,\n"
        );
        let made = Made {
            wrapped: Some((Action::Upsert, "book".into())),
            ..none()
        };
        let (operations, _) = picked(
            "x.ndjson",
            "{\"id\":\"a1\"}\n{\"id\":\"b1\"}\n",
            Format::Ndjson,
            made,
            &[1],
        );
        assert_eq!(
            operations,
            "{\"action\":\"UPSERT\",\"upsert\":{\"type\":\"book\",\"id\":\"b1\"}}\n"
        );
    }

    #[test]
    fn what_is_no_json_is_picked_by_its_line_as_the_server_counts_it() {
        let lines = "{\"a\":0}\n{\"a\":{\n\n \t\r\n}\n{\"a\":3}\n{\"a\":[4\n";
        assert_eq!(
            picked("x.ndjson", lines, Format::Ndjson, Made::default(), &[1, 2, 4]).0,
            "{\"a\":{\n}\n{\"a\":[4\n"
        );
    }

    #[test]
    fn reasons_go_on_where_what_was_sent_cannot_be_told_apart() {
        let reasons = |indexes: &[u64]| -> String {
            let lines = indexes.iter().map(|index| format!("{{\"index\":{index}}}\n"));
            lines.collect()
        };
        for (name, content, format, indexes, operations, why) in [
            (
                "x.json",
                "{\"operations\":[{\"a\":0},\n{\"a\":",
                Format::Json,
                &[0, 1][..],
                "{\"a\":0}\n",
                "from operation 1 on, what was sent cannot be told apart: line 2: the value ends too early",
            ),
            // It is another one by now.
            (
                "x.ndjson",
                "{}\n",
                Format::Ndjson,
                &[0, 3, 4],
                "{}\n",
                "from operation 3 on, what was sent cannot be told apart: the file has no more of them",
            ),
        ] {
            let (picked, told, missing) = picked_or_not(name, content, format, Made::default(), indexes);
            assert_eq!((picked.as_str(), told), (operations, reasons(indexes)), "{name}");
            assert_eq!(missing.as_deref(), Some(why), "{name}");
        }
        // Whose operations are not at the start is not taken for one operation.
        let request = "{\"x\":1,\"operations\":[{\"a\":0}]}";
        let (picked, told) = picked("x.json", request, Format::Json, Made::default(), &[0]);
        assert_eq!((picked, told), (String::new(), reasons(&[0])));
    }

    #[test]
    fn without_failures_both_files_are_empty() {
        let (operations, reasons) = picked("x.ndjson", "{}", Format::Ndjson, Made::default(), &[]);
        assert_eq!((operations, reasons), (String::new(), String::new()));
    }
}

//! `granary profile infer`: a profile proposed from data.

mod gather;
mod node;
mod propose;
#[cfg(test)]
mod tests;
mod texts;

use std::path::PathBuf;

use clap::Args;

use crate::exit::Ended;
use crate::input::{Delimiter, Format};
use crate::output::{NAME, Output, Table, WARN, count, counted, styled};

use gather::Gathered;
use propose::{Proposal, quoted};

/// Propose a profile from data
///
/// Reads NDJSON, a JSON array, a bulk request or CSV, also compressed, and proposes types, what is required, lists of
/// choices, arrays, nested objects and complex types such as `address`. It is a proposal: read it, add what only you know,
/// and store it with `granary profile apply`. The profile is the result; the reason of each choice goes to stderr.
///
/// Records stand alone, {"name":…}, or as `granary bulk --type` takes them, {"id":…,"data":{…}}, or in operations, or are
/// an export. Where they are of several types, --type says which; a type that is contained in others is found there.
///
/// One record is held at a time, and of each property what fits its values, so the data may be of any size.
#[derive(Debug, Args)]
pub(crate) struct Infer {
    /// The data; `-` is stdin
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Only records of this type; else those of the type of the first
    #[arg(long = "type", env = "GRANARY_TYPE", value_name = "KEY")]
    type_key: Option<String>,
    /// How the data is written; else the extension or the first bytes tell
    #[arg(long, env = "GRANARY_FORMAT", value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Of CSV: what separates cells: ',', ';', 'tab' or '|'; else the header tells, and `.tsv` has tabs
    #[arg(long, env = "GRANARY_DELIMITER", value_name = "CHAR")]
    delimiter: Option<Delimiter>,
    /// Of CSV: what joins the elements of an array in a cell
    #[arg(long, env = "GRANARY_SEPARATOR", value_name = "TEXT", default_value = "|")]
    separator: String,
    /// Read this many records of each file at the most
    #[arg(long, env = "GRANARY_INFER_LIMIT", value_name = "N")]
    limit: Option<u64>,
}

impl Infer {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<Ended> {
        anyhow::ensure!(
            !self.separator.is_empty(),
            "--separator is empty; name what joins the elements of an array"
        );
        let gathering = tokio::task::spawn_blocking(move || self.gather());
        let gathered = gathering.await??;
        let mut proposal = Proposal {
            cells: gathered.cells,
            files: gathered.files.clone(),
            ..Proposal::default()
        };
        let profile = profile(&gathered, &mut proposal);
        tell(&gathered, &proposal, output);
        match output.json {
            true => output.raw(profile.as_bytes()).and_then(|()| output.line(""))?,
            false => output.pretty(&profile)?,
        }
        Ok(Ended::Well)
    }

    fn gather(self) -> anyhow::Result<Gathered> {
        let mut gathered = Gathered::new(self.type_key, self.separator);
        for file in &self.files {
            gathered.read(file, self.format, self.delimiter, self.limit.unwrap_or(u64::MAX))?;
        }
        if gathered.records == 0 {
            match &gathered.type_key {
                Some(key) if !gathered.other_types.is_empty() => {
                    let hint =
                        granary_core::did_you_mean(key, gathered.other_types.keys().map(String::as_str));
                    anyhow::bail!("there are no records of type '{key}'{hint}");
                }
                _ => anyhow::bail!("there are no records in it; is it empty?"),
            }
        }
        Ok(gathered)
    }
}

/// The profile, as JSON.
fn profile(gathered: &Gathered, proposal: &mut Proposal) -> String {
    let kind = if gathered.contained { "CONTAINED" } else { "ROOT" };
    let properties = proposal.properties(&gathered.data, "");
    let mut contained = Vec::new();
    for (key, place) in &gathered.contains {
        let types: Vec<String> = place.types.iter().map(|key| quoted(key)).collect();
        let cardinality = match (place.records == gathered.records, place.most <= 1) {
            (true, true) => "1:1",
            (true, false) => "1:*",
            (false, true) => "0:1",
            (false, false) => "0:*",
        };
        contained.push(format!(
            "{}:{{\"types\":[{}],\"cardinality\":\"{cardinality}\"}}",
            quoted(key),
            types.join(",")
        ));
    }
    let contained = match contained.is_empty() {
        true => String::new(),
        false => format!(",\"contained\":{{{}}}", contained.join(",")),
    };
    format!("{{\"type\":\"{kind}\",\"properties\":{properties}{contained}}}")
}

/// Tells why it is as it is, on stderr.
fn tell(gathered: &Gathered, proposal: &Proposal, output: &Output) {
    let of_type = match &gathered.type_key {
        Some(key) => format!(" of type {key}"),
        None => String::new(),
    };
    output.status(
        "Read",
        format_args!("{}{of_type}", counted(gathered.records, "record")),
    );
    let header = ["PROPERTY", "TYPE", "WHY"];
    let told = proposal.reasons.iter().filter(|reason| !reason.warns);
    let rows = told.map(|reason| {
        vec![
            styled(NAME, &reason.path),
            reason.of_type.clone(),
            reason.why.clone(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let table = Table::fit(&header, &rows);
        output.note(table.header(&header));
        rows.iter().for_each(|row| output.note(table.row(row)));
    }
    let warning = |text: String| output.note(format_args!("{WARN}warning{WARN:#}: {text}"));
    for reason in proposal.reasons.iter().filter(|reason| reason.warns) {
        let path = if reason.path.is_empty() {
            "the data"
        } else {
            &reason.path
        };
        warning(format!("{path}: {}", reason.why));
    }
    if gathered.ends_passed_over {
        warning(
            "columns 'from' and 'to' are taken for the ends of relationships and left out; if they are properties, add \
             them to the profile"
                .to_owned(),
        );
    }
    for (column, key) in &gathered.renamed {
        warning(format!(
            "column '{column}' cannot be a property by that name: it is proposed as '{key}'; send the file with \
             `granary bulk --map '{column}={key}'`"
        ));
    }
    for (key, place) in &gathered.contains {
        let types: Vec<&str> = place.types.iter().map(String::as_str).collect();
        output.note(format_args!(
            "contained under '{key}': {}, whose profiles have to be there first; propose them with --type",
            types.join(", ")
        ));
    }
    for (key, records) in &gathered.other_types {
        output.note(format_args!("passed over: {} of type {key}", count(*records)));
    }
}

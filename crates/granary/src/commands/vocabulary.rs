//! `granary vocabulary`: vocabularies and their concepts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use granary_client::api::bulk::{BulkRejected, RejectedReceipt};
use granary_client::api::terminology::{Concept, TerminologyReceipt, Vocabulary as Shown};
use granary_client::{Client, ConceptsReply};
use granary_core::keys::ConceptCode;
use granary_core::receipt::ReceiptStatus;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::definition::{key_of, read};
use super::{all_of, switch};
use crate::exit::Ended;
use crate::output::{FAULTS_SHOWN, Output, count, counted, rejected_lines};

/// How many concepts are sent at once,
const CONCEPTS_SENT: usize = 10_000;
/// and how many bytes of them, but for a larger one.
const BYTES_SENT: usize = 4_000_000;

/// Vocabularies: the codes that properties may be bound to
#[derive(Debug, Subcommand)]
pub(crate) enum Vocabulary {
    /// Store vocabularies from JSON or YAML files, with the concepts that are in them
    ///
    /// A file holds {"key", "title", "description", "concepts": [{"code", "definition", "designation"}…]}. Its key is
    /// the name of the file without its extension where it holds none. One as `show` writes it will do. Concepts that are
    /// there are replaced; those that are not in the file stay.
    Apply(Apply),
    /// List the vocabularies
    #[command(visible_alias = "ls")]
    List,
    /// Show one, or its concepts
    Show {
        /// Its key
        key: String,
        /// Show its concepts
        #[arg(long, env = "GRANARY_CONCEPTS", value_parser = switch())]
        concepts: bool,
    },
    /// Write one with all its concepts, as `apply` takes it
    ///
    /// Times are not in it: concepts that are stored from it are new.
    Export {
        /// Its key
        key: String,
    },
    /// Delete one with its concepts, unless a definition is bound to it
    Delete {
        /// Its key
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// A file that holds it, `-` is stdin; may be given several times
    #[arg(
        short,
        long = "file",
        env = "GRANARY_FILE",
        value_name = "FILE",
        required = true
    )]
    files: Vec<PathBuf>,
}

/// What a file holds; what is in it is for the server to judge.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    key: Option<String>,
    title: Option<Box<RawValue>>,
    description: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) concepts: Vec<Box<RawValue>>,
    /// What only the server gives; here so that one as it is shown can be applied.
    #[serde(default, rename = "conceptCount")]
    _concept_count: IgnoredAny,
    #[serde(default, rename = "createdAt")]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updatedAt")]
    _updated_at: IgnoredAny,
}

/// A concept as a file holds it.
#[derive(Serialize)]
struct Exported<'a> {
    code: &'a ConceptCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    designation: &'a BTreeMap<String, String>,
}

impl File {
    /// The vocabulary without its concepts, as its PUT takes it.
    pub(super) fn body(&self) -> String {
        let members = [("title", &self.title), ("description", &self.description)];
        let members = members.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?.get();
            Some(format!("\"{name}\":{value}"))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

impl Vocabulary {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        match self {
            Self::Apply(apply) => return apply.run(client, output).await,
            Self::List => {
                let all = all_of(async |query| client.vocabularies(query).await).await?;
                show(output, &all)?;
            }
            Self::Show { key, concepts: false } => {
                let vocabulary = client.get_vocabulary(&key).await?;
                match output.json {
                    true => output.json_line(&vocabulary)?,
                    false => output.pretty(&serde_json::to_string(&vocabulary)?)?,
                }
            }
            Self::Show { key, concepts: true } => {
                let all = all_of(async |query| client.concepts(&key, query).await).await?;
                output.rows(&["CODE", "DESIGNATION", "DEFINITION"], &all, |concept| {
                    vec![
                        concept.code.to_string(),
                        terms(concept),
                        concept.definition.clone().unwrap_or_default(),
                    ]
                })?;
            }
            Self::Export { key } => {
                let vocabulary = client.get_vocabulary(&key).await?;
                let concepts = all_of(async |query| client.concepts(&key, query).await).await?;
                export(output, &vocabulary, &concepts)?;
            }
            Self::Delete { key } => {
                client.delete_vocabulary(&key).await?;
                output.status("Deleted", format_args!("vocabulary {key}"));
            }
        }
        Ok(Ended::Well)
    }
}

fn show(output: &mut Output, all: &[Shown]) -> anyhow::Result<()> {
    output.rows(&["KEY", "CONCEPTS", "UPDATED", "TITLE"], all, |vocabulary| {
        vec![
            vocabulary.key.to_string(),
            count(vocabulary.concept_count),
            vocabulary.updated_at.to_string(),
            vocabulary.title.clone(),
        ]
    })
}

/// Writes what `apply` takes, a concept a line.
fn export(output: &mut Output, vocabulary: &Shown, concepts: &[Concept]) -> anyhow::Result<()> {
    let text = |text: &str| serde_json::to_string(text);
    let mut head = format!(
        "{{\"key\":{},\n\"title\":{},\n",
        text(vocabulary.key.as_str())?,
        text(&vocabulary.title)?
    );
    if let Some(description) = &vocabulary.description {
        head += &format!("\"description\":{},\n", text(description)?);
    }
    output.raw(head.as_bytes())?;
    output.line("\"concepts\":[")?;
    for (at, concept) in concepts.iter().enumerate() {
        let concept = serde_json::to_string(&Exported {
            code: &concept.code,
            definition: concept.definition.as_deref(),
            designation: &concept.designation,
        })?;
        let comma = if at + 1 < concepts.len() { "," } else { "" };
        output.raw(format!("{concept}{comma}\n").as_bytes())?;
    }
    output.line("]}")
}

fn terms(concept: &Concept) -> String {
    let terms = concept.designation.iter();
    let terms: Vec<_> = terms
        .map(|(language, term)| format!("{language}: {term}"))
        .collect();
    terms.join(", ")
}

impl Apply {
    async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let mut ended = Ended::Well;
        for path in &self.files {
            ended = ended.max(apply(path, client, output).await?);
            if ended == Ended::Rejected {
                break;
            }
        }
        Ok(ended)
    }
}

async fn apply(path: &Path, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
    let from = path.display();
    let json = read(path).await.with_context(|| format!("cannot read {from}"))?;
    let file: File = serde_json::from_slice(&json).with_context(|| format!("{from} is no vocabulary"))?;
    let key = match &file.key {
        Some(key) => key.clone(),
        None => key_of(path).with_context(|| format!("{from} has no 'key'"))?,
    };
    let put = client.put_vocabulary(&key, file.body()).await;
    let put = put.with_context(|| format!("cannot store vocabulary {key} from {from}"))?;
    let did = if put.created { "Created" } else { "Replaced" };
    output.status(did, format_args!("vocabulary {key}"));
    let mut ended = Ended::Well;
    let mut sent = 0;
    for piece in pieces(&file.concepts) {
        let reply = client.change_concepts(&key, operations(piece)).await;
        let reply =
            reply.with_context(|| format!("cannot store the concepts of vocabulary {key} from {from}"))?;
        match reply {
            ConceptsReply::Applied(applied) => {
                ended = ended.max(tell(output, &key, &applied.receipts));
            }
            ConceptsReply::Rejected(rejected) => {
                tell_rejected(output, &key, sent, rejected);
                return Ok(Ended::Rejected);
            }
        }
        sent += piece.len() as u64;
    }
    if output.json {
        output.json_line(&client.get_vocabulary(&key).await?)?;
    }
    Ok(ended)
}

/// The concepts in pieces that are sent at once.
fn pieces(mut concepts: &[Box<RawValue>]) -> impl Iterator<Item = &[Box<RawValue>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let lengths = concepts.iter().map(|concept| concept.get().len());
        let fitting = lengths.take(CONCEPTS_SENT).take_while(|length| {
            bytes += length;
            bytes <= BYTES_SENT
        });
        let fitting = fitting.count();
        let (piece, rest) = concepts.split_at(fitting.max(1).min(concepts.len()));
        concepts = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The request that stores these concepts.
pub(super) fn operations(concepts: &[Box<RawValue>]) -> String {
    let sent = concepts.iter().map(|concept| concept.get());
    let all: Vec<_> = sent
        .map(|concept| format!("{{\"action\":\"UPSERT\",\"upsert\":{concept}}}"))
        .collect();
    format!("{{\"operations\":[{}]}}", all.join(","))
}

fn tell(output: &Output, vocabulary: &str, receipts: &[TerminologyReceipt]) -> Ended {
    let failed: Vec<_> = receipts
        .iter()
        .filter(|r| r.status == ReceiptStatus::Failure)
        .collect();
    let unchanged = receipts.iter().filter(|r| r.unchanged).count();
    let stored = receipts.len() - failed.len() - unchanged;
    let mut text = format!("{} in vocabulary {vocabulary}", counted(stored as u64, "concept"));
    if unchanged > 0 {
        text += &format!(", {} unchanged", count(unchanged as u64));
    }
    output.status("Stored", text);
    if failed.is_empty() {
        return Ended::Well;
    }
    output.status_bad("Failed", counted(failed.len() as u64, "concept"));
    for receipt in failed.iter().take(FAULTS_SHOWN) {
        if let Some(error) = &receipt.error {
            output.note(format_args!("  {}  {}", receipt.id, error.message));
        }
    }
    more(output, failed.len());
    Ended::SomeFailed
}

/// Tells what is wrong with the concepts from `first` on.
fn tell_rejected(output: &Output, vocabulary: &str, first: u64, rejected: BulkRejected) {
    let what = "nothing of these concepts is stored";
    output.status_bad("Rejected", format_args!("vocabulary {vocabulary}; {what}"));
    if let Some(error) = &rejected.error {
        output.note(format_args!("  {}", error.message));
    }
    let failures = rejected.receipts.into_iter().zip(first..);
    let failures: Vec<_> = failures
        .filter(|(receipt, _)| receipt.status == ReceiptStatus::Failure)
        .map(|(receipt, index)| RejectedReceipt {
            index: Some(index),
            ..receipt
        })
        .collect();
    let shown = failures.len().min(FAULTS_SHOWN);
    for line in rejected_lines(&failures[..shown]) {
        output.note(format_args!("  {line}"));
    }
    more(output, failures.len());
}

fn more(output: &Output, failures: usize) {
    if failures > FAULTS_SHOWN {
        output.note(format_args!(
            "  … and {} more",
            count((failures - FAULTS_SHOWN) as u64)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn concepts_are_sent_in_pieces_that_are_not_too_large() {
        let lengths = |concepts: &[Box<RawValue>]| pieces(concepts).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        let many: Vec<_> = (0..2 * CONCEPTS_SENT + 1).map(|_| raw("{}")).collect();
        assert_eq!(lengths(&many), [CONCEPTS_SENT, CONCEPTS_SENT, 1]);
        let large = raw(&format!("\"{}\"", "x".repeat(BYTES_SENT)));
        assert_eq!(lengths(&[large.clone(), large, raw("{}")]), [1, 1, 1]);
    }
}

//! What a check of a whole store has looked at, and what it found wrong.

use granary_core::meta::Triple;
use granary_core::operation::ContentHash;
use serde::Deserialize;

/// What a check takes from how records are written: stores keep hashes and identifiers as they come.
#[derive(Clone, Copy, Debug)]
pub struct CheckRules {
    /// Whether a body is the one that has this hash, by the key of hashes.
    pub body_fits: fn(&[u8; 16], &[u8], &ContentHash) -> bool,
    /// What the identifiers of a record are found by, from their JSON; `None` where it is not that of any.
    pub triples: fn(&[u8]) -> Option<Vec<Triple>>,
}

impl Default for CheckRules {
    fn default() -> Self {
        Self {
            body_fits: granary_core::check::body_fits,
            triples,
        }
    }
}

/// What identifiers are found by.
fn triples(json: &[u8]) -> Option<Vec<Triple>> {
    /// An identifier as it was sent; what else it has finds nothing.
    #[derive(Deserialize)]
    struct Sent {
        system: Option<Box<str>>,
        value: Option<Box<str>>,
        #[serde(rename = "use")]
        usage: Option<Box<str>>,
    }
    let sent: Vec<Sent> = serde_json::from_slice(json).ok()?;
    let triple = |sent: Sent| Triple {
        system: sent.system.unwrap_or_default(),
        value: sent.value.unwrap_or_default(),
        usage: sent.usage.unwrap_or_default(),
    };
    Some(sent.into_iter().map(triple).collect())
}

/// A disagreement in a store, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What does not agree with what.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What a check has looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many of what it has looked at, in its order.
    pub looked_at: Vec<(&'static str, u64)>,
    /// The first findings, at most [`FINDINGS_MAX`](Self::FINDINGS_MAX).
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

impl CheckReport {
    /// Findings that are kept with their words.
    pub const FINDINGS_MAX: usize = 1_000;

    /// For what is wrong with a file: another copy of it is needed.
    pub const RESTORE: &'static str = "restore the data folder from a copy, or import the last export into a new one; what can be \
                                       read of it can be exported before";
    /// For a record that cannot be read as it was written.
    pub const WRITE_AGAIN: &'static str =
        "write the record again with an upsert, or delete it and create it again; else restore a copy";
    /// For indexes, which are made anew with the records they are of.
    pub const REBUILD: &'static str =
        "export the source and import it into another, which makes it anew; then delete this one";
    /// For what no client sees.
    pub const HARMLESS: &'static str = "no record is affected: it takes some space, until the source is exported, imported into another and deleted";

    /// Counts what was looked at.
    pub fn looked_at(&mut self, what: &'static str, count: u64) {
        match self.looked_at.iter_mut().find(|(known, _)| *known == what) {
            Some((_, so_far)) => *so_far += count,
            None => self.looked_at.push((what, count)),
        }
    }

    /// Adds a finding.
    pub fn found(&mut self, what: impl Into<String>, remedy: &'static str) {
        self.findings_total += 1;
        if self.findings.len() < Self::FINDINGS_MAX {
            let what = what.into();
            self.findings.push(Finding { what, remedy });
        }
    }
}

//! `granary check`: looks whether a whole store agrees with itself.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use granary_core::limits::Limits;
use granary_store::{CheckReport, CheckRules, StoreLimits};
use granary_store_embedded::EmbeddedStore;
use granary_store_postgres::{PostgresOptions, PostgresStore, Statements};
use serde_json::json;

use crate::exit::Ended;
use crate::output::{BAD, Output, count, counted, styled};
use crate::store::{PostgresSettings, StoreAt};

/// Check a whole store: checksums, indexes, counts, receipts
///
/// Every record is read and compared with the hash that was taken when it was written, every index with what it is of,
/// both directions of relationships with each other, what is counted with what is there, every receipt with its task.
/// No record is changed. What disagrees is told, each with what to do.
///
/// The folder of --data is opened as a start of the server opens it: a torn end of its journal is cut off, files may be
/// merged, and what an older version lacks is made. Check a copy where evidence is to be kept. With --store it is only
/// read.
///
/// No server may have the folder of --data open. With --store servers may work meanwhile; the one transaction that reads
/// all keeps PostgreSQL from cleaning up until it ends.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all agrees; 1 something does not; 2 it could not be looked at.")]
pub(crate) struct Check {
    /// The folder of the store, which no server has open
    #[arg(long, env = "GRANARY_DATA", value_name = "DIR", conflicts_with = "store")]
    data: Option<PathBuf>,
    /// The store in PostgreSQL: postgres://user:password@host/database
    #[arg(long, env = "GRANARY_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    /// The certificate that the database's is checked by, as PEM; else those that this machine trusts
    #[arg(long, env = "GRANARY_POSTGRES_ROOT_CERTIFICATE", value_name = "FILE")]
    postgres_root_certificate: Option<PathBuf>,
}

impl Check {
    pub(crate) async fn run(self, output: &mut Output) -> anyhow::Result<Ended> {
        match self.report().await {
            Ok(report) => tell(&report, output),
            Err(error) => {
                output.error(&error);
                Ok(Ended::NotLookedAt)
            }
        }
    }

    async fn report(self) -> anyhow::Result<CheckReport> {
        let at = match (self.store, self.data) {
            (Some(store), _) => store.parse()?,
            (None, Some(folder)) => StoreAt::Folder(folder),
            (None, None) => bail!("name the store to check, with --data DIR or --store postgres://…"),
        };
        match at {
            StoreAt::Folder(folder) => {
                if !folder.is_dir() {
                    bail!("there is no folder {}", folder.display());
                }
                let checking =
                    tokio::task::spawn_blocking(move || EmbeddedStore::check(&folder, CheckRules::default()));
                Ok(checking.await??)
            }
            StoreAt::Postgres(url) => {
                let options = PostgresOptions {
                    url: url.raw().to_owned(),
                    connections: 2,
                    statements: Statements::Prepared,
                    root_certificate: self.postgres_root_certificate,
                    lease: PostgresSettings::default().lease,
                    limits: StoreLimits::from(&Limits::default()),
                };
                Ok(PostgresStore::check(options, CheckRules::default()).await?)
            }
        }
    }
}

fn tell(report: &CheckReport, output: &mut Output) -> anyhow::Result<Ended> {
    if output.json {
        let findings: Vec<_> = { report.findings.iter() }
            .map(|finding| json!({"what": finding.what, "remedy": finding.remedy}))
            .collect();
        let looked_at: serde_json::Map<_, _> = { report.looked_at.iter() }
            .map(|(what, count)| ((*what).to_owned(), json!(count)))
            .collect();
        output.json_line(&json!({
            "lookedAt": looked_at,
            "findings": findings,
            "findingsTotal": report.findings_total,
            "notes": report.notes,
        }))?;
    } else {
        for (what, number) in &report.looked_at {
            output.line(format_args!("{:>12} {what}", count(*number)))?;
        }
        // By what is to be done: one that is broken often breaks more.
        let mut told = std::collections::BTreeSet::new();
        for finding in &report.findings {
            if told.insert(finding.remedy) {
                for of_remedy in report.findings.iter().filter(|of| of.remedy == finding.remedy) {
                    output.line(format_args!("{}: {}", styled(BAD, "disagrees"), of_remedy.what))?;
                }
                output.line(format_args!("  what to do: {}", finding.remedy))?;
            }
        }
    }
    report.notes.iter().for_each(|note| output.note(note));
    let more = report.findings_total - report.findings.len() as u64;
    if more > 0 {
        output.note(format_args!("… and {} more", count(more)));
    }
    if report.findings_total == 0 {
        output.status("Checked", "all of it agrees");
        return Ok(Ended::Well);
    }
    output.status_bad("Checked", counted(report.findings_total, "disagreement"));
    Ok(Ended::Badly)
}

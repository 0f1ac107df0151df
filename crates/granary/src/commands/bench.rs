//! `granary bench`: what this machine does with a generated data set.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use granary_client::api::bulk::BulkQuery;
use granary_client::api::resources::ResourceWrite;
use granary_client::{BulkBody, BulkReply, Client, ClientOptions, DefinitionKind, SourceClient};
use granary_core::operation::TargetType;
use granary_core::task::Outcome;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::exit::Ended;
use crate::key_given;
use crate::output::{Output, count, elapsed, rate, size};
use crate::store::StoreAt;
use crate::watch::until_ended;

const SOURCE: &str = "bench";
const TYPE: &str = "provider";
const PROFILE: &str = r#"{"properties": {
    "name": {"type": "symbol", "rules": [{"required": true, "max": 200}]},
    "practiceNumber": {"type": "integer", "rules": [{"min": 1}]},
    "specialities": {"type": "array", "items": {"type": "code"}, "rules": [{"max": 10}]},
    "active": {"type": "boolean"},
    "licensedSince": {"type": "date"},
    "rating": {"type": "decimal", "rules": [{"min": 0, "max": 5}]},
    "email": {"type": "symbol", "rules": [{"pattern": "^[^@ ]+@[^@ ]+$"}]},
    "address": {"type": "address"}}}"#;
/// Operations that are sent in one piece.
const PIECE: u64 = 500;

/// Measure this machine: load generated records, then write and read some one by one
///
/// Starts a server of its own in a fresh folder, or on --store, sends one bulk request of creates, waits for its task, and
/// then makes single calls one after the other. Times are those that a client sees; the peak of memory is that of the
/// server alone. The store is removed again, of --store the source `bench`, which must not be there before.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it was measured; 1 anything else. To compare machines, compare the same --operations."
)]
pub(crate) struct Bench {
    /// How many records to create in bulk
    #[arg(long, env = "GRANARY_BENCH_OPERATIONS", value_name = "N", default_value_t = 200_000,
        value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    operations: u64,
    /// How many single writes, and as many reads
    #[arg(long, env = "GRANARY_BENCH_SINGLE", value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    single: u64,
    /// An empty folder to keep the data in meanwhile; else a temporary one
    #[arg(
        long,
        env = "GRANARY_BENCH_DATA",
        value_name = "DIR",
        conflicts_with = "store"
    )]
    data: Option<PathBuf>,
    /// The store: postgres://user:password@host/database
    #[arg(long, env = "GRANARY_BENCH_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
}

/// What was measured. Times are in milliseconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    operations: u64,
    sent_bytes: u64,
    accepted_ms: f64,
    applied_ms: f64,
    operations_per_second: f64,
    write: Latency,
    read: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
}

/// How long calls took.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Latency {
    calls: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Bench {
    pub(crate) async fn run(self, key_file: Option<&Path>, output: &mut Output) -> anyhow::Result<Ended> {
        let temporary = tempfile::Builder::new().prefix("granary-bench-").tempdir()?;
        let folder = match &self.data {
            Some(data) if std::fs::read_dir(data).is_ok_and(|mut inside| inside.next().is_some()) => {
                bail!("{} is not empty; name another folder with --data", data.display())
            }
            Some(data) => data.clone(),
            None => temporary.path().join("data"),
        };
        // What is no store is told before anything is started.
        self.store.as_deref().map(str::parse::<StoreAt>).transpose()?;
        let mut server = Server::start(&folder, self.store.as_deref()).await?;
        let options = ClientOptions {
            api_key: key_given::api_key(key_file)?,
            ..ClientOptions::default()
        };
        let client = Client::with(&server.url, options)?;
        if !client.put_source(SOURCE).await?.created {
            bail!("there is a source '{SOURCE}' already; delete it first, or name another store");
        }
        let measured = self.measure(&client.source(SOURCE), &server, output).await;
        let cleaned = self.clean_up(&client, &mut server, &folder).await;
        // Where both failed, the second is for the reason of the first.
        let measured = measured?;
        cleaned?;
        show(&measured, output)?;
        Ok(Ended::Well)
    }

    /// Leaves nothing of what was measured.
    async fn clean_up(&self, client: &Client, server: &mut Server, folder: &Path) -> anyhow::Result<()> {
        let deleted = client.delete_source(SOURCE, true).await;
        server.stop().await?;
        if self.store.is_none() {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        deleted?;
        Ok(())
    }

    async fn measure(
        &self,
        source: &SourceClient,
        server: &Server,
        output: &Output,
    ) -> anyhow::Result<Measured> {
        let put = source.put_definition(DefinitionKind::Profile, TYPE, PROFILE);
        put.await?;
        let total = self.operations;
        let pieces = (0..total.div_ceil(PIECE)).map(move |piece| {
            let numbers = piece * PIECE..((piece + 1) * PIECE).min(total);
            let lines: String = numbers.map(operation).collect();
            Ok(Bytes::from(lines))
        });
        let sent_bytes = (0..total).map(|number| operation(number).len() as u64).sum();
        let body = BulkBody::ndjson(futures::stream::iter(pieces));
        let started = Instant::now();
        let reply = source
            .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
            .await?;
        let accepted = started.elapsed();
        let BulkReply::Accepted(task) = reply else {
            bail!("the server did not take generated records; are its limits lower than usual?");
        };
        let task = until_ended(source, &task.task_id.to_string(), "generated records").await?;
        let applied = started.elapsed();
        if task.outcome != Some(Outcome::Complete) {
            bail!("{} of {total} operations failed", count(task.counts.failure));
        }
        output.status(
            "Loaded",
            format_args!("{} records in {}", count(total), elapsed(applied)),
        );
        let write = self.latency(async |number| {
            let body = ResourceWrite {
                id: None,
                data: serde_json::value::RawValue::from_string(data(total + number))?,
                contained: None,
                meta: None,
            };
            let id = id(total + number);
            source.put_resource(TYPE, &id, &body).await?;
            Ok(())
        });
        let write = write.await?;
        let read = self.latency(async |number| {
            // Spread over all that was loaded.
            let of = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % total;
            source.get_resource(TYPE, &id(of)).await?;
            Ok(())
        });
        let read = read.await?;
        Ok(Measured {
            operations: total,
            sent_bytes,
            accepted_ms: millis(accepted),
            applied_ms: millis(applied),
            operations_per_second: total as f64 / applied.as_secs_f64(),
            write,
            read,
            peak_memory_bytes: server.peak_memory(),
        })
    }

    /// Makes calls one after the other.
    async fn latency(&self, call: impl AsyncFn(u64) -> anyhow::Result<()>) -> anyhow::Result<Latency> {
        let mut times = Vec::new();
        for number in 0..self.single {
            let started = Instant::now();
            call(number).await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let at = |share: f64| {
            let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1;
            millis(times[place])
        };
        Ok(Latency {
            calls: self.single,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        })
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn show(measured: &Measured, output: &mut Output) -> anyhow::Result<()> {
    if output.json {
        return output.json_line(measured);
    }
    let time = |ms: f64| elapsed(Duration::from_secs_f64(ms / 1e3));
    let applied = Duration::from_secs_f64(measured.applied_ms / 1e3);
    let per_second = rate(measured.operations, applied).unwrap_or_default();
    let bulk = format!(
        "{} of {} creates",
        size(measured.sent_bytes),
        count(measured.operations)
    );
    output.line(format_args!("bulk request    {bulk}"))?;
    output.line(format_args!(
        "  accepted      after {}",
        time(measured.accepted_ms)
    ))?;
    output.line(format_args!(
        "  applied       after {}, {per_second} operations a second",
        time(measured.applied_ms)
    ))?;
    for (name, latency) in [
        ("single writes", &measured.write),
        ("single reads", &measured.read),
    ] {
        let Latency {
            calls,
            p50_ms,
            p99_ms,
            max_ms,
        } = latency;
        let calls = count(*calls);
        output.line(format_args!(
            "{name:<15} {p50_ms:.2} ms p50, {p99_ms:.2} ms p99, {max_ms:.2} ms at the most, of {calls}"
        ))?;
    }
    match measured.peak_memory_bytes {
        Some(bytes) => output.line(format_args!("peak memory     {} of the server", size(bytes))),
        None => output.line("peak memory     not told by this system"),
    }
}

/// A server in a process of its own.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    async fn start(folder: &Path, store: Option<&str>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--config", ""]);
        for variable in [
            "GRANARY_DATA",
            "GRANARY_STORE",
            "GRANARY_TLS_CERT",
            "GRANARY_TLS_KEY",
            "GRANARY_ROLE",
        ] {
            command.env_remove(variable);
        }
        match store {
            // Where others cannot read it.
            Some(store) => command.env("GRANARY_STORE", store),
            None => command.arg("--data").arg(folder),
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.context("cannot start a server")?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let mut stderr = child.stderr.take().context("the server has no stderr")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        if line.is_empty() {
            let mut why = String::new();
            stderr.read_to_string(&mut why).await?;
            bail!("the server did not start: {}", why.trim());
        }
        // Its log is not what is asked for, and must not fill the pipe.
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        let told: serde_json::Value = serde_json::from_str(&line).context("the server did not start")?;
        let url = told["url"]
            .as_str()
            .context("the server does not say where it is")?;
        Ok(Self {
            url: url.to_owned(),
            child,
        })
    }

    /// The most memory that it held, in bytes, where the system tells.
    fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1_024)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A create, as a line.
fn operation(number: u64) -> String {
    let (id, data) = (id(number), data(number));
    format!("{{\"action\":\"CREATE\",\"create\":{{\"type\":\"{TYPE}\",\"id\":\"{id}\",\"data\":{data}}}}}\n")
}

/// The id of a record: as far apart as ids of clients are.
fn id(number: u64) -> String {
    format!("{:016x}", mixed(number))
}

/// A number that says nothing of the one before (SplitMix64).
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The data of a generated record, some 350 bytes.
fn data(number: u64) -> String {
    const FIRST: [&str; 8] = [
        "Alice", "Béla", "Chidi", "Dagny", "Emre", "Fatou", "Goran", "Hana",
    ];
    const LAST: [&str; 8] = [
        "Achterberg",
        "Bergeron",
        "Castellanos",
        "Dvořák",
        "Eriksen",
        "Fujimoto",
        "Gagnon",
        "Haddad",
    ];
    const CITIES: [&str; 4] = ["Montréal", "Luxembourg", "Lyon", "Portland"];
    const SPECIALITIES: [&str; 4] = ["pharmacist", "cardiology", "nursing", "radiology"];
    let mixed = mixed(number ^ 0x5bf0_3635);
    let pick = |shift: u32, of: usize| (mixed >> shift) as usize % of;
    let (first, last) = (FIRST[pick(0, 8)], LAST[pick(8, 8)]);
    let (city, speciality) = (CITIES[pick(16, 4)], SPECIALITIES[pick(20, 4)]);
    let (year, month, day) = (1970 + pick(24, 50), 1 + pick(32, 12), 1 + pick(36, 28));
    format!(
        concat!(
            r#"{{"name":"{first} {last}","practiceNumber":{practice},"specialities":["{speciality}","family-medicine"],"#,
            r#""active":{active},"licensedSince":"{year}-{month:02}-{day:02}","rating":{whole}.{tenth}0,"#,
            r#""email":"p{number}@example.org","address":{{"line":["{house} Main Street"],"city":"{city}","#,
            r#""postalCode":"{postal:05}","country":"CA"}}}}"#
        ),
        first = first,
        last = last,
        practice = 1 + number,
        speciality = speciality,
        active = pick(40, 10) > 0,
        year = year,
        month = month,
        day = day,
        whole = pick(44, 5),
        tenth = pick(48, 10),
        number = number,
        house = 1 + pick(52, 900),
        city = city,
        postal = pick(28, 100_000),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_records_are_json_and_differ() {
        let all: std::collections::HashSet<String> = (0..10_000)
            .map(|number| {
                serde_json::from_str::<serde_json::Value>(operation(number).trim_end()).unwrap();
                id(number)
            })
            .collect();
        assert_eq!(all.len(), 10_000);
    }
}

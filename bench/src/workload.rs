//! What is sent: workloads as lists of operations, the same for granary and for its peers.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use granary_core::ksuid::Ksuid;
use granary_core::operation::TargetType;
use granary_core::time::Timestamp;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::cities::{self, City};
use crate::providers::{self, chance};

/// A request has no more operations than this: at 700 bytes each it stays below the limit on the body of one.
const REQUEST_OPERATIONS_MAX: u64 = 5_000_000;
/// The records of a run that are read back and compared.
const SAMPLES: u64 = 50;

/// What a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Creates with random ids of the client's
    Creates,
    /// Creates with ids that the server makes
    ServerIds,
    /// Upserts of 700 bytes over records of 350, in random order
    Upserts,
    /// What is there once more, as upserts
    Equal,
    /// Deletes in random order
    Deletes,
    /// Half creates, a fifth upserts, deletes, and a fifth of operations that fail
    Mixed,
    /// Creates of edges, ten a resource, in random order
    Relationships,
    /// A request with two faults in every operation
    Rejected,
    /// Creates of the cities of GeoNames (with --cities)
    Cities,
}

impl Workload {
    /// As it is chosen by.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Upsert,
    Delete,
}

/// One operation on one record.
pub(crate) struct Operation {
    pub(crate) action: Action,
    pub(crate) of_type: &'static str,
    /// The id of a resource, or of the one that an edge comes from.
    pub(crate) id: String,
    /// Where an edge leads to.
    pub(crate) to: Option<String>,
    /// True where granary is to make the id itself; `id` is then for the others, which cannot.
    pub(crate) id_by_server: bool,
    /// Nothing for a delete.
    pub(crate) data: String,
}

impl Operation {
    fn on_provider(action: Action, number: u64, data: String) -> Self {
        Self {
            action,
            of_type: providers::TYPE,
            id: providers::id(number),
            to: None,
            id_by_server: false,
            data,
        }
    }

    fn create(number: u64) -> Self {
        Self::on_provider(Action::Create, number, providers::data(number))
    }

    fn upsert_longer(number: u64) -> Self {
        Self::on_provider(Action::Upsert, number, providers::longer(number))
    }

    fn delete(number: u64) -> Self {
        Self::on_provider(Action::Delete, number, String::new())
    }

    /// The key of the record where there is only one: both ends of an edge.
    pub(crate) fn key(&self) -> String {
        match &self.to {
            Some(to) => format!("{}.{to}", self.id),
            None => self.id.clone(),
        }
    }

    /// Writes it as JSON, as a bulk request has it; with its id in any case where `all_ids`.
    pub(crate) fn write(&self, out: &mut impl Write, all_ids: bool) -> io::Result<()> {
        let (action, member) = match self.action {
            Action::Create => ("CREATE", "create"),
            Action::Upsert => ("UPSERT", "upsert"),
            Action::Delete => ("DELETE", "delete"),
        };
        write!(
            out,
            r#"{{"action":"{action}","{member}":{{"type":"{}""#,
            self.of_type
        )?;
        let Self { id, data, .. } = self;
        let end = providers::TYPE;
        match &self.to {
            Some(to) => write!(
                out,
                r#","from":{{"type":"{end}","id":"{id}"}},"to":{{"type":"{end}","id":"{to}"}}"#
            )?,
            None if all_ids || !self.id_by_server => write!(out, r#","id":"{id}""#)?,
            None => {}
        }
        if !data.is_empty() {
            write!(out, r#","data":{data}"#)?;
        }
        out.write_all(b"}}")
    }
}

/// A workload of one size.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) workload: Workload,
    /// How many operations are measured.
    pub(crate) operations: u64,
    /// The numbers of the records that are there before, in the order in which they are met.
    order: Arc<[u32]>,
    cities: Arc<[City]>,
}

impl Load {
    pub(crate) fn new(workload: Workload, operations: u64, cities: &Arc<[City]>) -> Self {
        let operations = match workload {
            Workload::Cities => cities.len() as u64,
            _ => operations,
        };
        let length = match workload {
            Workload::Upserts | Workload::Deletes | Workload::Relationships => operations,
            Workload::Mixed => operations / 2,
            _ => 0,
        };
        let mut order: Vec<u32> = (0..u32::try_from(length).unwrap_or(u32::MAX)).collect();
        order.shuffle(&mut chance(4, 0));
        Self {
            workload,
            operations,
            order: order.into(),
            cities: Arc::clone(cities),
        }
    }

    /// What its operations are on.
    pub(crate) fn target(&self) -> TargetType {
        match self.workload {
            Workload::Relationships => TargetType::Relationship,
            _ => TargetType::Resource,
        }
    }

    /// How many records are there before.
    fn before_count(&self) -> u64 {
        match self.workload {
            Workload::Upserts | Workload::Equal | Workload::Deletes => self.operations,
            Workload::Mixed => self.operations / 2,
            Workload::Relationships => (self.operations / 10).max(20),
            _ => 0,
        }
    }

    /// How many operations are to fail.
    pub(crate) fn failures(&self) -> u64 {
        match self.workload {
            Workload::Mixed => self.operations / 10 * 2 + (self.operations % 10).saturating_sub(8),
            Workload::Rejected => self.operations,
            _ => 0,
        }
    }

    /// Creates of the records that are there before.
    pub(crate) fn before(&self) -> impl Iterator<Item = Operation> {
        (0..self.before_count()).map(Operation::create)
    }

    /// The operations that are measured.
    pub(crate) fn measured(&self) -> impl Iterator<Item = Operation> {
        (0..self.operations).map(|at| self.operation(at))
    }

    /// The number of a record that is there before, by its place in the order.
    fn ordered(&self, place: u64) -> u64 {
        u64::from(self.order[usize::try_from(place).unwrap_or(usize::MAX)])
    }

    fn operation(&self, at: u64) -> Operation {
        match self.workload {
            Workload::Creates => Operation::create(at),
            Workload::ServerIds => Operation {
                id: server_id(at),
                id_by_server: true,
                ..Operation::create(at)
            },
            Workload::Upserts => Operation::upsert_longer(self.ordered(at)),
            Workload::Equal => Operation::on_provider(Action::Upsert, at, providers::data(at)),
            Workload::Deletes => Operation::delete(self.ordered(at)),
            Workload::Mixed => self.mixed(at),
            Workload::Relationships => self.edge(self.ordered(at)),
            Workload::Rejected => Operation::on_provider(Action::Create, at, providers::faulty(at)),
            Workload::Cities => {
                let (id, data) = &self.cities[usize::try_from(at).unwrap_or(usize::MAX)];
                Operation {
                    of_type: cities::TYPE,
                    id: id.clone(),
                    ..Operation::on_provider(Action::Create, at, data.clone())
                }
            }
        }
    }

    /// Ten operations in turn. Those that are to fail meet records that no other operation touches.
    fn mixed(&self, at: u64) -> Operation {
        let (turn, before) = (at / 10, self.before_count());
        match at % 10 {
            new @ 0..=4 => Operation::create(before + turn * 5 + new),
            there @ 5..=6 => Operation::upsert_longer(self.ordered(turn * 2 + there - 5)),
            7 => Operation::delete(self.ordered(before - 1 - turn)),
            // It is there already.
            8 => Operation::create(self.ordered(before / 2 + turn)),
            // It never was.
            _ => Operation::delete(2 * self.operations + turn),
        }
    }

    /// An edge, of which no two have the same ends.
    fn edge(&self, number: u64) -> Operation {
        let resources = self.before_count();
        let (from, nth) = (number % resources, number / resources);
        let to = (from + 1 + nth * (resources / 11).max(1)) % resources;
        let mut rng = chance(5, number);
        let (year, hours) = (rng.random_range(2000..2026), rng.random_range(1..40));
        Operation {
            of_type: providers::EDGE_TYPE,
            to: Some(providers::id(to)),
            ..Operation::on_provider(
                Action::Create,
                from,
                format!(r#"{{"since":"{year}-03-01","hours":{hours}}}"#),
            )
        }
    }

    /// Resources as they must be read back at the end, a few of them: ids and data.
    pub(crate) fn samples(&self) -> Vec<(String, String)> {
        if !matches!(
            self.workload,
            Workload::Creates | Workload::Upserts | Workload::Equal | Workload::Cities
        ) {
            return Vec::new();
        }
        let step = (self.operations / SAMPLES).max(1);
        (0..self.operations)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .map(|at| {
                let operation = self.operation(at);
                (operation.id, operation.data)
            })
            .collect()
    }
}

/// An id as granary makes them: those of one request begin alike and are without order.
fn server_id(number: u64) -> String {
    let mut random = [0; 16];
    chance(6, number).fill(&mut random[..]);
    Ksuid::from_parts(Timestamp::from_millis(1_770_000_000_000), random).to_string()
}

/// Writes the operations as bulk requests, each a JSON document, to files that begin with `path`.
pub(crate) fn write_requests(
    operations: impl Iterator<Item = Operation>,
    path: &Path,
) -> Result<Vec<PathBuf>> {
    let mut operations = operations.peekable();
    let mut paths = Vec::new();
    while operations.peek().is_some() {
        let path = path.with_extension(format!("{}.json", paths.len()));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut between = r#"{"operations":["#;
        for operation in operations.by_ref().take(REQUEST_OPERATIONS_MAX as usize) {
            out.write_all(between.as_bytes())?;
            operation.write(&mut out, false)?;
            between = ",\n";
        }
        out.write_all(b"]}")?;
        out.flush()?;
        paths.push(path);
    }
    Ok(paths)
}

//! How long the check of one operation takes, on one thread.

use std::fs;

use anyhow::{Context, Result, anyhow, ensure};
use granary_core::check::Checker;
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_core::operation::TargetType;
use granary_core::schema::{DefinitionKind, Schema, StoredDefinition};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use serde::Serialize;

use crate::providers;
use crate::workload::{Load, Workload};

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckTime {
    pub(crate) operations: u64,
    pub(crate) bytes_per_operation: f64,
    /// Of CPU, which other work does not lengthen.
    pub(crate) microseconds: f64,
}

pub(crate) fn measure(operations: u64) -> Result<CheckTime> {
    let definition = StoredDefinition {
        kind: DefinitionKind::Profile,
        key: Key::parse(providers::TYPE).map_err(|_| anyhow!("no key"))?,
        number: 1,
        revision: 1,
        json: providers::PROFILE.into(),
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    };
    let schema = Schema::compile(&[definition]).map_err(|error| anyhow!("{error}"))?;
    let mut sent = Vec::new();
    for operation in Load::new(Workload::Creates, operations, &Vec::new().into()).measured() {
        let mut bytes = Vec::new();
        operation.write(&mut bytes, true)?;
        sent.push(bytes);
    }
    let bytes: usize = sent.iter().map(Vec::len).sum();
    let mut random = || [7; 16];
    let mut checker = Checker {
        schema: &schema,
        target: TargetType::Resource,
        vocabularies: &Vocabularies::default(),
        tokens: None,
        limits: &Limits::default(),
        hash_key: [7; 16],
        now: Timestamp::from_millis(0),
        random: &mut random,
    };
    let mut body = Vec::with_capacity(1 << 20);
    let before = cpu_nanoseconds_of_thread()?;
    for bytes in &sent {
        body.clear();
        ensure!(
            checker.operation(bytes, &mut body).is_ok(),
            "an operation is refused"
        );
    }
    let took = cpu_nanoseconds_of_thread()? - before;
    Ok(CheckTime {
        operations,
        bytes_per_operation: bytes as f64 / operations as f64,
        microseconds: took as f64 / 1e3 / operations as f64,
    })
}

fn cpu_nanoseconds_of_thread() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_ascii_whitespace().next();
    Ok(first.context("an empty schedstat")?.parse()?)
}

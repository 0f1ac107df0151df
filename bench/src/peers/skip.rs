//! `serde_json` that finds the end of the document and keeps nothing: what reading JSON costs at the least. The document is
//! in memory before the clock starts.

use std::path::PathBuf;

use anyhow::Result;
use serde::de::IgnoredAny;

use crate::process::{Meter, Subject, Usage};

pub(crate) fn run(requests: &[PathBuf]) -> Result<(Usage, u64)> {
    let mut sum = Usage::default();
    for request in requests {
        let document = std::fs::read(request)?;
        let meter = Meter::start(Subject::One(std::process::id()))?;
        serde_json::from_slice::<IgnoredAny>(&document)?;
        let usage = meter.stop()?;
        sum.seconds += usage.seconds;
        sum.cpu_seconds += usage.cpu_seconds;
        sum.others_cores = sum.others_cores.max(usage.others_cores);
    }
    Ok((sum, 0))
}

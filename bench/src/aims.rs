//! What granary must reach, and whether what was measured does.

use std::fmt::Write as _;

use serde::Serialize;

use crate::measures::{Memory, Sent};
use crate::peers::Peer;
use crate::report::{MB, Report, Spread, System};
use crate::workload::Workload;

/// What is aimed at is aimed at with so many records, unless said,
const MILLION: u64 = 1_000_000;
/// and with so many where it is about size.
const MOST: u64 = 10 * MILLION;
/// Where others take more of the machine than this, its figures say little.
const OTHERS_CORES_MAX: f64 = 0.3;

/// A line of the table of what granary must reach.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    measure: String,
    aim: &'static str,
    #[serde(flatten)]
    judged: Option<Judged>,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
struct Judged {
    figure: String,
    met: bool,
    /// True where it was measured with less than what is aimed at.
    small: bool,
}

impl Judged {
    fn new(figure: String, met: bool) -> Self {
        Self {
            figure,
            met,
            small: false,
        }
    }

    /// The same, measured with so many operations where so many are aimed at.
    fn with(self, operations: u64, aim: u64) -> Self {
        Self {
            small: operations < aim,
            ..self
        }
    }
}

impl Report {
    /// The table of aims, for people.
    pub(crate) fn aims_table(&self) -> String {
        let mut text = String::new();
        for row in &self.aims {
            let (met, figure) = match &row.judged {
                None => ("not measured", "–"),
                Some(judged) => {
                    let met = match (judged.met, judged.small) {
                        (true, false) => "met",
                        (true, true) => "met, small",
                        (false, false) => "MISSED",
                        (false, true) => "missed, small",
                    };
                    (met, judged.figure.as_str())
                }
            };
            let (measure, aim) = (&row.measure, row.aim);
            let _ = writeln!(text, "  {met:<14} {measure:<58} aim {aim:<28} {figure}");
        }
        if let Some(others) = self.others_cores().filter(|others| *others > OTHERS_CORES_MAX) {
            let _ = writeln!(
                text,
                "\n  Others took {others:.1} cores of this machine meanwhile: these figures are not to be quoted."
            );
        }
        text
    }

    /// The cores that others took, in the middle of all runs.
    fn others_cores(&self) -> Option<f64> {
        Some(Spread::of(self.runs.iter().map(|run| run.usage.others_cores))?.median)
    }

    /// Fills the table of aims from what was measured.
    pub(crate) fn judge(&mut self) {
        let mut rows = Vec::new();
        let mut row = |measure: &str, aim, judged: Option<Judged>| {
            rows.push(Row {
                measure: measure.to_owned(),
                aim,
                judged,
            });
        };
        row(
            "creates against COPY",
            "≥ 2",
            self.against(Peer::Copy, Workload::Creates, 2.0),
        );
        row(
            "creates against fjall alone",
            "≥ 0.9",
            self.against(Peer::Fjall, Workload::Creates, 0.9),
        );
        row(
            "creates against PL/pgSQL of the same semantics",
            "≥ 8",
            self.against(Peer::Plpgsql, Workload::Creates, 8.0),
        );
        row(
            "upserts of 700 bytes against the same",
            "≥ 8",
            self.against(Peer::Plpgsql, Workload::Upserts, 8.0),
        );
        row(
            "acceptance against serde_json that skips the document",
            "≥ 0.5",
            self.against(Peer::Skip, Workload::Creates, 0.5),
        );
        row("check of one operation", "< 1 µs of CPU", self.check_time());
        for (what, sent) in [
            ("accepted, applied, receipts read", Sent::Plain),
            ("the same, sent as gzip", Sent::Gzip),
            ("rejected in every operation, answer read", Sent::Faulty),
        ] {
            row(
                &format!("memory above idle: {what}"),
                "< 256 MB, whatever the size",
                self.memory(sent),
            );
        }
        row(
            "the tenth request against the first, server-made ids",
            "≥ 0.7 at 10 million",
            self.growth(true, 0.7),
        );
        row(
            "the tenth request against the first, random ids",
            "≥ 0.5 at 10 million",
            self.growth(false, 0.5),
        );
        row(
            "single writes of 64 clients against fsyncs of the disk",
            "≥ 20",
            self.single_writes(),
        );
        row("99th percentile of these, in fsyncs", "< 10", self.single_p99());
        row(
            "small task beside a large one: how much longer",
            "≤ 2 chunks of 20 ms",
            self.beside(),
        );
        row("start after kill -9", "< 1 s at 10 million", self.restart());
        row("shared store: chunk path against COPY", "≥ 0.5", None);
        row(
            "shared store: two nodes on four sources against one",
            "≥ 1.5",
            None,
        );
        self.aims = rows;
    }

    fn against(&self, peer: Peer, workload: Workload, aim: f64) -> Option<Judged> {
        let operations = self.largest(workload)?;
        let ratio = self.ratio(peer, workload, operations)?;
        let figure = format!("{} at {operations}", ratio.shown(2));
        Some(Judged::new(figure, ratio.median >= aim).with(operations, MILLION))
    }

    fn check_time(&self) -> Option<Judged> {
        let time = Spread::of(self.measures.check.iter().map(|check| check.microseconds))?;
        Some(Judged::new(format!("{} µs", time.shown(2)), time.median < 1.0))
    }

    /// Of every size that was measured, for they are to be the same.
    fn memory(&self, sent: Sent) -> Option<Judged> {
        let all = || self.measures.memory.iter().filter(|one| one.sent == sent);
        let peak = |one: &Memory| one.applied_bytes.unwrap_or(one.answered_bytes) as f64 / MB;
        let mut sizes: Vec<u64> = all().map(|one| one.operations).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let (mut shown, mut highest) = (Vec::new(), 0.0_f64);
        for operations in &sizes {
            let of_size = || all().filter(|one| one.operations == *operations);
            let peaks = Spread::of(of_size().map(peak))?;
            highest = highest.max(peaks.max);
            let sent = of_size().next()?.request_bytes as f64 / MB;
            shown.push(format!("{} MB for {sent:.0} MB", peaks.shown(0)));
        }
        Some(Judged::new(shown.join(", "), highest < 256.0).with(*sizes.last()?, MOST))
    }

    fn growth(&self, id_by_server: bool, aim: f64) -> Option<Judged> {
        let of_it = self
            .measures
            .growth
            .iter()
            .filter(|one| one.id_by_server == id_by_server);
        let largest = of_it.clone().map(|one| one.operations).max()?;
        let ratio = Spread::of(of_it.filter(|one| one.operations == largest).map(|one| one.ratio))?;
        let figure = format!("{} at {largest}", ratio.shown(2));
        Some(Judged::new(figure, ratio.median >= aim).with(largest, MOST))
    }

    fn single_writes(&self) -> Option<Judged> {
        let ratio = Spread::of(self.measures.single_writes.iter().map(|one| one.writes_per_fsync))?;
        Some(Judged::new(ratio.shown(2), ratio.median >= 20.0))
    }

    fn single_p99(&self) -> Option<Judged> {
        let p99 = Spread::of(self.measures.single_writes.iter().map(|one| one.p99_fsyncs))?;
        Some(Judged::new(p99.shown(1), p99.median < 10.0))
    }

    fn beside(&self) -> Option<Judged> {
        let largest = self.measures.beside.iter().map(|one| one.operations).max()?;
        let of_it = self
            .measures
            .beside
            .iter()
            .filter(|one| one.operations == largest);
        let chunks = Spread::of(of_it.filter_map(|one| one.chunks))?;
        let figure = format!("{} beside {largest}", chunks.shown(1));
        Some(Judged::new(figure, chunks.median <= 2.0).with(largest, MOST))
    }

    fn restart(&self) -> Option<Judged> {
        let operations = self.largest(Workload::Creates)?;
        let runs = self.runs_of(System::Granary, Workload::Creates, operations);
        let seconds = Spread::of(runs.filter_map(|run| run.of_granary?.restart_seconds))?;
        let figure = format!("{} s at {operations}", seconds.shown(2));
        Some(Judged::new(figure, seconds.median < 1.0).with(operations, MOST))
    }
}

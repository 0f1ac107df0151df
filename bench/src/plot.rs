//! The throughput by workload beside the peers, as a drawing (SVG).

use std::fmt::Write as _;

use crate::report::{Report, System};
use crate::workload::Workload;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 160.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 60.0;
const BAR: f64 = 13.0;
const BETWEEN: f64 = 16.0;

const WORKLOADS: [Workload; 9] = [
    Workload::Creates,
    Workload::ServerIds,
    Workload::Upserts,
    Workload::Equal,
    Workload::Deletes,
    Workload::Mixed,
    Workload::Relationships,
    Workload::Rejected,
    Workload::Cities,
];

const fn colour(system: System) -> &'static str {
    use crate::peers::Peer;
    match system {
        System::Granary => "#b5651d",
        System::Peer(Peer::Copy) => "#336791",
        System::Peer(Peer::Plpgsql) => "#8fb3cf",
        System::Peer(Peer::Fjall) => "#6b8e23",
        System::Peer(Peer::Redis) => "#c0392b",
        System::Peer(Peer::Skip) => "#999999",
    }
}

struct Group {
    name: String,
    bars: Vec<(System, f64)>,
}

/// Bars of the medians, a group for each workload at its largest size. What only skips the document is not there.
pub(crate) fn svg(report: &Report) -> String {
    let groups: Vec<Group> = WORKLOADS.iter().filter_map(|&one| group(report, one)).collect();
    let highest = groups.iter().flat_map(|group| &group.bars);
    let highest = highest.map(|(_, rate)| *rate).fold(1.0, f64::max);
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = TOP + bars as f64 * BAR + groups.len() as f64 * BETWEEN + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, 10.0, 20.0, "start", &title(report));
    legend(&mut svg, &groups);
    let mut y = TOP;
    for group in &groups {
        let middle = y + group.bars.len() as f64 * BAR / 2.0 + 4.0;
        text(&mut svg, LEFT - 8.0, middle, "end", &group.name);
        for (system, rate) in &group.bars {
            let width = (WIDTH - LEFT - RIGHT) * rate / highest;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                BAR - 2.0,
                colour(*system)
            );
            text(
                &mut svg,
                LEFT + width + 4.0,
                y + BAR - 4.0,
                "start",
                &thousands(*rate),
            );
            y += BAR;
        }
        y += BETWEEN;
    }
    svg.push_str("</svg>\n");
    svg
}

fn title(report: &Report) -> String {
    format!(
        "operations a second, {}, {} cores, {:.0} fsyncs a second; medians of {}",
        report.date, report.machine.cores, report.machine.fsyncs_per_second, report.rounds
    )
}

fn group(report: &Report, workload: Workload) -> Option<Group> {
    let operations = report.largest(workload)?;
    let shown = &System::ALL[..System::ALL.len() - 1];
    let bars = shown.iter().filter_map(|&system| {
        let rate = report.rate(system, workload, operations)?;
        Some((system, rate.median))
    });
    Some(Group {
        name: format!("{} {}", workload.name(), thousands(operations as f64)),
        bars: bars.collect(),
    })
}

fn legend(svg: &mut String, groups: &[Group]) {
    let mut x = LEFT;
    for system in System::ALL {
        let there = |group: &Group| group.bars.iter().any(|(each, _)| *each == system);
        if groups.iter().any(there) {
            let colour = colour(system);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"32\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
            );
            text(svg, x + 14.0, 41.0, "start", system.name());
            x += 130.0;
        }
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// A number with commas between its thousands.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_thousands() {
        assert_eq!(thousands(7.4), "7");
        assert_eq!(thousands(123_456.0), "123,456");
        assert_eq!(thousands(1_000.0), "1,000");
    }
}

//! Progress bars, on stderr, and only where that is a terminal.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::output::count;

const BYTES: &str =
    "{prefix:>12.cyan.bold} {msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {bytes_rate}{left}";
const BYTES_UNBOUNDED: &str = "{prefix:>12.cyan.bold} {msg} {spinner} {decimal_bytes} {bytes_rate}";
const OPERATIONS: &str = "{prefix:>12.cyan.bold} {msg} [{bar:30}] {human_pos}/{human_len} {rate}{left}";

/// A bar that is gone once it is dropped: what is left to read is said elsewhere.
pub(crate) struct Bar(ProgressBar);

/// Moves a bar from where it cannot be kept, such as a stream.
pub(crate) struct Mover(ProgressBar);

impl Bar {
    /// A bar over the bytes of an upload; a spinner where their number is not known.
    pub(crate) fn upload(name: &str, size: Option<u64>) -> Self {
        match size {
            Some(size) => Self::new(ProgressBar::new(size), BYTES, "Uploading", name),
            None => Self::new(ProgressBar::no_length(), BYTES_UNBOUNDED, "Uploading", name),
        }
    }

    /// A spinner over the bytes that come.
    pub(crate) fn download(name: &str) -> Self {
        Self::new(ProgressBar::no_length(), BYTES_UNBOUNDED, "Exporting", name)
    }

    /// A bar over the operations of a task.
    pub(crate) fn task(name: &str, total: u64) -> Self {
        Self::new(ProgressBar::new(total), OPERATIONS, "Applying", name)
    }

    fn new(bar: ProgressBar, template: &str, prefix: &'static str, name: &str) -> Self {
        let template = match anstream::ColorChoice::global() {
            anstream::ColorChoice::Never => template.replace(".cyan.bold", ""),
            _ => template.to_owned(),
        };
        // A template that does not parse is our mistake, and no reason to show nothing; a test reads all.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar
            .with_style(told(style).progress_chars("=> "))
            .with_prefix(prefix);
        bar.set_message(name.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self(bar)
    }

    /// What moves it.
    pub(crate) fn mover(&self) -> Mover {
        Mover(self.0.clone())
    }

    /// How far it is, drawn or not.
    pub(crate) fn position(&self) -> u64 {
        self.0.position()
    }

    /// Moves it to this place.
    pub(crate) fn set_position(&self, position: u64) {
        self.0.set_position(position);
    }
}

/// What a bar tells besides how far it is: whole numbers, which can be read while they change.
fn told(style: ProgressStyle) -> ProgressStyle {
    style
        .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
            let _ = text.write_str(&operations_per_second(state.per_sec()));
        })
        .with_key("bytes_rate", |state: &ProgressState, text: &mut dyn Write| {
            let _ = text.write_str(&bytes_per_second(state.per_sec()));
        })
        .with_key("left", |state: &ProgressState, text: &mut dyn Write| {
            let done = state.len().is_none_or(|all| state.pos() >= all);
            let _ = text.write_str(&left(state.eta()).filter(|_| !done).unwrap_or_default());
        })
}

fn operations_per_second(rate: f64) -> String {
    format!("{}/s", count(rate.round() as u64))
}

fn bytes_per_second(rate: f64) -> String {
    match rate {
        0.0..1e6 => format!("{:.0} kB/s", rate / 1e3),
        _ => format!("{} MB/s", count((rate / 1e6).round() as u64)),
    }
}

/// The time that is left; nothing before it can be told.
fn left(eta: Duration) -> Option<String> {
    let seconds = eta.as_secs();
    match seconds {
        0 => None,
        1..60 => Some(format!(", {seconds} s left")),
        60..3_600 => Some(format!(", {} min {} s left", seconds / 60, seconds % 60)),
        // Longer than a day is no estimate.
        3_600..86_400 => Some(format!(
            ", {} h {} min left",
            seconds / 3_600,
            seconds % 3_600 / 60
        )),
        _ => None,
    }
}

impl Mover {
    /// Moves the bar on. After the last byte the server still has to check them.
    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
        if self.0.length() == Some(self.0.position()) {
            self.0.set_prefix("Checking");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [BYTES, BYTES_UNBOUNDED, OPERATIONS] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn rates_are_whole_numbers_and_the_time_left_is_told() {
        assert_eq!(operations_per_second(81_234.6), "81,235/s");
        assert_eq!(bytes_per_second(123_456.7), "123 kB/s");
        assert_eq!(bytes_per_second(12_345_678.9), "12 MB/s");
        let left = |seconds| left(Duration::from_secs(seconds)).unwrap_or_default();
        assert_eq!(
            [left(0), left(59), left(125), left(7_320), left(u64::MAX)],
            ["", ", 59 s left", ", 2 min 5 s left", ", 2 h 2 min left", ""]
        );
    }

    #[test]
    fn a_bar_that_is_not_drawn_counts_all_the_same() {
        let bar = Bar::upload("x", Some(10));
        bar.mover().add(4);
        bar.mover().add(6);
        assert_eq!(bar.position(), 10);
    }
}

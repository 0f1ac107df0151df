//! Progress bars, on stderr, and only where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const BYTES: &str =
    "{prefix:>12.cyan.bold} {msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}";
const BYTES_UNBOUNDED: &str =
    "{prefix:>12.cyan.bold} {msg} {spinner} {decimal_bytes} {decimal_bytes_per_sec}";
const OPERATIONS: &str = "{prefix:>12.cyan.bold} {msg} [{bar:30}] {human_pos}/{human_len} {per_sec}";

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
        let bar = bar.with_style(style.progress_chars("=> ")).with_prefix(prefix);
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
    fn a_bar_that_is_not_drawn_counts_all_the_same() {
        let bar = Bar::upload("x", Some(10));
        bar.mover().add(4);
        bar.mover().add(6);
        assert_eq!(bar.position(), 10);
    }
}

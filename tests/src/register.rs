//! What a record may hold that many write at once: a value that was written, and not one that was written over.

use anyhow::{Result, bail, ensure};

/// Writes of one record, each of another value.
#[derive(Debug, Default)]
pub(crate) struct Register {
    writes: Vec<Write>,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    value: u64,
    /// The moment before it was sent.
    began: u64,
    /// The moment after its answer; without one it may take effect at any time, or never.
    answered: Option<u64>,
}

impl Register {
    pub(crate) fn begin(&mut self, value: u64, began: u64) {
        self.writes.push(Write {
            value,
            began,
            answered: None,
        });
    }

    /// It has taken effect, by then or before.
    pub(crate) fn answered(&mut self, value: u64, at: u64) {
        if let Some(write) = self.writes.iter_mut().find(|write| write.value == value) {
            write.answered.get_or_insert(at);
        }
    }

    /// Whether a read may see this that began at that moment.
    pub(crate) fn check(&self, found: Option<u64>, began: u64) -> Result<()> {
        // Writes that a read must see, or what came after them.
        let mut before = self
            .writes
            .iter()
            .filter(|write| write.answered.is_some_and(|at| at < began));
        let Some(value) = found else {
            if let Some(write) = before.next() {
                bail!("it is not there; {write:?} was answered");
            }
            return Ok(());
        };
        let Some(found) = self.writes.iter().find(|write| write.value == value) else {
            bail!("it holds {value}, which nobody wrote");
        };
        let over = before.find(|write| found.answered.is_some_and(|at| at < write.began));
        ensure!(
            over.is_none(),
            "it holds {found:?}, which {over:?} was written over"
        );
        Ok(())
    }

    /// Of the writes of values from `least` on: how many had been answered before that moment, and how many begun.
    pub(crate) fn before(&self, moment: u64, least: u64) -> (u64, u64) {
        let writes = || self.writes.iter().filter(|write| write.value >= least);
        let answered = writes().filter(|write| write.answered.is_some_and(|at| at < moment));
        let begun = writes().filter(|write| write.began < moment);
        (answered.count() as u64, begun.count() as u64)
    }

    pub(crate) fn count(&self) -> usize {
        self.writes
            .iter()
            .filter(|write| write.answered.is_some())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_written_over_is_noticed() {
        let mut register = Register::default();
        register.check(None, 1).unwrap();
        register.begin(10, 2);
        register.check(Some(10), 3).unwrap();
        register.check(None, 3).unwrap();
        register.answered(10, 4);
        register.check(None, 3).unwrap();
        register.check(None, 5).unwrap_err();
        register.begin(11, 6);
        register.check(Some(10), 7).unwrap();
        register.answered(11, 8);
        register.check(Some(10), 7).unwrap();
        register.check(Some(10), 9).unwrap_err();
        register.check(Some(12), 9).unwrap_err();
        // One without an answer may come late.
        register.begin(12, 10);
        register.begin(13, 11);
        register.answered(13, 12);
        register.check(Some(12), 13).unwrap();
    }
}

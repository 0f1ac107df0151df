//! What was answered to requests that are carried out once: kept in the batch that carried them out.

use fjall::{OwnedWriteBatch, Readable};
use granary_core::idempotency::Fingerprint;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{FirstAnswer, Idempotent, RequestName, Result, Source, StoreError};

use crate::rows::AnswerRow;
use crate::{Inner, engine, lock, rows};

impl From<FirstAnswer> for AnswerRow {
    fn from(answer: FirstAnswer) -> Self {
        Self {
            task_id: answer.task_id,
            fingerprint: answer.fingerprint.0,
            status: answer.status,
            part: answer.part,
            at: answer.at.millis(),
        }
    }
}

impl From<AnswerRow> for FirstAnswer {
    fn from(row: AnswerRow) -> Self {
        Self {
            task_id: row.task_id,
            fingerprint: Fingerprint(row.fingerprint),
            status: row.status,
            part: row.part,
            at: Timestamp::from_millis(row.at),
        }
    }
}

/// `answers_by_time`: when, then the key in `answers`.
pub(crate) fn time_key(at: Timestamp, key: &[u8]) -> Vec<u8> {
    // So that it sorts as it counts, before the epoch too.
    let at = at.millis().cast_unsigned() ^ (1 << 63);
    [at.to_be_bytes().as_slice(), key].concat()
}

impl Inner {
    /// `answers`: source, digest of the name.
    fn answer_key(&self, source: u32, name: &RequestName) -> Vec<u8> {
        [source.to_be_bytes().as_slice(), &name.digest(&self.hash_key)].concat()
    }

    /// Refuses a request that was carried out. To be called under the lock of the writes; what it refuses with may be
    /// told once the last commit is durable.
    pub(crate) fn check_once(&self, source: u32, request: Option<&Idempotent>) -> Result<()> {
        let Some(request) = request else { return Ok(()) };
        let row = self.keyspaces.answers.get(self.answer_key(source, &request.name));
        match kept(row.map_err(engine)?.as_deref(), request.kept_since)? {
            Some(answer) => Err(StoreError::Answered(Box::new(answer))),
            None => Ok(()),
        }
    }

    /// Keeps the answer to a request that this batch carries out.
    pub(crate) fn keep_answer(
        &self,
        batch: &mut OwnedWriteBatch,
        source: u32,
        request: Option<&Idempotent>,
        task_id: TaskId,
        now: Timestamp,
    ) {
        let Some(request) = request else { return };
        let key = self.answer_key(source, &request.name);
        let row = AnswerRow::from(request.answer(task_id, now));
        batch.insert(&self.keyspaces.answers_by_time, time_key(now, &key), []);
        batch.insert(&self.keyspaces.answers, key, rows::encode(&row));
    }

    pub(crate) fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>> {
        self.state_of(source)?;
        let row = self
            .sync
            .published()
            .get(&self.keyspaces.answers, self.answer_key(source.number, name))
            .map_err(engine)?;
        kept(row.as_deref(), kept_since)
    }

    pub(crate) fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool> {
        self.check_open()?;
        let mut forgotten = 0;
        let before = time_key(kept_since, &[]);
        for row in self.keyspaces.answers_by_time.range(..before).take(limit) {
            let of_time = row.key().map_err(engine)?;
            let key = of_time.get(8..).unwrap_or_default();
            let number = key.first_chunk().map(|number| u32::from_be_bytes(*number));
            let number = number.ok_or_else(|| StoreError::Damaged("a key of answers_by_time".into()))?;
            // Held, lest the answer to a request that takes the name meanwhile is forgotten.
            let state = self.source_numbered(number).map(|source| self.state_of(&source));
            let state = state.and_then(Result::ok);
            let _writer = state.as_ref().map(|state| lock(&state.writer));
            let row = self.keyspaces.answers.get(key).map_err(engine)?;
            let mut batch = self.db.batch();
            // It may have been kept anew since.
            if row.is_some() && kept(row.as_deref(), kept_since)?.is_none() {
                batch.remove(&self.keyspaces.answers, key);
            }
            batch.remove(&self.keyspaces.answers_by_time, of_time.clone());
            self.commit(batch)?;
            forgotten += 1;
        }
        if forgotten > 0 {
            self.sync.wait(self.sync.committed())?;
        }
        Ok(forgotten == limit)
    }
}

/// The answer in this row, if it is still kept.
fn kept(row: Option<&[u8]>, kept_since: Timestamp) -> Result<Option<FirstAnswer>> {
    let row = row
        .map(|row| rows::decode::<AnswerRow>(row, "answers"))
        .transpose()?;
    Ok(row
        .map(FirstAnswer::from)
        .filter(|answer| answer.at >= kept_since))
}

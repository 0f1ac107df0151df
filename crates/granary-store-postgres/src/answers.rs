//! What was answered to requests that are carried out once: kept in the transaction that carries them out.

use std::sync::Arc;

use granary_core::idempotency::Fingerprint;
use granary_core::keys::ResourceId;
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{FirstAnswer, Idempotent, RequestName, Result, Source, StoreError};
use tokio_postgres::Row;

use crate::catalog::see_source;
use crate::failure::Attempt;
use crate::session::{Session, params};
use crate::transact::Rules;
use crate::{Inner, bucket_of, damaged, int4, int8};

impl Inner {
    /// Refuses a request that was carried out.
    pub(crate) async fn check_once(
        &self,
        session: &Session,
        source: u32,
        request: Option<&Idempotent>,
    ) -> Attempt<()> {
        let Some(request) = request else { return Ok(()) };
        let kept = self.read_answer(session, source, &request.name, request.kept_since);
        match kept.await? {
            Some(answer) => Err(StoreError::Answered(Box::new(answer)).into()),
            None => Ok(()),
        }
    }

    /// Keeps the answer to a request that this transaction carries out; refuses one that another carried out. Waits for
    /// one of the same name that has not ended.
    pub(crate) async fn keep_answer(
        &self,
        session: &Session,
        source: u32,
        request: Option<&Idempotent>,
        task_id: TaskId,
        now: Timestamp,
    ) -> Attempt<()> {
        let Some(request) = request else { return Ok(()) };
        let sql = "INSERT INTO granary.answer AS kept (bucket, source, name, task, fingerprint, status, part, at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (bucket, source, name) DO UPDATE \
                   SET task = $4, fingerprint = $5, status = $6, part = $7, at = $8 WHERE kept.at < $9";
        let answer = params![
            bucket_of(source),
            int4(source),
            request.name.digest(&self.hash_key).to_vec(),
            task_id.to_string(),
            request.fingerprint.0.to_vec(),
            i32::from(request.status),
            request.part.as_ref().map(ResourceId::as_str),
            now.millis(),
            request.kept_since.millis()
        ];
        if session.execute(sql, answer).await? == 0 {
            self.check_once(session, source, Some(request)).await?;
            // It was forgotten in between.
            return Err(crate::failure::Failure::Raced);
        }
        Ok(())
    }

    async fn read_answer(
        &self,
        session: &Session,
        source: u32,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Attempt<Option<FirstAnswer>> {
        let sql = "SELECT task, fingerprint, status, part, at FROM granary.answer \
                   WHERE bucket = $1 AND source = $2 AND name = $3 AND at >= $4";
        let of = params![
            bucket_of(source),
            int4(source),
            name.digest(&self.hash_key).to_vec(),
            kept_since.millis()
        ];
        let row = session.query_opt(sql, of).await?;
        row.as_ref().map(answer).transpose()
    }

    pub(crate) async fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>> {
        self.read(|session: Arc<Session>| async move {
            let kept = self.read_answer(&session, source.number, name, kept_since);
            let (kept, ()) = futures::try_join!(kept, see_source(&session, source))?;
            Ok(kept)
        })
        .await
    }

    pub(crate) async fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool> {
        self.check_open()?;
        let forgotten = self.transact(Rules::DURABLE, |session: Arc<Session>| async move {
            let sql = "DELETE FROM granary.answer WHERE ctid = ANY (ARRAY(SELECT ctid FROM granary.answer \
                       WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)) AND at < $1";
            session
                .execute(sql, params![kept_since.millis(), int8(limit as u64)])
                .await
        });
        Ok(forgotten.await? == limit as u64)
    }
}

fn answer(row: &Row) -> Attempt<FirstAnswer> {
    let task: &str = row.get(0);
    let fingerprint = <[u8; 16]>::try_from(row.get::<_, &[u8]>(1));
    let part: Option<&str> = row.get(3);
    Ok(FirstAnswer {
        task_id: TaskId::parse(task).ok_or_else(|| damaged("the task of an answer"))?,
        fingerprint: Fingerprint(fingerprint.map_err(|_| damaged("the fingerprint of an answer"))?),
        status: u16::try_from(row.get::<_, i32>(2)).map_err(|_| damaged("the status of an answer"))?,
        part: part
            .map(|id| ResourceId::parse(id).map_err(|_| damaged("the part of an answer")))
            .transpose()?,
        at: Timestamp::from_millis(row.get(4)),
    })
}

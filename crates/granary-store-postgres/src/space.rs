//! Freeing the space of what is gone: sources that were deleted, uploads that were cut off.

use std::sync::Arc;

use granary_store::Result;

use crate::failure::Attempt;
use crate::session::{Session, params};
use crate::tasks::ksuid_of;
use crate::transact::Rules;
use crate::{Inner, int8, uint4};

macro_rules! delete_from {
    ($($table:literal),+) => {
        [$(concat!(
            "DELETE FROM granary.", $table, " WHERE ctid = ANY (ARRAY(SELECT ctid FROM granary.", $table,
            " WHERE bucket = $1 AND source = $2 LIMIT $3)) AND bucket + 0 = $1 AND source + 0 = $2"
        )),+]
    };
}

/// Remove everything that belongs to a source, but for its row, which goes last. Uploads go before the segments: without
/// its row one writes no more of them.
const DELETES: [&str; 13] = delete_from!(
    "upload",
    "resource",
    "edge",
    "identifier",
    "mark",
    "segment",
    "receipts",
    "answer",
    "removed_task",
    "task",
    "definition",
    "lane",
    "intake"
);

impl Inner {
    pub(crate) async fn free_space(&self, rows: usize) -> Result<bool> {
        self.check_open()?;
        Ok(self.sweep_uploads().await? || self.free_source(rows).await?)
    }

    /// Removes a part of an upload whose node is gone; false where there is none.
    async fn sweep_uploads(&self) -> Result<bool> {
        let swept = self.transact(Rules::SOON, |session: Arc<Session>| async move {
            // The row first: from here on it cannot be accepted.
            let sql = "UPDATE granary.upload SET abandoned = true WHERE expires_at < now() AND NOT abandoned";
            session.execute(sql, params![]).await?;
            let sql = "SELECT source, ksuid FROM granary.upload WHERE abandoned LIMIT 1";
            let row = session.query_opt(sql, params![]).await?;
            row.map(|row| Ok((uint4(row.get(0)), ksuid_of(row.get(1))?)))
                .transpose()
        });
        let Some((source, id)) = swept.await? else {
            return Ok(false);
        };
        self.remove_abandoned(source, id).await?;
        Ok(true)
    }

    /// Removes so many rows of a source that was deleted; false where there is none.
    async fn free_source(&self, rows: usize) -> Result<bool> {
        self.transact(Rules::SOON, |session: Arc<Session>| async move {
            // Locked, so that of many nodes one frees it at a time, and sees what is left of it.
            let sql = "SELECT bucket, source FROM granary.source WHERE dead ORDER BY bucket, source LIMIT 1 \
                       FOR UPDATE";
            let Some(row) = session.query_opt(sql, params![]).await? else {
                return Ok(false);
            };
            let (bucket, source): (i16, i32) = (row.get(0), row.get(1));
            let left = free_rows(&session, bucket, source, rows.max(1) as u64).await?;
            if left > 0 {
                let sql = "DELETE FROM granary.source WHERE bucket = $1 AND source = $2 AND dead";
                session.execute(sql, params![bucket, source]).await?;
            }
            Ok(true)
        })
        .await
    }
}

/// Removes so many rows of a source; how many more it could have been.
async fn free_rows(session: &Session, bucket: i16, source: i32, rows: u64) -> Attempt<u64> {
    let mut left = rows;
    for delete in DELETES {
        left -= session
            .execute(delete, params![bucket, source, int8(left)])
            .await?;
        if left == 0 {
            break;
        }
    }
    Ok(left)
}

//! Lanes: one row a source, taken by compare-and-set. The fence grows with each holder, the owner says who it is, and the
//! lease says until when others leave it alone; each chunk renews it. Neither keeps an operation from being applied
//! twice: the lock of the row and the cursor do.

use std::sync::Arc;
use std::time::Duration;

use granary_core::time::Timestamp;
use granary_store::{Lane, LastChunk, Result, Source};
use tracing::{debug, warn};

use crate::catalog::parsed_key;
use crate::failure::{Attempt, Failure, Tries};
use crate::session::{Session, params};
use crate::transact::{Commit, Ended, Rules};
use crate::{Held, Inner, bucket_of, int4, int8, lock, uint4, uint8};

/// Lanes that are looked at for one that is free.
const CANDIDATES: i64 = 16;
/// Take-overs without getting on, after which the next operation is suspected.
const ATTEMPTS_MAX: i32 = 2;
/// Nobody sees who holds a lane, and a lost claim is one that did not happen.
const CLAIM: Rules = Rules {
    commit: Commit::Soon,
    lock_wait: Duration::from_millis(200),
    ..Rules::CHUNK
};

/// Locks the lane until the end of the transaction; false where it is another's.
pub(crate) async fn hold_lane(session: &Session, lane: &Lane, owner: &str) -> Attempt<bool> {
    let source = lane.source.number;
    let sql = "SELECT 1 FROM granary.lane WHERE bucket = $1 AND source = $2 AND fence = $3 AND owner = $4 \
               FOR NO KEY UPDATE";
    let of = params![bucket_of(source), int4(source), int8(lane.fence), owner];
    Ok(session.query_opt(sql, of).await?.is_some())
}

/// Says that a lane has work, if it does not say so yet. To be called with the lock of the intake.
pub(crate) async fn wake_lane(session: &Session, source: u32) -> Attempt<()> {
    // Where it is awake no row is locked: a chunk that runs is not waited for.
    let sql = "UPDATE granary.lane SET runnable = true, ready_at = now() \
               WHERE bucket = $1 AND source = $2 AND NOT runnable";
    session
        .execute(sql, params![bucket_of(source), int4(source)])
        .await?;
    Ok(())
}

/// Locks the intake of a source: acceptances come one after the other, in the order of their tasks.
pub(crate) async fn lock_intake(session: &Session, source: u32) -> Attempt<()> {
    let sql = "SELECT 1 FROM granary.intake WHERE bucket = $1 AND source = $2 FOR UPDATE";
    session
        .query_opt(sql, params![bucket_of(source), int4(source)])
        .await?;
    Ok(())
}

/// So many places: the first, and the others from somewhere on. All who look at once want the first, and those who do not
/// get it should not all want the next.
fn in_turn(count: usize) -> impl Iterator<Item = usize> {
    let others = count.saturating_sub(1).max(1);
    let from = getrandom::u32().unwrap_or_default() as usize % others;
    (0..count).map(move |place| match place {
        0 => 0,
        place => 1 + (place - 1 + from) % others,
    })
}

impl Inner {
    pub(crate) async fn claim_lane(&self) -> Result<Option<Lane>> {
        self.check_open()?;
        let mut tries = Tries::default();
        loop {
            // In a transaction, for what that says of plans: lanes without work may be very many.
            let candidates = self.transact(CLAIM, |session: Arc<Session>| async move {
                let sql = "SELECT source, fence FROM granary.lane WHERE runnable AND lease_until < now() \
                           ORDER BY ready_at LIMIT $1";
                session.query(sql, params![CANDIDATES]).await
            });
            let candidates = candidates.await?;
            let mut failed = None;
            for place in in_turn(candidates.len()) {
                let candidate = &candidates[place];
                let (source, seen) = (uint4(candidate.get(0)), candidate.get::<_, i64>(1));
                let claiming = self.attempt(CLAIM, |session: Arc<Session>| async move {
                    self.claim(&session, source, seen).await
                });
                match claiming.await {
                    // Where the answer was lost it may be ours: each step asks who holds it.
                    Ended::Committed(Some(lane)) | Ended::Unknown(Some(lane), _) => {
                        let held = Held {
                            fence: lane.fence,
                            open: None,
                            trying: None,
                        };
                        lock(&self.held).insert(source, held);
                        return Ok(Some(lane));
                    }
                    // Somebody else has it, or is about to.
                    Ended::Committed(None) | Ended::Unknown(None, _) | Ended::Failed(Failure::Raced) => {}
                    Ended::Failed(failure) if failure.is_lock_wait() => {}
                    Ended::Failed(failure) => failed = Some(failure),
                }
            }
            match failed {
                Some(failure) => tries.again(failure).await?,
                // There may be more of them.
                None if candidates.len() as i64 == CANDIDATES => tries.again(Failure::Raced).await?,
                None => return Ok(None),
            }
        }
    }

    async fn claim(&self, session: &Session, source: u32, seen: i64) -> Attempt<Option<Lane>> {
        let sql = "UPDATE granary.lane l SET fence = l.fence + 1, owner = $4, \
                   lease_until = now() + make_interval(secs => $5), \
                   attempts = CASE WHEN l.owner IS NULL THEN l.attempts ELSE l.attempts + 1 END \
                   FROM granary.source s \
                   WHERE l.bucket = $1 AND l.source = $2 AND l.fence = $3 AND l.runnable AND l.lease_until < now() \
                   AND s.bucket = $1 AND s.source = $2 AND NOT s.dead \
                   RETURNING l.fence, l.attempts > $6 OR l.trier IS NOT NULL, s.key, s.created_at, \
                   l.attempts > 0 OR l.trier IS NOT NULL";
        let of = params![
            bucket_of(source),
            int4(source),
            seen,
            self.owner.as_str(),
            self.lease.as_secs_f64(),
            ATTEMPTS_MAX
        ];
        let Some(row) = session.query_opt(sql, of).await? else {
            return Ok(None);
        };
        Ok(Some(Lane {
            source: Source {
                key: parsed_key(row.get(2))?,
                number: source,
                created_at: Timestamp::from_millis(row.get(3)),
            },
            fence: uint8(row.get(0)),
            taken_over: row.get(4),
            // Also where the last one vanished while it tried an operation alone.
            suspect: row.get(1),
            last: LastChunk::default(),
        }))
    }

    /// Renews the lease of a lane that is locked: it got on.
    pub(crate) async fn renew(&self, session: &Session, lane: &Lane) -> Attempt<()> {
        let source = lane.source.number;
        let sql = "UPDATE granary.lane SET lease_until = now() + make_interval(secs => $3), attempts = 0, \
                   trier = NULL, deaths = 0 WHERE bucket = $1 AND source = $2";
        let of = params![bucket_of(source), int4(source), self.lease.as_secs_f64()];
        session.execute_on(1, sql, of).await
    }

    pub(crate) async fn release_lane(&self, lane: &Lane) {
        let source = lane.source.number;
        self.let_go(lane);
        self.release(source, lane.fence).await;
    }

    /// Gives a lane back. Where that fails, its lease ends by itself; where nobody knows whether it failed, once more.
    async fn release(&self, source: u32, fence: u64) {
        let released = self.transact_again(Rules::SOON, |session: Arc<Session>| async move {
            // Under the lock of the intake: an acceptance is either seen, or wakes the lane afterwards.
            lock_intake(&session, source).await?;
            let sql = "UPDATE granary.lane l SET owner = NULL, lease_until = '-infinity', ready_at = now(), \
                       attempts = 0, trier = NULL, \
                       runnable = EXISTS (SELECT FROM granary.task t WHERE t.bucket = $1 AND t.source = $2 \
                                          AND t.completed_at IS NULL) \
                                  OR EXISTS (SELECT FROM granary.mark m WHERE m.bucket = $1 AND m.source = $2) \
                       WHERE l.bucket = $1 AND l.source = $2 AND l.fence = $3 AND l.owner = $4";
            let of = params![bucket_of(source), int4(source), int8(fence), self.owner.as_str()];
            session.execute(sql, of).await
        });
        if let Err(failure) = released.await {
            debug!(%failure, source, "a lane was not given back; its lease ends by itself");
        }
    }

    /// Gives all lanes back that this node holds.
    pub(crate) async fn release_all(&self) {
        let held: Vec<(u32, u64)> = {
            let mut held = lock(&self.held);
            held.drain().map(|(source, held)| (source, held.fence)).collect()
        };
        for (source, fence) in held {
            self.release(source, fence).await;
        }
    }

    /// Says, as soon as it can be said, that this process did not end at the operation that it tried alone.
    pub(crate) fn survived(self: &Arc<Self>, lane: &Lane) {
        const SAY_EVERY: Duration = Duration::from_millis(200);
        const TRIES: u32 = 300;
        let (inner, source) = (Arc::clone(self), lane.source.number);
        tokio::spawn(async move {
            let inner = &*inner;
            for _ in 0..TRIES {
                let said = inner.transact(Rules::SOON, |session: Arc<Session>| async move {
                    // Where another has tried since, this process was counted.
                    let sql = "UPDATE granary.lane SET trier = nullif(trier, $3), \
                               deaths = CASE WHEN trier = $3 THEN deaths ELSE greatest(deaths - 1, 0) END \
                               WHERE bucket = $1 AND source = $2 AND (trier = $3 OR deaths > 0)";
                    let of = params![bucket_of(source), int4(source), inner.owner.as_str()];
                    session.execute(sql, of).await
                });
                if said.await.is_ok() {
                    return;
                }
                tokio::time::sleep(SAY_EVERY).await;
            }
            warn!(
                source,
                "the database was out of reach for long; a lost connection may count as a death"
            );
        });
    }
}

//! The schema of the database: numbered migrations, applied in their order by whichever node starts first.
//!
//! A migration only adds, so that nodes of the version before go on beside it; what it leaves behind is removed a version
//! later. Each says the oldest schema whose nodes can still work with it. Each is a transaction of its own, and none waits
//! long for a table: whoever wants that table then waits behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_store::{Result, StoreError};
use tracing::info;

use crate::Inner;
use crate::failure::{Attempt, Failure, Tries};
use crate::session::{Session, params};
use crate::transact::{Ended, Rules};

/// One step of the schema.
struct Migration {
    version: i32,
    /// Nodes that know this version and no later one can work with it.
    works_from: i32,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        works_from: 1,
        sql: include_str!("../migrations/0001.sql"),
    },
    Migration {
        version: 2,
        works_from: 1,
        sql: include_str!("../migrations/0002.sql"),
    },
    Migration {
        version: 3,
        // Nodes that know of no API keys would serve those who have none.
        works_from: 3,
        sql: include_str!("../migrations/0003.sql"),
    },
    Migration {
        version: 4,
        // Nodes of before take a retry for a request like others.
        works_from: 3,
        sql: include_str!("../migrations/0004.sql"),
    },
    Migration {
        version: 5,
        // Nodes of before find no task that was removed, and say that there is none.
        works_from: 3,
        sql: include_str!("../migrations/0005.sql"),
    },
];

/// How long a migration may take, and be waited for: one that makes an index reads a whole table.
const MIGRATION_TIME_MAX: Duration = Duration::from_secs(3_600);
/// The pause before it asks once more for a table that somebody reads for long.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest schema that this version knows.
pub const SCHEMA_VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

impl Inner {
    /// Brings the schema up to date. Of many nodes that start at once one does, and the others wait for it.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let rules = Rules {
            lock_wait: MIGRATION_TIME_MAX,
            time_max: MIGRATION_TIME_MAX,
            ..Rules::DURABLE
        };
        let mut tries = Tries::default();
        let began = Instant::now();
        loop {
            match self
                .attempt(rules, |session: Arc<Session>| async move {
                    migrate_once(&session).await
                })
                .await
            {
                Ended::Committed(true) => return Ok(()),
                Ended::Committed(false) => {}
                Ended::Failed(failure) if failure.is_lock_wait() && began.elapsed() < MIGRATION_TIME_MAX => {
                    info!(
                        "a table that a migration changes is being read, by a backup or a check; trying again"
                    );
                    tokio::time::sleep(PAUSE).await;
                }
                // Two that make the first table at once: one of them meets it in the making.
                Ended::Failed(failure @ Failure::Database(_)) => tries.again(failure).await?,
                Ended::Failed(failure) => return Err(failure.into()),
                Ended::Unknown(..) => tries.again(Failure::Raced).await?,
            }
        }
    }
}

/// Applies the next migration; true once there is none.
async fn migrate_once(session: &Session) -> Attempt<bool> {
    let found = session
        .query_one("SELECT to_regclass('granary.migration') IS NOT NULL", params![])
        .await?;
    if !found.get::<_, bool>(0) {
        session
            .batch(
                "CREATE SCHEMA IF NOT EXISTS granary;
                 CREATE TABLE granary.migration (
                     version int4 PRIMARY KEY,
                     works_from int4 NOT NULL,
                     applied_at timestamptz NOT NULL DEFAULT now()
                 )",
            )
            .await?;
    }
    let newest = "SELECT coalesce(max(version), 0), coalesce(max(works_from), 0) FROM granary.migration";
    let row = session.query_one(newest, params![]).await?;
    if row.get::<_, i32>(0) < SCHEMA_VERSION {
        // Readers go on; of those who would migrate one gets in.
        session
            .batch("LOCK TABLE granary.migration IN SHARE ROW EXCLUSIVE MODE")
            .await?;
    }
    let row = session.query_one(newest, params![]).await?;
    let (version, works_from): (i32, i32) = (row.get(0), row.get(1));
    if works_from > SCHEMA_VERSION {
        return Err(StoreError::Unavailable(format!(
            "the schema of the database is version {version}, which needs a granary that knows version {works_from}; \
             this one knows {SCHEMA_VERSION}: start a newer granary"
        ))
        .into());
    }
    let Some(migration) = MIGRATIONS.iter().find(|migration| migration.version > version) else {
        return Ok(true);
    };
    session.batch("SET LOCAL lock_timeout = '1s'").await?;
    session.batch(migration.sql).await?;
    session
        .execute_on(
            1,
            "INSERT INTO granary.migration (version, works_from) VALUES ($1, $2)",
            params![migration.version, migration.works_from],
        )
        .await?;
    Ok(false)
}

//! Opening: the format, the database, what a crash left behind, and where each lane goes on.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use fjall::compaction::Leveled;
use fjall::config::{CompressionPolicy, FilterPolicy, PinningPolicy};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use granary_store::{Result, StoreError, StoreLimits};

use crate::catalog::{self, SourceState};
use crate::format::{Folder, OpenError, sync_folder};
use crate::lanes::LaneTable;
use crate::numbered::{self, CommitNumbers};
use crate::numbers::Numbers;
use crate::read::{BlockCache, SEGMENTS_OPEN_MAX};
use crate::rows::{self, SegmentRow, StoreRow};
use crate::runs::{self, Runs};
use crate::segment::{SegmentPaths, segment_of};
use crate::space;
use crate::sync::Syncer;
use crate::{Collection, Inner, Keyspaces, access, collect, engine, io, journal, terminology};

/// Memory for blocks of the database. Small, for the whole server is to stay within its bound.
const CACHE_BYTES: u64 = 40 << 20;
/// Journals that are full, beside the one that is written (64 MiB and what one flush takes), before tables are written so that the
/// oldest can go. A start after a crash reads them all. The least that fjall takes: with four times as much a start took three
/// times as long, and small requests cost as much (measured).
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Files of the database that are kept open.
const DATABASE_FILES_MAX: usize = 256;
/// Files that an open store keeps open. Beside them it opens some for as long as it reads or writes them.
pub const OPEN_FILES_MAX: usize = DATABASE_FILES_MAX + 2 * SEGMENTS_OPEN_MAX;
/// Small memtables win: fewer cache misses and shorter stalls (measured for heads).
const MEMTABLE_BYTES: u64 = 16 << 20;

/// New tables of heads, each of a run or a memtable, before they are merged with the rest. Each costs a look-up a filter,
/// each merge rewrites what overlaps: with 4 a second million of creates took half as much time of the processor again.
const HEADS_TABLES_NEW: u8 = 8;

impl Inner {
    pub(crate) fn open(
        path: &Path,
        limits: StoreLimits,
        runs: Runs,
        collection: Collection,
    ) -> std::result::Result<Self, OpenError> {
        let folder = Folder::open(path)?;
        remove_half_made(&folder).map_err(|error| folder.io(error))?;
        let db = open_database(&folder)?;
        let words = |error| folder.refused(error);
        let keyspaces = Keyspaces::open(&folder, &db).map_err(engine).map_err(words)?;
        let store = store_row(&db, &keyspaces, folder.fresh).map_err(words)?;
        folder.seal()?;
        runs::settle(&folder, &db, &keyspaces).map_err(words)?;
        let commits = CommitNumbers::open(&folder.path, &db, keyspaces.commits.clone()).map_err(words)?;
        let commits = Arc::new(commits);
        let sync = Syncer::start(&db, Arc::clone(&commits)).map_err(words)?;
        let after_all = settle_segments(&folder, &keyspaces).map_err(words)?;
        let numbers = Numbers::load(&keyspaces, after_all).map_err(words)?;
        let terminology = terminology::load(&keyspaces).map_err(words)?;
        let access = access::load(&keyspaces).map_err(words)?;
        let mut inner = Self {
            limits,
            runs,
            sync,
            commits,
            hash_key: store.hash_key,
            next_source: Mutex::new(store.next_source),
            sources: RwLock::new(BTreeMap::new()),
            terminology,
            access,
            lanes: Mutex::new(LaneTable::default()),
            numbers,
            segments: RwLock::new(HashMap::new()),
            blocks: BlockCache::new(),
            spooled: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            retiring: Mutex::default(),
            dead: Mutex::new(space::dead_sources(&keyspaces).map_err(words)?),
            collection: collect::State::new(collection),
            db,
            keyspaces,
            folder,
        };
        let words = |error| inner.folder.refused(error);
        let sources = catalog::load(&inner.keyspaces).map_err(words)?;
        let mut batch = inner.db.batch();
        for state in sources.values() {
            inner.recover_lane(state, &mut batch).map_err(words)?;
        }
        if !batch.is_empty() {
            inner.commit(batch).map_err(words)?;
            // Before any operation can end this process.
            inner.sync.wait(inner.sync.committed()).map_err(words)?;
        }
        inner.sources = RwLock::new(sources);
        Ok(inner)
    }

    /// A lane with unfinished tasks goes on where their cursors stand.
    fn recover_lane(&self, state: &Arc<SourceState>, batch: &mut fjall::OwnedWriteBatch) -> Result<()> {
        let mut writer = crate::lock(&state.writer);
        let latest = self.db.snapshot();
        for sequence in writer.lane.lane_head..writer.lane.lane_next {
            let place = state.lane_task(sequence);
            // One that was cancelled among others that wait stays behind the first, and may have been removed since.
            if self.is_removed(&latest, &place)? {
                continue;
            }
            let task = self.task_row(&latest, &place)?;
            if task.completed_at.is_some() {
                continue;
            }
            if writer.queue.is_empty() {
                self.note_start(batch, place.source, (sequence, task.cursor))?;
            }
            let bytes = self.spec(&latest, &place)?.bytes;
            self.spooled
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            writer.queue.push_back(sequence);
        }
        writer.marks = self.marks(&latest, state.source.number)?;
        if !writer.queue.is_empty() || !writer.marks.is_empty() {
            crate::lock(&self.lanes).wake(state.source.number);
        }
        Ok(())
    }
}

/// Removes a database that a first start had not come to the end of making. Its marker is written last and never again, so
/// nothing was put into one without; the database itself would not go on with what is there.
fn remove_half_made(folder: &Folder) -> std::io::Result<()> {
    let db = folder.path.join("db");
    if !folder.fresh || !db.is_dir() {
        return Ok(());
    }
    let is_whole = match fs::read(db.join("version")) {
        // One that was not synced may be zeros.
        Ok(marker) => marker.iter().any(|byte| *byte != 0),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    match is_whole {
        true => Ok(()),
        false => fs::remove_dir_all(&db),
    }
}

pub(crate) fn open_database(folder: &Folder) -> std::result::Result<Database, OpenError> {
    let path = folder.path.join("db");
    let found = numbered::synced(&folder.path).and_then(|synced| journal::check(&path, synced));
    if let Some(what) = found.map_err(|error| folder.io(error))? {
        return Err(folder.damaged(what));
    }
    let open = || {
        Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .manual_journal_persist(true)
            .worker_threads(2)
            .max_cached_files(Some(DATABASE_FILES_MAX))
            .open()
    };
    // A journal with a flipped bit can fail an assertion of the database.
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
        .map_err(|_| folder.damaged("the database in db/ does not open"))?;
    // A file that is too short, or not there, or no text, has been changed.
    let of_content = |error: &std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => true,
        ErrorKind::NotFound => !folder.fresh,
        _ => false,
    };
    opened.map_err(|error| match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))
            if !of_content(&error) =>
        {
            folder.io(error)
        }
        fjall::Error::Locked => OpenError::InUse(folder.path.clone()),
        other => folder.damaged(format!("the database in db/ does not open ({other})")),
    })
}

impl Keyspaces {
    pub(crate) fn open(folder: &Folder, db: &Database) -> fjall::Result<Self> {
        let plain = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .manual_journal_persist(true)
        };
        // Looked up for every operation: kept at hand, and not compressed.
        let looked_up = || {
            plain()
                .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(HEADS_TABLES_NEW)))
                .filter_block_pinning_policy(PinningPolicy::all(true))
                .index_block_pinning_policy(PinningPolicy::all(true))
                .data_block_compression_policy(CompressionPolicy::disabled())
        };
        // Read by ranges only, or written once: no filters.
        let scanned = || plain().filter_policy(FilterPolicy::disabled());
        sync_keyspaces(folder)?;
        let keyspace = |name, options: &dyn Fn() -> KeyspaceCreateOptions| {
            let is_new = !db.keyspace_exists(name);
            let keyspace = db.keyspace(name, options)?;
            if is_new {
                sync_keyspaces(folder)?;
            }
            Ok::<_, fjall::Error>(keyspace)
        };
        Ok(Self {
            catalog: keyspace("catalog", &plain)?,
            heads: keyspace("heads", &looked_up)?,
            bodies: keyspace("bodies", &plain)?,
            meta: keyspace("meta", &plain)?,
            identifiers: keyspace("identifiers", &scanned)?,
            marks: keyspace("marks", &scanned)?,
            edges: keyspace("edges", &looked_up)?,
            edges_in: keyspace("edges_in", &scanned)?,
            tasks: keyspace("tasks", &plain)?,
            task_ids: keyspace("task_ids", &plain)?,
            lanes: keyspace("lanes", &plain)?,
            spool: keyspace("spool", &scanned)?,
            receipts: keyspace("receipts", &scanned)?,
            segments: keyspace("segments", &plain)?,
            counts: keyspace("counts", &plain)?,
            answers: keyspace("answers", &plain)?,
            answers_by_time: keyspace("answers_by_time", &scanned)?,
            vocabularies: keyspace("vocabularies", &plain)?,
            concepts: keyspace("concepts", &plain)?,
            keys: keyspace("keys", &plain)?,
            // A few kilobytes, written with every commit.
            commits: keyspace("commits", &|| scanned().max_memtable_size(1 << 20))?,
            removed: keyspace("removed", &plain)?,
            trials: keyspace("trials", &plain)?,
        })
    }
}

/// Makes the names of keyspaces durable, as the database does not: it starts without those that are not, and gives a new one the
/// number after those that it finds. Where another had that number, the two change places at a later start. So each new one is
/// durable before the next is made, and those that are found before any.
fn sync_keyspaces(folder: &Folder) -> std::io::Result<()> {
    sync_folder(&folder.path.join("db/keyspaces"))
}

/// The row of the store, made at its first start.
fn store_row(db: &Database, keyspaces: &Keyspaces, fresh: bool) -> Result<StoreRow> {
    if let Some(row) = keyspaces.catalog.get(catalog::STORE_KEY).map_err(engine)? {
        let row: StoreRow = rows::decode(&row, "catalog")?;
        // A first start that was cut off has served nobody, so it has no source.
        if fresh && row.next_source != 1 {
            return Err(StoreError::Damaged("its file FORMAT is missing".into()));
        }
        return Ok(row);
    }
    if !fresh {
        return Err(StoreError::Damaged(
            "the database in db/ is another one, or empty".into(),
        ));
    }
    let mut hash_key = [0; 16];
    getrandom::fill(&mut hash_key).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let row = StoreRow {
        hash_key,
        next_source: 1,
    };
    let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&keyspaces.catalog, catalog::STORE_KEY, rows::encode(&row));
    batch.commit().map_err(engine)?;
    Ok(row)
}

/// Removes the files of segments that no row names, sees that the others are whole, and returns a number
/// that is larger than theirs.
fn settle_segments(folder: &Folder, keyspaces: &Keyspaces) -> Result<u32> {
    let mut next = 1;
    for row in keyspaces.segments.iter() {
        let (key, value) = row.into_inner().map_err(engine)?;
        let key: [u8; 4] = key
            .as_ref()
            .try_into()
            .map_err(|_| StoreError::Damaged("a key of segments".into()))?;
        let segment = u32::from_be_bytes(key);
        let row: SegmentRow = rows::decode(&value, "segments")?;
        let paths = SegmentPaths::new(&folder.segments, segment);
        let files = [
            (&paths.operations, row.operations_bytes),
            (&paths.bodies, row.bodies_bytes),
        ];
        for (path, bytes) in files.into_iter().filter(|(_, bytes)| *bytes > 0) {
            let found = fs::metadata(path).map(|file| file.len());
            if !matches!(found, Ok(length) if length == bytes) {
                let name = path.display();
                return Err(StoreError::Damaged(format!(
                    "{name} is missing or does not have its {bytes} bytes"
                )));
            }
        }
        next = next.max(segment + 1);
    }
    for entry in fs::read_dir(&folder.segments).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let Some(segment) = segment_of(&path) else {
            continue;
        };
        next = next.max(segment + 1);
        let row = keyspaces.segments.get(segment.to_be_bytes()).map_err(engine)?;
        let row: Option<SegmentRow> = row.map(|row| rows::decode(&row, "segments")).transpose()?;
        let of_bodies = path == SegmentPaths::new(&folder.segments, segment).bodies;
        let named = row.is_some_and(|row| match of_bodies {
            true => row.bodies_bytes > 0,
            false => row.operations_bytes > 0,
        });
        if !named {
            fs::remove_file(&path).map_err(io)?;
            tracing::info!(
                file = %path.display(),
                "removed a file of a request that was never accepted, or of bodies that were moved"
            );
        }
    }
    Ok(next)
}

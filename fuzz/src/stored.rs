//! What is read from the disk: the first byte says what it is taken for. It is refused or read, whatever it holds; what is
//! read is written as what reads the same, and is shown without a panic.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use granary_core::keys::ResourceId;
use granary_core::meta::SentMeta;
use granary_core::operation::{Action, ContentHash, Operation, RecordId};
use granary_core::schema::StoredDefinition;
use granary_store::{ReceiptsChunk, TaskProgress, pack, unpack};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::bodies;
use crate::journal::Batches;
use crate::keys;
use crate::redo::{self, Run};
use crate::rows::{
    AnswerRow, CountRow, DefinitionRow, HeadBytes, HeadRow, IdentifiersRow, InlineRow, LaneRow, LineageRow,
    MarkRow, NumberRow, OperationRow, Place, RemovedRow, SegmentRow, SourceRow, SpecRow, StoreRow, TrialRow,
    decode, encode,
};
use crate::segment::{OPERATIONS_PER_BLOCK, Segment, SegmentPaths, SegmentWriter, body_at};

/// The row in these bytes, if it is one; it is written as what reads the same.
fn row<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let row: T = decode(bytes, "these bytes").ok()?;
    let written = encode(&row);
    let again: T = decode(&written, "what was written").expect("what is written is read");
    assert_eq!(encode(&again), written);
    Some(row)
}

fn rows(kind: u8, bytes: &[u8]) {
    match kind {
        0 => drop(row::<StoreRow>(bytes)),
        1 => drop(row::<SourceRow>(bytes).map(|row| row.source(7))),
        2 => {
            if let Some(definition) = row::<DefinitionRow>(bytes) {
                let stored = StoredDefinition::from(definition);
                // The check of a start: what cannot be read names no vocabularies.
                let _ = stored.vocabularies();
                let _ = granary_core::schema::Schema::compile(std::slice::from_ref(&stored));
                let again = StoredDefinition::from(
                    row::<DefinitionRow>(&encode(&DefinitionRow::from(&stored))).expect("a row"),
                );
                assert_eq!(again, stored);
            }
        }
        3 => {
            if let Some(row) = row::<HeadRow>(bytes) {
                assert_eq!(*HeadBytes::of(&row), *encode(&row));
                let head = row.head();
                assert_eq!(HeadRow::new(&head, row.place).head(), head, "a head is kept");
            }
        }
        4 => drop(row::<IdentifiersRow>(bytes)),
        5 => drop(row::<MarkRow>(bytes)),
        6 => drop(row::<LaneRow>(bytes)),
        7 => drop(row::<SpecRow>(bytes)),
        8 => drop(row::<OperationRow>(bytes)),
        9 => drop(row::<InlineRow>(bytes)),
        10 => drop(row::<SegmentRow>(bytes)),
        11 => drop(row::<CountRow>(bytes).map(|row| (row.live_bytes(), row.is_partly_dead()))),
        12 => drop(row::<SentMeta>(bytes).map(|meta| meta.bytes())),
        13 => {
            if let Some(progress) = row::<TaskProgress>(bytes) {
                let stored = progress.stored(1, 2, Arc::from([]));
                let _ = (stored.task.revision(), stored.task.outcome(), progress.ended());
            }
        }
        14 => {
            receipts(ReceiptsChunk::decompressed(bytes).ok());
            receipts(ReceiptsChunk::decompressed(&pack(bytes)).ok());
        }
        15 => {
            let _ = unpack(bytes, "these bytes");
            let checked = [&xxh3_64(bytes).to_le_bytes(), bytes].concat();
            let _ = unpack(&checked, "these bytes");
            assert_eq!(
                unpack(&pack(bytes), "what was packed").as_deref().ok(),
                Some(bytes)
            );
        }
        16 => names(bytes),
        17 => written_segment(bytes),
        18 => damaged_segment(bytes),
        19 => drop(row::<RemovedRow>(bytes)),
        20 => drop(row::<LineageRow>(bytes)),
        21 => drop(row::<AnswerRow>(bytes)),
        22 => any_journal(bytes),
        23 => written_journal(bytes),
        24 => drop(row::<TrialRow>(bytes)),
        25 => any_run(bytes),
        _ => written_run(bytes),
    }
}

fn receipts(chunk: Option<ReceiptsChunk>) {
    let Some(chunk) = chunk else { return };
    for place in (0..chunk.count.min(40)).chain([chunk.count.saturating_sub(1), chunk.count, u32::MAX]) {
        let decided = chunk.decided(place);
        assert!(place < chunk.count || matches!(decided, Ok(None)));
    }
    let again = ReceiptsChunk::decompressed(&chunk.compressed());
    assert_eq!(again.ok(), Some(chunk));
}

/// Whatever a journal holds, it is read to an end.
fn any_journal(bytes: &[u8]) {
    let mut batches = Batches::of(bytes);
    let mut at = None;
    while let Some(batch) = batches.next().expect("memory is read") {
        assert!(at < Some(batch.at) && batch.at < bytes.len() as u64);
        at = Some(batch.at);
    }
}

/// A batch as fjall 3 writes it, whose items are lines of the input, and the last the number of a commit: it is read as it was
/// written, and not where a bit of its items has changed.
fn written_journal(bytes: &[u8]) {
    let Some((numbers, lines)) = bytes.split_first_chunk::<20>() else {
        return;
    };
    let number = |at: usize| u64::from_le_bytes(numbers[at..at + 8].try_into().expect("eight bytes"));
    let row = NumberRow {
        number: number(0),
        not_before: number(8),
    };
    let flipped = u32::from_le_bytes(numbers[16..].try_into().expect("four bytes")) as usize;
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    let value = row.value();
    let items = lines
        .iter()
        .map(|line| (*line, &b""[..]))
        .chain([(NumberRow::KEY, &value[..])]);
    let mut written = Vec::new();
    for (key, value) in items {
        // An item, a value, not compressed, of keyspace 7.
        written.extend([2, 0, 0]);
        written.extend(7_u64.to_le_bytes());
        written.extend((key.len() as u16).to_le_bytes());
        written.extend((value.len() as u32).to_le_bytes());
        written.extend((value.len() as u32).to_le_bytes());
        written.extend([key, value].concat());
    }
    let batch = |items: &[u8]| {
        let mut batch = vec![1];
        batch.extend((lines.len() as u32 + 1).to_le_bytes());
        batch.extend(number(8).to_le_bytes());
        batch.extend(items);
        batch.push(3);
        batch.extend(xxh3_64(&written).to_le_bytes());
        batch.extend(b"FJL\x03");
        batch
    };
    let good = batch(&written);
    let two = [good.clone(), good].concat();
    let mut batches = Batches::of(&two[..]);
    for at in [0, two.len() as u64 / 2] {
        let batch = batches.next().expect("memory is read").expect("a batch");
        assert_eq!((batch.at, batch.seqno, batch.row), (at, number(8), Some(row)));
    }
    assert!(batches.next().expect("memory is read").is_none());
    let mut changed = written.clone();
    let bit = flipped % (changed.len() * 8);
    changed[bit / 8] ^= 1 << (bit % 8);
    let changed = batch(&changed);
    assert!(
        Batches::of(&changed[..])
            .next()
            .expect("memory is read")
            .is_none()
    );
}

/// Whatever a redo file holds, it is refused, or is a run that is written as the same bytes.
fn any_run(bytes: &[u8]) {
    let mut again = Run::default();
    let mut push = |key: &[u8], row: Option<&[u8]>| {
        again.push(key, row);
        Ok(())
    };
    if redo::each(bytes, &mut push).is_ok() {
        assert_eq!(again.bytes(), bytes);
        assert_eq!(again.checksum(), redo::checksum(bytes));
    }
}

/// A run whose keys and rows are lines of the input, in turn: it is read as it was written, and refused where it is cut off.
fn written_run(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let heads: Vec<(&[u8], Option<&[u8]>)> = lines
        .chunks(2)
        .map(|head| (head[0], head.get(1).copied().filter(|row| !row.is_empty())))
        .collect();
    let mut run = Run::default();
    heads.iter().for_each(|(key, row)| run.push(key, *row));
    assert_eq!(run.count(), heads.len());
    let mut read = Vec::new();
    let whole = redo::each(run.bytes(), |key, row| {
        read.push((key.to_vec(), row.map(<[u8]>::to_vec)));
        Ok(())
    });
    whole.expect("what is written is read");
    let equal = |(read, written): (&(Vec<u8>, Option<Vec<u8>>), &(&[u8], Option<&[u8]>))| {
        read.0 == written.0 && read.1.as_deref() == written.1
    };
    assert!(read.len() == heads.len() && read.iter().zip(&heads).all(equal));
    let cut = &run.bytes()[..run.bytes().len() - 1];
    assert!(redo::each(cut, |_, _| Ok(())).is_err());
}

/// Keys of keyspaces.
fn names(key: &[u8]) {
    let _ = (
        keys::last_number(key),
        keys::type_number(key),
        keys::identified_id(key),
        keys::counted_segment(key),
    );
    let _ = (keys::behind(key), keys::TaskPlace::of_part(key));
    if let Some(RecordId::Resource(id)) = keys::resource_id(key) {
        assert_eq!(&keys::resource(0, 0, &id)[8..], &key[8..]);
    }
    if let Some((near, far)) = keys::edge_ends(key) {
        assert_eq!(&keys::edge(0, 0, &near, &far)[8..], &key[8..]);
        let mirror = keys::edge_mirror(key).expect("an edge has a mirror");
        assert_eq!(keys::edge_ends(&mirror), Some((far, near)));
        assert_eq!(keys::edge_mirror(&mirror).as_deref(), Some(key));
    }
}

/// A folder of this process.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let folder = place.join(format!("granary-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
});

/// Takes the files of the segment away when it goes, and the folder with them.
struct Files(SegmentPaths);

impl Files {
    fn new() -> Self {
        fs::create_dir_all(&*FOLDER).expect("a folder");
        Self(SegmentPaths::new(&FOLDER, 7))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.0.remove().expect("the files go");
        let _ = fs::remove_dir(&*FOLDER);
    }
}

/// Operations whose bodies are lines of the input, written and read.
fn written_segment(bytes: &[u8]) {
    let files = Files::new();
    let bodies: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let operation = |at: usize, body: &[u8]| Operation {
        action: Action::Create,
        type_index: body.len() as u32,
        id: RecordId::Resource(ResourceId::parse(&format!("id-{at}")).expect("an id")),
        hash: Some(ContentHash([at as u8; 16])),
        meta: None,
    };
    let mut writer = SegmentWriter::create(&FOLDER, 7).expect("it is created");
    for (at, body) in bodies.iter().enumerate() {
        writer.push(operation(at, body), body).expect("it is written");
    }
    let mut finished = writer.finish().expect("it ends");
    finished.keep();
    let on_disk =
        [&files.0.operations, &files.0.bodies].map(|path| fs::metadata(path).expect("a file").len());
    assert_eq!(finished.bytes(), on_disk.iter().sum::<u64>());
    let segment = Segment::open(&FOLDER, 7);
    assert_eq!(segment.count().ok(), Some(bodies.len() as u64));
    for (at, body) in bodies.iter().enumerate() {
        let rows = segment
            .operations(at as u64 / OPERATIONS_PER_BLOCK)
            .expect("a block");
        let row = &rows[at % OPERATIONS_PER_BLOCK as usize];
        assert_eq!(row.operation, operation(at, body));
        match row.place {
            Place::Segment { block, offset, .. } => {
                let block = segment.bodies(block).expect("a block");
                assert_eq!(body_at(&block, offset), Some(*body));
            }
            place => assert!(place == Place::Nowhere && body.is_empty()),
        }
    }
}

/// Files with the right headers and checksums, and in them anything.
fn damaged_segment(bytes: &[u8]) {
    let Some((numbers, rest)) = bytes.split_first_chunk::<16>() else {
        return;
    };
    let files = Files::new();
    let number = |at: usize| u64::from_le_bytes(numbers[at..at + 8].try_into().expect("eight bytes"));
    let (offset, count) = (number(0), number(8) % (4 * OPERATIONS_PER_BLOCK));
    let full_length = u32::from_le_bytes(numbers[..4].try_into().expect("four bytes")) as usize;
    let write = |path, magic, length, end: &[u8]| {
        let mut file = bodies::create(path, magic, 7).expect("it is created");
        bodies::write_block(&mut file, rest, length).expect("it is written");
        std::io::Write::write_all(&mut file, end).expect("it is written");
        std::io::Write::flush(&mut file).expect("it is written");
    };
    write(&files.0.bodies, b"granbody", full_length, b"");
    let blocks = count.div_ceil(OPERATIONS_PER_BLOCK);
    // The first block is where it is, the others are anywhere.
    let offsets = (0..blocks).map(|block| if block == 0 { 16 } else { offset });
    let mut index: Vec<u8> = offsets.chain([count]).flat_map(u64::to_le_bytes).collect();
    index.extend(xxh3_64(&index).to_le_bytes());
    index.extend(b"granoper");
    write(&files.0.operations, b"granoper", rest.len(), &index);
    let segment = Segment::open(&FOLDER, 7);
    assert_eq!(segment.count().ok(), Some(count));
    for block in [0, 1, count, u64::MAX] {
        if let Ok(rows) = segment.operations(block) {
            assert!(rows.len() as u64 <= OPERATIONS_PER_BLOCK);
        }
    }
    for offset in [16, offset as u32, 0, u32::MAX] {
        if let Ok(block) = segment.bodies(offset) {
            let _ = (
                body_at(&block, offset),
                body_at(&block, 0),
                body_at(&block, u32::MAX),
            );
        }
    }
}

pub fn run(input: &[u8]) {
    if let Some((kind, bytes)) = input.split_first() {
        rows(kind % 27, bytes);
    }
}

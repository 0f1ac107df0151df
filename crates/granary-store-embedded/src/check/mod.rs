//! The check of a whole folder: that what is stored more than once agrees, that what has a checksum fits it, that what is
//! counted is there. It changes no record, and needs the folder for itself. It opens the database as a start does, which cuts
//! a torn end of the journal off, may flush and merge, and makes keyspaces that an older folder lacks: where evidence is to be
//! kept, a copy is checked.
//!
//! `records.rs` looks at heads, edges and all that belongs to them, `tasks.rs` at tasks with their receipts and operations;
//! here are the files, the catalog and the vocabularies.

mod records;
mod tasks;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fjall::Keyspace;
use granary_core::keys::ConceptCode;
use granary_core::operation::{TypeNumber, TypeRef};
use granary_core::schema::Schema;
use granary_core::terminology::code_bytes;
use granary_store::{CheckReport, CheckRules, Result, StoreError};

use crate::catalog::{STORE_KEY, definitions_of, lane_row, source_key, source_numbers};
use crate::format::{FORMAT_FILE, Folder, OpenError};
use crate::open::open_database;
use crate::rows::{self, DefinitionRow, SegmentRow, SourceRow, StoreRow};
use crate::runs::{self, Of};
use crate::segment::{Segment, SegmentPaths, segment_of};
use crate::terminology;
use crate::{EmbeddedStore, Keyspaces, engine, numbered};

/// A source as it is checked.
struct Source {
    number: u32,
    key: String,
    types: BTreeMap<TypeNumber, TypeRef>,
}

struct Checking<'a> {
    folder: &'a Folder,
    keyspaces: &'a Keyspaces,
    hash_key: [u8; 16],
    rules: CheckRules,
    report: CheckReport,
}

impl EmbeddedStore {
    /// Checks the store in `folder`, which nobody may have open. What is wrong with it is in the report; an error says why
    /// it could not be looked at.
    pub fn check(folder: &Path, rules: CheckRules) -> std::result::Result<CheckReport, OpenError> {
        // A folder that is opened is made where there is none.
        if !folder.join(FORMAT_FILE).is_file() {
            return Err(match folder.is_dir() {
                true => OpenError::Foreign(folder.to_owned()),
                false => OpenError::Io {
                    folder: folder.to_owned(),
                    error: std::io::ErrorKind::NotFound.into(),
                },
            });
        }
        let folder = match Folder::open(folder) {
            Ok(folder) => folder,
            Err(error) => return damage(error),
        };
        let opened = open_database(&folder).and_then(|db| {
            let keyspaces = Keyspaces::open(&folder, &db).map_err(|error| folder.refused(engine(error)))?;
            Ok((db, keyspaces))
        });
        match opened {
            // The database is open for as long as it is looked at.
            Ok((_db, keyspaces)) => check(&folder, &keyspaces, rules),
            Err(error) => damage(error),
        }
    }
}

/// A folder that does not open because it is damaged is a finding.
fn damage(error: OpenError) -> std::result::Result<CheckReport, OpenError> {
    match error {
        OpenError::Damaged { what, .. } => {
            let mut report = CheckReport::default();
            report.found(what, CheckReport::RESTORE);
            Ok(report)
        }
        other => Err(other),
    }
}

fn check(
    folder: &Folder,
    keyspaces: &Keyspaces,
    rules: CheckRules,
) -> std::result::Result<CheckReport, OpenError> {
    let mut checking = Checking {
        folder,
        keyspaces,
        hash_key: [0; 16],
        rules,
        report: CheckReport::default(),
    };
    let synced = numbered::synced(&folder.path).map_err(|error| folder.io(error))?;
    if let Err(error) = numbered::last(&keyspaces.commits, synced) {
        checking.report.found(error.to_string(), CheckReport::RESTORE);
    }
    let catalog = checking.catalog();
    let sources = match catalog {
        Ok(sources) => sources,
        Err(error) => {
            checking.report.found(error.to_string(), CheckReport::RESTORE);
            Vec::new()
        }
    };
    for source in &sources {
        if checking.is_unsettled(source) {
            return Err(OpenError::Unsettled(folder.path.clone()));
        }
    }
    checking.segments();
    for source in &sources {
        checking.records(source);
        checking.tasks(source);
    }
    checking.vocabularies();
    Ok(checking.report)
}

impl Checking<'_> {
    /// Walks over the rows whose keys start so. What cannot be read is a finding, and the end of the walk.
    fn walk(
        &mut self,
        name: &'static str,
        keyspace: &Keyspace,
        prefix: &[u8],
        mut each: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<()>,
    ) {
        let mut last = Vec::new();
        // A damaged table may fail an assertion of the database.
        let walked = catch_unwind(AssertUnwindSafe(|| {
            for row in keyspace.prefix(prefix) {
                let (key, value) = row.into_inner().map_err(engine)?;
                last = key.to_vec();
                if let Err(error) = each(self, &key, &value) {
                    let what = format!("{name}, key {}: {}", shown(&key), words(&error));
                    self.report.found(what, CheckReport::REBUILD);
                }
            }
            Ok::<_, StoreError>(())
        }));
        let why = match walked {
            Ok(Ok(())) => return,
            Ok(Err(error)) => words(&error),
            Err(_) => "a table of it is broken".to_owned(),
        };
        let what = format!(
            "{name} in db/ cannot be read behind the key {}: {why}",
            shown(&last)
        );
        self.report.found(what, CheckReport::RESTORE);
    }

    /// The sources, with their definitions.
    fn catalog(&mut self) -> Result<Vec<Source>> {
        let catalog = &self.keyspaces.catalog;
        let row = catalog.get(STORE_KEY).map_err(engine)?;
        let row = row.ok_or_else(|| StoreError::Damaged("the row of the store is missing in db/".into()))?;
        self.hash_key = rows::decode::<StoreRow>(&row, "catalog")?.hash_key;
        let mut sources = Vec::new();
        for number in source_numbers(self.keyspaces)? {
            let row = catalog
                .get(source_key(number))
                .map_err(engine)?
                .unwrap_or_default();
            let key = rows::decode::<SourceRow>(&row, "catalog")?.key.to_string();
            let mut definitions = Vec::new();
            self.walk("catalog", catalog, &definitions_of(number), |_, _, value| {
                let row: DefinitionRow = rows::decode(value, "catalog")?;
                definitions.push(row.into());
                Ok(())
            });
            self.report.looked_at("definitions", definitions.len() as u64);
            let types = match Schema::compile(&definitions) {
                Ok(schema) => schema.types().iter().map(|of| (of.number, of.clone())).collect(),
                Err(error) => {
                    let what = format!("source '{key}': {}", error.message);
                    self.report.found(what, CheckReport::RESTORE);
                    BTreeMap::new()
                }
            };
            sources.push(Source { number, key, types });
        }
        self.report.looked_at("sources", sources.len() as u64);
        Ok(sources)
    }

    /// True where a run that has happened is not in its trees yet.
    fn is_unsettled(&mut self, source: &Source) -> bool {
        match lane_row(self.keyspaces, source.number) {
            Ok(lane) => lane.redo.is_some_and(|checksum| {
                let file = |of| runs::path(self.folder, source.number, of, checksum);
                [Of::Heads, Of::Edges].into_iter().any(|of| file(of).exists())
            }),
            Err(error) => {
                let what = format!("source '{}': {}", source.key, words(&error));
                self.report.found(what, CheckReport::RESTORE);
                false
            }
        }
    }

    /// Each segment that a row names: its files are there, as long as they were, and all of their blocks fit their
    /// checksums.
    fn segments(&mut self) {
        let keyspace = &self.keyspaces.segments;
        let folder = &self.folder.segments;
        self.walk("segments", keyspace, &[], |checking, key, value| {
            let number = <[u8; 4]>::try_from(key).map(u32::from_be_bytes);
            let number = number.map_err(|_| StoreError::Damaged("a key that is none".into()))?;
            let row: SegmentRow = rows::decode(value, "segments")?;
            let paths = SegmentPaths::new(folder, number);
            let files = [
                (&paths.operations, row.operations_bytes),
                (&paths.bodies, row.bodies_bytes),
            ];
            let mut are_there = true;
            for (path, bytes) in files.into_iter().filter(|(_, bytes)| *bytes > 0) {
                let found = fs::metadata(path).map(|file| file.len());
                if !matches!(found, Ok(length) if length == bytes) {
                    are_there = false;
                    let what = format!("{} is missing or does not have its {bytes} bytes", path.display());
                    checking.report.found(what, CheckReport::RESTORE);
                }
            }
            checking.report.looked_at("segments", 1);
            if are_there {
                match Segment::open(folder, number).check(&row) {
                    Ok(blocks) => checking.report.looked_at("blocks of segments", blocks),
                    Err(wrong) => {
                        for error in wrong {
                            let what = format!(
                                "{}: {}",
                                paths.bodies.with_extension("*").display(),
                                words(&error)
                            );
                            checking.report.found(what, CheckReport::RESTORE);
                        }
                    }
                }
            }
            Ok(())
        });
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let unnamed = files.filter(|file| {
            let named = segment_of(&file.path()).map(|number| keyspace.get(number.to_be_bytes()));
            matches!(named, Some(Ok(None)))
        });
        let unnamed = unnamed.count() as u64;
        if unnamed > 0 {
            self.report
                .looked_at("files that the next start removes", unnamed);
        }
    }

    /// Each vocabulary has as many concepts as it says.
    fn vocabularies(&mut self) {
        let heads = match terminology::load(self.keyspaces) {
            Ok(state) => state.heads(),
            Err(error) => return self.report.found(words(&error), CheckReport::RESTORE),
        };
        for (key, head) in heads.iter() {
            let (mut concepts, mut bytes) = (0, 0);
            let keyspace = &self.keyspaces.concepts;
            self.walk("concepts", keyspace, &head.number.to_be_bytes(), |_, key, _| {
                let code = key.get(4..).and_then(|code| std::str::from_utf8(code).ok());
                let code = code.and_then(|code| ConceptCode::parse(code).ok());
                let code = code.ok_or_else(|| StoreError::Damaged("a key that is none".into()))?;
                concepts += 1;
                bytes += code_bytes(&code);
                Ok(())
            });
            self.report.looked_at("concepts", concepts);
            if (concepts, bytes) != (head.concepts, head.code_bytes) {
                let what = format!(
                    "vocabulary '{key}' says it has {} concepts ({} bytes) and has {concepts} ({bytes} bytes)",
                    head.concepts, head.code_bytes
                );
                let remedy = "delete a concept and create it again once all that uses it is stopped; else restore a copy";
                self.report.found(what, remedy);
            }
        }
        self.report.looked_at("vocabularies", heads.len() as u64);
    }
}

/// What an error says, without that it is one.
fn words(error: &StoreError) -> String {
    match error {
        StoreError::Damaged(what) | StoreError::Unavailable(what) => what.clone(),
        other => other.to_string(),
    }
}

/// A key as it can be read: letters, digits and dashes as they are.
fn shown(key: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    key.iter()
        .map(|byte| match *byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("\\x{byte:02x}"),
        })
        .collect()
}

//! A disk that loses its power: what was synced of files and folders, what was not, and the folders that a start may
//! find.
//!
//! Only what the calls promise is durable. The content of a file, its length included, is durable as it was when its last
//! sync began; its name once the folder was synced that holds it. All else is *pending*, and may be on the disk or not, in
//! any order: writes by sectors, names one by one, but a rename as one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A file or a folder, whatever it is called. The first is the folder that holds all.
pub(super) type Inode = usize;

/// The folder that holds all, which is durable.
pub(super) const ROOT: Inode = 0;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const PAGE: usize = 4_096;

/// What happens to a disk.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A new file or folder, with the next number of an inode.
    Made {
        folder: Inode,
        name: String,
        is_folder: bool,
    },
    /// A file or folder has another name, and what had that name has none.
    Renamed {
        from: (Inode, String),
        to: (Inode, String),
    },
    /// A name is gone.
    Removed { folder: Inode, name: String },
    /// Bytes of a file.
    Wrote {
        file: Inode,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    /// The length of a file was set.
    Resized { file: Inode, length: u64 },
    /// A sync, with a number of its own: it covers what was done before.
    SyncBegan { sync: usize, of: Inode },
    /// It has come to its end.
    SyncEnded { sync: usize },
}

/// What of the pending is on the disk when it is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Nothing.
    Lost,
    /// Names, but no content: files are as short as they were.
    Names,
    /// Names and lengths: what was not synced is zeros.
    Lengths,
    /// Some sectors and some names, by chance.
    Some(u64),
    /// All, as where a process dies and the system does not.
    Kept,
}

impl Event {
    /// What happened, in a word.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Made { .. } => "made",
            Self::Renamed { .. } => "renamed",
            Self::Removed { .. } => "removed",
            Self::Wrote { .. } => "wrote",
            Self::Resized { .. } => "resized",
            Self::SyncBegan { .. } => "began to sync",
            Self::SyncEnded { .. } => "synced",
        }
    }
}

/// Bytes of a file; pages that were never written are zeros.
#[derive(Clone, Default)]
struct Content {
    length: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

#[derive(Clone)]
enum Change {
    Bytes { offset: u64, bytes: Arc<[u8]> },
    Length(u64),
}

type Names = BTreeMap<String, Inode>;

/// A change of names that is pending: one that is made, that goes, or both at once.
#[derive(Clone)]
struct Naming {
    from: Option<(Inode, String)>,
    to: Option<(Inode, String)>,
    inode: Inode,
}

#[derive(Default)]
struct Node {
    is_folder: bool,
    /// The names in a folder that are durable, and those that whoever asks now is told.
    durable: Names,
    now: Names,
    /// What of a file is durable, and what is not yet. Changes are numbered; this many came before the first of these.
    content: Content,
    changes: Vec<Change>,
    covered: usize,
}

/// What a sync covers: what was pending when it began.
struct Sync {
    of: Inode,
    namings: Vec<usize>,
    /// Changes of the file with smaller numbers.
    changes: usize,
}

/// The disk after some events.
pub(super) struct Disk {
    nodes: Vec<Node>,
    /// In their order.
    namings: BTreeMap<usize, Naming>,
    next_naming: usize,
    syncs: HashMap<usize, Sync>,
}

impl Content {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = (at % PAGE as u64) as usize;
            let (here, after) = rest.split_at(rest.len().min(PAGE - start));
            let page = self.pages.entry(at / PAGE as u64);
            let page = Arc::make_mut(page.or_insert_with(|| Arc::new([0; PAGE])));
            page[start..start + here.len()].copy_from_slice(here);
            at += here.len() as u64;
            rest = after;
        }
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    fn resize(&mut self, length: u64) {
        if length < self.length {
            let (last, kept) = (length / PAGE as u64, (length % PAGE as u64) as usize);
            self.pages.retain(|page, _| *page <= last);
            if let Some(page) = self.pages.get_mut(&last) {
                Arc::make_mut(page)[kept..].fill(0);
            }
        }
        self.length = length;
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Bytes { offset, bytes } => self.write(*offset, bytes),
            Change::Length(length) => self.resize(*length),
        }
    }

    /// Writes it to a new file, with holes where nothing is.
    fn write_to(&self, path: &Path) -> io::Result<()> {
        let file = File::create_new(path)?;
        for (page, bytes) in &self.pages {
            let at = page * PAGE as u64;
            let length = (self.length - at).min(PAGE as u64) as usize;
            file.write_all_at(&bytes[..length], at)?;
        }
        file.set_len(self.length)
    }
}

impl Change {
    /// The length of a file of this length, once it has happened.
    fn length(&self, before: u64) -> u64 {
        match self {
            Self::Bytes { offset, bytes } => before.max(offset + bytes.len() as u64),
            Self::Length(length) => *length,
        }
    }
}

impl Naming {
    /// Does it to the names of all folders.
    fn change<Folder>(&self, folders: &mut [Folder], names: impl Fn(&mut Folder) -> &mut Names) {
        if let Some((folder, name)) = &self.from {
            let names = names(&mut folders[*folder]);
            if names.get(name) == Some(&self.inode) {
                names.remove(name);
            }
        }
        if let Some((folder, name)) = &self.to {
            names(&mut folders[*folder]).insert(name.clone(), self.inode);
        }
    }

    fn is_in(&self, folder: Inode) -> bool {
        let places = [&self.from, &self.to];
        places.into_iter().flatten().any(|(place, _)| *place == folder)
    }
}

impl Disk {
    pub(super) fn new() -> Self {
        let root = Node {
            is_folder: true,
            ..Node::default()
        };
        Self {
            nodes: vec![root],
            namings: BTreeMap::new(),
            next_naming: 0,
            syncs: HashMap::new(),
        }
    }

    /// Lets an event happen.
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Made {
                folder,
                name,
                is_folder,
            } => {
                let inode = self.nodes.len();
                self.nodes.push(Node {
                    is_folder: *is_folder,
                    ..Node::default()
                });
                self.name(None, Some((*folder, name.clone())), inode);
            }
            Event::Renamed { from, to } => {
                let inode = self.nodes[from.0].now[&from.1];
                self.name(Some(from.clone()), Some(to.clone()), inode);
            }
            Event::Removed { folder, name } => {
                let inode = self.nodes[*folder].now[name];
                self.name(Some((*folder, name.clone())), None, inode);
            }
            Event::Wrote { file, offset, bytes } => self.nodes[*file].changes.push(Change::Bytes {
                offset: *offset,
                bytes: Arc::clone(bytes),
            }),
            Event::Resized { file, length } => self.nodes[*file].changes.push(Change::Length(*length)),
            Event::SyncBegan { sync, of } => {
                let namings = self.namings.iter().filter(|(_, naming)| naming.is_in(*of));
                let node = &self.nodes[*of];
                let began = Sync {
                    of: *of,
                    namings: namings.map(|(number, _)| *number).collect(),
                    changes: node.covered + node.changes.len(),
                };
                self.syncs.insert(*sync, began);
            }
            Event::SyncEnded { sync } => self.end_sync(*sync),
        }
    }

    fn name(&mut self, from: Option<(Inode, String)>, to: Option<(Inode, String)>, inode: Inode) {
        let naming = Naming { from, to, inode };
        naming.change(&mut self.nodes, |node| &mut node.now);
        self.namings.insert(self.next_naming, naming);
        self.next_naming += 1;
    }

    fn end_sync(&mut self, sync: usize) {
        let Some(sync) = self.syncs.remove(&sync) else {
            return;
        };
        for number in sync.namings {
            // Another sync, which ran beside, may have covered it.
            if let Some(naming) = self.namings.remove(&number) {
                naming.change(&mut self.nodes, |node| &mut node.durable);
            }
        }
        let node = &mut self.nodes[sync.of];
        let new = sync.changes.saturating_sub(node.covered);
        for change in node.changes.drain(..new) {
            node.content.change(&change);
        }
        node.covered += new;
    }

    /// Writes what may be there after the power was cut now into an empty folder.
    pub(super) fn write_to(&self, folder: &Path, pending: Pending) -> io::Result<()> {
        let mut rng = StdRng::seed_from_u64(match pending {
            Pending::Some(seed) => seed,
            _ => 0,
        });
        let mut names: Vec<Names> = self.nodes.iter().map(|node| node.durable.clone()).collect();
        // Some disks keep nearly all, others nearly nothing.
        let share = rng.random_range(0.05..0.95);
        for naming in self.namings.values() {
            let happens = match pending {
                Pending::Lost => false,
                Pending::Names | Pending::Lengths | Pending::Kept => true,
                Pending::Some(_) => rng.random_bool(share),
            };
            if happens {
                naming.change(&mut names, |names| names);
            }
        }
        let mut folders = vec![(ROOT, folder.to_owned())];
        while let Some((inode, path)) = folders.pop() {
            for (name, inode) in &names[inode] {
                let path = path.join(name);
                let node = &self.nodes[*inode];
                if node.is_folder {
                    fs::create_dir(&path)?;
                    folders.push((*inode, path));
                } else {
                    node.content_with(pending, share, &mut rng).write_to(&path)?;
                }
            }
        }
        Ok(())
    }
}

impl Node {
    /// What may be in a file.
    fn content_with(&self, pending: Pending, share: f64, rng: &mut StdRng) -> Content {
        let mut content = self.content.clone();
        match pending {
            Pending::Lost | Pending::Names => {}
            Pending::Kept => self.changes.iter().for_each(|change| content.change(change)),
            Pending::Lengths => {
                for change in &self.changes {
                    let length = change.length(content.length);
                    content.resize(length);
                }
            }
            Pending::Some(_) => {
                let changes = self.changes.iter();
                let now = changes.fold(content.length, |length, change| change.length(length));
                for change in &self.changes {
                    match change {
                        Change::Length(length) if rng.random_bool(share) => content.resize(*length),
                        Change::Length(_) => {}
                        Change::Bytes { offset, bytes } => {
                            let mut at = 0;
                            while at < bytes.len() {
                                let place = (*offset + at as u64) as usize;
                                let end = (at + SECTOR - place % SECTOR).min(bytes.len());
                                if rng.random_bool(share) {
                                    content.write(place as u64, &bytes[at..end]);
                                }
                                at = end;
                            }
                        }
                    }
                }
                // The length may be on the disk and nothing of what is there.
                if now > content.length && rng.random_bool(0.5) {
                    content.resize(now);
                }
            }
        }
        content
    }
}

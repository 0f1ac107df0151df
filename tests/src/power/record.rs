//! What a server did to its disk: the calls that strace saw, as events of a disk.
//!
//! Calls overlap, and strace tells when each began and ended. A change is one when it has ended, and a sync covers what had
//! ended before it began. A call that touches the folder and is not known here is an error: a record that is not whole
//! proves nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::disk::{Event, Inode, ROOT};
use super::trace::{Call, Line, Reader, Told, escaped};

/// Calls that are not recorded: they come often, and change no file.
const NOT_TRACED: &str = "!readv,pread64,preadv,futex,epoll_wait,epoll_pwait,epoll_ctl,recvfrom,recvmsg,sendto,sendmsg,\
    madvise,munmap,mprotect,brk,sched_yield,clock_nanosleep,nanosleep,rt_sigprocmask,rt_sigaction,sigaltstack,getrandom,\
    clone,clone3,set_robust_list,rseq,gettid,getpid,prctl,exit,poll,ppoll,statx,newfstatat,fstat,getdents64,flock,getcwd,\
    readlink,access,faccessat,faccessat2,statfs,execve,sched_getaffinity,tgkill,restart_syscall";
/// More than is written in one call.
const BYTES_MAX: usize = 16 << 20;

/// The call that syncs the journal, and some files.
pub(super) const SYNC_OF_JOURNAL: &str = "fdatasync";

/// What traces a server, as words before its command line. Syncs of the journal take so much longer than the disk needs.
pub(super) fn tracer(to: &Path, sync_delay: Duration) -> Vec<String> {
    let bytes_max = BYTES_MAX.to_string();
    let to = to.display().to_string();
    let words = [
        "strace",
        // The server stays the child of who starts it.
        "-D",
        "-f",
        "--seccomp-bpf",
        "-ttt",
        // And how long each call took.
        "-T",
        // Paths of descriptors, and all strings in hexadecimal digits.
        "-y",
        "-xx",
        "-s",
        &bytes_max,
        // What was read is of no interest, but how much.
        "-e",
        "raw=read",
        "-e",
        &format!("trace={NOT_TRACED}"),
        "-e",
        &format!("inject={SYNC_OF_JOURNAL}:delay_enter={}", sync_delay.as_micros()),
        "-o",
        &to,
        "--",
    ];
    words.map(str::to_owned).to_vec()
}

/// An event, with what there is to say of it.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) event: Event,
    /// When it was seen, in microseconds of the clock of the system: what came before had been done by then. 0 for what
    /// was there before.
    pub(super) at: u64,
    /// Its path in the folder.
    pub(super) path: String,
}

/// An open file or folder. Descriptors that are copies share one.
struct Open {
    inode: Inode,
    offset: u64,
    appends: bool,
}

struct Entry {
    path: String,
    length: u64,
    is_folder: bool,
}

/// Makes events of calls.
pub(super) struct Recorder {
    root: String,
    escaped_root: String,
    events: Vec<Recorded>,
    /// By their numbers.
    inodes: Vec<Entry>,
    names: HashMap<String, Inode>,
    open: HashMap<i64, Rc<RefCell<Open>>>,
    /// For each thread the sync that it waits for.
    syncing: HashMap<u32, usize>,
    syncs: usize,
}

/// True once strace has written all of this process.
pub(super) fn is_ended(trace: &Path, process: u32) -> Result<bool> {
    /// More than the last line, which tells the end.
    const TAIL: u64 = 512;
    let mut file = File::open(trace)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let last = tail
        .trim_end_matches('\n')
        .rsplit('\n')
        .next()
        .unwrap_or_default();
    let is_of_process = last.split(' ').next() == Some(&process.to_string());
    Ok(tail.ends_with('\n') && is_of_process && last.contains(" +++ "))
}

impl Recorder {
    /// A folder as it is, which is durable.
    pub(super) fn of(root: &Path) -> Result<Self> {
        let text = root.to_str().context("the path of the folder is no text")?;
        let mut recorder = Self {
            escaped_root: escaped(text),
            root: text.to_owned(),
            events: Vec::new(),
            inodes: vec![Entry {
                path: String::new(),
                length: 0,
                is_folder: true,
            }],
            names: HashMap::from([(String::new(), ROOT)]),
            open: HashMap::new(),
            syncing: HashMap::new(),
            syncs: 0,
        };
        recorder.found(root, "")?;
        for of in 0..recorder.inodes.len() {
            let sync = recorder.syncs;
            recorder.syncs += 1;
            recorder.event(0, of, Event::SyncBegan { sync, of });
            recorder.event(0, of, Event::SyncEnded { sync });
        }
        Ok(recorder)
    }

    fn found(&mut self, root: &Path, folder: &str) -> Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| anyhow!("{} is no text", name.display()))?;
            let path = match folder {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            let is_folder = entry.file_type()?.is_dir();
            let file = self.made(0, path.clone(), is_folder)?;
            if is_folder {
                self.found(root, &path)?;
                continue;
            }
            let bytes = fs::read(entry.path())?;
            let length = bytes.len() as u64;
            // The rest is zeros, as journals are that are made long.
            let end = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            let bytes = bytes[..end].into();
            let event = Event::Wrote {
                file,
                offset: 0,
                bytes,
            };
            self.event(0, file, event);
            self.resize(0, file, length);
        }
        Ok(())
    }

    /// Reads what strace wrote of a server that was started on the folder then, and has ended.
    pub(super) fn read(&mut self, trace: &Path) -> Result<()> {
        let mut reader = Reader::default();
        let mut lines = BufReader::with_capacity(1 << 20, File::open(trace)?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            let parsed = reader.line(&line)?;
            let told = self.line(parsed);
            told.with_context(|| line.chars().take(400).collect::<String>())?;
            line.clear();
        }
        self.open.clear();
        self.syncing.clear();
        Ok(())
    }

    /// What has happened so far.
    pub(super) fn events(&self) -> &[Recorded] {
        &self.events
    }

    pub(super) fn into_events(self) -> Vec<Recorded> {
        self.events
    }

    fn line(&mut self, line: Line) -> Result<()> {
        for told in line.told {
            match told {
                Told::Begun(call) => self.begun(line.thread, line.at, &call)?,
                Told::Ended(call, Some(result)) => self.ended(line.thread, line.ended, &call, result)?,
                Told::Ended(..) | Told::Other => {}
            }
        }
        Ok(())
    }

    fn begun(&mut self, thread: u32, at: u64, call: &Call) -> Result<()> {
        match call.name.as_str() {
            // The number may be taken again before it has ended.
            "close" => {
                self.open.remove(&call.descriptor(0)?.0);
            }
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&call.descriptor(0)?.0) {
                    let of = open.borrow().inode;
                    let sync = self.syncs;
                    self.syncs += 1;
                    self.syncing.insert(thread, sync);
                    self.event(at, of, Event::SyncBegan { sync, of });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, thread: u32, at: u64, call: &Call, result: i64) -> Result<()> {
        let name = call.name.as_str();
        if let "fsync" | "fdatasync" = name {
            if let Some(sync) = self.syncing.remove(&thread) {
                ensure!(result == 0, "a sync failed");
                let began = self.events.iter().rev();
                let mut began =
                    began.filter(|e| matches!(e.event, Event::SyncBegan { sync: s, .. } if s == sync));
                let path = began.next().context("it had not begun")?.path.clone();
                self.events.push(Recorded {
                    event: Event::SyncEnded { sync },
                    at,
                    path,
                });
            }
            return Ok(());
        }
        if result < 0 {
            return Ok(());
        }
        match name {
            "close" => {}
            "open" | "openat" | "creat" => self.opened(at, call, result)?,
            "read" => {
                let number = call.argument(0)?.trim_start_matches("0x");
                if let Some(open) = self.open.get(&i64::from_str_radix(number, 16)?) {
                    open.borrow_mut().offset += result as u64;
                }
            }
            "write" | "writev" | "pwrite64" => self.wrote(at, call, result as u64)?,
            "lseek" => {
                if let Some(open) = self.open.get(&call.descriptor(0)?.0) {
                    open.borrow_mut().offset = result as u64;
                }
            }
            "ftruncate" => {
                if let Some(open) = self.open.get(&call.descriptor(0)?.0) {
                    let (file, length) = (open.borrow().inode, call.number(1)?);
                    self.resize(at, file, length);
                }
            }
            "dup" | "dup2" | "dup3" => self.copied(call, result)?,
            "fcntl" => match call.argument(1)? {
                "F_DUPFD" | "F_DUPFD_CLOEXEC" => self.copied(call, result)?,
                "F_GETFD" | "F_SETFD" | "F_GETFL" => {}
                _ => self.touches_nothing(call)?,
            },
            "mkdir" | "mkdirat" => {
                if let Some(path) = self.path(call, name == "mkdirat", 0)? {
                    self.made(at, path, true)?;
                }
            }
            "rename" => self.renamed(at, self.path(call, false, 0)?, self.path(call, false, 1)?)?,
            "renameat" => self.renamed(at, self.path(call, true, 0)?, self.path(call, true, 2)?)?,
            "renameat2" if call.argument(4)? == "0" => {
                self.renamed(at, self.path(call, true, 0)?, self.path(call, true, 2)?)?;
            }
            "unlink" | "rmdir" | "unlinkat" => {
                if let Some(path) = self.path(call, name == "unlinkat", 0)? {
                    let inode = self.names.remove(&path);
                    let inode = inode.with_context(|| format!("{path} was not known"))?;
                    let (folder, name) = self.place(&path)?;
                    self.event(at, inode, Event::Removed { folder, name });
                }
            }
            // The mapping of a file that nobody writes through.
            "mmap" if !(call.arguments.contains("MAP_SHARED") && call.arguments.contains("PROT_WRITE")) => {}
            _ => self.touches_nothing(call)?,
        }
        Ok(())
    }

    fn touches_nothing(&self, call: &Call) -> Result<()> {
        let in_it = call.arguments.contains(&self.escaped_root);
        ensure!(
            !in_it && !call.name.starts_with("io_uring"),
            "the call {} is not known, and what it does to the folder neither",
            call.name
        );
        Ok(())
    }

    /// The path of a call in the folder, relative to it, where it is in it.
    fn path(&self, call: &Call, beside_folder: bool, at: usize) -> Result<Option<String>> {
        let path = call.path(at + usize::from(beside_folder))?;
        let path = match (path.starts_with('/'), beside_folder) {
            (true, _) => path,
            (false, true) => format!("{}/{path}", call.descriptor(at)?.1),
            (false, false) => bail!("a relative path"),
        };
        let inside = match path.strip_prefix(&self.root) {
            Some("") => "",
            Some(inside) if inside.starts_with('/') => inside.trim_matches('/'),
            _ => return Ok(None),
        };
        let plain = inside.is_empty() || inside.split('/').all(|part| !matches!(part, "" | "." | ".."));
        ensure!(plain, "a path that is not plain");
        Ok(Some(inside.to_owned()))
    }

    /// The folder that a path is in, and its name there.
    fn place(&self, path: &str) -> Result<(Inode, String)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.names.get(folder);
        Ok((
            *folder.with_context(|| format!("the folder of {path} is not known"))?,
            name.to_owned(),
        ))
    }

    fn event(&mut self, at: u64, of: Inode, event: Event) {
        let path = self.inodes[of].path.clone();
        self.events.push(Recorded { event, at, path });
    }

    fn made(&mut self, at: u64, path: String, is_folder: bool) -> Result<Inode> {
        let inode = self.inodes.len();
        let (folder, name) = self.place(&path)?;
        let before = self.names.insert(path.clone(), inode);
        ensure!(before.is_none(), "{path} was there already");
        self.inodes.push(Entry {
            path,
            length: 0,
            is_folder,
        });
        let event = Event::Made {
            folder,
            name,
            is_folder,
        };
        self.event(at, inode, event);
        Ok(inode)
    }

    fn opened(&mut self, at: u64, call: &Call, descriptor: i64) -> Result<()> {
        let beside_folder = call.name == "openat";
        let flags = match call.name.as_str() {
            "creat" => "O_CREAT|O_TRUNC",
            _ => call.argument(1 + usize::from(beside_folder))?,
        };
        let flags: Vec<&str> = flags.split('|').collect();
        let Some(path) = self.path(call, beside_folder, 0)? else {
            self.open.remove(&descriptor);
            return Ok(());
        };
        ensure!(!flags.contains(&"O_TMPFILE"), "a file without a name");
        let inode = match self.names.get(&path) {
            Some(inode) => *inode,
            None if flags.contains(&"O_CREAT") => self.made(at, path, false)?,
            None => bail!("{path} was not known"),
        };
        if flags.contains(&"O_TRUNC") && self.inodes[inode].length > 0 {
            self.resize(at, inode, 0);
        }
        let open = Open {
            inode,
            offset: 0,
            appends: flags.contains(&"O_APPEND"),
        };
        self.open.insert(descriptor, Rc::new(RefCell::new(open)));
        Ok(())
    }

    fn copied(&mut self, call: &Call, result: i64) -> Result<()> {
        match self.open.get(&call.descriptor(0)?.0).cloned() {
            Some(open) => self.open.insert(result, open),
            None => self.open.remove(&result),
        };
        Ok(())
    }

    fn wrote(&mut self, at: u64, call: &Call, length: u64) -> Result<()> {
        let Some(open) = self.open.get(&call.descriptor(0)?.0).cloned() else {
            // Else a descriptor was opened that was not seen.
            return self.touches_nothing_by_descriptor(call);
        };
        let mut open = open.borrow_mut();
        let mut bytes = match call.name.as_str() {
            "writev" => call.all_bytes()?,
            _ => call.bytes(1)?,
        };
        ensure!(bytes.len() as u64 >= length, "not all that was written was seen");
        bytes.truncate(length as usize);
        let offset = match call.name.as_str() {
            "pwrite64" => call.number(3)?,
            _ if open.appends => self.inodes[open.inode].length,
            _ => open.offset,
        };
        if call.name != "pwrite64" {
            open.offset = offset + length;
        }
        let entry = &mut self.inodes[open.inode];
        ensure!(!entry.is_folder, "a folder was written to");
        entry.length = entry.length.max(offset + length);
        let event = Event::Wrote {
            file: open.inode,
            offset,
            bytes: bytes.into(),
        };
        self.event(at, open.inode, event);
        Ok(())
    }

    fn touches_nothing_by_descriptor(&self, call: &Call) -> Result<()> {
        let path = call.descriptor(0)?.1;
        ensure!(
            !path.starts_with(&self.root),
            "{path} was written to, and its opening was not seen"
        );
        Ok(())
    }

    fn resize(&mut self, at: u64, file: Inode, length: u64) {
        self.inodes[file].length = length;
        self.event(at, file, Event::Resized { file, length });
    }

    fn renamed(&mut self, at: u64, from: Option<String>, to: Option<String>) -> Result<()> {
        let (from, to) = match (from, to) {
            (None, None) => return Ok(()),
            (Some(from), Some(to)) => (from, to),
            _ => bail!("a file came into the folder, or left it"),
        };
        let inode = self.names.remove(&from);
        let inode = inode.with_context(|| format!("{from} was not known"))?;
        ensure!(!self.inodes[inode].is_folder, "a folder was renamed");
        let (from, place) = (self.place(&from)?, self.place(&to)?);
        self.names.insert(to.clone(), inode);
        self.inodes[inode].path = to;
        self.event(at, inode, Event::Renamed { from, to: place });
        Ok(())
    }
}

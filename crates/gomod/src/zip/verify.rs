//! Checks a whole zip and hashes it, on one thread or on several.

use super::check::{read_directory, tree_too_large};
use super::directory::{self, Entry};
use super::source::Source;
use super::unpack::Unpacker;
use super::{MAX_ZIP_FILE, ZipError};
use crate::h1::{H1, Hasher};
use crate::version::ModuleVersion;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Threads that are used at most.
const THREADS_MAX: usize = 64;

/// Bytes, packed and unpacked, that are worth a thread: starting one takes as long as hashing them.
const THREAD_BYTES_MIN: u64 = 128 << 10;

/// What an entry costs besides its bytes, in bytes.
const ENTRY_COST: u64 = 1 << 10;

/// Parts for each thread, so that all end at about the same time.
const PARTS_PER_THREAD: u64 = 8;

/// What a good zip holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its go.sum hash.
    pub h1: H1,
    /// Files in it.
    pub files: usize,
    /// Bytes of all of them.
    pub unpacked_bytes: u64,
    /// Its go.mod, if it has one.
    pub go_mod: Option<Vec<u8>>,
}

/// What is held against the files of a zip while they are unpacked: an extracted tree, for one. May be
/// called from several threads at once, but for one file always from one.
pub trait Beside: Sync {
    /// What is known of one file on the way.
    type File;
    /// A file with this name, below `PATH@VERSION/`, and this many bytes follows.
    fn begin(&self, name: &str, size: u64) -> Self::File;
    /// The next bytes of it.
    fn part(&self, file: &mut Self::File, bytes: &[u8]);
    /// Those were all.
    fn end(&self, file: Self::File);
}

/// Nothing.
impl Beside for () {
    type File = ();
    fn begin(&self, _: &str, _: u64) {}
    fn part(&self, (): &mut (), _: &[u8]) {}
    fn end(&self, (): ()) {}
}

/// Checks everything: names, sizes, and the content of each file against its CRC and size. `size`
/// is the zip's own.
pub fn verify<R: Read + Seek>(
    reader: R,
    size: u64,
    version: &ModuleVersion,
) -> Result<Checked, ZipError> {
    let mut source = Source::new(reader);
    let entries = read_directory(&mut source, size, version)?;
    verify_entries(source, version, &entries)
}

/// [`verify`] on several threads, each with a reader of its own over the same bytes. One file is
/// never shared among threads, so a zip of one large file gains nothing.
pub fn verify_parallel<R: Read + Seek>(
    open: impl Fn() -> io::Result<R> + Sync,
    size: u64,
    version: &ModuleVersion,
    threads: usize,
) -> Result<Checked, ZipError> {
    verify_rest(open, size, version, threads, |_| None, &())
}

/// [`verify_parallel`], and each file is held against what lies beside the zip. What that finds does
/// not change the answer here; a zip that is refused may have been seen in part.
pub fn verify_beside<R: Read + Seek>(
    open: impl Fn() -> io::Result<R> + Sync,
    size: u64,
    version: &ModuleVersion,
    threads: usize,
    beside: &impl Beside,
) -> Result<Checked, ZipError> {
    verify_rest(open, size, version, threads, |_| None, beside)
}

/// [`verify_parallel`] for a zip whose entries are `known` in part: the hash of an entry, if its
/// content was hashed and held against the entry's size and CRC before.
pub(super) fn verify_rest<R: Read + Seek>(
    open: impl Fn() -> io::Result<R> + Sync,
    size: u64,
    version: &ModuleVersion,
    threads: usize,
    known: impl Fn(&Entry) -> Option<[u8; 32]>,
    beside: &impl Beside,
) -> Result<Checked, ZipError> {
    let mut source = Source::new(open()?);
    let entries = read_directory(&mut source, size, version)?;
    let mut hashes: Vec<Option<[u8; 32]>> = entries.iter().map(known).collect();
    let rest: Vec<usize> = by_offset(&entries)
        .into_iter()
        .filter(|index| hashes[*index].is_none())
        .collect();
    let beside = Prefixed {
        skip: version.to_string().len() + 1,
        beside,
    };
    for (index, hash) in hash_rest(&open, &mut source, &entries, rest, threads, &beside)? {
        hashes[index] = Some(hash);
    }
    let hashes = hashes.into_iter().map(Option::unwrap_or_default).collect();
    summarize(&mut source, version, &entries, hashes)
}

/// The hashes of the entries with these numbers, in no order.
fn hash_rest<R: Read + Seek>(
    open: &(impl Fn() -> io::Result<R> + Sync),
    source: &mut Source<R>,
    entries: &[Entry],
    order: Vec<usize>,
    threads: usize,
    beside: &Prefixed<'_, impl Beside>,
) -> Result<Vec<(usize, [u8; 32])>, ZipError> {
    let cost: u64 = order.iter().map(|index| cost(&entries[*index])).sum();
    let worthwhile = usize::try_from(cost / THREAD_BYTES_MIN).unwrap_or(usize::MAX);
    let threads = threads.min(worthwhile).clamp(1, THREADS_MAX);
    let work = Work::new(entries, order, cost / (threads as u64 * PARTS_PER_THREAD));
    thread::scope(|scope| {
        let helper = || work.run(&mut Source::new(open()?), beside);
        let spawned: Vec<_> = (1..threads)
            .map_while(|_| {
                let named = thread::Builder::new().name("zip-verifier".into());
                // With fewer threads than wished for it takes longer, and that is all.
                named.spawn_scoped(scope, helper).ok()
            })
            .collect();
        let own = work.run(source, beside);
        let joined = spawned.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => Err(io::Error::other("a verifying thread is gone").into()),
        });
        let mut done = own?;
        for part in joined {
            done.extend(part?);
        }
        Ok(done)
    })
}

/// The hash of any zip, directory entries and repeated names included, as Go's dirhash.HashZip
/// gives it. Refuses one that unpacks to more than [`MAX_ZIP_FILE`], as no module does.
pub fn hash_zip<R: Read + Seek>(mut reader: R) -> Result<H1, ZipError> {
    let size = reader.seek(SeekFrom::End(0))?;
    let mut source = Source::new(reader);
    let entries = directory::read(&mut source, size)?;
    let total = entries.iter().try_fold(0u64, |t, e| t.checked_add(e.size));
    if total.is_none_or(|total| total > MAX_ZIP_FILE) {
        return Err(ZipError::Rule(tree_too_large()));
    }
    // Of entries with one name the last is what the go command hashes, each time anew.
    let last: HashMap<&[u8], usize> = entries.iter().map(|e| &*e.name).zip(0..).collect();
    let mut unpacker = Unpacker::default();
    let mut hashes = vec![[0; 32]; entries.len()];
    for (index, entry) in entries.iter().enumerate() {
        if last.get(&*entry.name) == Some(&index) {
            hashes[index] = unpacker.hash(&mut source, entry)?;
        }
    }
    let of = |entry: &Entry| last.get(&*entry.name).map_or([0; 32], |i| hashes[*i]);
    sum_up(entries.iter().map(|entry| (entry, of(entry))))
}

/// What is beside, and the length of the prefix that names in the zip have and it does not know.
struct Prefixed<'a, B> {
    skip: usize,
    beside: &'a B,
}

impl<B: Beside> Prefixed<'_, B> {
    fn hash<R: Read + Seek>(
        &self,
        unpacker: &mut Unpacker,
        source: &mut Source<R>,
        entry: &Entry,
    ) -> Result<[u8; 32], ZipError> {
        // The rules, which hold by now, want UTF-8 and the prefix.
        let name = entry.name.get(self.skip..).unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default();
        if entry.is_dir() {
            return unpacker.hash(source, entry);
        }
        let (mut file, mut sum) = (self.beside.begin(name, entry.size), Sha256::new());
        unpacker.unpack(source, entry, |bytes| {
            sum.update(bytes);
            self.beside.part(&mut file, bytes);
        })?;
        self.beside.end(file);
        Ok(sum.finalize().into())
    }
}

fn verify_entries<R: Read + Seek>(
    mut source: Source<R>,
    version: &ModuleVersion,
    entries: &[Entry],
) -> Result<Checked, ZipError> {
    let mut unpacker = Unpacker::default();
    let mut hashes = vec![[0; 32]; entries.len()];
    for index in by_offset(entries) {
        hashes[index] = unpacker.hash(&mut source, &entries[index])?;
    }
    summarize(&mut source, version, entries, hashes)
}

/// Puts hashes of all entries, in their order, together with the go.mod.
pub(super) fn summarize<R: Read + Seek>(
    source: &mut Source<R>,
    version: &ModuleVersion,
    entries: &[Entry],
    hashes: Vec<[u8; 32]>,
) -> Result<Checked, ZipError> {
    let go_mod_name = format!("{version}/go.mod");
    let mut entry = entries.iter();
    let go_mod = match entry.find(|e| *e.name == *go_mod_name.as_bytes()) {
        Some(entry) => {
            let mut bytes = Vec::new();
            Unpacker::default().unpack(source, entry, |part| bytes.extend_from_slice(part))?;
            Some(bytes)
        }
        None => None,
    };
    let files = || entries.iter().filter(|e| !e.is_dir());
    Ok(Checked {
        h1: sum_up(entries.iter().zip(hashes))?,
        files: files().count(),
        unpacked_bytes: files().map(|e| e.size).sum(),
        go_mod,
    })
}

fn sum_up<'a>(entries: impl Iterator<Item = (&'a Entry, [u8; 32])>) -> Result<H1, ZipError> {
    let mut hasher = Hasher::default();
    for (entry, hash) in entries {
        hasher
            .add(entry.name.to_vec(), hash)
            .map_err(|e| ZipError::Rule(e.to_string()))?;
    }
    Ok(hasher.finish())
}

/// Reading in the order of the file needs no seeks.
fn by_offset(entries: &[Entry]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|i| entries[*i].offset);
    order
}

fn cost(entry: &Entry) -> u64 {
    // Sizes are bounded by the rules, which hold by now; directories may still claim anything.
    match entry.is_dir() {
        true => ENTRY_COST,
        false => ENTRY_COST + entry.packed + entry.size,
    }
}

/// Entries in parts that threads take one after the other.
struct Work<'a> {
    entries: &'a [Entry],
    order: Vec<usize>,
    parts: Vec<Range<usize>>,
    next: AtomicUsize,
    failed: AtomicBool,
}

impl<'a> Work<'a> {
    fn new(entries: &'a [Entry], order: Vec<usize>, part_cost: u64) -> Self {
        let (mut parts, mut start, mut sum) = (Vec::new(), 0, 0);
        for (place, index) in order.iter().enumerate() {
            sum += cost(&entries[*index]);
            if sum >= part_cost || place + 1 == order.len() {
                parts.push(start..place + 1);
                (start, sum) = (place + 1, 0);
            }
        }
        Self {
            entries,
            order,
            parts,
            next: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Takes parts until none is left, or some thread has failed.
    fn run<R: Read + Seek>(
        &self,
        source: &mut Source<R>,
        beside: &Prefixed<'_, impl Beside>,
    ) -> Result<Vec<(usize, [u8; 32])>, ZipError> {
        let mut unpacker = Unpacker::default();
        let mut done = Vec::new();
        while !self.failed.load(Ordering::Relaxed) {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = self.parts.get(next) else {
                break;
            };
            for index in &self.order[part.clone()] {
                let hash = beside
                    .hash(&mut unpacker, source, &self.entries[*index])
                    .inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
                done.push((*index, hash));
            }
        }
        Ok(done)
    }
}

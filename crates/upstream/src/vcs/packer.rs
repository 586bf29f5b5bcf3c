//! Writing a zip with several threads: files are deflated and hashed side by side and written in
//! the order they came, so the bytes do not depend on how many threads there were.
//!
//! A zip library writes one file at a time, and deflating is what a module zip costs. The format
//! needed is small: no dates, no modes, lengths known before a file is written. A file that is
//! too large to be held in memory is deflated as it comes and its header filled in afterwards.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use sha2::{Digest as _, Sha256};

/// Next to the size of zlib's usual level 6, and faster.
const LEVEL: u32 = 3;

/// Bytes read but not yet written; enough to keep the threads busy with files of usual size.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Files read but not yet written.
const WAITING_FILES_MAX: usize = 256;

/// A larger file is not held in memory.
pub(crate) const HELD_BYTES_MAX: usize = 8 << 20;

/// More threads than this would wait for the program that makes the archive.
const THREADS_MAX: usize = 4;

/// 1980-01-01 00:00, the first moment that a zip can name.
const NO_TIME: u32 = 0x0021_0000;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Zip version 2.0: deflate.
const VERSION: u16 = 20;

/// The flag that says that names are UTF-8.
const UTF8: u16 = 1 << 11;

/// Read and deflated at a time, so that equal content gives equal bytes however it arrives.
const BLOCK: usize = 64 << 10;

/// A name and the SHA-256 of its content.
pub(crate) type Sum = (String, [u8; 32]);

/// Writes a zip.
pub(crate) struct Packer<W: Write + Seek> {
    out: W,
    at: u64,
    entries: Vec<Entry>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    sums: Vec<Sum>,
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    data: Vec<u8>,
    done: SyncSender<Packed>,
}

struct Waiting {
    name: String,
    size: usize,
    packed: Receiver<Packed>,
}

/// A file, ready to be written.
struct Packed {
    sha256: [u8; 32],
    lengths: Lengths,
    bytes: Vec<u8>,
}

/// What both headers of a file say of it.
#[derive(Clone, Copy)]
struct Lengths {
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
}

struct Entry {
    name: String,
    at: u32,
    lengths: Lengths,
}

impl<W: Write + Seek> Packer<W> {
    pub(crate) fn new(out: W) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, queue) = sync_channel::<Job>(WAITING_FILES_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let start = |_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || work(&queue))
        };
        Self {
            out,
            at: 0,
            entries: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sums: Vec::new(),
            threads: (0..cores.clamp(1, THREADS_MAX)).map(start).collect(),
            jobs: Some(jobs),
        }
    }

    /// Adds a file that is held in memory.
    pub(crate) fn add(&mut self, name: String, data: Vec<u8>) -> io::Result<()> {
        let size = data.len();
        while self.waiting.len() >= WAITING_FILES_MAX
            || (!self.waiting.is_empty() && self.waiting_bytes + size > WAITING_BYTES_MAX)
        {
            self.write_first()?;
        }
        let (done, packed) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(Job { data, done }).map_err(|_| ended())?;
        self.waiting.push_back(Waiting { name, size, packed });
        self.waiting_bytes += size;
        Ok(())
    }

    /// Adds a file of any length as it is read.
    pub(crate) fn add_large(&mut self, name: String, content: &mut dyn Read) -> io::Result<()> {
        while !self.waiting.is_empty() {
            self.write_first()?;
        }
        let start = self.at;
        let nothing = Lengths {
            method: DEFLATED,
            crc: 0,
            packed: 0,
            size: 0,
        };
        self.write(&local_header(&name, nothing)?)?;
        let data_at = self.at;
        let (mut deflater, mut crc, mut hasher) = (deflater(), Crc::new(), Sha256::new());
        let mut block = vec![0; BLOCK];
        let mut packed = Vec::new();
        loop {
            let n = read_block(content, &mut block)?;
            let flush = if n < BLOCK {
                FlushCompress::Finish
            } else {
                FlushCompress::None
            };
            crc.update(&block[..n]);
            hasher.update(&block[..n]);
            deflate(&mut deflater, &block[..n], &mut packed, flush)?;
            self.write(&packed)?;
            packed.clear();
            if n < BLOCK {
                break;
            }
        }
        let lengths = Lengths {
            method: DEFLATED,
            crc: crc.sum(),
            packed: narrow(self.at - data_at)?,
            size: narrow(deflater.total_in())?,
        };
        self.out.seek(SeekFrom::Start(start))?;
        self.out.write_all(&local_header(&name, lengths)?)?;
        self.out.seek(SeekFrom::Start(self.at))?;
        self.sums.push((name.clone(), hasher.finalize().into()));
        self.entries.push(Entry {
            name,
            at: narrow(start)?,
            lengths,
        });
        Ok(())
    }

    /// Writes what waits and the directory. Returns the sums in order, and the zip's length.
    pub(crate) fn finish(mut self) -> io::Result<(Vec<Sum>, u64)> {
        while !self.waiting.is_empty() {
            self.write_first()?;
        }
        let start = self.at;
        for entry in std::mem::take(&mut self.entries) {
            self.write(&directory_header(&entry)?)?;
        }
        let end = directory_end(self.sums.len() as u64, start, self.at);
        self.write(&end)?;
        self.out.flush()?;
        Ok((std::mem::take(&mut self.sums), self.at))
    }

    fn write_first(&mut self) -> io::Result<()> {
        let Some(first) = self.waiting.pop_front() else {
            return Ok(());
        };
        self.waiting_bytes -= first.size;
        let packed = first.packed.recv().map_err(|_| ended())?;
        let at = narrow(self.at)?;
        self.write(&local_header(&first.name, packed.lengths)?)?;
        self.write(&packed.bytes)?;
        self.sums.push((first.name.clone(), packed.sha256));
        self.entries.push(Entry {
            name: first.name,
            at,
            lengths: packed.lengths,
        });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl<W: Write + Seek> Drop for Packer<W> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        self.waiting.clear();
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("a packing thread ended early")
}

fn narrow(length: u64) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::other("a zip of more than 4 GiB"))
}

/// The life of a packing thread: until no job can come any more.
fn work(queue: &Mutex<Receiver<Job>>) {
    let mut deflater = deflater();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if let Ok(packed) = pack(&mut deflater, job.data) {
            // Nobody waits for it when the zip has failed meanwhile.
            job.done.send(packed).ok();
        }
    }
}

fn deflater() -> Compress {
    Compress::new(Compression::new(LEVEL), false)
}

fn pack(deflater: &mut Compress, data: Vec<u8>) -> io::Result<Packed> {
    let mut crc = Crc::new();
    crc.update(&data);
    let sha256 = Sha256::digest(&data).into();
    let size = narrow(data.len() as u64)?;
    let mut bytes = Vec::new();
    deflater.reset();
    deflate(deflater, &data, &mut bytes, FlushCompress::Finish)?;
    let method = if bytes.len() < data.len() {
        DEFLATED
    } else {
        STORED
    };
    let bytes = if method == DEFLATED { bytes } else { data };
    let packed = narrow(bytes.len() as u64)?;
    Ok(Packed {
        sha256,
        lengths: Lengths {
            method,
            crc: crc.sum(),
            packed,
            size,
        },
        bytes,
    })
}

/// Deflates all of `data` to the end of `out`.
fn deflate(
    deflater: &mut Compress,
    mut data: &[u8],
    out: &mut Vec<u8>,
    flush: FlushCompress,
) -> io::Result<()> {
    loop {
        out.reserve((data.len() / 2).max(1 << 10));
        let before = deflater.total_in();
        let status = deflater
            .compress_vec(data, out, flush)
            .map_err(io::Error::other)?;
        let used = usize::try_from(deflater.total_in() - before).unwrap_or(data.len());
        data = &data[used.min(data.len())..];
        let room = out.len() < out.capacity();
        let done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => data.is_empty() && room,
        };
        if done {
            return Ok(());
        }
    }
}

/// Fills the block as far as the content goes.
fn read_block(content: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        let n = content.read(&mut block[filled..])?;
        if n == 0 {
            break;
        }
        filled += n;
    }
    Ok(filled)
}

/// The part that the headers before a file and in the directory have in common.
fn common_fields(head: &mut Vec<u8>, name: &str, lengths: Lengths) -> io::Result<()> {
    let name_length = u16::try_from(name.len());
    let name_length = name_length.map_err(|_| io::Error::other("a name of more than 64 KiB"))?;
    for field in [VERSION, UTF8, lengths.method] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    for field in [NO_TIME, lengths.crc, lengths.packed, lengths.size] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    head.extend_from_slice(&name_length.to_le_bytes());
    // No extra field.
    head.extend_from_slice(&[0; 2]);
    Ok(())
}

fn local_header(name: &str, lengths: Lengths) -> io::Result<Vec<u8>> {
    let mut head = b"PK\x03\x04".to_vec();
    common_fields(&mut head, name, lengths)?;
    head.extend_from_slice(name.as_bytes());
    Ok(head)
}

fn directory_header(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut head = b"PK\x01\x02".to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    common_fields(&mut head, &entry.name, entry.lengths)?;
    // No comment, first disk, no attributes.
    head.extend_from_slice(&[0; 10]);
    head.extend_from_slice(&entry.at.to_le_bytes());
    head.extend_from_slice(entry.name.as_bytes());
    Ok(head)
}

/// The end of the zip; with more files than sixteen bits count, in the longer form too.
fn directory_end(count: u64, start: u64, end: u64) -> Vec<u8> {
    let size = end - start;
    let mut tail = Vec::new();
    if count >= u64::from(u16::MAX) {
        tail.extend_from_slice(b"PK\x06\x06");
        tail.extend_from_slice(&44u64.to_le_bytes());
        for version in [45u16, 45] {
            tail.extend_from_slice(&version.to_le_bytes());
        }
        tail.extend_from_slice(&[0; 8]);
        for field in [count, count, size, start] {
            tail.extend_from_slice(&field.to_le_bytes());
        }
        tail.extend_from_slice(b"PK\x06\x07");
        tail.extend_from_slice(&[0; 4]);
        tail.extend_from_slice(&end.to_le_bytes());
        tail.extend_from_slice(&1u32.to_le_bytes());
    }
    let short = u16::try_from(count).unwrap_or(u16::MAX);
    tail.extend_from_slice(b"PK\x05\x06");
    tail.extend_from_slice(&[0; 4]);
    for count in [short, short] {
        tail.extend_from_slice(&count.to_le_bytes());
    }
    for field in [size, start] {
        tail.extend_from_slice(&u32::try_from(field).unwrap_or(u32::MAX).to_le_bytes());
    }
    tail.extend_from_slice(&[0; 2]);
    tail
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Cursor;

    fn content(seed: u32, size: usize) -> Vec<u8> {
        let word = |i: usize| {
            (i as u32 / 7)
                .wrapping_mul(2_654_435_761)
                .wrapping_add(seed)
        };
        (0..size).map(|i| (word(i) >> 24) as u8).collect()
    }

    fn read_back(zip: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        (0..archive.len())
            .map(|i| {
                let mut file = archive.by_index(i).unwrap();
                let mut data = Vec::new();
                file.read_to_end(&mut data).unwrap();
                (file.name().unwrap().into_owned(), data)
            })
            .collect()
    }

    #[test]
    fn files_come_back_in_order_with_their_sums() {
        let files: Vec<(String, Vec<u8>)> = (0..600)
            .map(|i| (format!("d/f{i}é"), content(i, i as usize * 37)))
            .collect();
        let mut out = Cursor::new(Vec::new());
        let mut packer = Packer::new(&mut out);
        for (number, (name, data)) in files.iter().enumerate() {
            match number % 100 {
                7 => packer
                    .add_large(name.clone(), &mut data.as_slice())
                    .unwrap(),
                _ => packer.add(name.clone(), data.clone()).unwrap(),
            }
        }
        let (sums, length) = packer.finish().unwrap();
        let bytes = out.into_inner();
        assert_eq!(length, bytes.len() as u64);
        assert_eq!(read_back(&bytes), files);
        let wanted: Vec<Sum> = files
            .iter()
            .map(|(n, d)| (n.clone(), Sha256::digest(d).into()))
            .collect();
        assert_eq!(sums, wanted);
    }

    #[test]
    fn a_large_file_read_in_drops_gives_the_same_bytes() {
        struct Drops<'a>(&'a [u8]);
        impl Read for Drops<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(buffer.len()).min(1 + self.0.len() % 613);
                buffer[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let data = content(5, 3 * BLOCK);
        let zip = |content: &mut dyn Read| {
            let mut out = Cursor::new(Vec::new());
            let mut packer = Packer::new(&mut out);
            packer.add_large("x".into(), content).unwrap();
            packer.finish().unwrap();
            out.into_inner()
        };
        let whole = zip(&mut data.as_slice());
        assert_eq!(whole, zip(&mut Drops(&data)));
        assert_eq!(read_back(&whole), [("x".to_owned(), data)]);
    }

    #[test]
    fn more_files_than_sixteen_bits_count_are_all_there() {
        let mut out = Cursor::new(Vec::new());
        let mut packer = Packer::new(&mut out);
        for i in 0..70_000 {
            packer.add(format!("f{i}"), Vec::new()).unwrap();
        }
        packer.finish().unwrap();
        let bytes = out.into_inner();
        assert_eq!(
            zip::ZipArchive::new(Cursor::new(&bytes)).unwrap().len(),
            70_000
        );
    }

    #[test]
    fn an_empty_zip_is_one() {
        let mut out = Cursor::new(Vec::new());
        Packer::new(&mut out).finish().unwrap();
        assert_eq!(read_back(&out.into_inner()), []);
    }

    #[test]
    fn a_packer_that_is_given_up_ends_its_threads() {
        let mut packer = Packer::new(Cursor::new(Vec::new()));
        for i in 0..50 {
            packer.add(format!("f{i}"), content(i, 100_000)).unwrap();
        }
        drop(packer);
    }
}

//! What all tests need: keys, records, and an independent checker of heads and records.

use std::path::Path;

use tempfile::TempDir;

use ledger::{Head, Ledger, LedgerError, NewRecord, Options, Reader};
use tlog::hash::Hash;
use tlog::head::Checkpoint;
use tlog::note::{Note, Signer};
use tlog::tree;
use tlog::{TreeHead, record};

pub const NAME: &str = "log.example/db";

/// A directory in memory, where there is one: these tests keep their own account of durability.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

pub fn signer() -> Signer {
    Signer::from_seed(NAME, &[42; 32]).unwrap()
}

pub fn options(dir: &Path) -> Options {
    Options::new(dir.join("log"), signer())
}

pub fn text(n: u64) -> String {
    record::go_sum_text(
        &format!("example.com/m{}", n % 7),
        &format!("v1.{n}.0"),
        &format!("h1:zip{n}="),
        &format!("h1:mod{n}="),
    )
}

pub fn record(n: u64) -> NewRecord {
    NewRecord::new(text(n)).unwrap()
}

pub fn append(ledger: &Ledger, n: u64) -> Result<u64, LedgerError> {
    Ok(ledger.append_blocking(vec![record(n)])?[0])
}

/// The root of the tree over texts, by RFC 6962's definition.
pub fn root_of(texts: &[String]) -> Hash {
    match texts {
        [] => Hash::EMPTY_ROOT,
        [one] => Hash::leaf(one.as_bytes()),
        many => {
            let middle = many.len().next_power_of_two() / 2;
            let (left, right) = many.split_at(middle);
            Hash::node(&root_of(left), &root_of(right))
        }
    }
}

/// Both notes are ours and of this head.
pub fn check_notes(head: &Head) {
    let key = signer().verifier().clone();
    let of = TreeHead {
        size: head.size,
        hash: head.root,
    };
    let latest = Note::open(&head.latest, std::slice::from_ref(&key)).unwrap();
    assert_eq!(latest.text, of.to_text());
    let checkpoint = Note::open(&head.checkpoint, &[key]).unwrap();
    let checkpoint = Checkpoint::parse(&checkpoint.text).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.head), (NAME, of));
    assert!(checkpoint.extensions.is_empty());
}

/// Everything the reader serves is what a naive log of `texts` would serve.
pub fn check_against(reader: &Reader, texts: &[String]) {
    let head = reader.head();
    assert_eq!(head.size, texts.len() as u64);
    assert_eq!(head.root, root_of(texts));
    check_notes(&head);
    let mut read = Vec::new();
    while (read.len() as u64) < head.size {
        read.extend(reader.records(read.len() as u64..head.size).unwrap());
    }
    assert_eq!(read, texts);
    for (id, text) in (0..).zip(texts) {
        let (module, version) = coordinate(text);
        let found = reader.lookup(&module, &version).unwrap().unwrap();
        assert_eq!((found.id, &found.text), (id, text));
    }
}

pub fn coordinate(text: &str) -> (String, String) {
    let mut fields = text.split(' ');
    let (module, version) = (fields.next().unwrap(), fields.next().unwrap());
    (module.to_owned(), version.to_owned())
}

/// A head that was shown begins the log as it is now.
pub fn check_consistent(reader: &Reader, size: u64, root: Hash) {
    let head = reader.head();
    assert!(
        head.size >= size,
        "the log shrank from {size} to {}",
        head.size
    );
    if size == 0 {
        assert_eq!(root, Hash::EMPTY_ROOT);
        return;
    }
    let proof = reader.prove_consistency(size, head.size).unwrap();
    tree::check_consistency(&proof, head.size, &head.root, size, &root).unwrap();
}

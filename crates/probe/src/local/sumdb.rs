//! The go command's memory of checksum databases: the last signed head, and the tiles.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doctor::facts::{SumdbFacts, SumdbFile};
use tlog::client::Verifier;
use tlog::tile::{Level, Tile};

use super::Settings;

/// Time for all of it.
const BUDGET: Duration = Duration::from_secs(2);

/// Files that are looked at.
const FILES_MAX: usize = 4000;

/// A signed head has some 200 bytes.
const LATEST_BYTES_MAX: u64 = 64 << 10;

/// The one key that the go command knows (cmd/go/internal/modfetch/key.go).
const KNOWN_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

pub fn look(settings: &Settings) -> SumdbFacts {
    let mut facts = SumdbFacts::default();
    let gopath = settings.get("GOPATH");
    let first = gopath.split(':').next().unwrap_or_default();
    if !first.is_empty() {
        let root = Path::new(first).join("pkg/sumdb");
        for file in files(&root, Instant::now() + BUDGET) {
            if file.file_name().is_some_and(|name| name == "latest") {
                facts.latest.push(latest(&root, &file, settings));
            }
        }
    }
    let root = Path::new(&settings.get("GOMODCACHE")).join("cache/download/sumdb");
    for file in files(&root, Instant::now() + BUDGET) {
        facts.tiles_checked += 1;
        facts.bad_tiles.extend(tile(&root, &file));
    }
    facts
}

fn files(root: &Path, end: Instant) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if found.len() >= FILES_MAX || Instant::now() >= end {
                return found;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn latest(root: &Path, path: &Path, settings: &Settings) -> SumdbFile {
    let database = path.parent().and_then(|dir| dir.strip_prefix(root).ok());
    let database = database.map_or(String::new(), |dir| dir.display().to_string());
    let mut file = SumdbFile {
        path: path.display().to_string(),
        ..SumdbFile::default()
    };
    match std::fs::metadata(path).map(|meta| meta.len()) {
        Ok(bytes) if bytes <= LATEST_BYTES_MAX => match std::fs::read(path) {
            Ok(bytes) => {
                file.bytes = bytes.len() as u64;
                match head(&bytes, &database, settings) {
                    Ok(size) => file.tree_size = size,
                    Err(wrong) => file.wrong = Some(wrong),
                }
            }
            Err(error) => file.wrong = Some(format!("cannot be read: {error}")),
        },
        Ok(bytes) => {
            file.bytes = bytes;
            file.wrong = Some("far larger than a signed head".into());
        }
        Err(error) => file.wrong = Some(format!("cannot be read: {error}")),
    }
    file.database = database;
    file
}

/// The size of the tree that a head signs; none for an empty file, which go takes as no file.
fn head(bytes: &[u8], database: &str, settings: &Settings) -> Result<Option<u64>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let zeros = bytes.iter().filter(|b| **b == 0).count();
    if zeros > 0 {
        return Err(format!(
            "malformed note: {zeros} zero bytes, as after a crash"
        ));
    }
    let setting = settings.get("GOSUMDB");
    let own = setting.split_whitespace().next().unwrap_or_default();
    let keys = [own, KNOWN_KEY];
    let mut verifiers = keys.iter().filter_map(|key| Verifier::new(key).ok());
    if let Some(verifier) = verifiers.find(|verifier| verifier.name() == database) {
        let head = verifier
            .open_head(bytes)
            .map_err(|error| error.to_string())?;
        return Ok(Some(head.tree().size));
    }
    // Another database, whose key is not at hand: only the form can be looked at.
    let text = std::str::from_utf8(bytes).map_err(|_| "malformed note: not text".to_owned())?;
    let (body, signatures) = text
        .rsplit_once("\n\n")
        .ok_or("malformed note: no signatures")?;
    if !signatures.lines().any(|line| line.starts_with("\u{2014} ")) {
        return Err("malformed note: no signature line".into());
    }
    let head = tlog::TreeHead::parse(format!("{body}\n").as_bytes());
    head.map(|head| Some(head.size))
        .map_err(|error| error.to_string())
}

/// What is wrong with a cached answer of a database.
fn tile(root: &Path, path: &Path) -> Option<SumdbFile> {
    let below = path.strip_prefix(root).ok()?.to_str()?;
    let (database, rest) = below.split_once("/tile/")?;
    let bytes = std::fs::read(path).ok()?;
    // An empty file is taken as none.
    if bytes.is_empty() {
        return None;
    }
    let tile = Tile::parse(&format!("tile/{rest}")).ok()?;
    let wrong = if bytes.iter().all(|b| *b == 0) {
        "holds zero bytes only".to_owned()
    } else if !matches!(tile.level(), Level::Data) && bytes.len() != tile.byte_len() {
        format!(
            "has {} bytes, a tile of this width has {}",
            bytes.len(),
            tile.byte_len()
        )
    } else {
        return None;
    };
    Some(SumdbFile {
        path: path.display().to_string(),
        database: database.to_owned(),
        bytes: bytes.len() as u64,
        wrong: Some(wrong),
        tree_size: None,
    })
}

//! The module cache's content, as much as there is time for: first what the project requires, then
//! whatever the walk meets.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doctor::facts::{CacheFacts, Damage, DamageKind, Leftover};
use gomod::gosum::GoSum;
use gomod::h1::{H1, Hasher};
use sha2::{Digest, Sha256};

/// Time for all of it: a sample, not `go mod verify`.
const BUDGET: Duration = Duration::from_secs(3);

/// Entries of the walk.
const ENTRIES_MAX: usize = 100_000;

/// Zips that are only opened and hashed up to this size; larger ones cost too much here.
const ZIP_BYTES_MAX: u64 = 64 << 20;

/// Damaged entries and leftovers that are told.
const TOLD_MAX: usize = 50;

/// One version's place in `cache/download`.
struct Place {
    module: String,
    version: String,
    /// Path without its ending: `.../@v/v1.0.0`.
    stem: PathBuf,
}

pub fn look(modcache: &Path, wanted: &[(String, String)], sums: Option<&GoSum>) -> CacheFacts {
    let mut facts = CacheFacts::default();
    let download = modcache.join("cache/download");
    match std::fs::read_dir(&download) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return facts,
        Err(error) => {
            facts.error = Some(format!("{}: {error}", download.display()));
            return facts;
        }
    }
    let end = Instant::now() + BUDGET;
    let mut done = BTreeSet::new();
    let first = wanted
        .iter()
        .filter_map(|(module, version)| place(&download, module, version));
    let walked = walk(&download, &mut facts, end);
    for place in first.chain(walked) {
        if !done.insert(place.stem.clone()) {
            continue;
        }
        if Instant::now() >= end || facts.damaged.len() >= TOLD_MAX {
            facts.partial = true;
            break;
        }
        version(&place, modcache, sums, &mut facts);
    }
    facts
}

fn place(download: &Path, module: &str, version: &str) -> Option<Place> {
    let path = gomod::escape::escape_path(module).ok()?;
    let file = gomod::escape::escape_version(version).ok()?;
    let stem = download.join(path).join("@v").join(file);
    Some(Place {
        module: module.to_owned(),
        version: version.to_owned(),
        stem,
    })
}

/// `stem` with an ending: versions hold dots, so `with_extension` would cut them.
fn file(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn walk(download: &Path, facts: &mut CacheFacts, end: Instant) -> Vec<Place> {
    let mut found = Vec::new();
    let mut open = vec![download.to_owned()];
    let mut entries = 0;
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            entries += 1;
            if entries > ENTRIES_MAX || Instant::now() >= end {
                facts.partial = true;
                return found;
            }
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_dir() {
                // The checksum database's tiles are another part's.
                if !(dir == download && name == "sumdb") {
                    open.push(path);
                }
            } else if let Some(stem) = name.strip_suffix(".zip") {
                facts.zips_seen += 1;
                found.extend(of_zip(download, &dir, stem));
            } else if is_leftover(&name) && facts.leftovers.len() < TOLD_MAX {
                facts.leftovers.extend(leftover(&path));
            }
        }
    }
    found
}

fn of_zip(download: &Path, dir: &Path, stem: &str) -> Option<Place> {
    let escaped = dir.parent()?.strip_prefix(download).ok()?.to_str()?;
    let module = gomod::escape::unescape_path(escaped).ok()?;
    let version = gomod::escape::unescape_version(stem).ok()?;
    Some(Place {
        module: module.as_str().to_owned(),
        version: version.as_str().to_owned(),
        stem: dir.join(stem),
    })
}

/// What renameio and interrupted unpacking leave: `v1.0.0.zip123456789.tmp`, `NAME.partial`.
fn is_leftover(name: &str) -> bool {
    name.ends_with(".partial")
        || name
            .strip_suffix(".tmp")
            .is_some_and(|stem| stem.ends_with(|c: char| c.is_ascii_digit()) && stem.contains('.'))
}

fn leftover(path: &Path) -> Option<Leftover> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some(Leftover {
        path: path.display().to_string(),
        bytes: meta.len(),
        age_s: meta
            .modified()
            .ok()
            .and_then(|time| time.elapsed().ok())
            .map(|age| age.as_secs()),
    })
}

fn version(place: &Place, modcache: &Path, sums: Option<&GoSum>, facts: &mut CacheFacts) {
    for ending in [".info", ".mod", ".ziphash"] {
        let path = file(&place.stem, ending);
        if let Some(wrong) = small(&path, ending) {
            facts
                .damaged
                .push(damage(place, DamageKind::Small, &path, wrong));
        }
    }
    let zip = file(&place.stem, ".zip");
    let Ok(size) = std::fs::metadata(&zip).map(|meta| meta.len()) else {
        return;
    };
    if size > ZIP_BYTES_MAX {
        facts.partial = true;
        return;
    }
    match hash_zip(&zip) {
        Ok(hash) => {
            facts.zips_checked += 1;
            compare(place, modcache, (&zip, hash), sums, facts);
        }
        Err(error) => {
            let error = if size == 0 {
                "it is empty".into()
            } else {
                error
            };
            facts
                .damaged
                .push(damage(place, DamageKind::Unreadable, &zip, error));
        }
    }
}

fn damage(place: &Place, kind: DamageKind, path: &Path, detail: String) -> Damage {
    Damage {
        kind,
        module: Some(place.module.clone()),
        version: Some(place.version.clone()),
        path: path.display().to_string(),
        detail,
    }
}

fn hash_zip(zip: &Path) -> Result<H1, String> {
    let file = File::open(zip).map_err(|error| error.to_string())?;
    gomod::zip::hash_zip(file).map_err(|error| error.to_string())
}

/// The zip against its `.ziphash`, go.sum and the extracted tree.
fn compare(
    place: &Place,
    modcache: &Path,
    (zip, hash): (&Path, H1),
    sums: Option<&GoSum>,
    facts: &mut CacheFacts,
) {
    let noted = std::fs::read_to_string(file(&place.stem, ".ziphash")).ok();
    let noted = noted.and_then(|text| text.trim().parse::<H1>().ok());
    if let Some(noted) = noted.filter(|noted| *noted != hash) {
        let detail = format!("{hash}, noted {noted}");
        facts
            .damaged
            .push(damage(place, DamageKind::Ziphash, zip, detail));
        return;
    }
    let mut lines = sums
        .into_iter()
        .flat_map(|sums| sums.find(&place.module, &place.version, false));
    let in_sum = lines.find_map(gomod::gosum::Line::hash);
    if let Some(in_sum) = in_sum.filter(|in_sum| *in_sum != hash) {
        let detail = format!("{hash}, go.sum says {in_sum}");
        facts
            .damaged
            .push(damage(place, DamageKind::GoSum, zip, detail));
    }
    tree(place, modcache, &hash, facts);
}

fn small(path: &Path, ending: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    if bytes.iter().all(|b| *b == 0) {
        let what = if bytes.is_empty() {
            "it is empty"
        } else {
            "it holds zero bytes only"
        };
        // A module may have an empty go.mod, not one of zeros.
        return (ending != ".mod" || !bytes.is_empty()).then(|| what.to_owned());
    }
    let text = String::from_utf8_lossy(&bytes);
    let wrong = match ending {
        ".info" => serde_json::from_slice::<serde_json::Value>(&bytes).is_err(),
        ".ziphash" => text.trim().parse::<H1>().is_err(),
        _ => text.trim_start().starts_with('<'),
    };
    wrong.then(|| "it is not what its name says".to_owned())
}

/// The extracted tree has the hash of the zip it was made from.
fn tree(place: &Place, modcache: &Path, hash: &H1, facts: &mut CacheFacts) {
    let (Ok(path), Ok(version)) = (
        gomod::escape::escape_path(&place.module),
        gomod::escape::escape_version(&place.version),
    ) else {
        return;
    };
    let root = modcache.join(format!("{path}@{version}"));
    if !root.is_dir() {
        return;
    }
    let prefix = format!("{}@{}", place.module, place.version);
    match hash_tree(&root, &prefix) {
        Some(own) if own == *hash => facts.trees_checked += 1,
        Some(own) => facts.damaged.push(Damage {
            kind: DamageKind::Tree,
            module: Some(place.module.clone()),
            version: Some(place.version.clone()),
            path: root.display().to_string(),
            detail: format!("the tree is {own}, the zip {hash}"),
        }),
        None => facts.partial = true,
    }
}

/// Files of a tree that are hashed; a larger one is passed over.
const TREE_FILES_MAX: usize = 5000;

fn hash_tree(root: &Path, prefix: &str) -> Option<H1> {
    let mut hasher = Hasher::default();
    let mut open = vec![root.to_owned()];
    let mut files = 0;
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).ok()? {
            let entry = entry.ok()?;
            let path = entry.path();
            if entry.file_type().ok()?.is_dir() {
                open.push(path);
                continue;
            }
            files += 1;
            let size = entry.metadata().ok()?.len();
            if files > TREE_FILES_MAX || size > ZIP_BYTES_MAX {
                return None;
            }
            let bytes = std::fs::read(&path).ok()?;
            let name = format!("{prefix}/{}", path.strip_prefix(root).ok()?.to_str()?);
            hasher.add(name, Sha256::digest(&bytes).into()).ok()?;
        }
    }
    Some(hasher.finish())
}

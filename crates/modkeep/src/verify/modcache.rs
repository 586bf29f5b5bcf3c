//! A module cache of the go command: which files it has, and their hashes.
//!
//! `cache/download/PATH/@v/VERSION.{mod,zip,ziphash}` and the extracted `PATH@VERSION`, both escaped.
//! Source of the rule: golang.org/ref/mod#module-cache.

use super::tree::Tree;
use super::{Bad, Claim, Found, Name, Reason, Sums, Unknown, What};
use crate::compare::hash_tree;
use gomod::escape::{unescape_path, unescape_version};
use gomod::h1::hash_mod;
use gomod::version::ModuleVersion;
use gomod::zip::{MAX_GO_MOD, hash_zip, verify_beside};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Zips below this size are worth one thread only.
const SHARED_MIN: u64 = 1 << 20;

/// The go command's own toolchains: it copies their `_go.mod` files to `go.mod` after extracting.
const TOOLCHAIN: &str = "golang.org/toolchain";

/// One version in the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    version: ModuleVersion,
    /// The download without its ending.
    base: PathBuf,
    /// Bytes of the zip, if it is there.
    zip: Option<u64>,
    go_mod: bool,
    /// The extracted tree, if it is there and complete.
    tree: Option<PathBuf>,
}

impl Cached {
    /// What it is called.
    pub fn name(&self) -> Name {
        (
            self.version.path().to_string(),
            self.version.version().to_string(),
        )
    }

    fn with(&self, ending: &str) -> PathBuf {
        with(&self.base, ending)
    }
}

/// All versions that have a file here, the largest first.
pub fn listed(root: &Path) -> std::io::Result<Vec<Cached>> {
    // A cache that is none at all is a mistake; one that lacks a part is not.
    fs::read_dir(root)?;
    let mut found = BTreeMap::new();
    downloads(root, &mut found);
    extracted(root, &mut found);
    let mut all: Vec<Cached> = found.into_values().collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.zip));
    Ok(all)
}

type ByName = BTreeMap<(String, String), Cached>;

fn downloads(root: &Path, found: &mut ByName) {
    let top = root.join("cache/download");
    let mut dirs = vec![top.clone()];
    while let Some(dir) = dirs.pop() {
        for (name, path) in subdirectories(&dir) {
            match name.as_str() {
                "@v" => versions(root, &top, &dir, &path, found),
                // Tiles of checksum databases lie there.
                "sumdb" if dir == top => {}
                _ => dirs.push(path),
            }
        }
    }
}

fn subdirectories(dir: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| Some((e.file_name().into_string().ok()?, e.path())))
        .collect()
}

/// The versions in one `@v`.
fn versions(root: &Path, top: &Path, dir: &Path, at: &Path, found: &mut ByName) {
    let Some(path) = dir.strip_prefix(top).ok().and_then(Path::to_str) else {
        return;
    };
    let names: BTreeSet<String> = fs::read_dir(at)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    for name in &names {
        let Some(number) = ["zip", "mod"]
            .iter()
            .find_map(|e| name.strip_suffix(e)?.strip_suffix('.'))
        else {
            continue;
        };
        if let Some(version) = parse(path, number) {
            let base = at.join(number);
            let has = |ending: &str| names.contains(&format!("{number}.{ending}"));
            let tree = root.join(format!("{path}@{number}"));
            // Extraction that was broken off is done again by the go command.
            let whole = !has("partial") && tree.is_dir();
            let zip = fs::metadata(with(&base, "zip")).ok().map(|m| m.len());
            let cached = Cached {
                version,
                base,
                zip,
                go_mod: has("mod"),
                tree: whole.then_some(tree),
            };
            found.insert((path.to_owned(), number.to_owned()), cached);
        }
    }
}

/// Extracted trees of which no download is left.
fn extracted(root: &Path, found: &mut ByName) {
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for (name, path) in subdirectories(&dir) {
            if name.contains('@') {
                alone(root, path, found);
            } else if dir != *root || name != "cache" {
                dirs.push(path);
            }
        }
    }
}

fn alone(root: &Path, tree: PathBuf, found: &mut ByName) {
    let inside = tree.strip_prefix(root).ok().and_then(Path::to_str);
    let Some((module, number)) = inside.and_then(|i| i.rsplit_once('@')) else {
        return;
    };
    let Some(version) = parse(module, number) else {
        return;
    };
    let downloads = root.join("cache/download").join(module).join("@v");
    let (base, key) = (
        downloads.join(number),
        (module.to_owned(), number.to_owned()),
    );
    found.entry(key).or_insert(Cached {
        version,
        base,
        zip: None,
        go_mod: false,
        tree: Some(tree),
    });
}

fn parse(path: &str, number: &str) -> Option<ModuleVersion> {
    let version = unescape_version(number).ok()?.as_version()?;
    ModuleVersion::new(unescape_path(path).ok()?, version).ok()
}

fn with(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Hashes all of them on all processors; `done` is called after each.
pub fn hash(all: &[Cached], sums: &Sums, done: &(impl Fn() + Sync)) -> Found {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    // A zip that would keep one thread busy when the others have ended is shared among all.
    let total: u64 = all.iter().filter_map(|c| c.zip).sum();
    let share = (total / (2 * threads as u64)).max(SHARED_MIN);
    let large = all.partition_point(|c| c.zip.unwrap_or(0) >= share);
    let (large, small) = all.split_at(large);
    let found = Mutex::new(Found::default());
    let put = |one: Found| {
        found
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(one);
        done();
    };
    for cached in large {
        put(one(cached, sums, threads));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(cached) = small.get(next.fetch_add(1, Ordering::Relaxed)) {
            put(one(cached, sums, 1));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // With fewer threads than wished for it takes longer, and that is all.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    found
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one(cached: &Cached, sums: &Sums, threads: usize) -> Found {
    let mut found = Found::default();
    let recorded = ziphash(cached, &mut found);
    let zip = cached
        .zip
        .and_then(|size| zip(cached, size, threads, &mut found));
    if let Some((h1, _)) = &zip {
        let file = cached.with("zip").display().to_string();
        let mut claim = claim(cached, What::Zip, h1.clone(), file);
        let beside = recorded.map(|h| (h, cached.with("ziphash").display().to_string()));
        if let Some((want, against)) = beside.clone().filter(|(want, _)| want != h1) {
            found.bad.push(Bad {
                name: cached.name(),
                what: What::Zip,
                want,
                got: h1.clone(),
                source: claim.source.clone(),
                against,
                line: None,
                detail: Vec::new(),
            });
        }
        claim.local = sums.get(&cached.name(), false).or(beside);
        found.claims.push(claim);
    }
    if let Some(tree) = &cached.tree {
        extracted_tree(cached, tree, zip, sums, &mut found);
    }
    if cached.go_mod {
        match read(&cached.with("mod"), MAX_GO_MOD) {
            Ok(bytes) => {
                let file = cached.with("mod").display().to_string();
                let mut claim = claim(cached, What::Mod, hash_mod(&bytes).to_string(), file);
                claim.local = sums.get(&cached.name(), true);
                found.claims.push(claim);
            }
            Err(why) => unreadable(cached, What::Mod, &cached.with("mod"), why, &mut found),
        }
    }
    found
}

/// What the go command wrote down about the zip. One that is missing is made anew by it.
fn ziphash(cached: &Cached, found: &mut Found) -> Option<String> {
    let file = cached.with("ziphash");
    let text = match read(&file, 1 << 10) {
        Ok(text) => String::from_utf8_lossy(&text).trim().to_owned(),
        Err(_) if !file.exists() => return None,
        Err(why) => {
            unreadable(cached, What::Zip, &file, why, found);
            return None;
        }
    };
    // The go command writes an empty one when the zip is not wanted, only the tree.
    (!text.is_empty()).then_some(text)
}

/// The hash of the zip, and how the extracted tree differs from it; nothing when it cannot be read.
fn zip(
    cached: &Cached,
    size: u64,
    threads: usize,
    found: &mut Found,
) -> Option<(String, Option<Vec<String>>)> {
    let file = cached.with("zip");
    let open = || File::open(&file);
    let toolchain = cached.version.path().as_str() == TOOLCHAIN;
    let checked = match &cached.tree {
        None => verify_beside(open, size, &cached.version, threads, &()).map(|c| (c.h1, None)),
        Some(root) => {
            let tree = Tree::new(root);
            verify_beside(open, size, &cached.version, threads, &tree).map(|checked| {
                let copied = |file: &Path| toolchain && is_copied_go_mod(file);
                let differing = tree.differences(copied).unwrap_or_else(|why| vec![why]);
                (checked.h1, Some(differing))
            })
        }
    };
    match checked {
        Ok((h1, differing)) => Some((h1.to_string(), differing)),
        // Old caches hold zips that break a later rule. Their hash says what they are.
        Err(error) => match open().map_err(Into::into).and_then(hash_zip) {
            Ok(h1) => Some((h1.to_string(), None)),
            Err(_) => {
                found.bad.push(Bad {
                    name: cached.name(),
                    what: What::Zip,
                    want: "a zip".into(),
                    got: error.to_string(),
                    source: file.display().to_string(),
                    against: "the go command".into(),
                    line: None,
                    detail: Vec::new(),
                });
                None
            }
        },
    }
}

fn is_copied_go_mod(file: &Path) -> bool {
    let original = file.with_file_name("_go.mod");
    file.file_name().is_some_and(|name| name == "go.mod")
        && matches!((fs::read(file), fs::read(original)), (Ok(a), Ok(b)) if a == b)
}

fn extracted_tree(
    cached: &Cached,
    tree: &Path,
    zip: Option<(String, Option<Vec<String>>)>,
    sums: &Sums,
    found: &mut Found,
) {
    let source = tree.display().to_string();
    let (zip, detail) = match zip {
        Some((h1, Some(differing))) if differing.is_empty() => {
            // Byte for byte the zip's, so of the same hash.
            let mut same = claim(cached, What::Dir, h1, source);
            same.local = sums.get(&cached.name(), false);
            return found.claims.push(same);
        }
        Some((h1, differing)) => (Some(h1), differing.unwrap_or_default()),
        None => (None, Vec::new()),
    };
    match hash_tree(tree, &cached.version) {
        Ok(h1) => {
            let mut differing = claim(cached, What::Dir, h1.to_string(), source);
            let zip = zip.map(|h1| (h1, cached.with("zip").display().to_string()));
            differing.local = sums.get(&cached.name(), false).or(zip);
            differing.detail = detail;
            found.claims.push(differing);
        }
        // More files than a module can have, or one that is no regular file: no hash, but bad.
        Err(why) => found.bad.push(Bad {
            name: cached.name(),
            what: What::Dir,
            want: zip.unwrap_or_else(|| "a module's files".into()),
            got: why,
            source,
            against: cached.with("zip").display().to_string(),
            line: None,
            detail,
        }),
    }
}

fn claim(cached: &Cached, what: What, got: String, source: String) -> Claim {
    Claim {
        name: cached.name(),
        what,
        go_mod: what == What::Mod,
        got,
        source,
        line: None,
        local: None,
        detail: Vec::new(),
    }
}

fn unreadable(cached: &Cached, what: What, file: &Path, why: String, found: &mut Found) {
    found.unknown.push(Unknown {
        name: cached.name(),
        what,
        reason: Reason::Unreadable,
        source: file.display().to_string(),
        line: None,
        why,
    });
}

fn read(file: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|e| e.to_string())?;
    opened
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    match bytes.len() as u64 > limit {
        true => Err(format!("larger than {limit} bytes")),
        false => Ok(bytes),
    }
}

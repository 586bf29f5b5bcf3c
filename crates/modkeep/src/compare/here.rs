//! Sources that lie on this machine: go.sum, the module cache, modkeep's own store.

use super::{Answer, Asked, hex};
use crate::boot::Links;
use doctor::compare::{Kind, Source};
use gomod::gosum::{GoSum, Line};
use gomod::h1::{H1, Hasher, hash_mod};
use gomod::version::ModuleVersion;
use gomod::zip::{MAX_GO_MOD, MAX_ZIP_FILE};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use store::{FileKey, Kept, Store};
use tokio::time::Instant;
use upstream::{Encoding, Reach};

/// A go.sum larger than this is not read.
const GO_SUM_BYTES_MAX: u64 = 64 << 20;

/// Files of an extracted module: as many as a zip may have entries.
const ENTRIES_MAX: usize = 250_000;

/// An answer of a modkeep's API is some KiB.
const API_BYTES_MAX: usize = 1 << 20;

/// Everything here.
pub async fn asked(asked: &Asked, scratch: &Path) -> Vec<Answer> {
    let mut answers: Vec<Answer> = go_sums(asked).into_iter().map(Answer::from).collect();
    answers.extend(cache(asked));
    match (&asked.server, &asked.store) {
        (Some(server), _) => answers.push(served(server, &asked.version, asked).await.into()),
        (None, Some(dir)) => answers.push(stored(dir, &asked.version, scratch)),
        (None, None) => {}
    }
    answers
}

/// The lines of each go.sum that counts here; one source for each different statement.
fn go_sums(asked: &Asked) -> Vec<Source> {
    let mut sources = Vec::new();
    for file in asked.env.go_sums() {
        let name = file
            .file_name()
            .map_or("go.sum".into(), |n| n.to_string_lossy());
        match read(&file, GO_SUM_BYTES_MAX) {
            Ok(None) => {}
            Err(why) => sources.push(Source::new(name, Kind::GoSum).without(why, true)),
            Ok(Some(bytes)) => match GoSum::parse(&name, &bytes) {
                Ok(sums) => sources.extend(lines(&name, &sums, &asked.version)),
                Err(e) => sources.push(Source::new(name, Kind::GoSum).without(e.to_string(), true)),
            },
        }
    }
    if sources.is_empty() {
        sources.push(Source::new("go.sum", Kind::GoSum).without("no line for this version", false));
    }
    sources
}

fn lines(name: &str, sums: &GoSum, version: &ModuleVersion) -> Vec<Source> {
    let (path, number) = (version.path().as_str(), version.version().as_str());
    let mut sources: Vec<Source> = Vec::new();
    for go_mod in [false, true] {
        let mut seen: Vec<&str> = Vec::new();
        for line in sums.find(path, number, go_mod).filter(|l| l.is_known()) {
            if seen.contains(&line.text.as_str()) {
                continue;
            }
            put(&mut sources, name, line, seen.len());
            seen.push(&line.text);
        }
    }
    sources
}

/// Puts the statement of a line beside that of the other file of the same rank.
fn put(sources: &mut Vec<Source>, name: &str, line: &Line, rank: usize) {
    if sources.len() <= rank {
        sources.push(Source::new(format!("{name}:{}", line.number), Kind::GoSum));
    }
    if let Some(source) = sources.get_mut(rank) {
        let slot = if line.go_mod {
            &mut source.gomod
        } else {
            &mut source.h1
        };
        *slot = Some(line.text.clone());
    }
}

/// The module cache's zip, its recorded hash, and the extracted tree, each on its own.
fn cache(asked: &Asked) -> Vec<Answer> {
    let missing = |why: &str| {
        vec![
            Source::new("module cache", Kind::Cache)
                .without(why, false)
                .into(),
        ]
    };
    let Some(root) = asked.env.modcache() else {
        return missing("there is none");
    };
    let version = &asked.version;
    let (base, tree) = cached_files(&root, version);
    let mut answers = Vec::new();
    let zip = with(&base, "zip");
    if zip.is_file() {
        answers.push(cached_zip(&zip, &base));
    } else if let Ok(Some(go_mod)) = read(&with(&base, "mod"), MAX_GO_MOD) {
        let mut source = Source::new("module cache", Kind::Cache).without("only its .mod", false);
        source.gomod = Some(hash_mod(&go_mod).to_string());
        answers.push(source.into());
    }
    if let Ok(Some(text)) = read(&with(&base, "ziphash"), 1 << 10) {
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let mut source = Source::new("module cache (.ziphash)", Kind::Cache);
        match text.parse::<H1>() {
            Ok(h1) => source.h1 = Some(h1.to_string()),
            Err(_) => source = source.without("its .ziphash is damaged", true),
        }
        answers.push(source.into());
    }
    if tree.is_dir() {
        let mut source = Source::new("module cache (extracted)", Kind::Cache);
        match hash_tree(&tree, version) {
            Ok(h1) => source.h1 = Some(h1.to_string()),
            Err(why) => source = source.without(why, true),
        }
        answers.push(source.into());
    }
    if answers.is_empty() {
        missing("not in the cache")
    } else {
        answers
    }
}

/// Where a version lies in a module cache: the download without its ending, and the extracted tree.
fn cached_files(root: &Path, version: &ModuleVersion) -> (PathBuf, PathBuf) {
    let (path, number) = (version.path().escaped(), version.version().escaped());
    (
        root.join("cache/download")
            .join(&path)
            .join("@v")
            .join(&number),
        root.join(format!("{path}@{number}")),
    )
}

/// A path with an ending behind it: versions have dots of their own.
fn with(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn cached_zip(zip: &Path, base: &Path) -> Answer {
    let mut source = Source::new("module cache", Kind::Cache);
    if let Ok(Some(go_mod)) = read(&with(base, "mod"), MAX_GO_MOD) {
        source.gomod = Some(hash_mod(&go_mod).to_string());
    }
    let hashed = File::open(zip)
        .map_err(|e| e.to_string())
        .and_then(|mut file| {
            let sha256 = sha256(&mut file).map_err(|e| e.to_string())?;
            let h1 = gomod::zip::hash_zip(file).map_err(|e| e.to_string())?;
            Ok((h1, sha256))
        });
    match hashed {
        Ok((h1, sha256)) => {
            (source.h1, source.zip_sha256) = (Some(h1.to_string()), Some(hex(&sha256)));
            Answer {
                source,
                zip: Some(zip.to_owned()),
            }
        }
        Err(why) => source.without(format!("its zip: {why}"), true).into(),
    }
}

/// The hash of an extracted tree, as Go's dirhash.HashDir gives it.
pub fn hash_tree(root: &Path, version: &ModuleVersion) -> Result<H1, String> {
    let (mut dirs, mut hasher) = (vec![root.to_owned()], Hasher::default());
    let (mut entries, mut bytes) = (0, 0);
    while let Some(dir) = dirs.pop() {
        let shown = |e: std::io::Error| format!("{}: {e}", dir.display());
        for entry in fs::read_dir(&dir).map_err(shown)? {
            let entry = entry.map_err(shown)?;
            entries += 1;
            if entries > ENTRIES_MAX {
                return Err(format!("more than {ENTRIES_MAX} files"));
            }
            let (kind, path) = (entry.file_type().map_err(shown)?, entry.path());
            if kind.is_dir() {
                dirs.push(path);
                continue;
            }
            if !kind.is_file() {
                return Err(format!("{}: not a regular file", path.display()));
            }
            bytes += entry.metadata().map_err(shown)?.len();
            if bytes > MAX_ZIP_FILE {
                return Err(format!("more than {MAX_ZIP_FILE} bytes"));
            }
            let inside = path.strip_prefix(root).map_err(|e| e.to_string())?;
            let name = format!(
                "{version}/{}",
                inside.to_str().ok_or("a name that is not UTF-8")?
            );
            let mut file = File::open(&path).map_err(shown)?;
            let sum = sha256(&mut file).map_err(shown)?;
            hasher.add(name, sum).map_err(|e| e.to_string())?;
        }
    }
    Ok(hasher.finish())
}

fn sha256(file: &mut File) -> std::io::Result<[u8; 32]> {
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.finalize().into()),
            n => sum.update(&buffer[..n]),
        }
    }
}

/// What this machine's own modkeep kept.
fn stored(dir: &Path, version: &ModuleVersion, scratch: &Path) -> Answer {
    let source = Source::new("modkeep's store", Kind::Store);
    let store = match Store::open(dir) {
        Ok(store) => store,
        Err(e) => return source.without(e.to_string(), true).into(),
    };
    let key = |kind| FileKey {
        module: version.path().clone(),
        version: version.version().clone(),
        kind,
    };
    let hash = |kind| {
        store
            .meta(&key(kind))
            .ok()
            .flatten()
            .and_then(|m| m.h1)
            .map(|h| H1(h).to_string())
    };
    let mut source = source;
    (source.h1, source.gomod) = (hash(store::Kind::Zip), hash(store::Kind::Mod));
    if source.h1.is_none() && source.gomod.is_none() {
        return source.without("not kept here", false).into();
    }
    let bytes = match store.file(&key(store::Kind::Zip)) {
        Ok(Some(Kept::Small(bytes, _))) => Some(bytes),
        Ok(Some(Kept::Blob(blob, _))) => blob.read_all().ok(),
        _ => None,
    };
    let zip = scratch.join("store.zip");
    let written = bytes.filter(|bytes| fs::write(&zip, bytes).is_ok());
    if let Some(bytes) = &written {
        source.zip_sha256 = Some(hex(&Sha256::digest(bytes)));
    }
    Answer {
        source,
        zip: written.map(|_| zip),
    }
}

/// What a running modkeep kept.
async fn served(server: &str, version: &ModuleVersion, asked: &Asked) -> Source {
    let source = Source::new(format!("modkeep at {server}"), Kind::Store);
    match report(server, version, asked).await {
        Ok(files) => {
            let mut source = source;
            (source.h1, source.gomod) = (hash_in(&files, ".zip"), hash_in(&files, ".mod"));
            match source.h1.is_none() && source.gomod.is_none() {
                true => source.without("not kept there", false),
                false => source,
            }
        }
        Err(why) => source.without(why, true),
    }
}

fn hash_in(report: &Value, file: &str) -> Option<String> {
    let files = report.get("files")?.as_array()?;
    let found = files.iter().find(|f| {
        f.get("file")
            .and_then(Value::as_str)
            .is_some_and(|n| n.ends_with(&file[1..]))
    })?;
    let h1: H1 = found.get("h1")?.as_str()?.parse().ok()?;
    Some(h1.to_string())
}

async fn report(server: &str, version: &ModuleVersion, asked: &Asked) -> Result<Value, String> {
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let settings = asked
        .env
        .settings(scratch.path(), "direct")
        .map_err(|e| e.to_string())?;
    let links = Links::new(&settings).map_err(|e| e.to_string())?;
    let url = format!(
        "{}/-/api/v1/versions/{version}",
        server.trim_end_matches('/')
    );
    let url = url::Url::parse(&url).map_err(|e| format!("{server}: {e}"))?;
    let deadline = Instant::now() + asked.patience;
    let answer = links
        .net()
        .get(&url, Reach::Named(&url), Encoding::Any, deadline)
        .await;
    let mut answer = answer.map_err(|f| f.to_string())?;
    let (status, mut body) = (answer.status().as_u16(), Vec::new());
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(deadline, answer.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() > API_BYTES_MAX {
            return Err("its answer is too long".into());
        }
    }
    match status {
        200 => serde_json::from_slice(&body).map_err(|e| e.to_string()),
        status => Err(format!("it answered {status}")),
    }
}

/// A whole file of at most `limit` bytes; `None` when there is none.
fn read(file: &Path, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let shown = |e: std::io::Error| format!("{}: {e}", file.display());
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(shown(e)),
    };
    let mut bytes = Vec::new();
    opened
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(shown)?;
    match bytes.len() as u64 > limit {
        true => Err(format!("{}: larger than {limit} bytes", file.display())),
        false => Ok(Some(bytes)),
    }
}

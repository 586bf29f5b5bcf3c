//! The checksum database's part of a bundle: what the go command will ask of it, complete.
//!
//! The go command keeps each answer as it came, with the head of that moment. A later reader asks in
//! another order and would need proofs between heads that nobody fetched, so every record is given
//! the newest head, and the tiles that prove it there are made complete.

use crate::exit::Failed;
use crate::goenv::GoEnv;
use bytes::Bytes;
use gomod::escape::{unescape_path, unescape_version};
use gomod::pattern::Patterns;
use std::path::{Path, PathBuf};
use tlog::client::{SignedHead, Step, Supply, Verifier};
use tlog::record::Record;
use tokio::time::{Duration, Instant};
use upstream::{Encoding, Net, Reach};
use url::Url;

/// Files of one bundle: some five for each module version.
const FILES_MAX: usize = 1_000_000;

/// An answer, or a tile of hashes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Time for each tile that is still to be fetched.
const TILE_TIME: Duration = Duration::from_secs(30);

/// Completes `tree/sumdb/NAME`; gives the number of records that are in it. `front` is asked for
/// what is missing: the go command has asked for no record that go.sum made needless.
pub async fn complete(
    tree: &Path,
    env: &GoEnv,
    net: &Net,
    front: Option<&str>,
) -> Result<usize, Failed> {
    let Some(setting) = env.sumdb() else {
        return Ok(0);
    };
    let dir = tree.join("sumdb").join(setting.verifier.name());
    let private = Patterns::parse(&env.no_sumdb()).unwrap_or_default();
    let route = Route {
        dir: &dir,
        net,
        front,
        name: setting.verifier.name(),
    };
    for version in versions(tree, &private)? {
        let path = format!("lookup/{version}");
        if !dir.join(&path).is_file() {
            // A version without a record is one that only go.sum vouches for.
            route.fetch(&path).await?;
        }
    }
    let lookups = files(&dir.join("lookup"))?;
    if lookups.is_empty() {
        return Ok(0);
    }
    let verifier = &setting.verifier;
    let mut answers = Vec::new();
    let mut newest: Option<SignedHead> = None;
    for file in &lookups {
        let bytes = read(file)?;
        let wrong = |e: &dyn std::fmt::Display| Failed::unknown(format!("{}: {e}", file.display()));
        let (record, note) = Record::parse(&bytes).map_err(|e| wrong(&e))?;
        let head = verifier.open_head(note).map_err(|e| wrong(&e))?;
        if newest
            .as_ref()
            .is_none_or(|n| n.tree().size < head.tree().size)
        {
            newest = Some(head);
        }
        answers.push((
            file,
            format!("{}\n{}\n", record.id, record.text).into_bytes(),
        ));
    }
    let Some(newest) = newest else { return Ok(0) };
    for (file, mut answer) in answers {
        answer.extend_from_slice(newest.note());
        route.prove(verifier, &dir, file, &answer).await?;
        write(file, &answer)?;
    }
    write(&dir.join("latest"), newest.note())?;
    write(&dir.join("supported"), b"")?;
    Ok(lookups.len())
}

/// Where tiles come from: the bundle, else the front.
struct Route<'a> {
    dir: &'a Path,
    net: &'a Net,
    front: Option<&'a str>,
    name: &'a str,
}

impl Route<'_> {
    /// Proves one answer with the bundle's tiles, fetching those that are missing.
    async fn prove(
        &self,
        verifier: &Verifier,
        dir: &Path,
        file: &Path,
        answer: &[u8],
    ) -> Result<(), Failed> {
        let named = file
            .strip_prefix(dir.join("lookup"))
            .ok()
            .and_then(Path::to_str)
            .unwrap_or_default();
        let wrong = |e: &dyn std::fmt::Display| Failed::unknown(format!("{named}: {e}"));
        let (path, version) = named
            .rsplit_once('@')
            .ok_or_else(|| wrong(&"not a lookup"))?;
        let module = unescape_path(path).map_err(|e| wrong(&e))?;
        let version = unescape_version(version).map_err(|e| wrong(&e))?;
        let session = verifier.lookup(None, module.as_str(), version.as_str(), answer);
        let mut session = session.map_err(|e| wrong(&e))?;
        loop {
            match session.step().map_err(|e| wrong(&e))? {
                Step::Done(_) => return Ok(()),
                Step::Need(requests) => {
                    for wanted in requests {
                        let path = wanted.tile.path();
                        let kept = if wanted.fresh {
                            None
                        } else {
                            read(&self.dir.join(&path)).ok()
                        };
                        let supply = match kept {
                            Some(bytes) => Supply::Kept(Bytes::from(bytes)),
                            None => self.fetch(&path).await?,
                        };
                        session.supply(wanted.tile, supply);
                    }
                }
            }
        }
    }

    async fn fetch(&self, path: &str) -> Result<Supply, Failed> {
        let Some(front) = self.front else {
            return Ok(Supply::NotFound);
        };
        let url = format!("{front}/sumdb/{}/{path}", self.name);
        let url = Url::parse(&url).map_err(Failed::unknown)?;
        let deadline = Instant::now() + TILE_TIME;
        let answer = self
            .net
            .get(&url, Reach::Named(&url), Encoding::Identity, deadline)
            .await;
        let mut answer = answer.map_err(Failed::unknown)?;
        if answer.status().as_u16() != 200 {
            return Ok(Supply::NotFound);
        }
        let mut body = Vec::new();
        while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(deadline, answer.chunk()).await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > ANSWER_BYTES_MAX {
                return Ok(Supply::NotFound);
            }
        }
        write(&self.dir.join(path), &body)?;
        Ok(Supply::Fetched(Bytes::from(body)))
    }
}

/// `M@V`, escaped, of every go.mod in a proxy tree that a checksum database may be asked about.
fn versions(tree: &Path, private: &Patterns) -> Result<Vec<String>, Failed> {
    let named = |file: PathBuf| -> Option<String> {
        let inside = file.strip_prefix(tree).ok()?.to_str()?;
        let (path, name) = inside.split_once("/@v/")?;
        let module = unescape_path(path).ok()?;
        let version = name
            .strip_suffix(".mod")
            .filter(|_| !private.matches(module.as_str()))?;
        Some(format!("{path}@{version}"))
    };
    Ok(files(tree)?.into_iter().filter_map(named).collect())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, Failed> {
    let (mut dirs, mut found) = (vec![dir.to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
            if found.len() > FILES_MAX {
                return Err(Failed::unknown(format!(
                    "{}: more than {FILES_MAX} files",
                    dir.display()
                )));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::unknown(format!("{}: {e}", file.display()));
    let size = std::fs::metadata(file).map_err(|e| wrong(&e))?.len();
    match size > ANSWER_BYTES_MAX {
        true => Err(wrong(&"too large")),
        false => std::fs::read(file).map_err(|e| wrong(&e)),
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let wrong = |e: std::io::Error| Failed::unknown(format!("{}: {e}", file.display()));
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(wrong)?;
    }
    std::fs::write(file, bytes).map_err(wrong)
}

//! What came without proof while the checksum database was switched off, and whether it was right.
//!
//! The module cache says what came, whichever way it took: a `.ziphash` or `.mod` that was not
//! there before. What go.sum already named was proved by it and is left out; what is private was
//! never asked about and is left out too.

use crate::boot;
use crate::exit::Failed;
use crate::goenv::GoEnv;
use gomod::escape::{unescape_path, unescape_version};
use gomod::gosum::GoSum;
use gomod::h1::{H1, hash_mod};
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use keep::{Keep, Sums};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tlog::record::SumOf;

/// Entries of a module cache that are looked at: the largest have some hundred thousand.
const ENTRIES_MAX: usize = 2_000_000;

/// A `.ziphash` has 47 bytes, a `.mod` at most 16 MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file's time is that of the kernel's last tick, not of the write.
const TICK: Duration = Duration::from_secs(1);

/// How things stood before the command.
#[derive(Debug)]
pub struct Snapshot {
    started: SystemTime,
    cache: Option<PathBuf>,
    known: BTreeSet<(String, String, bool)>,
    private: Patterns,
}

/// A version that came without proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The module.
    pub module: String,
    /// The version.
    pub version: String,
    /// Its zip's go.sum hash, when the zip came.
    pub h1: Option<String>,
    /// Its go.mod's go.sum hash, when that came.
    pub gomod: Option<String>,
}

/// What the checksum database says of what came.
#[derive(Debug, Default)]
pub struct Checked {
    /// Versions that are as recorded.
    pub proved: usize,
    /// Those that are not: the version, what came, what is recorded.
    pub bad: Vec<(Recorded, String, String)>,
    /// Those it has no record of.
    pub unknown: Vec<Recorded>,
    /// Those it could not be asked about, and why.
    pub open: Vec<(Recorded, String)>,
}

impl Snapshot {
    /// Remembers what go.sum proves already.
    pub fn take(env: &GoEnv) -> Self {
        let mut known = BTreeSet::new();
        for file in env.go_sums() {
            let sums = std::fs::read(&file)
                .ok()
                .and_then(|b| GoSum::parse("go.sum", &b).ok());
            for line in sums.iter().flat_map(GoSum::lines) {
                known.insert((line.path.clone(), line.version.clone(), line.go_mod));
            }
        }
        Self {
            started: SystemTime::now() - TICK,
            cache: env.modcache().map(|dir| dir.join("cache/download")),
            known,
            private: Patterns::parse(&env.no_sumdb()).unwrap_or_default(),
        }
    }

    /// What came since.
    pub fn came(&self) -> Vec<Recorded> {
        let mut came: BTreeMap<(String, String), Recorded> = BTreeMap::new();
        for file in self.new_files() {
            let Some((version, go_mod, hash)) = self.read(&file) else {
                continue;
            };
            let (module, number) = (version.path().to_string(), version.version().to_string());
            let wanted = !self.private.matches(&module)
                && !self
                    .known
                    .contains(&(module.clone(), number.clone(), go_mod));
            if !wanted {
                continue;
            }
            let entry = came
                .entry((module.clone(), number.clone()))
                .or_insert(Recorded {
                    module,
                    version: number,
                    h1: None,
                    gomod: None,
                });
            *(if go_mod {
                &mut entry.gomod
            } else {
                &mut entry.h1
            }) = Some(hash);
        }
        came.into_values().collect()
    }

    fn new_files(&self) -> Vec<PathBuf> {
        let (mut dirs, mut found) = (Vec::from_iter(self.cache.clone()), Vec::new());
        let mut entries = 0;
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                entries += 1;
                if entries > ENTRIES_MAX {
                    return found;
                }
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                let path = entry.path();
                if kind.is_dir() {
                    dirs.push(path);
                } else if kind.is_file() && self.is_new_sum(&path) {
                    found.push(path);
                }
            }
        }
        found
    }

    fn is_new_sum(&self, path: &Path) -> bool {
        let kind = path
            .extension()
            .is_some_and(|e| e == "ziphash" || e == "mod");
        let new = |m: std::fs::Metadata| {
            m.len() <= FILE_BYTES_MAX && m.modified().is_ok_and(|t| t >= self.started)
        };
        kind && std::fs::metadata(path).is_ok_and(new)
    }

    fn read(&self, file: &Path) -> Option<(ModuleVersion, bool, String)> {
        let inside = file.strip_prefix(self.cache.as_ref()?).ok()?.to_str()?;
        let (path, name) = inside.split_once("/@v/")?;
        let (number, kind) = name.rsplit_once('.')?;
        let version = unescape_version(number).ok()?.as_version()?;
        let version = ModuleVersion::new(unescape_path(path).ok()?, version).ok()?;
        let bytes = std::fs::read(file).ok()?;
        let hash = match kind {
            "mod" => hash_mod(&bytes).to_string(),
            _ => std::str::from_utf8(&bytes)
                .ok()?
                .trim()
                .parse::<H1>()
                .ok()?
                .to_string(),
        };
        Some((version, kind == "mod", hash))
    }
}

/// Asks the checksum database of these settings about what came, with proofs.
pub async fn check(env: &GoEnv, came: Vec<Recorded>) -> Result<Checked, Failed> {
    let mut checked = Checked::default();
    if env.sumdb().is_none() {
        let why = format!("GOSUMDB={} names no checksum database", env.get("GOSUMDB"));
        checked.open = came.into_iter().map(|r| (r, why.clone())).collect();
        return Ok(checked);
    }
    let data = tempfile::tempdir().map_err(Failed::unknown)?;
    let keep = boot::keep(&env.settings(data.path(), env.get("GOPROXY"))?)?;
    for recorded in came {
        ask(&keep, recorded, &mut checked).await;
    }
    Ok(checked)
}

async fn ask(keep: &Keep, recorded: Recorded, checked: &mut Checked) {
    let name = format!("{}@{}", recorded.module, recorded.version);
    let Ok(version) = ModuleVersion::parse(&name) else {
        checked
            .open
            .push((recorded, "not a version of a module".into()));
        return;
    };
    let sums = match keep.sums(version.path(), version.version().as_str()).await {
        Sums::Known(sums) => sums,
        Sums::Unknown => return checked.unknown.push(recorded),
        Sums::NotAsked => {
            return checked
                .open
                .push((recorded, "it is private by these settings".into()));
        }
        Sums::Unavailable(why) => return checked.open.push((recorded, why)),
    };
    for (of, found) in [(SumOf::Zip, &recorded.h1), (SumOf::GoMod, &recorded.gomod)] {
        let Some(found) = found else { continue };
        if sums.check(of, found).is_err() {
            let want = sums.h1(of).unwrap_or("no hash of this file").to_owned();
            checked.bad.push((recorded.clone(), found.clone(), want));
            return;
        }
    }
    checked.proved += 1;
}

//! The lines of go.sum files.

use super::{Bad, Claim, Found, Name, Reason, Unknown, What};
use crate::exit::Failed;
use gomod::gosum::{GoSum, Line};
use gomod::version::ModuleVersion;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A go.sum larger than this is not one.
const BYTES_MAX: u64 = 64 << 20;

/// What go.sum files say, for others to be held against: the hash, and where it stands.
#[derive(Debug, Default)]
pub struct Sums(HashMap<(Name, bool), (String, String)>);

impl Sums {
    /// The hash of a zip or `.mod`, and where it was read.
    pub fn get(&self, name: &Name, go_mod: bool) -> Option<(String, String)> {
        self.0.get(&(name.clone(), go_mod)).cloned()
    }
}

/// Reads the go.sum (and go.work.sum) in a directory, or the file itself. `None`: there is none.
pub fn read(path: &Path) -> Result<Option<(Found, Sums)>, Failed> {
    let files: Vec<PathBuf> = match path.is_dir() {
        true => ["go.sum", "go.work.sum"]
            .iter()
            .map(|name| path.join(name))
            .filter(|file| file.is_file())
            .collect(),
        false => vec![path.to_owned()],
    };
    if files.is_empty() {
        return Ok(None);
    }
    let (mut found, mut sums) = (Found::default(), Sums::default());
    for file in files {
        // As people write it: without the `./` that joining makes.
        let shown = file
            .strip_prefix(".")
            .unwrap_or(&file)
            .display()
            .to_string();
        let parsed =
            GoSum::parse(&shown, &bytes(&file)?).map_err(|e| Failed::usage(e.to_string()))?;
        for line in parsed.lines() {
            take(line, &shown, &mut found, &mut sums);
        }
    }
    Ok(Some((found, sums)))
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failed> {
    let wrong = |e: std::io::Error| Failed::usage(format!("{}: {e}", file.display()));
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(wrong)?;
    opened
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    Ok(bytes)
}

fn take(line: &Line, file: &str, found: &mut Found, sums: &mut Sums) {
    let name: Name = (line.path.clone(), line.version.clone());
    let source = format!("{file}:{}", line.number);
    if !line.is_known() {
        return found.unknown.push(Unknown {
            name,
            what: What::GoSum,
            reason: Reason::Algorithm,
            source,
            line: Some(line.number),
            why: "only h1: hashes are known; the go command passes over this line".into(),
        });
    }
    let named = ModuleVersion::parse(&format!("{}@{}", line.path, line.version));
    let want = match (named, line.hash()) {
        (Err(e), _) => Some(format!("a version of a module ({e})")),
        (_, None) => Some("h1: and 32 bytes in base64".into()),
        _ => None,
    };
    if let Some(want) = want {
        return found.bad.push(Bad {
            name,
            what: What::GoSum,
            want,
            got: line.text.clone(),
            source: source.clone(),
            against: "the go command".into(),
            line: Some(line.number),
            detail: Vec::new(),
        });
    }
    sums.0
        .entry((name.clone(), line.go_mod))
        .or_insert_with(|| (line.text.clone(), source.clone()));
    found.claims.push(Claim {
        name,
        what: What::GoSum,
        go_mod: line.go_mod,
        got: line.text.clone(),
        source,
        line: Some(line.number),
        local: None,
        detail: Vec::new(),
    });
}

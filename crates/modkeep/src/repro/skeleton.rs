//! The files of a project that say what is pulled, and nothing else of it.

use crate::exit::Failed;
use crate::goenv::GoEnv;
use gomod::modfile::ModFile;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

/// A file that says what is pulled is at most this large; go.sum files of large projects have 1 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Modules of one workspace, and local replacements.
const MODULES_MAX: usize = 10_000;

/// A project without its code.
#[derive(Debug, Default)]
pub struct Skeleton {
    /// Files by their path below the common root, with `/`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Where the go command runs, below the root.
    pub work: String,
    /// Whether there is a go.work, and where.
    pub go_work: Option<String>,
    /// What makes a pull depend on this machine.
    pub warnings: Vec<String>,
}

impl Skeleton {
    /// Reads the project of the current directory.
    pub fn read(env: &GoEnv) -> Result<Self, Failed> {
        let mut skeleton = Self::default();
        let (go_mod, go_work) = (env.get("GOMOD"), env.get("GOWORK"));
        let in_work = !matches!(go_work, "" | "off");
        let in_module = Path::new(go_mod).is_absolute() && go_mod != "/dev/null";
        if !in_work && !in_module {
            return Err(Failed::usage(
                "no go.mod here: run it in a project's directory",
            ));
        }
        let mut dirs = BTreeSet::new();
        if in_work {
            let dir = parent(Path::new(go_work))?;
            let edit = edit(&["work", "edit", "-json", go_work])?;
            for used in list(&edit, "Use").filter_map(|u| u.get("DiskPath")?.as_str()) {
                dirs.insert(normal(&dir.join(used)));
            }
            let new = list(&edit, "Replace").filter_map(|r| {
                Some((r.pointer("/New/Path")?.as_str()?, r.pointer("/New/Version")))
            });
            for (path, _) in new.filter(|(path, version)| version.is_none() && is_local(path)) {
                skeleton.local(&dir, path, &mut dirs);
            }
        } else {
            dirs.insert(normal(&parent(Path::new(go_mod))?));
        }
        let mains: Vec<PathBuf> = dirs.iter().cloned().collect();
        for dir in mains {
            for target in replaced(&dir)? {
                skeleton.local(&dir, &target, &mut dirs);
            }
        }
        if dirs.len() > MODULES_MAX {
            return Err(Failed::usage(format!(
                "more than {MODULES_MAX} modules in one project"
            )));
        }
        if in_work {
            dirs.insert(normal(&parent(Path::new(go_work))?));
        }
        skeleton.fill(&dirs, env)?;
        Ok(skeleton)
    }

    /// A replacement by a directory: its go.mod belongs to the pull.
    fn local(&mut self, dir: &Path, target: &str, dirs: &mut BTreeSet<PathBuf>) {
        self.warnings.push(format!(
            "replace => {target}: a directory of this machine; its code is in no lock and no bundle"
        ));
        dirs.insert(normal(&dir.join(target)));
    }

    fn fill(&mut self, dirs: &BTreeSet<PathBuf>, env: &GoEnv) -> Result<(), Failed> {
        let root = common(dirs);
        let in_root = |path: &Path| -> String {
            let parts = path.strip_prefix(&root).unwrap_or(path).components();
            parts
                .map(|p| p.as_os_str().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join("/")
        };
        for dir in dirs {
            for name in ["go.mod", "go.sum", "go.work", "go.work.sum"] {
                let file = dir.join(name);
                if name.starts_with("go.work") && Path::new(env.get("GOWORK")).parent() != Some(dir)
                {
                    continue;
                }
                if let Some(bytes) = read(&file)? {
                    self.files.insert(in_root(&file), bytes);
                }
            }
        }
        let go_work = Path::new(env.get("GOWORK"));
        self.go_work = go_work.is_absolute().then(|| in_root(go_work));
        let beside = if go_work.is_absolute() {
            go_work
        } else {
            Path::new(env.get("GOMOD"))
        };
        self.work = in_root(&parent(beside)?);
        Ok(())
    }

    /// SHA-256 of each file.
    pub fn sums(&self) -> BTreeMap<String, String> {
        let sum = |bytes: &Vec<u8>| {
            Sha256::digest(bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect()
        };
        self.files
            .iter()
            .map(|(name, bytes)| (name.clone(), sum(bytes)))
            .collect()
    }

    /// Writes the files below a directory.
    pub fn write(&self, root: &Path) -> Result<(), Failed> {
        for (name, bytes) in &self.files {
            let file = root.join(name);
            let wrong = |e: std::io::Error| Failed::unknown(format!("{}: {e}", file.display()));
            if let Some(dir) = file.parent() {
                std::fs::create_dir_all(dir).map_err(wrong)?;
            }
            std::fs::write(&file, bytes).map_err(wrong)?;
        }
        Ok(())
    }
}

/// Directories that a go.mod replaces modules by.
fn replaced(dir: &Path) -> Result<Vec<String>, Failed> {
    let Some(bytes) = read(&dir.join("go.mod"))? else {
        return Err(Failed::usage(format!("{}: no go.mod", dir.display())));
    };
    let shown = dir.join("go.mod").display().to_string();
    let parsed =
        ModFile::parse_strict(&shown, &bytes).map_err(|e| Failed::usage(e.mistakes.join("\n")))?;
    let local = parsed
        .replace
        .into_iter()
        .filter(|r| r.new_version.is_none() && is_local(&r.new));
    Ok(local.map(|r| r.new).collect())
}

fn is_local(path: &str) -> bool {
    path.starts_with("./")
        || path.starts_with("../")
        || path.starts_with('/')
        || matches!(path, "." | "..")
}

/// What `go ... edit -json` says of a file.
fn edit(args: &[&str]) -> Result<Value, Failed> {
    let output = Command::new("go")
        .args(args)
        .env("GOTOOLCHAIN", "local")
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|e| Failed::unknown(format!("go: {e}")))?;
    match output.status.success() {
        true => serde_json::from_slice(&output.stdout).map_err(Failed::unknown),
        false => Err(Failed::usage(
            String::from_utf8_lossy(&output.stderr).trim(),
        )),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice)
        .iter()
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::unknown(format!("{}: {e}", file.display()));
    match std::fs::metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(wrong(&e)),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return Err(wrong(&format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        Ok(_) => {}
    }
    std::fs::read(file).map(Some).map_err(|e| wrong(&e))
}

fn parent(file: &Path) -> Result<PathBuf, Failed> {
    file.parent()
        .map(Path::to_owned)
        .ok_or_else(|| Failed::usage("no go.mod here: run it in a project's directory"))
}

/// The path without `.` and `..`, by its words alone, as the go command reads replacements.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

/// The deepest directory above all.
fn common(dirs: &BTreeSet<PathBuf>) -> PathBuf {
    let mut dirs = dirs.iter();
    let mut root = dirs.next().cloned().unwrap_or_default();
    for dir in dirs {
        while !dir.starts_with(&root) && root.pop() {}
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_by_their_words() {
        assert_eq!(normal(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
        let dirs = ["/a/b/main", "/a/b/lib", "/a/c"].map(PathBuf::from);
        assert_eq!(common(&BTreeSet::from(dirs)), Path::new("/a"));
        assert_eq!(
            common(&BTreeSet::from([PathBuf::from("/a/b")])),
            Path::new("/a/b")
        );
        assert!(is_local("../x") && is_local("/x") && !is_local("x.example/y"));
    }
}

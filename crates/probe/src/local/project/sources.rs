//! The walk over a module's sources.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use doctor::facts::Import;

use super::scan::head;

/// Files and directories of a walk; the largest modules have some 30 thousand.
const ENTRIES_MAX: usize = 60_000;

/// Go files whose head is read.
const GO_FILES_MAX: usize = 8_000;

/// Imports stand in the first few KiB, behind a licence.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// Packages that are kept.
const IMPORTS_MAX: usize = 5_000;

/// What a walk found.
#[derive(Default)]
pub struct Sources {
    /// Directories with Go files, below the root.
    pub packages: Vec<String>,
    /// Directories with a go.mod of their own, below the root.
    pub nested: Vec<String>,
    /// Imported packages.
    pub imports: Vec<Import>,
    /// Whether it ended early.
    pub partial: bool,
}

/// Walks a module's tree as `./...` does: no `vendor`, `testdata`, `_x`, `.x`, no nested module.
pub fn walk(root: &Path) -> Sources {
    let mut found = Sources::default();
    let mut imports: BTreeMap<String, Import> = BTreeMap::new();
    let (mut entries, mut files) = (0, 0);
    let mut open = vec![String::new()];
    while let Some(dir) = open.pop() {
        let mut has_go = false;
        for entry in std::fs::read_dir(root.join(&dir))
            .into_iter()
            .flatten()
            .flatten()
        {
            entries += 1;
            if entries > ENTRIES_MAX || files > GO_FILES_MAX {
                found.partial = true;
                open.clear();
                break;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if dir.is_empty() {
                name.clone()
            } else {
                format!("{dir}/{name}")
            };
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                let skipped = name.starts_with(['.', '_'])
                    || matches!(&*name, "vendor" | "testdata" | "node_modules");
                if skipped {
                    continue;
                }
                match root.join(&path).join("go.mod").is_file() {
                    true => found.nested.push(path),
                    false => open.push(path),
                }
            } else if name.ends_with(".go") && !name.starts_with(['.', '_']) {
                has_go = true;
                files += 1;
                read(root, &path, &mut imports);
            }
        }
        if has_go {
            found.packages.push(dir);
        }
    }
    found.packages.sort();
    found.nested.sort();
    found.imports = imports.into_values().collect();
    found
}

fn read(root: &Path, path: &str, imports: &mut BTreeMap<String, Import>) {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(root.join(path));
    if opened
        .and_then(|file| file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes))
        .is_err()
    {
        return;
    }
    let test = path.ends_with("_test.go");
    let head = head(&String::from_utf8_lossy(&bytes));
    for (package, line) in head.imports {
        if imports.len() >= IMPORTS_MAX && !imports.contains_key(&package) {
            return;
        }
        let import = imports.entry(package.clone()).or_insert_with(|| Import {
            path: package,
            file: path.to_owned(),
            line,
            test_only: true,
            constrained: true,
            providers: Vec::new(),
        });
        if import.constrained && !head.constrained {
            (import.file, import.line) = (path.to_owned(), line);
        }
        import.test_only &= test;
        import.constrained &= head.constrained;
    }
}

/// Whether a directory itself holds Go files.
pub fn has_go_files(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().ends_with(".go"))
}

/// Packages of the standard library; `None` if the tree has no sources.
pub fn standard(goroot: &Path) -> Option<Vec<String>> {
    let src = goroot.join("src");
    src.join("fmt").is_dir().then(|| {
        let mut found = Vec::new();
        let mut open = vec![String::new()];
        while let Some(dir) = open.pop() {
            let mut has_go = false;
            for entry in std::fs::read_dir(src.join(&dir))
                .into_iter()
                .flatten()
                .flatten()
            {
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if dir.is_empty() {
                    name.clone()
                } else {
                    format!("{dir}/{name}")
                };
                let skipped =
                    name.starts_with(['.', '_']) || matches!(&*name, "testdata" | "vendor" | "cmd");
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && !skipped => open.push(path),
                    _ => has_go |= name.ends_with(".go"),
                }
            }
            if has_go && found.len() < 2_000 {
                found.push(dir);
            }
        }
        found.sort();
        found
    })
}
